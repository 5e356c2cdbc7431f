"""docs/how-to/leave-ingress-nginx.md, step by step: a site moves from ingress-nginx to NGINX in a Deployment, and no visitor notices."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.cluster import frontend
from sandbox.composition import (
    CONFIG_MAP,
    CONTROLLER_NAMESPACE,
    HOSTS,
    WORKLOADS,
    Layout,
    ingress,
)
from sandbox.ingress_nginx.launcher import IngressNginx
from sandbox.scene import SNIPPETS, Scene, workload_origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 120.0
BOTH = f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP},{frontend.NAMESPACE}/{frontend.CONFIG_MAP}"
OLD: dict[str, Any] = {
    "name": "ingress",
    "ingressNginx": {"configMapRef": {"namespace": CONTROLLER_NAMESPACE, "name": CONFIG_MAP}},
}


def places(old: IngressNginx) -> list[dict[str, Any]]:
    """Where the edge finds the controller's replicas."""
    ports = old.announcement
    return [
        {"address": one.address, "https_port": ports.https_port, "http_port": ports.http_port}
        for one in old.replicas()
    ]


def modes(scene: Scene) -> dict[str, str]:
    """How strict the status says each origin is."""
    status = (scene.object() or {}).get("status", {})
    return {one["name"]: one.get("mode", "") for one in status.get("origins", [])}


def test_a_site_moves_to_nginx_in_a_deployment_without_a_lost_request() -> None:
    with (
        Scene(Layout(workload="Deployment", manifests=WORKLOADS), with_operator=False) as scene,
        IngressNginx(
            scene.plane.admin_kubeconfig,
            config={"use-forwarded-headers": "true", "ssl-redirect": "false"},
            hosts=list(HOSTS),
            first_address="127.0.0.31",
        ) as old,
        scene.new_operator(
            AOP_KUBECONFIG=str(scene.plane.admin_kubeconfig),
            AOP_INGRESS_CONFIG_MAPS=BOTH,
            AOP_LIST_ALL_INGRESSES="true",
        ),
    ):
        new = scene.control.zone()["origins"]
        scene.plane.apply([ingress(host) for host in HOSTS])
        scene.control.change_zone(origins=places(old))
        scene.apply(hostnames=list(HOSTS), origins=[OLD])
        scene.until_enforced()
        with scene.visitors(redirects=True) as visitors:
            scene.patch({"origins": [OLD, workload_origin()]})
            until(
                lambda: modes(scene) == {"ingress": "Require", "frontend": "Require"},
                within_s=WITHIN_S,
                describe=lambda: f"both to require:\n{scene.told()}",
            )
            scene.control.change_zone(origins=new)
            before = visitors.report().edge.ok
            until(
                lambda: visitors.report().edge.ok > before + 200,
                within_s=60,
                describe="visitors at the new origin",
            )
            scene.patch({"origins": [workload_origin()]})
            until(
                lambda: not text_at(scene) and modes(scene) == {"frontend": "Require"},
                within_s=WITHIN_S,
                describe=lambda: f"the old origin to be as it was found:\n{scene.told()}",
            )
            report = visitors.stop()
        assert report.flawless, str(report)
        scene.until_enforced()
        scene.remove(within_s=WITHIN_S)


def text_at(scene: Scene) -> list[str]:
    """What is left of ours in the controller's ConfigMap."""
    path = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
    found = scene.plane.http.get(path).raise_for_status().json()
    keys = [*found.get("data", {}), *found["metadata"].get("annotations", {})]
    return [key for key in keys if key in SNIPPETS or "aop-operator" in key]
