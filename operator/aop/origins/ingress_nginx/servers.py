"""The servers that a controller makes of its Ingresses, found by their names.

Hundreds of objects ask about the same Ingresses after every change of the ConfigMap. So each is
taken apart once, and nobody's question goes through all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

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
from aop.terms import covers

MOST_SHOWN = 3
"""Other names of one Service that are told of one by one: beyond that, how many there are."""

Service = tuple[str, str]
"""A Service's namespace and name."""


@dataclass(slots=True)
class Reached:
    """By which names one Service is reached."""

    unnamed: set[str] = field(default_factory=set)
    """As sentences, what reaches it by names that no Ingress has."""
    by_name: dict[str, str] = field(default_factory=dict)
    """Each name of a server, and the Ingress that gives it, as messages name that."""

    def named_besides(self, own: Collection[str]) -> tuple[int, list[str]]:
        """How many names are not among `own`, and the first of them."""
        others = len(self.by_name) - sum(name in self.by_name for name in own)
        return others, list(islice((n for n in self.by_name if n not in own), MOST_SHOWN))


class Names:
    """Names of servers, wildcards among them, found by the patterns that they are under."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_domain: defaultdict[str, set[str]] = defaultdict(set)
        """By each domain, the names that are it or lie below it."""
        for name in names:
            labels = name.removeprefix("*.").split(".")
            for n in range(len(labels)):
                self._by_domain[".".join(labels[n:])].add(name)

    def under(self, patterns: Iterable[str]) -> set[str]:
        """Those that one of `patterns` covers; of a wildcard, what it stands for."""
        return {
            name
            for pattern in patterns
            for name in self._by_domain.get(pattern.removeprefix("*."), ())
            if is_under(name, (pattern,))
        }


class Servers:
    """The servers of one controller; built once for each `ControllerSite`."""

    def __init__(self, ingresses: Iterable[Json], replicas: Collection[Controller]) -> None:
        """The Ingresses are those of `served_by`, as Kubernetes JSON objects."""
        self._ingresses = tuple(ingresses)
        self._prefixes = sorted({replica.annotations_prefix for replica in replicas})
        passing = {replica.annotations_prefix for replica in replicas if replica.passthrough}
        self._named: defaultdict[str, list[int]] = defaultdict(list)
        """By the name of a server, where in `_ingresses` those are that make it."""
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
        self._names = Names(self._named)
        self._wildcards = Names(name for name in self._ruled if name.startswith("*."))
        self._reached = self._reached_by_names()

    def hosts_under(self, patterns: Collection[str]) -> tuple[str, ...]:
        """The concrete hosts that one of `patterns` covers; sorted.

        Hosts whose TLS a controller passes on unopened stay out: nginx never sees their requests.
        """
        return tuple(sorted(self._hosts.under(patterns)))

    def wildcards_under(self, patterns: Collection[str]) -> tuple[str, ...]:
        """The wildcards that have a server of their own and lie under one of `patterns`; sorted.

        Only a rule makes one. What an alias takes goes to the server of another name, where nothing
        tells it from that name.
        """
        return tuple(sorted(self._wildcards.under(patterns)))

    def server_of(self, host: str) -> str:
        """The name of the server that takes requests for `host`.

        That is its own, else the wildcard one label above it, else empty for the one of all others.
        """
        wildcard = f"*.{host.partition('.')[2]}"
        return next((name for name in (host, wildcard) if name in self._named), "")

    def verifier_of(self, host: str) -> str | None:
        """A sentence about the Ingress that verifies `host`'s client certificates by itself.

        It is the one whose server takes requests for `host`; None if that verifies nothing.
        """
        sentences = (
            verifies_itself(self._ingresses[place], prefix)
            for place in self._named.get(self.server_of(host), ())
            for prefix in self._prefixes
        )
        return next(filter(None, sentences), None)

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """What reaches the Services of the hosts under `patterns` by another name.

        As sentences about this controller, sorted; few, however many names there are.

        Nobody is refused there, because those names are not the zone's, or because no name is asked
        for at all.
        """
        own = self._names.under(patterns)
        services = {
            service
            for name in own
            for place in self._named[name]
            for service in services_of(self._ingresses[place])
        }
        return tuple(sorted({sentence for one in services for sentence in self._beside(one, own)}))

    def _beside(self, service: Service, own: Collection[str]) -> Iterator[str]:
        reached = self._reached[service]
        yield from reached.unnamed
        others, shown = reached.named_besides(own)
        if others > MOST_SHOWN:
            yield f"{others} other names reach Service {'/'.join(service)}, among them {', '.join(shown)}"
            return
        for name in shown:
            yield f"{reached.by_name[name]} serves the same Service as {name}"

    def _reached_by_names(self) -> dict[Service, Reached]:
        """All Services that an Ingress names; in each the names are sorted."""
        every: defaultdict[Service, Reached] = defaultdict(Reached)
        for name, places in sorted(self._named.items()):
            for place in places:
                where = title_of(self._ingresses[place])
                unnamed = self._unnamed(name)
                for service in services_of(self._ingresses[place]):
                    if unnamed is None:
                        every[service].by_name.setdefault(name, where)
                    else:
                        every[service].unnamed.add(f"{where} serves the same Service to {unnamed}")
        return dict(every)

    def _unnamed(self, name: str) -> str | None:
        """Which names a server takes beside its own; None where it takes that one alone."""
        if not name:
            return "requests for any name that no Ingress has"
        if name not in self._ruled and not SINGLE_NAME.fullmatch(name):
            return f"the names that no Ingress has and its server-alias {name} takes"
        return None


def is_under(name: str, patterns: Collection[str]) -> bool:
    """Whether one of `patterns` is the name, or covers what the name stands for."""
    return any(name == pattern or covers(pattern, name.removeprefix("*.")) for pattern in patterns)
