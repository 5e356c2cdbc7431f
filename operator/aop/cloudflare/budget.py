"""One budget of calls per user or account, shared by all of their tokens and zones.

Cloudflare counts a user's calls with all tokens, keys and the dashboard together, 1,200 in 5
minutes, and then refuses every call for 5 minutes. It counts an account's token separately
(facts: cloudflare#calls-per-user). `Window` decides; `Budget` keeps one for each of them, as far as
it can tell whose a token is, and waits, on behalf of `wire`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from aop.clock import Clock
from aop.cloudflare.access import Access, Priority, TokenKind
from aop.cloudflare.errors import ApiFailure, RateLimited
from aop.cloudflare.limits import Allowance
from aop.cloudflare.verdicts import rate_limited
from aop.cloudflare.window import Shares, Window
from aop.metrics import Metrics, TokenFigures

_FORGET_S = 3600.0
AGAIN_S = 5.0
"""The shortest pause after the second refusal in a row, whatever the answer names; it doubles."""


@dataclass(slots=True)
class _Owner:
    """A user, or an account with a token of its own, as far as anybody can tell them apart."""

    window: Window
    used_s: float
    alone: bool = False
    """An account's own token."""
    waiting: Counter[Priority] = field(default_factory=Counter)
    in_flight: int = 0
    known: bool = False
    """Whether an account that it sees is known, or it is one. The calls of all others may be of any
    user."""
    refusals: int = 0
    """How many calls in a row were one too many."""
    answered: bool = False
    """Whether Cloudflare has answered since the process began, so that it is known what is left."""
    first: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_new(self) -> bool:
        """Whether nobody knows yet what others have left."""
        return not self.answered

    def ahead_of(self, priority: Priority) -> int:
        return sum(count for other, count in self.waiting.items() if other < priority)


