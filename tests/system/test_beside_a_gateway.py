"""What others do beside a Gateway of Envoy Gateway: of other classes, merged, with routes of theirs, with a control plane that takes no text."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import lives
from aop.observed import Limits
from aop.terms.names import RECORD_ANNOTATION
from sandbox.cluster.frontend import NAME, NAMESPACE
from sandbox.cluster.gateway_frontend import GatewayFrontend
from sandbox.composition import HOSTS
from sandbox.direct import Visitor
from sandbox.envoy_gateway import programs
from sandbox.envoy_gateway.controller import CONFIG
from sandbox.proxy import Altered, FaultProxy, Match
from sandbox.scene import Scene, workload_origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

Json = dict[str, Any]
GROUP = "gateway.networking.k8s.io"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    if why := programs.why_not():
        pytest.skip(why)
    with lives.scene_of("gateway") as scene:
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    if running.object() is not None:
        running.remove(within_s=lives.WITHIN_S)


def thing(kind: str, name: str, spec: Json, namespace: str | None = NAMESPACE, **more: Any) -> Json:
    """An object of the Gateway API, or of Envoy Gateway's."""
    group = f"{GROUP}/v1" if kind in {"GatewayClass", "Gateway", "HTTPRoute", "ListenerSet"} else ""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more}
    version = group or "gateway.envoyproxy.io/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def gateway(name: str, of_class: str, port: int = 443) -> Json:
    """A Gateway that takes plaintext."""
    listener = {"name": "http", "port": port, "protocol": "HTTP"}
    return thing("Gateway", name, {"gatewayClassName": of_class, "listeners": [listener]})


@contextmanager
def there(scene: Scene, *things: Json) -> Iterator[None]:
    """These are there within the block."""
    scene.plane.apply(list(things))
    try:
        yield
    finally:
        for one in reversed(things):
            metadata = one["metadata"]
            where = ("--namespace", metadata["namespace"]) if "namespace" in metadata else ()
            scene.plane.kubectl("delete", one["kind"], metadata["name"], *where)


def apply_for(scene: Scene, name: str) -> None:
    """The object for another Gateway."""
    lives.apply(scene, gatewayRef={"namespace": NAMESPACE, "name": name})


def unread(scene: Scene, name: str, words: str) -> None:
    """Nobody serves that Gateway, and these words say why."""
    before = scene.sandbox.frontend.standing()
    apply_for(scene, name)
    until(
        lambda: words in scene.summary(),
        within_s=lives.WITHIN_S,
        every_s=0.3,
        describe=lambda: f"to be told {words!r}\n{scene.summary()}",
    )
    scene.until_condition("Ready", reason="NoController", within_s=lives.WITHIN_S)
    assert scene.sandbox.frontend.standing() == before, "nothing was written"


# --- whose a Gateway is -------------------------------------------------------------------------------------------------------------


def test_a_gateway_that_is_not_there_is_told(scene: Scene) -> None:
    unread(scene, "nothing", f"there is no Gateway {NAMESPACE}/nothing")


def test_a_gateway_of_another_controller_is_told_by_the_controllers_name(scene: Scene) -> None:
    theirs = thing("GatewayClass", "theirs", {"controllerName": "example.com/gateways"}, None)
    with there(scene, theirs, gateway("theirs", "theirs")):
        unread(scene, "theirs", "GatewayClass theirs, whose controller is example.com/gateways")
        scene.remove(within_s=lives.WITHIN_S)


def test_merged_gateways_are_told(scene: Scene) -> None:
    parameters = {
        "group": "gateway.envoyproxy.io",
        "kind": "EnvoyProxy",
        "namespace": NAMESPACE,
        "name": "merged",
    }
    own = {"controllerName": CONFIG["gateway"]["controllerName"], "parametersRef": parameters}
    with there(
        scene,
        thing("EnvoyProxy", "merged", {"mergeGateways": True}),
        thing("GatewayClass", "merged", own, None),
        gateway("merged", "merged"),
    ):
        unread(scene, "merged", "GatewayClass merged serve all of its Gateways together")
        scene.remove(within_s=lives.WITHIN_S)


# --- which hosts it serves ----------------------------------------------------------------------------------------------------------


def test_hosts_under_a_wildcard_are_those_of_the_routes(scene: Scene) -> None:
    origin = workload_origin("gateway")
    scene.apply(hostnames=["example.com", "*.example.com"], origins=[origin])
    scene.until_enforced(within_s=lives.WITHIN_S)
    lives.assert_required(scene)


