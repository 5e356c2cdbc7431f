"""Other people's Ingresses: which hosts of ours they bring, and which of them would refuse our leaf."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.origins.ingress_nginx.ingresses import aliases_of, hosts_of, served_by
from aop.origins.ingress_nginx.replicas import Controller
from aop.origins.ingress_nginx.servers import Servers
from aop.origins.served import Names, is_under
from aop.terms import ObjectKey

PREFIX = "nginx.ingress.kubernetes.io"
REPLICA = Controller(ObjectKey("ingress-nginx", "one"), "1", ready=True, ip="192.0.2.1")
CLASSES = [
    {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
    {"metadata": {"name": "other"}, "spec": {"controller": "example.com/other"}},
    {"metadata": {"name": "parameterless"}},
]
PATTERNS = ("example.com", "*.example.com")


def ingress(
    *hosts: str | None,
    tls: tuple[str, ...] = (),
    class_name: str | None = "nginx",
    namespace: str = "shop",
    **annotations: str,
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "rules": [{"host": host} if host else {} for host in hosts],
        "tls": [{"hosts": list(tls)}] if tls else [],
    }
    metadata = {
        "name": "web",
        "namespace": namespace,
        "annotations": {
            key.replace("__", "/").replace("_", "-"): value for key, value in annotations.items()
        },
    }
    return {
        "metadata": metadata,
        "spec": spec | ({"ingressClassName": class_name} if class_name else {}),
    }


def annotated(one: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """The same Ingress with annotations of the controller's prefix."""
    named = {f"{PREFIX}/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return one | {"metadata": one["metadata"] | {"annotations": named}}


# --- whose it is -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "replica", "served"),
    [
        (ingress("a.example.com"), {}, True),
        (ingress("a.example.com", class_name="other"), {}, False),
        (ingress("a.example.com", class_name="never-made"), {}, False),
        (ingress("a.example.com", class_name="parameterless"), {}, False),
        (ingress("a.example.com", class_name=None), {}, False),
        (ingress("a.example.com", class_name=None), {"without_class": True}, True),
        (
            ingress("a.example.com", class_name=None, kubernetes_io__ingress_class="x"),
            {"without_class": True},
            True,
        ),
        (ingress("a.example.com"), {"watch_namespace": "shop"}, True),
        (ingress("a.example.com"), {"watch_namespace": "web"}, False),
        (
            ingress("a.example.com", class_name="other"),
            {"ingress_class": "other", "class_by_name": True},
            True,
        ),
        (
            ingress("a.example.com", class_name="other"),
            {"controller_class": "example.com/other"},
            True,
        ),
    ],
)
def test_an_ingress_is_served_by_the_controllers_own_rules(
    one: dict[str, Any], replica: dict[str, Any], served: bool
) -> None:
    assert bool(served_by([one], [replace(REPLICA, **replica)], CLASSES)) is served


