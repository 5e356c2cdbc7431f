"""The API at zone level (facts: cloudflare#certificate-object, cloudflare#enablement, cloudflare#ssl-modes, cloudflare#zone-list)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from sandbox.cloudflare import (
    alerting_api,
    answering,
    errors,
    hostname_api,
    traffic_api,
    wire,
    zones,
)
from sandbox.cloudflare.answering import (
    SETTINGS_READ,
    SETTINGS_WRITE,
    SSL_READ,
    SSL_WRITE,
    ZONE_READ,
    Desk,
    ok,
)
from sandbox.cloudflare.calls import Calls
from sandbox.cloudflare.certificates import Certificate, KeyPair, Status
from sandbox.cloudflare.faults import ApiFault, Faults
from sandbox.cloudflare.gate import BASE, TOKEN, ZONE, Gate
from sandbox.cloudflare.state import State, StoredZone
from sandbox.cloudflare.throttle import Throttle

ZoneHandler = Callable[[StoredZone, web.Request], Awaitable[web.Response]]

_shuffler = random.SystemRandom()


class CloudflareApi:
    """The routes over one `State`. `clock` gives unix seconds."""

    def __init__(
        self,
        state: State,
        clock: Callable[[], float],
        faults: Faults[ApiFault],
        calls: Calls,
        throttle: Throttle,
        issuer: Callable[[], str],
    ) -> None:
        """`issuer` gives a certificate, in PEM, to follow the leaf where a knob wants one."""
        self._state = state
        self._clock = clock
        self._desk = Desk(state, clock)
        self._gate = Gate(state, clock, faults, calls, throttle)
        self._issuer = issuer

    def app(self) -> web.Application:
        """An application to be served once."""
        app = web.Application(middlewares=[self._gate.middleware], client_max_size=1 << 20)
        aop = "/zones/{zone_id}/origin_tls_client_auth"
        hosts = hostname_api.HostnameApi(self._desk)
        accounts = alerting_api.AccountApi(self._desk)
        traffic = traffic_api.TrafficApi(self._desk)
        zone_routes: list[tuple[str, str, frozenset[str], ZoneHandler]] = [
            ("GET", "/zones/{zone_id}", ZONE_READ, self._get_zone),
            ("GET", "/zones/{zone_id}/settings", SETTINGS_READ, self._list_settings),
            ("GET", "/zones/{zone_id}/settings/{setting_id}", SETTINGS_READ, self._get_setting),
            (
                "PATCH",
                "/zones/{zone_id}/settings/{setting_id}",
                SETTINGS_WRITE,
                self._patch_setting,
            ),
            ("GET", f"{aop}/settings", SSL_READ, self._get_enabled),
            ("PUT", f"{aop}/settings", SSL_WRITE, self._put_enabled),
            *(
                (method, f"{aop}{path}", groups, handler)
                for method, path, groups, handler in hosts.routes()
            ),
            *(
                (method, f"/zones/{{zone_id}}{path}", groups, handler)
                for method, path, groups, handler in traffic.routes()
            ),
            ("GET", aop, SSL_READ, self._list_certificates),
            ("POST", aop, SSL_WRITE, self._upload),
            ("GET", f"{aop}/{{certificate_id}}", SSL_READ, self._get_certificate),
            ("DELETE", f"{aop}/{{certificate_id}}", SSL_WRITE, self._delete),
        ]
        app.router.add_get(f"{BASE}/user/tokens/verify", self._verify, allow_head=False)
        app.router.add_get(
            f"{BASE}/accounts/{{account_id}}/tokens/verify", self._verify, allow_head=False
        )
        app.router.add_get(f"{BASE}/zones", self._list_zones, allow_head=False)
        for method, path, accounts_handler in (*accounts.routes(), *traffic.account_routes()):
            app.router.add_route(method, BASE + path, accounts_handler)
        for method, path, permissions, handler in zone_routes:
            app.router.add_route(method, BASE + path, partial(self._in_zone, permissions, handler))
        return app

    async def _in_zone(
        self, permissions: frozenset[str], handler: ZoneHandler, request: web.Request
    ) -> web.Response:
        known = self._state.zones.get(request.match_info["zone_id"])
        if known is not None:
            request[ZONE] = known
        return await handler(self._desk.zone(request, permissions), request)

    async def _verify(self, request: web.Request) -> web.Response:
        return ok(wire.token(request[TOKEN], self._clock()))

    async def _list_zones(self, request: web.Request) -> web.Response:
        token = request[TOKEN]
        if not token.permissions & ZONE_READ:
            raise errors.lacks_zone_permission(token.id)
        visible = [zone for zone in self._state.zones.values() if token.reaches(zone)]
        query = zones.Query.of(request.query)
        selected = query.select(visible)
        shown = query.page_of(selected)
        readable = self._state.knobs.unicode_names
        listed = [wire.zone(zone, readable=readable) for zone in shown]
        return ok(listed, wire.page(len(shown), len(selected), query.page, query.per_page))

    async def _get_zone(self, zone: StoredZone, _: web.Request) -> web.Response:
        return ok(wire.zone(zone, readable=self._state.knobs.unicode_names))

    async def _list_settings(self, zone: StoredZone, _: web.Request) -> web.Response:
        return ok([wire.setting(name, one) for name, one in zones.settings(zone).items()])

    async def _get_setting(self, zone: StoredZone, request: web.Request) -> web.Response:
        name = request.match_info["setting_id"]
        return ok(wire.setting(name, zones.setting(zone, name, request.path)))

    async def _patch_setting(self, zone: StoredZone, request: web.Request) -> web.Response:
        name = request.match_info["setting_id"]
        value = (await answering.body(request)).get("value")
        zones.change_setting(
            zone, name, value, now=self._clock(), knobs=self._state.knobs, path=request.path
        )
        return await self._get_setting(zone, request)

    async def _get_enabled(self, zone: StoredZone, _: web.Request) -> web.Response:
        return ok({"enabled": zone.enabled.at(self._clock())})

    async def _put_enabled(self, zone: StoredZone, request: web.Request) -> web.Response:
        enabled = (await answering.body(request)).get("enabled")
        if not isinstance(enabled, bool):
            raise errors.ApiError(400, None, "enabled must be true or false")
        with self._desk.alone(zone, counts=self._state.knobs.serialise_settings):
            zone.enabled.set(enabled, at=self._clock())
        return ok({"enabled": enabled})

    async def _list_certificates(self, zone: StoredZone, request: web.Request) -> web.Response:
        knobs = self._state.knobs
        listed = [self._shown(one, status) for one, status in zone.listed(self._clock())]
        if knobs.certificates_per_page is not None:
            number = zones.number_of(request.query)
            begin, end = (
                (number - 1) * knobs.certificates_per_page,
                number * knobs.certificates_per_page,
            )
            return ok(
                listed[begin:end],
                wire.page(len(listed[begin:end]), len(listed), number, knobs.certificates_per_page),
            )
        if knobs.shuffle_list:
            _shuffler.shuffle(listed)
        return ok(None if not listed and knobs.empty_list_is_null else listed)

    async def _upload(self, zone: StoredZone, request: web.Request) -> web.Response:
        certificate_pem, key_pem = answering.texts(
            await answering.body(request), "certificate", "private_key"
        )
        knobs = self._state.knobs
        with self._desk.alone(zone):
            pair = KeyPair.read(certificate_pem, key_pem, mismatch_code=knobs.key_mismatch_code)
            one = zone.upload(pair, self._clock(), knobs)
            await asyncio.sleep(knobs.mutation_s)
        status = Status.INITIALIZING if knobs.initializing_s else Status.PENDING_DEPLOYMENT
        return ok(self._shown(one, status) | {"updated_at": wire.timestamp(one.uploaded_on)})

    async def _get_certificate(self, zone: StoredZone, request: web.Request) -> web.Response:
        one = zone.certificate(answering.certificate_id(request))
        return ok(self._shown(one, one.status.at(self._clock())))

    async def _delete(self, zone: StoredZone, request: web.Request) -> web.Response:
        knobs = self._state.knobs
        with self._desk.alone(zone):
            one = zone.delete(answering.certificate_id(request), self._clock(), knobs)
            await asyncio.sleep(knobs.mutation_s)
        return ok(self._shown(one, Status.PENDING_DELETION))

    def _shown(self, one: Certificate, status: Status) -> wire.JSON:
        return wire.certificate(
            one, status, wire.text(one.pair.pem, self._state.knobs.certificate_text, self._issuer())
        )
