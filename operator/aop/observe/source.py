"""One thing outside that is read again and again, for which a look never waits too long.

Each source fails alone. While it cannot be read, what was last known stands, because an API that is
slow, refuses or answers nonsense must not blind what protects visitors
(docs/architecture.md#sources-fail-alone). An exception of a reader is a failure like any other: it
is logged with its traceback, the condition names it, and the next look reads again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from aop.clock import Clock
from aop.errors import Transient
from aop.observed import Unknown

T = TypeVar("T")
MOST_READINGS = 3
"""How many readings one look makes at most, if events keep making them old."""
AWAITED_S = 10.0
"""How long a look waits for something without which nothing can be decided."""
log = logging.getLogger("aop")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """What was last read."""

    value: T
    read_at: datetime
    failure: str | None = None
    """Why it cannot be read any more; None: the last reading succeeded."""


class Source(Generic[T]):
    """One reading, shared by all who ask for it. Never used from two event loops.

    A look waits longer for a source that is `needed` if nothing is known of it yet, or if an effect
    of ours has made it untrue.
    """

    def __init__(
        self, what: str, read: Callable[[], Awaitable[T]], clock: Clock, *, needed: bool = True
    ) -> None:
        self._what = what
        self._needed = self._awaited = needed
        self._read = read
        self._clock = clock
        self._known: Known[T] | None = None
        self._read_s = float("-inf")
        self._failure: Unknown | None = None
        self._task: asyncio.Task[None] | None = None
        self._generation = 0

    async def look(self, *, within_s: float, patience_s: float) -> Known[T] | Unknown:
        """What is known, read anew if the last reading is older than `within_s`.

        The age counts whether the last reading succeeded or failed. A reading that takes longer
        than `patience_s` goes on by itself.
        """
        until_s = self._clock.monotonic_s() + max(patience_s, AWAITED_S if self._awaited else 0.0)
        for _ in range(MOST_READINGS):
            generation = self._generation
            if self._task is None and self._clock.monotonic_s() - self._read_s >= within_s:
                self._task = asyncio.create_task(self._again())
            if self._task is not None:
                await asyncio.wait(
                    {self._task}, timeout=max(0.0, until_s - self._clock.monotonic_s())
                )
            if generation == self._generation:
                break  # else an event has made this very reading old
        return self.last

    @property
    def last(self) -> Known[T] | Unknown:
        """What is known, however old."""
        if self._known is not None:
            return self._known
        return self._failure or Unknown(f"{self._what}: no answer yet")

    def put(self, value: T) -> None:
        """Keep what a write of ours has returned.

        A reading that is under way began before the write, and is dropped.
        """
        self._generation += 1
        self._task = None
        self._keep(value)

    def show(self, value: T) -> None:
        """Keep what a watch has shown, which the reading that is under way will contain, too."""
        if self._known is not None:
            read_at = self._known.read_at if self._known.failure else self._clock.now()
            self._known = Known(value, read_at, self._known.failure)
        else:  # it could not be read before, and can now
            self._read_s = float("-inf")

    def forget(self) -> None:
        """The next look reads it again and waits for that; if that fails, what is known stands."""
        self._awaited = self._needed
        self._generation += 1
        self._task = None
        self._read_s = float("-inf")

    def _keep(self, value: T) -> None:
        self._known, self._failure, self._read_s = (
            Known(value, self._clock.now()),
            None,
            self._clock.monotonic_s(),
        )
        self._awaited = False

    async def _again(self) -> None:
        generation = self._generation
        try:
            value = await self._read()
        except Transient as error:
            self._fail(generation, Unknown(error.message, retry_after_s=error.retry_after_s))
        except Exception as error:
            log.exception("bug while reading %s", self._what)
            self._fail(
                generation,
                Unknown(
                    f"{self._what}: {type(error).__name__} in the operator; its log has the traceback"
                ),
            )
        else:
            if generation == self._generation:
                self._task = None
                self._keep(value)

    def _fail(self, generation: int, failure: Unknown) -> None:
        if generation != self._generation:
            return
        self._task, self._failure, self._read_s = None, failure, self._clock.monotonic_s()
        self._awaited = False
        if self._known is not None:
            self._known = Known(self._known.value, self._known.read_at, failure.message)
