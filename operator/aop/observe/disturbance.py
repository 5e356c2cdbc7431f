"""Whether somebody puts their text back over ours, again and again. Pure.

A GitOps tool that owns the keys undoes every write of ours within seconds, and each round costs
every replica two reloads. After the third time the status names the tool, and the operator writes
its text again only after pauses that grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aop.observed import Overwritten
from aop.origins.sites import Published

TIMES = 3
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0
FORGOTTEN_AFTER = timedelta(hours=1)
"""After a text of ours has stood for this long, the count begins anew."""


@dataclass(slots=True)
class Disturbance:
    """What has happened to one origin's text since this process began to look at it."""

    times: int = 0
    first: datetime | None = None
    written: bool = False
    """This process has written a text of ours."""
    standing_since: datetime | None = None
    """Since when a whole text of ours stands there; None: there is none."""
    overwritten: Overwritten | None = None

    def notice(
        self,
        before: Published,
        after: Published,
        now: datetime,
        *,
        ours: bool,
        by: str = "",
    ) -> None:
        """The text has changed, by a write of `ours` or by anybody's.

        It counts if somebody has undone what we wrote. `by` names them where something other than
        the fields that they own shows who it was.
        """
        # Each write of our text counts its revision up.
        undone = before.stands and not (after.intact and after.revision >= before.revision)
        if undone and self.written and not ours:
            self._count(by or overwriter(after), now)
        self.written = self.written or ours
        if not after.stands:
            self.standing_since = None
        elif undone or self.standing_since is None:
            self.standing_since = now

    def _count(self, by: str, now: datetime) -> None:
        if self.standing_since is not None and now - self.standing_since > FORGOTTEN_AFTER:
            self.times, self.first, self.overwritten = 0, None, None
        self.times, self.first = self.times + 1, self.first or now
        if self.times >= TIMES:
            pause_s = min(FIRST_PAUSE_S * 2.0 ** min(self.times - TIMES, 10), LONGEST_PAUSE_S)
            self.overwritten = Overwritten(
                by, self.times, self.first, now + timedelta(seconds=pause_s)
            )


def overwriter(published: Published) -> str:
    """Who wrote in the place of our text, as the API server names them."""
    writers = ", ".join(published.writers)
    return f"field manager {writers}" if writers else "somebody"
