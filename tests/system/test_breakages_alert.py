"""Ten ways to break it, as docs/runbook.md lists them: each has its alert, which fires while it is broken and ends when it is mended.

The operator, its origins and the API server are real, and so is the Prometheus that reads it and
judges the chart's own rules, with seconds for minutes. What a person then asks, `kubectl aop
status`, has to name the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from sandbox.clocked import WallClock, clocked
from sandbox.composition import Layout
from sandbox.direct import Leaf
from sandbox.plugin import aop
from sandbox.prometheus import haste, promtool
from sandbox.prometheus.server import Prometheus
from sandbox.scene import NAMESPACE, Scene, name_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(900)]

SPLIT, FOREIGN, LOWERED, OVERWRITTEN, OTHER = ZONES = (
    "example.com",
    "example.net",
    "example.org",
    "example.edu",
    "example.info",
)
GREY = f"grey.{SPLIT}"
FIRES_WITHIN_S, ENDS_WITHIN_S = 120.0, 120.0
HELD_OFF_S = 200.0
"""A hold-off of a minute, and a window."""
FORGOTTEN_WITHIN_S = 300.0
"""An hour, in haste."""
NONSENSE = "no_such_directive on;"


class WatchedScene:
    """A scene, the Prometheus that watches it, and the clock of the operator's machine."""

    def __init__(self, scene: Scene, prometheus: Prometheus, clock: WallClock) -> None:
        self.scene, self.prometheus, self.clock = scene, prometheus, clock

    def firing(self, alert: str, **labels: str) -> list[dict[str, Any]]:
        """The alerts of that name that fire, with those labels."""
        return [
            one
            for one in self.prometheus.alerts()
            if one["state"] == "firing"
            and {"alertname": alert, **labels}.items() <= one["labels"].items()
        ]

    def until_it_fires(self, alert: str, **labels: str) -> str:
        """Wait for it, and see that its words are words; returns what it says in full."""
        fired = until(
            lambda: self.firing(alert, **labels),
            within_s=FIRES_WITHIN_S,
            every_s=0.5,
            describe=lambda: f"{alert} {labels} to fire; there is\n{self.ready_lines()}",
        )
        for text in fired[0]["annotations"].values():
            assert "<" not in text, text
            assert "%!" not in text, text
        return str(fired[0]["annotations"]["description"])

    def until_it_ends(self, alert: str, within_s: float = ENDS_WITHIN_S, **labels: str) -> None:
        """Wait until nothing of that name fires."""
        until(
            lambda: not self.firing(alert, **labels),
            within_s=within_s,
            every_s=0.5,
            describe=lambda: f"{alert} {labels} to end; there is\n{self.ready_lines()}",
        )

    def ready_lines(self) -> str:
        """What is pending or fires, which rules cannot be judged, and what the operator says."""
        alerts = [f"{one['state']} {one['labels']}" for one in self.prometheus.alerts()]
        words = [self.scene.summary(name_of(zone)) for zone in ZONES]
        return "\n".join([*alerts, *self.prometheus.unhealthy(), *words])

    def status(self, zone: str) -> str:
        """What `kubectl aop status` says of a zone's object."""
        done = aop(self.scene, "status", name_of(zone), "-n", NAMESPACE)
        assert done.returncode == 0, done.stderr
        return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def watched() -> Iterator[WatchedScene]:
    program = promtool.found_or_left_out().prometheus
    hosts = (*ZONES, GREY)
    layout = Layout(hosts=hosts, zones=ZONES, dns_only=(GREY,))
    with Scene(layout, with_operator=False) as scene:
        clock = clocked(scene, AOP_RESYNC_S="20", AOP_REPLICA_RECHECK_S="2")
        target = {"aop-operator-1": f"127.0.0.1:{scene.operator.metrics_port}"}
        folder = scene.sandbox.folder / "prometheus"
        with Prometheus(program, folder, target, haste.rules()) as prometheus:
            watching = WatchedScene(scene, prometheus, clock)
            # Else the edge goes on with connections that it has presented a certificate on.
            scene.control.turn_location(requests_per_connection=1, resume=False)
            with scene.operator:
                for zone in ZONES:
                    scene.apply(name_of(zone), zone={"name": zone}, hostnames=[zone])
                for zone in ZONES:
                    scene.until_enforced(name_of(zone))
                yield watching


