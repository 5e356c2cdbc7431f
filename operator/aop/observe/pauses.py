"""How long the next write of an origin's carrier waits for the one before it. Pure.

Each write makes every replica read the whole text anew, and delays those who were about to see what
the last one does. So the pauses grow with the number of those who wait (docs/adr/0019).
"""

from __future__ import annotations

SYNC_S = 10.0
"""How long a write waits until every replica was seen to run the one before it. A controller that
takes longer takes up both together."""
EACH_S, MOST_S = 0.35, 7.0
"""What each object that waits for something adds to the shortest time between two writes, and the
longest that this gives. Where many change at once, few reloads are enough; whoever changes alone
waits for nobody."""
MANY, MANY_EACH_S = 100, 0.1
"""From how many on each further one adds more, and how much: hundreds take minutes in any case."""
SHOWN_S = 20.0
"""The longest time for which a write waits until all have seen what the one before it does to their
hosts: each reload delays that for those who still wait."""
GATHERED_S, GATHERED_EACH_S = 0.1, 0.005
"""For how long nobody else must have come before a write goes out, and what each object that waits
for something adds to it: objects that decide at the same moment do so one after the other."""
GATHERED_LEAST_S, GATHERED_MOST_EACH_S, GATHERED_MOST_S = 3.0, 0.03, 30.0
"""The longest time for which the first change of a write waits for the others, what each object
that waits for something adds to it, and the longest that this gives. The change was decided on what
was there when it came."""


def pause_s(waiting: int, *, applied: bool, unseen: bool) -> float:
    """Seconds between two writes while so many objects wait for something.

    `applied`: every replica was seen to run the last write; `unseen`: some object has not yet seen
    what it does to its hosts.
    """
    if not applied:
        least_s = SYNC_S
    elif unseen:
        least_s = SHOWN_S
    else:
        least_s = min(waiting * EACH_S, MOST_S)
    return max(least_s, (waiting - MANY) * MANY_EACH_S)


def gathered_s(waiting: int) -> float:
    """Seconds for which nobody else must have come before a write goes out."""
    return GATHERED_S + waiting * GATHERED_EACH_S


def gathered_at_most_s(waiting: int) -> float:
    """Seconds after which a write goes out even if others still come."""
    return min(GATHERED_LEAST_S + waiting * GATHERED_MOST_EACH_S, GATHERED_MOST_S)
