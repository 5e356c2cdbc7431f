"""Envoy Gateway that runs the proxies in the namespace of their Gateway (`deploy.type: GatewayNamespace`)."""

from __future__ import annotations

from typing import Any

import pytest

import lives
from sandbox.cluster.frontend import NAMESPACE
from sandbox.composition import GATEWAYS, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Layout
from sandbox.envoy_gateway import programs
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]


def rights() -> list[dict[str, Any]]:
    """What the chart grants for `proxyNamespace: web`."""
    group = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]}]
    metadata = {"name": "proxies", "namespace": NAMESPACE}
    account = {
        "kind": "ServiceAccount",
        "name": OPERATOR_ACCOUNT,
        "namespace": OPERATOR_NAMESPACE,
    }
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "proxies"},
            "subjects": [account],
        },
    ]


def test_not_one_request_is_lost_from_apply_to_removal() -> None:
    if why := programs.why_not():
        pytest.skip(why)
    layout = Layout(
        workload="Deployment", server="gateway", manifests=GATEWAYS, proxies_beside=True
    )
    with Scene(layout, with_operator=False, AOP_PROXY_NAMESPACES=NAMESPACE) as scene:
        scene.plane.apply(rights())
        with scene.operator:
            with lives.flawless(scene):
                lives.apply(scene)
                scene.until_enforced(within_s=lives.WITHIN_S)
                lives.assert_required(scene)
                pods = {one["metadata"]["namespace"] for one in scene.sandbox.frontend.pods()}
                assert pods == {NAMESPACE}
                scene.remove(within_s=lives.WITHIN_S)
            assert scene.refusing() == []
