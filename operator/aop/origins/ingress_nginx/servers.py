"""The servers that a controller makes of its Ingresses, found by their names.

Hundreds of objects ask about the same Ingresses after every change of the ConfigMap. So each
Ingress is taken apart once, and no question goes through all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from aop.origins.ingress_nginx.ingresses import (
    SINGLE_NAME,
    Json,
    aliases_of,
    hosts_of,
    names_of,
    passes_on,
    rule_hosts_of,
    services_of,
    title_of,
    verifies_itself,
)
from aop.origins.ingress_nginx.replicas import Controller
from aop.origins.served import Names, Way, Ways


class Servers:
    """The servers of one controller; built once for each `ControllerSite`."""

    def __init__(self, ingresses: Iterable[Json], replicas: Collection[Controller]) -> None:
        """The Ingresses are those of `served_by`, as Kubernetes JSON objects."""
        self._ingresses = tuple(ingresses)
        self._prefixes = sorted({replica.annotations_prefix for replica in replicas})
        passing = {replica.annotations_prefix for replica in replicas if replica.passthrough}
        self._named: defaultdict[str, list[int]] = defaultdict(list)
        """By the name of a server, the places in `_ingresses` of those that make it."""
        self._ruled: set[str] = set()
        """Names that have a server of their own."""
        hosts: set[str] = set()
        for place, one in enumerate(self._ingresses):
            for name in names_of(one, self._prefixes):
                self._named[name].append(place)
            self._ruled |= rule_hosts_of(one)
            if not passes_on(one, passing):
                hosts |= {*hosts_of(one)}
                hosts |= {*filter(SINGLE_NAME.fullmatch, aliases_of(one, self._prefixes))}
        self._hosts = Names(host for host in hosts if not host.startswith("*."))
        self._wildcards = Names(name for name in self._ruled if name.startswith("*."))
        self._ways = Ways(self._leading())

    def hosts_under(self, patterns: Collection[str]) -> tuple[str, ...]:
        """The concrete hosts that one of `patterns` covers; sorted.

        Hosts whose TLS a controller passes on unopened stay out, because nginx never sees their
        requests.
        """
        return tuple(sorted(self._hosts.under(patterns)))

    def wildcards_under(self, patterns: Collection[str]) -> tuple[str, ...]:
        """The wildcards under `patterns` that have their own server; sorted.

        Only a rule makes one. A request for an alias goes to the server of another name, where
        nothing distinguishes it from that name.
        """
        return tuple(sorted(self._wildcards.under(patterns)))

    def server_of(self, host: str) -> str:
        """The name of the server that gets requests for `host`.

        That is its own, else the wildcard one label above it, else empty for the default server.
        """
        wildcard = f"*.{host.partition('.')[2]}"
        return next((name for name in (host, wildcard) if name in self._named), "")

    def verifier_of(self, host: str) -> str | None:
        """A sentence about the Ingress that verifies `host`'s client certificates by itself.

        It is the one whose server gets requests for `host`; None if that verifies nothing.
        """
        sentences = (
            verifies_itself(self._ingresses[place], prefix)
            for place in self._named.get(self.server_of(host), ())
            for prefix in self._prefixes
        )
        return next(filter(None, sentences), None)

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """By which other names the Services of the hosts under `patterns` are reached.

        As sentences about this controller, as `Ways.left_open` says.
        """
        return self._ways.left_open(patterns)

    def _leading(self) -> Iterator[Way]:
        for name, places in self._named.items():
            unnamed = self._unnamed(name)
            for place in places:
                one = self._ingresses[place]
                yield Way(name, title_of(one), services_of(one), unnamed)

    def _unnamed(self, name: str) -> str | None:
        """Which names a server accepts beside its own; None if it accepts only its own."""
        if not name:
            return "requests for any name that no Ingress has"
        if name not in self._ruled and not SINGLE_NAME.fullmatch(name):
            return f"the names that no Ingress has and its server-alias {name} takes"
        return None