class Budget:
    """Admits calls.

    It waits out short waits itself. A long one is an exception at once, so that the loop can do
    something else.
    """

    def __init__(
        self,
        shares: Shares | None = None,
        *,
        clock: Clock,
        patience_s: float = 3.0,
        block_s: float = 300.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        metrics: Metrics | None = None,
    ) -> None:
        """`patience_s` is the longest wait that is waited out.

        `block_s` is the length of a pause for which the answer names no time.
        """
        self._shares = shares or Shares()
        self._clock = clock
        self._patience_s = patience_s
        self._block_s = block_s
        self._sleep = sleep
        self._metrics = metrics
        self._sources: dict[str, tuple[str, float]] = {}
        """For each place from which a token was read: the token's key, and when it was last
        used."""
        self._owners: dict[str, _Owner] = {}
        """By token."""
        self._by_account: dict[str, _Owner] = {}
        self._anybody = Window(self._shares)
        """The calls with tokens whose owner nobody knows."""
        self._numbers = count()

    @asynccontextmanager
    async def call(self, access: Access) -> AsyncIterator[None]:
        """Enter once a call may be made, and leave when it is over.

        Among all that wait, smaller priorities go first.

        The first call of a user goes alone: until its answer has arrived, nobody knows what others
        have left.

        Raises `RateLimited` if that would take longer than the patience.
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
            # Asked anew each time: while a call waits, it may turn out whose its token is.
            owner, now_s = self._owner(access), self._clock.monotonic_s()
            ahead, others = owner.ahead_of(access.priority), self._counted_besides(owner)
            waits = (
                owner.window.wait_s(now_s, access.priority, ahead=ahead),
                *(w.room_in_s(now_s, access.priority) for w in others),
            )
            wait_s = max(waits)
            if not wait_s:
                number = next(self._numbers)
                for window in (owner.window, *others):
                    window.take(now_s, access.priority, number)
                return owner
            if now_s + wait_s > deadline_s:
                if self._metrics is not None:
                    self._metrics.postponed.labels(*_labels(access)).inc()
                raise rate_limited(None, wait_s, self._reason(owner, now_s, access.priority))
            owner.waiting[access.priority] += 1
            try:
                await self._sleep(wait_s)
            finally:
                owner.waiting[access.priority] -= 1
                if self._metrics is not None:
                    passed_s = self._clock.monotonic_s() - now_s
                    self._metrics.throttled.labels(*_labels(access)).inc(passed_s)

    def figures(self) -> tuple[TokenFigures, ...]:
        """What is used and left now, for each place from which a token is read."""
        now_s, owners = self._clock.monotonic_s(), dict(self._owners)
        return tuple(
            TokenFigures(source, *owners[key].window.state(now_s))
            for source, (key, _) in sorted(dict(self._sources).items())
            if key in owners
        )

    def learn(self, access: Access, allowances: Iterable[Allowance]) -> None:
        """Cloudflare has answered, and has said what is left."""
        owner = self._owner(access)
        owner.answered = True
        owner.window.learn(
            self._clock.monotonic_s(), tuple(allowances), in_flight=max(owner.in_flight - 1, 0)
        )

    def accepted(self, access: Access) -> None:
        """A call was not one too many."""
        self._owner(access).refusals = 0

    def refused(self, access: Access, failure: ApiFailure) -> RateLimited:
        """Cloudflare refused a call as one too many: pause all calls of the user.

        They pause for as long as it says, and the exception that is returned says so. If it names
        no time, that is until the reset of the limit, or else the documented 5 minutes, with a
        tenth of jitter so that no crowd comes back at once. A time that proves too short is not
        believed again.
        """
        owner = self._owner(access)
        named_s = next(
            (each for each in (failure.retry_after_s, failure.reset_s) if each is not None), None
        )
        wait_s = (
            named_s
            if named_s is not None
            else self._block_s + self._clock.jitter(self._block_s / 10)
        )
        if owner.refusals:
            wait_s = max(wait_s, min(AGAIN_S * 2 ** min(owner.refusals - 1, 20), self._block_s))
        owner.refusals += 1
        owner.window.block(self._clock.monotonic_s() + wait_s)
        return rate_limited(
            failure, wait_s, "Cloudflare's limit for the user or account is reached"
        )

    def learn_account(self, access: Access, account_id: str) -> None:
        """The token has seen a zone of this account.

        Tokens that see the same account count as one user's, because nobody can be asked whose they
        are.
        """
        if access.kind is TokenKind.ACCOUNT or not account_id:
            return
        mine = self._owner(access)
        if not mine.known:
            mine.known = True
            mine.window.count(self._anybody)
        known = self._by_account.setdefault(account_id, mine)
        if known is mine:
            return
        known.window.absorb(mine.window)
        known.refusals, known.answered = (
            max(known.refusals, mine.refusals),
            known.answered or mine.answered,
        )
        for table in (self._owners, self._by_account):
            table.update({key: known for key, owner in table.items() if owner is mine})

    def _counted_besides(self, owner: _Owner) -> list[Window]:
        """The other windows in which a call has to find room.

        It may be one of that user's, too.
        """
        if owner.known:
            return []
        users = {
            id(other): other.window
            for other in self._owners.values()
            if other.known and not other.alone
        }
        return [self._anybody, *users.values()]

    def _owner(self, access: Access) -> _Owner:
        now_s = self._clock.monotonic_s()
        if access.key not in self._owners:
            for table in (self._owners, self._by_account):
                for stale in [
                    key
                    for key, owner in table.items()
                    if now_s - owner.used_s > _FORGET_S and not owner.window.blocked_s(now_s)
                ]:
                    del table[stale]
            alone = access.kind is TokenKind.ACCOUNT
            self._owners[access.key] = _Owner(Window(self._shares), now_s, alone=alone, known=alone)
        owner = self._owners[access.key]
        owner.used_s = now_s
        if access.source not in self._sources:
            for gone in [it for it, (_, at_s) in self._sources.items() if now_s - at_s > _FORGET_S]:
                del self._sources[gone]
        self._sources[access.source] = access.key, now_s
        return owner

    def _reason(self, owner: _Owner, now_s: float, priority: Priority) -> str:
        if owner.window.blocked_s(now_s):
            return "Cloudflare's limit for the user or account is reached"
        if owner.window.spent_s(now_s, priority):
            return "Cloudflare says that little is left of the limit for the user or account, who has other tools too"
        return f"the operator leaves {1 - self._shares.total:.0%} of the user's {self._shares.calls} calls to others"


def _labels(access: Access) -> tuple[str, str]:
    """The labels of a call, in metrics."""
    return access.source, access.priority.name.lower()
