"""An event loop in a thread of its own, which no blocking call of a test or of the demo can hold up."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ROUNDS = 5
"""Of the loop, after everything has been closed: an aborted transport closes its socket in one of
the next."""


class LoopThread:
    """Runs coroutines for code that blocks."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether it has ended for good."""
        return self._loop.is_closed()

    def call(self, coroutine: Coroutine[Any, Any, T], within_s: float | None = None) -> T:
        """Run it there, and return or raise what it does."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(within_s)

    def soon(self, callback: Callable[[], object]) -> None:
        """Call it there, some time."""
        self._loop.call_soon_threadsafe(callback)

    def stop(self) -> None:
        """End the thread, whatever still runs in it, and the loop; no socket is left to the garbage collector."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(_ended(left))
        self._loop.close()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
    # What was closed politely may still wait for the other side's goodbye, and nobody but the loop
    # knows of it any more.
    for transport in list(getattr(asyncio.get_running_loop(), "_transports", {}).values()):
        transport.abort()
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


class Polling:
    """Calls something again and again in a thread of its own, until the block that it serves ends.

    What it raises ends it, and is raised again where the block ends.
    """

    def __init__(self, name: str, every_s: float, once: Callable[[], object]) -> None:
        self._every_s = every_s
        self._once = once
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.failure: BaseException | None = None
        """What has ended it."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Call it no more."""
        self._stopping.set()
        self._thread.join()

    def raise_failure(self, instead_of: BaseException | None) -> None:
        """Raise what has ended it, unless the block ends with an error anyway."""
        if self.failure is not None and instead_of is None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._every_s):
                self._once()
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self.failure = error
