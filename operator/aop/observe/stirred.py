"""What a watch shows of an origin: one of those who share it looks, and it wakes the others.

In a busy namespace pods and Ingresses change all the time, and a look at a change costs as many
looks as there are objects on the origin. So the first change after a quiet time is looked at once,
and further ones after a time that grows with the number of objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aop.clock import Clock

GATHERED_S = 0.2
"""How long a change waits for those that come with it."""
APART_S, APART_EACH_S = 5.0, 0.06
"""How far such looks are apart at least, and how much each object adds to it: a look at a thousand
objects takes ten seconds of CPU."""


class Stirred:
    """Changes of one origin's objects; built once by its keeper."""

    def __init__(self, clock: Clock, look: Callable[[], int]) -> None:
        """`look` has one of those who share the origin look, and returns how many they are."""
        self._clock = clock
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._earliest_s = float("-inf")

    def notice(self) -> None:
        """A watch has shown a change."""
        if self._timer is None:
            wait_s = max(GATHERED_S, self._earliest_s - self._clock.monotonic_s())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._one_looks)

    def end(self) -> None:
        """Nobody looks any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _one_looks(self) -> None:
        self._timer = None
        sharers = self._look()
        self._earliest_s = self._clock.monotonic_s() + APART_S + APART_EACH_S * sharers
