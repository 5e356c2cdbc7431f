"""How much of one budget each of several gets. Pure.

Nobody's hundreds of hosts make anybody else's few wait. Max-min fairness: whoever wants less than
an equal share gets what they want, and the others share the rest alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def shares(wanted: Mapping[K, float], budget: float) -> dict[K, float]:
    """What each gets of `budget`, all in the same unit.

    Together never more than that, and nobody more than they want.
    """
    left, granted = budget, {}
    for rank, key in enumerate(sorted(wanted, key=lambda key: wanted[key])):
        granted[key] = min(wanted[key], left / (len(wanted) - rank))
        left -= granted[key]
    return granted
