"""One budget of calls per token, shared by every zone that the token serves.

Cloudflare gives a user's whole account 1,200 calls in 5 minutes and then refuses every call for 5 minutes (reference: cloudflare-api, 7.2).
Those calls also belong to the user's other tools, so the operator stays below a share of them; what protects visitors goes first, then
what a person waits for, then resyncs. `Window` decides and is pure; `Budget` waits, for `wire`.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aop.clock import Clock
from aop.cloudflare.access import Access, Priority
from aop.cloudflare.errors import Failure, RateLimited
from aop.cloudflare.verdicts import rate_limited

_TOLERANCE_S = 1e-6
"""Sums of floats differ in the last digits; a wait that short is none."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of the account's calls the operator takes. Shares are fractions of `calls`, each stayed *under*."""

    calls: int = 1200
    """Calls that Cloudflare grants within `window_s`."""
    window_s: float = 300.0
    total: float = 0.75
    resync: float = 0.25
    protect: float = 0.05
    """The fraction of `total` that only PROTECT may use: nobody's onboarding starves a relaxation."""

    def __post_init__(self) -> None:
        if not (self.calls >= 1 and self.window_s > 0 and 0 < self.resync <= self.total <= 1 and 0 <= self.protect < 1):
            raise ValueError(f"no usable shares: {self}")

    def allowed(self, priority: Priority) -> int:
        """How many calls, of whatever priority, a window may hold once one of `priority` is made."""
        return self._under(self.total if priority is Priority.PROTECT else self.total * (1 - self.protect))

    @property
    def allowed_resyncs(self) -> int:
        """How many of a window's calls may be RESYNC."""
        return self._under(self.resync)

    def _under(self, share: float) -> int:
        # Rounded, because 1200 * 0.75 need not be 900 to the last digit; at least 1, or nothing would ever be done.
        return max(math.ceil(round(self.calls * share, 6)) - 1, 1)


class Window:
    """The calls of one token within the last `window_s` seconds. Time is passed in, in monotonic seconds."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._taken: deque[tuple[float, Priority]] = deque()
        self._blocked_until_s = -math.inf

    def wait_s(self, now_s: float, priority: Priority, *, ahead: int = 0) -> float:
        """Seconds until a call of this priority may be made, 0 for now, with `ahead` calls waiting that go first."""
        self._forget(now_s)
        waits = [self.blocked_s(now_s), self._room_in_s(now_s, [at for at, _ in self._taken], self._shares.allowed(priority), ahead)]
        if priority is Priority.RESYNC:
            resyncs = [at for at, other in self._taken if other is Priority.RESYNC]
            waits.append(self._room_in_s(now_s, resyncs, self._shares.allowed_resyncs, 0))
        wait = max(waits)
        return wait if wait > _TOLERANCE_S else 0.0

    def take(self, now_s: float, priority: Priority) -> None:
        """Count one call."""
        self._taken.append((now_s, priority))

    def block(self, until_s: float) -> None:
        """Cloudflare said 429: no call at all before `until_s`."""
        self._blocked_until_s = max(self._blocked_until_s, until_s)

    def blocked_s(self, now_s: float) -> float:
        """Seconds for which Cloudflare refuses every call; 0 if it does not."""
        return max(self._blocked_until_s - now_s, 0.0)

    def idle(self, now_s: float) -> bool:
        """True if nothing is lost by forgetting this window."""
        self._forget(now_s)
        return not self._taken and self.blocked_s(now_s) == 0

    def _room_in_s(self, now_s: float, taken: list[float], allowed: int, ahead: int) -> float:
        excess = len(taken) + ahead + 1 - allowed
        if excess <= 0 or not taken:
            return 0.0
        return taken[min(excess, len(taken)) - 1] + self._shares.window_s - now_s

    def _forget(self, now_s: float) -> None:
        while self._taken and self._taken[0][0] + self._shares.window_s <= now_s + _TOLERANCE_S:
            self._taken.popleft()


@dataclass(slots=True)
class _Account:
    window: Window
    waiting: Counter[Priority] = field(default_factory=Counter)

    def ahead_of(self, priority: Priority) -> int:
        return sum(count for other, count in self.waiting.items() if other < priority)


class Budget:
    """Admits calls. Short waits are waited out here; a long one is an exception at once, so that the loop can do something else."""

    def __init__(
        self,
        shares: Shares | None = None,
        *,
        clock: Clock,
        patience_s: float = 3.0,
        block_s: float = 300.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`patience_s`: the longest wait that is waited out. `block_s`: the length of a 429 without Retry-After."""
        self._shares = shares or Shares()
        self._clock = clock
        self._patience_s = patience_s
        self._block_s = block_s
        self._sleep = sleep
        self._accounts: dict[str, _Account] = {}

    async def admit(self, access: Access) -> None:
        """Return once a call may be made, and count it. Everything that waits lets a smaller priority go first.

        Raises:
            RateLimited: that would take longer than the patience.
        """
        account = self._account(access)
        deadline_s = self._clock.monotonic_s() + self._patience_s
        while wait_s := account.window.wait_s(now_s := self._clock.monotonic_s(), access.priority, ahead=account.ahead_of(access.priority)):
            if now_s + wait_s > deadline_s:
                raise rate_limited(None, wait_s, self._reason(account, now_s))
            account.waiting[access.priority] += 1
            try:
                await self._sleep(wait_s)
            finally:
                account.waiting[access.priority] -= 1
        account.window.take(now_s, access.priority)

    def refused(self, access: Access, failure: Failure) -> RateLimited:
        """Cloudflare answered 429: pause the whole token for as long as it says, and return the exception that says so.

        Without a Retry-After it is the documented 5 minutes, with a tenth of jitter so that no crowd returns at once.
        """
        wait_s = failure.retry_after_s if failure.retry_after_s is not None else self._block_s + self._clock.jitter(self._block_s / 10)
        self._account(access).window.block(self._clock.monotonic_s() + wait_s)
        return rate_limited(failure, wait_s, "Cloudflare's limit for the account is reached")

    def _account(self, access: Access) -> _Account:
        key = access.key
        if key not in self._accounts:
            now_s = self._clock.monotonic_s()
            idle = [other for other, account in self._accounts.items() if account.window.idle(now_s) and not account.waiting.total()]
            for other in idle:
                del self._accounts[other]
            self._accounts[key] = _Account(Window(self._shares))
        return self._accounts[key]

    def _reason(self, account: _Account, now_s: float) -> str:
        if account.window.blocked_s(now_s):
            return "Cloudflare's limit for the account is reached"
        return f"the operator leaves {1 - self._shares.total:.0%} of the account's {self._shares.calls} calls to others"
