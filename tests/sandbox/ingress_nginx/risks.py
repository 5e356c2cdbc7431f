"""Whether the controller takes an Ingress at all: one with an annotation above `annotations-risk-level` is left as it was seen before, or out.

The level is High unless the administrator says otherwise, so that a snippet needs `Critical` as
well as `allow-snippet-annotations` (facts: ingress-nginx#config-map-keys;
kubernetes/ingress-nginx/docs/user-guide/nginx-configuration/annotations-risk.md).
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from sandbox.ingress_nginx.annotations import without_prefix
from sandbox.ingress_nginx.configuration import Configuration


class Risk(IntEnum):
    """How much harm an annotation can do."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3


OF_RISK = {
    Risk.CRITICAL: "auth-snippet configuration-snippet modsecurity-snippet server-snippet stream-snippet",
    Risk.HIGH: """auth-signin auth-tls-error-page auth-tls-match-cn auth-url mirror-host mirror-target modsecurity-transaction-id proxy-ssl-name
        server-alias upstream-hash-by""",
    Risk.MEDIUM: """affinity-mode allowlist-source-range app-root auth-cache-duration auth-cache-key auth-proxy-set-headers auth-realm
        auth-request-redirect auth-response-headers auth-secret auth-signin-redirect-param auth-tls-secret auth-tls-verify-client canary-by-cookie
        canary-by-header canary-by-header-pattern canary-by-header-value cors-allow-headers cors-allow-methods cors-allow-origin
        cors-expose-headers custom-headers denylist-source-range fastcgi-index fastcgi-params-configmap force-ssl-redirect
        opentelemetry-operation-name permanent-redirect preserve-trailing-slash proxy-body-size proxy-cookie-domain proxy-cookie-path
        proxy-next-upstream proxy-redirect-from proxy-redirect-to proxy-ssl-ciphers proxy-ssl-secret rewrite-target session-cookie-domain
        session-cookie-expires session-cookie-max-age session-cookie-name session-cookie-path temporal-redirect x-forwarded-prefix""",
}
RISKS = {name: risk for risk, names in OF_RISK.items() for name in names.split()}
"""Annotations that are not here are of low risk, or unknown, which is none at all."""


def is_taken(ingress: Mapping[str, Any], configuration: Configuration) -> bool:
    """Whether no annotation of the Ingress is riskier than the administrator allows.

    A level that is no word means Low.
    """
    allowed = Risk.__members__.get(configuration.annotations_risk_level.upper(), Risk.LOW)
    return all(RISKS.get(name, Risk.LOW) <= allowed for name in without_prefix(ingress))
