"""Why a condition is as it is.

One row for each reason, and the only place that says what it means and what helps. The tables of
docs/status.md and docs/reference.md are made from it, the status takes its remedies from it, and
the reader of Cloudflare learns from it what to read again soon. It is at the bottom of the floors,
because whoever raises `Blocked` names a reason.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

NO_ACTION = "No action needed"


class Fault(StrEnum):
    """Where the cause of a reason lies, and so who can end it."""

    USER = "user"
    """The owner of the object and of the Secrets that it names."""
    CLOUDFLARE = "cloudflare"
    """Something is set, missing or in the way at Cloudflare."""
    CLUSTER = "cluster"
    """The origins, what configures them, their pods, and what others have put there."""
    OPERATOR = "operator"
    """The operator itself: a bug."""
    NOBODY = "nobody"
    """Nobody has to act: it passes by itself, or things are as they should be."""


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

        With a code alone it looks a reason up. A test makes sure that no row is that short.
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
        "Add the permission that the message names to the token, and the zone to its *Zone Resources*",
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
        "Another AuthenticatedOriginPull manages this zone: its token showed the zone to the operator first. The message names the object.",
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
        "Remove the per-hostname associations",
        Fault.CLOUDFLARE,
        "outranked",
    )
    FOREIGN_CERTIFICATE = (
        "ForeignCertificate",
        "The zone already presents somebody else's certificate, or Cloudflare's shared one.",
        "Delete it at Cloudflare, or switch global Authenticated Origin Pulls off; or, if no origin elsewhere requires it, set `spec.certificate.replaceForeign: true`",
        Fault.CLOUDFLARE,
        "listed enabled",
    )
    SPEC_INVALID = (
        "SpecInvalid",
        "The operator cannot use the spec: a schema of another version let it in. The message names the fields.",
        "Correct the fields that the message names",
        Fault.USER,
    )
    NOT_OFFERED = (
        "NotOffered",
        "Cloudflare does not offer what the operator needs to zones of this plan or type; the message quotes Cloudflare.",
        "Move the zone to a plan that includes it",
        Fault.CLOUDFLARE,
    )
    # Certificates
    KEY_PAIR_INVALID = (
        "KeyPairInvalid",
        "A Secret with a key pair is missing or was overwritten, or its certificate or key fails a check; the message names the Secret and the field.",
        "Correct the Secret's field that the message names; or delete a Secret that the operator generates, and it makes a new key pair",
        Fault.USER,
    )
    CERTIFICATE_REFUSED = (
        "CertificateRefused",
        "Cloudflare refused the certificate and will refuse it again; the message carries its code.",
        "Correct what Cloudflare's message names; if it is the certificate, issue another one",
        Fault.USER,
    )
    CERTIFICATE_QUOTA_REACHED = (
        "CertificateQuotaReached",
        "The zone holds as many certificates as Cloudflare allows.",
        "Delete a certificate at Cloudflare that nobody needs any more",
        Fault.CLOUDFLARE,
    )
    CERTIFICATE_UNLISTED = (
        "CertificateUnlisted",
        "Cloudflare refuses the certificate because the zone already holds it, but does not list it.",
        "Delete the certificate in Cloudflare's dashboard if it is there; else use another one, as the message says",
        Fault.CLOUDFLARE,
    )
    # Origins
    ORIGIN_NOT_FOUND = (
        "OriginNotFound",
        "The ConfigMap, or other object, that `spec.origins` names does not exist.",
        "Create the object that the message names, or correct `spec.origins`",
        Fault.USER,
    )
    ORIGIN_NOT_ALLOWED = (
        "OriginNotAllowed",
        "The operator may not write the ConfigMap, or other object, that `spec.origins` names: its allow-list does not include it.",
        "Add the object to the allow-list that the message names, and grant the operator the right to write it",
        Fault.CLUSTER,
    )
    ORIGIN_FULL = (
        "OriginFull",
        "The ConfigMap, or other object, that configures the origin has nearly reached the size limit of Kubernetes. This zone's configuration does not fit any more.",
        "Remove what the message names, or move some zones to another origin",
        Fault.CLUSTER,
    )
    FOREIGN_CONFIGURATION = (
        "ForeignConfiguration",
        "Somebody else has configured the origin, or an Ingress of the zone, in a way that conflicts with the operator's configuration.",
        "Remove the setting that the message names, or keep it with `foreignText: Merge` where the message offers that; have a tool that it names leave the operator's text alone",
        Fault.CLUSTER,
    )
    NO_CONTROLLER = (
        "NoController",
        "No running controller reads the ConfigMap, or other object, that `spec.origins` names, so the operator does not write to it.",
        "Name in `spec.origins` the object that your controller reads; the message says which object no controller reads",
        Fault.USER,
    )
    NO_REPLICAS = (
        "NoReplicas",
        "The origin has no Ready replica, so the operator cannot ask what it does.",
        "Find out why the origin's pods are not Ready",
        Fault.CLUSTER,
    )
    CONTROLLER_STUCK = (
        "ControllerStuck",
        "The origin's controller rejects its whole configuration because of a line that the operator did not write; the message quotes the controller.",
        "Correct the line that the message quotes",
        Fault.CLUSTER,
    )
    HOSTNAME_TOO_LONG = (
        "HostnameTooLong",
        "Every hostname in scope is longer than the origin, or DNS, can take.",
        "Raise the limit that the message names, or use shorter hostnames",
        Fault.CLUSTER,
    )
    NO_HOSTS = (
        "NoHosts",
        "The operator knows no host in scope: `spec.hostnames` lists only wildcards, and no Ingress or sample names a host under them.",
        "Add hosts to `spec.hostnames` or `verification.samples`",
        Fault.USER,
    )
    ORIGIN_UNREACHABLE = (
        "OriginUnreachable",
        "The operator's own requests do not reach a replica.",
        "Check whether the pod that the message names hangs, and delete it if nothing else helps; or let the operator's pod reach it on its http and https ports",
        Fault.CLUSTER,
    )
    TEXT_REJECTED = (
        "TextRejected",
        "The origin's server rejected the configuration that the operator wrote. The operator has removed it, and tries again later.",
        "Read the server's error where the message says; if it names a line that the operator wrote, report a bug",
        Fault.OPERATOR,
    )
    # Notifications
    ALERTS_REFUSED = (
        "AlertsRefused",
        "Cloudflare does not take a recipient that `spec.alerts` names; the message quotes Cloudflare, or says what it lacks.",
        "Correct `spec.alerts`, or make the recipient known at Cloudflare (*Notifications*, *Destinations*)",
        Fault.USER,
    )
    ALERTS_CHANGED = (
        "AlertsChanged",
        "Somebody has removed from the notification policy at Cloudflare what `spec.alerts` asks for. The operator does not undo that.",
        "Put back at Cloudflare what the message names, or take it out of `spec.alerts`",
        Fault.CLOUDFLARE,
    )
    # Progress
    INITIALIZING = (
        "Initializing",
        "The operator has not looked at the object yet, or has not set its finalizer yet.",
        NO_ACTION,
        Fault.NOBODY,
    )
    PROGRESSING = (
        "Progressing",
        "The operator is carrying out a step; the message says which.",
        NO_ACTION,
        Fault.NOBODY,
    )
    WAITING_FOR_CLOUDFLARE = (
        "WaitingForCloudflare",
        "Cloudflare has accepted a change that is not in effect yet, or does not answer at the moment.",
        NO_ACTION,
        Fault.NOBODY,
    )
    WAITING_FOR_REPLICAS = (
        "WaitingForReplicas",
        "The operator has not yet seen every replica run the configuration that it wrote.",
        NO_ACTION,
        Fault.NOBODY,
    )
    WAITING_FOR_PROOF = (
        "WaitingForProof",
        "Requests through the edge present the certificate, but have not done so for a whole window yet.",
        NO_ACTION,
        Fault.NOBODY,
    )
    EDGE_SILENT = (
        "EdgeSilent",
        "The operator's requests through the edge get no usable answer. The operator relaxes nothing because of that, and requires nothing new.",
        "Check that the host's DNS record is proxied and that no rule or challenge at Cloudflare blocks /.well-known/aop-operator/",
        Fault.CLOUDFLARE,
    )
    EDGE_NOT_PROVEN = (
        "EdgeNotProven",
        "Requests arrive through the edge, but not with the certificate that would prove a host; the message says what they come with instead.",
        "Check the host's DNS record (proxied), per-hostname associations and Configuration Rules at Cloudflare",
        Fault.CLOUDFLARE,
    )
    HOLD_OFF = (
        "HoldOff",
        "The operator relaxed an origin a short time ago, and does not require its hosts again before the time that the message names.",
        NO_ACTION,
        Fault.NOBODY,
    )
    LEAF_EXPIRING = (
        "LeafExpiring",
        "The certificate expires too soon to be used, and no successor is proven.",
        "Renew the certificate: write a new one into the Secret of `secretRef`, or set the annotation `aop-operator.dev/rotate`",
        Fault.USER,
    )
    TRANSIENT_ERROR = (
        "TransientError",
        "Something failed, or somebody undoes what the operator does; the operator tries again. The message says what it was, and what helps if anything does.",
        NO_ACTION,
        Fault.NOBODY,
    )
    INTERNAL_ERROR = (
        "InternalError",
        "The operator has met a bug of its own, and goes on working; its log has the traceback.",
        "Report the bug, with the traceback from the operator's log",
        Fault.OPERATOR,
    )
    SUSPENDED = (
        "Suspended",
        "`spec.suspend` is true. The operator starts nothing new. It still opens origins that refuse visitors.",
        "Set `spec.suspend` to false",
        Fault.USER,
    )
    REMOVING = (
        "Removing",
        "The object is being deleted; the message says what the operator is putting back.",
        NO_ACTION,
        Fault.NOBODY,
    )
    # Goals reached
    READY = ("Ready", "The zone and its origins are as the spec asks.", NO_ACTION, Fault.NOBODY)
    AS_EXPECTED = (
        "AsExpected",
        "What the condition reports is as the spec asks, and nobody has to do anything.",
        NO_ACTION,
        Fault.NOBODY,
    )
