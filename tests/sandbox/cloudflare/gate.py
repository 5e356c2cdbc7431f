"""What every API call passes on its way in and out: the record, faults, the token, errors as envelopes, `cf-ray`. Used by `api`."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from sandbox.cloudflare import errors, wire
from sandbox.cloudflare.calls import Call, Calls
from sandbox.cloudflare.faults import ApiFault, Faults
from sandbox.cloudflare.state import State, Token, Zone

BASE = "/client/v4"
LOCATION = "TST"
"""The location that the API's own answers name in `cf-ray`."""

TOKEN: web.RequestKey[Token] = web.RequestKey("token", Token)
ZONE: web.RequestKey[Zone] = web.RequestKey("zone", Zone)

_AUTHORIZATION = re.compile(r"Bearer [A-Za-z0-9_-]{20,200}")


def new_ray(location: str) -> str:
    """A `cf-ray`: 16 hex digits and the location."""
    return f"{secrets.token_hex(8)}-{location}"


class Gate:
    """The one middleware of the API."""

    def __init__(self, state: State, clock: Callable[[], float], faults: Faults[ApiFault], calls: Calls) -> None:
        self._state = state
        self._clock = clock
        self._faults = faults
        self._calls = calls

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the call, or refuse it, and keep a record of it either way."""
        number, began, ray = self._calls.next_number(), self._clock(), new_ray(LOCATION)
        path = request.path.removeprefix(BASE)
        answer: web.StreamResponse | None = None
        code: int | None = None
        try:
            answer, code = await self._with_faults(request, handler, path)
        finally:
            token, zone = request.get(TOKEN), request.get(ZONE)
            self._calls.add(
                Call(
                    number=number,
                    at=began,
                    method=request.method,
                    path=path,
                    query=request.query_string,
                    zone=zone.id if zone else None,
                    token=token.id if token else None,
                    status=answer.status if answer else None,
                    code=code,
                    ray=ray,
                    duration_s=round(self._clock() - began, 6),
                )
            )
        if answer is None:
            return _hang_up(request)
        answer.headers["cf-ray"] = ray
        answer.headers[hdrs.SERVER] = "cloudflare"
        return answer

    async def _with_faults(self, request: web.Request, handler: Handler, path: str) -> tuple[web.StreamResponse | None, int | None]:
        fault = self._faults.strike([rule for rule in self._faults.rules if rule.matches(request.method, path)])
        answer: web.StreamResponse | None = None
        code: int | None = None
        if fault is None or fault.when == "after" or (fault.status is None and not fault.drop):
            if fault and fault.when == "before":
                await asyncio.sleep(fault.delay_s)
            answer, code = await self._answer(request, handler)
        if fault is None:
            return answer, code
        if answer is None or fault.when == "after":
            await asyncio.sleep(fault.delay_s)
        if fault.drop:
            return None, None
        if fault.status is None:
            return answer, code
        return web.Response(status=fault.status, body=fault.body.encode(), headers=fault.headers), None

    async def _answer(self, request: web.Request, handler: Handler) -> tuple[web.StreamResponse, int | None]:
        try:
            request[TOKEN] = self._authenticate(request)
            return await handler(request), None
        except errors.ApiError as error:
            return _refusal(error), error.code
        except web.HTTPException as error:
            refused = errors.not_routable(request.path) if error.status == 404 else errors.ApiError(error.status, 10405, error.reason)
            return _refusal(refused), refused.code

    def _authenticate(self, request: web.Request) -> Token:
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is None:
            raise errors.ApiError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        if not _AUTHORIZATION.fullmatch(header):
            raise errors.malformed_authorization()
        token = self._state.token_with(header.removeprefix("Bearer "))
        if request.path == f"{BASE}/user/tokens/verify":
            if token is None:
                raise errors.ApiError(401, 1000, "Invalid API Token")
            return token
        if token is None or token.status != "active":
            raise _unknown_token(request.path)
        if self._clock() < token.fresh_until and secrets.randbelow(2):
            raise errors.ApiError(403, 10001, "Unable to authenticate request")
        return token


def _unknown_token(path: str) -> errors.ApiError:
    if "/settings" in path or "/origin_tls_client_auth" in path:
        return errors.lacks_permission()
    return errors.ApiError(403, 9109, "Invalid access token")


def _refusal(error: errors.ApiError) -> web.Response:
    chain = {"code": 6111, "message": "Invalid format for Authorization header"} if error.code == 6003 else None
    return web.json_response(wire.failure(error.code, error.message, chain=chain), status=error.status)


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
