"""Who waits for an origin's next write, and when they look again: all at once.

If each came back after its own time, only those that happened to come first would be written
together, and the others would look again and again in vain (docs/adr/0019).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from aop.clock import Clock


class Turns:
    """Those who wait for one origin's next write, by uid; built once by its writer."""

    def __init__(
        self,
        next_at: Callable[[], datetime | None],
        wake: Callable[[frozenset[str]], None],
        clock: Clock,
    ) -> None:
        """`next_at` says until when nothing may be written; None: it may be now."""
        self._next_at = next_at
        self._wake = wake
        self._clock = clock
        self._waiting: set[str] = set()
        self._expected: set[str] = set()
        """Those who were woken for the next write and have not looked since."""
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, uid: str) -> None:
        """An object has something to write: it looks again when that may go out."""
        self._waiting.add(uid)
        self._expected.discard(uid)
        self.look_at_the_clock()

    def has_looked(self, uid: str) -> None:
        """The object has looked, whatever came of it: the write waits for it no longer."""
        self._expected.discard(uid)

    @property
    def expects_somebody(self) -> bool:
        """Whether somebody was woken for the next write and has not looked yet."""
        return bool(self._expected)

    def drop(self, uid: str) -> None:
        """An object is gone."""
        self._waiting.discard(uid)
        self._expected.discard(uid)

    def look_at_the_clock(self) -> None:
        """Something was seen that may decide when the next write goes out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        moment = self._next_at()
        if moment is None:
            waiting, self._waiting = frozenset(self._waiting), set()
            self._expected |= waiting
            self._wake(waiting)
            return
        delay_s = max(0.0, (moment - self._clock.now()).total_seconds())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.look_at_the_clock)
