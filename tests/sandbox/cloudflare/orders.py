"""The bodies that the control API takes. Pure models; used by `control` and by the launcher's client."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sandbox.cloudflare.knobs import Origin, Seconds, Strict
from sandbox.cloudflare.state import SSLMode, ZoneStatus


class ZoneOrder(Strict):
    """A zone to make, or (all fields optional then) what to change. None leaves it as it is, or at its default."""

    name: str | None = Field(default=None, pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}$")
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
    origins: list[Origin] | None = None
    host_origins: dict[str, list[Origin]] | None = None


class Issue(Strict):
    """A certificate that the double makes itself, as another writer's."""

    common_name: str = "other.example.com"
    not_before: datetime | None = None
    not_after: datetime | None = None


class CertificateOrder(Strict):
    """A certificate that another writer uploads: given, or made here. `active_now` skips the deployment."""

    certificate: str | None = None
    private_key: str | None = None
    issue: Issue = Issue()
    active_now: bool = True


class AssociationOrder(Strict):
    """A host's own choice. `issue` gives it a hostname certificate, active at once."""

    enabled: bool | None
    issue: Issue | None = None


class TokenOrder(Strict):
    """A token to make, or (None: as it is) what to change. `zones` are names or ids; leave them out for all zones."""

    value: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{20,200}$")
    permissions: list[str] | None = None
    zones: list[str] | None = None
    status: Literal["active", "disabled", "expired"] | None = None
    revoked: bool | None = None
    """Deleted by its owner; false brings it back."""
    fresh_for_s: Seconds | None = None
    """How long it answers every other call with 403."""
