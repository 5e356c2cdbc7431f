"""By which names applications are reached, whatever leads to them: Ingresses, or routes.

Hundreds of objects ask about the same ones after every change of a carrier. So each is taken apart
once, and no question goes through all of them. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from aop.terms import covers

MOST_SHOWN = 3
"""How many other names of one Service are named one by one; beyond that, only their number."""

Service = tuple[str, str]
"""A Service's namespace and name."""


@dataclass(frozen=True, slots=True)
class Way:
    """A name that leads to Services."""

    name: str
    """A name or a wildcard; empty: whatever no other takes."""
    by: str
    """What makes it lead there, as messages name that."""
    services: Collection[Service]
    unnamed: str | None = None
    """Which names it accepts that cannot be listed, in words; None: only its own."""


@dataclass(slots=True)
class Reached:
    """By which names one Service is reached."""

    unnamed: set[str] = field(default_factory=set)
    """As sentences, what reaches it by names that cannot be listed."""
    by_name: dict[str, str] = field(default_factory=dict)
    """Each name, and what makes it lead there, as messages name that."""

    def named_besides(self, own: Collection[str]) -> tuple[int, list[str]]:
        """How many names are not among `own`, and the first of them."""
        others = len(self.by_name) - sum(name in self.by_name for name in own)
        return others, list(islice((n for n in self.by_name if n not in own), MOST_SHOWN))


class Names:
    """Names of servers, including wildcards, found by the patterns under which they are."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_domain: defaultdict[str, set[str]] = defaultdict(set)
        """By each domain, the names that are equal to it or below it."""
        for name in names:
            labels = name.removeprefix("*.").split(".")
            for n in range(len(labels)):
                self._by_domain[".".join(labels[n:])].add(name)

    def under(self, patterns: Iterable[str]) -> set[str]:
        """The names that one of `patterns` covers; for a wildcard, what it stands for counts."""
        return {
            name
            for pattern in patterns
            for name in self._by_domain.get(pattern.removeprefix("*."), ())
            if is_under(name, (pattern,))
        }


class Ways:
    """Every way to every Service behind one origin."""

    def __init__(self, ways: Iterable[Way]) -> None:
        self._services: defaultdict[str, set[Service]] = defaultdict(set)
        """By each name, what it leads to."""
        self._reached: defaultdict[Service, Reached] = defaultdict(Reached)
        """In each the names are sorted."""
        for way in sorted(ways, key=lambda way: way.name):
            self._services[way.name].update(way.services)
            for service in way.services:
                if way.unnamed is None:
                    self._reached[service].by_name.setdefault(way.name, way.by)
                else:
                    sentence = f"{way.by} serves the same Service to {way.unnamed}"
                    self._reached[service].unnamed.add(sentence)
        self._names = Names(self._services)

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """By which other names the Services of the hosts under `patterns` are reached.

        As sentences, sorted; few, however many names there are.

        Nobody is refused there, because those names are not the zone's, or because no name is
        needed.
        """
        own = self._names.under(patterns)
        services = {service for name in own for service in self._services[name]}
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


def is_under(name: str, patterns: Collection[str]) -> bool:
    """Whether one of `patterns` is the name, or covers what the name stands for.

    A host covers no wildcard: not even the one above which it stands.
    """
    return any(
        name == pattern or (pattern.startswith("*.") and covers(pattern, name.removeprefix("*.")))
        for pattern in patterns
    )
