"""What a route of the Gateway API is attached to, and where that listens. Pure.

A Gateway has listeners, and a ListenerSet adds some to it; a route names either as its parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aop.origins.pods import key_of
from aop.origins.sites import Json
from aop.origins.written import mappings, spec_of
from aop.terms import ObjectKey

GROUP = "gateway.networking.k8s.io"
GATEWAY, LISTENER_SET = "Gateway", "ListenerSet"

Referred = tuple[str | None, ObjectKey]
"""The kind and place of an object; without a kind, it is of another group."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One of the listeners of a Gateway or of a ListenerSet."""

    name: str
    port: int
    hostname: str
    """A name or a wildcard; empty: it accepts every name."""


def listeners_in(manifest: Json) -> Iterator[Listener]:
    """Those that a Gateway or a ListenerSet has."""
    for one in mappings(spec_of(manifest).get("listeners")):
        hostname = str(one.get("hostname") or "").lower()
        yield Listener(str(one.get("name")), int(one.get("port") or 0), hostname)


def parents_of(route: Json) -> Iterator[Mapping[str, Any]]:
    """How a route names what it is attached to."""
    yield from mappings(spec_of(route).get("parentRefs"))


def above(listener_set: Json) -> Referred:
    """The Gateway to which a ListenerSet adds."""
    parent = spec_of(listener_set).get("parentRef")
    return referred(listener_set, parent if isinstance(parent, Mapping) else {})


def referred(manifest: Json, ref: Mapping[str, Any]) -> Referred:
    """What an object refers to; a Gateway of its own namespace, unless the reference says more."""
    kind = str(ref.get("kind") or GATEWAY) if ref.get("group", GROUP) == GROUP else None
    namespace = str(ref.get("namespace") or key_of(manifest).namespace)
    return kind, ObjectKey(namespace, str(ref.get("name")))
