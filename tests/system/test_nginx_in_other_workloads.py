"""A StatefulSet, whose controller replaces one pod after the other, and a DaemonSet, which has one on each node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import lives
from aop.steps import Effect
from lives import RELAXED_WITHIN_S, UNUSED, WITHIN_S, until_settled
from sandbox.cluster.frontend import CONFIG_MAP, NAME, NAMESPACE, Frontend
from sandbox.composition import (
    HOSTS,
    OPERATOR_ACCOUNT,
    OPERATOR_NAMESPACE,
    WORKLOADS,
    Layout,
)
from sandbox.direct import Visitor
from sandbox.helm import programs
from sandbox.helm.releases import Helm
from sandbox.kubernetes.permissions import account
from sandbox.plugin import aop
from sandbox.scene import Scene, pull, workload_origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

EFFECTS = {one.__name__ for one in Effect.__args__}
ROLLING: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": None}


def grant(scene: Scene, kind: str, folder: Path) -> None:
    """What the chart grants where its values name a workload of that kind, in place of what it grants for a Deployment."""
    workload = {"kind": kind, "namespace": NAMESPACE, "name": NAME, "configMap": CONFIG_MAP}
    helm = Helm(programs.any_of_them(say=lambda _: None), folder)
    rendered = helm.template(
        OPERATOR_ACCOUNT,
        OPERATOR_NAMESPACE,
        {"watchNamespaces": ["edge"], "ingressConfigMaps": [], "workloads": [workload]},
    )
    roles = [
        one
        for one in rendered
        if one["kind"] == "Role" and one["metadata"].get("namespace") == NAMESPACE
    ]
    assert f"{kind.lower()}s" in str(roles)
    scene.plane.apply(roles)


@pytest.fixture(scope="module", params=["StatefulSet", "DaemonSet"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    with Scene(Layout(workload=request.param, manifests=WORKLOADS)) as scene:
        grant(scene, request.param, tmp_path_factory.mktemp("chart"))
        scene.control.turn_location(requests_per_connection=1, resume=False)
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    running.sandbox.frontend.change({"spec": {"updateStrategy": ROLLING}})
    lives.clean(running)


@pytest.fixture
def kind(scene: Scene) -> str:
    return scene.sandbox.layout.workload


@pytest.fixture
def frontend(scene: Scene) -> Frontend:
    return scene.sandbox.frontend


def spec_of(kind: str) -> dict[str, Any]:
    named = {"kind": kind, "namespace": NAMESPACE, "name": NAME}
    return {"hostnames": list(HOSTS), "origins": [workload_origin(workloadRef=named)]}


def assert_required(scene: Scene) -> None:
    for replica in scene.sandbox.frontend.replicas():
        answers = {who: scene.ask_replica(replica.https, HOSTS[0], who) for who in Visitor}
        assert answers == {Visitor.NOBODY: 400, Visitor.OURS: 200, Visitor.STRANGER: 400}


def test_it_is_required_and_left_as_it_was_found(
    scene: Scene, kind: str, frontend: Frontend, tmp_path: Path
) -> None:
    """By what was foreseen, and with the rights that the chart grants for it and no others."""
    template = frontend.deployment()["spec"]["template"]
    file = tmp_path / "pull.yaml"
    file.write_text(yaml.safe_dump(pull(**spec_of(kind))))
    plan = aop(scene, "plan", "-f", file, "-o", "json")
    scene.apply(**spec_of(kind))
    scene.until_enforced(within_s=WITHIN_S)
    foreseen = [one["step"] for one in json.loads(plan.stdout)["steps"]]
    taken = [json.loads(one)["kind"] for one in scene.trace()]
    assert foreseen.count("RollOut") == 3, plan.stdout
    assert [one for one in foreseen if one in EFFECTS] == [one for one in taken if one in EFFECTS]
    assert_required(scene)
    scene.remove(within_s=WITHIN_S)
    until_settled(frontend, template)
    assert frontend.config_map() is None
    assert scene.refusing() == []
    permissions = account(scene.plane, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
    assert permissions.denied == ()
    assert {str(one) for one in permissions.unused} <= UNUSED, str(permissions)


def test_a_rollout_that_hangs_is_told_and_refuses_nobody_and_goes_on_when_it_can(
    scene: Scene, kind: str, frontend: Frontend
) -> None:
    """Neither controller ever gives up, and neither has a word for it: so nobody knows whether the text is to blame."""
    frontend.node.hangs = True
    scene.apply(**spec_of(kind))
    reason = {"StatefulSet": "WaitingForReplicas", "DaemonSet": "NoReplicas"}[kind]
    ready = scene.until_condition("Ready", "False", reason, within_s=WITHIN_S)
    if kind == "StatefulSet":
        assert f"kubectl rollout status statefulset/{NAME} -n {NAMESPACE}" in ready["message"]
    assert scene.refusing() == []
    frontend.node.hangs = False
    restart(scene, frontend)
    scene.until_enforced(within_s=WITHIN_S)
    assert_required(scene)


def test_an_object_that_is_deleted_while_its_rollout_hangs_leaves_all_the_same(
    scene: Scene, kind: str, frontend: Frontend
) -> None:
    template = frontend.deployment()["spec"]["template"]
    frontend.node.hangs = True
    scene.apply(**spec_of(kind))
    reason = {"StatefulSet": "WaitingForReplicas", "DaemonSet": "NoReplicas"}[kind]
    scene.until_condition("Ready", "False", reason, within_s=WITHIN_S)
    scene.delete()
    frontend.node.hangs = False
    scene.remove(within_s=WITHIN_S)
    restart(scene, frontend)
    until_settled(frontend, template)
    assert frontend.config_map() is None


@pytest.mark.parametrize("strategy", ["OnDelete", "partition"])
def test_where_pods_are_not_replaced_by_themselves_it_is_said_before_anything_is_written(
    scene: Scene, kind: str, frontend: Frontend, strategy: str
) -> None:
    if (kind, strategy) == ("DaemonSet", "partition"):
        pytest.skip("a DaemonSet has no partition")
    some: dict[str, Any] = {
        "OnDelete": {"type": "OnDelete", "rollingUpdate": None},
        "partition": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
    }
    remedy = {"OnDelete": "Set it to RollingUpdate", "partition": "Set partition: 0"}[strategy]
    frontend.change({"spec": {"updateStrategy": some[strategy]}})
    scene.apply(**spec_of(kind))
    ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=60)
    assert f"{kind} {NAMESPACE}/{NAME} has " in ready["message"]
    assert remedy in ready["message"]
    assert frontend.config_map() is None
    frontend.change({"spec": {"updateStrategy": ROLLING}})
    scene.until_enforced(within_s=WITHIN_S)
    with scene.presenting_nothing(*HOSTS):
        frontend.change({"spec": {"updateStrategy": some[strategy]}})
        ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=60)
        assert remedy in ready["message"], "its pods cannot do otherwise"
        frontend.change({"spec": {"updateStrategy": ROLLING}})
        scene.until_relaxed(within_s=RELAXED_WITHIN_S)


def restart(scene: Scene, frontend: Frontend) -> None:
    """As a person does whose pod hangs: delete it. No controller of these replaces it otherwise."""
    ready = {one.pod for one in frontend.replicas()}
    for one in frontend.pods():
        if (name := one["metadata"]["name"]) not in ready:
            scene.plane.kubectl("delete", "pod", name, "--namespace", NAMESPACE, "--wait=false")
    until(
        lambda: frontend.replicas() and len(frontend.replicas()) == len(frontend.pods()),
        within_s=60,
        describe="every pod to be Ready",
    )
