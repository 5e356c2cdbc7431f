"""A StatefulSet, whose controller replaces one pod after the other, and a DaemonSet, which has one on each node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aop.steps import Effect
from lives import UNUSED
from sandbox.cluster.frontend import CONFIG_MAP, NAME, NAMESPACE
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
WITHIN_S = 150.0


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


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_it_is_required_and_left_as_it_was_found(kind: str, tmp_path: Path) -> None:
    """By what was foreseen, and with the rights that the chart grants for it and no others."""
    with Scene(Layout(workload=kind, manifests=WORKLOADS)) as scene:
        grant(scene, kind, tmp_path)
        scene.control.turn_location(requests_per_connection=1, resume=False)
        frontend = scene.sandbox.frontend
        template = frontend.deployment()["spec"]["template"]
        named = {"kind": kind, "namespace": NAMESPACE, "name": NAME}
        spec: dict[str, Any] = {
            "hostnames": list(HOSTS),
            "origins": [workload_origin(workloadRef=named)],
        }
        file = tmp_path / "pull.yaml"
        file.write_text(yaml.safe_dump(pull(**spec)))
        plan = aop(scene, "plan", "-f", file, "-o", "json")
        scene.apply(**spec)
        scene.until_enforced(within_s=WITHIN_S)
        foreseen = [one["step"] for one in json.loads(plan.stdout)["steps"]]
        taken = [json.loads(one)["kind"] for one in scene.trace()]
        assert foreseen.count("RollOut") == 3, plan.stdout
        assert [one for one in foreseen if one in EFFECTS] == [
            one for one in taken if one in EFFECTS
        ]
        for replica in frontend.replicas():
            answers = {who: scene.ask_replica(replica.https, HOSTS[0], who) for who in Visitor}
            assert answers == {Visitor.NOBODY: 400, Visitor.OURS: 200, Visitor.STRANGER: 400}
        scene.remove(within_s=WITHIN_S)
        until(
            lambda: frontend.deployment()["spec"]["template"] == template,
            within_s=30,
            describe="the pod template to be as it was found",
        )
        frontend.until_rolled_out(within_s=60)
        assert frontend.config_map() is None
        assert scene.refusing() == []
        permissions = account(scene.plane, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
        assert permissions.denied == ()
        assert {str(one) for one in permissions.unused} <= UNUSED, str(permissions)
