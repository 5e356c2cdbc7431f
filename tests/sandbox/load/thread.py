"""A load in a thread and an event loop of its own, which no blocking call of a test or of the demo can hold up."""

from collections.abc import Callable
from typing import Self

from sandbox.load.generator import Load
from sandbox.load.plan import LoadPlan
from sandbox.load.report import Report
from sandbox.loops import LoopThread


class LoadThread:
    """`Load` for code that blocks; use as `with`, and `stop()` for its report.

    `on_progress` is called in the other thread.
    """

    def __init__(
        self,
        plan: LoadPlan,
        *,
        on_progress: Callable[[Report], None] | None = None,
        progress_every_s: float = 1.0,
    ) -> None:
        self._load = Load(plan, on_progress=on_progress, progress_every_s=progress_every_s)
        self._loop = LoopThread("load")
        self._stopped: Report | None = None

    def __enter__(self) -> Self:
        self._loop.start()
        self._loop.call(self._load.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        if not self._loop.stopped:
            self.stop()

    def allow_redirects(self, *, allowed: bool) -> None:
        """Say whether http:// may be answered by a redirect from now on: before enforcement may begin, and after it surely has ended."""
        self._load.redirects_allowed = allowed

    def report(self) -> Report:
        """What was counted so far."""
        return self._stopped or self._loop.call(self._snapshot())

    def stop(self) -> Report:
        """Send no more, wait for what is in flight, and tell what was counted.

        Raises what broke the generator itself.
        """
        if self._stopped is None:
            try:
                self._stopped = self._loop.call(self._load.stop())
            finally:
                self._loop.stop()
        return self._stopped

    async def _snapshot(self) -> Report:
        return self._load.report()
