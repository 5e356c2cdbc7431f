"""How many calls may be made now. Pure: time is passed in.

The operator stays below a share of what Cloudflare grants a user. What protects visitors goes
first, then what a person waits for, then resyncs. What Cloudflare itself says is left takes
precedence over our own count.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from aop.cloudflare.access import Priority
from aop.cloudflare.limits import Allowance

_TOLERANCE_S = 1e-6
"""Sums of floats differ in the last digits; so short a wait is none."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a user's calls the operator takes.

    Shares are fractions of `calls`, each stayed *under*.
    """

    calls: int = 1200
    """Calls that Cloudflare grants within `window_s`."""
    window_s: float = 300.0
    total: float = 0.75
    resync: float = 0.25
    protect: float = 0.05
    """The fraction of `total` that only PROTECT may use, and of `resync` that resyncs leave, so
    that nobody's onboarding starves a relaxation."""

    def __post_init__(self) -> None:
        if not (
            self.calls >= 1
            and self.window_s > 0
            and 0 < self.resync <= self.total <= 1
            and 0 <= self.protect < 1
        ):
            raise ValueError(f"no usable shares: {self}")

    def allowed(self, priority: Priority) -> int:
        """How many calls a window may have, including one of `priority`.

        All calls count, whatever their priority.
        """
        return self._under(
            self.total if priority is Priority.PROTECT else self.total * (1 - self.protect)
        )

    @property
    def allowed_resyncs(self) -> int:
        """How many of a window's calls may be RESYNC."""
        return self._under(self.resync)

    @property
    def quiet(self) -> int:
        """How many calls of any priority a window has when only resyncs are made.

        They leave room for whatever is more urgent.
        """
        return self._under(self.resync * (1 - self.protect))

    @property
    def owed_resyncs(self) -> int:
        """How many RESYNC calls a window may have, however many others are made.

        A long onboarding must not blind all other zones.
        """
        return self.allowed_resyncs // 2

    def reserve(self, quota: int, priority: Priority) -> int:
        """How many of `quota` calls are left to others, whoever has used up the rest.

        What protects may use the last one.
        """
        return 0 if priority is Priority.PROTECT else math.floor(round(quota * (1 - self.total), 6))

    def _under(self, share: float) -> int:
        # Rounded, because 1200 * 0.75 need not be exactly 900; at least 1, or nothing would ever be
        # done.
        return max(math.ceil(round(self.calls * share, 6)) - 1, 1)


@dataclass(slots=True)
class RateReading:
    """What Cloudflare last said about one limit, less the calls that were made since."""

    left: int
    until_s: float
    quota: int


