"""One budget of calls per user or account, shared by every token and zone of theirs.

Cloudflare counts a user's calls with all tokens, keys and the dashboard together, 1,200 in 5 minutes, and then refuses every call for 5
minutes; a token of an account is counted by itself (reference: cloudflare-api, 7.2 and 14.2). Those calls also belong to the user's other
tools, so the operator stays below a share of them; what protects visitors goes first, then what a person waits for, then resyncs. What
Cloudflare says is left is the truth, also after a restart. `Window` decides and is pure; `Budget` waits, for `wire`.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from aop.clock import Clock
from aop.cloudflare.access import Access, Priority, TokenKind
from aop.cloudflare.errors import Failure, RateLimited
from aop.cloudflare.limits import Allowance
from aop.cloudflare.verdicts import rate_limited

_TOLERANCE_S = 1e-6
"""Sums of floats differ in the last digits; a wait that short is none."""
_FORGET_S = 3600.0
AGAIN_S = 5.0
"""The least pause after the second refusal in a row, whatever the answer names; it doubles."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a user's calls the operator takes. Shares are fractions of `calls`, each stayed *under*."""

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

    def reserve(self, quota: int, priority: Priority) -> int:
        """How many of `quota` calls are left to others, whoever has used up the rest; what protects may use the last one."""
        return 0 if priority is Priority.PROTECT else math.floor(round(quota * (1 - self.total), 6))

    def _under(self, share: float) -> int:
        # Rounded, because 1200 * 0.75 need not be 900 to the last digit; at least 1, or nothing would ever be done.
        return max(math.ceil(round(self.calls * share, 6)) - 1, 1)


@dataclass(slots=True)
class Reading:
    """What Cloudflare last said of one limit, less the calls that were made since."""

    left: int
    until_s: float
    quota: int


