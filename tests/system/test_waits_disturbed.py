"""Several zones wait together for a revision, or for a write, and something ordinary happens beside them.

A reload that takes seconds, a controller that stops following while somebody sets the clock, a
colleague's setting that our lines must not be combined with: nobody waits for ever, nobody asks
again and again meanwhile, and what relaxes waits for none of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sandbox.clocked import WallClock, clocked
from sandbox.composition import Layout
from sandbox.scene import Scene, name_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(500)]

SETTLED = "example.com"
SLOW = ("example.net", "example.org")
HELD_UP = tuple(f"held-up-{number}.example" for number in range(6))
FORBIDDEN = ("two.example", "three.example")
ZONES = (SETTLED, *SLOW, *HELD_UP, *FORBIDDEN)
WITHIN_S = 150.0
HOUR_S = 3600.0
LOOKS, LOOKS_A_SECOND = 30, 4.5
"""Of six that wait for one revision: one of them looks twice a second for all, and each of them every five seconds by
itself. If each looked every second, it would be six."""


@pytest.fixture(scope="module")
def clock_and_scene() -> Iterator[tuple[WallClock, Scene]]:
    with Scene(Layout(hosts=ZONES, zones=ZONES), with_operator=False) as scene:
        clock = clocked(scene)
        with scene.operator:
            come(scene, SETTLED)
            scene.until_enforced(name_of(SETTLED), within_s=WITHIN_S)
            yield clock, scene


@pytest.fixture
def scene(clock_and_scene: tuple[WallClock, Scene]) -> Scene:
    return clock_and_scene[1]


def come(scene: Scene, *zones: str) -> None:
    for zone in zones:
        scene.apply(name_of(zone), zone={"name": zone}, hostnames=[zone])


def until_all_enforced(scene: Scene, *zones: str) -> None:
    for zone in zones:
        scene.until_enforced(name_of(zone), within_s=WITHIN_S)
        assert scene.required(zone), zone


def ready(scene: Scene, zone: str) -> str:
    """What Ready says of a zone's object."""
    condition = scene.condition("Ready", name_of(zone))
    return f"{condition.get('reason', '')}: {condition.get('message', '')}"


def test_all_get_there_while_each_reload_takes_seconds(scene: Scene) -> None:
    with scene.ingress_nginx.turned(load_lag_s=4.0):
        come(scene, *SLOW)
        until_all_enforced(scene, *SLOW)
    assert scene.required(SETTLED)


def test_while_a_controller_does_not_follow_one_looks_for_all_and_afterwards_all_go_on(
    clock_and_scene: tuple[WallClock, Scene],
) -> None:
    """Whatever the clock says."""
    clock, scene = clock_and_scene
    (pod, _) = scene.pods()
    with scene.ingress_nginx.paused(pod):
        come(scene, *HELD_UP)
        until(
            lambda: all(f"pod {pod}" in ready(scene, zone) for zone in HELD_UP),
            within_s=WITHIN_S,
            describe=lambda: f"all to name the pod: {[ready(scene, zone) for zone in HELD_UP]}",
        )
        began_s, before = time.monotonic(), scene.operator.visits
        until(
            lambda: scene.operator.visits >= before + LOOKS,
            within_s=WITHIN_S,
            describe=lambda: f"{LOOKS} looks: {scene.operator.visits - before}",
        )
        assert time.monotonic() - began_s > LOOKS / LOOKS_A_SECOND
        clock.set(-HOUR_S)
        assert scene.refuses(pod, SETTLED), "what is required stays required"
    until_all_enforced(scene, *HELD_UP)
    clock.set(0)


def test_what_relaxes_goes_out_beside_changes_that_a_colleagues_setting_forbids(
    scene: Scene,
) -> None:
    """Both of those name the setting, and go on by themselves once it is gone."""
    forbidden = {"ssl-session-tickets": "true", "ssl-session-ticket-key": "c29tZWJvZHlz"}
    scene.write_config_map(forbidden)
    come(scene, *FORBIDDEN)
    until(
        lambda: all("ForeignConfiguration" in ready(scene, zone) for zone in FORBIDDEN),
        within_s=WITHIN_S,
        describe=lambda: f"both to name it: {[ready(scene, zone) for zone in FORBIDDEN]}",
    )
    scene.patch({"enforcement": "Request"}, name_of(SETTLED))
    scene.until_relaxed(SETTLED, within_s=WITHIN_S)
    scene.write_config_map(dict.fromkeys(forbidden))
    until_all_enforced(scene, *FORBIDDEN)
    assert scene.refusing(SETTLED) == []
