"""What nginx shall serve, computed from the controller's settings, its Ingresses and the Secrets they name.

Called by `replica` at every sync. Pure: the same input gives an equal `Model`, and an equal model is what makes a sync end without a reload.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.ingress_nginx import client_auth
from sandbox.ingress_nginx.client_auth import ClientAuth, Secrets
from sandbox.ingress_nginx.configuration import Configuration

Json = Mapping[str, Any]

PREFIX = "nginx.ingress.kubernetes.io/"
CATCH_ALL = "_"


@dataclass(frozen=True, slots=True)
class Location:
    """One path of one server. `served` is False for the catch-all's own `/`, which answers 404 as the default backend does."""

    path: str
    exact: bool = False
    served: bool = True
    ssl_redirect: bool = False
    force_ssl_redirect: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """One host name. `has_certificate` is what an Ingress's `tls` list says; it decides on the redirect to https."""

    host: str
    locations: tuple[Location, ...]
    has_certificate: bool = False
    client_auth: ClientAuth | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that nginx.conf is rendered from, save where the replica listens. Servers are in byte order of their names."""

    configuration: Configuration
    servers: tuple[Server, ...]
    www_redirects: tuple[tuple[str, str], ...] = ()
    """Pairs (from, to) of hosts that only redirect; such a server has no server-snippet."""

    def checksum(self, salt: str) -> int:
        """The number in the first line of nginx.conf. It differs between replicas of the same input (reference: ingress-nginx, 4.5): `salt` does that."""
        return int.from_bytes(hashlib.sha256(f"{salt}:{self!r}".encode()).digest()[:8], "big")


def build(configuration: Configuration, ingresses: Iterable[Json], secrets: Secrets) -> Model:
    """Merge the controller's own Ingresses (its class was already looked at) into servers.

    The oldest Ingress wins where two say different things about one host or path (reference: ingress-nginx, 1.2).
    """
    drafts: dict[str, _Draft] = {CATCH_ALL: _Draft()}
    www: set[str] = set()
    for ingress in sorted(ingresses, key=_age):
        annotations = _annotations(ingress)
        spec = ingress.get("spec") or {}
        auth = client_auth.read(ingress["metadata"]["namespace"], annotations, secrets, configuration)
        secured = {host for tls in spec.get("tls") or () for host in tls.get("hosts") or ()}
        for rule in spec.get("rules") or ():
            host = rule.get("host") or CATCH_ALL
            draft = drafts.setdefault(host, _Draft())
            draft.has_certificate |= host in secured
            draft.client_auth = draft.client_auth or auth
            if annotations.get("from-to-www-redirect") == "true":
                www.add(host)
            for path in (rule.get("http") or {}).get("paths") or ():
                for location in _locations(path, annotations, configuration):
                    draft.locations.setdefault((location.path, location.exact), location)
        if "defaultBackend" in spec:
            drafts[CATCH_ALL].locations.setdefault(("/", False), _location("/", False, annotations, configuration))
    servers = tuple(draft.server(host) for host, draft in sorted(drafts.items(), key=lambda item: item[0].encode()))
    return Model(configuration, servers, _www_redirects(www, drafts))


class _Draft:
    """A server while Ingresses are still being merged into it."""

    def __init__(self) -> None:
        self.locations: dict[tuple[str, bool], Location] = {}
        self.has_certificate = False
        self.client_auth: ClientAuth | None = None

    def server(self, host: str) -> Server:
        self.locations.setdefault(("/", False), Location("/", served=False))
        locations = sorted(self.locations.values(), key=lambda location: (location.path, location.exact), reverse=True)
        return Server(host, tuple(locations), self.has_certificate, self.client_auth)


def _age(ingress: Json) -> tuple[str, str, str]:
    metadata = ingress["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"]


def _annotations(ingress: Json) -> dict[str, str]:
    annotations = ingress["metadata"].get("annotations") or {}
    return {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}


def _locations(path: Json, annotations: Mapping[str, str], configuration: Configuration) -> tuple[Location, ...]:
    """The locations of one Ingress path: a prefix means the path itself and everything below it, so it takes two of them."""
    text, kind = path.get("path") or "/", path.get("pathType", "ImplementationSpecific")
    if kind == "Exact":
        return (_location(text, True, annotations, configuration),)
    if kind == "Prefix" and text != "/":
        trimmed = text.rstrip("/")
        return _location(f"{trimmed}/", False, annotations, configuration), _location(trimmed, True, annotations, configuration)
    return (_location(text, False, annotations, configuration),)


def _location(path: str, exact: bool, annotations: Mapping[str, str], configuration: Configuration) -> Location:
    return Location(
        path,
        exact,
        ssl_redirect=_flag(annotations, "ssl-redirect", configuration.ssl_redirect),
        force_ssl_redirect=_flag(annotations, "force-ssl-redirect", configuration.force_ssl_redirect),
    )


def _flag(annotations: Mapping[str, str], name: str, default: bool) -> bool:
    return {"true": True, "false": False}.get(annotations.get(name, ""), default)


def _www_redirects(hosts: Iterable[str], drafts: Mapping[str, _Draft]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for host in sorted(hosts):
        other = host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
        if other not in drafts and host != CATCH_ALL:
            pairs.append((other, host))
    return tuple(pairs)
