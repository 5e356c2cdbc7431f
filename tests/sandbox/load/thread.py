"""A load in a thread and an event loop of its own, which no blocking call of a test or of the demo can hold up."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from sandbox.load.generator import Load
from sandbox.load.plan import Plan
from sandbox.load.report import Report

T = TypeVar("T")


class LoadThread:
    """`Load` for code that blocks; use as `with`, and `stop()` for its report. `on_progress` is called in the other thread."""

    def __init__(self, plan: Plan, *, on_progress: Callable[[Report], None] | None = None, progress_every_s: float = 1.0) -> None:
        self._load = Load(plan, on_progress=on_progress, progress_every_s=progress_every_s)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="load", daemon=True)
        self._stopped: Report | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._load.__aenter__())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._loop.is_closed():
            self.stop()

    def allow_redirects(self, *, allowed: bool) -> None:
        """Say whether http:// may be answered by a redirect from now on: before enforcement may begin, and after it surely has ended."""
        self._load.redirects_allowed = allowed

    def report(self) -> Report:
        """What was counted so far."""
        return self._stopped or self._call(self._snapshot())

    def stop(self) -> Report:
        """Send no more, wait for what is in flight, and tell what was counted. Raises what broke the generator itself."""
        if self._stopped is None:
            try:
                self._stopped = self._call(self._load.stop())
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
        return self._stopped

    async def _snapshot(self) -> Report:
        return self._load.report()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
