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
PODS = Read(Kind.POD, NAMESPACE)
POLICIES = Read(Kind.ENVOY_EXTENSION_POLICY, NAMESPACE, need=Need.OPTIONAL)
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
REJECTED = "Lua: can't find the referenced configmap frontend-aop in namespace web."
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
) -> GatewaySite:
    carrier = () if body is None else (body,)
    return GATEWAY_API.site(TARGET, {CARRIER: carrier, PODS: pods, POLICIES: policies}, its)


def published(*claims: Any, body: Json = BARE) -> Json:
    for one in claims:
        body = site(body).publish(one, spec=SPEC, token_if_new="k3y0fth3path")
    return body


def test_policies_are_read_where_they_may_be() -> None:
    reads = GATEWAY_API.reads(TARGET, Scope())
    assert reads == (CARRIER, PODS, POLICIES)
    assert site(policies=None).objection(SPEC) is None


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


def test_a_policy_that_chooses_gateways_by_labels_may_be_the_one() -> None:
    chosen = policy()
    chosen["spec"]["targetSelectors"] = [{"kind": "Gateway", "matchLabels": {"a": "b"}}]
    del chosen["spec"]["targetRefs"]
    assert site(policies=(chosen,)).objection(SPEC) is None


def test_a_policy_that_is_not_accepted_is_an_objection_until_something_of_ours_stands() -> None:
    refused = (policy(condition("Accepted", "False", "Lua: it is disabled.")),)
    assert site(policies=refused).objection(SPEC) == (
        "Envoy Gateway does not accept EnvoyExtensionPolicy web/aop: Lua: it is disabled. Mend that"
    )
    assert site(published(OFF), policies=refused).objection(SPEC) is None
    assert site(policies=(policy(condition("Accepted", "True", "")),)).objection(SPEC) is None


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
