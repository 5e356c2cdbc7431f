"""A StatefulSet, whose controller replaces one pod after the other, and a DaemonSet, which has one on each node."""

from __future__ import annotations

import pytest

from sandbox.cluster.frontend import NAME, NAMESPACE
from sandbox.composition import (
    HOSTS,
    OPERATOR_ACCOUNT,
    OPERATOR_NAMESPACE,
    WORKLOADS,
    Layout,
)
from sandbox.direct import Visitor
from sandbox.scene import Scene, workload_origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 150.0


def grant(scene: Scene, kind: str) -> None:
    """As the chart does where its values name a workload of that kind."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": "other-workloads", "namespace": NAMESPACE}
    account = {"name": OPERATOR_ACCOUNT, "namespace": OPERATOR_NAMESPACE}
    scene.plane.apply(
        [
            {
                "apiVersion": f"{group}/v1",
                "kind": "Role",
                "metadata": metadata,
                "rules": [
                    {
                        "apiGroups": ["apps"],
                        "resources": [f"{kind.lower()}s"],
                        "resourceNames": [NAME],
                        "verbs": ["patch"],
                    }
                ],
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "other-workloads"},
                "subjects": [{"kind": "ServiceAccount", **account}],
            },
        ]
    )


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_it_is_required_and_left_as_it_was_found(kind: str) -> None:
    with Scene(Layout(workload=kind, manifests=WORKLOADS)) as scene:
        grant(scene, kind)
        frontend = scene.sandbox.frontend
        template = frontend.deployment()["spec"]["template"]
        named = {"kind": kind, "namespace": NAMESPACE, "name": NAME}
        scene.apply(hostnames=list(HOSTS), origins=[workload_origin(workloadRef=named)])
        scene.until_enforced(within_s=WITHIN_S)
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
