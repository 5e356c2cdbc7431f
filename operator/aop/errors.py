"""What can go wrong, as two exceptions; everything else is a bug.

The tree is the contract between the floors: each class stands for one reaction of the loop::

    AopError
    ├── Blocked      the user must act: a condition names the reason, slow recheck, any change wakes the loop
    └── Transient    try again by itself: after `retry_after_s` when the other side named it, else after a backoff

`Reason` is the documented enum of condition reasons. It lives here, at the bottom, because clients and PKI
raise `Blocked` with it; `aop.api` re-exports it for the resource's documentation.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a condition is as it is; documented in docs/reference.md, stable for scripts and alerts."""

    # Credentials and zone
    TOKEN_SECRET_NOT_FOUND = "TokenSecretNotFound"
    """The Secret named by `spec.credentials.apiTokenSecretRef`, or its key, does not exist."""
    TOKEN_REJECTED = "TokenRejected"
    """Cloudflare does not know the token, or it has expired or been disabled."""
    TOKEN_LACKS_PERMISSION = "TokenLacksPermission"
    """The token works but lacks a permission; the message names it."""
    ZONE_NOT_FOUND = "ZoneNotFound"
    """The token sees no zone of this name (or id)."""
    ZONE_AMBIGUOUS = "ZoneAmbiguous"
    """The token sees several zones of this name; the message lists the account ids. Set `spec.zone.id`."""
    ZONE_NOT_ACTIVE = "ZoneNotActive"
    """The zone is pending, moved or paused at Cloudflare, so nothing passes its edge."""
    ZONE_CLAIMED = "ZoneClaimed"
    """An older AuthenticatedOriginPull already manages this zone; the message names it."""
    SSL_MODE_TOO_LOW = "SSLModeTooLow"
    """The SSL mode is Off or Flexible, in which the edge never presents a client certificate."""
    HOSTS_SUPPRESSED = "HostsSuppressed"
    """A per-hostname association at Cloudflare outranks or suppresses the zone's certificate for every in-scope host."""
    FOREIGN_CERTIFICATE = "ForeignCertificate"
    """The zone already presents another's certificate (or the shared one); outranking it needs `replaceForeign: true`."""
    SPEC_INVALID = "SpecInvalid"
    """The spec got past the schema of another version but not past this operator's; the message names the fields."""
    NOT_OFFERED = "NotOffered"
    """The zone's plan at Cloudflare, or its type, does not have what is needed; the message carries Cloudflare's code and words."""
    # Certificates
    KEY_PAIR_INVALID = "KeyPairInvalid"
    """A referenced Secret is missing, or its certificate or key fails a check; the message names the field."""
    CERTIFICATE_REFUSED = "CertificateRefused"
    """Cloudflare refused the certificate for good; the message carries its code."""
    CERTIFICATE_QUOTA_REACHED = "CertificateQuotaReached"
    """The zone may hold no more certificates. Delete one at Cloudflare that nobody needs any more."""
    CERTIFICATE_UNLISTED = "CertificateUnlisted"
    """Cloudflare refuses the certificate because the zone holds it, and does not list it; the message says how to do without it."""
    # Origins
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    """An origin's ConfigMap does not exist."""
    CONFIG_MAP_NOT_ALLOWED = "ConfigMapNotAllowed"
    """The operator's allow-list of ConfigMaps does not hold this one."""
    CONFIG_MAP_FULL = "ConfigMapFull"
    """An origin's ConfigMap has no room for what the object asks: its annotations or its texts come near to what Kubernetes takes."""
    FOREIGN_CONFIGURATION = "ForeignConfiguration"
    """A key, or an Ingress of the zone, is configured by somebody else in a way that we must not or cannot combine with."""
    NO_CONTROLLER = "NoController"
    """No controller's arguments name this ConfigMap, so nobody reads it and it is never written."""
    NO_REPLICAS = "NoReplicas"
    """The controller has no Ready replica that could be asked what it does."""
    CONTROLLER_STUCK = "ControllerStuck"
    """The controller takes no configuration at present because of something that is not ours; the message has its words."""
    HOSTNAME_TOO_LONG = "HostnameTooLong"
    """No hostname in scope fits the controller's `map-hash-bucket-size`, or can be asked for by any client."""
    NO_HOSTS = "NoHosts"
    """No in-scope hostname is known: only wildcards are listed, and no Ingress or sample names a host under them."""
    ORIGIN_UNREACHABLE = "OriginUnreachable"
    """A replica cannot be reached by the operator's own requests."""
    TEXT_REJECTED = "TextRejected"
    """The controller rejected our configuration text (`nginx -t`); it was withdrawn and waits for a change."""
    # Progress
    INITIALIZING = "Initializing"
    """Nothing has been looked at yet, or the finalizer is not set yet."""
    PROGRESSING = "Progressing"
    """A step is being carried out or awaited; the message names which, since when."""
    WAITING_FOR_CLOUDFLARE = "WaitingForCloudflare"
    """Cloudflare has accepted a change that has not taken effect yet, or cannot be read at the moment."""
    WAITING_FOR_REPLICAS = "WaitingForReplicas"
    """A published configuration has not been seen on every replica yet."""
    WAITING_FOR_PROOF = "WaitingForProof"
    """The edge's answers are being watched for a whole window."""
    EDGE_SILENT = "EdgeSilent"
    """Requests through the edge give no usable answer; nothing is concluded from silence."""
    EDGE_NOT_PROVEN = "EdgeNotProven"
    """A whole window passed in which no in-scope host was proven; the message says what arrived instead."""
    HOLD_OFF = "HoldOff"
    """Enforcement was relaxed a short time ago and is not tried again before the time that the message names."""
    LEAF_EXPIRING = "LeafExpiring"
    """The presented certificate is about to expire and no successor is proven."""
    TRANSIENT_ERROR = "TransientError"
    """Something failed that is tried again by itself; the message says what and when."""
    INTERNAL_ERROR = "InternalError"
    """A bug; the operator's log has the traceback. The loop goes on."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true: nothing new is done; what protects visitors still is."""
    REMOVING = "Removing"
    """The object is being deleted; the message names what is being put back."""
    # Goals reached
    READY = "Ready"
    """The world is as the spec asks."""
    AS_EXPECTED = "AsExpected"
    """This condition's truth holds."""


class AopError(Exception):
    """Something a person or the loop has to react to; `message` says what, to which object, and what to do next."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Blocked(AopError):
    """The user must act. Never retried fast; woken by any change."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Transient(AopError):
    """Tried again by itself; `retry_after_s` (seconds) when the other side named a time."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def plain(text: str, longest: int = 1000) -> str:
    """Text from outside as one printable line of at most `longest` characters: no escape sequence reaches a terminal, no line is forged."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: longest * 4]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
