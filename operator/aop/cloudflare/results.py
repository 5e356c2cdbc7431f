"""What Cloudflare's API returns, typed and frozen.

It is tolerant where Cloudflare is loose: extra fields are ignored, `null` counts as missing, dates
come in two forms, and statuses of the future mean "not ready" (facts: cloudflare#loose-shapes,
cloudflare#certificate-object). It is strict where a guess could do harm: without an id nothing is
read.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    model_validator,
)

from aop.cloudflare.guarded import guarded
from aop.schema import ascii_name
from aop.terms.ssl_modes import PRESENTING_SSL_MODES

_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d{4})(?: \w+)?")
_DATE = TypeAdapter(datetime)
_LABELS = "CERTIFICATE", "X509 CERTIFICATE"
"""The labels that a certificate in PEM may have."""


def _read_date(value: Any) -> datetime | None:
    """A date in RFC 3339, or as Go prints it (`2022-05-24 16:57:16 +0000 UTC`), in UTC.

    None if it is neither, or outside the calendar.
    """
    if isinstance(value, str) and (match := _GO_TIME.fullmatch(value.strip())):
        value = "{}T{}{}".format(*match.groups())
    return guarded(lambda: _in_utc(_DATE.validate_python(value)))


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _first_block(text: str, label: str) -> tuple[int, str] | None:
    """Where the first PEM block of that label begins, and the block.

    Found in one pass, because a text may contain 70,000 beginnings without an end.
    """
    begin, last = text.find(f"-----BEGIN {label}-----"), f"-----END {label}-----"
    end = text.find(last, begin) if begin >= 0 else -1
    return None if end < 0 else (begin, text[begin : end + len(last)])


def _without_nulls(data: Any) -> Any:
    """`data` without its nulls, two levels deep, which is as deep as anything is read."""
    return (
        {name: _flat_without_nulls(value) for name, value in data.items() if value is not None}
        if isinstance(data, dict)
        else data
    )


def _flat_without_nulls(data: Any) -> Any:
    return (
        {name: value for name, value in data.items() if value is not None}
        if isinstance(data, dict)
        else data
    )


Date = Annotated[datetime | None, BeforeValidator(_read_date)]


class Result(BaseModel):
    """What all results share."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_missing(cls, data: Any) -> Any:
        return _without_nulls(data)


class Zone(Result):
    """A zone that the token may see."""

    id: str
    """32 hex digits."""
    name: Annotated[str, AfterValidator(ascii_name)]
    """As DNS has it; Cloudflare lists internationalised names in Unicode
    (facts: cloudflare#unicode-names)."""
    status: str = ""
    """initializing, pending, active, moved. Only an `active` zone serves anybody."""
    paused: bool = False
    """Paused: DNS answers, but nothing passes the edge."""
    account_id: str = Field(default="", validation_alias=AliasPath("account", "id"))

    @property
    def active(self) -> bool:
        """True if requests pass the zone's edge."""
        return self.status == "active" and not self.paused


class DeploymentStatus(StrEnum):
    """How far Cloudflare is with a certificate (facts: cloudflare#certificate-statuses)."""

    INITIALIZING = "initializing"
    PENDING_DEPLOYMENT = "pending_deployment"
    ACTIVE = "active"
    PENDING_DELETION = "pending_deletion"
    DELETED = "deleted"
    DEPLOYMENT_TIMED_OUT = "deployment_timed_out"
    DELETION_TIMED_OUT = "deletion_timed_out"
    UNKNOWN = "unknown"
    """A status that this version does not know: not ready."""

    @classmethod
    def _missing_(cls, value: object) -> DeploymentStatus:  # noqa: ARG003 - the signature is the enum machinery's
        return cls.UNKNOWN


