"""Which origins an object is about, and which hosts it has on each of them."""

from __future__ import annotations

from dataclasses import dataclass

from aop.api import AuthenticatedOriginPull
from aop.origins.kind import Site
from aop.origins.sites import ServedHosts
from aop.schema import Model
from aop.terms import Target


@dataclass(frozen=True, slots=True)
class Wanted:
    """One origin of the spec, or one that the record says was claimed."""

    name: str
    target: Target
    spec: Model | None
    """What the user writes of it; None: it has left the spec."""

    @property
    def wanted(self) -> bool:
        """It is in the spec."""
        return self.spec is not None


def origins_of(pull: AuthenticatedOriginPull, claimed: tuple[Target, ...]) -> tuple[Wanted, ...]:
    """The spec's origins, then those that were claimed and have left it."""
    named = [Wanted(it.name, it.target, it.spec) for it in pull.spec.origins]
    gone = [target for target in claimed if target not in {it.target for it in named}]
    return (*named, *(Wanted(f"{target.name} (dropped)", target, None) for target in gone))


def hosts_of(
    pull: AuthenticatedOriginPull, wanted: Wanted, site: Site, *, complete: bool
) -> ServedHosts:
    """The hosts in scope, and those that the text cannot carry.

    An origin that has left the spec must still be seen to refuse nobody, so its hosts are asked
    about too. So are required hosts while not everything can be listed (`complete` is False): a
    list that is not there does not show that anything has gone.
    """
    claim = site.published.standing.get(pull.uid)
    required = (
        (*claim.required, *claim.excepted) if claim and not (wanted.wanted and complete) else ()
    )
    return site.hosts(
        pull.spec.zone.name,
        pull.spec.hostname_patterns,
        (*pull.spec.concrete_hosts, *required),
    )
