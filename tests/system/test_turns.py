"""Several zones come to one controller at once, and ordinary things happen beside them while they wait for one another's writes.

A colleague's Ingress answers in the place of one host, somebody sets the clock back by an hour: all
get there, and nobody looks again and again for nothing.
"""

from __future__ import annotations

import time

import pytest

from sandbox.clocked import clocked
from sandbox.composition import ROOT, Layout
from sandbox.scene import Scene, name_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

REDIRECT = ROOT / "tests" / "manifests" / "cases" / "01-www-redirect.yaml"
"""In zone example.com the bare name has no server of its own, but one that leads to www."""
ZONES = ("example.com", "example.net", "example.org", "example.edu")
WITHIN_S = 150.0
HOUR_S = 3600.0
VISITS_A_SECOND = 2.0
"""The most of one object, on average: each step of a rollout is worth a visit, and each answer through the edge that tells
something new."""


def test_all_get_there_whatever_stands_beside_one_of_them_and_whatever_the_clock_does() -> None:
    layout = Layout(hosts=("app.example.com", *ZONES[1:]), zones=ZONES)
    with Scene(layout, with_operator=False) as scene:
        clock = clocked(scene)
        scene.plane.apply(REDIRECT)
        with scene.operator:
            began_s, before = time.monotonic(), scene.operator.visits
            for zone in ZONES:
                scene.apply(name_of(zone), zone={"name": zone}, hostnames=[zone, f"*.{zone}"])
            until(
                lambda: "for several objects at once" in str(messages(scene)),
                within_s=WITHIN_S,
                every_s=0.05,
                describe=lambda: f"somebody to wait for a turn: {messages(scene)}",
            )
            clock.set(-HOUR_S)
            for zone in ZONES:
                scene.until_enforced(name_of(zone), within_s=WITHIN_S)
            made = scene.operator.visits - before
            assert made < VISITS_A_SECOND * len(ZONES) * (time.monotonic() - began_s)
            for zone in ("www.example.com", *ZONES[1:]):
                assert scene.required(zone), zone
            assert "example.com" in scene.condition("Ready", name_of("example.com"))["message"]


def messages(scene: Scene) -> dict[str, str]:
    """What Ready says of each."""
    return {zone: scene.condition("Ready", name_of(zone)).get("message", "") for zone in ZONES}