def test_in_peace_nothing_fires(watched: WatchedScene) -> None:
    until(
        lambda: not [one for one in watched.prometheus.alerts() if one["state"] == "firing"],
        within_s=ENDS_WITHIN_S,
        describe=lambda: f"nothing to fire; there is\n{watched.ready_lines()}",
    )
    assert watched.prometheus.unhealthy() == []


def test_a_token_that_is_revoked(watched: WatchedScene) -> None:
    token = watched.scene.cloudflare.token_id
    watched.scene.control.change_token(token, revoked=True)
    try:
        watched.until_it_fires("AopTokenFailing", zone=OTHER, reason="TokenRejected")
        watched.until_it_fires("AopStalled", zone=OTHER)
        status = watched.status(OTHER)
        assert "blocked (TokenRejected)" in status
        assert "Require, as the spec asks" in status
        assert watched.firing("AopRelaxed") == []
    finally:
        watched.scene.control.change_token(token, revoked=False)
    watched.until_it_ends("AopTokenFailing")
    watched.until_it_ends("AopStalled")


def test_an_ssl_mode_that_is_lowered(watched: WatchedScene) -> None:
    watched.scene.control.change_zone(LOWERED, ssl="flexible")
    try:
        watched.until_it_fires("AopRelaxed", zone=LOWERED)
        firing = watched.until_it_fires("AopStalled", zone=LOWERED)
        assert f"{NAMESPACE}/{name_of(LOWERED)} (SSLModeTooLow):" in firing
        assert "blocked (SSLModeTooLow)" in watched.status(LOWERED)
        assert watched.firing("AopRelaxed", zone=OTHER) == [], "one zone's trouble is its own"
    finally:
        watched.scene.control.change_zone(LOWERED, ssl="full")
    watched.until_it_ends("AopStalled", zone=LOWERED)
    watched.until_it_ends("AopRelaxed", within_s=HELD_OFF_S, zone=LOWERED)


def test_a_certificate_of_somebody_else(watched: WatchedScene) -> None:
    uploaded = watched.scene.control.upload(FOREIGN)
    try:
        watched.until_it_fires("AopRelaxed", zone=FOREIGN)
        watched.until_it_fires("AopStalled", zone=FOREIGN)
        assert "blocked (ForeignCertificate)" in watched.status(FOREIGN)
    finally:
        watched.scene.control.delete(uploaded["id"], FOREIGN)
    watched.until_it_ends("AopStalled", zone=FOREIGN)
    watched.until_it_ends("AopRelaxed", within_s=HELD_OFF_S, zone=FOREIGN)


def test_a_host_that_is_dns_only(watched: WatchedScene) -> None:
    scene = watched.scene
    scene.patch({"hostnames": [SPLIT, GREY]}, name_of(SPLIT))
    try:
        watched.until_it_fires("AopHostNotProven", zone=SPLIT)
        scene.until_condition("Ready", "True", name=name_of(SPLIT))
        status = watched.status(SPLIT)
        assert "1 of 2 proven since" in status
        assert "bypasses Cloudflare" in status
    finally:
        scene.patch({"hostnames": [SPLIT]}, name_of(SPLIT))
    watched.until_it_ends("AopHostNotProven", zone=SPLIT)


def test_a_secret_that_is_overwritten(watched: WatchedScene) -> None:
    scene, foreign = watched.scene, Leaf.foreign()
    before = scene.secret(f"{name_of(OVERWRITTEN)}-aop")["data"]
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{name_of(OVERWRITTEN)}-aop"

    def write(**body: Any) -> None:
        scene.plane.http.patch(
            path, json=body, headers={"Content-Type": "application/merge-patch+json"}
        ).raise_for_status()

    write(stringData={"tls.crt": foreign.certificate, "tls.key": foreign.key})
    try:
        watched.until_it_fires("AopStalled", zone=OVERWRITTEN)
        status = watched.status(OVERWRITTEN)
        assert "blocked (KeyPairInvalid)" in status
        assert "Require, as the spec asks" in status
        assert "1 of 1 proven" in status
        assert "delete the Secret" in status
        assert watched.firing("AopHostNotProven", zone=OVERWRITTEN) == []
    finally:
        write(data=before)
    watched.until_it_ends("AopStalled", zone=OVERWRITTEN)


