"""Whether this process may change anything now, and for how long it surely may.

One of all replicas leads, by a Lease (`election`). A process that was stopped halfway does not know
that another has taken over. So each request that changes something asks here, in the client that
sends it, and no caller has to. It gets a time limit that ends before any other process may lead,
and asks again just before its bytes go out.

A `Lead` is one period of leading. It never begins again: what was decided in it changes nothing in
a later one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from aop.clock import Clock
from aop.errors import Transient

CLOCKS_DIFFER_BY = 0.02
"""How much faster a rival's clock may run than ours: twenty times what both together may be off
(facts: kubernetes#rate-of-a-clock)."""
LEAST_SHARE = 1 / 3
"""With less than this share of the Lease left, nothing is begun: a request that has to end at once
is often cut off, and then nobody knows what came of it."""


class NotLeading(Transient):
    """Nothing was sent, because another process may lead by the time that it would have ended."""


class Permit:
    """The permit for one request to change something, until a moment."""

    def __init__(self, lead: Lead, clock: Clock, limit_s: float) -> None:
        self._lead = lead
        self._clock = clock
        self.limit_s = limit_s
        """The longest that it may take, in seconds."""
        self._begun_s = clock.monotonic_s()

    def check(self, share: float = 1.0) -> None:
        """Ask this when bytes are about to go out.

        Raises `NotLeading` if that share of its time has passed, as for a process that was stopped
        meanwhile, or if another process has taken the lead.
        """
        passed_s = self._clock.monotonic_s() - self._begun_s
        if self._lead.lost or passed_s >= self.limit_s * share:
            raise NotLeading("the request was held back for so long that another process may lead")


class Lead:
    """One period of leading."""

    def __init__(self, clock: Clock, lease_s: float, since_s: float) -> None:
        """`since_s` is when the request was sent that took the Lease (monotonic)."""
        self._clock = clock
        self._lease_s = lease_s
        self._until_s = since_s + self._surely_s
        self._closed = False
        self.lost = False
        """Another process has the Lease already: what has not gone out must not go out any more."""
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.ended = asyncio.Event()
        """Set when it is over, for whatever reason."""

    @classmethod
    def alone(cls, clock: Clock) -> Lead:
        """For a process that is the only one: it leads without end."""
        return cls(clock, math.inf, clock.monotonic_s())

    @classmethod
    def none(cls, clock: Clock) -> Lead:
        """For code that only reads."""
        lead = cls(clock, 0.0, -math.inf)
        lead.end()
        return lead

    @property
    def _surely_s(self) -> float:
        return self._lease_s * (1 - CLOCKS_DIFFER_BY)

    @property
    def left_s(self) -> float:
        """For how many seconds nobody else can lead."""
        return 0.0 if self._closed else max(0.0, self._until_s - self._clock.monotonic_s())

    def renewed(self, sent_s: float) -> None:
        """The Lease was renewed by a request that was sent at that time (monotonic)."""
        self._until_s = max(self._until_s, sent_s + self._surely_s)

    def end(self) -> None:
        """Let nothing begin any more; what is under way goes on to its own limit."""
        self._closed = True
        self.ended.set()

    def lose(self) -> None:
        """Another process has the Lease, before ours ended."""
        self.lost = True
        self.end()

    async def settle(self) -> None:
        """End, and wait until nothing is under way."""
        self.end()
        await self._quiet.wait()

    @contextmanager
    def change(self, limit_s: float) -> Iterator[Permit]:
        """A request that changes something, and may take `limit_s` seconds, or what is left.

        Raises `NotLeading` if too little is left.
        """
        left_s = self.left_s
        if self._closed or left_s < self._least_s:
            raise NotLeading(
                "nothing was sent, because another process may lead soon, or does already"
            )
        self._under_way += 1
        self._quiet.clear()
        try:
            yield Permit(self, self._clock, min(limit_s, left_s))
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    @property
    def _least_s(self) -> float:
        return self._lease_s * LEAST_SHARE if math.isfinite(self._lease_s) else 0.0
