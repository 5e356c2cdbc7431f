"""The endpoints for the kubelet and for Prometheus, in a thread and an event loop of their own.

A probe never waits for a look, for replicas, or for a key that is being read: only for its turn at
the interpreter.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Self

from aiohttp import web

from aop.health import Health
from aop.metrics import Metrics
from aop.settings import Settings, SettingsError


class Endpoints:
    """`/livez` and `/readyz` on one port, `/metrics` on another; a context manager.

    Entering raises `SettingsError` if a port is not available.
    """

    def __init__(self, settings: Settings, health: Health, metrics: Metrics) -> None:
        self._settings = settings
        self._health = health
        self._metrics = metrics
        self._serving: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="endpoints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._serving.result()
        return self

    def __exit__(self, *_: object) -> None:
        loop, ending = self._serving.result()
        loop.call_soon_threadsafe(ending.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        health, metrics = web.Application(), web.Application()
        health.router.add_get("/livez", self._livez)
        health.router.add_get("/readyz", self._readyz)
        metrics.router.add_get("/metrics", self._exposition)
        settings = self._settings
        served = (
            ("AOP_HEALTH_PORT", settings.health_port, health),
            ("AOP_METRICS_PORT", settings.metrics_port, metrics),
        )
        runners: list[web.AppRunner] = []
        ending = asyncio.Event()
        try:
            for variable, port, application in served:
                if port:
                    runners.append(web.AppRunner(application, access_log=None))
                    await listen(runners[-1], settings.listen_address, port, variable)
            self._serving.set_result((asyncio.get_running_loop(), ending))
            await ending.wait()
        except SettingsError as error:
            self._serving.set_exception(error)
        finally:
            for runner in runners:
                await runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return verdict(self._health.stuck())

    async def _readyz(self, _: web.Request) -> web.Response:
        return verdict(self._health.unready())

    async def _exposition(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.exposition(), headers={"Content-Type": self._metrics.content_type}
        )


def verdict(complaint: str) -> web.Response:
    """200, or 503 and why."""
    return web.Response(text=f"{complaint or 'ok'}\n", status=503 if complaint else 200)


async def listen(runner: web.AppRunner, address: str, port: int, variable: str) -> None:
    """Serve at an address, or at every address of both families if it is empty.

    Raises `SettingsError`, which names the variable.
    """
    await runner.setup()
    try:
        await web.TCPSite(runner, address or None, port).start()
    except OSError as error:
        raise SettingsError(
            f"nothing can be served at {address or 'any address'}, port {port}: {error.strerror}. Change {variable}, or set it to 0"
        ) from error
