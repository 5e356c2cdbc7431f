"""What a set of claims makes every server do, worked out once; a dialect only expresses it.

Which hosts are whose, how strict each is, which leaves pass in which zone. A server that reads it
needs no more to decide about a request: the most specific name that matches the host, then the
leaves of its zone. Everything in it may be put into a server's text as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aop.origins.check import NONE, OTHER, TOKEN
from aop.origins.notation import check
from aop.origins.zones import labels, pins_by_zone, strictness, zones_by_name
from aop.terms import Claim, Mode, Pin

WORDS = {Mode.REQUEST: "ask", Mode.OPTIONAL: "opt", Mode.REQUIRE: "req"}
"""The words for how strict a host is. All have the same length, so that a write that relaxes never
grows."""
DENIED = ((Mode.OPTIONAL, OTHER), (Mode.REQUIRE, OTHER), (Mode.REQUIRE, NONE))
"""Who is refused over TLS: how strict the host is, and what came there. In plaintext, where nobody
can present anything, everybody who asks a host at REQUIRE is sent to https."""


@dataclass(frozen=True, slots=True)
class HostRule:
    """One name, whose zone it is in, and who is refused there."""

    name: str
    """A concrete host, or `*.` and a name for every host below it that has no rule of its own."""
    zone: str
    """The zone's label (`zones.labels`)."""
    mode: Mode
    """REQUEST, OPTIONAL or REQUIRE; a wildcard is at REQUEST."""


@dataclass(frozen=True, slots=True)
class Parents:
    """The user's two routers below which ours are, for a server that has such."""

    https: str = "aop@file"
    """The one that takes TLS."""
    http: str = "aop-plain@file"
    """The one that takes plaintext; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All that one text says. Same claims, same rules, in whatever order they are read."""

    revision: int
    token: str
    """The random part of our two paths (`check.check_path`)."""
    asks: bool
    """Whether some claim asks for certificates."""
    hosts: tuple[HostRule, ...]
    """Sorted by name; a host that is not named belongs to nobody."""
    leaves: tuple[tuple[str, Pin], ...]
    """Which leaves pass, each with the label of the one zone that it opens; sorted."""
    parents: Parents = Parents()

    @property
    def most_specific_first(self) -> tuple[HostRule, ...]:
        """The hosts: exact names, then the longest wildcard.

        The first that matches a name is the one that counts.
        """
        return tuple(
            sorted(self.hosts, key=lambda one: (one.name.startswith("*."), -len(one.name)))
        )


def rules_of(
    claims: Collection[Claim], revision: int, token: str, parents: Parents = Parents()
) -> Rules:
    """The rules that these claims make together.

    Raises ValueError for a hostname, zone, digest or token that must not be in a server's text.
    Nothing that came through the resource or through `notation.decode` is one.
    """
    if not TOKEN.fullmatch(token) or revision < 1:
        raise ValueError(f"no text for revision {revision} and path token {token!r}")
    for claim in claims:
        check(claim)
    label, modes, pins = labels(claims), strictness(claims), pins_by_zone(claims)
    asking = sorted({claim.zone for claim in claims if claim.mode >= Mode.REQUEST})
    return Rules(
        revision,
        token,
        asks=bool(asking),
        hosts=tuple(
            HostRule(name, label[zone], modes.get(name, Mode.REQUEST))
            for name, zone in zones_by_name(claims, modes).items()
        ),
        leaves=tuple((label[zone], pin) for zone in asking for pin in pins[zone]),
        parents=parents,
    )
