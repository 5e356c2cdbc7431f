"""How long the next write of an origin's carrier waits for the one before it. Pure.

Each write has every replica read all of the text anew, and holds up those who were about to see
what the last one does. So the pauses grow with how many wait (docs/adr/0019).
"""

from __future__ import annotations

SYNC_S = 10.0
"""How long a write waits for the one before it to be seen on every replica: a controller that takes
longer takes this one in as well."""
EACH_S, MOST_S = 0.35, 7.0
"""What each object that waits for something adds to the least time between two writes, and the most
that comes of it: where many change at once few reloads do, and who changes alone waits for
nobody."""
MANY, MANY_EACH_S = 100, 0.1
"""Beyond so many, what each further one adds: hundreds are on their way for minutes, whatever the
pauses are."""
SHOWN_S = 20.0
"""How long at most a write waits until all are shown what the one before it does to their hosts:
each reload holds that up for those who still wait."""
GATHERED_S, GATHERED_EACH_S = 0.1, 0.005
"""How long nobody else may have come before a write goes out, and what each object that waits for
something adds to it: those who decide at the same moment do so one after the other."""
GATHERED_LEAST_S, GATHERED_MOST_EACH_S, GATHERED_MOST_S = 3.0, 0.03, 30.0
"""How long at most the first of a write waits for the others, what each object that waits for
something adds to it, and the most that comes of it: it was decided on what was there then."""


def pause_s(waiting: int, *, applied: bool, unseen: bool) -> float:
    """Seconds between two writes where so many objects wait for something.

    `applied`: every replica was seen to run the last one; `unseen`: some object was not yet shown
    what that does to its hosts.
    """
    if not applied:
        least_s = SYNC_S
    elif unseen:
        least_s = SHOWN_S
    else:
        least_s = min(waiting * EACH_S, MOST_S)
    return max(least_s, (waiting - MANY) * MANY_EACH_S)


def gathered_s(waiting: int) -> float:
    """Seconds for which nobody else may have come before a write goes out."""
    return GATHERED_S + waiting * GATHERED_EACH_S


def gathered_at_most_s(waiting: int) -> float:
    """Seconds after which a write goes out, whoever may come still."""
    return min(GATHERED_LEAST_S + waiting * GATHERED_MOST_EACH_S, GATHERED_MOST_S)
