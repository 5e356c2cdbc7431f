"""Whether somebody puts their text back over ours, again and again: pure, part of the memory of an origin's keeper.

A GitOps tool that owns the keys undoes every write of ours within seconds, and each round costs every replica two reloads. After the
third time it is named, and ours is written again only after pauses that grow (design, section 6: an overwrite is noticed and repaired).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aop.observed import Overwritten
from aop.origins import ingress_nginx

TIMES = 3
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0
FORGOTTEN_AFTER = timedelta(hours=1)
"""A text of ours that has stood for so long begins a new count."""


@dataclass(slots=True)
class Disturbance:
    """What one ConfigMap has been through since this process began to look at it."""

    times: int = 0
    first: datetime | None = None
    last: datetime | None = None
    written: bool = False
    """This process has written a text of ours."""
    overwritten: Overwritten | None = None

    def wrote(self) -> None:
        """A text of ours went out."""
        self.written = True

    def notice(self, before: ingress_nginx.Stored, after: ingress_nginx.Stored, now: datetime) -> None:
        """The text has changed; counts when somebody has undone what we wrote."""
        if self.last is not None and now - self.last > FORGOTTEN_AFTER:
            self.times, self.first, self.overwritten = 0, None, None
        # Whoever writes a text of ours counts its revision up.
        undone = before.intact and bool(before.entries) and not (after.intact and after.revision >= before.revision)
        if not undone or not self.written:
            return
        self.times, self.first, self.last = self.times + 1, self.first or now, now
        if self.times >= TIMES:
            pause_s = min(FIRST_PAUSE_S * 2.0 ** min(self.times - TIMES, 10), LONGEST_PAUSE_S)
            self.overwritten = Overwritten(overwriter(after), self.times, self.first, now + timedelta(seconds=pause_s))


def overwriter(stored: ingress_nginx.Stored) -> str:
    """The field manager that owns a key of ours, as the API server names it."""
    last = [snippet.writers[0].manager for snippet in stored.snippets.values() if snippet.writers]
    return f"field manager {', '.join(sorted(set(last)))}" if last else "somebody"
