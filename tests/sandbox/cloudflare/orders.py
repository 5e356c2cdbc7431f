"""The bodies that the control API takes. Pure models."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sandbox.cloudflare.knobs import OriginListener, Seconds, Strict, Traffic
from sandbox.cloudflare.state import SSLMode, ZoneStatus


class ZoneOrder(Strict):
    """A zone to make, or (all fields optional then) what to change.

    None leaves it as it is, or at its default.
    """

    name: str | None = Field(
        default=None, pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}$"
    )
    account_id: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    account_name: str | None = None
    status: ZoneStatus | None = None
    paused: bool | None = None
    type: Literal["full", "partial", "secondary", "internal"] | None = None
    ssl: SSLMode | None = None
    global_aop: Literal["on", "off"] | None = None
    enabled: bool | None = None
    dns_only: list[str] | None = None
    """Hosts that are grey; the whole list."""
    origins: list[OriginListener] | None = None
    host_origins: dict[str, list[OriginListener]] | None = None
    traffic: Traffic | None = None
    not_offered: list[str] | None = None
    """Globs on the rest of a path below the zone: what its plan does not have."""


class Issue(Strict):
    """A certificate that the double makes itself, as another writer's."""

    common_name: str = "other.example.com"
    not_before: datetime | None = None
    not_after: datetime | None = None


class CertificateOrder(Strict):
    """A certificate that another writer uploads: given, or made here.

    `active_now` skips the deployment.
    """

    certificate: str | None = None
    private_key: str | None = None
    issue: Issue = Issue()
    active_now: bool = True


class AssociationOrder(Strict):
    """A host's own choice. `issue` gives it a hostname certificate, active at once."""

    enabled: bool | None
    issue: Issue | None = None


class TokenOrder(Strict):
    """A token to make, or (None: as it is) what to change.

    `zones` are names or ids; leave them out for all zones.
    """

    kind: Literal["user", "account", "untold"] = "user"
    """Whose a token to make is; `untold`: a user's, in the form of before 2026."""
    account_id: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """Of an account's token; the first account unless said."""
    user: str | None = None
    """Id of the user; the first one unless said."""
    value: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{20,200}$")
    permissions: list[str] | None = None
    zones: list[str] | None = None
    status: Literal["active", "disabled", "expired"] | None = None
    revoked: bool | None = None
    """Deleted by its owner; false brings it back."""
    not_before: datetime | None = None
    expires_on: datetime | None = None
    elsewhere: bool | None = None
    """It may be used from other addresses only."""
    fresh_for_s: Seconds | None = None
    """How long it answers every other call with 403."""


class UserOrder(Strict):
    """A further user."""

    email: str = "somebody@example.net"


class AccountOrder(Strict):
    """What to change of an account. None leaves it as it is."""

    paid: bool | None = None
    emails: list[str] | None = None
    """The only addresses that may be warned."""
    webhooks: dict[str, str] | None = None
    """Id -> URL; the whole of them."""
    webhook_names: dict[str, str] | None = None
    """Id -> name."""
    policies_per_page: int | None = Field(default=None, ge=1)
    """Into pages of how many the list of policies is cut."""


class UsageOrder(Strict):
    """Other tools of an owner (a user's or an account's id) have left so many calls in this window."""

    left: int = Field(ge=0)
