"""The API: sections 1.1 to 1.6 of the reference on Cloudflare's API, with the per-hostname level to read.

Writing per-hostname, alerting and account tokens are not there yet and answer 7003 or 405. `server` runs it.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from json import JSONDecodeError
from typing import Any

from aiohttp import web

from sandbox.cloudflare import errors, wire, zones
from sandbox.cloudflare.calls import Calls
from sandbox.cloudflare.certificates import KeyPair, Status
from sandbox.cloudflare.faults import ApiFault, Faults
from sandbox.cloudflare.gate import BASE, TOKEN, ZONE, Gate
from sandbox.cloudflare.state import State, Zone

ZoneHandler = Callable[[Zone, web.Request], Awaitable[web.Response]]

SSL_READ = frozenset({"SSL and Certificates Write", "SSL and Certificates Read"})
SSL_WRITE = frozenset({"SSL and Certificates Write"})
SETTINGS_READ = frozenset({"Zone Settings Read", "Zone Settings Write"})
SETTINGS_WRITE = frozenset({"Zone Settings Write"})
ZONE_READ = frozenset({"Zone Read"})

_ZONE_ID = re.compile(r"[0-9a-f]{32}")
_CERTIFICATE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_shuffler = random.SystemRandom()


class Api:
    """The routes over one `State`. `clock` gives unix seconds."""

    def __init__(self, state: State, clock: Callable[[], float], faults: Faults[ApiFault], calls: Calls) -> None:
        self._state = state
        self._clock = clock
        self._gate = Gate(state, clock, faults, calls)
        self._in_flight: set[str] = set()

    def app(self) -> web.Application:
        """An application to be served once."""
        app = web.Application(middlewares=[self._gate.middleware], client_max_size=1 << 20)
        aop = "/zones/{zone_id}/origin_tls_client_auth"
        zone_routes: list[tuple[str, str, frozenset[str], ZoneHandler]] = [
            ("GET", "/zones/{zone_id}", ZONE_READ, self._get_zone),
            ("GET", "/zones/{zone_id}/settings/{setting_id}", SETTINGS_READ, self._get_setting),
            ("PATCH", "/zones/{zone_id}/settings/{setting_id}", SETTINGS_WRITE, self._patch_setting),
            ("GET", f"{aop}/settings", SSL_READ, self._get_enabled),
            ("PUT", f"{aop}/settings", SSL_WRITE, self._put_enabled),
            ("GET", f"{aop}/hostnames/certificates", SSL_READ, self._list_hostname_certificates),
            ("GET", f"{aop}/hostnames/certificates/{{certificate_id}}", SSL_READ, self._get_hostname_certificate),
            ("GET", f"{aop}/hostnames", SSL_READ, self._list_associations),
            ("GET", f"{aop}/hostnames/{{hostname}}", SSL_READ, self._get_association),
            ("GET", aop, SSL_READ, self._list_certificates),
            ("POST", aop, SSL_WRITE, self._upload),
            ("GET", f"{aop}/{{certificate_id}}", SSL_READ, self._get_certificate),
            ("DELETE", f"{aop}/{{certificate_id}}", SSL_WRITE, self._delete),
        ]
        app.router.add_get(f"{BASE}/user/tokens/verify", self._verify, allow_head=False)
        app.router.add_get(f"{BASE}/zones", self._list_zones, allow_head=False)
        for method, path, permissions, handler in zone_routes:
            app.router.add_route(method, BASE + path, partial(self._in_zone, permissions, handler))
        return app

    async def _in_zone(self, permissions: frozenset[str], handler: ZoneHandler, request: web.Request) -> web.Response:
        zone_id = request.match_info["zone_id"]
        if not _ZONE_ID.fullmatch(zone_id):
            raise errors.not_routable(request.path, 400)
        zone = self._state.zones.get(zone_id)
        if zone is None:
            raise errors.ApiError(403, 9109, "Invalid zone identifier")
        request[ZONE] = zone
        token = request[TOKEN]
        if not token.reaches(zone) or not token.permissions & permissions:
            raise errors.lacks_permission(self._state.knobs.missing_permission_status)
        return await handler(zone, request)

    async def _verify(self, request: web.Request) -> web.Response:
        return _ok(wire.token(request[TOKEN]))

    async def _list_zones(self, request: web.Request) -> web.Response:
        token = request[TOKEN]
        if not token.permissions & ZONE_READ:
            raise errors.lacks_permission(self._state.knobs.missing_permission_status)
        visible = [zone for zone in self._state.zones.values() if token.reaches(zone)]
        query = zones.Query.of(request.query)
        found = query.select(visible)
        shown = query.page_of(found)
        return _ok([wire.zone(zone) for zone in shown], wire.page(len(shown), len(found), query.page, query.per_page))

    async def _get_zone(self, zone: Zone, _: web.Request) -> web.Response:
        return _ok(wire.zone(zone))

    async def _get_setting(self, zone: Zone, request: web.Request) -> web.Response:
        name = request.match_info["setting_id"]
        return _ok(wire.setting(name, zones.setting(zone, name, request.path)))

    async def _patch_setting(self, zone: Zone, request: web.Request) -> web.Response:
        name = request.match_info["setting_id"]
        value = (await _json(request)).get("value")
        zones.change_setting(zone, name, value, now=self._clock(), knobs=self._state.knobs, path=request.path)
        return await self._get_setting(zone, request)

    async def _get_enabled(self, zone: Zone, _: web.Request) -> web.Response:
        return _ok({"enabled": zone.enabled.at(self._clock())})

    async def _put_enabled(self, zone: Zone, request: web.Request) -> web.Response:
        enabled = (await _json(request)).get("enabled")
        if not isinstance(enabled, bool):
            raise errors.ApiError(400, None, "enabled must be true or false")
        with self._alone(zone, counts=self._state.knobs.serialise_settings):
            zone.enabled.set(enabled, at=self._clock())
        return _ok({"enabled": enabled})

    async def _list_certificates(self, zone: Zone, _: web.Request) -> web.Response:
        listed = [wire.certificate(one, status) for one, status in zone.listed(self._clock())]
        if self._state.knobs.shuffle_list:
            _shuffler.shuffle(listed)
        return _ok(None if not listed and self._state.knobs.empty_list_is_null else listed)

    async def _upload(self, zone: Zone, request: web.Request) -> web.Response:
        body = await _json(request)
        certificate_pem, key_pem = body.get("certificate"), body.get("private_key")
        if not isinstance(certificate_pem, str) or not isinstance(key_pem, str):
            raise errors.unparsable("certificate and private_key")
        knobs = self._state.knobs
        with self._alone(zone):
            pair = KeyPair.read(certificate_pem, key_pem, mismatch_code=knobs.key_mismatch_code)
            one = zone.upload(pair, self._clock(), knobs)
            await asyncio.sleep(knobs.mutation_s)
        status = Status.INITIALIZING if knobs.initializing_s else Status.PENDING_DEPLOYMENT
        return _ok(wire.certificate(one, status) | {"updated_at": wire.timestamp(one.uploaded_on)})

    async def _get_certificate(self, zone: Zone, request: web.Request) -> web.Response:
        one = zone.certificate(_certificate_id(request))
        return _ok(wire.certificate(one, one.status.at(self._clock())))

    async def _delete(self, zone: Zone, request: web.Request) -> web.Response:
        knobs = self._state.knobs
        with self._alone(zone):
            one = zone.delete(_certificate_id(request), self._clock(), knobs)
            await asyncio.sleep(knobs.mutation_s)
        return _ok(wire.certificate(one, Status.PENDING_DELETION))

    async def _list_hostname_certificates(self, zone: Zone, _: web.Request) -> web.Response:
        now = self._clock()
        held = [wire.certificate(one, one.status.at(now)) for one in zone.hostname_certificates.values() if one.exists(now)]
        return _ok(held or (None if self._state.knobs.empty_list_is_null else []))

    async def _get_hostname_certificate(self, zone: Zone, request: web.Request) -> web.Response:
        one = zone.hostname_certificate(_certificate_id(request))
        return _ok(wire.certificate(one, one.status.at(self._clock())))

    async def _list_associations(self, zone: Zone, request: web.Request) -> web.Response:
        if not self._state.knobs.list_of_hostnames:
            raise errors.not_routable(request.path)
        number, size = zones.paging(request.query, default=50, least=1, most=1000)
        statuses = set(request.query.get("status", "active").split(","))
        # An association is `active` as soon as it is made: this double has no delays of associations yet.
        live = list(zone.associations.values()) if statuses & {"active", "all"} else []
        shown = live[(number - 1) * size : number * size]
        return _ok([wire.listed_association(one, self._clock()) for one in shown], wire.page(len(shown), len(live), number, size))

    async def _get_association(self, zone: Zone, request: web.Request) -> web.Response:
        one = zone.associations.get(request.match_info["hostname"])
        if one is None:
            raise errors.association_not_found()
        return _ok(wire.association(one, zone.hostname_certificates.get(one.certificate_id), self._clock()))

    @contextmanager
    def _alone(self, zone: Zone, *, counts: bool = True) -> Iterator[None]:
        """One mutation in flight per zone; 409 for another one meanwhile."""
        if not counts:
            yield
            return
        if zone.id in self._in_flight:
            raise errors.in_flight()
        self._in_flight.add(zone.id)
        try:
            yield
        finally:
            self._in_flight.discard(zone.id)


def _ok(result: Any, result_info: wire.JSON | None = None) -> web.Response:
    return web.json_response(wire.success(result, result_info))


def _certificate_id(request: web.Request) -> str:
    certificate_id = request.match_info["certificate_id"]
    if not _CERTIFICATE_ID.fullmatch(certificate_id):
        raise errors.not_routable(request.path, 400)
    return certificate_id


async def _json(request: web.Request) -> wire.JSON:
    try:
        body = await request.json()
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise errors.ApiError(400, 6007, "Malformed JSON in request body") from error
    if not isinstance(body, dict):
        raise errors.ApiError(400, 6007, "Malformed JSON in request body")
    return body
