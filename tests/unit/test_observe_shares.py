"""One budget, and some who want more of it than there is: whoever wants little gets it, whatever the others want."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.observe.shares import shares

WANTED = st.dictionaries(st.text(max_size=3), st.floats(min_value=0, max_value=1e6), max_size=8)
BUDGET = st.floats(min_value=0.1, max_value=1e6)


@given(WANTED, BUDGET)
def test_together_they_get_no_more_than_there_is_and_nobody_more_than_they_want(
    wanted: dict[str, float], budget: float
) -> None:
    found = shares(wanted, budget)
    assert found.keys() == wanted.keys()
    assert all(found[key] <= wanted[key] for key in wanted)
    assert sum(found.values()) <= budget * (1 + 1e-9)


@given(WANTED, BUDGET)
def test_whoever_wants_no_more_than_an_equal_share_gets_all_of_it(
    wanted: dict[str, float], budget: float
) -> None:
    found = shares(wanted, budget)
    modest = [key for key in wanted if wanted[key] <= budget / len(wanted) * (1 - 1e-9)]
    assert {key: found[key] for key in modest} == {key: wanted[key] for key in modest}


@given(WANTED, BUDGET)
def test_nothing_is_left_while_somebody_wants_more(wanted: dict[str, float], budget: float) -> None:
    found = shares(wanted, budget)
    assert sum(found.values()) == pytest.approx(min(budget, sum(wanted.values())))
