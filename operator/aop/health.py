"""Whether the process is fit to serve, and whether it is stuck: two questions with two answers.

Several threads write and read it. Every value is replaced whole, so no reader needs a lock, and
none waits for a look.
"""

from __future__ import annotations

from collections.abc import Iterable

from aop.clock import Clock

ANSWER_WITHIN_S = 60.0
"""How old the API server's last answer may be for the process to be fit to serve."""
OVERDUE_S = 300.0
"""How late a visit may be: longer than everything that one visit waits for with a limit."""


class Health:
    """The state by which the kubelet's probes are answered."""

    def __init__(self, clock: Clock, watched: Iterable[str]) -> None:
        self._clock = clock
        self._unlisted = dict.fromkeys(watched)
        self._answered_s = float("-inf")
        self._elected_s: float | None = None
        self._due: dict[str, float] = {}

    def listed(self, watched: str) -> None:
        """The watch of this kind has listed its objects, however few."""
        self._unlisted.pop(watched, None)

    def answered(self) -> None:
        """The API server has answered."""
        self._answered_s = self._clock.monotonic_s()

    def stand(self) -> None:
        """The process stands for election: from now on it has to know who leads."""
        self._elected_s = float("-inf")

    def elected(self) -> None:
        """It is known which process leads.

        Another holds the Lease, or this one took or renewed it.
        """
        self._elected_s = self._clock.monotonic_s()

    def expect(self, what: str, in_s: float = 0.0) -> None:
        """`what` has to be visited in so many seconds, and is late after that."""
        self._due[what] = self._clock.monotonic_s() + in_s

    def forget(self, what: str) -> None:
        """Nobody visits it any more."""
        self._due.pop(what, None)

    def unready(self) -> str:
        """Why the process is not fit to serve; empty when it is."""
        if unlisted := tuple(self._unlisted):
            return f"not listed yet: {', '.join(unlisted)}"
        now_s = self._clock.monotonic_s()
        if now_s - self._answered_s > ANSWER_WITHIN_S:
            return f"no answer of the API server for {now_s - self._answered_s:.0f} s"
        if self._elected_s is not None and now_s - self._elected_s > ANSWER_WITHIN_S:
            return f"who leads is not known for {now_s - self._elected_s:.0f} s: the log says why"
        return ""

    def stuck(self) -> str:
        """Why the process should be started again; empty when it should not."""
        now_s = self._clock.monotonic_s()
        late_s, what = max(
            ((now_s - due_s, what) for what, due_s in tuple(self._due.items())), default=(0.0, "")
        )
        return f"a visit is overdue by {late_s:.0f} s: {what}" if late_s > OVERDUE_S else ""
