"""Removals that something at Cloudflare holds up, or whose object was replaced: none ends in silence, none waits for ever.

One story: every zone is brought to its goal; then each removal meets a trouble of its own, two of
them over restarts of the operator. Each test asks one question about it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.cloudflare.launcher import PERMISSIONS
from sandbox.composition import OPERATOR_NAMESPACE, Layout
from sandbox.scene import Scene, path_of, pull
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(600)]

PATIENCE_S = 20
GONE_WITHIN_S = PATIENCE_S + 90.0
NARROWED, DROPPED, READ_ONLY, PENDING = "narrowed", "dropped", "read-only", "pending"
TERMINATING, RESTARTED, REPLACED, STRIPPED = "terminating", "restarted", "replaced", "stripped"
LEFT = (NARROWED, DROPPED, READ_ONLY, PENDING, RESTARTED)
"""Whose work is left at Cloudflare."""
TAKEN_BACK = (TERMINATING, REPLACED, STRIPPED)
NAMES = (*LEFT, *TAKEN_BACK)
WAITED = "The operator waits for Cloudflare until"


def zone_of(name: str) -> str:
    """Its zone, and its only host."""
    return f"{name}.example.net"


@dataclass(slots=True)
class HeldUpStory:
    """What was seen."""

    certificates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What each zone held before the removal."""
    left: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What it holds in the end."""
    enabled: dict[str, bool] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    """What Ready says while Cloudflare is waited for."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    """The messages of the Events LeftBehind in the namespace of the object, or in the operator's
    own."""
    since: list[str] = field(default_factory=list)
    """`status.removingSince` before a restart of the operator and after it."""
    text_before: Any = None
    text_after: Any = None
    lost: list[str] = field(default_factory=list)
    """What was noted when the record was lost for good."""


@pytest.fixture(scope="module")
def story() -> HeldUpStory:
    layout = Layout(hosts=tuple(map(zone_of, NAMES)), zones=("example.com", *map(zone_of, NAMES)))
    with Scene(layout, AOP_TEARDOWN_PATIENCE_S=str(PATIENCE_S), AOP_RESYNC_S="5") as scene:
        story = HeldUpStory(text_before=scene.sandbox.config_map().get("data"))
        tokens = onboard(scene)
        story.certificates = {name: scene.certificates(zone_of(name)) for name in NAMES}
        replace(scene, REPLACED)
        while_it_is_down(scene, story)
        remove(scene, tokens)
        watch(scene, story)
    return story


def onboard(scene: Scene) -> dict[str, str]:
    """Each with a namespace, and a token that sees its zone; returns the tokens' ids."""
    tokens = {}
    for name in NAMES:
        token = scene.control.make_token(zones=[zone_of(name)])
        tokens[name] = token["id"]
        scene.namespace(name, token["value"])
    first = [name for name in NAMES if name != PENDING]
    for name in first:
        scene.apply(
            name,
            name,
            zone={"name": zone_of(name)},
            hostnames=[zone_of(name)],
            enforcement="Request",
        )
    for name in first:
        scene.until_enforced(name, name, within_s=150)
    scene.control.turn(deploy_s=3600)
    scene.apply(
        PENDING,
        PENDING,
        zone={"name": zone_of(PENDING)},
        hostnames=[zone_of(PENDING)],
        enforcement="Request",
    )
    until(
        lambda: scene.certificates(zone_of(PENDING)),
        within_s=60,
        describe=lambda: scene.summary(PENDING, PENDING),
    )
    return tokens


def replace(scene: Scene, name: str) -> None:
    """As `kubectl replace -f` and Argo CD's `Replace=true` do: what the manifest does not say is gone, annotations and finalizer too."""
    file = scene.sandbox.folder / f"{name}.json"
    spec = {"zone": {"name": zone_of(name)}, "hostnames": [zone_of(name)], "enforcement": "Request"}
    file.write_text(json.dumps(pull(name, name, **spec)))
    scene.plane.kubectl("replace", "-f", str(file))


def while_it_is_down(scene: Scene, story: HeldUpStory) -> None:
    """A record that is lost with its copy, and a namespace of which the Secret is gone before anybody could look."""
    scene.operator.kill()
    replace(scene, STRIPPED)
    merge = {"Content-Type": "application/merge-patch+json"}
    scene.plane.http.patch(
        path_of(STRIPPED, STRIPPED) + "/status", json={"status": {"record": None}}, headers=merge
    ).raise_for_status()
    delete_namespace(scene, RESTARTED)
    looks = len(scene.trace())
    scene.operator.start()

    def noted() -> list[str]:
        steps = [json.loads(line)["step"] for line in scene.trace()[looks:]]
        return [step["what"] for step in steps if "was lost" in step.get("what", "")]

    story.lost = until(
        noted,
        within_s=60,
        describe=lambda: f"the loss to be noted: {scene.summary(STRIPPED, STRIPPED)}",
    )


