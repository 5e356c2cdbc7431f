"""A few zones are onboarded at once, as `make scale` does with many: none of them falls back meanwhile.

`tests/scale` has the share that always runs.
"""

from __future__ import annotations

import pytest

from scale.measure import onboard

pytestmark = [pytest.mark.timeout(600)]

ZONES = 4
RELOADS_ALONE = 3
"""Of one zone: the check path, the question for a certificate, and the requirement."""


def test_zones_that_come_together_share_their_reloads_and_none_falls_back() -> None:
    measured = onboard(ZONES, print, rests_after_s=0, rests_s=0)
    assert measured.ready == ZONES
    assert measured.fell_back == 0
    assert max(measured.reloads) < ZONES * RELOADS_ALONE
