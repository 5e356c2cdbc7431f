"""Which Ingresses and routes of the Gateway API Traefik may serve past our routers, by what stands in Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from aop.origins.workload.others import TraefikGateways, ingresses_past

HOST, OTHER = "www.example.com", "other.example.org"
Json = dict[str, Any]


def placed(name: str, spec: Any, namespace: str = "web") -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def of_class(name: str, controller: str) -> Json:
    return {"metadata": {"name": name}, "spec": {"controller": controller}}


CLASSES = [
    of_class("traefik", "traefik.io/ingress-controller"),
    of_class("nginx", "k8s.io/ingress-nginx"),
    of_class("haproxy", "haproxy.org/ingress-controller"),
]


def ingress(*hosts: str | None, **more: Any) -> Json:
    rules = [{"host": host} if host else {} for host in hosts]
    return placed("app", {"rules": rules, **more})


@pytest.mark.parametrize(
    ("one", "patterns", "serves"),
    [
        (ingress(HOST), (HOST,), HOST),
        (ingress("WWW.Example.com"), (HOST,), HOST),
        (ingress(OTHER, HOST), (HOST,), HOST),
        (ingress(OTHER), (HOST,), None),
        (ingress("*.example.com"), (HOST,), "*.example.com"),
        (ingress("a.example.com"), ("*.example.com",), "a.example.com"),
        (ingress("*.example.com"), ("*.example.com",), "*.example.com"),
        (ingress("*.a.example.com"), ("*.example.com",), "*.a.example.com"),
        (ingress(None), (HOST,), "every request"),
        (ingress(defaultBackend={"service": {"name": "app"}}), (HOST,), "every request"),
        (ingress(HOST, ingressClassName="traefik"), (HOST,), HOST),
        (ingress(HOST, ingressClassName="nginx"), (HOST,), HOST),
        (ingress(HOST, ingressClassName="nobodys"), (HOST,), HOST),
        (ingress(HOST, ingressClassName="haproxy"), (HOST,), None),
        (placed("app", None), (HOST,), None),
        (placed("app", {"rules": ["x", 3]}), (HOST,), None),
    ],
    ids=str,
)
def test_an_ingress_is_named_that_traefik_may_serve(
    one: Json, patterns: tuple[str, ...], serves: str | None
) -> None:
    named = [*ingresses_past([one], CLASSES, patterns)]
    sentence = f"Ingress web/app bypasses the operator's routers, and may serve {serves}"
    assert named == ([sentence] if serves else [])


OURS = placed(
    "edge",
    {"gatewayClassName": "traefik", "listeners": [{"name": "a", "hostname": OTHER}, {"name": "b"}]},
)
THEIRS = placed("theirs", {"gatewayClassName": "envoy", "listeners": [{"name": "a"}]})
GATEWAY_CLASSES = [
    {"metadata": {"name": "traefik"}, "spec": {"controllerName": "traefik.io/gateway-controller"}},
    {"metadata": {"name": "envoy"}, "spec": {"controllerName": "gateway.envoyproxy.io/x"}},
]
MORE = placed(
    "more",
    {
        "parentRef": {"name": "edge", "namespace": "web"},
        "listeners": [{"name": "c", "hostname": HOST}],
    },
    "shop",
)


def route(*hosts: str, of: Json, **more: Any) -> Json:
    own = {"hostnames": list(hosts)} if hosts else {}
    return placed("app", {"parentRefs": [of], **own, **more})


def past(one: Json, classes: Sequence[Json] | None = GATEWAY_CLASSES) -> str | None:
    gateways = TraefikGateways([OURS, THEIRS], classes, [MORE])
    named = [*gateways.past("HTTPRoute", [one], (HOST,))]
    assert len(named) <= 1
    return named[0].rpartition(" may serve ")[2] if named else None


@pytest.mark.parametrize(
    ("one", "serves"),
    [
        (route(HOST, of={"name": "edge"}), HOST),
        (route(HOST, of={"name": "edge", "sectionName": "a"}), HOST),
        (route(OTHER, of={"name": "edge"}), None),
        (route(of={"name": "edge"}), "every request"),
        (route(of={"name": "edge", "sectionName": "a"}), None),
        (route(of={"name": "edge", "sectionName": "b"}), "every request"),
        (route(of={"name": "more", "namespace": "shop", "kind": "ListenerSet"}), HOST),
        (route(OTHER, of={"name": "more", "namespace": "shop", "kind": "ListenerSet"}), None),
        (route(HOST, of={"name": "more", "kind": "ListenerSet"}), None),
        (route(HOST, of={"name": "theirs"}), None),
        (route(HOST, of={"name": "gone"}), None),
        (route(HOST, of={"name": "edge", "group": "mesh.example.org"}), None),
        (route(HOST, of={"name": "edge", "group": "gateway.networking.k8s.io"}), HOST),
        (placed("app", {"parentRefs": "x", "hostnames": 3}), None),
        (placed("app", None), None),
    ],
    ids=str,
)
def test_a_route_is_named_whose_gateway_is_traefiks(one: Json, serves: str | None) -> None:
    assert past(one) == serves


def test_where_nobody_knows_whose_a_gateway_is_its_routes_count() -> None:
    assert past(route(HOST, of={"name": "theirs"}), None) == HOST
