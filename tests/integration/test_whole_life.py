"""One recorded life, from nothing to required and back, under visitors: what a person reads, what visitors notice, what the rules allow.

What a person reads at each step, the row of `kubectl get aop` and every condition, is held in
`tests/golden`; `make golden` writes the files anew, and a reviewer then reads what has changed.
Harder lives, with old sessions, locations that lag and replicas that load at different moments, are
those of `tests/system`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model.replay import violations
from sandbox.composition import MANIFESTS, Layout
from sandbox.direct import Visitor
from sandbox.following import Following
from sandbox.load import Report
from sandbox.processes import Child
from sandbox.scene import MOST_ONBOARDING_CALLS, NAMESPACE, Scene, path_of
from sandbox.stages import Stage, stages
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

GOLDEN = Path(__file__).parents[1] / "golden"
DEPLOY_S = 3.0
"""Long enough for a person to read that a certificate is being deployed."""


@dataclass(frozen=True, slots=True)
class Life:
    """What was recorded of it."""

    stages: tuple[Stage, ...]
    report: Report
    trace: list[str]
    calls: list[dict[str, Any]]
    answers: dict[Visitor, set[int]]
    """Of all replicas, once it is enforced, by who asks."""
    seen: tuple[Any, ...]
    left: tuple[Any, ...]


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    """Under the permissions of a default installation.

    The edge keeps no sessions, so that every run takes the same steps.

    A handshake for each request is dear, so that visitors are few.
    """
    with Scene(Layout(manifests=MANIFESTS)) as scene:
        scene.control.turn_location(requests_per_connection=1, resume=False)
        scene.control.turn(deploy_s=DEPLOY_S)
        yield lived(scene)


def lived(scene: Scene) -> Life:
    """Onboard and remove one object; rows by kubectl itself, which prints one for every change."""
    seen: list[dict[str, Any]] = []
    watch = ["get", "aop", "--namespace", NAMESPACE, "--watch", "--no-headers"]
    environment = {**os.environ, "KUBECONFIG": str(scene.plane.admin_kubeconfig)}
    rows = Child(
        [str(scene.plane.programs.kubectl), *watch],
        log=scene.sandbox.folder / "watch.log",
        env=environment,
    )
    try:
        scene.apply("listening", zone={"name": "example.net"}, suspend=True)
        until(
            lambda: "listening" in rows.log.read_text(), within_s=30, describe="kubectl to listen"
        )
        scene.remove("listening")
        before, since = (
            as_it_is(scene),
            max((call["number"] for call in scene.control.calls()), default=0),
        )
        with (
            Following(scene.plane, path_of(NAMESPACE), lambda _, manifest: seen.append(manifest)),
            scene.visitors(rate_per_s=20) as visitors,
        ):
            visitors.allow_redirects(allowed=True)
            scene.apply()
            scene.until_enforced()
            replicas = scene.ingress_nginx.replicas()
            answers = {
                who: {scene.ask_replica(it.https, "example.com", who) for it in replicas}
                for who in Visitor
            }
            scene.remove()
            report = visitors.stop()
            last = next(
                one["message"] for one in seen[-1]["status"]["conditions"] if one["type"] == "Ready"
            )
            printed = until(
                lambda: _rows(rows.log, last),
                within_s=10,
                describe="kubectl to print the last change",
            )
    finally:
        rows.kill()
    calls = scene.control.calls(since=since)
    return Life(
        stages(printed, seen), report, scene.trace(), calls, answers, before, as_it_is(scene)
    )


def as_it_is(scene: Scene) -> tuple[Any, ...]:
    """All that a removal has to put back."""
    config_map = scene.sandbox.config_map()
    metadata = {name: config_map["metadata"].get(name) for name in ("labels", "annotations")}
    return (
        config_map.get("data"),
        metadata,
        scene.control.zone()["enabled"],
        scene.certificates(),
        scene.refusing(),
    )


def _rows(log: Path, last: str) -> list[str]:
    """What kubectl has printed, once it has come to the last message."""
    printed = [row for row in log.read_text().splitlines() if row.startswith("example-com")]
    return printed if printed and last in printed[-1] else []


def test_every_step_reads_as_it_should(life: Life) -> None:
    if os.environ.get("AOP_UPDATE_GOLDEN"):
        for old in GOLDEN.glob("*.txt"):
            old.unlink()
        for stage in life.stages:
            (GOLDEN / f"{stage.name}.txt").write_text(stage.text)
    golden = {file.stem: file.read_text() for file in sorted(GOLDEN.glob("*.txt"))}
    read = {stage.name: stage.text for stage in life.stages}
    assert list(read) == list(golden)
    for name, text in read.items():
        assert text == golden[name], name


def test_no_visitor_notices_and_strangers_are_refused(life: Life) -> None:
    assert life.report.flawless, str(life.report)
    assert life.answers == {Visitor.NOBODY: {400}, Visitor.OURS: {200}, Visitor.STRANGER: {400}}


def test_every_step_is_one_that_the_model_takes(life: Life) -> None:
    assert violations(life.trace) == []


def test_everything_is_left_as_it_was_found(life: Life) -> None:
    assert life.left == life.seen


def test_cloudflare_is_called_ten_times_at_most(life: Life) -> None:
    onboarding = life.calls[
        : 1 + next(n for n, call in enumerate(life.calls) if call["method"] == "PUT")
    ]
    (uploaded,) = [call["path"] for call in onboarding if call["method"] == "POST"]
    polls = [
        call
        for call in onboarding
        if call["method"] == "GET" and call["path"].startswith(f"{uploaded}/")
    ]
    assert len(onboarding) - len(polls) + 1 <= MOST_ONBOARDING_CALLS, [
        f"{call['method']} {call['path']}" for call in onboarding
    ]


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.txt")), ids=lambda file: file.stem)
def test_every_step_says_what_to_do(file: Path) -> None:
    """While Ready is not True, its message is a sentence of more than a word, and a wait ends with what to do."""
    ready = next(line for line in file.read_text().splitlines() if line.startswith("Ready="))
    truth, _, message = ready.partition(": ")
    assert len(message.split()) > 4
    if truth.startswith("Ready=False Waiting"):
        assert "The operator has waited since <time>" in message
        assert message.rstrip(".").endswith("No action needed")
