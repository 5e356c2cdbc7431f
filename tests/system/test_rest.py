"""Objects that wait for nothing are looked at seldom; what a look at one of them meets is told to all who share the origin."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from sandbox.composition import Layout
from sandbox.scene import Scene, name_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

ZONES = ("example.com", "example.net")
WITHIN_S = 90.0
SELDOM_S = "600"
"""How often they are looked at by themselves: longer than the test lasts."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    layout = Layout(hosts=ZONES, zones=ZONES)
    with Scene(layout, AOP_REPLICA_RECHECK_S=SELDOM_S, AOP_RESYNC_S=SELDOM_S) as running:
        for zone in ZONES:
            running.apply(name_of(zone), zone={"name": zone}, hostnames=[zone])
        for zone in ZONES:
            running.until_enforced(name_of(zone))
        yield running


def replicas(scene: Scene, zone: str) -> int:
    """How many the object's status counts."""
    manifest = scene.object(name_of(zone)) or {}
    return int(manifest["status"]["origins"][0]["replicas"])


def test_a_pod_that_one_look_meets_is_counted_by_all(scene: Scene) -> None:
    """A colleague scales the controller, and another one goes on editing one of the objects, which has it looked at."""
    edited, other = ZONES
    before = [replicas(scene, zone) for zone in ZONES]
    scene.ingress_nginx.add()
    scene.ingress_nginx.await_ready()
    windows = (f"{seconds}s" for seconds in count(11))

    def is_met() -> bool:
        scene.patch({"verification": {"window": next(windows)}}, name_of(edited))
        return replicas(scene, edited) == before[0] + 1

    until(is_met, within_s=WITHIN_S, every_s=2.0, describe="the edited one to count the new pod")
    until(
        lambda: replicas(scene, other) == before[1] + 1,
        within_s=WITHIN_S,
        describe=lambda: f"the other one to count it too:\n{scene.summary(name_of(other))}",
    )
