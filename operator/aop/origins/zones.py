"""What all claims on one origin mean together, host by host.

Whose zone a host is, how strict it is, which leaves pass. Two rules settle every overlap:

- Between zones, the most specific wins: with `example.com` and `sub.example.com` both claimed, what
  `sub.example.com` covers is its own, as it is at Cloudflare, also while it asks nobody: that one
  claim is relaxed never makes another one stricter. nginx's `map … hostnames` prefers exact names,
  then the longest wildcard, which never contradicts that.
- Within one zone, the mildest wins. Two claims of one zone mean that an object was removed past its
  finalizer and made again: leaves of both pass, and a host is only as strict as both ask, because
  whoever is still there must be able to relax.
"""

from __future__ import annotations

from base64 import b32encode
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256

from aop.terms import Claim, Mode, Pin


def labels(claims: Collection[Claim]) -> dict[str, str]:
    """A label of 5 characters for each zone that is claimed, by zone name.

    It is a hash of the zone's name, so it stays from revision to revision; of two zones whose
    hashes collide the later by name takes the next hash, and changes it only together with the
    text, when the other one leaves.
    """
    taken: dict[str, str] = {}
    for zone in sorted({claim.zone for claim in claims}):
        attempt = 0
        while (label := _label(zone, attempt)) in taken:
            attempt += 1
        taken[label] = zone
    return {zone: label for label, zone in taken.items()}


def _label(zone: str, attempt: int) -> str:
    return "z" + b32encode(sha256(f"{zone}/{attempt}".encode()).digest()).decode().lower()[:4]


def zones_by_name(claims: Collection[Claim], names: Iterable[str] = ()) -> dict[str, str]:
    """The zone to which each claimed exact name or wildcard belongs, and each of `names`; sorted.

    Only claims that ask count, because OFF leaves no trace of a host.
    """
    zones = _zones_of_patterns(claim for claim in claims if claim.mode >= Mode.REQUEST)
    return {
        name: zone
        for name in sorted({*zones, *names})
        if (zone := _zone_of(name, zones)) is not None
    }


def refusing(claims: Collection[Claim]) -> dict[str, Mode]:
    """What refuses somebody, with its mode: hosts, and wildcards that do so by their own server.

    A name with its own server does not belong to a wildcard. A zone without a pin refuses nobody.
    Sorted.
    """
    zones, of_zone = _zones_of_patterns(claims), defaultdict(list)
    for claim in claims:
        of_zone[claim.zone].append(claim)
    modes = {}
    for host in sorted(
        {host for claim in claims if claim.mode >= Mode.REQUEST for host in claim.enforced}
    ):
        above = set(_patterns_over(host))
        same = of_zone[_zone_of(host, zones) or ""]
        mode = min(
            (claim.at(host) for claim in same if not above.isdisjoint(claim.patterns)),
            default=Mode.OFF,
        )
        if mode >= Mode.OPTIONAL and any(claim.pins for claim in same):
            modes[host] = mode
    return modes


def strictness(claims: Collection[Claim]) -> dict[str, Mode]:
    """The concrete hosts that refuse somebody, with their mode."""
    return {host: mode for host, mode in refusing(claims).items() if not host.startswith("*.")}


def pins_by_zone(claims: Collection[Claim]) -> dict[str, tuple[Pin, ...]]:
    """The leaves that pass for each zone's hosts; sorted, each fingerprint once."""
    pins: dict[str, set[Pin]] = defaultdict(set)
    for claim in claims:
        pins[claim.zone].update(claim.pins)
    # By the pins and not by the claims, so that the text is the same in whatever order these are
    # read.
    return {
        zone: tuple(sorted({pin.sha1: pin for pin in sorted(of_zone)}.values()))
        for zone, of_zone in pins.items()
    }


def _zones_of_patterns(claims: Iterable[Claim]) -> dict[str, set[str]]:
    """Every pattern of the claims, with the zones that claim it."""
    zones: dict[str, set[str]] = defaultdict(set)
    for claim in claims:
        for pattern in claim.patterns:
            zones[pattern].add(claim.zone)
    return zones


def _zone_of(name: str, zones: Mapping[str, set[str]]) -> str | None:
    holding = {zone for pattern in _patterns_over(name) for zone in zones.get(pattern, ())}
    return max(holding, key=lambda zone: (len(zone), zone), default=None)


def _patterns_over(name: str) -> Iterator[str]:
    """The patterns that apply to a name or a wildcard.

    Itself, and the wildcard of everything above it (`claims.covers`).
    """
    yield name
    above = name.removeprefix("*.")
    while above := above.partition(".")[2]:
        yield f"*.{above}"


class ClaimPolicy:
    """What a set of claims means for any host, worked out once for all who ask."""

    def __init__(self, claims: Collection[Claim]) -> None:
        self._zones = _zones_of_patterns(claims)
        self._modes = strictness(claims)
        self._asks = any(claim.mode >= Mode.REQUEST for claim in claims)
        self._pins = pins_by_zone(claims)

    def hosts_of(self, zone: str, hosts: Iterable[str]) -> set[str]:
        """Those of `hosts` that no other zone's claim takes.

        Nothing here has to wait for what a zone below this one asks of its hosts.
        """
        return {host for host in hosts if _zone_of(host, self._zones) in {None, zone}}

    def entries(self, hosts: Iterable[str]) -> dict[str, tuple[object, ...]]:
        """Everything that the text says about each of `hosts`.

        What was seen of a host stands for as long as this stays equal.
        """
        return {host: self._entry(host, _zone_of(host, self._zones)) for host in hosts}

    def _entry(self, host: str, zone: str | None) -> tuple[object, ...]:
        return zone, self._modes.get(host), self._pins.get(zone or "", ()), self._asks
