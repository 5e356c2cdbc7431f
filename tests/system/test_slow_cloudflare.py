"""A Cloudflare that takes its time: each thing is done once, because nothing that was read before an effect is decided on after it."""

from __future__ import annotations

from collections import Counter

import pytest

from sandbox.composition import Layout
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]

LATENCY_S = 3.0
"""Longer than a look waits."""
ONBOARDED_WITHIN_S = 200


def test_a_slow_cloudflare_gets_one_upload_and_one_enablement() -> None:
    with Scene(Layout(hosts=("example.com",))) as scene:
        scene.control.break_api(method="GET", delay_s=LATENCY_S)
        scene.apply()
        scene.until_enforced(within_s=ONBOARDED_WITHIN_S)
        calls = Counter(call["method"] for call in scene.changes_at_cloudflare())
        assert calls == {"POST": 1, "PUT": 1}, scene.changes_at_cloudflare()
