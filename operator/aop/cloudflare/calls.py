"""Every call that this operator makes to Cloudflare, as data.

Method, path, and the permission that it needs.

A new endpoint is one row here and one method in `client`. The permissions are Cloudflare's own
(facts: cloudflare#permissions).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission group as the API names it, and where the dashboard offers it.

    The dashboard says Edit instead of Write.
    """

    name: str
    dashboard: str


# Reading AOP needs only `SSL and Certificates Read`, but Write contains it, and the operator needs
# Write anyway. So whoever adds what the message names has to do so only once.
CERTIFICATES = Permission("SSL and Certificates Write", "Zone > SSL and Certificates > Edit")
ZONE = Permission("Zone Read", "Zone > Zone > Read")
ZONE_SETTINGS = Permission("Zone Settings Read", "Zone > Zone Settings > Read")
# It belongs to the account, not to the zone (facts: cloudflare#notification-permissions).
NOTIFICATIONS = Permission("Notifications Write", "Account > Notifications > Edit")


@dataclass(frozen=True, slots=True)
class Call:
    """One endpoint.

    `path` is a template: what is in braces is filled in for the request, and never in a message or
    metric.
    """

    method: str
    path: str
    permission: Permission | None
    """None: it only needs a token that works."""

    @property
    def mutates(self) -> bool:
        """True if repeating it may do something twice."""
        return self.method != "GET"

    @property
    def names_zone(self) -> bool:
        """True if "not found" can mean the zone."""
        return "{zone_id}" in self.path

    @property
    def names_certificate(self) -> bool:
        """True if "not found" can mean the certificate."""
        return "{certificate_id}" in self.path

    @property
    def names_account(self) -> bool:
        """True if "not found", and a missing permission, can mean the account."""
        return "{account_id}" in self.path

    @property
    def names_policy(self) -> bool:
        """True if "not found" can mean the notification policy."""
        return "{policy_id}" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_AOP = "/zones/{zone_id}/origin_tls_client_auth"
_ALERTING = "/accounts/{account_id}/alerting/v3"

VERIFY_TOKEN = Call("GET", "/user/tokens/verify", None)
VERIFY_ACCOUNT_TOKEN = Call("GET", "/accounts/{account_id}/tokens/verify", None)
FIND_ZONES = Call("GET", "/zones", ZONE)
FETCH_ZONE = Call("GET", "/zones/{zone_id}", ZONE)
FETCH_SSL_MODE = Call("GET", "/zones/{zone_id}/settings/ssl", ZONE_SETTINGS)
FETCH_GLOBAL_AOP = Call("GET", "/zones/{zone_id}/settings/tls_client_auth", ZONE_SETTINGS)
LIST_ASSOCIATIONS = Call("GET", f"{_AOP}/hostnames", CERTIFICATES)
LIST_CERTIFICATES = Call("GET", _AOP, CERTIFICATES)
FETCH_CERTIFICATE = Call("GET", f"{_AOP}/{{certificate_id}}", CERTIFICATES)
UPLOAD_CERTIFICATE = Call("POST", _AOP, CERTIFICATES)
DELETE_CERTIFICATE = Call("DELETE", f"{_AOP}/{{certificate_id}}", CERTIFICATES)
FETCH_ENABLEMENT = Call("GET", f"{_AOP}/settings", CERTIFICATES)
SET_ENABLEMENT = Call("PUT", f"{_AOP}/settings", CERTIFICATES)
LIST_POLICIES = Call("GET", f"{_ALERTING}/policies", NOTIFICATIONS)
FETCH_POLICY = Call("GET", f"{_ALERTING}/policies/{{policy_id}}", NOTIFICATIONS)
CREATE_POLICY = Call("POST", f"{_ALERTING}/policies", NOTIFICATIONS)
REPLACE_POLICY = Call("PUT", f"{_ALERTING}/policies/{{policy_id}}", NOTIFICATIONS)
DELETE_POLICY = Call("DELETE", f"{_ALERTING}/policies/{{policy_id}}", NOTIFICATIONS)
LIST_WEBHOOKS = Call("GET", f"{_ALERTING}/destinations/webhooks", NOTIFICATIONS)
