"""Which of Traefik's routers lead to a host's applications past ours, by what stands in Kubernetes."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from aop.origins.rules import Parents
from aop.origins.sites import Need, Scope
from aop.origins.workload import TRAEFIK
from aop.origins.workload.routes import MOST_WORDS, may_hold, past_ours
from aop.origins.workload.traefik import TraefikDialect
from aop.terms import Kind, Target

HOST, OTHER = "www.example.com", "other.example.org"
RULE = "PathPrefix(`/`)"
DIGEST = sha256(RULE.encode()).hexdigest()[:20]
PARENTS = Parents(f"web-aop-{DIGEST}@kubernetescrd", f"web-aop-plain-{DIGEST}@kubernetescrd")
SERVICE = [{"name": "app", "port": 80}]
Json = dict[str, Any]


def route(
    name: str,
    *rules: str,
    above: list[Json] | None = None,
    namespace: str = "web",
    services: Any = SERVICE,
) -> Json:
    routes = [{"kind": "Rule", "match": rule, "services": services} for rule in rules]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"routes": routes, **({} if above is None else {"parentRefs": above})},
    }


ROOTS = [route("aop", RULE, services=[]), route("aop-plain", RULE, services=[])]
BOTH = [{"name": "aop"}, {"name": "aop-plain"}]


def past(
    *routes: Json, parents: Parents = PARENTS, patterns: tuple[str, ...] = (HOST,)
) -> list[str]:
    """The routers that are named, without what is said of them."""
    named = past_ours([*ROOTS, *routes], (), parents, patterns)
    return [sentence.partition(" bypasses ")[0] for sentence in named]


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        ("Host(`www.example.com`)", True),
        ("Host(`WWW.Example.Com`)", True),
        ('Host("www.example.com")', True),
        ("Host(`a.example.com`, `www.example.com`)", True),
        ("Host(`a.example.com`)", False),
        ("Host(`a.example.com`) || Host(`www.example.com`)", True),
        ("Host(`a.example.com`) || PathPrefix(`/x`)", True),
        ("Host(`a.example.com`) && PathPrefix(`/x`)", False),
        ("PathPrefix(`/x`) && Host(`a.example.com`)", False),
        ("Host(`www.example.com`) && PathPrefix(`/x`) && !Method(`POST`)", True),
        ("(Host(`a.example.com`) || Host(`b.example.com`)) && Path(`/`)", False),
        ("(Host(`a.example.com`) || Host(`www.example.com`)) && Path(`/`)", True),
        ("!Host(`www.example.com`)", False),
        ("!Host(`a.example.com`)", True),
        ("!(Host(`www.example.com`) && Path(`/x`))", True),
        ("PathPrefix(`/`)", True),
        ("HostRegexp(`^.+[.]example[.]org$`)", True),
        ("HostSNI(`*`)", True),
        ("HostSNI(`a.example.com`)", False),
        ("Header(`X`, `Host(``a.example.com``)`)", True),
        ("", True),
        ("Host(`a.example.com`", True),
        ("Host(", True),
        ("&& ||", True),
        ("Host(`a.example.com`) ?", True),
        ("Host(`a.example.com`) Host(`www.example.com`)", True),
        ("(" * MOST_WORDS + "Host(`a.example.com`)", True),
        ("!" * 100_000, True),
    ],
)
def test_a_rule_may_hold_for_a_host_unless_it_says_otherwise(rule: str, may: bool) -> None:
    assert may_hold(rule, HOST) is may


@pytest.mark.parametrize(
    ("one", "named"),
    [
        (route("app", f"Host(`{HOST}`)", above=BOTH), False),
        (route("app", f"Host(`{HOST}`)"), True),
        (route("app", f"Host(`{HOST}`)", above=[]), True),
        (route("app", f"Host(`{OTHER}`)"), False),
        (route("app", f"Host(`{OTHER}`)", f"Host(`{HOST}`)"), True),
        (route("app", f"Host(`{HOST}`)", above=[{"name": "aop", "namespace": "web"}], namespace="shop"), False),
        (route("app", f"Host(`{HOST}`)", above=[{"name": "gone"}]), False),
        (route("app", f"Host(`{HOST}`)", above=[{"name": "app"}]), False),
        (route("ready", "Path(`/ready`)", services=[{"kind": "TraefikService", "name": "ping@internal"}]), False),
    ],
    ids=["below", "alone", "empty", "of another", "with another", "of another namespace", "turned off", "of itself", "to nobody"],
)  # fmt: skip
def test_a_router_is_named_that_may_serve_the_host_and_stands_below_neither(
    one: Json, named: bool
) -> None:
    assert bool(past(one)) is named


def test_a_router_below_one_of_others_that_stands_below_ours_is_behind_ours() -> None:
    between = route("between", f"Host(`{HOST}`)", above=BOTH, services=[])
    app = route("app", "PathPrefix(`/x`)", above=[{"name": "between"}])
    assert past(between, app) == []
    alone = route("between", f"Host(`{HOST}`)", services=[])
    assert past(alone, app) == ["IngressRoute web/app"]
    mixed = route("app", "PathPrefix(`/x`)", above=[{"name": "aop"}, {"name": "between"}])
    assert "IngressRoute web/app" in past(alone, mixed), "the other way stays open"


def test_the_two_are_known_by_either_way_of_naming_them_and_all_of_their_routers_must_be_ours() -> (
    None
):
    app = route("app", f"Host(`{HOST}`)", above=BOTH)
    safe = Parents("web_aop_0@kubernetescrd", "web_aop-plain_0@kubernetescrd")
    assert past(app, parents=safe) == []
    in_files = Parents("aop@file", "aop-plain@file")
    assert "IngressRoute web/app" in past(app, parents=in_files)
    two = route("aop", RULE, "Host(`x.example.com`)", services=[])
    named = past_ours([two, ROOTS[1], app], (), PARENTS, (HOST,))
    assert any(sentence.startswith("IngressRoute web/app ") for sentence in named)


def test_of_a_wildcard_every_name_below_it_counts() -> None:
    below = route("below", "Host(`a.example.com`)")
    assert past(below, patterns=("*.example.com",)) == ["IngressRoute web/below"]
    assert past(below, patterns=("*.example.org",)) == []
    assert past(route("any", "PathPrefix(`/x`)"), patterns=("*.example.org",)) != []


@pytest.mark.parametrize(
    "spec",
    [
        None,
        "x",
        {"routes": "x"},
        {"routes": ["x", {"match": 3, "services": "x"}]},
        {"parentRefs": 3},
    ],
)
def test_whatever_others_have_written_breaks_nothing(spec: Any) -> None:
    """Whether it has a schema is up to whoever has installed the definitions."""
    odd = {"metadata": {"name": "odd", "namespace": "web"}, "spec": spec}
    assert past(odd) in ([], ["IngressRoute web/odd"])


def test_what_others_wrote_is_shown_as_one_short_line() -> None:
    wild = route("wild", f"Host(`{HOST}`) && Path(`/\x1b[31m\n{'x' * 500}`)")
    (sentence,) = past_ours([wild], (), PARENTS, (HOST,))
    assert len(sentence) < 250
    assert sentence.isprintable()


def test_a_router_of_tcp_is_named_because_none_of_ours_can_stand_before_it() -> None:
    tcp = route("raw", f"HostSNI(`{HOST}`)")
    (sentence,) = past_ours([], [tcp], PARENTS, (HOST,))
    assert sentence.startswith("IngressRouteTCP web/raw ")


def test_routers_are_read_only_where_the_operator_may_and_never_needed() -> None:
    target = Target("traefik", "web", "frontend-aop")
    asked = {
        False: TRAEFIK.reads(target, Scope()),
        True: TRAEFIK.reads(target, Scope(routers=True)),
    }
    more = set(asked[True]) - set(asked[False])
    assert {one.need for one in more} == {Need.OPTIONAL}
    by_kind = {one.kind: one for one in more}
    others = {Kind.INGRESS, Kind.HTTP_ROUTE, Kind.GRPC_ROUTE, Kind.GATEWAY, Kind.LISTENER_SET}
    classes = {Kind.INGRESS_CLASS, Kind.GATEWAY_CLASS}
    assert by_kind.keys() == {Kind.INGRESS_ROUTE, Kind.INGRESS_ROUTE_TCP} | others | classes
    http, tcp, ingress = (
        by_kind[kind] for kind in (Kind.INGRESS_ROUTE, Kind.INGRESS_ROUTE_TCP, Kind.INGRESS)
    )
    dialect, app = TraefikDialect(), route("app", f"Host(`{HOST}`)")
    (unread,) = dialect.left_open(PARENTS, (HOST,), {})
    assert "is not a child of" in unread
    named, rest = dialect.left_open(PARENTS, (HOST,), {http: (app,), tcp: None, ingress: ()})
    assert named.startswith("IngressRoute web/app ")
    assert "files, HTTPRoutes, GRPCRoutes, TCPRoutes and TLSRoutes" in rest
    assert "of which the operator reads none" in rest


def test_routes_are_told_of_as_unread_where_no_gateway_tells_whose_they_are() -> None:
    dialect = TraefikDialect()
    reads = {one.kind: one for one in dialect.reads(Scope(routers=True))}
    everything = dict.fromkeys(reads.values(), ())
    (none,) = dialect.left_open(PARENTS, (HOST,), everything)
    assert "routers of files, TCPRoutes and TLSRoutes that" in none
    (unattached,) = dialect.left_open(PARENTS, (HOST,), {**everything, reads[Kind.GATEWAY]: None})
    assert "routers of files, HTTPRoutes, GRPCRoutes, TCPRoutes and TLSRoutes that" in unattached
