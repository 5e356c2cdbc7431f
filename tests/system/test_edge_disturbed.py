"""Silence relaxes nothing, loss relaxes at once, and nothing is required before its proof: promises S1 and S3 at the edge.

One operator, one controller, and a zone for each thing that can happen to the edge, all at the same
time: `story` brings them to *required*, disturbs them, and looks all the while at what each replica
does; then it mends the edge and waits until all of them are required again. Connections of the edge
carry one request each here, so that what it presents changes from one request to the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox import direct
from sandbox.composition import Layout
from sandbox.direct import Leaf
from sandbox.scene import Scene, name_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

DISTURBED_S = 16.0
RELAXED_WITHIN = timedelta(seconds=15)
"""From the losing answer that makes it a loss: the third or a later one, at least ten seconds after
the first."""
LOSS_SPREAD, LOSS_ANSWERS = timedelta(seconds=10), 3
HOLD_OFF_S = 60.0
WINDOW_S = 10.0

SILENT: Mapping[str, Mapping[str, Any]] = {
    "timeout": {"answer": "timeout"},
    "forbidden": {"answer": 403},
    "limited": {"answer": 429, "headers": {"retry-after": "1"}},
    "unknown": {"answer": 520},
    "challenged": {"answer": "challenge"},
    "bad-request": {"answer": 400},
    "no-nonce": {"answer": 200},
    "old-answer": {
        "answer": 200,
        "body": "{an answer from before that came without a certificate}",
    },
}
"""What the edge answers by itself, by the first label of the host."""
QUIET = "quiet.example.net"
LOST = {
    "nothing.example.net": "nothing",
    "foreign.example.net": "foreign",
    "revoked.example.net": "nothing",
}
"""What the edge presents for these zones once they are required; the token of the last is revoked
at the same moment."""
NEVER = "never.example.net"
"""Nothing is presented for it from the beginning, although the API says `active` and `enabled`."""
QUIET_HOSTS = tuple(f"{label}.{QUIET}" for label in SILENT)
ENFORCED = (*QUIET_HOSTS, *LOST)
ZONES = (QUIET, *LOST, NEVER)


@dataclass(frozen=True, slots=True)
class SeenRefusal:
    """What one replica did with one host: whether it refused a visitor without a certificate, and one with a stranger's."""

    at: datetime
    pod: str
    host: str
    refused: tuple[bool, bool]


