"""A machine's clocks that stand still until a test moves them, and waiting in real time for what needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from aop.clock import Clock
from builders import NOW


class SetClock(Clock):
    """Begins at NOW. `pass_s` seconds pass on both clocks, `set_by` moves the wall clock alone."""

    def __init__(self) -> None:
        self.passed_s, self.ahead = 1000.0, timedelta()
        super().__init__()

    def pass_s(self, seconds: float) -> None:
        self.passed_s += seconds

    def set_by(self, step: timedelta) -> None:
        self.ahead += step

    def wall(self) -> datetime:
        return NOW + timedelta(seconds=self.passed_s - 1000.0) + self.ahead

    def monotonic_s(self) -> float:
        return self.passed_s


async def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait, for a minute at most."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is told to nobody here
            await asyncio.sleep(0.001)
