"""What a user asks for: `spec` of an AuthenticatedOriginPull.

The constraints stand beside the fields, once, for the API server and for Python alike
(`aop.schema.Rule`). Durations and modes are kept as the user wrote them, because this is what the
schema describes; properties give their values.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from annotated_types import Len
from pydantic import Field, StringConstraints

from aop.api.certificate import CertificateChoice
from aop.origins.kinds import KINDS
from aop.origins.spec import Origin
from aop.schema import (
    DURATION,
    DomainName,
    Duration,
    HostnamePattern,
    ListType,
    Model,
    ObjectName,
    Rule,
    matching,
    timedelta_of,
)
from aop.terms import Mode, covers


class Enforcement(StrEnum):
    """How far to go, in steps that each include the one before."""

    REQUEST = "Request"
    """Ask for the certificate, refuse nobody for what it says."""
    OPTIONAL = "Optional"
    """Refuse a certificate that is not ours, let none pass."""
    REQUIRE = "Require"
    """Let only our certificate pass."""


class DeletionPolicy(StrEnum):
    """What becomes of Cloudflare's side when the object is deleted."""

    RESTORE = "Restore"
    """Our certificates are deleted and the zone is set as it was found."""
    RETAIN = "Retain"
    """Certificate and enablement stay."""


class ZoneReference(Model):
    """A Cloudflare zone, by name and, where names do not suffice, by id."""

    name: DomainName
    """Name of the zone at Cloudflare. Immutable."""
    id: (
        Annotated[
            str,
            StringConstraints(min_length=32, max_length=32),
            matching(
                "[0-9a-f]{32}",
                "write the zone id of 32 hexadecimal digits that the zone's overview page at Cloudflare shows",
            ),
        ]
        | None
    ) = None
    """Id of the zone at Cloudflare, needed only when the token sees several zones of this name. You
    may add it later; from then on it is immutable."""

    rules = (
        Rule(
            "self.name == oldSelf.name",
            "spec.zone.name is immutable: create another AuthenticatedOriginPull for another zone",
            field_path=".name",
        ),
        Rule(
            "!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)",
            "spec.zone.id is immutable once it is set: create another AuthenticatedOriginPull for another zone",
        ),
    )


class SecretKeyRef(Model):
    """One key of a Secret in the namespace of the AuthenticatedOriginPull."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[
        str,
        StringConstraints(min_length=1, max_length=253),
        matching(
            "[-._a-zA-Z0-9]+", "write a key of the Secret's data: letters, digits, -, _ and . only"
        ),
    ] = "api-token"
    """Key within the Secret's data."""


class Credentials(Model):
    """How to authenticate to Cloudflare."""

    api_token_secret_ref: SecretKeyRef
    """The Secret that holds a Cloudflare API token. The token needs Zone Read and SSL and
    Certificates Write for the zone, Zone Settings Read to check the SSL mode, and Notifications
    Write for spec.alerts only."""


class Verification(Model):
    """How the operator proves, through Cloudflare's edge, that it may require a host."""

    window: Annotated[
        Duration,
        Rule(
            f"!self.matches(r'^({DURATION})$') || (duration(self) >= duration('10s') && duration(self) <= duration('24h'))",
            "write a window of 10s to 24h",
            lambda text: timedelta(seconds=10) <= timedelta_of(text) <= timedelta(hours=24),
        ),
    ] = "180s"
    """For how long every request that the operator sends through the edge must have come with the
    certificate before the operator requires a host: 10s to 24h. Locations of the edge change
    over at different times, so a short window is for trials."""
    samples: Annotated[tuple[DomainName, ...], Len(0, 100), ListType("set")] = Field(
        default_factory=tuple
    )
    """Concrete hosts under the wildcards of spec.hostnames that the operator proves and requires
    although no Ingress of the controller names them."""

    @property
    def window_duration(self) -> timedelta:
        """`window` as a value."""
        return timedelta_of(self.window)


class Alerts(Model):
    """Whom Cloudflare itself warns, 30 and 14 days before a certificate expires.

    At least one address or webhook.
    """

    email: Annotated[
        tuple[
            Annotated[
                str,
                StringConstraints(min_length=3, max_length=254),
                matching(
                    r"[^@\s]+@[^@\s]+\.[^@\s]+", "write an e-mail address such as ops@example.com"
                ),
            ],
            ...,
        ],
        Len(0, 20),
        ListType("set"),
    ] = Field(default_factory=tuple)
    """E-mail addresses. Cloudflare takes those that it knows in the account."""
    webhooks: Annotated[
        tuple[
            Annotated[
                str,
                StringConstraints(min_length=1, max_length=100),
                matching(
                    r"[^ \t\n\r\f:]([^\n\r:]*[^ \t\n\r\f:])?",
                    "write the name or the id of a webhook destination that exists in the account at Cloudflare, not its address",
                ),
            ],
            ...,
        ],
        Len(0, 20),
        ListType("set"),
    ] = Field(default_factory=tuple)
    """Webhook destinations that exist in the Cloudflare account, by name or id."""

    rules = (
        Rule(
            "(has(self.email) && size(self.email) > 0) || (has(self.webhooks) && size(self.webhooks) > 0)",
            "write at least one email or webhooks item, or leave spec.alerts out",
            lambda it: bool(it.email or it.webhooks),
        ),
    )


