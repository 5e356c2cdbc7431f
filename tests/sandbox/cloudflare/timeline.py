"""Values over time, so that "what was so at that moment" is a question and not a copy.

Every state of the double that can be seen late is a `Timeline`: an edge location, or a lagging
list, reads it at an earlier moment. Moments are unix seconds, given by the caller.
"""

import bisect
import math
from typing import Generic, TypeVar

T = TypeVar("T")


class Timeline(Generic[T]):
    """One value that changes at known moments, some of which may lie ahead."""

    def __init__(self, value: T) -> None:
        self._moments = [-math.inf]
        self._values = [value]

    def set(self, value: T, *, at: float) -> None:
        """From `at` on it is `value`; whatever was planned for `at` or later no longer happens."""
        first = max(bisect.bisect_left(self._moments, at), 1)
        del self._moments[first:], self._values[first:]
        self._moments.append(at)
        self._values.append(value)

    def at(self, moment: float) -> T:
        """The value at that moment."""
        return self._values[bisect.bisect_right(self._moments, moment) - 1]

    def reached(self, value: T, moment: float) -> float | None:
        """When it last became `value`, up to `moment`; None if it never was."""
        for index in range(bisect.bisect_right(self._moments, moment) - 1, -1, -1):
            if self._values[index] == value:
                return self._moments[index]
        return None


class Lag:
    """A place that hears of changes `delay_s` later.

    It never unlearns: a delay that grows makes it stand still, not go back.
    """

    def __init__(self, delay_s: float = 0) -> None:
        self.delay_s = delay_s
        self._seen = -math.inf

    def seen(self, now: float) -> float:
        """The moment whose state this place shows now."""
        self._seen = max(self._seen, now - self.delay_s)
        return self._seen

    def set_delay(self, delay_s: float, *, now: float) -> None:
        """From now on changes take `delay_s`."""
        self.seen(now)
        self.delay_s = delay_s
