"""When the controller tries: its work queue with back-off, and the token bucket before every sync.

The odd rules are the controller's, and what they add up to was seen on the real one
(facts: ingress-nginx#back-off, ingress-nginx#reloads): failures are counted per key and forgotten
only when a *retry* succeeds, so a repair that comes as a new write leaves the next bad text with
few and late tries.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

BASE_DELAY_S, MAX_DELAY_S = 0.005, 1000.0
ALWAYS = float("inf")
RETRY = 0.0


class TokenBucket:
    """At most `burst` at once and `per_second` in the long run, in the order of asking (the controller: 0.3 syncs/s, burst 1)."""

    def __init__(self, per_second: float = 0.3, burst: int = 1) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def reserve(self, now: float) -> float:
        """Take a token and return how many seconds after `now` it may be used."""
        if self._at is not None:
            self._tokens = min(self._tokens + (now - self._at) * self._per_second, self._burst)
        self._at = now
        self._tokens -= 1
        return max(-self._tokens / self._per_second, 0.0)


def backoff(failures: int) -> float:
    """Seconds before the retry that follows the `failures`-th failure in a row (1, 2, ...): 5 ms doubled, at most 1000 s."""
    return min(BASE_DELAY_S * 2.0 ** (failures - 1), MAX_DELAY_S)


@dataclass(frozen=True, slots=True)
class Order:
    """One wish for a sync.

    `since` is when it was wished for (an older one is settled by a later sync), ALWAYS or RETRY.
    """

    key: str
    since: float


class SyncQueue:
    """Orders for one sync loop, in order; failed ones come back later.

    `now` is a monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ready: dict[Order, None] = {}
        self._later: list[tuple[float, int, Order]] = []
        self._failures: dict[Order, int] = {}
        self._serial = itertools.count()
        self._last_sync = 0.0
        self._woken = asyncio.Event()

    def put(self, key: str, *, skippable: bool) -> None:
        """Wish for a sync.

        One that is not skippable (the ConfigMap's) takes place even if another sync came later than
        the wish.
        """
        self._ready.setdefault(Order(key, self._now() if skippable else ALWAYS), None)
        self._woken.set()

    async def get(self) -> Order:
        """The next order that is due; waits for one."""
        while True:
            self._woken.clear()
            self._ripen()
            while self._ready:
                order = next(iter(self._ready))
                del self._ready[order]
                if order.since in {ALWAYS, RETRY} or order.since > self._last_sync:
                    return order
                self._failures.pop(order, None)
            until_next = self._later[0][0] - self._now() if self._later else None
            try:
                async with asyncio.timeout(until_next):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def failed(self, order: Order) -> float:
        """The sync failed: it comes back. Returns after how many seconds."""
        retry = Order(order.key, RETRY)
        self._failures[retry] = self._failures.get(retry, 0) + 1
        delay = backoff(self._failures[retry])
        due = self._now() + delay
        if not any(waiting == retry and when <= due for when, _, waiting in self._later):
            self._later = [entry for entry in self._later if entry[2] != retry]
            heapq.heapify(self._later)
            heapq.heappush(self._later, (due, next(self._serial), retry))
        return delay

    def succeeded(self, order: Order, *, begun: float) -> None:
        """The sync that began at `begun` succeeded: wishes from before it are settled, and so are this very order's failures."""
        self._failures.pop(order, None)
        self._last_sync = begun

    def _ripen(self) -> None:
        while self._later and self._later[0][0] <= self._now():
            self._ready.setdefault(heapq.heappop(self._later)[2], None)
