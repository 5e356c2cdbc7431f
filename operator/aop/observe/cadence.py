"""How often each host is asked through the edge, within one budget for all objects. Pure.

What is being proven comes first: it gets all that the other objects leave, and these have only a
small share. If there are more hosts than a share allows, the objects with the most hosts are asked
about each of theirs less often; whoever has few hosts is asked as often as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta

from aop.observe.shares import most_each

SUSPICIOUS_S = 4.9
"""The cadence for a host whose visitors are refused, by its last two answers. Three losing answers
then span ten seconds."""
AT_REST = 0.125
"""The share of the budget for objects that prove nothing."""
ANSWERS_A_WINDOW = 15
"""How many requests are wanted in the window of a proof, which needs twelve."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one object wants: so many hosts, each asked so often (in seconds)."""

    hosts: int
    cadence_s: float
    proving: bool

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.hosts / self.cadence_s


class Cadences:
    """Everybody's load, and how often each is asked; `per_second` bounds all requests together."""

    def __init__(self, cadence_s: float, per_second: float) -> None:
        self._cadence_s = cadence_s
        self._per_second = per_second
        self._loads: dict[Hashable, Load] = {}
        self._wanted: dict[bool, Counter[float]] = {True: Counter(), False: Counter()}
        """How many objects want how many requests a second, for those that prove and those that do
        not."""
        self._most: dict[bool, float] | None = None
        self._suspicious: set[Hashable] = set()

    def want(self, who: Hashable, hosts: int, window: timedelta, *, proving: bool) -> bool:
        """Note how many hosts an object wants asked, and whether it proves something.

        True if that has changed.
        """
        cadence_s = self._cadence_s
        if proving:
            cadence_s = min(cadence_s, window.total_seconds() / ANSWERS_A_WINDOW)
        load = Load(hosts, cadence_s, proving)
        if self._loads.get(who) == load:
            return False
        self._count(who, -1)
        self._loads[who] = load
        self._count(who, 1)
        return True

    def drop(self, who: Hashable) -> None:
        """The object no longer wants anything asked."""
        self._count(who, -1)
        self._loads.pop(who, None)
        self._suspicious.discard(who)

    def wanted_s(self, who: Hashable) -> float:
        """How often each host of an object would be asked if there were no others (seconds)."""
        load = self._loads.get(who)
        return load.cadence_s if load else self._cadence_s

    def of(self, who: Hashable) -> float:
        """How often each host of an object is asked while all is well (seconds)."""
        load = self._loads.get(who)
        if load is None or not load.hosts:
            return self.wanted_s(who)
        if self._most is None:
            self._most = self._shared()
        return max(load.cadence_s, load.hosts / self._most[load.proving])

    def note_suspects(self, who: Hashable, *, any_: bool) -> None:
        """Note whether an object has hosts whose visitors are refused."""
        if any_:
            self._suspicious.add(who)
        else:
            self._suspicious.discard(who)

    @property
    def most_suspects(self) -> int:
        """How many suspicious hosts of one object are asked more often.

        Together these hosts have a budget as large as that of all others.
        """
        each = self._per_second * SUSPICIOUS_S / max(1, len(self._suspicious))
        return max(1, int(each))

    def _count(self, who: Hashable, by: int) -> None:
        load = self._loads.get(who)
        if load is None or not load.hosts:
            return
        wanted = self._wanted[load.proving]
        wanted[load.per_second] += by
        if not wanted[load.per_second]:
            del wanted[load.per_second]
        self._most = None

    def _shared(self) -> dict[bool, float]:
        """The most that one object gets, for those that prove and those that do not."""
        others, share = self._wanted[False], AT_REST * self._per_second
        granted = min(share, sum(rate * count for rate, count in others.items()))
        return {
            False: most_each(others, share),
            True: most_each(self._wanted[True], self._per_second - granted),
        }
