"""How strict an origin is, which leaves it accepts, and what one object asks of it.

The same words for every origin kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum

from aop.terms.hostnames import covers

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


class Mode(IntEnum):
    """How strict an origin is towards a host; comparable, stricter is greater.

    The same four words for every origin kind (docs/concepts.md#modes).
    """

    OFF = 0
    """No client certificate is asked for."""
    REQUEST = 1
    """One is asked for; nobody is refused for its issuer (nginx still refuses what is expired or
    not yet valid)."""
    OPTIONAL = 2
    """A certificate that is not ours is refused; none passes."""
    REQUIRE = 3
    """Only our certificate passes."""

    @property
    def label(self) -> str:
        """The word for people and for the resource: `Off`, `Request`, `Optional`, `Require`."""
        return self.name.capitalize()

    @classmethod
    def parse(cls, label: str) -> Mode:
        """The mode called `label`; raises KeyError for any other word."""
        return cls[label.upper()]


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One exact leaf that an origin accepts for a zone. Digests are lower-case hex without colons.

    `sha256` is the identity everywhere; `sha1` is only there because nginx compares
    `$ssl_client_fingerprint` (facts: ingress-nginx#pins), which is safe against a second preimage
    of a leaf that we made or adopted ourselves.
    """

    sha256: str
    sha1: str
    not_before: datetime
    not_after: datetime
    der: str = field(default="", compare=False, repr=False)
    """The leaf itself, in base64, for servers that cannot compare digests.

    Empty where only its digests are known: it is the same pin, because `sha256` names it."""

    @property
    def short(self) -> str:
        """The first 8 hex digits of `sha256`.

        The check path names a presented leaf by them, and so do messages.
        """
        return self.sha256[:8]

    def with_leaf_of(self, leaves: Mapping[str, str]) -> Pin:
        """The same pin with its leaf, if `leaves` (base64 of DER, by SHA-256) contains it."""
        der = leaves.get(self.sha256, self.der)
        return self if der == self.der else replace(self, der=der)

    @property
    def well_formed(self) -> bool:
        """Whether the digests are digests.

        Nothing else may get into an origin's text, whoever wrote it where we read it.
        """
        return _SHA256.fullmatch(self.sha256) is not None and _SHA1.fullmatch(self.sha1) is not None


@dataclass(frozen=True, slots=True)
class Claim:
    """What one AuthenticatedOriginPull asks of one origin: data, from which text is rendered.

    The order of hosts and pins means nothing, so all of them are kept sorted.

    `mode` OFF serves the check path and asks nobody. From REQUEST on the origin asks. Hosts in
    `enforced` go as far as `mode`; all other hosts under `patterns` stay at REQUEST. So `mode`
    alone bounds how strict the claim can be.
    """

    uid: str
    """UID of the AuthenticatedOriginPull that makes the claim."""
    owner: str
    """`namespace/name` of that object, for people and for finding claims whose object is gone."""
    zone: str
    """The zone's name."""
    patterns: tuple[str, ...]
    """`spec.hostnames`: concrete names and `*.` wildcards of the zone; sorted."""
    mode: Mode = Mode.OFF
    enforced: tuple[str, ...] = ()
    """Hosts at `mode`, and wildcards (`*.`) whose own server is at `mode`; sorted. Empty unless
    `mode` is OPTIONAL or REQUIRE."""
    pins: tuple[Pin, ...] = ()
    """Leaves accepted for the zone's hosts; sorted."""
    flush_count: int = 0
    """Counts the deliberate re-publications of the same text: a new revision flushes TLS sessions
    that hold a proof back."""
    excepted: tuple[str, ...] = ()
    """Concrete hosts at REQUEST although the server of an enforced wildcard serves them; sorted."""

    def __post_init__(self) -> None:
        for name in ("patterns", "enforced", "pins", "excepted"):
            if len(items := getattr(self, name)) > 1:
                object.__setattr__(self, name, tuple(sorted(set(items))))

    def at(self, host: str) -> Mode:
        """How strict the claim is towards one concrete host."""
        return self.mode if host in self.enforced else min(self.mode, Mode.REQUEST)

    def with_leaves(self, leaves: Mapping[str, str]) -> Claim:
        """The same claim, with those of `leaves` (base64 of DER, by SHA-256) that it pins."""
        return replace(self, pins=tuple(pin.with_leaf_of(leaves) for pin in self.pins))

    @property
    def names(self) -> tuple[str, ...]:
        """Every host and wildcard that it names; sorted."""
        return tuple(sorted({*self.patterns, *self.enforced, *self.excepted}))

    @property
    def required(self) -> tuple[str, ...]:
        """The concrete hosts among `enforced`; each has a proof of its own."""
        return tuple(host for host in self.enforced if not host.startswith("*."))

    def _milder_than(self, other: Claim) -> set[str]:
        """The hosts at which an exception makes this claim no stricter than the other.

        The exception still exists, or the wildcard from which the host was excepted is gone.
        """
        gone = {
            host
            for host in other.excepted
            if not any(covers(wildcard, host) for wildcard in self.enforced)
        }
        return {*self.excepted, *gone}

    def at_least_as_strict_as(self, other: Claim) -> bool:
        """Whether `other` treats no host more strictly."""
        return self.mode >= other.mode and all(
            self.at(host) >= other.at(host) for host in other.enforced
        )

    def asks_no_more_than(self, other: Claim | None) -> bool:
        """Whether it refuses nobody whom `other` serves.

        Such a claim may be written at once, whatever else stands in the way.
        """
        if other is None or self.mode > other.mode:
            return False
        stricter = any(self.at(host) > other.at(host) for host in self.enforced) or not set(
            other.excepted
        ) <= self._milder_than(other)
        return not stricter and (not self.enforced or set(self.pins) >= set(other.pins))
