"""The impurities that decisions need, in one place, so that they can be passed in.

Two kinds of time, and chance. Pure floors never read them. Most questions are "how old is this" and
"when next", and a wall clock cannot answer them: if somebody set it back by 50 minutes, every
proof, loss and deadline would wait for 50 minutes. So `now` is steady, and the wall clock is asked
only where the answer has to agree with the world: for the validity of certificates, for what is
kept across restarts, and for what people read.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

_TICKING: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Monotonic and, where there is such a clock, one that goes on while the machine is suspended: what
slept for a night is a night older."""


class Clock:
    """Steady time, wall time, and jitter."""

    def __init__(self) -> None:
        self._began = self.wall() - timedelta(seconds=self.monotonic_s())

    def now(self) -> datetime:
        """The steady present, aware, in UTC.

        The wall time at the start of the process, and what has passed since. It never steps.
        """
        return self._began + timedelta(seconds=self.monotonic_s())

    def wall(self) -> datetime:
        """What the machine's clock says, aware, in UTC.

        It steps when somebody sets it, so two readings do not show how much time has passed.
        """
        return datetime.now(UTC)

    def stepped(self) -> timedelta:
        """How far the wall clock has stepped from `now` since the process began.

        Added to a steady moment, it gives that of the wall clock. Whole seconds, so that a moment
        that is shown again and again always looks the same.
        """
        return timedelta(seconds=round((self.wall() - self.now()).total_seconds()))

    def monotonic_s(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        return time.clock_gettime(_TICKING)

    def jitter(self, limit: float) -> float:
        """A number from 0 to `limit`, evenly spread: full jitter for backoffs."""
        return random.uniform(0, limit)  # noqa: S311 - spreads load, guards nothing