def delete_namespace(scene: Scene, name: str) -> None:
    """As the API server and the namespace controller do it; the Secrets go first, by chance."""
    scene.plane.http.delete(f"/api/v1/namespaces/{name}").raise_for_status()
    scene.plane.http.delete(f"/api/v1/namespaces/{name}/secrets").raise_for_status()
    scene.delete(name, name)


def remove(scene: Scene, tokens: dict[str, str]) -> None:
    """Each meets its trouble, then all are deleted; the one whose token is only remembered comes to its end before the next restart."""
    delete_namespace(scene, TERMINATING)
    scene.until_gone(TERMINATING, TERMINATING)
    scene.control.change_token(tokens[NARROWED], zones=["example.com"])
    scene.control.change_token(
        tokens[READ_ONLY],
        permissions=[one.replace("Certificates Write", "Certificates Read") for one in PERMISSIONS],
    )
    dropped = scene.control.zone(zone_of(DROPPED))["id"]
    scene.control.break_api(path=f"/zones/{dropped}*", drop=True)
    for name in (NARROWED, DROPPED, READ_ONLY, PENDING, REPLACED, STRIPPED):
        scene.delete(name, name)


def watch(scene: Scene, story: HeldUpStory) -> None:
    """What is said on the way, a restart in the middle, and the end."""

    def since() -> str:
        return str(
            ((scene.object(DROPPED, DROPPED) or {}).get("status") or {}).get("removingSince", "")
        )

    def says(name: str) -> Callable[[], str]:
        def waited() -> str:
            message = str(scene.condition("Ready", name, name).get("message", ""))
            return message if WAITED in message else ""

        return waited

    for name in (DROPPED, NARROWED, PENDING):
        story.words[name] = until(
            says(name),
            within_s=60,
            describe=lambda name=name: scene.summary(name, name),  # type: ignore[misc]  # a default binds it
        )
    story.since.append(since())
    scene.operator.kill()
    scene.operator.start()
    looks = len(scene.trace())
    until(
        lambda: any(DROPPED in line for line in scene.trace()[looks:]),
        within_s=60,
        describe="a look after the restart",
    )
    story.since.append(since())
    for name in NAMES:
        scene.until_gone(name, name, within_s=GONE_WITHIN_S)
    until(
        lambda: scene.sandbox.config_map().get("data") == story.text_before,
        within_s=30,
        describe="the ConfigMap to be as it was found",
    )
    story.text_after = scene.sandbox.config_map().get("data")
    for name in NAMES:
        zone = scene.control.zone(zone_of(name))
        story.left[name], story.enabled[name] = scene.certificates(zone_of(name)), zone["enabled"]
        story.lines[name] = [
            event["message"]
            for namespace in (name, OPERATOR_NAMESPACE)
            for event in scene.plane.http.get(f"/api/v1/namespaces/{namespace}/events")
            .raise_for_status()
            .json()["items"]
            if event["reason"] == "LeftBehind" and zone_of(name) in event["message"]
        ]


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_behind_is_named(story: HeldUpStory, name: str) -> None:
    """By the zone, the leaf and the setting; also where the namespace of the object takes no Event any more."""
    (certificate,) = story.left[name]
    assert certificate["id"] == (story.certificates[name] or [certificate])[0]["id"]
    (message,) = story.lines[name]
    assert certificate["sha256"][:8] in message
    assert "Authenticated Origin Pulls" in message or not story.enabled[name]


@pytest.mark.parametrize("name", [DROPPED, NARROWED, PENDING])
def test_it_says_until_when_cloudflare_is_waited_for(story: HeldUpStory, name: str) -> None:
    assert "No replica refuses visitors any more" in story.words[name]


def test_a_restart_does_not_begin_the_wait_again(story: HeldUpStory) -> None:
    before, after = (datetime.fromisoformat(text).astimezone(UTC) for text in story.since)
    assert abs(after - before) <= timedelta(seconds=2)


@pytest.mark.parametrize("name", TAKEN_BACK)
def test_nothing_is_left_behind_where_nothing_holds_it_up(story: HeldUpStory, name: str) -> None:
    """A Secret that goes first is still remembered; a record that was taken away is read from the status, or made anew from our own traces."""
    assert story.certificates[name]
    assert (story.left[name], story.enabled[name], story.lines[name]) == ([], False, [])


def test_the_record_of_an_object_that_was_replaced_survives_and_a_loss_is_said_once(
    story: HeldUpStory,
) -> None:
    assert len(story.lost) == 1


def test_the_controller_is_as_it_was_found(story: HeldUpStory) -> None:
    assert story.text_after == story.text_before
