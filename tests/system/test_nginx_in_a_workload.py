"""NGINX in a Deployment lives the whole life that ingress-nginx does: its pods are replaced by the real controller, and serve as real nginx."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from model.replay import violations
from sandbox.cluster.frontend import CONFIG_MAP, NAMESPACE, Frontend
from sandbox.composition import (
    HOSTS,
    OPERATOR_ACCOUNT,
    OPERATOR_NAMESPACE,
    WORKLOADS,
    Layout,
)
from sandbox.direct import Visitor
from sandbox.kubernetes.permissions import account
from sandbox.scene import Scene, nginx_origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 150.0
RELAXED_WITHIN_S = 60.0
"""10 s of loss, and a rollout of two pods with a preStop of 5 s."""
HELD_OFF_S = 60.0
LEASE = "leases.coordination.k8s.io"
UNUSED = {
    "update secrets in edge",
    "list events in web",
    f"create {LEASE} in aop-system",
    f"get {LEASE} ('aop-operator',) in aop-system",
    f"update {LEASE} ('aop-operator',) in aop-system",
}
"""What a life without a renewal, without a rejection and without a second process may have no use
for."""
EXPECTED = {Visitor.NOBODY: 400, Visitor.OURS: 200, Visitor.STRANGER: 400}


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    with Scene(Layout(workload="Deployment", manifests=WORKLOADS)) as scene:
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    """With nothing of the last test's left, also if that has failed."""
    yield running
    frontend = running.sandbox.frontend
    frontend.node.hangs = frontend.node.reloads = False
    if running.object() is not None:
        running.remove(within_s=WITHIN_S)
    if frontend.config_map() is not None:
        running.plane.kubectl("delete", "configmap", CONFIG_MAP, "--namespace", NAMESPACE)


@pytest.fixture
def frontend(scene: Scene) -> Frontend:
    return scene.sandbox.frontend


def apply(scene: Scene, **more: Any) -> None:
    scene.apply(hostnames=list(HOSTS), origins=[nginx_origin(**more)])


@contextmanager
def flawless(scene: Scene) -> Iterator[None]:
    """Not one request of a visitor fails."""
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        yield
        report = visitors.stop()
    assert report.flawless, str(report)


def assert_required(scene: Scene) -> None:
    for replica in scene.sandbox.frontend.replicas():
        for host in HOSTS:
            answers = {who: scene.ask_replica(replica.https, host, who) for who in Visitor}
            assert answers == EXPECTED, (replica.pod, host)


def until_settled(frontend: Frontend, template: dict[str, Any]) -> None:
    """Wait until the Deployment says of its pods what it said, and they are so."""
    until(
        lambda: frontend.deployment()["spec"]["template"] == template,
        within_s=WITHIN_S,
        every_s=0.2,
        describe="the pod template to be as it was found",
    )
    frontend.until_rolled_out(within_s=WITHIN_S)


def change_conf(frontend: Frontend, old: str, new: str) -> None:
    """The owner changes the configuration, and has the pods replaced."""
    frontend.change_conf(lambda conf: conf.replace(old, new))
    frontend.until_rolled_out(within_s=WITHIN_S)


@contextmanager
def verifying_by_itself(frontend: Frontend) -> Iterator[None]:
    """The owner's server verifies clients, until the block ends, however that is."""
    ours, theirs = "server {", "server { ssl_verify_client optional_no_ca;"
    change_conf(frontend, ours, theirs)
    try:
        yield
    finally:
        change_conf(frontend, theirs, ours)


