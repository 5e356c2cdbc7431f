"""How much of one budget each of several gets. Pure.

One object's hundreds of hosts must not make another's few wait. Max-min fairness: whoever wants
less than an equal share gets all of it, and the others share the rest equally.
"""

from __future__ import annotations

from collections.abc import Mapping


def most_each(wanted: Mapping[float, int], budget: float) -> float:
    """The most that anybody gets, so that all together stay within `budget`.

    `wanted` says how many want how much, in the unit of the budget. Infinity if there is enough for
    everybody.
    """
    left, others = budget, sum(wanted.values())
    for rate in sorted(wanted):
        if rate * others > left:
            return left / others
        left -= rate * wanted[rate]
        others -= wanted[rate]
    return float("inf")
