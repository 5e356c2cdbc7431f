"""Ingresses and routes of the Gateway API that a real Traefik serves past our routers: open, and named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import lives
from sandbox import direct
from sandbox.composition import HOSTS
from sandbox.envoy_gateway import programs as gateway_api
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

HOST = HOSTS[0]
GATEWAY_API = "gateway.networking.k8s.io"
RIGHTS = [
    (["networking.k8s.io"], ["ingresses", "ingressclasses"]),
    (["networking.k8s.io"], ["ingresses/status"]),
    ([""], ["namespaces"]),
    ([GATEWAY_API], ["*"]),
]
"""What Traefik's own chart grants it besides, for these two providers."""


def definitions() -> list[dict[str, Any]]:
    """Those of the Gateway API."""
    everything = yaml.safe_load_all(gateway_api.find().definitions.read_text())
    return [one for one in everything if one and one.get("spec", {}).get("group") == GATEWAY_API]


def role() -> list[dict[str, Any]]:
    """The rights of Traefik's ServiceAccount."""
    group, name = "rbac.authorization.k8s.io", "traefik-more"
    rules = [
        {
            "apiGroups": groups,
            "resources": resources,
            "verbs": ["get", "list", "watch", "update", "patch"],
        }
        for groups, resources in RIGHTS
    ]
    common = {"apiVersion": f"{group}/v1", "metadata": {"name": name}}
    account = {"kind": "ServiceAccount", "name": "frontend", "namespace": "web"}
    return [
        {**common, "kind": "ClusterRole", "rules": rules},
        {
            **common,
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [account],
        },
    ]


def placed(kind: str, name: str, spec: dict[str, Any], group: str = GATEWAY_API) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "web"}
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "spec": spec}


INGRESS = placed(
    "Ingress",
    "past",
    {
        "tls": [{"secretName": "frontend-tls"}],
        "rules": [
            {
                "host": HOST,
                "http": {
                    "paths": [
                        {
                            "path": "/ingress",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "app", "port": {"name": "http"}}},
                        }
                    ]
                },
            }
        ],
    },
    "networking.k8s.io",
)
# Else its router would take plaintext alone.
INGRESS["metadata"]["annotations"] = {"traefik.ingress.kubernetes.io/router.tls": "true"}
TLS = {"mode": "Terminate", "certificateRefs": [{"name": "frontend-tls"}]}
LISTENER = {"port": 8443, "protocol": "HTTPS", "hostname": HOST, "tls": TLS}
GATEWAYS = [
    {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "traefik"},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    },
    placed(
        "Gateway",
        "traefik",
        {
            "gatewayClassName": "traefik",
            "listeners": [{"name": "own", **LISTENER, "hostname": HOSTS[1]}],
            "allowedListeners": {"namespaces": {"from": "Same"}},
        },
    ),
    placed(
        "ListenerSet",
        "more",
        {"parentRef": {"name": "traefik"}, "listeners": [{"name": "its", **LISTENER}]},
    ),
]


def route(name: str, path: str, parent: dict[str, Any], hosts: list[str]) -> dict[str, Any]:
    """A route that leads to what Traefik itself answers."""
    rewrite = {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/ping"}}
    backend = {"group": "traefik.io", "kind": "TraefikService", "name": "ping@internal"}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
        "backendRefs": [backend],
    }
    spec: dict[str, Any] = {"parentRefs": [parent], "rules": [rule]}
    return placed("HTTPRoute", name, spec | ({"hostnames": hosts} if hosts else {}))


ROUTES = [
    route("by-gateway", "/gateway", {"name": "traefik"}, [HOSTS[1]]),
    route(
        "by-listeners",
        "/listeners",
        {"kind": "ListenerSet", "group": GATEWAY_API, "name": "more"},
        [],
    ),
    route("by-nobody", "/nobody", {"name": "another"}, [HOST]),
]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    if why := gateway_api.why_not():
        pytest.skip(why)
    with lives.scene_of("traefik") as running:
        running.plane.apply(definitions(), server_side=True)
        running.plane.apply(role())
        frontend = running.sandbox.frontend
        more: dict[str, Any] = {"kubernetesIngress": {}, "kubernetesGateway": {}}

        def serving_more(text: str) -> str:
            conf = yaml.safe_load(text)
            conf["providers"] |= more
            written: str = yaml.safe_dump(conf)
            return written

        frontend.change_conf(serving_more)
        frontend.until_rolled_out(within_s=60)
        lives.apply(running)
        running.until_enforced(within_s=lives.WITHIN_S)
        yield running


def statuses(scene: Scene, path: str, host: str = HOST) -> set[int]:
    """What the replicas answer to a stranger."""
    frontend = scene.sandbox.frontend
    return {
        direct.ask(one.https, host, path=path, ca_file=frontend.ca_file).status_code
        for one in frontend.replicas()
    }


def until_open(scene: Scene, path: str, host: str = HOST) -> None:
    until(
        lambda: statuses(scene, path, host) == {200},
        within_s=60,
        every_s=0.5,
        describe=lambda: (
            f"{path} to be open: {statuses(scene, path, host)}\n{scene.sandbox.frontend.node.logs()}"
        ),
    )


def until_named(scene: Scene, *sentences: str) -> None:
    def named() -> bool:
        message = scene.condition("Ready")["message"]
        return all(one in message for one in sentences)

    until(named, within_s=90, every_s=0.5, describe=scene.summary)


def test_an_ingress_is_open_and_named(scene: Scene) -> None:
    assert statuses(scene, "/ingress") == {403}
    scene.plane.apply(INGRESS)
    until_open(scene, "/ingress")
    assert statuses(scene, "/") == {403}
    until_named(scene, f"Ingress web/past bypasses the operator's routers, and may serve {HOST}")


def test_routes_of_a_gateway_are_open_and_named(scene: Scene) -> None:
    """So are those of a ListenerSet, which a later Traefik may serve."""
    scene.plane.apply([*GATEWAYS, *ROUTES])
    until_open(scene, "/gateway", HOSTS[1])
    assert statuses(scene, "/nobody") == {403}, "its Gateway is nobody's"
    assert statuses(scene, "/listeners") == {403}, "this one takes no notice of ListenerSets"
    until_named(
        scene,
        f"HTTPRoute web/by-gateway bypasses the operator's routers, and may serve {HOSTS[1]}",
        f"HTTPRoute web/by-listeners bypasses the operator's routers, and may serve {HOST}",
    )
    assert "by-nobody" not in scene.condition("Ready")["message"]
