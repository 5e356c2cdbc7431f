"""The fault proxy itself: an aiohttp server and client in a thread of its own, so that nothing a test does in its event loop holds it up."""

import asyncio
import ssl
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from sandbox.kubernetes import kubeconfig
from sandbox.kubernetes.certificates import Authority
from sandbox.proxy.effects import Callback, Effects
from sandbox.proxy.faults import ANY, Answer, Delay, DropAfter, DropBefore, Fault, Match, Rule, Stale, Truncate
from sandbox.proxy.trace import Exchange
from sandbox.proxy.watch import relay

# Belongs to one connection, not to the message (RFC 9110, 7.6.1), or is written anew by the server half. `Host` is the upstream's own.
_NOT_PASSED_ON = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host"}
# aiohttp would add these where a client sent none; the API server answers 415 to a Content-Type that was made up [measured].
_NOT_MADE_UP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class FaultProxy:
    """A proxy before one API. Plain synchronous calls, from any thread.

        with FaultProxy(plane.url, upstream_ca=plane.ca_file) as proxy:
            run_operator(kubeconfig=proxy.kubeconfig(operator_kubeconfig))
            proxy.rule(Match("PATCH", r"/configmaps/"), DropAfter())

    `tls=False` listens on plain HTTP. `upstream` may have a path (`http://127.0.0.1:8787/client/v4`): it is put before every path.
    """

    def __init__(self, upstream: str, *, upstream_ca: Path | None = None, tls: bool = True, effects: Effects | None = None) -> None:
        self.effects = effects or Effects()
        self._upstream = upstream.rstrip("/")
        self._upstream_ca = upstream_ca
        self._tls = tls
        self._authority = Authority("sandbox-proxy-ca")
        self._rules: list[Rule] = []
        self._kept: dict[Rule, _Reply] = {}
        self._trace: list[Exchange] = []
        self._watches: dict[int, tuple[Exchange, asyncio.Transport]] = {}
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._folder = tempfile.TemporaryDirectory(prefix="aop-proxy-")

    def start(self) -> Self:
        """Listen on a free loopback port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        return self

    def stop(self) -> None:
        """Close everything.

        Raises:
            Exception: what a callback of `on_effect` raised; the first of them.
        """
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        self._folder.cleanup()
        if self.effects.errors:
            raise self.effects.errors.pop(0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def ca_file(self) -> Path:
        """The CA, PEM, that issued this proxy's own certificate."""
        return Path(self._folder.name) / "ca.crt"

    def kubeconfig(self, original: Path) -> Path:
        """A copy of a kubeconfig that goes through this proxy, as the same identity; the file lives until `stop`.

        Raises:
            ValueError: the identity is a client certificate, which would end here.
        """
        return kubeconfig.through(Path(self._folder.name) / f"{original.name}", original, server=self.url, ca=self._authority.pem)

    def rule(self, match: Match, fault: Fault, *, skip: int = 0, times: int | None = 1) -> Rule:
        """Disturb matching requests from now on: let `skip` of them pass, then `times` of them (None: all) meet the fault.

        The first rule, in the order in which they were made, that is due takes a request; later ones do not see it.
        """
        rule = Rule(match, fault, skip, times)
        self._rules.append(rule)
        return rule

    def on_effect(self, nth: int, callback: Callback, *, match: Match = ANY, delivered: bool = False) -> None:
        """See `Effects.on`: call back between the n-th change that the API has made and the client that asked for it."""
        self.effects.on(nth, callback, match=match, delivered=delivered)

    def clear(self) -> None:
        """Disturb nothing from now on and forget the callbacks. The trace and the counts stay."""
        self._rules.clear()
        self._kept.clear()
        self.effects.clear()

    def cut_watches(self, match: Match = ANY) -> int:
        """Break the connections of the matching watches that are running now; return how many."""
        meant = [transport for exchange, transport in list(self._watches.values()) if match(exchange)]
        for transport in meant:
            self._loop.call_soon_threadsafe(transport.abort)
        return len(meant)

    @property
    def trace(self) -> tuple[Exchange, ...]:
        """Everything that was asked so far, in the order of arrival."""
        return tuple(self._trace)

    def count(self, match: Match = ANY) -> int:
        """How many matching requests have arrived."""
        return sum(1 for exchange in self.trace if match(exchange))

    async def _open(self) -> None:
        folder = Path(self._folder.name)
        (folder / "ca.crt").write_bytes(self._authority.pem)
        listening: ssl.SSLContext | None = None
        if self._tls:
            listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            listening.load_cert_chain(*self._authority.serve(["localhost", "127.0.0.1"]).write(folder, "proxy"))
        trust = ssl.create_default_context(cafile=None if self._upstream_ca is None else str(self._upstream_ca))
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=trust),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_MADE_UP,
        )
        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_route("*", "/{any:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=listening)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        for _, transport in list(self._watches.values()):
            transport.abort()
        await self._client.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        exchange = Exchange(
            number=len(self._trace) + 1,
            at=datetime.now(UTC),
            method=request.method,
            path=request.path,
            query=request.raw_path.partition("?")[2],
            watch=request.query.get("watch") in {"1", "true", "True"},
            user_agent=request.headers.get("User-Agent", ""),
        )
        self._trace.append(exchange)
        begun = time.monotonic()
        rule = next((rule for rule in list(self._rules) if rule.take(exchange)), None)
        if rule is not None:
            exchange.fault = type(rule.fault).__name__
        try:
            return await self._carry_out(request, body, exchange, rule)
        except (aiohttp.ClientError, ConnectionError) as error:
            # The API is gone or the client is: to the client it looks as if this proxy were not there.
            exchange.fault = exchange.fault or type(error).__name__
            return _break(request)
        finally:
            exchange.duration_s = time.monotonic() - begun

    async def _carry_out(self, request: web.Request, body: bytes, exchange: Exchange, rule: Rule | None) -> web.StreamResponse:
        fault = None if rule is None else rule.fault
        if isinstance(fault, Answer):
            return await self._deliver(request, exchange, _Reply(fault.status, fault.headers, fault.body), [])
        if isinstance(fault, DropBefore):
            return _break(request)
        if isinstance(fault, Delay) and not fault.answer:
            await asyncio.sleep(fault.seconds)
        if rule is not None and isinstance(fault, Stale) and rule in self._kept:
            return await self._deliver(request, exchange, self._kept[rule], [])

        address = URL(self._upstream + request.raw_path, encoded=True)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON]
        async with self._client.request(request.method, address, headers=headers, data=body or None, allow_redirects=False) as answer:
            if exchange.watch and answer.status == 200:
                return await self._watch(request, exchange, fault, answer)
            reply = _Reply(answer.status, _passed_on(answer.headers), await answer.read())
        exchange.upstream_status = reply.status
        after_delivery = self.effects.note(exchange)

        if rule is not None and isinstance(fault, Stale):
            self._kept[rule] = reply
        if isinstance(fault, DropAfter):
            return _break(request)
        if isinstance(fault, Delay) and fault.answer:
            await asyncio.sleep(fault.seconds)
        if isinstance(fault, Truncate):
            reply = _Reply(reply.status, reply.headers, reply.body[: int(len(reply.body) * fault.keep)])
        return await self._deliver(request, exchange, reply, after_delivery)

    async def _deliver(self, request: web.Request, exchange: Exchange, reply: "_Reply", then: list[Callback]) -> web.StreamResponse:
        response = web.Response(status=reply.status, headers=reply.headers, body=reply.body)
        # Before the first byte: whoever has the answer must find it in the trace.
        exchange.status = reply.status
        await response.prepare(request)
        await response.write_eof()
        self.effects.call(then, exchange)
        return response

    async def _watch(
        self, request: web.Request, exchange: Exchange, fault: Fault | None, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        exchange.upstream_status = exchange.status = answer.status
        response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
        await response.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        self._watches[exchange.number] = (exchange, request.transport)
        try:
            intact = await relay(request, response, answer, exchange, fault)
        finally:
            del self._watches[exchange.number]
        if not intact:
            return _break(request)
        with suppress(ConnectionError):
            await response.write_eof()
        return response


class _Reply:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON}


def _break(request: web.Request) -> web.StreamResponse:
    """End the connection in the middle of everything, as a network does."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
    return web.Response()
