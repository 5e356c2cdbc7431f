"""A small share of what `make scale` measures: what is no question of seconds holds for a few zones as for a thousand.

What objects cost one another shows in how often replicas reload, and in what is written of those
that nothing has happened to.
"""

from __future__ import annotations

import pytest

from scale.measure import beside, onboard

pytestmark = [pytest.mark.timeout(600)]

ZONES = 4
SETTLED_S = 5.0
RELOADS_ALONE = 3
"""Of one zone: the check path, the question for a certificate, and the requirement."""


def test_zones_that_come_together_share_their_reloads_and_none_falls_back() -> None:
    measured = onboard(ZONES, print, rests_after_s=0, rests_s=0)
    assert measured.ready == ZONES
    assert measured.fell_back == 0
    assert max(measured.reloads) < ZONES * RELOADS_ALONE


def test_who_is_settled_is_told_nothing_while_others_come_and_go() -> None:
    disturbed = beside(2, print, settled_s=SETTLED_S)
    assert (disturbed.onboarding, disturbed.removing) == (0, 0)
