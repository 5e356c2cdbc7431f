"""A replica that hangs, is slow, is cut off, or rejects somebody else's text: what is seen decides, and nobody else waits for it.

Three zones on one controller with two replicas. Every test leaves the replicas as ordinary ones,
and the zones required.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.composition import Layout
from sandbox.direct import Leaf
from sandbox.scene import Scene, name_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(500)]

ZONES = ("example.com", "example.net", "example.org")
FIRST, SECOND, THIRD = ZONES
WITHIN_S = 60.0
SLOW_S = 40.0
"""How long a change takes to load; after 30 s of it a rejection was concluded before."""
ENFORCED_AGAIN_S = 200.0
"""A hold-off of a minute, a window, and a slow machine."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=ZONES, zones=ZONES)) as running:
        for zone in ZONES:
            running.apply(name_of(zone), zone={"name": zone})
        for zone in ZONES:
            running.until_enforced(name_of(zone))
        yield running


def test_a_replica_that_hangs_holds_up_no_relaxation_of_the_other(scene: Scene) -> None:
    """A8: one deadline, and one answer that all objects share."""
    hanging, serving = scene.pods()
    with scene.ingress_nginx.hung(hanging), scene.presenting_nothing(FIRST):
        until(
            lambda: not scene.refuses(serving, FIRST),
            within_s=WITHIN_S,
            every_s=0.3,
            describe=lambda: (
                f"the zone to be relaxed where nothing hangs\n{scene.summary(name_of(FIRST))}"
            ),
        )
        assert scene.refuses(serving, SECOND)
        assert scene.refuses(serving, THIRD)
    scene.until_enforced(name_of(FIRST), within_s=ENFORCED_AGAIN_S)


def test_slow_is_slow(scene: Scene) -> None:
    """A3: a change that takes 40 s to load is awaited, and nothing is taken back."""
    for pod in scene.pods():
        scene.ingress_nginx.turn(pod, load_lag_s=SLOW_S)
    try:
        scene.patch({"enforcement": "Optional"}, name=name_of(FIRST))
        until(
            lambda: (
                "waits until every replica runs revision"
                in (scene.condition("Ready", name_of(FIRST)) or {})["message"]
            ),
            within_s=WITHIN_S,
            describe=lambda: f"the change to be awaited\n{scene.summary(name_of(FIRST))}",
        )
        scene.until_condition("Ready", "True", name=name_of(FIRST), within_s=SLOW_S * 2 + WITHIN_S)
        assert "rejects the operator's text" not in scene.operator.log.read_text(), (
            "nothing was taken for a rejection"
        )
        assert scene.refuses(scene.pods()[0], SECOND)
    finally:
        for pod in scene.pods():
            scene.ingress_nginx.turn(pod, load_lag_s=0.0)
    scene.patch({"enforcement": "Require"}, name=name_of(FIRST))
    scene.until_enforced(name_of(FIRST), within_s=ENFORCED_AGAIN_S)


def test_a_mistake_in_another_key_is_named_and_taken_for_no_rejection_of_ours(scene: Scene) -> None:
    """A3: the controller takes nothing until it is mended; then everything goes on by itself."""
    scene.write_config_map({"main-snippet": "no_such_directive on;"})
    try:
        scene.patch({"enforcement": "Optional"}, name=name_of(SECOND))
        ready = scene.until_condition(
            "Ready", "False", "ControllerStuck", name=name_of(SECOND), within_s=WITHIN_S
        )
        assert "no_such_directive" in ready["message"]
        assert scene.refuses(scene.pods()[0], THIRD)
    finally:
        scene.write_config_map({"main-snippet": None})
    scene.until_condition("Ready", "True", name=name_of(SECOND), within_s=ENFORCED_AGAIN_S)
    scene.patch({"enforcement": "Require"}, name=name_of(SECOND))
    scene.until_enforced(name_of(SECOND), within_s=ENFORCED_AGAIN_S)


def test_a_rotation_waits_for_a_replica_that_is_cut_off_and_serves_on(scene: Scene) -> None:
    """A7: its visitors would get 400 as soon as the next leaf is presented, and Kubernetes cannot tell."""
    blind = scene.pods()[0]
    before = scene.certificates(THIRD)
    with scene.ingress_nginx.cut_off(blind):
        scene.rotate(name_of(THIRD))

        def named() -> bool:
            assert scene.certificates(THIRD) == before, (
                "nothing is presented that a replica would refuse"
            )
            ready = scene.condition("Ready", name_of(THIRD))
            return ready.get("status") == "False" and blind in ready["message"]

        until(
            named,
            within_s=WITHIN_S,
            every_s=0.3,
            describe=lambda: f"{blind} to be named\n{scene.summary(name_of(THIRD))}",
        )
        assert Leaf.of_secret(scene.secret(f"{name_of(THIRD)}-aop")) is not None

    def rotated() -> bool:
        certificates = scene.certificates(THIRD)
        return len(certificates) == 1 and certificates != before

    until(
        rotated,
        within_s=150,
        every_s=0.5,
        describe=lambda: f"the rotation to go on\n{scene.summary(name_of(THIRD))}",
    )
    scene.until_enforced(name_of(THIRD), within_s=ENFORCED_AGAIN_S)
