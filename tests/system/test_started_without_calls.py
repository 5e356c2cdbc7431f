"""A new process that may not ask Cloudflare yet, because its own budget is used up: what protects needs none of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aop.plan.claims import CUT_OFF
from sandbox.operator import Operator
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 90.0
NO_RESYNCS = {"AOP_BUDGET_RESYNC_SHARE": "0.0005"}
"""Less than one call: what nobody waits for is never read."""
LOOKS = 10
"""After so many a new process has seen what there is to see."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as running:
        running.apply()
        running.until_enforced()
        running.operator.terminate(within_s=30)
        yield running


@pytest.fixture
def started(scene: Scene) -> Iterator[Operator]:
    """A new process, whose calls wait."""
    looks = len(scene.trace())
    with scene.new_operator("without-calls", **NO_RESYNCS) as operator:
        until(
            lambda: (operator.measured("aop_cloudflare_postponed_requests_total") or 0) > 0
            and len(scene.trace()) >= looks + LOOKS,
            within_s=WITHIN_S,
            describe="the operator to look without Cloudflare",
        )
        yield operator


def test_what_was_told_stands(scene: Scene) -> None:
    before = scene.condition("Ready")
    looks = len(scene.trace())
    with scene.new_operator("standing", **NO_RESYNCS) as operator:
        until(
            lambda: (operator.measured("aop_cloudflare_postponed_requests_total") or 0) > 0
            and len(scene.trace()) >= looks + LOOKS,
            within_s=WITHIN_S,
            describe="the operator to look without Cloudflare",
        )
    assert scene.condition("Ready") == before


def test_what_arrives_without_the_certificate_is_let_through(
    scene: Scene, started: Operator
) -> None:
    with scene.presenting_nothing("example.com"):
        scene.until_relaxed("example.com", within_s=WITHIN_S)
    scene.until_enforced(within_s=4 * WITHIN_S)
    assert started.alive


def test_a_replica_that_hangs_is_named_with_what_helps(scene: Scene, started: Operator) -> None:
    hanging, _ = scene.pods()
    with scene.ingress_nginx.hung(hanging):
        ready = scene.until_condition("Ready", "False", within_s=WITHIN_S)
        assert hanging in ready["message"]
        assert CUT_OFF in ready["message"]
    assert started.alive