@dataclass(slots=True)
class DisturbedStory:
    """What was seen."""

    disturbed_at: datetime
    mended_at: datetime = field(default_factory=lambda: datetime.max.replace(tzinfo=UTC))
    disturbed: list[SeenRefusal] = field(default_factory=list)
    """While the edge was disturbed."""
    early: list[SeenRefusal] = field(default_factory=list)
    """Of the zone that is never presented, from its application to the mending."""
    losses: dict[str, datetime] = field(default_factory=dict)
    """When the operator had seen enough for a loss, by host."""
    ready: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By zone, the conditions in the end of the disturbance."""
    modes: dict[str, str] = field(default_factory=dict)
    """By zone, the observed mode in the end of the disturbance."""
    active: dict[str, Any] = field(default_factory=dict)
    """What the API says of the zone that is never presented."""
    enforced_again: dict[str, datetime] = field(default_factory=dict)
    """When each zone was seen Ready after the mending."""
    refusing_again: dict[str, list[bool]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story() -> DisturbedStory:
    """From required through disturbed to required again."""
    with Scene(Layout(zones=("example.com", *ZONES))) as scene:
        scene.control.turn(deploy_s=0)
        scene.control.turn_location(
            requests_per_connection=1, resume=False, presents={NEVER: "nothing"}
        )
        tokens = {zone: scene.control.make_token() for zone in ZONES}
        for zone in ZONES:
            scene.namespace(name_of(zone), tokens[zone]["value"])
            hosts = QUIET_HOSTS if zone == QUIET else (zone,)
            scene.apply(name_of(zone), name_of(zone), zone={"name": zone}, hostnames=list(hosts))
        for zone in (QUIET, *LOST):
            scene.until_enforced(name_of(zone), name_of(zone))
        story = DisturbedStory(disturb(scene, tokens))
        watch(scene, story)
        mend(scene, story, tokens)
    return story


def disturb(scene: Scene, tokens: Mapping[str, Mapping[str, Any]]) -> datetime:
    """Everything at once; the moment."""
    before = answer_without_certificate(scene)
    for label, fault in SILENT.items():
        body = {"body": before} if "body" in fault else {}
        scene.control.break_edge(host=f"{label}.{QUIET}", **{**fault, **body})
    began = datetime.now(UTC)
    scene.control.change_token(tokens["revoked.example.net"]["id"], revoked=True)
    scene.control.turn_location(presents={NEVER: "nothing", **LOST})
    return began


def answer_without_certificate(scene: Scene) -> str:
    """What the check path said to somebody without a certificate a moment ago, as a cache would give it to the next one who asks."""
    path = scene.sandbox.config_map()["metadata"]["annotations"]["aop-operator.dev/path"]
    ca_file = scene.ingress_nginx.announcement.ca_file
    answer = direct.ask(
        scene.sandbox.origins[0],
        QUIET_HOSTS[-1],
        f"/.well-known/aop-operator/{path}/check.txt?n=a-nonce-of-then",
        ca_file=ca_file,
    )
    assert "presented=none" in answer.text
    return answer.text


def watch(scene: Scene, story: DisturbedStory) -> None:
    """Until the lost zones are relaxed on every replica, the silent ones were disturbed for long enough, and all of it is told."""

    def over() -> bool:
        story.disturbed += look(scene, ENFORCED)
        story.early += look(scene, (NEVER,))
        story.losses = losses(scene, story.disturbed_at)
        latest = {(one.pod, one.host): one.refused for one in story.disturbed}
        relaxed = all(
            refused == (False, False) for (_, host), refused in latest.items() if host in LOST
        )
        silent = (
            scene.condition("EdgeVerified", name_of(QUIET), name_of(QUIET)).get("reason")
            == "EdgeSilent"
        )
        unproven = (
            scene.condition("Ready", name_of(NEVER), name_of(NEVER)).get("reason")
            == "EdgeNotProven"
        )
        return (
            relaxed
            and silent
            and unproven
            and story.disturbed[-1].at - story.disturbed_at >= timedelta(seconds=DISTURBED_S)
        )

    until(
        over,
        within_s=90,
        every_s=0.2,
        describe=lambda: "\n\n".join(scene.summary(name_of(zone), name_of(zone)) for zone in ZONES),
    )
    for zone in ZONES:
        manifest = scene.object(name_of(zone), name_of(zone))
        assert manifest is not None
        story.ready[zone] = {one["type"]: one for one in manifest["status"]["conditions"]}
        story.modes[zone] = manifest["status"]["origins"][0]["mode"]
    (certificate,) = scene.certificates(NEVER)
    story.active = {
        "status": certificate["status"],
        "enabled": scene.control.zone(NEVER)["enabled"],
    }


def mend(scene: Scene, story: DisturbedStory, tokens: Mapping[str, Mapping[str, Any]]) -> None:
    """The edge presents ours again, everywhere; then all of them are required again."""
    scene.control.change_token(tokens["revoked.example.net"]["id"], revoked=False)
    scene.control.mend()
    scene.control.turn_location(presents={})
    story.mended_at = datetime.now(UTC)

    def again() -> bool:
        for zone in ZONES:
            ready = scene.condition("Ready", name_of(zone), name_of(zone))
            if zone not in story.enforced_again and ready.get("status") == "True":
                story.enforced_again[zone] = datetime.now(UTC)
        return len(story.enforced_again) == len(ZONES)

    until(
        again,
        within_s=150,
        every_s=0.3,
        describe=lambda: "\n\n".join(scene.summary(name_of(zone), name_of(zone)) for zone in ZONES),
    )
    for one in look(scene, (*ENFORCED, NEVER)):
        story.refusing_again.setdefault(one.host, []).extend(one.refused)


def look(scene: Scene, hosts: tuple[str, ...]) -> list[SeenRefusal]:
    """Every replica, as two visitors who bypass the edge see it."""
    ca_file, stranger = scene.ingress_nginx.announcement.ca_file, FOREIGN
    return [
        SeenRefusal(
            datetime.now(UTC),
            replica.pod,
            host,
            (
                direct.ask(replica.https, host, ca_file=ca_file).status_code == 400,
                direct.ask(replica.https, host, leaf=stranger, ca_file=ca_file).status_code == 400,
            ),
        )
        for replica in scene.ingress_nginx.replicas()
        for host in hosts
    ]


FOREIGN = Leaf.foreign()


def losses(scene: Scene, since: datetime) -> dict[str, datetime]:
    """When each host had lost, by the operator's own record of what arrived: three answers in a row over at least ten seconds."""
    arrivals: dict[str, dict[datetime, str]] = {}
    for line in scene.trace_file.read_text().splitlines():
        if not line.endswith("}"):
            continue  # it is being written
        for evidence in json.loads(line)["observed"]["evidence"]:
            for one in evidence["recent"]:
                arrivals.setdefault(evidence["host"], {})[datetime.fromisoformat(one["at"])] = one[
                    "presented"
                ]
    by_zone: dict[str, datetime] = {}
    for host in LOST:
        losing = sorted(
            at
            for at, presented in arrivals.get(host, {}).items()
            if at >= since and presented in {"none", "other"}
        )
        enough = [at for at in losing[LOSS_ANSWERS - 1 :] if at - losing[0] >= LOSS_SPREAD]
        if enough:
            by_zone[host] = enough[0]
    return by_zone


