"""Two zones on one controller, through a rotation, trouble and a removal: promises S2, S4, S5, S8 and L1, on real parts.

One story in one sandbox, told by the fixture; each test asks one question about it.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.composition import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Layout
from sandbox.direct import Leaf, ask
from sandbox.load import Report
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(600)]

OURS, OTHERS = "example.com", "example.org"
ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}"
QUIET_S = 2.0
CALM_S = 12.0
"""Longer than everything that is done at intervals while a zone is required, but for the resync."""


@dataclass(slots=True)
class NeighboursStory:
    """What was seen."""

    crossing: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """Whose leaf was shown for which host, and the replicas' answers."""
    calm: list[str] = field(default_factory=list)
    """Everything that was written while both zones were required and nothing happened."""
    most_certificates: int = 0
    rotated: tuple[str, str] = ("", "")
    """Fingerprints before and after."""
    old_leaf: set[int] = field(default_factory=set)
    """What the replicas answered to the leaf that was rotated away."""
    during_trouble: dict[str, set[str]] = field(default_factory=dict)
    """The pods that refused strangers, by host, at every look while the other zone was in trouble,
    removed, or rotated."""
    leaks: list[str] = field(default_factory=list)
    visitors: Report | None = None
    left: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story() -> Iterator[NeighboursStory]:
    layout = Layout(hosts=(OURS, f"www.{OURS}", OTHERS), zones=(OURS, OTHERS))
    with Scene(layout, AOP_LOG_LEVEL="debug") as scene:
        story = NeighboursStory()
        with scene.visitors() as visitors:
            visitors.allow_redirects(allowed=True)
            scene.apply("ours", zone={"name": OURS})
            scene.apply("others", zone={"name": OTHERS})
            for name in ("ours", "others"):
                scene.until_enforced(name)
            _cross(scene, story)
            _be_calm(scene, story)
            _rotate(scene, story)
            _trouble(scene, story)
            _search(scene, story)
            scene.remove("others")
            story.during_trouble[OURS] &= set(scene.refusing(OURS))
            scene.remove("ours")
            story.visitors = visitors.stop()
        story.left = scene.own_text()
        yield story


def _leaf(scene: Scene, name: str) -> Leaf:
    return Leaf.of_secret(scene.secret(f"{name}-aop"))


def _answers(scene: Scene, host: str, leaf: Leaf) -> set[int]:
    ca_file = scene.ingress_nginx.announcement.ca_file
    return {ask(one, host, leaf=leaf, ca_file=ca_file).status_code for one in scene.sandbox.origins}


def _cross(scene: Scene, story: NeighboursStory) -> None:
    for owner in ("ours", "others"):
        for host in (OURS, OTHERS):
            story.crossing[owner, host] = _answers(scene, host, _leaf(scene, owner))


def _be_calm(scene: Scene, story: NeighboursStory) -> None:
    """Nothing is to be written; the status may move on (its proof is told in whole minutes).

    The last Event follows its status.
    """
    told_last = [0, time.monotonic()]

    def quiet() -> bool:
        if (
            count := len([event for event in scene.plane.audit(ACCOUNT) if event.verb == "create"])
        ) != told_last[0]:
            told_last[:] = count, time.monotonic()
        return time.monotonic() - told_last[1] > QUIET_S

    until(quiet, within_s=30, every_s=0.1, describe="the last Event")
    number, asked, ends_s = (
        scene.control.calls()[-1]["number"],
        len(scene.plane.audit(ACCOUNT)),
        time.monotonic() + CALM_S,
    )
    until(lambda: time.monotonic() > ends_s, within_s=CALM_S + 5, every_s=0.1, describe="calm")
    story.calm = [
        f"{call['method']} {call['path']}"
        for call in scene.control.calls(method="!GET", since=number)
    ]
    story.calm += [
        f"{event.verb} {event.uri}"
        for event in scene.plane.audit(ACCOUNT)[asked:]
        if event.verb not in {"get", "list", "watch"} and event.subresource != "status"
    ]


def _rotate(scene: Scene, story: NeighboursStory) -> None:
    before, (certificate,) = _leaf(scene, "ours"), scene.certificates(OURS)
    scene.rotate("ours")

    def rotated() -> dict[str, Any] | None:
        certificates = scene.certificates(OURS)
        story.most_certificates = max(story.most_certificates, len(certificates))
        story.during_trouble[OTHERS] = story.during_trouble.get(OTHERS, set(scene.pods())) & set(
            scene.refusing(OTHERS)
        )
        return (
            certificates[0]
            if len(certificates) == 1 and certificates[0]["id"] != certificate["id"]
            else None
        )

    replaced = until(
        rotated,
        within_s=120,
        every_s=0.3,
        describe=lambda: f"one new certificate alone; {scene.summary('ours')}",
    )
    assert replaced is not None
    scene.until_condition("Ready", "True", name="ours")

    def refused() -> bool:
        # Twice: workers of before a reload accept for a moment longer, and either answer may be
        # theirs.
        story.old_leaf = _answers(scene, OURS, before) | _answers(scene, OURS, before)
        return story.old_leaf == {400}

    until(refused, within_s=60, describe="the old leaf to be refused")
    story.rotated = (certificate["sha256"], replaced["sha256"])
    assert _answers(scene, OURS, _leaf(scene, "ours")) == {200}


