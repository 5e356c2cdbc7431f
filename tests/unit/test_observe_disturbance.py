"""Who puts their text back over ours, again and again, is named, and ours is written again after pauses that grow."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.observe.disturbance import (
    FIRST_PAUSE_S,
    FORGOTTEN_AFTER,
    LONGEST_PAUSE_S,
    TIMES,
    Disturbance,
)
from aop.origins.ingress_nginx.publishing import publish, withdraw
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.stored import read
from builders import ASKING, NOW, OFF, REQUIRING, UID, at

RESET: dict[str, Any] = {
    "metadata": {
        "namespace": "ingress-nginx",
        "name": "controller",
        "managedFields": [
            {
                "manager": "argocd-controller",
                "fieldsV1": {"f:data": {"f:http-snippet": {}, "f:server-snippet": {}}},
            }
        ],
    },
    "data": {"http-snippet": "", "server-snippet": ""},
}
"""The ConfigMap as somebody's Git has it."""


def written(claim: Any = REQUIRING, over: dict[str, Any] = RESET) -> dict[str, Any]:
    return publish(over, claim, foreign=ForeignText.MERGE, token_if_new="k3y0fth3path")


class History:
    """What is noticed of one ConfigMap, as its keeper reads and writes it."""

    def __init__(self) -> None:
        self.disturbance, self.stored, self.config_map, self.now = (
            Disturbance(),
            read(RESET),
            RESET,
            NOW,
        )

    def reads(
        self, config_map: dict[str, Any], after_s: float = 1.0, *, ours: bool = False
    ) -> None:
        """It reads so after so many seconds, because somebody has written it, or we have."""
        self.now += timedelta(seconds=after_s)
        stored = read(config_map)
        self.disturbance.notice(self.stored, stored, self.now, ours=ours)
        self.stored, self.config_map = stored, config_map

    def writes(self, claim: Any = REQUIRING, after_s: float = 1.0) -> None:
        self.reads(written(claim, self.config_map), after_s, ours=True)

    @property
    def paused_s(self) -> float | None:
        overwritten = self.disturbance.overwritten
        return (overwritten.until - self.now).total_seconds() if overwritten else None


def test_from_the_third_time_on_it_is_named_and_each_pause_is_twice_the_last() -> None:
    history, paused = History(), []
    for _ in range(TIMES + 8):
        history.writes()
        history.reads(RESET)
        paused.append(history.paused_s)
    growing = [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(9)]
    assert paused == [*([None] * (TIMES - 1)), *growing]
    assert growing[-1] == LONGEST_PAUSE_S
    overwritten = history.disturbance.overwritten
    assert overwritten is not None
    assert (overwritten.by, overwritten.times, overwritten.since) == (
        "field manager argocd-controller",
        TIMES + 8,
        at(2),
    )


def test_it_goes_on_after_the_longest_pause_as_before() -> None:
    """A pause of an hour is not an hour in which our text has stood."""
    history = History()
    for _ in range(TIMES + 7):
        history.writes()
        history.reads(RESET)
    history.writes(after_s=LONGEST_PAUSE_S + 60)
    history.reads(RESET)
    assert history.paused_s == LONGEST_PAUSE_S


def test_a_text_that_has_stood_for_an_hour_begins_a_new_count() -> None:
    history = History()
    for _ in range(TIMES):
        history.writes()
        history.reads(RESET)
    history.writes()
    history.writes(ASKING)
    history.reads(RESET, after_s=FORGOTTEN_AFTER.total_seconds())
    assert (history.disturbance.times, history.paused_s) == (1, None)
    short = History()
    for _ in range(TIMES):
        short.writes()
        short.reads(RESET, after_s=FORGOTTEN_AFTER.total_seconds())
    assert short.paused_s == FIRST_PAUSE_S


def edited(config_map: dict[str, Any]) -> dict[str, Any]:
    """A line of ours is missing."""
    other = deepcopy(config_map)
    other["data"]["http-snippet"] = "".join(
        line
        for line in other["data"]["http-snippet"].splitlines(keepends=True)
        if "map " not in line
    )
    return other


@pytest.mark.parametrize(
    "undone", ["reset", "an older text of ours", "edited", "made anew", "gone"]
)
def test_whatever_takes_our_text_away_counts(undone: str) -> None:
    history = History()
    for _ in range(TIMES):
        history.reads(RESET, ours=True)
        history.writes()
        older = history.config_map
        history.writes(ASKING)
        undoing = {
            "reset": RESET,
            "an older text of ours": older,
            "edited": edited(history.config_map),
            "made anew": {"metadata": RESET["metadata"]},
            "gone": {},
        }
        history.reads(undoing[undone])
    assert history.paused_s == FIRST_PAUSE_S


def test_a_text_of_ours_that_was_put_back_stands_since_then() -> None:
    """Somebody restores a backup, again and again, after a week of peace."""
    history = History()
    history.writes()
    older = history.config_map
    history.writes(ASKING)
    history.writes(after_s=7 * 86400)
    for _ in range(TIMES):
        history.reads(older)
        history.writes()
        history.writes()
    assert history.disturbance.times == TIMES


def test_what_we_write_ourselves_does_not_count_a_withdrawal_either() -> None:
    history = History()
    for claim in (OFF, ASKING, REQUIRING) * TIMES:
        history.writes(claim)
        history.reads(withdraw(history.config_map, UID), ours=True)
    assert history.disturbance.times == 0


def test_another_object_s_claim_does_not_count() -> None:
    history = History()
    history.writes()
    for n in range(TIMES):
        history.reads(written(replace(OFF, uid=f"other-{n}"), history.config_map))
    assert history.disturbance.times == 0


def test_what_was_undone_before_this_process_has_written_anything_does_not_count() -> None:
    """The first look after a restart: whoever reset it then may have done so once, a week ago."""
    history = History()
    history.reads(written())
    for _ in range(TIMES):
        history.reads(RESET)
        history.reads(written())
    assert history.disturbance.times == 0


def test_where_nobody_else_owns_the_keys_nobody_is_named() -> None:
    history = History()
    unowned = {**RESET, "metadata": {"namespace": "ingress-nginx", "name": "controller"}}
    for _ in range(TIMES):
        history.writes()
        history.reads(unowned)
    assert history.disturbance.overwritten is not None
    assert history.disturbance.overwritten.by == "somebody"
