"""How often each host is asked, within one budget: what is being proven before everything else, and nobody's many before anybody's few."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.observe.cadence import AT_REST, SUSPICIOUS_S, Cadences

WINDOW = timedelta(seconds=15)
"""Its proof wants a request a second."""
CADENCE_S, PER_SECOND = 10.0, 20.0


def cadences() -> Cadences:
    return Cadences(CADENCE_S, PER_SECOND)


def test_who_is_alone_is_asked_as_often_as_wanted() -> None:
    one = cadences()
    assert one.want("a", 2, WINDOW, proving=True)
    assert one.of("a") == 1.0
    assert not one.want("a", 2, WINDOW, proving=True), "no news"
    assert one.want("a", 2, WINDOW, proving=False)
    assert one.of("a") == CADENCE_S, "a window is of no concern to whoever waits for no proof"


def test_where_nothing_is_proven_the_cadence_grows_with_the_hosts() -> None:
    one = cadences()
    for n in range(100):
        one.want(n, 2, WINDOW, proving=False)
    assert one.of(7) == pytest.approx(200 / (AT_REST * PER_SECOND))


def test_what_is_being_proven_has_all_that_the_others_leave() -> None:
    one = cadences()
    one.want("new", 100, WINDOW, proving=True)
    assert one.of("new") == pytest.approx(100 / PER_SECOND)
    one.want("old", 10, WINDOW, proving=False)
    assert one.of("old") == CADENCE_S
    assert one.of("new") == pytest.approx(100 / (PER_SECOND - 1))
    for n in range(100):
        one.want(n, 10, WINDOW, proving=False)
    assert one.of("new") == pytest.approx(100 / (PER_SECOND * (1 - AT_REST)))
    one.drop("old")
    for n in range(100):
        one.drop(n)
    assert one.of("new") == pytest.approx(100 / PER_SECOND), "who is gone takes nothing"


OBJECTS = st.lists(
    st.tuples(st.integers(0, 300), st.floats(1, 1000), st.booleans()), min_size=1, max_size=20
)


@given(OBJECTS)
def test_together_they_never_have_more_than_the_budget(
    objects: list[tuple[int, float, bool]],
) -> None:
    one = cadences()
    for who, (hosts, window_s, proving) in enumerate(objects):
        one.want(who, hosts, timedelta(seconds=window_s), proving=proving)
    rates = [hosts / one.of(who) for who, (hosts, _, _) in enumerate(objects)]
    assert sum(rates) <= PER_SECOND * (1 + 1e-9)
    assert all(one.of(who) >= one.wanted_s(who) for who in range(len(objects)))
    for who in range(len(objects)):
        one.drop(who)
    assert not any(one._wanted.values()), "nothing is left of whoever is gone"


def test_the_suspicious_share_a_budget_of_their_own() -> None:
    one = cadences()
    one.note_suspects("a", any_=True)
    assert one.most_suspects == int(PER_SECOND * SUSPICIOUS_S)
    one.note_suspects("b", any_=True)
    assert one.most_suspects == int(PER_SECOND * SUSPICIOUS_S / 2)
    one.note_suspects("a", any_=False)
    one.drop("b")
    assert one.most_suspects == int(PER_SECOND * SUSPICIOUS_S)
