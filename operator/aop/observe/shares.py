"""How much of one budget each of several gets. Pure.

Nobody's hundreds of hosts make anybody else's few wait. Max-min fairness: whoever wants less than
an equal share gets what they want, and the others share the rest alike.
"""

from __future__ import annotations

from collections.abc import Mapping


def most_each(wanted: Mapping[float, int], budget: float) -> float:
    """What nobody gets more of, so that all together stay within `budget`.

    `wanted` is how many want how much, in the unit of the budget; infinity where there is enough
    for everybody.
    """
    left, others = budget, sum(wanted.values())
    for rate in sorted(wanted):
        if rate * others > left:
            return left / others
        left -= rate * wanted[rate]
        others -= wanted[rate]
    return float("inf")