class Certificate(Result):
    """A zone-level certificate. Its identity is `fingerprint`, never its place in a list."""

    id: str
    status: DeploymentStatus = DeploymentStatus.UNKNOWN
    certificate: str = ""
    """The leaf in PEM, perhaps with what signed it; whitespace may differ from what was
    uploaded."""
    serial_number: str = ""
    """Decimal."""
    uploaded_on: Date = None
    expires_on: Date = None

    @property
    def active(self) -> bool:
        """True if the zone presents it once it is enabled.

        That is so as long as no newer one is active.
        """
        return self.status is DeploymentStatus.ACTIVE

    @property
    def deleting(self) -> bool:
        """True if Cloudflare is deleting it.

        The same certificate cannot be uploaded until it is gone.
        """
        return self.status is DeploymentStatus.PENDING_DELETION

    @property
    def failed(self) -> bool:
        """True if only a deletion helps."""
        return self.status in {
            DeploymentStatus.DEPLOYMENT_TIMED_OUT,
            DeploymentStatus.DELETION_TIMED_OUT,
        }

    @property
    def deleted(self) -> bool:
        """True for a tombstone, which can be read by id for a while and counts as absent."""
        return self.status is DeploymentStatus.DELETED

    @property
    def leaf(self) -> str:
        """The first certificate of `certificate` in PEM.

        What follows may be a chain, or be damaged, and identifies nothing.
        """
        first_blocks = [
            block
            for label in _LABELS
            if (block := _first_block(self.certificate, label)) is not None
        ]
        return min(first_blocks)[1] if first_blocks else ""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in lower-case hex.

        Empty if Cloudflare returned no certificate that can be read, which then is none of ours.
        """
        return (
            guarded(
                lambda: (
                    x509.load_pem_x509_certificate(self.leaf.encode())
                    .fingerprint(hashes.SHA256())
                    .hex()
                )
            )
            or ""
        )


class Enablement(Result):
    """Whether the zone presents its own certificate."""

    enabled: bool


class SSLMode(Result):
    """How the edge speaks to the origin."""

    value: str
    """off, flexible, full, strict, origin_pull."""

    @property
    def presents(self) -> bool:
        """True if the edge can present a client certificate.

        In `off` and `flexible` it speaks plaintext, and in an unknown mode it may.
        """
        return self.value in PRESENTING_SSL_MODES


class GlobalAOP(Result):
    """Whether the edge presents the certificate that all customers share.

    It does so if the zone has none of its own.
    """

    value: str
    """on or off."""

    @property
    def on(self) -> bool:
        """True unless it is clearly off."""
        return self.value != "off"


class HostnameAssociation(Result):
    """A hostname with a certificate of its own, or with none, regardless of the zone's."""

    hostname: str
    enabled: bool | None = None
    """True: presents that certificate. False: presents nothing. None: void, so that the zone's
    certificate applies."""
    status: DeploymentStatus = DeploymentStatus.UNKNOWN

    @property
    def deleted(self) -> bool:
        """True for a tombstone."""
        return self.status is DeploymentStatus.DELETED

    @property
    def outranks(self) -> bool:
        """True if the edge does not present the zone's certificate for this host, now or soon."""
        return self.enabled is not None and not self.deleted


class NotificationPolicy(Result):
    """A notification policy of an account (facts: cloudflare#notification-policies)."""

    id: str
    alert_type: str = ""
    name: str = ""
    description: str = ""
    enabled: bool = True
    filters: dict[str, Any] = Field(default_factory=dict)
    mechanisms: dict[str, Any] = Field(default_factory=dict)
    """By way (email, webhooks, pagerduty, or a future one): who is warned, each with an `id`."""
    created: Date = None
    body: dict[str, Any] = Field(default_factory=dict)
    """All of it, as it can be sent back, so that a replacement leaves out nothing that somebody has
    set."""

    @model_validator(mode="before")
    @classmethod
    def _keep_all(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        own = {name: data[name] for name in data if name not in {"id", "created", "modified"}}
        return {**data, "body": own}


class PolicyId(Result):
    """What the creation or replacement of a policy answers."""

    id: str


class Webhook(Result):
    """A webhook destination of an account."""

    id: str
    """32 hexadecimal digits, with dashes or without."""
    name: str = ""


class TokenStanding(Result):
    """What Cloudflare says about a token."""

    status: str = ""
    """active, disabled, expired."""
    expires_on: Date = None
    not_before: Date = None
