"""What is told of an object that rests, and of one that is onboarded: what somebody would act on, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from sandbox.composition import Layout
from sandbox.following import Following
from sandbox.scene import NAMESPACE, Scene, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

HOST = "example.com"
QUIET_S = 90.0
"""How long a settled object is followed: over the full minute at least once."""
MOST_EVENTS = 9


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=(HOST,)), AOP_REPLICA_RECHECK_S="2") as running:
        running.apply()
        running.until_enforced()
        until_rested(running)
        yield running


def looks(scene: Scene) -> list[dict[str, Any]]:
    """What the operator saw, look by look, and the step that it led to."""
    return [json.loads(line) for line in scene.trace()]


def until_rested(scene: Scene, since: int = 0) -> None:
    """Wait for a look after the first `since` ones in which every host was proven and nothing was left to do."""

    def rested() -> bool:
        seen = looks(scene)
        return len(seen) > since and seen[-1]["kind"] == "Done"

    until(rested, within_s=60, describe=lambda: f"the operator to rest\n{scene.summary()}")


def last_arrival(scene: Scene) -> datetime:
    (evidence,) = looks(scene)[-1]["observed"]["evidence"]
    return datetime.fromisoformat(evidence["last"])


def version(scene: Scene) -> str:
    manifest = scene.object()
    assert manifest is not None
    return str(manifest["metadata"]["resourceVersion"])


def test_an_onboarding_is_a_handful_of_events(scene: Scene) -> None:
    listed = scene.plane.http.get(f"/api/v1/namespaces/{NAMESPACE}/events").raise_for_status()
    events = [
        one for one in listed.json()["items"] if one["involvedObject"]["name"] == "example-com"
    ]
    lines = [f"{one['reason']}: {one['message']}" for one in events]
    assert {"Issue", "Upload", "SetEnabled", "Publish", "Ready"} <= {
        one["reason"] for one in events
    }
    assert len(lines) <= MOST_EVENTS, lines


def test_nothing_is_written_on_an_object_that_rests(scene: Scene) -> None:
    before, began = version(scene), last_arrival(scene)
    until(
        lambda: (last_arrival(scene) - began).total_seconds() > QUIET_S,
        within_s=QUIET_S + 60,
        describe=lambda: f"its hosts to be asked about for {QUIET_S} s\n{scene.summary()}",
    )
    assert version(scene) == before


def test_a_restart_of_the_operator_is_told_to_nobody(scene: Scene) -> None:
    """It has seen nothing yet; what it finds is what was told before."""
    before, seen = version(scene), len(looks(scene))
    states: list[dict[str, Any]] = []
    with Following(scene.plane, path_of(NAMESPACE), lambda _, state: states.append(state)):
        scene.operator.kill()
        scene.operator.start()
        until_rested(scene, since=seen)
    assert [state["status"] for state in states] == []
    assert version(scene) == before
