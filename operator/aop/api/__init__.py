"""The resource: names, models, and one object made from its manifest.

The source of crds/ and of docs/reference.md.

Everything above this floor speaks of what a user asks for in these models; `make generate` writes
the schema from them.
"""

from aop.api.certificate import CertificateChoice, Generate, SecretRef
from aop.api.resource import AuthenticatedOriginPull, parse_spec
from aop.api.spec import (
    Alerts,
    Credentials,
    DeletionPolicy,
    Enforcement,
    SecretKeyRef,
    Spec,
    Verification,
    ZoneReference,
)
from aop.api.status import (
    AlertsStatus,
    CertificateStatus,
    Condition,
    ConditionType,
    HostsStatus,
    OriginStatus,
    ProofStatus,
    Status,
    ZoneStatus,
)
from aop.errors import Reason
from aop.origins.spec import Origin
from aop.pki import Algorithm
from aop.schema import timedelta_of
from aop.terms import ObjectKey
from aop.terms.names import (
    API_VERSION,
    CLAIMED_LABEL,
    FINALIZER,
    GROUP,
    KIND,
    PLURAL,
    RECORD_ANNOTATION,
    ROTATE_ANNOTATION,
    SHORT_NAME,
    SINGULAR,
    VERSION,
    WATCH_LABEL,
)

__all__ = [
    "API_VERSION",
    "CLAIMED_LABEL",
    "FINALIZER",
    "GROUP",
    "KIND",
    "PLURAL",
    "RECORD_ANNOTATION",
    "ROTATE_ANNOTATION",
    "SHORT_NAME",
    "SINGULAR",
    "VERSION",
    "WATCH_LABEL",
    "Alerts",
    "AlertsStatus",
    "Algorithm",
    "AuthenticatedOriginPull",
    "CertificateChoice",
    "CertificateStatus",
    "Condition",
    "ConditionType",
    "Credentials",
    "DeletionPolicy",
    "Enforcement",
    "Generate",
    "HostsStatus",
    "ObjectKey",
    "Origin",
    "OriginStatus",
    "ProofStatus",
    "Reason",
    "SecretKeyRef",
    "SecretRef",
    "Spec",
    "Status",
    "Verification",
    "ZoneReference",
    "ZoneStatus",
    "parse_spec",
    "timedelta_of",
]
