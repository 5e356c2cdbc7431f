"""A new process that may not ask Cloudflare yet, because its own budget is used up: what protects needs none of it.

One process for all tests, which are in order: the last one leaves a host that is required no more.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aop.plan.claims import CUT_OFF
from aop.reasons import NO_ACTION
from sandbox.operator import Operator
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 90.0
SETTINGS = {"AOP_BUDGET_RESYNC_SHARE": "0.0005", "AOP_REPLICA_RECHECK_S": "5"}
"""Less than one call, so that what nobody waits for is never read; and more looks than usual."""
LOOKS = 3
"""After so many a new process has seen what there is to see."""
POSTPONED = r"aop_cloudflare_postponed_requests_total\{[^}]*\}"


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as running:
        running.apply()
        running.until_enforced()
        running.operator.terminate(within_s=30)
        yield running


@pytest.fixture(scope="module")
def started(scene: Scene) -> Iterator[Operator]:
    """A new process that has looked, and whose calls wait; nothing else was told than before."""
    looks, before = len(scene.trace()), scene.condition("Ready")
    with scene.new_operator("without-calls", **SETTINGS) as operator:
        until(
            lambda: (operator.measured(POSTPONED) or 0) > 0 and len(scene.trace()) >= looks + LOOKS,
            within_s=WITHIN_S,
            describe=lambda: f"the operator to look without Cloudflare\n{operator.last_words()}",
        )
        assert scene.condition("Ready") == before
        yield operator


def test_a_replica_that_hangs_is_named_with_what_helps(scene: Scene, started: Operator) -> None:
    hanging, _ = scene.pods()
    with scene.ingress_nginx.hung(hanging):
        ready = scene.until_condition("Ready", "False", within_s=WITHIN_S)
        assert NO_ACTION not in ready["message"], scene.summary()
        until(
            lambda: all(word in scene.condition("Ready")["message"] for word in (hanging, CUT_OFF)),
            within_s=WITHIN_S,
            describe=lambda: f"{hanging} to be named\n{scene.summary()}",
        )
    assert started.alive


def test_what_arrives_without_the_certificate_is_let_through(
    scene: Scene, started: Operator
) -> None:
    with scene.presenting_nothing("example.com"):
        scene.until_relaxed("example.com", within_s=WITHIN_S)
    assert started.alive
