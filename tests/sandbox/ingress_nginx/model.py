"""What nginx shall serve, computed from the controller's settings, its Ingresses and the Secrets they name.

Pure: the same input gives an equal `Model`, and an equal model is what makes a sync end without a
reload. Ingresses are merged as in the controller's createServers and getBackendServers
(kubernetes/ingress-nginx, controller.go).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.ingress_nginx import client_auth
from sandbox.ingress_nginx.annotations import Annotations, without_prefix
from sandbox.ingress_nginx.client_auth import ClientAuth, Secrets
from sandbox.ingress_nginx.configuration import Configuration
from sandbox.ingress_nginx.server_names import CATCH_ALL, www_counterpart

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LocationBlock:
    """One path of one server.

    One that is not `served` goes to the controller's default backend, which answers 404.
    """

    path: str
    exact: bool = False
    served: bool = True
    ssl_redirect: bool = False
    force_ssl_redirect: bool = False
    snippet: str = ""
    custom_http_errors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerBlock:
    """One host and its aliases.

    `has_certificate` decides on the redirect to https; what is shown in the handshake is always the
    default one.
    """

    host: str
    locations: tuple[LocationBlock, ...]
    has_certificate: bool = False
    client_auth: ClientAuth | None = None
    aliases: tuple[str, ...] = ()
    snippet: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that nginx.conf is rendered from, save where the replica listens.

    Servers are in byte order of their names.
    """

    configuration: Configuration
    servers: tuple[ServerBlock, ...]
    www_redirects: tuple[tuple[str, str], ...] = ()
    """Pairs (from, to) of hosts that only redirect; such a server has no server-snippet."""

    def checksum(self, salt: str) -> int:
        """The number in the first line of nginx.conf.

        It differs between replicas of the same input (facts: ingress-nginx#config-hash): `salt`
        does that.
        """
        return int.from_bytes(hashlib.sha256(f"{salt}:{self!r}".encode()).digest()[:8], "big")

    def names(self) -> Iterator[str]:
        """Every name that a server has."""
        for server in self.servers:
            yield server.host
            yield from server.aliases
        for source, _ in self.www_redirects:
            yield source


def build(configuration: Configuration, ingresses: Iterable[Json], secrets: Secrets) -> Model:
    """Merge the controller's own Ingresses (its class was already looked at) into servers.

    The oldest Ingress wins where two say different things about one host or path
    (facts: ingress-nginx#merged-ingresses).
    """
    drafts = {CATCH_ALL: _Draft(CATCH_ALL, LocationBlock("/", served=False))}
    read = [
        (ingress, Annotations.read(ingress, configuration))
        for ingress in sorted(ingresses, key=_age)
    ]
    for ingress, annotations in read:
        _open_servers(ingress, annotations, drafts)
    for ingress, annotations in read:
        spec = ingress.get("spec") or {}
        auth = client_auth.read(
            ingress["metadata"]["namespace"], without_prefix(ingress), secrets, configuration
        )
        for rule in spec.get("rules") or ():
            draft = drafts[rule.get("host") or CATCH_ALL]
            draft.has_certificate |= bool(spec.get("tls"))
            draft.aliases = draft.aliases or annotations.aliases
            draft.snippet = draft.snippet or annotations.server_snippet
            if "http" in rule or draft.host == CATCH_ALL:
                draft.verify(auth)
            draft.serve((rule.get("http") or {}).get("paths") or (), annotations)
    servers = tuple(
        draft.server(drafts)
        for _, draft in sorted(drafts.items(), key=lambda item: item[0].encode())
    )
    return Model(configuration, servers, tuple(_www_redirects(servers, drafts)))