def _apex_and_wildcard(validated: dict[str, Any]) -> tuple[str, ...]:
    zone = validated["zone"].name
    return (zone, f"*.{zone}")


_COVERED = "h == s || (h.startsWith('*.') && s.endsWith(h.substring(1)))"
_PATTERNS = "(has(self.hostnames) ? self.hostnames : [self.zone.name, '*.' + self.zone.name])"
_READABLE = "matches(r'[^a-z0-9.*-]')"
_DIFFERS = f"h.{_READABLE} != self.zone.name.{_READABLE}"
"""One is written as it is read and the other in the xn-- form, which CEL cannot compare; the
operator does."""


def _in_one_origin(kind: str, field: str) -> Rule:
    """Two origins of one object cannot be the same."""
    named = f"{kind}.{field}"
    return Rule(
        f"self.origins.all(o, !has(o.{kind}) || self.origins.exists_one(p, has(p.{kind}) && p.{named} == o.{named}))",
        f"write each {field} in one origin only",
        lambda it: len({origin.target for origin in it.origins}) == len(it.origins),
        ".origins",
    )


class Spec(Model):
    """What is wanted for one Cloudflare zone."""

    zone: ZoneReference
    """The Cloudflare zone. Its name is immutable. You can add its id later; from then on the id is
    immutable too."""
    credentials: Credentials
    """How to authenticate to Cloudflare."""
    hostnames: Annotated[tuple[HostnamePattern, ...], Len(1, 100), ListType("set")] = Field(
        default_factory=_apex_and_wildcard
    )
    """Hosts of the zone at which the operator may require the certificate: concrete ones, or
    wildcards, which cover every host below them. The operator requires the certificate at each host
    only after that host's own proof. The default is the zone itself and its wildcard."""
    # Without a default in the schema: a stored `generate` that nobody wrote would stay beside a
    # `secretRef` that is applied later.
    certificate: CertificateChoice = Field(default_factory=CertificateChoice)
    """The certificate that Cloudflare presents to the origins. Without this field, the operator
    generates one with the defaults of generate."""
    origins: Annotated[tuple[Origin, ...], Len(1, 16), ListType("map", "name")]
    """Every place that the zone's requests arrive at."""
    enforcement: Enforcement = Enforcement.REQUIRE
    """How far the origins go. Request: they ask for the certificate and refuse nobody. Optional:
    they refuse other certificates, and serve requests without any. Require: they refuse every
    request without the certificate."""
    verification: Verification = Field(
        default_factory=Verification, json_schema_extra={"default": {}}
    )
    """How the operator proves, through Cloudflare's edge, that it may require a host."""
    alerts: Alerts | None = None
    """Whom Cloudflare warns before certificates expire. The operator keeps a notification policy
    there for that. One policy covers the whole account, and warns everybody whom an object of that
    account names. The operator leaves what others add to the policy, and puts back what others take
    away only when this field changes."""
    deletion_policy: DeletionPolicy = DeletionPolicy.RESTORE
    """What the operator does at Cloudflare when you delete the object. Restore: the operator
    deletes its certificates and puts the zone back as it found it. Retain: the operator leaves both
    as they are. The origins stop refusing in either case."""
    suspend: bool = False
    """While true, the operator starts nothing new. It still opens origins that refuse visitors.
    Deletion overrides it."""

    rules = (
        Rule(
            f"!has(self.hostnames) || self.hostnames.all(h, h == self.zone.name || h.endsWith('.' + self.zone.name) || {_DIFFERS})",
            "write only hostnames in the zone: spec.zone.name itself, names below it, or wildcards below it",
            lambda it: all(
                h == it.zone.name or h.endswith(f".{it.zone.name}") for h in it.hostnames
            ),
            ".hostnames",
        ),
        Rule(
            f"!has(self.verification.samples) || self.verification.samples.all(s, {_PATTERNS}.exists(h, {_COVERED}))",
            "write only samples that an item of spec.hostnames covers",
            lambda it: all(
                any(covers(h, s) for h in it.hostnames) for s in it.verification.samples
            ),
            ".verification.samples",
        ),
        *(_in_one_origin(kind.name, kind.reference) for kind in KINDS.values()),
    )

    @property
    def hostname_patterns(self) -> tuple[str, ...]:
        """`hostnames` with its default applied: concrete names and `*.` wildcards."""
        return self.hostnames

    @property
    def enforcement_mode(self) -> Mode:
        """`enforcement` as a mode."""
        return Mode.parse(self.enforcement)

    @property
    def concrete_hosts(self) -> tuple[str, ...]:
        """What needs no Ingress to be in scope.

        The concrete names of `hostnames`, then the samples; no duplicates.
        """
        concrete = (h for h in self.hostnames if not h.startswith("*."))
        return tuple(dict.fromkeys((*concrete, *self.verification.samples)))
