"""Whether a status only reports progress, and how many such are written. Pure.

Each step of a rollout changes a word somewhere. While one object is rolled out, a person may want
to read all of them. While a hundred are, they would cost the API server, and everybody who watches,
thousands of writes, and nobody could read them.
"""

from __future__ import annotations

from aop.api import Status
from aop.errors import Reason

EACH_S = 0.25
"""How often such a status may be written, all objects together (seconds)."""
AT_ONCE = 20
"""How many may be written one after the other after a while without any."""
PASSING = frozenset(
    {
        Reason.AS_EXPECTED,
        Reason.PROGRESSING,
        Reason.REMOVING,
        Reason.WAITING_FOR_CLOUDFLARE,
        Reason.WAITING_FOR_PROOF,
        Reason.WAITING_FOR_REPLICAS,
    }
)
"""Reasons that pass by themselves, so that nobody acts on them."""


class Progress:
    """How much progress was reported for all objects; built once per process."""

    def __init__(self) -> None:
        self._paid_until_s = float("-inf")

    def may_tell(self, now_s: float) -> bool:
        """Whether one more may be written now (monotonic), which then counts as written."""
        since_s = max(self._paid_until_s, now_s - AT_ONCE * EACH_S)
        if since_s + EACH_S > now_s:
            return False
        self._paid_until_s = since_s + EACH_S
        return True


def is_progress(before: Status, after: Status) -> bool:
    """Whether nothing has changed except how far it has got.

    What the object asks for, what is true of it, and what the operator has to remember are as they
    were, and nothing is named on which a person would act.
    """
    return _facts(before) == _facts(after) and all(
        {one.reason, earlier.reason} <= PASSING
        for one, earlier in zip(after.conditions, before.conditions, strict=True)
        if one != earlier
    )


def _facts(status: Status) -> tuple[object, ...]:
    return (
        status.observed_generation,
        status.record,
        status.removing_since,
        tuple((one.type, one.status) for one in status.conditions),
    )
