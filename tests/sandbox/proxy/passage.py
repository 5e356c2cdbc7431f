"""One request on its way through the proxy: to the API, back to the client, and what is to happen to it."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
from aiohttp import web
from yarl import URL

from sandbox.proxy.effects import Callback, Effects
from sandbox.proxy.faults import (
    Altered,
    Answer,
    Delay,
    DropAfter,
    DropBefore,
    Fault,
    Rule,
    Stale,
    Truncate,
)
from sandbox.proxy.trace import Exchange
from sandbox.proxy.watch import relay

# Belongs to one connection, not to the message (RFC 9110, 7.6.1), or is written anew by the server
# half. `Host` is the upstream's own.
_NOT_PASSED_ON = {
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "host",
}
# aiohttp would add these where a client sent none; the API server answers 415 to a Content-Type
# that was made up [measured].
_NOT_MADE_UP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_DECIDES_THE_FORM = {"accept", "accept-encoding"}


class Passage:
    """The way through the proxy: its client of the API, and what all requests share."""

    def __init__(self, upstream: str, effects: Effects) -> None:
        self.rules: list[Rule] = []
        """Asked in their order."""
        self.trace: list[Exchange] = []
        self.watches: dict[int, tuple[Exchange, asyncio.Transport]] = {}
        """Those that run now, by the number of their exchange."""
        self._kept: dict[Rule, _Reply] = {}
        self._cleared = asyncio.Event()
        """Ends the delays that are under way."""
        self._upstream = upstream.rstrip("/")
        self._effects = effects

    async def open(self, trust: ssl.SSLContext) -> None:
        """Be ready to ask the API: adding nothing, following nothing, waiting for ever, keeping no cookies."""
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=trust),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_MADE_UP,
        )

    async def close(self) -> None:
        """Break off what is under way with the API."""
        assert self._client.connector is not None
        await self._client.connector.close(abort_ssl=True)
        await self._client.close()

    def clear(self) -> None:
        """Disturb nothing from now on."""
        self.rules.clear()
        self._kept.clear()

    def hurry(self) -> None:
        """End the delays that are under way. To be called in the loop."""
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def _delay(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._cleared.wait()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, and leave it in the trace."""
        body = await request.read()
        exchange = Exchange(
            number=len(self.trace) + 1,
            at=datetime.now(UTC),
            method=request.method,
            path=request.path,
            query=request.raw_path.partition("?")[2],
            watch=request.query.get("watch") in {"1", "true", "True"},
            user_agent=request.headers.get("User-Agent", ""),
        )
        self.trace.append(exchange)
        begun = time.monotonic()
        rule = next((rule for rule in list(self.rules) if rule.take(exchange)), None)
        if rule is not None:
            exchange.fault = type(rule.fault).__name__
        try:
            return await self._carry_out(request, body, exchange, rule)
        except (aiohttp.ClientError, ConnectionError) as error:
            # The API is gone or the client is: to the client it looks as if this proxy were not
            # there.
            exchange.fault = exchange.fault or type(error).__name__
            return _break(request)
        finally:
            exchange.duration_s = time.monotonic() - begun

    async def _carry_out(
        self, request: web.Request, body: bytes, exchange: Exchange, rule: Rule | None
    ) -> web.StreamResponse:
        fault = None if rule is None else rule.fault
        if isinstance(fault, Answer):
            return await self._deliver(
                request, exchange, _Reply(fault.status, fault.headers, fault.body), []
            )
        if isinstance(fault, DropBefore):
            return _break(request)
        if isinstance(fault, Delay) and not fault.answer:
            await self._delay(fault.seconds)
        if rule is not None and isinstance(fault, Stale) and rule in self._kept:
            return await self._deliver(request, exchange, self._kept[rule], [])

        address = URL(self._upstream + request.raw_path, encoded=True)
        async with self._client.request(
            request.method,
            address,
            headers=_headers(request, fault),
            data=body or None,
            allow_redirects=False,
        ) as answer:
            if exchange.watch and answer.status == 200:
                return await self._watch(request, exchange, fault, answer)
            reply = _Reply(answer.status, _passed_on(answer.headers), await answer.read())
        exchange.upstream_status = reply.status
        after_delivery = self._effects.note(exchange)

        if rule is not None and isinstance(fault, Stale):
            self._kept[rule] = reply
        if isinstance(fault, DropAfter):
            return _break(request)
        if isinstance(fault, Delay) and fault.answer:
            await self._delay(fault.seconds)
        return await self._deliver(request, exchange, reply.disturbed_by(fault), after_delivery)

    async def _deliver(
        self, request: web.Request, exchange: Exchange, reply: "_Reply", then: list[Callback]
    ) -> web.StreamResponse:
        response = web.Response(status=reply.status, headers=reply.headers, body=reply.body)
        # Before the first byte: whoever has the answer must find it in the trace.
        exchange.status = reply.status
        await response.prepare(request)
        await response.write_eof()
        self._effects.call(then, exchange)
        return response

    async def _watch(
        self,
        request: web.Request,
        exchange: Exchange,
        fault: Fault | None,
        answer: aiohttp.ClientResponse,
    ) -> web.StreamResponse:
        exchange.upstream_status = exchange.status = answer.status
        response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
        await response.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        self.watches[exchange.number] = (exchange, request.transport)
        try:
            intact = await relay(request, response, answer, exchange, fault)
        finally:
            del self.watches[exchange.number]
        if not intact:
            return _break(request)
        with suppress(ConnectionError):
            await response.write_eof()
        return response


class _Reply:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def disturbed_by(self, fault: Fault | None) -> "_Reply":
        match fault:
            case Altered():
                return _Reply(self.status, self.headers, fault.changed(self.body))
            case Truncate(keep):
                return _Reply(self.status, self.headers, self.body[: int(len(self.body) * keep)])
        return self


def _headers(request: web.Request, fault: Fault | None) -> list[tuple[str, str]]:
    """As the client sent them; but for the form of the answer, where that is to be altered."""
    left_out, more = _NOT_PASSED_ON, []
    if isinstance(fault, Altered):
        left_out, more = left_out | _DECIDES_THE_FORM, [("Accept", "application/json")]
    sent = request.headers.items()
    return [*((name, value) for name, value in sent if name.lower() not in left_out), *more]


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON}


def _break(request: web.Request) -> web.StreamResponse:
    """End the connection in the middle of everything, as a network does."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
    return web.Response()
