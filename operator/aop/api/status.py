"""What people and tools read: `status` of an AuthenticatedOriginPull.

No rule reads a condition, a phase or the time of a proof. Three facts that the world does not show
are read back from it (docs/adr/0017). Compared with the previous status, a new one shows whether
there is anything to write, and since when each condition is as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PlainSerializer, StringConstraints, ValidationError

from aop.schema import ListType, Model

Time = Annotated[
    datetime,
    PlainSerializer(
        lambda time: time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), when_used="json"
    ),
]
"""An aware time; RFC 3339 in whole seconds outside, as every Kubernetes time."""


class ConditionType(StrEnum):
    """The types in `status.conditions`.

    All but `AlertsConfigured` are there from the operator's first look on.
    """

    READY = "Ready"
    """The summary: the zone presents the certificate and the origins go as far as the spec asks."""
    CERTIFICATE_READY = "CertificateReady"
    """The key pair exists and is valid."""
    CERTIFICATE_DEPLOYED = "CertificateDeployed"
    """Cloudflare holds the certificate and says that it is active."""
    ZONE_ENABLED = "ZoneEnabled"
    """Authenticated Origin Pulls are on for the zone."""
    ORIGINS_TRUST = "OriginsTrust"
    """The operator has seen every replica accept what Cloudflare presents now and next."""
    EDGE_VERIFIED = "EdgeVerified"
    """Requests to every in-scope host have come through the edge with the certificate, for a whole
    window; the message names the hosts without such a proof."""
    ENFORCED = "Enforced"
    """The operator has seen every replica go as far as `spec.enforcement` for every proven host."""
    ALERTS_CONFIGURED = "AlertsConfigured"
    """A notification policy at Cloudflare warns whom `spec.alerts` names; absent if `spec.alerts`
    names nobody. `Ready` does not depend on this condition."""
    RECONCILING = "Reconciling"
    """The operator is doing something, or waits for something that ends by itself (kstatus)."""
    STALLED = "Stalled"
    """The operator gets no further until a person acts; the message says what to do (kstatus)."""


class Part(Model):
    """A part of the status.

    Unlike the spec it is read leniently, because another version may have written it.
    """

    model_config = ConfigDict(extra="ignore")


class ZoneStatus(Part):
    """The zone as Cloudflare shows it."""

    id: str | None = None
    """Id of the zone."""
    account_id: str | None = None
    """Id of the account that owns the zone."""
    ssl_mode: str | None = None
    """SSL mode of the zone, in Cloudflare's word: off, flexible, full, strict or origin_pull."""


class CertificateStatus(Part):
    """The certificate that Cloudflare presents.

    Before it presents one of ours, the one that it is to present.
    """

    id: str | None = None
    """Id of the certificate at Cloudflare."""
    fingerprint: str | None = None
    """SHA-256 fingerprint of the certificate, in lower-case hexadecimal digits."""
    serial_number: str | None = None
    """Serial number of the certificate, in decimal digits as Cloudflare shows it."""
    status: str | None = None
    """Status of the certificate, in Cloudflare's word, such as pending_deployment or active."""
    not_after: Time | None = None
    """When the certificate expires."""
    renewal_time: Time | None = None
    """When a successor is due; absent for a Secret that something else renews."""


class OriginStatus(Part):
    """What was seen on one origin."""

    name: str
    """Name of the origin, as in spec.origins."""
    mode: Literal["Off", "Request", "Optional", "Require"] | None = None
    """The least strict mode that the operator saw any replica in; absent while none answers."""
    replicas: int = Field(default=0, json_schema_extra={"format": "int32"})
    """Number of Ready replicas."""
    applied: int = Field(default=0, json_schema_extra={"format": "int32"})
    """Number of replicas that the operator saw do what their configuration says."""


class HostsStatus(Part):
    """The in-scope hosts."""

    proven: int = Field(default=0, json_schema_extra={"format": "int32"})
    """Number of hosts for which the operator has proof that the edge presents the certificate."""
    total: int = Field(default=0, json_schema_extra={"format": "int32"})
    """Number of in-scope hosts."""
    unproven: tuple[str, ...] = ()
    """The in-scope hosts without such a proof; the condition EdgeVerified says why."""


class ProofStatus(Part):
    """The proof that the edge presents our certificate."""

    since: Time | None = None
    """Since when every usable answer through the edge has come with the certificate, for the hosts
    that are proven now."""


class AlertsStatus(Part):
    """What the operator has done about `spec.alerts`."""

    account_id: str
    """Id of the account whose notifications the operator looked at."""
    policy_id: str | None = None
    """Id of the notification policy that the operator keeps there; absent if a policy that somebody
    else keeps warns everybody whom spec.alerts names."""
    asked: str
    """Digest of the spec.alerts that the operator has acted on: it puts back what somebody takes
    out at Cloudflare only after spec.alerts has changed."""


class Condition(Part):
    """One truth about the object, in the form of every Kubernetes condition."""

    type: Annotated[str, StringConstraints(max_length=316)]
    """One of the condition types that the reference lists."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    observed_generation: int | None = Field(
        default=None, ge=0, json_schema_extra={"format": "int64"}
    )
    """The metadata.generation that the operator had seen."""
    last_transition_time: Time
    """When the status of the condition last changed."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """Why, as one of the reasons that the reference lists."""
    message: Annotated[str, StringConstraints(max_length=32768)] = ""
    """Why, for a person: what the operator waits for, since when, and what to do."""


class Status(Part):
    """What was seen, and how far the world is from the spec."""

    observed_generation: int | None = Field(
        default=None, ge=-1, json_schema_extra={"format": "int64"}
    )
    """The metadata.generation that the status was made for; -1 before the operator has looked."""
    enforcement: Literal["Off", "Request", "Optional", "Require"] | None = None
    """How far all origins go, as their own answers show: the least strict of the modes in
    origins."""
    zone: ZoneStatus | None = None
    """The zone as Cloudflare last showed it to this object's token; absent before that, and if
    another object has the zone."""
    certificate: CertificateStatus | None = None
    """The certificate that Cloudflare presents; before it presents one, the one that it is to
    present."""
    origins: Annotated[tuple[OriginStatus, ...], ListType("map", "name")] = ()
    """What the operator saw on each origin."""
    hosts: HostsStatus | None = None
    """How many of the in-scope hosts the operator has proven."""
    proof: ProofStatus | None = None
    """The proof that the edge presents the operator's certificate."""
    alerts: AlertsStatus | None = None
    """What the operator has done about spec.alerts; absent if spec.alerts names nobody."""
    removing_since: Time | None = None
    """When, during a removal, the operator saw that no replica refuses anybody any more. It gives
    Cloudflare ten minutes from then."""
    record: str | None = None
    """Copy of the annotation aop-operator.dev/record, for when somebody replaces the object without
    it."""
    conditions: Annotated[tuple[Condition, ...], ListType("map", "type")] = ()
    """What holds and what does not; Ready sums it up."""

    @classmethod
    def parse(cls, manifest: Any) -> Self:
        """The status in `manifest`, an object's `status`.

        An empty one where another version wrote something unreadable.
        """
        try:
            return cls.model_validate(manifest or {})
        except ValidationError:
            return cls()

    def manifest(self) -> dict[str, Any]:
        """The status as JSON for the API server; what is absent is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)
