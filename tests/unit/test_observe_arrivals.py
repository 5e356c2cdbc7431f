"""What arrives through the edge becomes evidence: runs of equal arrivals, which silence neither ends nor lengthens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.observe.arrivals import MOST_RECENT, RECENT, arrived, begun_again, silent
from aop.observed import NONE, OTHER, REFUSED, Arrival, Evidence
from builders import APEX, LEAF, at

GAP = timedelta(seconds=30)
Heard = tuple[str, bool, bool]
"""What one answer came with, whether its session was new, whether it bypassed the edge."""

heard = st.tuples(
    st.sampled_from([LEAF.sha256, NONE, OTHER, REFUSED]), st.booleans(), st.booleans()
)


def evidence(*answers: Heard | None, every_s: float = 10.0) -> Evidence:
    """The evidence after these answers, one every so many seconds; None is a silence."""
    gathered = Evidence(APEX)
    for n, answer in enumerate(answers):
        moment = at(every_s * n)
        match answer:
            case None:
                gathered = silent(gathered, f"HTTP 403 at {n}", moment, direct=None)
            case presented, fresh, direct:
                gathered = arrived(
                    gathered, Arrival(moment, presented, fresh=fresh), direct=direct, gap=GAP
                )
    return gathered


OURS, BARE, OLD_BARE = (LEAF.sha256, True, False), (NONE, True, False), (NONE, False, False)


def test_equal_arrivals_are_a_run() -> None:
    gathered = evidence(OURS, OURS, OURS)
    assert (gathered.presented, gathered.count, gathered.since, gathered.last) == (
        LEAF.sha256,
        3,
        at(0),
        at(20),
    )


@pytest.mark.parametrize(
    "other", [BARE, (OTHER, True, False), (REFUSED, True, False), (LEAF.sha256, True, True)]
)
def test_anything_else_begins_a_new_one(other: Heard) -> None:
    """Also the same leaf, bypassing the edge: it says nothing about the edge."""
    gathered = evidence(OURS, OURS, other)
    assert (gathered.presented, gathered.count, gathered.since, gathered.direct) == (
        other[0],
        1,
        at(20),
        other[2],
    )


def test_silence_neither_ends_a_run_nor_lengthens_it() -> None:
    gathered = evidence(OURS, None, None, OURS)
    assert (gathered.count, gathered.since, gathered.last) == (2, at(0), at(30))
    assert gathered.silence is None
    quiet = evidence(OURS, None, None)
    assert (quiet.count, quiet.last, quiet.silence, quiet.silent_since) == (
        1,
        at(0),
        "HTTP 403 at 2",
        at(10),
    )


def test_a_change_at_cloudflare_begins_the_proof_again_but_forgives_no_loss() -> None:
    gathered = begun_again(evidence(BARE, BARE, BARE))
    assert (
        gathered.presented,
        gathered.count,
        gathered.since,
        gathered.fresh,
        gathered.old_since,
    ) == (
        None,
        0,
        None,
        None,
        None,
    )
    assert [arrival.presented for arrival in gathered.recent] == [NONE] * 3
    again = arrived(gathered, Arrival(at(30), NONE), direct=False, gap=GAP)
    assert (again.count, again.since) == (1, at(30))


def test_old_sessions_are_told_from_new_ones() -> None:
    gathered = evidence(OURS, OLD_BARE, OLD_BARE)
    assert gathered.fresh == Arrival(at(0), LEAF.sha256)
    assert gathered.old_since == at(10)
    assert evidence(OURS, OLD_BARE, BARE).old_since is None


@given(st.lists(st.none() | heard, max_size=40), st.sampled_from([0.5, 5.0, 10.0, 60.0]))
def test_what_holds_of_all_evidence(answers: list[Heard | None], every_s: float) -> None:
    gathered = evidence(*answers, every_s=every_s)
    spoken = [(n, answer) for n, answer in enumerate(answers) if answer is not None]
    run = next(
        (
            n
            for n, (_, answer) in enumerate(reversed(spoken))
            if (answer[0], answer[2]) != (gathered.presented, gathered.direct)
        ),
        len(spoken),
    )
    assert gathered.count == run
    assert (gathered.last is None) is (not spoken)
    if spoken:
        assert gathered.last == at(every_s * spoken[-1][0])
        assert gathered.since == at(every_s * spoken[len(spoken) - run][0])
        assert gathered.recent[-1].at == gathered.last
        assert all(gathered.last - arrival.at <= RECENT for arrival in gathered.recent)
    assert (gathered.silence is not None) is (bool(answers) and answers[-1] is None)


def test_what_is_kept_is_bounded() -> None:
    gathered = Evidence(APEX)
    for n in range(1000):
        gathered = arrived(gathered, Arrival(at(n * 0.1), NONE), direct=False, gap=GAP)
    assert len(gathered.recent) == MOST_RECENT
    assert gathered.count == 1000
    assert timedelta(seconds=20) < RECENT, "a loss needs the arrivals of about that long"


@pytest.mark.parametrize(("every_s", "covered_s"), [(30.0, 90.0), (30.1, 0.0)])
def test_a_gap_that_hides_nothing_counts_and_a_longer_one_does_not(
    every_s: float, covered_s: float
) -> None:
    """12 answers in two minutes, a day of silence and one more answer were a proof of a day."""
    gathered = evidence(OURS, OURS, OURS, OURS, every_s=every_s)
    assert (gathered.count, gathered.since, gathered.covered) == (
        4,
        at(0),
        timedelta(seconds=covered_s),
    )


def test_what_was_covered_before_a_gap_is_not_lost_by_it() -> None:
    gathered = evidence(OURS, OURS, None, None, None, None, OURS, OURS)
    assert (gathered.count, gathered.since, gathered.last, gathered.covered) == (
        4,
        at(0),
        at(70),
        timedelta(seconds=20),
    )


@pytest.mark.parametrize(
    "other", [BARE, (LEAF.sha256, True, True)], ids=["another certificate", "bypassing the edge"]
)
def test_another_run_covers_nothing_yet(other: Heard) -> None:
    assert evidence(OURS, OURS, OURS, other).covered == timedelta()
    assert evidence(OURS, OURS, OURS, other, OURS, OURS).covered == timedelta(seconds=10)


def test_a_change_at_cloudflare_covers_nothing_either() -> None:
    again = begun_again(evidence(OURS, OURS, OURS))
    assert again.covered == timedelta()
    first = arrived(again, Arrival(at(30), LEAF.sha256), direct=False, gap=GAP)
    assert (first.count, first.covered) == (1, timedelta()), (
        "what passed since the last arrival was before the change, or partly"
    )
    second = arrived(first, Arrival(at(40), LEAF.sha256), direct=False, gap=GAP)
    assert second.covered == timedelta(seconds=10)
