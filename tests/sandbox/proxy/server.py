"""The fault proxy itself: an aiohttp server and client in a thread of its own, so that nothing a test does in its event loop holds it up."""

import asyncio
import ssl
import tempfile
from pathlib import Path
from typing import Self

from aiohttp import web

from sandbox.kubernetes import kubeconfig
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.loops import LoopThread
from sandbox.proxy.effects import Callback, Effects
from sandbox.proxy.faults import ANY, Fault, Match, Rule
from sandbox.proxy.passage import Passage
from sandbox.proxy.trace import Exchange
from sandbox.waiting import until_async


class FaultProxy:
    """A proxy before one API. Plain synchronous calls, from any thread.

        with FaultProxy(plane.url, upstream_ca=plane.ca_file) as proxy:
            run_operator(kubeconfig=proxy.kubeconfig(operator_kubeconfig))
            proxy.rule(Match("PATCH", r"/configmaps/"), DropAfter())

    `tls=False` listens on plain HTTP. `upstream` may have a path
    (`http://127.0.0.1:8787/client/v4`): it is put before every path.
    """

    def __init__(
        self,
        upstream: str,
        *,
        upstream_ca: Path | None = None,
        tls: bool = True,
        effects: Effects | None = None,
    ) -> None:
        self.effects = effects or Effects()
        self._passage = Passage(upstream, self.effects)
        self._upstream_ca = upstream_ca
        self._tls = tls
        self._authority = ClusterAuthority("sandbox-proxy-ca")
        self._port = 0
        self._loop = LoopThread("fault-proxy")
        self._folder = tempfile.TemporaryDirectory(prefix="aop-proxy-")

    def start(self) -> Self:
        """Listen on a free loopback port."""
        self._loop.start()
        self._loop.call(self._open(), within_s=30)
        return self

    def stop(self) -> None:
        """Close everything.

        Raises:
            Exception: what a callback of `on_effect` raised; the first of them.
        """
        if not self._loop.stopped:
            try:
                self._loop.call(self._close(), within_s=30)
            finally:
                self._loop.stop()
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
        return kubeconfig.through(
            Path(self._folder.name) / f"{original.name}",
            original,
            server=self.url,
            ca=self._authority.pem,
        )

    def rule(self, match: Match, fault: Fault, *, skip: int = 0, times: int | None = 1) -> Rule:
        """Disturb matching requests from now on: let `skip` of them pass, then `times` of them (None: all) meet the fault.

        The first rule, in the order in which they were made, that is due takes a request; later
        ones do not see it.
        """
        rule = Rule(match, fault, skip, times)
        self._passage.rules.append(rule)
        return rule

    def on_effect(
        self, nth: int, callback: Callback, *, match: Match = ANY, delivered: bool = False
    ) -> None:
        """See `Effects.on`: call back between the n-th change that the API has made and the client that asked for it."""
        self.effects.on(nth, callback, match=match, delivered=delivered)

    def clear(self) -> None:
        """Disturb nothing from now on and forget the callbacks; who is held up goes on. The trace and the counts stay."""
        self._passage.clear()
        self.effects.clear()
        if not self._loop.stopped:
            self._loop.soon(self._passage.hurry)

    def cut_watches(self, match: Match = ANY) -> int:
        """Break the connections of the matching watches that are running now; return how many."""
        meant = [
            transport
            for exchange, transport in list(self._passage.watches.values())
            if match(exchange)
        ]
        for transport in meant:
            self._loop.soon(transport.abort)
        return len(meant)

    @property
    def trace(self) -> tuple[Exchange, ...]:
        """Everything that was asked so far, in the order of arrival."""
        return tuple(self._passage.trace)

    def count(self, match: Match = ANY) -> int:
        """How many matching requests have arrived."""
        return sum(1 for exchange in self.trace if match(exchange))

    async def _open(self) -> None:
        folder = Path(self._folder.name)
        (folder / "ca.crt").write_bytes(self._authority.pem)
        listening: ssl.SSLContext | None = None
        if self._tls:
            listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            listening.load_cert_chain(
                *self._authority.serve(["localhost", "127.0.0.1"]).write(folder, "proxy")
            )
        trust = ssl.create_default_context(
            cafile=None if self._upstream_ca is None else str(self._upstream_ca)
        )
        await self._passage.open(trust)
        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_route("*", "/{any:.*}", self._passage.serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=listening)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        server = self._runner.server
        assert server is not None
        for handler in server.connections:
            if isinstance(handler.transport, asyncio.Transport):
                handler.transport.abort()
        await until_async(
            lambda: not server.connections,
            within_s=10,
            every_s=0.01,
            describe="the proxy's connections to be closed",
        )
        # What is being passed on ends before the client that passes it on: nothing is left half
        # connected.
        await self._runner.cleanup()
        await self._passage.close()
