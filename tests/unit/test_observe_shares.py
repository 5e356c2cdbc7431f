"""One budget, and some who want more of it than there is: whoever wants little gets it, whatever the others want."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.observe.shares import most_each

WANTED = st.lists(st.floats(min_value=0.001, max_value=1e6), max_size=8)
BUDGET = st.floats(min_value=0.1, max_value=1e6)


def shares(wanted: list[float], budget: float) -> list[float]:
    """What each of them gets."""
    most = most_each(Counter(wanted), budget)
    return [min(rate, most) for rate in wanted]


@given(WANTED, BUDGET)
def test_together_they_get_no_more_than_there_is(wanted: list[float], budget: float) -> None:
    assert sum(shares(wanted, budget)) <= budget * (1 + 1e-9)


@given(WANTED, BUDGET)
def test_whoever_wants_no_more_than_an_equal_share_gets_all_of_it(
    wanted: list[float], budget: float
) -> None:
    for rate, got in zip(wanted, shares(wanted, budget), strict=True):
        if rate <= budget / len(wanted) * (1 - 1e-9):
            assert got == rate


@given(WANTED, BUDGET)
def test_nothing_is_left_while_somebody_wants_more(wanted: list[float], budget: float) -> None:
    assert sum(shares(wanted, budget)) == pytest.approx(min(budget, sum(wanted)))
