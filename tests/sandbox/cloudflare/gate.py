"""What every API call passes on its way in and out: the record, faults, the token, errors as envelopes, `cf-ray`."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from sandbox.cloudflare import errors, wire
from sandbox.cloudflare.calls import Call, Calls
from sandbox.cloudflare.credentials import ALL_PERMISSIONS, Token
from sandbox.cloudflare.faults import ApiFault, Faults
from sandbox.cloudflare.state import State, StoredZone
from sandbox.cloudflare.throttle import Standing, Throttle

BASE = "/client/v4"
LOCATION = "TST"
"""The location that the API's own answers name in `cf-ray`."""

TOKEN: web.RequestKey[Token] = web.RequestKey("token", Token)
ZONE: web.RequestKey[StoredZone] = web.RequestKey("zone", StoredZone)
STANDING: web.RequestKey[Standing] = web.RequestKey("standing", Standing)

_VERIFY = re.compile(rf"{BASE}/(user|accounts/(?P<account>[^/]+))/tokens/verify")
_AUTHORIZATION = re.compile(r"Bearer [A-Za-z0-9_-]{20,200}")


def new_ray(location: str) -> str:
    """A `cf-ray`: 16 hex digits and the location."""
    return f"{secrets.token_hex(8)}-{location}"


class Gate:
    """The one middleware of the API."""

    def __init__(
        self,
        state: State,
        clock: Callable[[], float],
        faults: Faults[ApiFault],
        calls: Calls,
        throttle: Throttle,
    ) -> None:
        self._state = state
        self._clock = clock
        self._faults = faults
        self._calls = calls
        self._throttle = throttle
        self._worked = 0

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
                    cookie=hdrs.COOKIE in request.headers,
                    status=answer.status if answer else None,
                    code=code,
                    ray=ray,
                    duration_s=round(self._clock() - began, 6),
                )
            )
        if answer is None:
            return _hang_up(request)
        answer.headers["cf-ray"] = ray
        # Cloudflare's edge tells clients apart by this one.
        answer.headers[hdrs.SET_COOKIE] = (
            f"__cf_bm={token.id if token else ray}; path=/; HttpOnly; SameSite=None"
        )
        if token and (standing := request.get(STANDING)):
            answer.headers.update(standing.headers(self._state.knobs))
        answer.headers[hdrs.SERVER] = "cloudflare"
        return answer

    async def _with_faults(
        self, request: web.Request, handler: Handler, path: str
    ) -> tuple[web.StreamResponse | None, int | None]:
        fault = self._faults.strike(
            [rule for rule in self._faults.rules if rule.matches(request.method, path)]
        )
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
        return web.Response(
            status=fault.status, body=fault.body.encode(), headers=fault.headers
        ), None

    async def _answer(
        self, request: web.Request, handler: Handler
    ) -> tuple[web.StreamResponse, int | None]:
        try:
            request[TOKEN] = token = self._authenticate(request)
            self._throttled(request, token)
            self._flaky()
            return await handler(request), None
        except errors.ApiError as error:
            return self._refusal(error), error.code
        except web.HTTPException as error:
            refused = (
                errors.not_routable(request.path)
                if error.status == 404
                else errors.ApiError(error.status, 10405, error.reason)
            )
            return self._refusal(refused), refused.code

    def _throttled(self, request: web.Request, token: Token) -> None:
        knobs = self._state.knobs
        request[STANDING] = standing = self._throttle.count(token.owner, self._clock(), knobs)
        if standing.blocked:
            words = (
                f"More than {knobs.rate_calls} requests per {knobs.rate_window_s:g} seconds reached. "
                if knobs.throttled_code == 10100
                else ""
            )
            message = f"{words}Please wait and consider throttling your request speed"
            raise errors.ApiError(
                knobs.throttled_status,
                knobs.throttled_code,
                message,
                {"retry-after": str(standing.reset_s)} if knobs.rate_retry_after else {},
            )

    def _flaky(self) -> None:
        self._worked += 1
        every = self._state.knobs.refuse_every
        if every is not None and self._worked % every == 0:
            raise errors.lacks_permission()

    def _authenticate(self, request: web.Request) -> Token:
        email, key = request.headers.get("x-auth-email"), request.headers.get("x-auth-key")
        if email is not None and key is not None:
            return self._user_of(email, key)
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is None:
            raise errors.ApiError(
                400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
            )
        if not _AUTHORIZATION.fullmatch(header):
            raise errors.malformed_authorization()
        token = self._state.token_with(header.removeprefix("Bearer "))
        if token is not None and token.elsewhere:
            raise errors.other_address(request.remote or "")
        if verified := _VERIFY.fullmatch(request.path):
            if token is None or token.account_id != verified["account"]:
                raise errors.ApiError(401, 1000, "Invalid API Token")
            return token
        if token is None or not token.works(self._clock()):
            raise _unknown_token(request.path)
        if self._clock() < token.fresh_until and secrets.randbelow(2):
            raise errors.ApiError(403, 10001, "Unable to authenticate request")
        return token

    def _user_of(self, email: str, key: str) -> Token:
        user = next(
            (user for user in self._state.users.values() if (user.email, user.key) == (email, key)),
            None,
        )
        if user is None:
            raise errors.unknown_key()
        return Token(user.key, ALL_PERMISSIONS, user.id, id=user.id)

    def _refusal(self, error: errors.ApiError) -> web.Response:
        chain = (
            {"code": 6111, "message": "Invalid format for Authorization header"}
            if error.code == 6003
            else None
        )
        body = wire.failure(
            error.code,
            error.message,
            chain=chain,
            result=self._state.knobs.failure_result == "null",
        )
        return web.json_response(body, status=error.status, headers=error.headers)


def _unknown_token(path: str) -> errors.ApiError:
    if "/settings" in path or "/origin_tls_client_auth" in path:
        return errors.lacks_permission()
    return errors.ApiError(403, 9109, "Invalid access token")


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
