"""The control API: turn knobs, act as another writer, break things, and read what the double holds and has seen.

JSON over HTTP on loopback, for tests, the demo and a person with curl; docs/sandbox.md lists it. It
has no authentication.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ValidationError

from sandbox.cloudflare import errors, views
from sandbox.cloudflare.calls import Calls
from sandbox.cloudflare.counters import Counters
from sandbox.cloudflare.faults import ApiFault, EdgeFault, Faults
from sandbox.cloudflare.knobs import Knobs, LocationKnobs
from sandbox.cloudflare.location import Location
from sandbox.cloudflare.orders import (
    AccountOrder,
    AssociationOrder,
    CertificateOrder,
    TokenOrder,
    UsageOrder,
    UserOrder,
    ZoneOrder,
)
from sandbox.cloudflare.state import State, StoredZone
from sandbox.cloudflare.throttle import Throttle
from sandbox.cloudflare.writer import Writer

M = TypeVar("M", bound=BaseModel)


class ControlRoutes:
    """The routes. `clock` gives unix seconds."""

    def __init__(
        self,
        state: State,
        locations: Mapping[str, Location],
        clock: Callable[[], float],
        calls: Calls,
        api_faults: Faults[ApiFault],
        edge_faults: Faults[EdgeFault],
        throttle: Throttle,
        writer: Writer,
    ) -> None:
        self._state = state
        self._locations = locations
        self._clock = clock
        self._calls = calls
        self._api_faults = api_faults
        self._edge_faults = edge_faults
        self._throttle = throttle
        self._writer = writer

    def app(self) -> web.Application:
        """An application to be served once."""
        app = web.Application(middlewares=[_explain])
        app.router.add_routes(
            [
                web.get("/state", self._get_state),
                web.get("/knobs", self._get_knobs),
                web.patch("/knobs", self._patch_knobs),
                web.get("/zones", self._get_zones),
                web.post("/zones", self._post_zone),
                web.get("/zones/{zone}", self._get_zone),
                web.patch("/zones/{zone}", self._patch_zone),
                web.delete("/zones/{zone}", self._delete_zone),
                web.post("/zones/{zone}/certificates", self._post_certificate),
                web.delete("/zones/{zone}/certificates/{id}", self._delete_certificate),
                web.put("/zones/{zone}/hostnames/{hostname}", self._put_association),
                web.delete("/zones/{zone}/hostnames/{hostname}", self._delete_association),
                web.post("/users", self._post_user),
                web.patch("/accounts/{id}", self._patch_account),
                web.put("/owners/{id}/usage", self._put_usage),
                web.get("/tokens", self._get_tokens),
                web.post("/tokens", self._post_token),
                web.patch("/tokens/{id}", self._patch_token),
                web.get("/locations", self._get_locations),
                web.patch("/locations/{code}", self._patch_location),
                web.get("/presented/{hostname}", self._get_presented),
                web.get("/dns/{hostname}", self._get_dns),
                web.get("/counters", self._get_counters),
                web.delete("/counters", self._delete_counters),
                web.get("/calls", self._get_calls),
                web.delete("/calls", self._delete_calls),
                web.get("/faults", self._get_faults),
                web.post("/faults/api", self._post_api_fault),
                web.post("/faults/edge", self._post_edge_fault),
                web.delete("/faults", self._delete_faults),
                web.delete("/faults/{id}", self._delete_fault),
            ]
        )
        return app

    async def _get_state(self, _: web.Request) -> web.Response:
        return web.json_response(views.state(self._state, self._locations, self._clock()))

    async def _get_knobs(self, _: web.Request) -> web.Response:
        return web.json_response(self._state.knobs.model_dump())

    async def _patch_knobs(self, request: web.Request) -> web.Response:
        self._state.knobs = _changed(Knobs, self._state.knobs, await _body(request))
        for zone in self._state.zones.values():
            zone.list_lag.set_delay(self._state.knobs.list_lag_s, now=self._clock())
        return await self._get_knobs(request)

    async def _get_zones(self, _: web.Request) -> web.Response:
        return web.json_response(
            [views.zone(zone, self._clock()) for zone in self._state.zones.values()]
        )

    async def _post_zone(self, request: web.Request) -> web.Response:
        zone = self._writer.make_zone(ZoneOrder.model_validate(await _body(request)))
        return web.json_response(views.zone(zone, self._clock()), status=201)

    async def _get_zone(self, request: web.Request) -> web.Response:
        return web.json_response(views.zone(self._zone(request), self._clock()))

    async def _patch_zone(self, request: web.Request) -> web.Response:
        zone = self._zone(request)
        self._writer.change_zone(zone, ZoneOrder.model_validate(await _body(request)))
        return web.json_response(views.zone(zone, self._clock()))

    async def _delete_zone(self, request: web.Request) -> web.Response:
        del self._state.zones[self._zone(request).id]
        return web.Response(status=204)

    async def _post_certificate(self, request: web.Request) -> web.Response:
        one = self._writer.upload(
            self._zone(request), CertificateOrder.model_validate(await _body(request))
        )
        return web.json_response(views.certificate(one, self._clock()), status=201)

    async def _delete_certificate(self, request: web.Request) -> web.Response:
        one = self._zone(request).delete(request.match_info["id"], self._clock(), self._state.knobs)
        return web.json_response(views.certificate(one, self._clock()))

    async def _put_association(self, request: web.Request) -> web.Response:
        order = AssociationOrder.model_validate(await _body(request))
        zone = self._zone(request)
        one = self._writer.associate(zone, request.match_info["hostname"], order)
        return web.json_response(views.association(one, self._clock()))

    async def _delete_association(self, request: web.Request) -> web.Response:
        self._zone(request).associations.pop(request.match_info["hostname"], None)
        return web.Response(status=204)

    async def _post_user(self, request: web.Request) -> web.Response:
        user = self._writer.make_user(UserOrder.model_validate(await _body(request)))
        return web.json_response(views.user(user) | {"key": user.key}, status=201)

    async def _patch_account(self, request: web.Request) -> web.Response:
        account = self._state.accounts.get(request.match_info["id"])
        if account is None:
            raise web.HTTPNotFound
        self._writer.change_account(account, AccountOrder.model_validate(await _body(request)))
        return web.json_response(views.account(account))

    async def _put_usage(self, request: web.Request) -> web.Response:
        order = UsageOrder.model_validate(await _body(request))
        self._throttle.use_up(
            request.match_info["id"], order.left, self._clock(), self._state.knobs
        )
        return web.Response(status=204)

    async def _get_tokens(self, _: web.Request) -> web.Response:
        return web.json_response([views.token(token) for token in self._state.tokens.values()])

    async def _post_token(self, request: web.Request) -> web.Response:
        token = self._writer.make_token(TokenOrder.model_validate(await _body(request)))
        return web.json_response(views.token(token) | {"value": token.value}, status=201)

    async def _patch_token(self, request: web.Request) -> web.Response:
        token = self._state.tokens.get(request.match_info["id"])
        if token is None:
            raise web.HTTPNotFound
        self._writer.change_token(token, TokenOrder.model_validate(await _body(request)))
        return web.json_response(views.token(token))

    async def _get_locations(self, _: web.Request) -> web.Response:
        return web.json_response(
            [views.location(location) for location in self._locations.values()]
        )

    async def _patch_location(self, request: web.Request) -> web.Response:
        code, body = request.match_info["code"], await _body(request)
        chosen = [location for location in self._locations.values() if code in {location.code, "*"}]
        if not chosen:
            raise web.HTTPNotFound
        for location, knobs in [
            (location, _changed(LocationKnobs, location.knobs, body)) for location in chosen
        ]:
            location.turn(knobs)
        return await self._get_locations(request)

    async def _get_presented(self, request: web.Request) -> web.Response:
        hostname = request.match_info["hostname"]
        zone = self._state.zone_of(hostname)
        if zone is None:
            raise web.HTTPNotFound
        return web.json_response(
            {
                code: views.presented(one.presents(zone, hostname))
                for code, one in self._locations.items()
            }
        )

    async def _get_dns(self, request: web.Request) -> web.Response:
        hostname = request.match_info["hostname"]
        zone = self._state.zone_of(hostname)
        if zone is None:
            raise web.HTTPNotFound
        origins = [origin.model_dump() for origin in zone.replicas(hostname)]
        return web.json_response(
            {"hostname": hostname, "proxied": zone.serves(hostname), "origins": origins}
        )

    async def _get_counters(self, _: web.Request) -> web.Response:
        return web.json_response(
            {code: location.counters.as_json() for code, location in self._locations.items()}
        )

    async def _delete_counters(self, _: web.Request) -> web.Response:
        for location in self._locations.values():
            location.counters = Counters(open_connections=location.counters.open_connections)
        return web.Response(status=204)

    async def _get_calls(self, request: web.Request) -> web.Response:
        query = request.query
        calls = self._calls.matching(
            query.get("method", "*"), query.get("path", "*"), int(query.get("since", "0"))
        )
        return web.json_response(list(calls))

    async def _delete_calls(self, _: web.Request) -> web.Response:
        self._calls.forget()
        return web.Response(status=204)

    async def _get_faults(self, _: web.Request) -> web.Response:
        api = [rule.model_dump() for rule in self._api_faults.rules]
        return web.json_response(
            {"api": api, "edge": [rule.model_dump() for rule in self._edge_faults.rules]}
        )

    async def _post_api_fault(self, request: web.Request) -> web.Response:
        rule = self._api_faults.add(ApiFault.model_validate(await _body(request)))
        return web.json_response(rule.model_dump(), status=201)

    async def _post_edge_fault(self, request: web.Request) -> web.Response:
        rule = self._edge_faults.add(EdgeFault.model_validate(await _body(request)))
        return web.json_response(rule.model_dump(), status=201)

    async def _delete_faults(self, _: web.Request) -> web.Response:
        self._api_faults.rules.clear()
        self._edge_faults.rules.clear()
        return web.Response(status=204)

    async def _delete_fault(self, request: web.Request) -> web.Response:
        rule_id = request.match_info["id"]
        if not (self._api_faults.remove(rule_id) or self._edge_faults.remove(rule_id)):
            raise web.HTTPNotFound
        return web.Response(status=204)

    def _zone(self, request: web.Request) -> StoredZone:
        return self._writer.zone(request.match_info["zone"])


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in words what was wrong with an order."""
    try:
        return await handler(request)
    except ValidationError as error:
        return web.json_response(
            {"errors": json.loads(error.json(include_url=False, include_input=False))}, status=422
        )
    except errors.ApiError as error:
        return web.json_response({"errors": [str(error)]}, status=error.status)
    except LookupError as error:
        return web.json_response({"errors": [str(error)]}, status=404)
    except ValueError as error:
        return web.json_response({"errors": [str(error)]}, status=400)


def _changed(model: type[M], now: M, changes: Any) -> M:
    return model.model_validate({**now.model_dump(), **changes})


async def _body(request: web.Request) -> Any:
    if not request.can_read_body:
        return {}
    if request.headers.get(hdrs.CONTENT_TYPE, "").startswith("application/x-www-form-urlencoded"):
        return json.loads(await request.text())  # curl -d without -H
    return await request.json()