class _Draft:
    """A server while Ingresses are still being merged into it.

    `root` is its `/` until a rule brings one.
    """

    def __init__(self, host: str, root: LocationBlock) -> None:
        self.host = host
        self.root = root
        self.locations: dict[tuple[str, bool], LocationBlock] = {}
        self.has_certificate = False
        self.redirects_www = False
        self.aliases: tuple[str, ...] = ()
        self.snippet = ""
        self._auth: ClientAuth | None = None
        self._denied = False

    def verify(self, auth: ClientAuth | None) -> None:
        """The first Ingress that brings a CA decides; one whose annotation cannot be resolved closes the host, however young it is."""
        if self._auth is None or self._auth.file is None:
            self._auth = auth
        self._denied |= auth is not None and auth.denied

    def serve(self, paths: Iterable[Json], annotations: Annotations) -> None:
        """Add the paths of a rule that no older Ingress has."""
        for path in paths:
            if "service" not in path["backend"]:
                continue
            for location in _locations(path, annotations):
                key = (location.path, location.exact)
                if key not in self.locations:
                    self.locations[key] = location
                    self.redirects_www |= annotations.from_to_www_redirect

    def server(self, drafts: Mapping[str, "_Draft"]) -> ServerBlock:
        """What has become of it.

        An alias that has a server of its own is none (controller.go, createServers).
        """
        locations = {("/", False): self.root, **self.locations}
        aliases = tuple(alias for alias in self.aliases if alias not in drafts)
        auth = replace(self._auth or ClientAuth(), denied=self._denied)
        return ServerBlock(
            self.host,
            tuple(
                sorted(
                    locations.values(),
                    key=lambda location: (location.path, location.exact),
                    reverse=True,
                )
            ),
            self._finds_certificate(drafts),
            None if auth == ClientAuth() else auth,
            aliases,
            self.snippet,
        )

    def _finds_certificate(self, drafts: Mapping[str, "_Draft"]) -> bool:
        """As the controller's Lua looks one up: by the host, else by the wildcard above it; the catch-all has no name to look up (certificate.lua)."""
        above = drafts.get(f"*.{self.host.partition('.')[2]}")
        return self.host != CATCH_ALL and (
            self.has_certificate or (above is not None and above.has_certificate)
        )


def _age(ingress: Json) -> tuple[str, str, str]:
    metadata = ingress["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"]


def _open_servers(ingress: Json, annotations: Annotations, drafts: dict[str, _Draft]) -> None:
    """A server for every host.

    Its `/`, and that of the catch-all, goes to the Ingress's default backend if it has one.

    Without rules, the oldest such Ingress has the catch-all's `/` for itself, with its annotations
    but for redirects.
    """
    spec = ingress.get("spec") or {}
    rules, served = spec.get("rules") or (), "service" in (spec.get("defaultBackend") or {})
    if served:
        catch_all = drafts[CATCH_ALL]
        catch_all.root = replace(catch_all.root, served=True)
        if not rules:
            catch_all.locations.setdefault(
                ("/", False),
                replace(_location("/", annotations), ssl_redirect=False, force_ssl_redirect=False),
            )
    for rule in rules:
        host = rule.get("host") or CATCH_ALL
        if host not in drafts:
            drafts[host] = _Draft(host, _location("/", annotations, served=served))


def _locations(path: Json, annotations: Annotations) -> Iterator[LocationBlock]:
    """The locations of one Ingress path: a prefix (and what has no type) means the path itself and all below it, so it takes two of them."""
    text, kind = path.get("path") or "/", path.get("pathType")
    if kind == "Exact":
        yield _location(text, annotations, exact=True)
    elif text == "/":
        yield _location(text, annotations)
    else:
        yield _location(f"{text.rstrip('/')}/", annotations)
        yield _location(text.rstrip("/"), annotations, exact=True)


def _location(
    path: str, annotations: Annotations, *, exact: bool = False, served: bool = True
) -> LocationBlock:
    return LocationBlock(
        path,
        exact,
        served=served,
        ssl_redirect=annotations.ssl_redirect,
        force_ssl_redirect=annotations.force_ssl_redirect,
        snippet=annotations.configuration_snippet,
        custom_http_errors=annotations.custom_http_errors,
    )


def _www_redirects(
    servers: Iterable[ServerBlock], drafts: Mapping[str, _Draft]
) -> Iterator[tuple[str, str]]:
    """None where the other name has a server of its own; an alias is not one."""
    for server in servers:
        source = www_counterpart(server.host)
        if drafts[server.host].redirects_www and source not in drafts:
            yield source, server.host