def test_a_class_by_annotation_counts_where_none_is_in_the_spec() -> None:
    one = ingress("a.example.com", class_name=None)
    one["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    assert served_by([one], [REPLICA], CLASSES) == (one,)
    one["spec"]["ingressClassName"] = "other"
    assert served_by([one], [REPLICA], CLASSES) == ()


def test_one_replica_that_serves_it_is_enough() -> None:
    one = ingress("a.example.com")
    assert served_by([one], [replace(REPLICA, watch_namespace="web"), REPLICA], CLASSES) == (one,)
    assert served_by([one], [], CLASSES) == ()


# --- its hosts -----------------------------------------------------------------------------------------------------------------------


def test_hosts_are_those_of_rules_and_tls_in_lower_case() -> None:
    assert hosts_of(ingress("B.example.com", None, tls=("a.example.com", "*.example.com"))) == (
        "*.example.com",
        "a.example.com",
        "b.example.com",
    )
    assert hosts_of({}) == hosts_of({"spec": {"rules": None, "tls": [{"hosts": None}]}}) == ()


def test_only_concrete_hosts_under_the_patterns_are_in_scope() -> None:
    ingresses = [
        ingress("www.example.com", "*.example.com", "example.org"),
        ingress("a.b.example.com"),
        ingress("example.com", "notexample.com"),
    ]
    assert Servers(ingresses, []).hosts_under(PATTERNS) == (
        "a.b.example.com",
        "example.com",
        "www.example.com",
    )
    assert Servers(ingresses, []).hosts_under(("example.com",)) == ("example.com",)
    assert Servers([], []).hosts_under(PATTERNS) == ()


@pytest.mark.parametrize(
    ("passthrough", "annotation", "seen"),
    [(True, "true", False), (True, "false", True), (False, "true", True)],
)
def test_a_host_whose_tls_goes_past_nginx_is_out_of_scope(
    passthrough: bool, annotation: str, seen: bool
) -> None:
    one = annotated(ingress("www.example.com"), ssl_passthrough=annotation)
    assert (
        bool(Servers([one], [replace(REPLICA, passthrough=passthrough)]).hosts_under(PATTERNS))
        is seen
    )


def test_aliases_are_hosts_too() -> None:
    one = annotated(
        ingress("www.example.org"),
        server_alias="a.example.com, Shop.Example.com,,*.example.com, b.example.org",
    )
    assert aliases_of(one, [PREFIX]) == (
        "*.example.com",
        "a.example.com",
        "b.example.org",
        "shop.example.com",
    )
    assert Servers([one], [REPLICA]).hosts_under(PATTERNS) == ("a.example.com", "shop.example.com")
    assert (
        Servers([one], [replace(REPLICA, annotations_prefix="example.com")]).hosts_under(PATTERNS)
        == ()
    )


# --- who would refuse our leaf -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", ["on", "optional", "an unknown word", None])
@pytest.mark.parametrize(
    ("named", "host"), [("www.example.com", "www.example.com"), ("*.example.com", "a.example.com")]
)
def test_an_ingress_that_verifies_a_host_by_itself_is_told(
    verify: str | None, named: str, host: str
) -> None:
    settings = {"auth_tls_secret": "shop/ca"} | (
        {"auth_tls_verify_client": verify} if verify else {}
    )
    verifier = Servers([annotated(ingress(named), **settings)], [REPLICA]).verifier_of(host)
    assert verifier is not None
    assert verifier.startswith("Ingress shop/web verifies client certificates by itself")
    assert f"auth-tls-verify-client is {'optional' if verify == 'optional' else 'on'}" in verifier
    assert f"Remove {PREFIX}/auth-tls-secret" in verifier


@pytest.mark.parametrize(
    "one",
    [
        ingress("www.example.com"),
        annotated(ingress("www.example.com"), auth_tls_verify_client="on"),
        annotated(
            ingress("www.example.com"), auth_tls_secret="shop/ca", auth_tls_verify_client="off"
        ),
        annotated(
            ingress("www.example.com"),
            auth_tls_secret="shop/ca",
            auth_tls_verify_client="optional_no_ca",
        ),
        annotated(ingress("www.example.org", "notexample.com"), auth_tls_secret="shop/ca"),
        annotated(ingress("*.www.example.com", "*.com"), auth_tls_secret="shop/ca"),
    ],
)
def test_one_that_refuses_nobody_there_is_not(one: dict[str, Any]) -> None:
    assert Servers([one], [REPLICA]).verifier_of("www.example.com") is None


def test_an_exact_name_is_served_before_a_wildcard_and_a_wildcard_before_what_takes_the_rest() -> (
    None
):
    """Whose server a request goes to decides who verifies; the others' settings do not reach it."""
    strict = {"auth_tls_secret": "shop/ca"}
    for milder, stricter in (
        (ingress("a.example.com"), ingress("*.example.com")),
        (ingress("*.example.com"), ingress(None)),
    ):
        assert (
            Servers([annotated(stricter, **strict), milder], [REPLICA]).verifier_of("a.example.com")
            is None
        )
        assert (
            Servers([stricter, annotated(milder, **strict)], [REPLICA]).verifier_of("a.example.com")
            is not None
        )


def test_one_without_a_host_takes_whatever_nobody_else_does() -> None:
    for one in (ingress(None), ingress()):
        strict = annotated(one, auth_tls_secret="shop/ca")
        assert Servers([strict], [REPLICA]).verifier_of("a.example.com") is not None
        assert (
            Servers([strict, ingress("a.example.com")], [REPLICA]).verifier_of("a.example.com")
            is None
        )


def test_only_a_rule_gives_a_wildcard_a_server_of_its_own() -> None:
    """`tls` names a certificate, and what an alias takes goes to the server of another name."""
    named_in_tls = ingress("app.example.com", tls=("*.example.com",))
    alias = annotated(ingress("app.example.com"), server_alias="*.example.com")
    assert Servers([named_in_tls, alias], []).wildcards_under(["*.example.com"]) == ()
    assert Servers([named_in_tls, alias, ingress("*.example.com")], []).wildcards_under(
        ["*.example.com"]
    ) == ("*.example.com",)
    assert Servers([named_in_tls], [REPLICA]).server_of("t.example.com") == ""
    assert Servers([alias], [REPLICA]).server_of("t.example.com") == "*.example.com"


@pytest.mark.parametrize(
    "alias",
    [
        "*.example.com",
        r"~^.+\.example\.com$",
        "~^t[0-9]+.example.com",
        ".example.com",
        "shop.example.*",
    ],
)
def test_what_an_alias_takes_that_is_no_single_name_is_no_host_and_is_named_as_open(
    alias: str,
) -> None:
    one = annotated(
        with_service(ingress("app.example.com")), server_alias=f"store.example.com, {alias}"
    )
    assert Servers([one], [REPLICA]).hosts_under(["*.example.com"]) == (
        "app.example.com",
        "store.example.com",
    )
    (left_open,) = Servers([one], [REPLICA]).left_open(["*.example.com"])
    assert f"its server-alias {alias} takes" in left_open
    assert Servers([ingress("*.example.com"), one], [REPLICA]).left_open(["*.example.com"]) == (
        () if alias == "*.example.com" else (left_open,)
    )


def with_service(one: dict[str, Any], service: str = "app") -> dict[str, Any]:
    """The Ingress with a Service behind its first rule."""
    backend = {"service": {"name": service, "port": {"number": 80}}}
    one["spec"]["rules"][0]["http"] = {
        "paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]
    }
    return one


@pytest.mark.parametrize("others", range(1, 4))
def test_few_other_names_of_a_service_are_told_of_one_by_one(others: int) -> None:
    beside = [with_service(ingress(f"o{n}.example.org")) for n in range(others)]
    servers = Servers([with_service(ingress("www.example.com")), *beside], [REPLICA])
    assert servers.left_open(["www.example.com"]) == tuple(
        f"Ingress shop/web serves the same Service as o{n}.example.org" for n in range(others)
    )


def test_of_many_other_names_of_a_service_their_number_is_told() -> None:
    zone = [with_service(ingress(f"{host}.example.com")) for host in ("a", "b")]
    beside = [with_service(ingress(f"o{n}.example.org")) for n in range(1000)]
    other_service = with_service(ingress("c.example.org"), service="other")
    servers = Servers([*zone, *beside, other_service], [REPLICA])
    (sentence,) = servers.left_open(["*.example.com"])
    assert sentence == (
        "1000 other names reach Service shop/app, among them "
        "o0.example.org, o1.example.org, o10.example.org"
    )
    (sentence,) = servers.left_open(["a.example.com"])
    assert sentence.startswith(
        "1001 other names reach Service shop/app, among them b.example.com, "
    )


def test_an_alias_is_a_name_of_the_server() -> None:
    one = annotated(
        ingress("www.example.org"),
        auth_tls_secret="shop/ca",
        server_alias="a.example.org, Shop.Example.com",
    )
    assert Servers([one], [REPLICA]).verifier_of("shop.example.com") is not None
    assert Servers([one], [REPLICA]).verifier_of("a.example.com") is None


def test_the_controllers_own_prefix_counts() -> None:
    one = annotated(ingress("www.example.com"), auth_tls_secret="shop/ca")
    assert (
        Servers([one], [replace(REPLICA, annotations_prefix="example.com")]).verifier_of(
            "www.example.com"
        )
        is None
    )
    assert (
        Servers([one], [replace(REPLICA, annotations_prefix="example.com"), REPLICA]).verifier_of(
            "www.example.com"
        )
        is not None
    )


LABELS = st.sampled_from(["a", "b", "www", "example", "com"])
NAMES = st.builds(
    lambda labels, wild: ("*." if wild else "") + ".".join(labels),
    st.lists(LABELS, min_size=1, max_size=4),
    st.booleans(),
)


@given(st.sets(NAMES), st.lists(NAMES, max_size=4))
def test_what_is_found_by_its_domain_is_all_that_is_under_the_patterns(
    names: set[str], patterns: list[str]
) -> None:
    assert Names(names).under(patterns) == {name for name in names if is_under(name, patterns)}