# --- silence ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", SILENT)
def test_an_edge_that_says_nothing_of_use_relaxes_nothing(
    story: DisturbedStory, label: str
) -> None:
    seen = [one for one in story.disturbed if one.host == f"{label}.{QUIET}"]
    assert seen[-1].at - seen[0].at >= timedelta(seconds=DISTURBED_S - 1)
    assert {one.pod for one in seen if one.refused == (True, True)} == {one.pod for one in seen}
    assert [one for one in seen if one.refused != (True, True)] == []


def test_silence_is_told_with_what_was_answered_and_what_to_do(story: DisturbedStory) -> None:
    ready = story.ready[QUIET]
    assert ready["EdgeVerified"]["status"] == "Unknown"
    for label, answered in {
        "bad-request": "HTTP 400",
        "forbidden": "HTTP 403",
        "limited": "HTTP 429",
    }.items():  # of the five that are named
        assert (
            f"{label}.{QUIET} gives no usable answer ({answered}"
            in ready["EdgeVerified"]["message"]
        )
    assert ready["Enforced"]["status"] == "True"
    assert ready["Ready"]["status"] == "True"
    assert "The operator is proving this again through the edge" in ready["Ready"]["message"]
    assert "DNS record is proxied" in ready["Ready"]["message"]


# --- loss -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", LOST)
def test_an_edge_that_presents_something_else_is_refused_no_longer_within_15_seconds(
    story: DisturbedStory, zone: str
) -> None:
    """On every replica, and once relaxed it stays so for as long as the edge does."""
    for pod in {one.pod for one in story.disturbed}:
        seen = [one for one in story.disturbed if one.host == zone and one.pod == pod]
        assert seen[0].refused == (True, True)
        relaxed = next(one for one in seen if one.refused == (False, False))
        assert relaxed.at - story.losses[zone] <= RELAXED_WITHIN
        assert [one for one in seen if one.at > relaxed.at and one.refused != (False, False)] == []


def test_a_loss_is_told_with_what_arrives_and_when_it_is_tried_again(story: DisturbedStory) -> None:
    for zone, presented in {
        "nothing.example.net": "no certificate",
        "foreign.example.net": "another certificate",
    }.items():
        ready = story.ready[zone]
        assert ready["Ready"]["status"] == ready["Enforced"]["status"] == "False"
        assert f"requests to {zone} present {presented}" in ready["EdgeVerified"]["message"]
        assert ready["Enforced"]["reason"] == "HoldOff"
        assert story.modes[zone] == "Request"


def test_a_lost_token_is_told_while_what_protects_visitors_was_done(story: DisturbedStory) -> None:
    ready = story.ready["revoked.example.net"]
    assert story.modes["revoked.example.net"] == "Request"
    assert ready["Enforced"]["status"] == "False"


@pytest.mark.parametrize("zone", [*LOST, QUIET])
def test_what_presents_ours_again_is_required_again(story: DisturbedStory, zone: str) -> None:
    """What was lost, not before the hold-off is over."""
    if zone in LOST:
        assert (story.enforced_again[zone] - story.losses[zone]).total_seconds() >= HOLD_OFF_S
    hosts = QUIET_HOSTS if zone == QUIET else (zone,)
    assert all(all(story.refusing_again[host]) for host in hosts)


# --- no proof ---------------------------------------------------------------------------------------------------------------------


def test_nothing_is_required_while_the_edge_presents_nothing_whatever_the_api_says(
    story: DisturbedStory,
) -> None:
    """For several windows; the replicas ask, and that is all."""
    assert story.active == {"status": "active", "enabled": True}
    assert story.early[-1].at - story.early[0].at >= timedelta(seconds=DISTURBED_S - 1)
    assert [one for one in story.early if one.refused != (False, False)] == []
    assert story.modes[NEVER] == "Request"


def test_a_missing_proof_is_told_with_what_arrives_and_since_when(story: DisturbedStory) -> None:
    message = story.ready[NEVER]["Ready"]["message"]
    assert story.ready[NEVER]["Ready"]["status"] == "False"
    assert f"requests to {NEVER} present no certificate" in message
    assert "The operator has waited since " in message
    since = datetime.fromisoformat(
        message.partition("The operator has waited since ")[2][:19].replace(" ", "T") + "+00:00"
    )
    assert story.mended_at - since >= timedelta(seconds=2 * WINDOW_S)


def test_it_is_required_once_its_proof_has_come(story: DisturbedStory) -> None:
    assert (story.enforced_again[NEVER] - story.mended_at).total_seconds() >= WINDOW_S
    assert all(story.refusing_again[NEVER])