def test_a_host_behind_a_listener_set_is_required(scene: Scene) -> None:
    """The script of the Gateway's policy runs there, and its client policy asks there."""
    apex, www = HOSTS
    tls = {"certificateRefs": [{"name": "frontend-tls"}]}
    listeners = [
        {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": www, "tls": tls},
        {"name": "http", "port": 80, "protocol": "HTTP", "hostname": www},
    ]
    own = {"parentRef": {"name": NAME}, "listeners": listeners}
    rules = [{"backendRefs": [{"name": "app", "port": 80}]}]
    ref = {"group": GROUP, "kind": "ListenerSet", "name": "more"}
    by_set = {"parentRefs": [ref], "hostnames": [www], "rules": rules}
    allowed = {"namespaces": {"from": "Same"}}
    with (
        patched(scene, "gateways", NAME, {"allowedListeners": allowed}, {"allowedListeners": None}),
        there(scene, thing("ListenerSet", "more", own), thing("HTTPRoute", "www", by_set)),
        patched(scene, "httproutes", "app", {"hostnames": [apex]}, {"hostnames": [*HOSTS]}),
    ):
        until_served(scene, www)
        scene.apply(hostnames=[apex, "*.example.com"], origins=[workload_origin("gateway")])
        scene.until_enforced(within_s=lives.WITHIN_S)
        until(
            lambda: scene.required(www),
            within_s=lives.WITHIN_S,
            every_s=0.5,
            describe=lambda: f"{www} to be required\n{scene.summary()}",
        )
        lives.assert_required(scene)
        assert "no HTTPRoute" not in scene.summary()
        scene.remove(within_s=lives.WITHIN_S)


def until_served(scene: Scene, host: str) -> None:
    until(
        lambda: (
            {
                scene.ask_replica(one.https, host, Visitor.NOBODY)
                for one in scene.sandbox.frontend.replicas()
            }
            == {200}
        ),
        within_s=60,
        every_s=0.5,
        describe=lambda: f"{host} to be served",
    )


@contextmanager
def patched(scene: Scene, plural: str, name: str, now: Json, then: Json) -> Iterator[None]:
    """An object of the Gateway API has that spec within the block."""
    path = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/{plural}/{name}"

    def patch(spec: Json) -> None:
        answer = scene.plane.http.patch(path, json={"spec": spec}, headers=MERGE)
        answer.raise_for_status()

    patch(now)
    try:
        yield
    finally:
        patch(then)


def test_a_host_that_no_route_serves_is_named_and_holds_up_nobody(scene: Scene) -> None:
    shop = "shop.example.com"
    origin = workload_origin("gateway")
    scene.apply(hostnames=[*HOSTS, shop], origins=[origin])
    until(
        lambda: (
            f"no HTTPRoute or GRPCRoute of Gateway {NAMESPACE}/{NAME} serves it" in scene.summary()
        ),
        within_s=lives.WITHIN_S,
        every_s=0.3,
        describe=lambda: f"the host to be named\n{scene.summary()}",
    )
    until(
        lambda: all(
            scene.ask_replica(one.https, host, Visitor.NOBODY) == 403
            for one in scene.sandbox.frontend.replicas()
            for host in HOSTS
        ),
        within_s=lives.WITHIN_S,
        every_s=0.5,
        describe=lambda: f"the others to be required\n{scene.summary()}",
    )


def test_a_second_gateway_with_the_same_route_is_named(scene: Scene) -> None:
    second = gateway("second", "frontend", 8080)
    refs = [{"name": NAME}, {"name": "second"}]
    route = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/httproutes/app"
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    with there(scene, second):
        scene.plane.http.patch(
            route, json={"spec": {"parentRefs": refs}}, headers=MERGE
        ).raise_for_status()
        try:
            until(
                lambda: "Gateway web/second serves HTTPRoute web/app, too" in scene.summary(),
                within_s=lives.WITHIN_S,
                every_s=0.3,
                describe=lambda: f"the second Gateway to be named\n{scene.summary()}",
            )
            lives.assert_required(scene)
        finally:
            scene.plane.http.patch(
                route, json={"spec": {"parentRefs": refs[:1]}}, headers=MERGE
            ).raise_for_status()


# --- what colleagues do while hosts are required ------------------------------------------------------------------------------------


def test_a_gateway_that_is_deleted_and_created_again_requires_as_before(scene: Scene) -> None:
    """Its proxies go with it, and new ones begin with the text that stands there."""
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    path = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/gateways/{NAME}"
    before = scene.plane.http.get(path).raise_for_status().json()
    scene.plane.kubectl("delete", "gateway", NAME, "--namespace", NAMESPACE)
    try:
        until(
            lambda: f"there is no Gateway {NAMESPACE}/{NAME}" in scene.summary(),
            within_s=lives.WITHIN_S,
            every_s=0.3,
            describe=lambda: f"to be told that it is gone\n{scene.summary()}",
        )
    finally:
        scene.plane.apply(thing("Gateway", NAME, before["spec"]))
    frontend = scene.sandbox.frontend
    until(
        lambda: len(frontend.replicas()) == len(frontend.pods()) == 2,
        within_s=60,
        every_s=0.2,
        describe="new proxies",
    )
    scene.until_enforced(within_s=lives.WITHIN_S)
    lives.assert_required(scene)


def test_where_anothers_policy_has_a_listener_ask_nobody_everybody_is_let_in(
    scene: Scene,
) -> None:
    """A policy for one listener takes the place of the one for its Gateway there."""
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    target = {"group": GROUP, "kind": "Gateway", "name": NAME, "sectionName": "https"}
    with there(scene, thing("ClientTrafficPolicy", "own", {"targetRefs": [target]})):
        began_s = time.monotonic()
        scene.until_relaxed(within_s=lives.RELAXED_WITHIN_S)
        print(f"relaxed after {time.monotonic() - began_s:.1f} s")
        until(
            lambda: "shows Off instead of" in scene.summary(),
            within_s=lives.WITHIN_S,
            every_s=0.3,
            describe=lambda: f"to be told that nobody is asked\n{scene.summary()}",
        )
    scene.until_enforced(within_s=lives.WITHIN_S + lives.HELD_OFF_S)
    lives.assert_required(scene)


# --- a control plane that does not take a text ---------------------------------------------------------------------------------------


def answers(scene: Scene) -> set[int]:
    """What whoever comes is answered, by every replica on every host."""
    return {
        scene.ask_replica(one.https, host, Visitor.NOBODY)
        for one in scene.sandbox.frontend.replicas()
        for host in HOSTS
    }


@contextmanager
def control_plane(scene: Scene, **how: Any) -> Iterator[None]:
    """Another one in place of the one that runs, until the block ends."""
    frontend = scene.sandbox.frontend
    assert isinstance(frontend, GatewayFrontend)
    frontend.controller.run(**how)
    try:
        yield
    finally:
        frontend.controller.run()


@contextmanager
def misreading(scene: Scene) -> Iterator[None]:
    """The control plane reads no Lua where a text requires something; the texts before that it takes."""
    account = scene.plane.create_namespace("envoy-gateway")
    scene.plane.kubectl("create", "serviceaccount", "control-plane", "--namespace", account)
    scene.plane.kubectl(
        "create",
        "clusterrolebinding",
        account,
        "--clusterrole=cluster-admin",
        f"--serviceaccount={account}:control-plane",
    )
    kubeconfig = scene.plane.service_account_kubeconfig(account, "control-plane")
    broken = Altered(rb" req\"", rb" req\" (")
    with FaultProxy(scene.plane.url, upstream_ca=scene.plane.ca_file) as proxy:
        proxy.rule(Match(method="GET"), broken, times=None)
        with control_plane(scene, kubeconfig=proxy.kubeconfig(kubeconfig), api_server=proxy.url):
            yield


def test_a_text_of_ours_that_envoy_gateway_rejects_is_taken_back(scene: Scene) -> None:
    """While it stands, Envoy answers 500 on every route (facts: envoy-gateway#a-script-that-it-rejects): so it is not tried again soon."""
    with misreading(scene):
        lives.apply(scene)
        until(
            lambda: 500 in answers(scene),
            within_s=lives.WITHIN_S,
            every_s=0.1,
            describe=lambda: f"the text to be rejected\n{scene.summary()}",
        )
        began_s = time.monotonic()
        until(
            lambda: answers(scene) == {200},
            within_s=lives.WITHIN_S,
            every_s=0.1,
            describe=lambda: f"everybody to be served\n{scene.summary()}",
        )
        print(f"served again after {time.monotonic() - began_s:.1f} s")
        ready = scene.until_condition("Ready", reason="TextRejected", within_s=lives.WITHIN_S)
        assert "rejected the operator's configuration for mode Require" in ready["message"]
        record = json.loads((scene.object() or {})["metadata"]["annotations"][RECORD_ANNOTATION])
        ((_, times, since, until_),) = record["rejected"]
        assert times == 1
        assert until_ - since >= Limits().failing_pause_s
        scene.remove(within_s=lives.WITHIN_S)


def test_a_text_in_force_that_envoy_gateway_rejects_later_is_taken_back(scene: Scene) -> None:
    """As by another release of it, which tries scripts in another way."""
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    with misreading(scene):
        scene.until_condition("Ready", reason="TextRejected", within_s=lives.WITHIN_S)
        until(
            lambda: answers(scene) == {200},
            within_s=lives.WITHIN_S,
            every_s=0.1,
            describe=lambda: f"everybody to be served\n{scene.summary()}",
        )
        scene.remove(within_s=lives.WITHIN_S)


def test_scripts_that_are_turned_off_are_told_and_nothing_is_taken_back(scene: Scene) -> None:
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    before = scene.sandbox.frontend.standing()
    with control_plane(scene, config={**CONFIG, "extensionApis": {}}):
        ready = scene.until_condition(
            "Ready", reason="ForeignConfiguration", within_s=lives.WITHIN_S
        )
        refused = f"Envoy Gateway does not accept EnvoyExtensionPolicy {NAMESPACE}/{NAME}: Lua: "
        assert refused in ready["message"]
        assert answers(scene) == {500}
        assert scene.sandbox.frontend.standing() == before
    scene.until_enforced(within_s=lives.WITHIN_S + lives.HELD_OFF_S)
    lives.assert_required(scene)
