"""A proof is answers spread over the whole window: a silence neither ends a run of them nor counts for it.

One host, a window of half a minute, and an edge that says nothing of use for longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from aop.observed import Evidence, Observed
from aop.reconcile import TRACE, Pass
from aop.steps import Publish
from aop.terms import Mode
from sandbox.composition import Layout
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

APEX = "example.com"
WINDOW = timedelta(seconds=30)
BEGUN = timedelta(seconds=12)
"""A part of the window that is long enough to be seen, and short enough that the rest takes longer
than the answers that are missing."""
WITHIN_S = 90.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=(APEX,))) as running:
        running.apply(verification={"window": "30s"})
        yield running


def passes(scene: Scene) -> list[Pass]:
    return [TRACE.validate_json(line) for line in scene.trace()]


def now(scene: Scene) -> Observed:
    return TRACE.validate_json(scene.trace()[-1]).observed


def evidence(scene: Scene) -> Evidence:
    return now(scene).evidence_of(APEX)


def first_required_at(scene: Scene) -> datetime:
    """When the operator decided to require the host."""
    return next(
        one.observed.now
        for one in passes(scene)
        if isinstance(one.step, Publish) and one.step.claim.mode is Mode.REQUIRE
    )


def test_a_silence_longer_than_the_window_does_not_count_for_the_proof(scene: Scene) -> None:
    """A19: half a window, a long silence and one more answer were a proof."""
    until(
        lambda: (
            scene.object()
            and len(scene.trace()) > 1
            and evidence(scene).presented is not None
            and evidence(scene).covered > BEGUN
        ),
        within_s=WITHIN_S,
        every_s=0.2,
        describe=lambda: f"a part of the proof\n{scene.summary()}",
    )
    scene.control.break_edge(host=APEX, path="/.well-known/*", answer=503)

    def silent_for_a_window() -> bool:
        since = evidence(scene).silent_since
        return since is not None and now(scene).now - since > WINDOW

    until(
        silent_for_a_window,
        within_s=WITHIN_S,
        every_s=0.2,
        describe=lambda: f"a whole window of silence\n{scene.summary()}",
    )
    before = evidence(scene)
    assert before.covered < WINDOW
    assert scene.refusing(APEX) == []
    scene.control.mend()
    until(
        lambda: evidence(scene).silence is None,
        within_s=WITHIN_S,
        every_s=0.1,
        describe="an answer again",
    )
    heard = evidence(scene)
    assert (heard.since, heard.covered - before.covered < WINDOW / 3) == (before.since, True), (
        "the run goes on where it was"
    )
    scene.until_enforced()
    missing = WINDOW - before.covered
    first = next(
        one.observed
        for one in passes(scene)
        if one.observed.now > now_of(before) and one.observed.evidence_of(APEX).silence is None
    )
    assert first_required_at(scene) - first.now >= missing - timedelta(seconds=3)


def now_of(seen: Evidence) -> datetime:
    """The end of what was known then: a moment within the silence."""
    assert seen.silent_since is not None
    return seen.silent_since