def test_not_one_request_is_lost_from_apply_to_removal(scene: Scene, frontend: Frontend) -> None:
    template = frontend.deployment()["spec"]["template"]
    found = scene.control.zone()["enabled"]
    told = len(scene.trace())
    with flawless(scene):
        apply(scene)
        scene.until_enforced(within_s=WITHIN_S)
        assert_required(scene)
        scene.remove(within_s=WITHIN_S)
        until_settled(frontend, template)
    assert frontend.config_map() is None
    assert scene.control.zone()["enabled"] == found
    assert scene.certificates() == []
    assert scene.refusing() == []
    assert violations(scene.trace()[told:], in_model=False) == []
    permissions = account(scene.plane, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
    assert permissions.denied == ()
    assert {str(one) for one in permissions.unused} <= UNUSED, str(permissions)


def test_where_somebody_else_reloads_nginx_no_pod_is_replaced(
    scene: Scene, frontend: Frontend
) -> None:
    template, pods = frontend.deployment()["spec"]["template"], scene.pods()
    frontend.node.reloads = True
    apply(scene, apply="Reload")
    scene.until_enforced(within_s=WITHIN_S)
    assert_required(scene)
    scene.remove(within_s=WITHIN_S)
    assert frontend.config_map() is None
    assert (frontend.deployment()["spec"]["template"], scene.pods()) == (template, pods)
    scene.until_relaxed(within_s=30)


def test_a_text_with_which_nginx_does_not_start_is_taken_back(
    scene: Scene, frontend: Frontend
) -> None:
    """The owner's server verifies by itself, which nobody sees before ours asks as well."""
    with verifying_by_itself(frontend):
        template = frontend.deployment()["spec"]["template"]
        with flawless(scene):
            apply(scene)
            ready = scene.until_condition("Ready", reason="TextRejected", within_s=WITHIN_S)
            assert "rejected the operator's configuration for mode Request" in ready["message"]
            frontend.until_rolled_out(within_s=60)
            assert scene.refusing() == []
            scene.remove(within_s=WITHIN_S)
            until_settled(frontend, template)


def test_a_rollout_that_hangs_is_taken_back(scene: Scene, frontend: Frontend) -> None:
    """New pods run nginx and never become Ready; of what is new in the text nobody knows whether it is to blame."""
    frontend.change({"spec": {"progressDeadlineSeconds": 8}})
    template = frontend.deployment()["spec"]["template"]
    with flawless(scene):
        frontend.node.hangs = True
        apply(scene)
        scene.until_condition("Ready", reason="TextRejected", within_s=WITHIN_S)
        frontend.node.hangs = False
        scene.remove(within_s=WITHIN_S)
        until_settled(frontend, template)
    assert frontend.config_map() is None


def test_a_config_map_of_somebody_elses_is_left_alone(scene: Scene, frontend: Frontend) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE},
        "data": {"robots.txt": "User-agent: *"},
    }
    scene.plane.apply(theirs)
    before, template = frontend.config_map(), frontend.deployment()["spec"]["template"]
    apply(scene)
    ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=60)
    assert f"ConfigMap {NAMESPACE}/{CONFIG_MAP} holds robots.txt" in ready["message"]
    scene.remove(within_s=60)
    assert frontend.config_map() == before
    assert frontend.deployment()["spec"]["template"] == template


def test_a_config_map_that_somebody_deletes_comes_back_and_opens_nothing(
    scene: Scene, frontend: Frontend
) -> None:
    template = frontend.deployment()["spec"]["template"]
    with flawless(scene):
        apply(scene)
        scene.until_enforced(within_s=WITHIN_S)
        before = frontend.config_map()
        assert before is not None
        scene.plane.kubectl("delete", "configmap", CONFIG_MAP, "--namespace", NAMESPACE)

        def again() -> bool:
            now = frontend.config_map()
            assert len(scene.refusing()) >= 1, "nobody is let in meanwhile"
            return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]

        until(again, within_s=60, every_s=0.3, describe=lambda: f"it to be back\n{scene.told()}")
        scene.until_enforced(within_s=WITHIN_S)
        frontend.until_rolled_out(within_s=60)
        assert_required(scene)
        scene.remove(within_s=WITHIN_S)
        until_settled(frontend, template)


def test_where_the_edge_presents_nothing_a_rollout_lets_everybody_in(
    scene: Scene, frontend: Frontend
) -> None:
    """As fast as the pods are replaced, which nobody can hurry."""
    apply(scene)
    scene.until_enforced(within_s=WITHIN_S)
    with scene.presenting_nothing(*HOSTS):
        began_s = time.monotonic()
        scene.until_relaxed(within_s=RELAXED_WITHIN_S)
        print(f"relaxed in {time.monotonic() - began_s:.0f} s")
    scene.until_enforced(within_s=WITHIN_S + HELD_OFF_S)
    assert_required(scene)
