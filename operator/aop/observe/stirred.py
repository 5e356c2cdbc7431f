"""What a watch shows of an origin: one of those who share it looks, and it wakes the others.

In a busy namespace pods and Ingresses change all the time, and a look at a change costs as many
looks as there are objects on the origin, or on all origins whose drivers read it. So the first
change after a quiet time is looked at once, and further ones after a time that grows with the
number of these objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from aop.clock import Clock

GATHERED_S = 0.2
"""How long a change waits for those that come with it."""
APART_S, APART_EACH_S = 5.0, 0.06
"""How far such looks are apart at least, and how much each object that the change concerns adds to
it, on whatever origin: a look at a thousand objects takes ten seconds of CPU."""
UNSEEN_S = 10.0
"""After this time without a look another one is asked for it. The first may be blocked by its own
spec, or have moved to another origin."""


class Stirred:
    """Changes of one origin's objects; built once by its keeper."""

    def __init__(
        self,
        clock: Clock,
        sharers: Callable[[], Collection[str]],
        wake: Callable[[frozenset[str]], None],
    ) -> None:
        """`sharers` are the uids of those who share the origin; `wake` has some of them look."""
        self._clock = clock
        self._sharers = sharers
        self._wake = wake
        self._last = ""
        """The uid of the object that looked last."""
        self._asked: set[str] = set()
        """Who was to look since then."""
        self._timer: asyncio.TimerHandle | None = None
        self._unseen: asyncio.TimerHandle | None = None
        self._due_s, self._begun_s = float("inf"), float("-inf")
        """When one is to look, and when one was last told to."""
        self._concerned = 0
        """How many objects the last change concerned."""
        self._others: asyncio.TimerHandle | None = None
        self._woken_s = float("-inf")
        """When all others were last told to look."""

    @property
    def concerned(self) -> int:
        """How many objects look if there is a change here."""
        return len(self._sharers())

    def notice(self, concerned: int) -> None:
        """A watch has shown a change, which concerns so many objects on all origins together."""
        self._concerned = concerned
        now_s = self._clock.monotonic_s()
        due_s = max(now_s + GATHERED_S, self._begun_s + self._apart_s(concerned))
        if self._timer is not None:
            if due_s >= self._due_s:
                return
            self._timer.cancel()
        self._due_s = due_s
        self._timer = asyncio.get_running_loop().call_later(due_s - now_s, self._one_looks)

    def note_look(self, uid: str) -> None:
        """An object has looked at all that was shown so far."""
        self._last = uid
        self._asked.clear()
        if self._unseen is not None:
            self._unseen.cancel()

    def meet(self, uid: str) -> None:
        """An object has met a change: the others look, too.

        So that they do not look without end while something changes all the time, those looks are
        as far apart as the first ones.
        """
        now_s = self._clock.monotonic_s()
        due_s = self._woken_s + self._apart_s(max(self._concerned, self.concerned))
        if due_s <= now_s:
            self._all_look(uid)
        elif self._others is None:
            loop = asyncio.get_running_loop()
            self._others = loop.call_later(due_s - now_s, self._all_look)

    def end(self) -> None:
        """Nobody looks any more."""
        for timer in (self._timer, self._unseen, self._others):
            if timer is not None:
                timer.cancel()

    def _one_looks(self) -> None:
        self._timer, self._begun_s = None, self._clock.monotonic_s()
        if self._asked.issuperset(self._sharers()):
            self._asked.clear()
        self._another_looks()

    def _all_look(self, but: str = "") -> None:
        if self._others is not None:
            self._others.cancel()
        self._others, self._woken_s = None, self._clock.monotonic_s()
        self._wake(frozenset(self._sharers()) - {but})

    def _apart_s(self, concerned: int) -> float:
        return APART_S + APART_EACH_S * concerned

    def _another_looks(self) -> None:
        """One looks who was not asked for it yet."""
        if self._unseen is not None:
            self._unseen.cancel()
        left = [uid for uid in self._sharers() if uid not in self._asked]
        if not left:
            return
        one = self._last if self._last in left else left[0]
        self._asked.add(one)
        self._unseen = asyncio.get_running_loop().call_later(UNSEEN_S, self._another_looks)
        self._wake(frozenset({one}))
