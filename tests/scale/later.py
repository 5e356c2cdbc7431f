"""What happens to many zones that are settled: the operator is started again, a Secret changes, the edge stops presenting."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.following import Following
from sandbox.scene import Scene, name_of
from sandbox.waiting import until
from scale.measure import (
    ACCOUNT,
    EVERYWHERE,
    RESTS_AFTER_S,
    RESTS_S,
    SETTLED_S,
    Followed,
    Rest,
    scene_of,
    settle,
    until_ready,
    until_settled,
    writes,
    zone_names,
)
from scale.settled import settled_by_hand

WITHIN_S = 900.0
MOST_ONBOARDED = 100
"""Of more zones, all but one are made as the operator would leave them."""


@dataclass(frozen=True, slots=True)
class LaterRun:
    """How much each part of the run gets; a share of it gets less."""

    secrets: int = 20
    """How many Secrets are changed, one after the other."""
    started_s: float = 60.0
    """For how long a new process is watched."""
    settled_s: float = SETTLED_S
    rests_after_s: float = RESTS_AFTER_S
    rests_s: float = RESTS_S


WHOLE = LaterRun()


@dataclass(frozen=True, slots=True)
class Later:
    """What was read off."""

    zones: int
    restart_writes: int
    """Requests of a new process in its first minute that change anything in Kubernetes."""
    restart_calls: int
    """The same to Cloudflare, of any kind."""
    first_relaxation_s: float
    """From the start of a new process until the text relaxes a zone that no longer asks to be required."""
    secret_p95_ms: float
    """From a change of a key pair's Secret until the object's status says so."""
    loss_s: float
    """From the edge's last certificate for one zone until no replica requires it there."""
    resident_mib: float
    rest_cpu_m: float
    """Thousandths of a core at rest."""
    rest_requests_per_min: float
    """To the API server at rest."""


class Figures:
    """When each object's CertificateReady changed last, as a watch shows it."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], float] = {}

    def notice(self, _: str, seen: dict[str, Any]) -> None:
        """One event of the watch."""
        for one in seen.get("status", {}).get("conditions", ()):
            if one["type"] == "CertificateReady":
                self._at.setdefault((seen["metadata"]["name"], one["status"]), time.monotonic())

    def forget(self, name: str) -> None:
        """From now on it is told anew."""
        self._at = {key: at for key, at in self._at.items() if key[0] != name}

    def until(self, name: str, statuses: set[str]) -> float:
        """When the first of these was told since then (monotonic); waits for it."""

        def at() -> float | None:
            return min((at for one in statuses if (at := self._at.get((name, one)))), default=None)

        told_at = until(at, within_s=60, every_s=0.005, describe=f"{name} to tell of its Secret")
        assert told_at is not None
        return told_at


def later(zones: int, say: Callable[[str], None], given: LaterRun = WHOLE) -> Later:
    """Let that happen to so many zones that are settled."""
    names = zone_names(zones)
    with scene_of(names) as scene:
        objects = settle(scene, names)
        followed, figures = Followed(), Figures()
        with (
            Following(scene.plane, EVERYWHERE, followed.notice),
            Following(scene.plane, EVERYWHERE, figures.notice),
        ):
            _onboarded(scene, objects, followed, given, say)
            say("the operator is started again")
            restart_writes, restart_calls = _started_again(scene, given.started_s)
            until_ready(zones, followed, time.monotonic(), scene, say)
            say(f"what it costs at rest is read off in {given.rests_after_s:.0f} s")
            time.sleep(given.rests_after_s)
            rest = Rest.of(scene, given.rests_s)
            say("Secrets are overwritten, one after the other")
            secret_p95_ms = _overwritten(scene, objects[: given.secrets], figures)
            until_ready(zones, followed, time.monotonic(), scene, say)
            time.sleep(given.settled_s)
            say("it is started again while one zone wants to be relaxed")
            relaxed_s = _relaxed_at_start(scene, objects[-1])
            say("the edge presents nothing any more for one zone")
            loss_s = _lost(scene, names[0])
    return Later(
        zones,
        restart_writes,
        restart_calls,
        relaxed_s,
        secret_p95_ms,
        loss_s,
        rest.resident_mib,
        rest.cpu_m,
        rest.requests_per_min,
    )


def _onboarded(
    scene: Scene,
    objects: list[dict[str, Any]],
    followed: Followed,
    given: LaterRun,
    say: Callable[[str], None],
) -> None:
    """All of them are settled: by the operator, or, of very many, all but one by hand."""
    by_hand = len(objects) > MOST_ONBOARDED
    theirs = objects[:1] if by_hand else objects
    scene.plane.apply(theirs)
    until_ready(len(theirs), followed, time.monotonic(), scene, say)
    until_settled(followed, given.settled_s)
    scene.operator.terminate(within_s=30)
    if by_hand:
        settled_by_hand(scene, objects, say)
        last = objects[-1]["spec"]["zone"]["name"]
        until(
            lambda: scene.required(last),
            within_s=WITHIN_S,
            every_s=0.5,
            describe="every replica to run the text that was written by hand",
        )


def _lost(scene: Scene, zone: str) -> float:
    with scene.presenting_nothing(zone, f"www.{zone}"):
        began = time.monotonic()
        until(
            lambda: not scene.refusing(zone),
            within_s=WITHIN_S,
            every_s=0.5,
            describe="a relaxation",
        )
        return time.monotonic() - began


def _overwritten(scene: Scene, objects: list[dict[str, Any]], figures: Figures) -> float:
    """The time that 95 of 100 stay below (milliseconds)."""
    took = []
    for one in objects:
        name, namespace = one["metadata"]["name"], one["metadata"]["namespace"]
        data = scene.secret(f"{name}-aop", namespace)["data"]
        figures.forget(name)
        began = time.monotonic()
        _write(scene, namespace, name, {"tls.crt": base64.b64encode(b"nothing").decode()})
        took.append(figures.until(name, {"Unknown", "False"}) - began)
        figures.forget(name)
        _write(scene, namespace, name, data)
        figures.until(name, {"True"})
    return sorted(took)[math.ceil(len(took) * 0.95) - 1] * 1000


def _write(scene: Scene, namespace: str, name: str, data: dict[str, str]) -> None:
    scene.plane.http.patch(
        f"/api/v1/namespaces/{namespace}/secrets/{name}-aop",
        json={"data": data},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()


def _started_again(scene: Scene, started_s: float) -> tuple[int, int]:
    scene.operator.terminate(within_s=30)
    before = len(scene.plane.audit(ACCOUNT))
    since = max((call["number"] for call in scene.control.calls()), default=0)
    scene.operator.start()
    time.sleep(started_s)
    return writes(scene, before), len(scene.control.calls(since=since))


def _relaxed_at_start(scene: Scene, one: dict[str, Any]) -> float:
    zone, name = one["spec"]["zone"]["name"], name_of(one["spec"]["zone"]["name"])
    scene.operator.terminate(within_s=30)
    scene.patch({"enforcement": "Request"}, name, one["metadata"]["namespace"])
    began = time.monotonic()
    scene.operator.launch()
    until(lambda: not scene.refusing(zone), within_s=WITHIN_S, every_s=0.2, describe="a relaxation")
    return time.monotonic() - began
