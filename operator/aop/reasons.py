"""Why a condition is as it is.

One row for each reason, and the only place that tells what it means and what helps. README's table
and docs/reference.md are written from here, the status takes its remedies from here, and so does
the reading of Cloudflare what it has to read again soon. At the bottom of the floors, because
whoever raises `Blocked` names one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

NO_ACTION = "No action needed"


class Fault(StrEnum):
    """Where the cause of a reason lies, and so who can end it."""

    USER = "user"
    """Whoever owns the object and the Secrets that it names."""
    CLOUDFLARE = "cloudflare"
    """What is set, missing or in the way at Cloudflare."""
    CLUSTER = "cluster"
    """The origins, what configures them, their pods, and what others have put there."""
    OPERATOR = "operator"
    """This operator: a bug."""
    NOBODY = "nobody"
    """It passes by itself, or is how things should be."""


class Reason(StrEnum):
    """Why a condition is as it is; stable for scripts and alerts."""

    meaning: str
    """What is the matter, as a sentence."""
    remedy: str
    """What to do about it, without the full stop; `NO_ACTION` where it passes by itself or the
    message alone can say."""
    fault: Fault
    reread: frozenset[str]
    """The readings of Cloudflare (fields of `CloudflareMemory`) that are the reason: read again
    soon while it blocks."""

    def __new__(
        cls,
        code: str,
        meaning: str = "",
        remedy: str = "",
        fault: Fault = Fault.NOBODY,
        reread: str = "",
    ) -> Self:
        """A row; `reread` is a list of words.

        With a code alone it looks a reason up: no row is that short, as a test sees to.
        """
        reason = str.__new__(cls, code)
        reason._value_ = code
        reason.meaning, reason.remedy, reason.fault, reason.reread = (
            meaning,
            remedy,
            fault,
            frozenset(reread.split()),
        )
        return reason

    # Credentials and zone
    TOKEN_SECRET_NOT_FOUND = (
        "TokenSecretNotFound",
        "The Secret named by `spec.credentials.apiTokenSecretRef`, or its key, does not exist.",
        "Create the Secret, or correct `apiTokenSecretRef`",
        Fault.USER,
    )
    TOKEN_REJECTED = (
        "TokenRejected",
        "Cloudflare does not know the token, or the token has expired or been disabled.",
        "Put another token into the Secret",
        Fault.USER,
    )
    TOKEN_LACKS_PERMISSION = (
        "TokenLacksPermission",
        "The token works but lacks a permission; the message names it.",
        "Add the permission that the message names, and the zone under *Zone Resources*",
        Fault.USER,
    )
    ZONE_NOT_FOUND = (
        "ZoneNotFound",
        "The token sees no zone of this name (or id).",
        "Correct `spec.zone`, or let the token see the zone",
        Fault.USER,
        "zone",
    )
    ZONE_AMBIGUOUS = (
        "ZoneAmbiguous",
        "The token sees zones of this name in several accounts; the message lists the account ids.",
        "Set `spec.zone.id`",
        Fault.USER,
        "zone",
    )
    ZONE_NOT_ACTIVE = (
        "ZoneNotActive",
        "The zone is pending, moved or paused at Cloudflare, so nothing passes its edge.",
        "Finish the zone's setup at Cloudflare, or unpause it",
        Fault.CLOUDFLARE,
        "zone",
    )
    ZONE_CLAIMED = (
        "ZoneClaimed",
        "Another AuthenticatedOriginPull manages this zone: its token has shown the zone first; the message names it.",
        "Delete one of the two objects",
        Fault.USER,
    )
    SSL_MODE_TOO_LOW = (
        "SSLModeTooLow",
        "The SSL mode is Off or Flexible, in which the edge never presents a client certificate.",
        "Set the zone's SSL/TLS mode to Full or Full (strict)",
        Fault.CLOUDFLARE,
        "ssl_mode",
    )
    HOSTS_SUPPRESSED = (
        "HostsSuppressed",
        "Per-hostname associations at Cloudflare outrank or suppress the zone's certificate for every host in scope.",
        "Void the per-hostname associations",
        Fault.CLOUDFLARE,
        "outranked",
    )
    FOREIGN_CERTIFICATE = (
        "ForeignCertificate",
        "The zone already presents somebody else's certificate, or Cloudflare's shared one.",
        "If no origin elsewhere requires that certificate, set `spec.certificate.replaceForeign: true`",
        Fault.USER,
        "listed enabled",
    )
    SPEC_INVALID = (
        "SpecInvalid",
        "The spec got past the schema of another version but not past this operator's; the message names the fields.",
        "Correct the fields that the message names",
        Fault.USER,
    )
    NOT_OFFERED = (
        "NotOffered",
        "The zone's plan at Cloudflare, or its type, does not have what is needed; the message carries Cloudflare's code and words.",
        "Give the zone a plan that has it",
        Fault.CLOUDFLARE,
    )
    # Certificates
    KEY_PAIR_INVALID = (
        "KeyPairInvalid",
        "A referenced Secret is missing, or its certificate or key fails a check; the message names the field.",
        "Correct the field of the Secret that the message names",
        Fault.USER,
    )
    CERTIFICATE_REFUSED = (
        "CertificateRefused",
        "Cloudflare refused the certificate for good; the message carries its code.",
        "If the certificate is what is wrong, issue another one",
        Fault.USER,
    )
    CERTIFICATE_QUOTA_REACHED = (
        "CertificateQuotaReached",
        "The zone may hold no more certificates.",
        "Delete a certificate at Cloudflare that nobody needs any more",
        Fault.CLOUDFLARE,
    )
    CERTIFICATE_UNLISTED = (
        "CertificateUnlisted",
        "Cloudflare refuses the certificate because the zone holds it, and does not list it.",
        "Do what the message says: another certificate does without that one",
        Fault.CLOUDFLARE,
    )
    # Origins
    ORIGIN_NOT_FOUND = (
        "OriginNotFound",
        "What an origin is configured by does not exist.",
        "Create what the message names, or correct the reference to it",
        Fault.USER,
    )
    ORIGIN_NOT_ALLOWED = (
        "OriginNotAllowed",
        "The operator's allow-list does not hold what the origin is configured by.",
        "Add it to the allow-list that the message names, and give the operator the right to write it",
        Fault.CLUSTER,
    )
    ORIGIN_FULL = (
        "OriginFull",
        "What an origin is configured by has no room for what the object asks: it comes near to what Kubernetes takes.",
        "Take out what the message names, or give some zones an origin of their own",
        Fault.CLUSTER,
    )
    FOREIGN_CONFIGURATION = (
        "ForeignConfiguration",
        "Somebody else has configured a key, or an Ingress of the zone, in a way that ours must not or cannot be combined with.",
        "Do what the message says: it names whose text it is, and how to let it stand (`foreignText: Merge`)",
        Fault.CLUSTER,
    )
    NO_CONTROLLER = (
        "NoController",
        "Nobody reads what the origin is configured by, so it is never written.",
        "Do what the message says: it names what nobody reads, and how they would",
        Fault.USER,
    )
    NO_REPLICAS = (
        "NoReplicas",
        "The origin has no Ready replica that could be asked what it does.",
        "Look at the origin's pods",
        Fault.CLUSTER,
    )
    CONTROLLER_STUCK = (
        "ControllerStuck",
        "The origin takes no configuration because of a line that is not ours; the message quotes its own words.",
        "Correct the line that the message quotes",
        Fault.CLUSTER,
    )
    HOSTNAME_TOO_LONG = (
        "HostnameTooLong",
        "No hostname in scope fits what the origin can carry, or can be asked for by any client.",
        "Do what the message says: it names the limit, and where it is raised",
        Fault.CLUSTER,
    )
    NO_HOSTS = (
        "NoHosts",
        "No host in scope is known: only wildcards are listed, and no Ingress or sample names a host under them.",
        "Add hosts to `spec.hostnames` or `verification.samples`",
        Fault.USER,
    )
    ORIGIN_UNREACHABLE = (
        "OriginUnreachable",
        "The operator's own requests do not reach a replica.",
        "Let the operator's pod reach the origin's pods on their http and https ports",
        Fault.CLUSTER,
    )
    TEXT_REJECTED = (
        "TextRejected",
        "The origin rejected our configuration text; it was withdrawn, and is tried again by itself.",
        "Look where the message says that the origin's own words are",
        Fault.OPERATOR,
    )
    # Progress
    INITIALIZING = (
        "Initializing",
        "Nothing has been looked at yet, or the finalizer is not set yet.",
        NO_ACTION,
        Fault.NOBODY,
    )
    PROGRESSING = (
        "Progressing",
        "A step is being carried out or awaited; the message names which, since when.",
        NO_ACTION,
        Fault.NOBODY,
    )
    WAITING_FOR_CLOUDFLARE = (
        "WaitingForCloudflare",
        "Cloudflare has accepted a change that has not taken effect yet, or cannot be read at the moment.",
        NO_ACTION,
        Fault.NOBODY,
    )
    WAITING_FOR_REPLICAS = (
        "WaitingForReplicas",
        "A published configuration has not been seen on every replica yet.",
        NO_ACTION,
        Fault.NOBODY,
    )
    WAITING_FOR_PROOF = (
        "WaitingForProof",
        "The edge's answers are being watched for a whole window.",
        NO_ACTION,
        Fault.NOBODY,
    )
    EDGE_SILENT = (
        "EdgeSilent",
        "Requests through the edge give no usable answer; nothing is concluded from silence.",
        "Check that the host's DNS record is proxied and that no rule or challenge at Cloudflare stands before /.well-known/aop-operator/",
        Fault.CLOUDFLARE,
    )
    EDGE_NOT_PROVEN = (
        "EdgeNotProven",
        "A whole window passed in which no host in scope was proven; the message says what arrived instead.",
        "Check the host's DNS record (proxied), per-hostname associations and Configuration Rules at Cloudflare",
        Fault.CLOUDFLARE,
    )
    HOLD_OFF = (
        "HoldOff",
        "The origins were relaxed a short time ago, and nothing is required again before the time that the message names.",
        NO_ACTION,
        Fault.NOBODY,
    )
    LEAF_EXPIRING = (
        "LeafExpiring",
        "The certificate is about to expire and no successor is proven.",
        "Renew the certificate",
        Fault.USER,
    )
    TRANSIENT_ERROR = (
        "TransientError",
        "Something failed that is tried again by itself; the message says what and when.",
        NO_ACTION,
        Fault.NOBODY,
    )
    INTERNAL_ERROR = (
        "InternalError",
        "A bug; the operator's log has the traceback. The loop goes on.",
        "Report the bug, with the traceback from the operator's log",
        Fault.OPERATOR,
    )
    SUSPENDED = (
        "Suspended",
        "`spec.suspend` is true: nothing new is done; what protects visitors still is.",
        "Set `spec.suspend` to false",
        Fault.USER,
    )
    REMOVING = (
        "Removing",
        "The object is being deleted; the message names what is being put back.",
        NO_ACTION,
        Fault.NOBODY,
    )
    # Goals reached
    READY = ("Ready", "The world is as the spec asks.", NO_ACTION, Fault.NOBODY)
    AS_EXPECTED = ("AsExpected", "This condition's truth holds.", NO_ACTION, Fault.NOBODY)