def _trouble(scene: Scene, story: NeighboursStory) -> None:
    """The other zone's edge presents nothing any more: it is relaxed, and ours notices nothing."""
    story.during_trouble[OURS] = set(scene.pods())
    scene.control.turn_location(
        "*", presents={OTHERS: "nothing"}, requests_per_connection=5, resume=False
    )

    def relaxed() -> bool:
        story.during_trouble[OURS] &= set(scene.refusing(OURS))
        return scene.refusing(OTHERS) == []

    until(
        relaxed,
        within_s=60,
        every_s=0.3,
        describe=lambda: f"the other zone to be relaxed\n{scene.summary('others')}",
    )
    scene.control.turn_location("*", presents={})


def _search(scene: Scene, story: NeighboursStory) -> None:
    """Where key bytes and tokens must not be: whatever is in reach of somebody who may not read Secrets."""
    places = [
        scene.secret(f"{name}-{of}")["data"]
        for name in ("ours", "others")
        for of in ("aop", "aop-ca")
    ]
    keys = [data[key] for data in places for key in data if key.endswith(".key")]
    assert len(keys) == len(places)
    needles = [
        scene.cloudflare.token,
        *(line for key in keys for line in _body(base64.b64decode(key).decode())),
    ]
    for where, text in _readable(scene):
        story.leaks += [f"{where}: {needle[:8]}..." for needle in needles if needle in text]


def _body(pem: str) -> list[str]:
    return [line for line in pem.splitlines() if line and not line.startswith("-----")]


def _readable(scene: Scene) -> Iterator[tuple[str, str]]:
    process = Path("/proc") / str(scene.operator.pid)
    yield "log", scene.operator.log.read_text(errors="replace")
    yield "trace", scene.trace_file.read_text()
    yield "argv", (process / "cmdline").read_bytes().decode(errors="replace")
    yield "environment", (process / "environ").read_bytes().decode(errors="replace")
    for kind in (
        "authenticatedoriginpulls.aop-operator.dev",
        "configmaps",
        "events",
        "pods",
        "ingresses",
    ):
        yield kind, scene.plane.kubectl("get", kind, "--all-namespaces", "--output", "yaml")
    for file in sorted((process / "fd").iterdir()):
        target = file.readlink()
        if target.is_file() and not target.is_relative_to("/dev"):
            yield str(target), target.read_text(errors="replace")
    yield (
        "metrics",
        httpx.get(f"http://127.0.0.1:{scene.operator.metrics_port}/metrics", trust_env=False)
        .raise_for_status()
        .text,
    )
    yield (
        "health",
        httpx.get(f"http://127.0.0.1:{scene.operator.health_port}/readyz", trust_env=False).text,
    )


def test_a_leaf_opens_its_own_zone_and_no_other(story: NeighboursStory) -> None:
    """S8."""
    assert story.crossing == {
        ("ours", OURS): {200},
        ("ours", OTHERS): {400},
        ("others", OTHERS): {200},
        ("others", OURS): {400},
    }


def test_at_the_goal_nothing_is_written(story: NeighboursStory) -> None:
    """L1."""
    assert story.calm == []


def test_a_rotation_replaces_the_leaf_with_two_certificates_at_most(story: NeighboursStory) -> None:
    """S2, S5."""
    assert story.rotated[0] != story.rotated[1]
    assert story.most_certificates == 2
    assert story.old_leaf == {400}


def test_one_zones_trouble_opens_no_other(story: NeighboursStory) -> None:
    """S8: at every look, every replica went on to refuse strangers of the zone that was left alone."""
    assert {host: len(pods) for host, pods in story.during_trouble.items()} == {OURS: 2, OTHERS: 2}


def test_no_key_and_no_token_is_anywhere_but_in_secrets(story: NeighboursStory) -> None:
    """S4."""
    assert story.leaks == []


def test_no_visitor_of_either_zone_noticed_anything(story: NeighboursStory) -> None:
    """S3; while the other zone's edge presented nothing, that zone's visitors were refused until it was relaxed: by somebody else's doing."""
    assert story.visitors is not None
    failed = {route.host for route, tally in story.visitors.routes.items() if tally.failed}
    assert failed <= {OTHERS}, str(story.visitors)


def test_the_last_removal_takes_the_block_out(story: NeighboursStory) -> None:
    """S6, S7."""
    assert story.left == {}


def test_the_story_has_needles_to_look_for() -> None:
    """The search would be blind without a key's lines."""
    assert re.fullmatch(r"[A-Za-z0-9+/=]{64}", _body(Leaf.foreign().key)[0])
