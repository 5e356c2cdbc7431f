"""Which hosts a Gateway serves, according to its HTTPRoutes and GRPCRoutes.

They bind nobody: what a proxy answers for a host is probed. A route counts until Envoy Gateway says
that it does not accept it: one host too many stays unproven and harms nobody, while one too few
would stay open. A route may be attached by a ListenerSet, which adds listeners to a Gateway
(facts: envoy-gateway#listenersets).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from aop.origins.attached import (
    GATEWAY,
    LISTENER_SET,
    Listener,
    above,
    listeners_in,
    parents_of,
    referred,
)
from aop.origins.gateway_api.gateways import narrower
from aop.origins.pods import key_of
from aop.origins.served import Names, Service, Way, Ways
from aop.origins.sites import Json
from aop.terms import ObjectKey

_SERVICE = "Service"
_REST = "requests for any name that no route has"


class Routes:
    """The routes of one Gateway."""

    def __init__(
        self,
        routes: Iterable[tuple[str, Json]],
        gateway: ObjectKey,
        listeners: Collection[Listener] | None,
        listener_sets: Iterable[Json] = (),
    ) -> None:
        """`routes` are kinds as people write them, each with a Kubernetes JSON object.

        `listeners` are the Gateway's; None: they are not known. `listener_sets` are all that exist.
        """
        self._sets = {key_of(one): one for one in listener_sets}
        self._ways: list[Way] = []
        self._elsewhere: dict[str, set[str]] = {}
        """By each name, sentences about Gateways that serve the same route."""
        for kind, route in routes:
            title = f"{kind} {key_of(route)}"
            refs = list(parents_of(route))
            names = {
                name
                for ref in refs
                if self._gateway_of(route, ref) == gateway and not _is_refused(route, ref)
                for name in _names_of(route, ref, self._listeners_at(route, ref, listeners))
            }
            others = {self._gateway_of(route, ref) for ref in refs} - {gateway, None}
            services = frozenset(_services_of(route))
            for name in names:
                self._ways.append(Way(name, title, services, None if name else _REST))
                self._elsewhere.setdefault(name, set()).update(
                    f"Gateway {other} serves {title}, too" for other in others
                )
        self._names = Names(self._elsewhere)
        self._leading = Ways(self._ways)

    def hosts_under(self, patterns: Collection[str]) -> set[str]:
        """The concrete hosts that one of `patterns` covers."""
        return {name for name in self._names.under(patterns) if not name.startswith("*.")}

    def serves(self, host: str) -> bool:
        """Whether some route accepts requests for a host."""
        return self._taking(host) is not None

    def takes_more_under(self, wildcard: str) -> bool:
        """Whether some route accepts names under a wildcard without naming each of them."""
        return any(
            narrower(name, wildcard) is not None
            for name in self._elsewhere
            if not name or name.startswith("*.")
        )

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """By which other names the applications of the hosts under `patterns` are reached."""
        named = self._names.under(patterns)
        hosts = {pattern for pattern in patterns if not pattern.startswith("*.")}
        taking = {self._taking(host) for host in hosts}
        broad = {name for name in taking if name is not None} - named
        elsewhere = {
            sentence
            for name in (named | broad) & self._elsewhere.keys()
            for sentence in self._elsewhere[name]
        }
        beside = {
            f"{way.by} serves the same Service to {way.unnamed or f'other names under {way.name}'}"
            for way in self._ways
            if way.name in broad
        }
        return tuple(sorted({*self._leading.left_open(patterns), *elsewhere, *beside}))

    def _gateway_of(self, route: Json, ref: Mapping[str, Any]) -> ObjectKey | None:
        """Which Gateway a route is attached to; None: to something else."""
        kind, key = referred(route, ref)
        between = self._sets.get(key) if kind == LISTENER_SET else None
        if between is not None:
            kind, key = above(between)
        return key if kind == GATEWAY else None

    def _listeners_at(
        self, route: Json, ref: Mapping[str, Any], of_gateway: Collection[Listener] | None
    ) -> Collection[Listener] | None:
        """The listeners to which it is attached there; None: nobody knows."""
        kind, key = referred(route, ref)
        return tuple(listeners_in(self._sets[key])) if kind == LISTENER_SET else of_gateway

    def _taking(self, host: str) -> str | None:
        """The name by which a route accepts requests for a host: its own, or the longest wildcard.

        None: none accepts them.
        """
        above = host.split(".")
        names = (host, *(f"*.{'.'.join(above[n:])}" for n in range(1, len(above))), "")
        return next((name for name in names if name in self._elsewhere), None)


def _is_refused(route: Json, ref: Mapping[str, Any]) -> bool:
    """Whether some controller says that it does not accept the route there."""
    return any(
        (one.get("type"), one.get("status")) == ("Accepted", "False")
        for parent in (route.get("status") or {}).get("parents") or ()
        if _place(parent.get("parentRef") or {}, route) == _place(ref, route)
        for one in parent.get("conditions") or ()
    )


def _place(ref: Mapping[str, Any], route: Json) -> tuple[object, ...]:
    return referred(route, ref), ref.get("sectionName"), ref.get("port")


def _names_of(
    route: Json, ref: Mapping[str, Any], listeners: Collection[Listener] | None
) -> Iterator[str]:
    """The names, wildcards, or empty for all, that the route accepts at its listeners."""
    written = (route.get("spec") or {}).get("hostnames") or ()
    named = [str(one).lower() for one in written] or [""]
    if listeners is None:
        yield from named
        return
    for listener in listeners:
        if ref.get("sectionName") in {None, listener.name} and ref.get("port") in {
            None,
            listener.port,
        }:
            both = (narrower(name, listener.hostname) for name in named)
            yield from (name for name in both if name is not None)


def _services_of(route: Json) -> Iterator[Service]:
    for rule in (route.get("spec") or {}).get("rules") or ():
        for one in rule.get("backendRefs") or ():
            if not one.get("group") and one.get("kind", _SERVICE) == _SERVICE:
                yield str(one.get("namespace") or key_of(route).namespace), str(one.get("name"))
