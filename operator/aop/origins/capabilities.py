"""What an origin kind can do, so that rules and messages need not know which kind they speak of.

`KINDS` in this package's `__init__` has one row per kind, by its name in the resource.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aop.origins.claims import Mode


class Refusal(StrEnum):
    """How a stranger is turned away, which is what a probe has to recognise."""

    BAD_REQUEST = "400"
    """An HTTP answer of status 400 after a completed handshake."""
    HANDSHAKE = "handshake"
    """A TLS alert."""


class WithoutTrust(StrEnum):
    """What a replica does with its hosts when the leaves or authorities to compare with are not there."""

    SERVES = "serves"
    """Refuses nobody."""
    REFUSES = "refuses"
    """Refuses everybody, or does not start."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One origin kind."""

    modes: frozenset[Mode]
    """The modes it can be in."""
    per_host: bool
    """Hosts of one origin can be in different modes."""
    several_pins: bool
    """The leaf in use and the next one are accepted side by side, so that a rotation loses nothing."""
    refusal: Refusal
    drops_old_connections: bool
    """A change reaches clients on connections that were already open."""
    without_trust: WithoutTrust
