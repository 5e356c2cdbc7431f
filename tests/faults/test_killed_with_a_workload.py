"""SIGKILL after every effect on a server in a Deployment: also between the ConfigMap and the annotation that has its pods replaced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.conftest import Proxied, proxied_with
from faults.test_killed import Killed
from sandbox import servers
from sandbox.composition import HOSTS, Layout, manifests_for
from sandbox.scene import workload_origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(600)]

WITHIN_S = 240.0


@pytest.fixture(scope="module", params=[*servers.WORKLOADS, servers.GATEWAY])
def proxied(request: pytest.FixtureRequest) -> Iterator[Proxied]:
    if why := servers.why_not(request.param):
        pytest.skip(why)
    layout = Layout(
        workload="Deployment", server=request.param, manifests=manifests_for(request.param)
    )
    with proxied_with(layout) as running:
        yield running


@pytest.mark.parametrize(
    "delivered", [False, True], ids=lambda heard: "answer-heard" if heard else "answer-lost"
)
def test_killed_after_each_effect_in_turn(proxied: Proxied, delivered: bool) -> None:
    """Every process lives for exactly one effect."""
    scene, frontend = proxied.scene, proxied.scene.sandbox.frontend
    scene.operator.start()
    killed = Killed(proxied, within_s=WITHIN_S)
    template, standing = frontend.deployment()["spec"]["template"], frontend.standing()
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        scene.apply(hostnames=list(HOSTS), origins=[workload_origin(scene.sandbox.layout.server)])
        onboarding = killed.until("enforced", nth=1, again=True, delivered=delivered)
        assert len(scene.refusing()) == 2
        scene.delete()
        removal = killed.until("gone", nth=1, again=True, delivered=delivered)
        until(
            lambda: frontend.deployment()["spec"]["template"] == template,
            within_s=30,
            describe="the pod template to be as it was found",
        )
        frontend.until_rolled_out(within_s=60)
        report = visitors.stop()
    proxied.clear()
    scene.operator.kill()
    assert report.flawless, f"{report}\nkilled after {onboarding}, {removal}"
    rollouts = sum("/deployments/" in effect for effect in (*onboarding, *removal))
    assert rollouts >= 5 if frontend.rolls_out else rollouts == 0
    assert frontend.standing() == standing
    assert scene.certificates() == []
    assert scene.control.zone()["enabled"] is False
    assert scene.refusing() == []
