"""A small share of what `make scale` measures: what is no question of seconds holds for a few zones as for a thousand.

What objects cost one another shows in how often replicas reload, and in what is written of those
that nothing has happened to.
"""

from __future__ import annotations

import pytest

from scale.crowd import CrowdRun, crowd
from scale.later import LaterRun, later
from scale.measure import beside

pytestmark = [pytest.mark.timeout(600)]

ZONES = 3
SETTLED_S = 5.0
RELOADS_ALONE = 3
"""Of one zone: the check path, the question for a certificate, and the requirement."""
EVENTS = 1
"""That are written of the process and of no object: that it serves them."""
CROWD = 8
"""With fewer on a controller, messages name fewer open names than those that are written by hand."""
TIMES_ONLY_WATCHING = 2.5
"""The operator's memory may be so many times that of who only watches: with a few objects, most of
both is the programs themselves."""


def test_who_comes_together_shares_reloads_and_is_told_nothing_of_others() -> None:
    disturbed = beside(ZONES, print, settled_s=SETTLED_S)
    assert max(disturbed.reloads) < ZONES * RELOADS_ALONE
    assert (disturbed.onboarding, disturbed.removing) == (0, 0)


def test_a_new_process_writes_nothing_and_sees_what_happens_then() -> None:
    run = LaterRun(secrets=1, started_s=5, settled_s=SETTLED_S, rests_after_s=0, rests_s=1)
    seen = later(2, print, run)
    assert seen.restart_writes <= EVENTS


def test_a_crowd_on_several_controllers_rests() -> None:
    seen = crowd(CROWD, print, CrowdRun(controllers=2, shown_s=5, rests_s=5, still_s=3))
    assert seen.written <= EVENTS
    assert seen.ratio < TIMES_ONLY_WATCHING