class Window:
    """The calls of one user or account within the last `window_s` seconds, in monotonic seconds."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._taken: deque[tuple[float, int, Priority]] = deque()
        """When, which, and how urgent; the number identifies a call that is counted in several
        windows."""
        self._blocked_until_s = -math.inf
        self._readings: dict[str, RateReading] = {}

    def wait_s(self, now_s: float, priority: Priority, *, ahead: int = 0) -> float:
        """Seconds until a call of this priority may be made; 0: now.

        `ahead` calls that go first are waiting.
        """
        waits = (
            self.blocked_s(now_s),
            self.spent_s(now_s, priority, ahead=ahead),
            self.room_in_s(now_s, priority, ahead=ahead),
        )
        return max(waits)

    def take(self, now_s: float, priority: Priority, number: int) -> None:
        """Count one call; `number` is its own."""
        self._taken.append((now_s, number, priority))
        for reading in self._readings.values():
            reading.left -= 1

    def learn(self, now_s: float, allowances: Iterable[Allowance], *, in_flight: int) -> None:
        """Cloudflare has said what is left; `in_flight` calls of ours may not be counted in it yet.

        The smallest number counts. If it states a quota, our shares are shares of that.
        """
        stated = [
            (each.quota, each.window_s) for each in allowances if each.quota and each.window_s
        ]
        if stated:
            quota, window_s = min(stated, key=lambda each: each[0] / each[1])
            self._shares = replace(self._shares, calls=quota, window_s=window_s)
        for each in allowances:
            fresh = RateReading(
                each.left - in_flight,
                now_s + each.reset_s,
                each.quota or max(self._shares.calls, each.left),
            )
            known = self._readings.get(each.name)
            if known is None or known.until_s <= now_s or fresh.left <= known.left:
                self._readings[each.name] = fresh

    def block(self, until_s: float) -> None:
        """Cloudflare has refused a call as one too many: no call at all before `until_s`."""
        self._blocked_until_s = max(self._blocked_until_s, until_s)

    def blocked_s(self, now_s: float) -> float:
        """Seconds for which Cloudflare refuses every call; 0 if it does not."""
        return _wait(self._blocked_until_s - now_s)

    def spent_s(self, now_s: float, priority: Priority, *, ahead: int = 0) -> float:
        """Seconds until a limit is reset of which too little is left; 0 if there is enough."""
        self._readings = {
            name: reading for name, reading in self._readings.items() if reading.until_s > now_s
        }
        spent = (
            reading.until_s - now_s
            for reading in self._readings.values()
            if reading.left - ahead <= self._shares.reserve(reading.quota, priority)
        )
        return _wait(max(spent, default=0.0))

    def room_in_s(self, now_s: float, priority: Priority, *, ahead: int = 0) -> float:
        """Seconds until our own share has room, by our own count."""
        while self._taken and self._taken[0][0] + self._shares.window_s <= now_s + _TOLERANCE_S:
            self._taken.popleft()
        taken = [at for at, _, _ in self._taken]
        wait_s = self._free_in_s(now_s, taken, self._shares.allowed(priority), ahead)
        if priority is Priority.RESYNC:
            resyncs = [at for at, _, other in self._taken if other is Priority.RESYNC]
            quiet_s = self._free_in_s(now_s, taken, self._shares.quiet, ahead)
            owed_s = self._free_in_s(now_s, resyncs, self._shares.owed_resyncs, 0)
            wait_s = max(
                wait_s,
                self._free_in_s(now_s, resyncs, self._shares.allowed_resyncs, 0),
                min(quiet_s, owed_s),
            )
        return _wait(wait_s)

    def state(self, now_s: float) -> tuple[int, int, int, float]:
        """The calls that the operator stays under, those it has made, those left, and the pause.

        It changes nothing, so another thread may ask.
        """
        began_s = now_s - self._shares.window_s
        used = sum(1 for at_s, _, _ in tuple(self._taken) if at_s > began_s)
        allowed = self._shares.allowed(Priority.PROTECT)
        by_cloudflare = [
            reading.left - self._shares.reserve(reading.quota, Priority.ONBOARD)
            for reading in tuple(self._readings.values())
            if reading.until_s > now_s
        ]
        left = 0 if self.blocked_s(now_s) else max(0, min([allowed - used, *by_cloudflare]))
        return allowed, used, left, self.blocked_s(now_s)

    def absorb(self, other: Window) -> None:
        """The calls of `other` turn out to be of the same user.

        Whatever applies to one applies to both.
        """
        self.count(other)
        self.block(other._blocked_until_s)
        for name, reading in other._readings.items():
            known = self._readings.get(name)
            if known is None or reading.left < known.left:
                self._readings[name] = reading

    def count(self, other: Window) -> None:
        """Count the calls of `other` here too, each only once."""
        self._taken = deque(sorted({*self._taken, *other._taken}))

    def _free_in_s(self, now_s: float, taken: list[float], allowed: int, ahead: int) -> float:
        excess = len(taken) + ahead + 1 - allowed
        if excess <= 0 or not taken:
            return 0.0
        return taken[min(excess, len(taken)) - 1] + self._shares.window_s - now_s


def _wait(seconds: float) -> float:
    return seconds if seconds > _TOLERANCE_S else 0.0