def test_a_pod_that_hangs(watched: WatchedScene) -> None:
    pod = watched.scene.pods()[0]
    with watched.scene.ingress_nginx.hung(pod):
        watched.until_it_fires("AopReplicaBehind", zone=OTHER, origin="public")
        until(
            lambda: pod in watched.status(OTHER),
            within_s=FIRES_WITHIN_S,
            describe=lambda: f"{pod} to be named:\n{watched.status(OTHER)}",
        )
    watched.until_it_ends("AopReplicaBehind")


def test_a_config_map_that_is_reset_again_and_again(watched: WatchedScene) -> None:
    scene = watched.scene

    def undone() -> int:
        series = watched.prometheus.query('max(aop_object_drift_total{what="origin"})')
        return int(float(series[0]["value"][1])) if series else 0

    for times in (1, 2, 3):
        until(
            lambda: len(scene.own_text()) == 2,
            within_s=FIRES_WITHIN_S,
            describe=lambda: f"the text to be put back\n{watched.ready_lines()}",
        )
        scene.write_config_map({"http-snippet": None, "server-snippet": None})
        until(
            partial(lambda least: undone() >= least, times),
            within_s=FIRES_WITHIN_S,
            describe=lambda: f"that to be counted\n{watched.ready_lines()}",
        )
    watched.until_it_fires("AopDriftRepeated", what="origin")
    until(
        lambda: any("blocked (ForeignConfiguration)" in watched.status(zone) for zone in ZONES),
        within_s=FIRES_WITHIN_S,
        describe=lambda: f"whoever resets it to be named\n{watched.ready_lines()}",
    )
    for zone in ZONES:
        scene.until_enforced(name_of(zone), within_s=HELD_OFF_S)
    watched.until_it_ends("AopDriftRepeated", within_s=FORGOTTEN_WITHIN_S)


def test_a_controller_that_rejects_its_configuration(watched: WatchedScene) -> None:
    scene = watched.scene
    # A pod that has reloaded as often as these loses the Event that says why it does not.
    for pod in scene.pods():
        scene.ingress_nginx.replace(pod)
    scene.ingress_nginx.await_ready()
    scene.until_enforced(name_of(OTHER), within_s=HELD_OFF_S)
    scene.write_config_map({"main-snippet": NONSENSE})
    try:
        scene.patch({"enforcement": "Optional"}, name_of(OTHER))
        watched.until_it_fires("AopConfigurationRejected", zone=OTHER)
        status = watched.status(OTHER)
        assert "waits (ControllerStuck)" in status
        assert "no_such_directive" in status
    finally:
        scene.write_config_map({"main-snippet": None})
        scene.patch({"enforcement": "Require"}, name_of(OTHER))
    watched.until_it_ends("AopConfigurationRejected", within_s=HELD_OFF_S)


def test_a_budget_that_is_exhausted(watched: WatchedScene) -> None:
    """By another tool of the same user: one call too many, and Cloudflare names when to come back."""
    watched.scene.control.break_api(status=429, headers={"retry-after": "20"}, count=1)
    watched.until_it_fires("AopBudgetExhausted")
    assert "Require, as the spec asks" in watched.status(OTHER)
    watched.until_it_ends("AopBudgetExhausted")
    watched.scene.control.mend()


def test_a_clock_that_is_wrong(watched: WatchedScene) -> None:
    watched.clock.set(3000)
    try:
        watched.until_it_fires("AopClockWrong")
        assert watched.firing("AopRelaxed") == []
    finally:
        watched.clock.set(0)
    watched.until_it_ends("AopClockWrong")


def test_an_operator_that_is_down(watched: WatchedScene) -> None:
    watched.scene.operator.kill()
    try:
        watched.until_it_fires("AopOperatorDown")
    finally:
        watched.scene.operator.start()
    watched.until_it_ends("AopOperatorDown")
