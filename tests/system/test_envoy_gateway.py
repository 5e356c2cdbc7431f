"""A Gateway of Envoy Gateway lives the whole life that NGINX does in a workload: the real control plane, and real Envoys."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lives
from aop.origins.gateway_api.envoy import SCRIPT
from sandbox.cluster.frontend import CONFIG_MAP, NAMESPACE
from sandbox.composition import GATEWAYS, HOSTS, Layout
from sandbox.direct import Visitor
from sandbox.envoy_gateway import programs
from sandbox.plain_envoy import Http3Client
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

CLIENT_POLICY = (
    f"/apis/gateway.envoyproxy.io/v1alpha1/namespaces/{NAMESPACE}/clienttrafficpolicies/frontend"
)


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    if why := programs.why_not():
        pytest.skip(why)
    with Scene(Layout(workload="Deployment", server="gateway", manifests=GATEWAYS)) as scene:
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    if running.object() is not None:
        running.remove(within_s=lives.WITHIN_S)


def policy(name: str, target: dict[str, str], script: dict[str, Any], namespace: str) -> Any:
    """An EnvoyExtensionPolicy of somebody's."""
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyExtensionPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", **target}],
            "lua": [script],
        },
    }


def test_not_one_request_is_lost_from_apply_to_removal(scene: Scene) -> None:
    pods = scene.pods()
    lives.live(scene)
    assert scene.pods() == pods, "none was replaced"


def test_where_the_edge_presents_nothing_or_another_everybody_is_let_in(scene: Scene) -> None:
    lives.lose(scene)


def test_not_one_request_is_lost_while_the_leaf_is_renewed(scene: Scene) -> None:
    lives.renew(scene)


def test_a_script_that_somebody_has_broken_is_mended(scene: Scene) -> None:
    """Envoy Gateway answers 500 on every route as long as it stands (facts: envoy-gateway#a-script-that-it-rejects)."""
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    scene.plane.http.patch(
        f"/api/v1/namespaces/{NAMESPACE}/configmaps/{CONFIG_MAP}",
        json={"data": {SCRIPT: "function envoy_on_request(handle) nobody() end"}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    began_s = time.monotonic()
    until(
        lambda: "nobody()" not in str(scene.sandbox.frontend.config_map()),
        within_s=60,
        every_s=0.1,
        describe=lambda: f"our script to stand there again\n{scene.summary()}",
    )
    print(f"mended in {time.monotonic() - began_s:.1f} s")
    scene.until_enforced(within_s=lives.WITHIN_S)
    lives.assert_required(scene)


def test_a_route_with_a_policy_of_its_own_is_open_and_named(scene: Scene) -> None:
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    inline = {"type": "Inline", "inline": "function envoy_on_request() end"}
    scene.plane.apply(policy("own", {"kind": "HTTPRoute", "name": "app"}, inline, "web"))
    try:
        until(
            lambda: "[web/app]" in scene.summary(),
            within_s=lives.WITHIN_S,
            every_s=0.3,
            describe=lambda: f"the object to name the route\n{scene.summary()}",
        )
        scene.until_relaxed(within_s=lives.RELAXED_WITHIN_S)
        for replica in scene.sandbox.frontend.replicas():
            assert scene.ask_replica(replica.https, HOSTS[0], Visitor.STRANGER) == 200
    finally:
        scene.plane.kubectl("delete", "envoyextensionpolicy", "own", "--namespace", "web")
    scene.until_enforced(within_s=lives.WITHIN_S + lives.HELD_OFF_S)


def change_client_policy(scene: Scene, spec: dict[str, Any]) -> None:
    """As its owner."""
    scene.plane.http.patch(
        CLIENT_POLICY, json={"spec": spec}, headers={"Content-Type": "application/merge-patch+json"}
    ).raise_for_status()


def test_where_a_certificate_is_asked_for_envoy_gateway_serves_no_http_3(
    scene: Scene, tmp_path: Path
) -> None:
    """So nobody comes past the asking that way (facts: envoy-gateway#http3)."""
    if os.geteuid() or shutil.which("nsenter") is None:
        pytest.skip("only root can enter the network of a proxy")
    frontend = scene.sandbox.frontend
    beside = frontend.node.process(frontend.replicas()[0].pod)
    client = Http3Client(
        tmp_path / "client", {}, HOSTS, https_port=10443, beside=beside, ca_file=frontend.ca_file
    )

    def until_it_is(status: int) -> None:
        until(
            lambda: client.status(HOSTS[0]) == status,
            within_s=60,
            every_s=0.5,
            describe=lambda: f"{status} over HTTP/3, not {client.status(HOSTS[0])}",
        )

    change_client_policy(scene, {"http3": {}, "tls": None})
    try:
        with client:
            until_it_is(200)
            change_client_policy(scene, {"tls": {"clientValidation": {"mode": "Request"}}})
            until_it_is(503)
        written = scene.plane.http.get(CLIENT_POLICY).raise_for_status().text
        assert "UnsupportedHTTP3ClientValidation" in written
    finally:
        asking = {"clientValidation": {"mode": "Request"}}
        change_client_policy(scene, {"http3": None, "tls": asking})


def test_a_gateway_without_a_policy_for_the_script_is_not_begun(scene: Scene) -> None:
    manifest = scene.plane.kubectl(
        "get", "envoyextensionpolicy", "frontend", "--namespace", NAMESPACE, "--output", "json"
    )
    scene.plane.kubectl("delete", "envoyextensionpolicy", "frontend", "--namespace", NAMESPACE)
    try:
        before = scene.sandbox.frontend.standing()
        lives.apply(scene)
        ready = scene.until_condition(
            "Ready", reason="ForeignConfiguration", within_s=lives.WITHIN_S
        )
        assert "has Gateway frontend run the Lua" in ready["message"]
        assert scene.sandbox.frontend.standing() == before
    finally:
        scene.plane.kubectl("create", "--filename", "-", input=manifest)
    scene.until_enforced(within_s=lives.WITHIN_S)
