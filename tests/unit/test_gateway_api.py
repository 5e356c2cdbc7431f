"""What is special to Gateways of Envoy Gateway, as their objects say it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aop.errors import Blocked, Reason
from aop.origins.gateway_api import GATEWAY_API
from aop.origins.gateway_api.envoy import DOES_NOTHING, IDLE, SCRIPT
from aop.origins.gateway_api.proxies import OWNER
from aop.origins.gateway_api.site import GatewaySite
from aop.origins.gateway_api.spec import GatewayApi
from aop.origins.sites import Need, Read, Rejection, Scope
from aop.terms import Kind, Mode, Target
from builders import APEX, NOW, OFF, REQUIRING, UID, WWW, claim

Json = dict[str, Any]

NAMESPACE, NAME, GATEWAY = "web", "frontend-aop", "frontend"
TARGET = Target("gatewayAPI", NAMESPACE, NAME)
CARRIER = Read(Kind.CONFIG_MAP, NAMESPACE, NAME)
PROXIES = "envoy-gateway-system"
PODS = Read(Kind.POD, PROXIES)
GATEWAYS = Read(Kind.GATEWAY, NAMESPACE, need=Need.OPTIONAL)
LISTENER_SETS = Read(Kind.LISTENER_SET, need=Need.OPTIONAL)
CLASSES = Read(Kind.GATEWAY_CLASS, need=Need.OPTIONAL)
HTTP_ROUTES = Read(Kind.HTTP_ROUTE, need=Need.AWAITED)
GRPC_ROUTES = Read(Kind.GRPC_ROUTE, need=Need.AWAITED)
POLICIES = Read(Kind.ENVOY_EXTENSION_POLICY, NAMESPACE, need=Need.OPTIONAL, prompt=True)
SPEC = GatewayApi.model_validate(
    {
        "gatewayRef": {"namespace": NAMESPACE, "name": GATEWAY},
        "configMapRef": {"namespace": NAMESPACE, "name": NAME},
    }
)
BARE: Json = {
    "metadata": {"namespace": NAMESPACE, "name": NAME},
    "data": {IDLE: DOES_NOTHING},
}
REJECTED = "Lua: validation failed for lua body in policy with name envoyextensionpolicy/web/aop/lua/0: <string> line:7 near '(': syntax error."
OFF_WORDS = "Lua: Skipping Lua EnvoyExtensionPolicy as feature is disabled in the Gateway."
OVERRIDDEN = (
    "This policy is being overridden by other envoyExtensionPolicies for these routes: [shop/app]"
)


def pod(name: str = "proxy", gateway: str = GATEWAY) -> Json:
    labels = {f"{OWNER}-namespace": NAMESPACE, f"{OWNER}-name": gateway}
    metadata = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}", "labels": labels}
    ready = {"type": "Ready", "status": "True"}
    return {"metadata": metadata, "status": {"podIP": "192.0.2.1", "conditions": [ready]}}


def policy(*conditions: Json, config_map: str = NAME, **target: str) -> Json:
    script = {
        "type": "ValueRef",
        "valueRef": {"group": "", "kind": "ConfigMap", "name": config_map},
    }
    return {
        "metadata": {"namespace": NAMESPACE, "name": "aop"},
        "spec": {"targetRefs": [{"kind": "Gateway", "name": GATEWAY, **target}], "lua": [script]},
        "status": {"ancestors": [{"conditions": list(conditions)}]},
    }


def condition(kind: str, status: str, message: str) -> Json:
    at = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": kind, "status": status, "message": message, "lastTransitionTime": at}


def site(
    body: Json | None = BARE,
    pods: tuple[Json, ...] = (pod(),),
    policies: tuple[Json, ...] | None = (policy(),),
    its: GatewayApi | None = SPEC,
    gateways: tuple[Json, ...] | None = None,
    classes: tuple[Json, ...] | None = None,
    routes: tuple[Json, ...] | None = None,
    grpc: tuple[Json, ...] | None = (),
    listener_sets: tuple[Json, ...] | None = None,
) -> GatewaySite:
    objects = {
        CARRIER: () if body is None else (body,),
        PODS: pods,
        POLICIES: policies,
        GATEWAYS: gateways,
        CLASSES: classes,
        HTTP_ROUTES: routes,
        GRPC_ROUTES: grpc,
        LISTENER_SETS: listener_sets,
    }
    return GATEWAY_API.site(TARGET, objects, its)


def a_gateway(*listeners: Json, name: str = GATEWAY, **labels: str) -> Json:
    spec = {"gatewayClassName": "edge", "listeners": list(listeners or (listener(),))}
    return {"metadata": {"namespace": NAMESPACE, "name": name, "labels": labels}, "spec": spec}


def listener(hostname: str | None = None, name: str = "https", port: int = 443) -> Json:
    there = {"hostname": hostname} if hostname else {}
    return {"name": name, "port": port, "protocol": "HTTPS", **there}


def a_class(controller: str = "gateway.envoyproxy.io/gatewayclass-controller") -> Json:
    return {"metadata": {"name": "edge"}, "spec": {"controllerName": controller}}


def route(
    *hostnames: str,
    name: str = "app",
    service: str = "app",
    refs: tuple[Json, ...] = ({"name": GATEWAY},),
    refused: tuple[Json, ...] = (),
) -> Json:
    condition = {"type": "Accepted", "status": "False"}
    return {
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {
            "parentRefs": list(refs),
            **({"hostnames": list(hostnames)} if hostnames else {}),
            "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
        },
        "status": {
            "parents": [{"parentRef": one, "conditions": [condition]} for one in refused],
        },
    }


def published(*claims: Any, body: Json = BARE) -> Json:
    for one in claims:
        body = site(body).publish(one, spec=SPEC, token_if_new="k3y0fth3path")
    return body


def test_policies_are_read_where_they_may_be() -> None:
    reads = GATEWAY_API.reads(TARGET, Scope(proxies=(PROXIES,)))
    assert reads == (CARRIER, PODS, POLICIES, GATEWAYS)
    assert site(policies=None).objection(SPEC) is None
    everything = GATEWAY_API.reads(TARGET, Scope(proxies=(PROXIES, "other"), routes=True))
    other = Read(Kind.POD, "other")
    more = (POLICIES, GATEWAYS, HTTP_ROUTES, GRPC_ROUTES, CLASSES, LISTENER_SETS)
    assert everything == (CARRIER, PODS, other, *more)


def test_who_serves_the_gateway_is_told_where_no_proxy_does() -> None:
    assert site(pods=()).unread() is None, "the Gateway cannot be read"

    def unread(*classes: Json) -> str | None:
        return site(pods=(), gateways=(a_gateway(),), classes=classes).unread()

    assert site(pods=(), gateways=(a_gateway(),)).unread() is None, "nor can its class"
    assert unread(a_class()) is None
    assert unread(a_class("gateway.envoyproxy.io/tenant-a")) is None
    assert site(pods=(), gateways=(a_gateway(name="x"),)).unread() == (
        "there is no Gateway web/frontend. Create it, or correct gatewayRef"
    )
    assert unread() == (
        "Gateway web/frontend is of GatewayClass edge, which does not exist. Create it, or correct the Gateway"
    )
    foreign = unread(a_class("example.com/gateway"))
    assert foreign is not None
    assert "whose controller is example.com/gateway and not Envoy Gateway" in foreign
    merged = pod()
    merged["metadata"]["labels"] = {f"{OWNER}class": "edge"}
    together = site(pods=(merged,), gateways=(a_gateway(),), classes=(a_class(),)).unread()
    assert together is not None
    assert "mergeGateways" in together
    assert site(pods=(), gateways=(), its=None).unread() is None, "which one, nobody remembers"


# --- hosts --------------------------------------------------------------------------------------------------------------------------


def under(*hostnames: str, listeners: tuple[Json, ...] = (), **more: Any) -> tuple[str, ...]:
    """The hosts that a route brings, under all of the zone."""
    serving = site(gateways=(a_gateway(*listeners),), routes=(route(*hostnames, **more),))
    return serving.hosts(APEX, (APEX, f"*.{APEX}"), ()).hosts


def test_hosts_under_a_wildcard_are_those_of_the_gateways_routes() -> None:
    api = f"api.{APEX}"
    assert under(WWW.upper(), api, "www.example.org") == (api, WWW)
    assert under(f"*.{APEX}") == under() == ()
    assert under(listeners=(listener(WWW),)) == (WWW,), "whatever the listener takes"
    assert under(f"*.{APEX}", listeners=(listener(WWW),)) == (WWW,)
    assert under(WWW, api, listeners=(listener(f"*.{APEX}"), listener(APEX))) == (api, WWW)
    assert under(WWW, listeners=(listener(api),)) == (), "no listener takes it"
    assert under(WWW, refs=({"name": "other"},)) == ()
    assert under(WWW, refs=({"name": GATEWAY, "kind": "Service", "group": ""},)) == ()
    assert under(WWW, refs=({"name": GATEWAY, "namespace": "other"},)) == ()
    assert site(routes=(route(WWW),)).hosts(APEX, (f"*.{APEX}",), ()).hosts == (WWW,)
    assert site(routes=(), grpc=(route(WWW),)).hosts(APEX, (WWW,), ()).hosts == (WWW,)
    assert site(routes=(route(WWW),), grpc=None).hosts(APEX, (WWW,), ()).hosts == ()


def test_a_route_counts_until_it_is_refused_where_it_is_meant_for() -> None:
    http, https = ({"name": GATEWAY, "sectionName": one} for one in ("http", "https"))
    both = (listener(None, "http", 80), listener())
    refs = (http, https)
    assert under(WWW, refs=refs, refused=(http,), listeners=both) == (WWW,)
    assert under(WWW, refs=refs, refused=refs, listeners=both) == ()
    assert under(WWW, refs=({"name": GATEWAY, "port": 8443},), listeners=both) == ()
    assert under(WWW, refs=({"name": GATEWAY, "port": 443},), listeners=both) == (WWW,)


def a_listener_set(*listeners: Json, of: Json, namespace: str = NAMESPACE) -> Json:
    metadata = {"namespace": namespace, "name": "more"}
    return {"metadata": metadata, "spec": {"parentRef": of, "listeners": list(listeners)}}


@pytest.mark.parametrize(
    ("listener_set", "ref", "serves"),
    [
        (a_listener_set(listener(), of={"name": GATEWAY}), {}, True),
        (a_listener_set(listener(WWW), of={"name": GATEWAY}), {}, True),
        (a_listener_set(listener(WWW), of={"name": GATEWAY}), {"sectionName": "https"}, True),
        (a_listener_set(listener(WWW), of={"name": GATEWAY}), {"sectionName": "other"}, False),
        (a_listener_set(listener("x.example.org"), of={"name": GATEWAY}), {}, False),
        (a_listener_set(listener(), of={"name": "other"}), {}, False),
        (a_listener_set(listener(), of={"name": GATEWAY}), {"namespace": "shop"}, False),
        (a_listener_set(listener(), of={"name": GATEWAY}), {"group": "example.com"}, False),
        (
            a_listener_set(
                listener(), of={"name": GATEWAY, "namespace": NAMESPACE}, namespace="shop"
            ),
            {"namespace": "shop"},
            True,
        ),
    ],
    ids=["any", "its", "section", "no-section", "others", "gateway", "namespace", "group", "shop"],
)
def test_a_route_may_be_attached_by_a_listener_set(
    listener_set: Json, ref: Json, serves: bool
) -> None:
    by_set = route(WWW, refs=({"kind": "ListenerSet", "name": "more", **ref},))
    elsewhere = a_gateway(listener("elsewhere.example.org"))
    serving = site(gateways=(elsewhere,), routes=(by_set,), listener_sets=(listener_set,))
    assert (serving.unserved((WWW,)) == {}) is serves
    assert (serving.hosts(APEX, (f"*.{APEX}",), ()).hosts == (WWW,)) is serves


def test_a_host_that_no_route_serves_is_told() -> None:
    other = f"shop.{APEX}"
    serving = site(gateways=(a_gateway(),), routes=(route(WWW),))
    assert list(serving.unserved((WWW, other))) == [other]
    assert "no HTTPRoute or GRPCRoute of Gateway web/frontend" in serving.unserved((other,))[other]
    for wide in (route(f"*.{APEX}"), route()):
        assert site(gateways=(a_gateway(),), routes=(wide,)).unserved((WWW,)) == {}
    assert site(gateways=(a_gateway(),)).unserved((WWW,)) == {}, "routes cannot be read"


def test_other_names_of_the_same_applications_are_named() -> None:
    def beside(*routes: Json, patterns: tuple[str, ...] = (WWW,)) -> tuple[str, ...]:
        return site(gateways=(a_gateway(),), routes=routes).left_open(patterns)

    other, rest = route("other.example.org", name="other"), route(name="rest")
    assert beside(route(WWW)) == ()
    assert beside(route(WWW), other) == (
        "HTTPRoute web/other serves the same Service as other.example.org",
    )
    assert beside(route(WWW), route("other.example.org", service="its-own")) == ()
    all_names = (
        "HTTPRoute web/rest serves the same Service to requests for any name that no route has",
    )
    assert beside(route(WWW), rest) == beside(rest) == all_names
    assert beside(route(f"*.{APEX}")) == (
        f"HTTPRoute web/app serves the same Service to other names under *.{APEX}",
    )
    twice = route(WWW, refs=({"name": GATEWAY}, {"name": "second", "namespace": "edge"}))
    assert beside(twice) == ("Gateway edge/second serves HTTPRoute web/app, too",)
    wildcard = f"*.{APEX}"
    assert beside(route(WWW), patterns=(wildcard,)) == ()
    assert beside(route(wildcard), patterns=(wildcard,)) == (
        f"no certificate is required for names under {wildcard} that neither a route nor spec.hostnames nor verification.samples names",
    )


def test_the_ports_are_those_that_envoy_gateway_makes_of_443_and_80() -> None:
    (replica,) = site().replicas
    assert (replica.https_port, replica.http_port) == (10443, 10080)


def test_whose_proxies_they_are_is_known_after_the_origin_has_left_the_spec() -> None:
    pods = (pod("ours"), pod("theirs", "other"))
    assert site(pods=pods, its=None).replicas == ()
    again = site(published(REQUIRING), pods, its=None)
    assert [one.name for one in again.replicas] == ["ours"]
    relaxed = again.publish(OFF, spec=None, token_if_new="other000")
    assert [one.name for one in site(relaxed, pods, its=None).replicas] == ["ours"]


def test_nothing_is_ever_rolled_out() -> None:
    assert site(published(REQUIRING)).rollout(SPEC) is None
    assert site().next_rollout(SPEC) is None
    assert site().remarks((WWW,)) == ()


def test_a_script_always_stands_there() -> None:
    """Without any, Envoy Gateway answers 500 (facts: envoy-gateway#a-script-that-it-rejects)."""
    bare = {"metadata": BARE["metadata"]}
    body = published(REQUIRING, body=bare)
    assert set(body["data"]) == {IDLE, SCRIPT}
    left = site(body).withdraw(UID)
    assert left is not None
    assert left["data"] == BARE["data"]
    assert site(published(REQUIRING)).withdraw(UID) == BARE


def test_what_stands_there_of_others_forbids_what_asks_for_more() -> None:
    mixed = BARE | {"data": {**BARE["data"], "theirs": "x"}}
    with pytest.raises(Blocked) as blocked:
        published(REQUIRING, body=mixed)
    assert blocked.value.reason is Reason.FOREIGN_CONFIGURATION


@pytest.mark.parametrize(
    "other",
    [
        (),
        (policy(config_map="other"),),
        (policy(name="other"),),
        (policy(kind="HTTPRoute"),),
        (policy(sectionName="https"),),
    ],
    ids=["none", "another script", "another Gateway", "a route", "one listener"],
)
def test_where_no_policy_has_the_gateway_run_the_script_that_is_said(
    other: tuple[Json, ...],
) -> None:
    objection = site(policies=other).objection(SPEC)
    assert objection is not None
    assert "no EnvoyExtensionPolicy of namespace web has Gateway frontend run the Lua" in objection
    assert site(pods=(), policies=other).objection(SPEC) is None, "who reads it is said first"


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({"matchLabels": {"a": "b"}}, True),
        ({"matchLabels": {"a": "c"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
        ({"kind": "HTTPRoute", "matchLabels": {"a": "b"}}, False),
    ],
    ids=str,
)
def test_a_policy_may_choose_gateways_by_labels(selector: Json, chosen: bool) -> None:
    by_labels = policy()
    by_labels["spec"]["targetSelectors"] = [{"kind": "Gateway", **selector}]
    del by_labels["spec"]["targetRefs"]
    its = site(policies=(by_labels,), gateways=(a_gateway(a="b"),)).objection(SPEC)
    assert (its is None) is chosen
    unknown = site(policies=(by_labels,)).objection(SPEC)
    assert (unknown is None) is (selector.get("kind") is None), "its labels cannot be read"


def test_a_policy_that_is_not_accepted_is_an_objection_until_something_of_ours_stands() -> None:
    refused = (policy(condition("Accepted", "False", "Lua: it is disabled.")),)
    assert site(policies=refused).objection(SPEC) == (
        "Envoy Gateway does not accept EnvoyExtensionPolicy web/aop: Lua: it is disabled. Correct that"
    )
    assert site(policies=(policy(condition("Accepted", "True", "")),)).objection(SPEC) is None


def test_a_policy_that_is_not_accepted_any_more_is_told_where_ours_is_not_to_blame() -> None:
    missing = "Lua: can't find the referenced configmap frontend-aop in namespace web."
    other = "another policy has already attached."
    second = REJECTED.replace("/lua/0", "/lua/1")
    for words in (OFF_WORDS, missing, other, second):
        policies = (policy(condition("Accepted", "False", words)),)
        objection = site(published(OFF), policies=policies).objection(SPEC)
        assert objection is not None, words
        assert "does not accept EnvoyExtensionPolicy web/aop" in objection
        (replica,) = site().replicas
        rejection = site(published(OFF), policies=policies).rejection((), replica, NOW)
        assert rejection == Rejection(words, ours=False)
    ours = (policy(condition("Accepted", "False", REJECTED)),)
    assert site(published(OFF), policies=ours).objection(SPEC) is None
    unknown = (policy(condition("Accepted", "False", "Lua: in other words.")),)
    assert site(published(OFF), policies=unknown).objection(SPEC) is None


def test_a_script_that_envoy_gateway_does_not_take_is_a_rejection() -> None:
    refused = (policy(condition("Accepted", "False", REJECTED)),)
    doubtful = site(published(REQUIRING), policies=refused)
    (replica,) = doubtful.replicas
    assert doubtful.rejection((), replica, NOW) == Rejection(REJECTED, ours=True)
    assert doubtful.rejection((), replica, NOW + timedelta(seconds=2)) is None, "an older text's"
    assert site(published(REQUIRING)).rejection((), replica, NOW) is None
    elsewhere = (policy(condition("Accepted", "False", REJECTED), config_map="other"),)
    assert site(published(REQUIRING), policies=elsewhere).rejection((), replica, NOW) is None


def test_what_was_seen_in_force_is_not_to_blame_and_what_is_no_script_never_is() -> None:
    body = published(REQUIRING)
    accepted = site(body).publish(
        REQUIRING, spec=SPEC, token_if_new="k3y0fth3path", seen_everywhere=1
    )
    refused = (policy(condition("Accepted", "False", REJECTED)),)
    (replica,) = site().replicas
    assert site(accepted, policies=refused).rejection((), replica, NOW) == Rejection(
        REJECTED, ours=False
    )
    other = (policy(condition("Accepted", "False", "another policy has already attached")),)
    rejection = site(body, policies=other).rejection((), replica, NOW)
    assert rejection == Rejection("another policy has already attached", ours=False)


def test_routes_on_which_the_script_does_not_run_are_named() -> None:
    overridden = (policy(condition("Overridden", "True", OVERRIDDEN)),)
    assert site(policies=overridden).left_open((APEX, WWW)) == (
        f"no certificate is required where another policy counts instead of EnvoyExtensionPolicy web/aop ({OVERRIDDEN})",
    )
    merged = (policy(condition("Merged", "True", "[shop/app]")),)
    assert site(policies=merged).left_open((APEX,)) == (
        "no certificate is required where another policy with scripts of its own is merged into the place of EnvoyExtensionPolicy web/aop ([shop/app])",
    )
    assert site(policies=overridden, pods=()).left_open((APEX,)) == ()
    assert len(site().left_open(("*.example.com",))) == 1


def test_the_program_is_the_same_whatever_is_claimed() -> None:
    def program(body: Json) -> str:
        return str(body["data"][SCRIPT]).partition("local function")[2].rpartition("-- #")[0]

    assert program(published(OFF)) == program(published(REQUIRING)) != ""
    other = published(claim(Mode.OPTIONAL, (APEX,)))
    assert program(other) == program(published(OFF))
