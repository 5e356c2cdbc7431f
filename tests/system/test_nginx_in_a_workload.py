"""NGINX in a Deployment lives the whole life that ingress-nginx does: its pods are replaced by the real controller, and serve as real nginx."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.cluster.frontend import Frontend
from sandbox.composition import HOSTS, WORKLOADS, Layout
from sandbox.direct import Visitor
from sandbox.scene import Scene, nginx_origin

pytestmark = [pytest.mark.timeout(300)]

ENFORCED_WITHIN_S = 150.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(workload=True, manifests=WORKLOADS)) as running:
        yield running


@pytest.fixture
def frontend(scene: Scene) -> Frontend:
    return scene.sandbox.frontend


def test_not_one_request_is_lost_from_apply_to_removal(scene: Scene, frontend: Frontend) -> None:
    template = frontend.deployment()["spec"]["template"]
    found = scene.control.zone()["enabled"]
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        scene.apply(hostnames=list(HOSTS), origins=[nginx_origin()])
        scene.until_enforced(within_s=ENFORCED_WITHIN_S)
        for replica in frontend.replicas():
            for host in HOSTS:
                answers = {who: scene.ask_replica(replica.https, host, who) for who in Visitor}
                assert answers == {
                    Visitor.NOBODY: 400,
                    Visitor.OURS: 200,
                    Visitor.STRANGER: 400,
                }, replica.pod
        scene.remove(within_s=ENFORCED_WITHIN_S)
        frontend.until_rolled_out(within_s=60)
        report = visitors.stop()
    assert report.flawless, str(report)
    assert frontend.config_map() is None
    assert frontend.deployment()["spec"]["template"] == template
    assert scene.control.zone()["enabled"] == found
    assert scene.certificates() == []
    assert scene.refusing() == []