class Window:
    """The calls of one user or account within the last `window_s` seconds. Time is passed in, in monotonic seconds."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._taken: deque[tuple[float, Priority]] = deque()
        self._blocked_until_s = -math.inf
        self._readings: dict[str, Reading] = {}

    def wait_s(self, now_s: float, priority: Priority, *, ahead: int = 0) -> float:
        """Seconds until a call of this priority may be made, 0 for now, with `ahead` calls waiting that go first."""
        self._forget(now_s)
        waits = [
            self.blocked_s(now_s),
            self.spent_s(now_s, priority, ahead=ahead),
            self._room_in_s(now_s, [at for at, _ in self._taken], self._shares.allowed(priority), ahead),
        ]
        if priority is Priority.RESYNC:
            resyncs = [at for at, other in self._taken if other is Priority.RESYNC]
            waits.append(self._room_in_s(now_s, resyncs, self._shares.allowed_resyncs, 0))
        wait = max(waits)
        return wait if wait > _TOLERANCE_S else 0.0

    def take(self, now_s: float, priority: Priority) -> None:
        """Count one call."""
        self._taken.append((now_s, priority))
        for reading in self._readings.values():
            reading.left -= 1

    def told(self, now_s: float, allowances: Iterable[Allowance], *, in_flight: int) -> None:
        """Cloudflare said what is left; `in_flight` calls of ours may not be counted in it yet. The smallest number is the truth.

        A quota that it states is what our shares are shares of.
        """
        stated = [(each.quota, each.window_s) for each in allowances if each.quota and each.window_s]
        if stated:
            quota, window_s = min(stated, key=lambda each: each[0] / each[1])
            self._shares = replace(self._shares, calls=quota, window_s=window_s)
        for each in allowances:
            fresh = Reading(each.left - in_flight, now_s + each.reset_s, each.quota or max(self._shares.calls, each.left))
            known = self._readings.get(each.name)
            if known is None or known.until_s <= now_s or fresh.left <= known.left:
                self._readings[each.name] = fresh

    def block(self, until_s: float) -> None:
        """Cloudflare has refused a call as one too many: no call at all before `until_s`."""
        self._blocked_until_s = max(self._blocked_until_s, until_s)

    def blocked_s(self, now_s: float) -> float:
        """Seconds for which Cloudflare refuses every call; 0 if it does not."""
        return max(self._blocked_until_s - now_s, 0.0)

    def spent_s(self, now_s: float, priority: Priority, *, ahead: int = 0) -> float:
        """Seconds until a limit of which too little is left is reset; 0 if there is enough."""
        return max(
            (
                reading.until_s - now_s
                for reading in self._readings.values()
                if reading.until_s > now_s and reading.left - ahead <= self._shares.reserve(reading.quota, priority)
            ),
            default=0.0,
        )

    def absorb(self, other: Window) -> None:
        """The calls of `other` turn out to be of the same user: whatever holds for one holds for both."""
        self._taken = deque(sorted([*self._taken, *other._taken]))
        self.block(other._blocked_until_s)
        for name, reading in other._readings.items():
            known = self._readings.get(name)
            if known is None or reading.left < known.left:
                self._readings[name] = reading

    def _room_in_s(self, now_s: float, taken: list[float], allowed: int, ahead: int) -> float:
        excess = len(taken) + ahead + 1 - allowed
        if excess <= 0 or not taken:
            return 0.0
        return taken[min(excess, len(taken)) - 1] + self._shares.window_s - now_s

    def _forget(self, now_s: float) -> None:
        while self._taken and self._taken[0][0] + self._shares.window_s <= now_s + _TOLERANCE_S:
            self._taken.popleft()
        self._readings = {name: reading for name, reading in self._readings.items() if reading.until_s > now_s}


@dataclass(slots=True)
class _Owner:
    """A user, or an account with a token of its own, as far as anybody can tell them apart."""

    window: Window
    used_s: float
    waiting: Counter[Priority] = field(default_factory=Counter)
    in_flight: int = 0
    refusals: int = 0
    """Calls in a row that were one too many."""
    answered: bool = False
    """Cloudflare has answered since the process began, so that it is known what is left."""
    first: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_new(self) -> bool:
        """Nobody knows yet what others have left."""
        return not self.answered

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
        """`patience_s`: the longest wait that is waited out. `block_s`: the length of a pause that no answer names."""
        self._shares = shares or Shares()
        self._clock = clock
        self._patience_s = patience_s
        self._block_s = block_s
        self._sleep = sleep
        self._owners: dict[str, _Owner] = {}
        """By token."""
        self._by_account: dict[str, _Owner] = {}

    @asynccontextmanager
    async def call(self, access: Access) -> AsyncIterator[None]:
        """Enter once a call may be made, and leave when it is over. Everything that waits lets a smaller priority go first.

        The first call of a user goes alone: until its answer is there, nobody knows what others have left.

        Raises:
            RateLimited: that would take longer than the patience.
        """
        with ExitStack() as stack:
            owner = self._owner(access)
            if owner.is_new() and access.priority is not Priority.PROTECT:
                await owner.first.acquire()
                stack.callback(owner.first.release)
                if not owner.is_new():  # any more, after the wait
                    stack.close()
            owner = await self.admit(access)
            owner.in_flight += 1
            try:
                yield
            finally:
                owner.in_flight -= 1
                owner.answered = True

    async def admit(self, access: Access) -> _Owner:
        """Return once a call may be made, and count it."""
        deadline_s = self._clock.monotonic_s() + self._patience_s
        while True:
            # Asked anew each time: while somebody waits, a token may turn out to be of a user who is known already.
            owner, now_s = self._owner(access), self._clock.monotonic_s()
            wait_s = owner.window.wait_s(now_s, access.priority, ahead=owner.ahead_of(access.priority))
            if not wait_s:
                owner.window.take(now_s, access.priority)
                return owner
            if now_s + wait_s > deadline_s:
                raise rate_limited(None, wait_s, self._reason(owner, now_s, access.priority))
            owner.waiting[access.priority] += 1
            try:
                await self._sleep(wait_s)
            finally:
                owner.waiting[access.priority] -= 1

    def told(self, access: Access, allowances: Iterable[Allowance]) -> None:
        """Cloudflare has answered, and said what is left."""
        owner = self._owner(access)
        owner.answered = True
        owner.window.told(self._clock.monotonic_s(), tuple(allowances), in_flight=max(owner.in_flight - 1, 0))

    def accepted(self, access: Access) -> None:
        """A call was not one too many."""
        self._owner(access).refusals = 0

    def refused(self, access: Access, failure: Failure) -> RateLimited:
        """Cloudflare refused a call as one too many: pause all of the user's for as long as it says, and return the exception that says so.

        Where it names no time it is the reset of the limit, else the documented 5 minutes, with a tenth of jitter so that no crowd
        returns at once. A time that proves too short is not believed again.
        """
        owner = self._owner(access)
        named_s = next((each for each in (failure.retry_after_s, failure.reset_s) if each is not None), None)
        wait_s = named_s if named_s is not None else self._block_s + self._clock.jitter(self._block_s / 10)
        if owner.refusals:
            wait_s = max(wait_s, min(AGAIN_S * 2 ** min(owner.refusals - 1, 20), self._block_s))
        owner.refusals += 1
        owner.window.block(self._clock.monotonic_s() + wait_s)
        return rate_limited(failure, wait_s, "Cloudflare's limit for the user or account is reached")

    def learn_account(self, access: Access, account_id: str) -> None:
        """The token has shown a zone of this account: tokens that see one account count as one user's, since nobody can be asked whose they are."""
        if access.kind is TokenKind.ACCOUNT or not account_id:
            return
        mine = self._owner(access)
        known = self._by_account.setdefault(account_id, mine)
        if known is mine:
            return
        known.window.absorb(mine.window)
        known.refusals, known.answered = max(known.refusals, mine.refusals), known.answered or mine.answered
        for table in (self._owners, self._by_account):
            table.update({key: known for key, owner in table.items() if owner is mine})

    def _owner(self, access: Access) -> _Owner:
        now_s = self._clock.monotonic_s()
        if access.key not in self._owners:
            for table in (self._owners, self._by_account):
                for stale in [
                    key for key, owner in table.items() if now_s - owner.used_s > _FORGET_S and not owner.window.blocked_s(now_s)
                ]:
                    del table[stale]
            self._owners[access.key] = _Owner(Window(self._shares), now_s)
        owner = self._owners[access.key]
        owner.used_s = now_s
        return owner

    def _reason(self, owner: _Owner, now_s: float, priority: Priority) -> str:
        if owner.window.blocked_s(now_s):
            return "Cloudflare's limit for the user or account is reached"
        if owner.window.spent_s(now_s, priority):
            return "Cloudflare says that little is left of the limit for the user or account, who has other tools too"
        return f"the operator leaves {1 - self._shares.total:.0%} of the user's {self._shares.calls} calls to others"
