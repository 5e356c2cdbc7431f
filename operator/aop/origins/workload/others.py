"""Which Ingresses and routes of the Gateway API Traefik may serve past our routers. Pure.

None of them can stand below a router (facts: traefik#routers-below-a-router). Those of other
controllers are left out, as far as their class tells whose they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from aop.errors import plain
from aop.origins.attached import (
    GATEWAY,
    LISTENER_SET,
    Listener,
    Referred,
    above,
    listeners_in,
    parents_of,
    referred,
)
from aop.origins.pods import key_of
from aop.origins.sites import Json
from aop.origins.written import mappings, spec_of
from aop.terms import covers

INGRESS_CONTROLLERS = frozenset({"traefik.io/ingress-controller", "k8s.io/ingress-nginx"})
"""Whose Ingresses Traefik can serve (facts: traefik#ingresses-and-routes-of-the-gateway-api)."""
GATEWAY_CONTROLLER = "traefik.io/gateway-controller"
_ANY = ""
"""Every host."""


def ingresses_past(
    ingresses: Iterable[Json], classes: Iterable[Json], patterns: Collection[str]
) -> Iterator[str]:
    """A sentence about each Ingress that may take requests of the hosts under `patterns`.

    One that names no class, or one that nobody has, may be Traefik's.
    """
    others = {
        str(one["metadata"]["name"])
        for one in classes
        if spec_of(one).get("controller") not in INGRESS_CONTROLLERS
    }
    for one in sorted(ingresses, key=key_of):
        if spec_of(one).get("ingressClassName") not in others:
            yield from _about("Ingress", one, _hosts_of(one), patterns)


class TraefikGateways:
    """The Gateways that Traefik may serve, and the names of their listeners."""

    def __init__(
        self,
        gateways: Iterable[Json],
        classes: Iterable[Json] | None,
        listener_sets: Iterable[Json],
    ) -> None:
        """`classes` are GatewayClasses; None: nobody knows whose a Gateway is."""
        ours = None if classes is None else {*_named_by(classes, GATEWAY_CONTROLLER)}
        self._listeners: dict[Referred, tuple[Listener, ...]] = {
            (GATEWAY, key_of(one)): tuple(listeners_in(one))
            for one in gateways
            if ours is None or spec_of(one).get("gatewayClassName") in ours
        }
        for one in listener_sets:
            if above(one) in self._listeners:
                self._listeners[LISTENER_SET, key_of(one)] = tuple(listeners_in(one))

    def past(self, kind: str, routes: Iterable[Json], patterns: Collection[str]) -> Iterator[str]:
        """A sentence about each route of theirs that may take requests of these hosts."""
        for one in sorted(routes, key=key_of):
            yield from _about(kind, one, self._hosts_of(one), patterns)

    def _hosts_of(self, route: Json) -> Iterator[str]:
        """Its own names; if it has none, those of the listeners to which it is attached."""
        spec = spec_of(route)
        for ref in parents_of(route):
            listeners = self._listeners.get(referred(route, ref))
            if listeners is None:
                continue
            section = ref.get("sectionName")
            theirs = [one.hostname for one in listeners if section in {None, one.name}]
            own = spec.get("hostnames")
            yield from (own if isinstance(own, list) and own else theirs)


def _about(
    kind: str, manifest: Json, hosts: Iterable[object], patterns: Collection[str]
) -> Iterator[str]:
    taken = {str(host or _ANY).lower() for host in hosts}
    named = sorted(host for host in taken if any(_meet(host, one) for one in patterns))
    if named:
        served = plain(named[0], 80) or "every request"
        yield f"{kind} {key_of(manifest)} bypasses the operator's routers, and may serve {served}"


def _meet(host: str, pattern: str) -> bool:
    """Some name is under both; each is a name or a wildcard, and the first may be every host."""
    return host in {_ANY, pattern} or covers(pattern, host) or covers(host, pattern)


def _hosts_of(ingress: Json) -> Iterator[object]:
    spec = spec_of(ingress)
    for rule in mappings(spec.get("rules")):
        yield rule.get("host")
    if spec.get("defaultBackend"):
        yield _ANY


def _named_by(classes: Iterable[Json], controller: str) -> Iterator[str]:
    for one in classes:
        if spec_of(one).get("controllerName") == controller:
            yield str(one["metadata"]["name"])
