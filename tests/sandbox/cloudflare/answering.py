"""What every route of the API shares: envelopes, bodies, ids, permissions, and one change of certificates at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from json import JSONDecodeError
from typing import Any

from aiohttp import web

from sandbox.cloudflare import errors, wire
from sandbox.cloudflare.accounts import Account
from sandbox.cloudflare.gate import BASE, TOKEN
from sandbox.cloudflare.state import State, StoredZone

SSL_READ = frozenset({"SSL and Certificates Write", "SSL and Certificates Read"})
SSL_WRITE = frozenset({"SSL and Certificates Write"})
SETTINGS_READ = frozenset({"Zone Settings Read", "Zone Settings Write"})
SETTINGS_WRITE = frozenset({"Zone Settings Write"})
ZONE_READ = frozenset({"Zone Read"})
ALERTS_READ = frozenset(
    {"Notifications Read", "Notifications Write", "Account Settings Read", "Account Settings Write"}
)
ALERTS_WRITE = frozenset({"Notifications Write", "Account Settings Write"})

_ID = re.compile(r"[0-9a-f]{32}")
_CERTIFICATE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OF_HOSTS = ("/hostnames/certificates", "/hostnames/certificates/*")


class Desk:
    """State, time and the changes that are in flight."""

    def __init__(self, state: State, clock: Callable[[], float]) -> None:
        self.state = state
        self.clock = clock
        self._in_flight: set[str] = set()

    def zone(self, request: web.Request, permissions: frozenset[str]) -> StoredZone:
        """The zone in the path, if the token may do this there.

        Raises:
            ApiError: malformed id (7003), unknown zone (9109), missing permission or scope, or not in the zone's plan.
        """
        zone_id = request.match_info["zone_id"]
        if not _ID.fullmatch(zone_id):
            raise errors.not_routable(request.path, 400)
        zone = self.state.zones.get(zone_id)
        if zone is None:
            raise errors.ApiError(403, 9109, "Invalid zone identifier")
        token, rest = request[TOKEN], request.path.removeprefix(f"{BASE}/zones/{zone_id}")
        if not token.reaches(zone) or not token.permissions & permissions:
            if rest.startswith("/settings"):
                raise errors.lacks_settings_permission()
            raise errors.lacks_permission(self.state.knobs.missing_permission_status)
        aop = rest.removeprefix("/origin_tls_client_auth")
        if any(fnmatchcase(rest, glob) for glob in zone.not_offered) or (
            zone.type == "partial" and any(fnmatchcase(aop, g) for g in _OF_HOSTS)
        ):
            raise errors.not_offered()
        return zone

    def account(self, request: web.Request, permissions: frozenset[str]) -> Account:
        """The account in the path, if the token may do this there; a token for zones may not.

        Raises:
            ApiError: malformed id (7003), unknown account, or missing permission.
        """
        account_id = request.match_info["account_id"]
        if not _ID.fullmatch(account_id):
            raise errors.not_routable(request.path, 400)
        account, token = self.state.accounts.get(account_id), request[TOKEN]
        if (
            account is None
            or not token.reaches_account(account_id)
            or not token.permissions & permissions
        ):
            raise errors.lacks_permission(self.state.knobs.missing_permission_status)
        return account

    @contextmanager
    def alone(self, zone: StoredZone, *, counts: bool = True) -> Iterator[None]:
        """One change of a zone's certificates at a time; 409 for another one meanwhile."""
        if not counts:
            yield
            return
        if zone.id in self._in_flight or self.clock() < zone.busy_until:
            raise errors.in_flight()
        self._in_flight.add(zone.id)
        try:
            yield
            zone.busy_until = self.clock() + self.state.knobs.busy_s
        finally:
            self._in_flight.discard(zone.id)


def ok(result: Any, result_info: wire.JSON | None = None) -> web.Response:
    """Success."""
    return web.json_response(wire.success(result, result_info))


def certificate_id(request: web.Request) -> str:
    """The id in the path.

    Raises:
        ApiError: it cannot be one (7003).
    """
    named = request.match_info["certificate_id"]
    if not _CERTIFICATE_ID.fullmatch(named):
        raise errors.not_routable(request.path, 400)
    return named


async def body(request: web.Request) -> wire.JSON:
    """The JSON object that was sent.

    Raises:
        ApiError: it is none (6007).
    """
    try:
        sent = await request.json()
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise errors.ApiError(400, 6007, "Malformed JSON in request body") from error
    if not isinstance(sent, dict):
        raise errors.ApiError(400, 6007, "Malformed JSON in request body")
    return sent


def texts(sent: wire.JSON, *names: str) -> tuple[str, ...]:
    """These fields of a body.

    Raises:
        ApiError: one of them is no text (1408).
    """
    values = tuple(sent.get(name) for name in names)
    if not all(isinstance(one, str) for one in values):
        raise errors.unparsable(" and ".join(names))
    return tuple(str(one) for one in values)
