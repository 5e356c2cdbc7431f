"""The client of Cloudflare's API; nothing else in the operator speaks to it.

From the bottom: `guarded` (how other people's parsers are called), `errors` (what can go wrong,
drawn as a tree), `access` (a token and how urgent it is), `calls` (the operator's endpoints, as
data), `request` (a call with everything in it), `bodies` and `answers` (what an HTTP answer says),
`verdicts` (which exception it becomes), `results` (typed answers), `paging`, `limits`, `window` and
`budget` (calls per user), `tokens` (what is known of each token), `holds` (what was refused and is
left alone for a while), `wire` (sends a call and sees it through), `client` (one method per call),
`traffic` (what only a person asks about).
"""

from aop.cloudflare.access import Access, Priority
from aop.cloudflare.client import Cloudflare
from aop.cloudflare.errors import (
    AlertsRefused,
    AlreadyDeleted,
    AlreadyExists,
    CannotDeleteYet,
    CertificateRefused,
    CertificateUnlisted,
    ChangeUnderWay,
    CloudflareError,
    Ineffective,
    NotFound,
    NotOffered,
    Outdated,
    QuotaReached,
    RateLimited,
    Refused,
    TokenDoubted,
    TokenLacksPermission,
    TokenRejected,
    Unavailable,
    Withheld,
    ZoneNotVisible,
)
from aop.cloudflare.guarded import guarded
from aop.cloudflare.results import (
    Certificate,
    DeploymentStatus,
    Enablement,
    GlobalAOP,
    HostnameAssociation,
    NotificationPolicy,
    SSLMode,
    Webhook,
    Zone,
)
from aop.cloudflare.window import Shares

__all__ = [
    "Access",
    "AlertsRefused",
    "AlreadyDeleted",
    "AlreadyExists",
    "CannotDeleteYet",
    "Certificate",
    "CertificateRefused",
    "CertificateUnlisted",
    "ChangeUnderWay",
    "Cloudflare",
    "CloudflareError",
    "DeploymentStatus",
    "Enablement",
    "GlobalAOP",
    "HostnameAssociation",
    "Ineffective",
    "NotFound",
    "NotOffered",
    "NotificationPolicy",
    "Outdated",
    "Priority",
    "QuotaReached",
    "RateLimited",
    "Refused",
    "SSLMode",
    "Shares",
    "TokenDoubted",
    "TokenLacksPermission",
    "TokenRejected",
    "Unavailable",
    "Webhook",
    "Withheld",
    "Zone",
    "ZoneNotVisible",
    "guarded",
]
