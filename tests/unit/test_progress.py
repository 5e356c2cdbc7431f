"""How far something has come is told of one object at every step, and of many at once of some of them at a time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aop.api import Status
from aop.api.status import Condition
from aop.errors import Reason
from aop.progress import AT_ONCE, EACH_S, Progress, is_progress

AT = datetime(2026, 7, 1, tzinfo=UTC)


def status_with(
    ready: str, reason: Reason, message: str = "", *, generation: int = 1, record: str = "{}"
) -> Status:
    condition = Condition(
        type="Ready",
        status=ready,
        observed_generation=generation,
        last_transition_time=AT,
        reason=reason,
        message=message,
    )
    return Status(observed_generation=generation, record=record, conditions=(condition,))


WAITS = status_with("False", Reason.WAITING_FOR_REPLICAS, "pod a shows revision 1")


@pytest.mark.parametrize(
    "after",
    [
        status_with("False", Reason.WAITING_FOR_REPLICAS, "pod b shows revision 1"),
        status_with("False", Reason.WAITING_FOR_PROOF, "Requests present leaf 9f"),
        status_with("False", Reason.PROGRESSING, "The operator is about to upload leaf 9f"),
    ],
)
def test_a_step_forward_is_progress(after: Status) -> None:
    assert is_progress(WAITS, after)


@pytest.mark.parametrize(
    "after",
    [
        status_with("True", Reason.READY),
        status_with("Unknown", Reason.WAITING_FOR_REPLICAS),
        status_with("False", Reason.ORIGIN_UNREACHABLE),
        status_with("False", Reason.TOKEN_REJECTED),
        status_with("False", Reason.WAITING_FOR_REPLICAS, generation=2),
        status_with("False", Reason.WAITING_FOR_REPLICAS, record='{"edition":2}'),
        Status(),
    ],
)
def test_what_somebody_acts_on_is_more_than_progress(after: Status) -> None:
    assert not is_progress(WAITS, after)
    assert not is_progress(after, WAITS)


def test_that_another_pod_is_in_trouble_is_more_than_progress() -> None:
    trouble = status_with("False", Reason.ORIGIN_UNREACHABLE, "pod a cannot be asked")
    assert not is_progress(trouble, status_with("False", Reason.ORIGIN_UNREACHABLE, "pod b cannot"))


def test_one_object_is_told_of_at_every_step() -> None:
    progress = Progress()
    assert all(progress.may_tell(0.1 * n) for n in range(AT_ONCE))


def test_many_objects_share_what_may_be_told() -> None:
    progress = Progress()
    assert [progress.may_tell(1.0) for _ in range(100)].count(True) == AT_ONCE
    assert not progress.may_tell(1.0 + EACH_S / 2)
    assert progress.may_tell(1.0 + EACH_S)
    assert [progress.may_tell(1000.0) for _ in range(100)].count(True) == AT_ONCE
