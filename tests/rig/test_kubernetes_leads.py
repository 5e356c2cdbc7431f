"""A second writer is seen wherever it is."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.kubernetes.leads import Write, handed_over_s, second_writers

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def write(agent: str, at_s: float, took_s: float = 0.1) -> Write:
    at = BEGIN + timedelta(seconds=at_s)
    return Write(agent, at, at + timedelta(seconds=took_s), "update")


HOLDING = [write("a", 0), write("a", 5), write("b", 20), write("b", 25)]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (write("a", 1), False),
        (write("a", 19, 0.5), False),
        (write("a", 19, 1.5), True),
        (write("a", 21), True),
        (write("b", 21), False),
        (write("b", 19), True),
        (write("c", 19), True),
        (write("a", -1), True),
        (write("b", 24, 30), False),
    ],
)
def test_whoever_changes_something_beside_the_holder_is_named(change: Write, wrong: bool) -> None:
    assert bool(second_writers(HOLDING, [change])) is wrong


def test_how_long_nobody_led_is_told_for_each_time() -> None:
    assert handed_over_s([*HOLDING, write("a", 26.5)]) == pytest.approx([15, 1.5])
