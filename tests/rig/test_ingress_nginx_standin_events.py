"""What becomes of Events: merged, combined and dropped, so that a missing one proves nothing (facts: ingress-nginx#lost-events)."""

from datetime import UTC, datetime, timedelta

from sandbox.ingress_nginx.events import Correlator, Note

START = datetime(2026, 1, 1, tzinfo=UTC)
RELOADED = Note("Normal", "RELOAD", "reloaded")


def failure(number: int) -> Note:
    return Note("Warning", "RELOAD", f"[emerg] in nginx-cfg{number}")


def test_the_same_words_again_raise_the_count_of_one_event() -> None:
    correlator = Correlator()
    first, second = (
        correlator.admit("pod", RELOADED, START + timedelta(seconds=second)) for second in range(2)
    )
    assert first is not None
    assert second is not None
    assert first[1] is second[1]
    assert (second[1].count, second[1].first) == (2, START)


def test_nine_different_failures_are_nine_events_and_the_rest_is_combined_into_one() -> None:
    correlator = Correlator()
    sent = [
        correlator.admit("pod", failure(number), START + timedelta(seconds=number))
        for number in range(12)
    ]
    names = [one[1].name for one in sent if one is not None]
    assert len(names) == 12
    assert len(set(names[:9])) == 9
    assert len(set(names[9:])) == 1
    assert [
        one[0].startswith("(combined from similar events): ") for one in sent if one is not None
    ] == [False] * 9 + [True] * 3


def test_after_many_failures_the_message_of_a_success_is_dropped_too() -> None:
    correlator = Correlator()
    sent = [
        correlator.admit("pod", failure(number), START + timedelta(seconds=number))
        for number in range(41)
    ]
    assert sum(one is not None for one in sent) == 25
    assert correlator.admit("pod", RELOADED, START + timedelta(seconds=42)) is None


def test_the_budget_of_an_object_refills_by_one_in_five_minutes() -> None:
    correlator = Correlator()
    for number in range(26):
        correlator.admit("pod", failure(number), START)
    assert correlator.admit("pod", RELOADED, START + timedelta(seconds=299)) is None
    assert correlator.admit("pod", RELOADED, START + timedelta(seconds=301)) is not None


def test_each_object_has_a_budget_of_its_own() -> None:
    correlator = Correlator()
    for number in range(30):
        correlator.admit("pod-1", failure(number), START)
    assert correlator.admit("pod-2", RELOADED, START) is not None


def test_after_ten_quiet_minutes_messages_stand_alone_again() -> None:
    correlator = Correlator()
    for number in range(12):
        correlator.admit("pod", failure(number), START)
    late = correlator.admit("pod", failure(99), START + timedelta(minutes=11))
    assert late is not None
    assert not late[0].startswith("(combined")
