"""What `kubectl aop preflight` can find, and on what it is based. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aop.cloudflare.traffic import DnsRecord, LoadBalancer, Pool, TrafficRule
from aop.errors import Reason
from aop.origins.sites import Remark

MOST_NAMED = 8
"""How many hosts one finding names."""


class Weight(StrEnum):
    """What happens if nobody does anything about a finding."""

    STOPS = "STOPS"
    """The operator begins nothing, or goes no further."""
    BREAKS = "BREAKS"
    """Something that works today fails once hosts are required."""
    LIMITS = "LIMITS"
    """Some hosts, or some requests, stay open."""
    NOTE = "NOTE"
    """Good to know."""


HARMFUL = frozenset({Weight.STOPS, Weight.BREAKS})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, what comes of it, and what helps; sentences without their full stop."""

    weight: Weight
    what: str
    consequence: str
    remedy: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What is set beside the zone and the origins; what could not be looked at is empty."""

    records: tuple[DnsRecord, ...] | None = None
    """None: they could not be read."""
    origin_rules: tuple[TrafficRule, ...] = ()
    configuration_rules: tuple[TrafficRule, ...] = ()
    blind_monitors: tuple[tuple[LoadBalancer, Pool], ...] = ()
    unwarned: tuple[tuple[str, str], ...] = ()
    """Why Cloudflare would not warn whom `spec.alerts` names, and what helps."""
    remarks: tuple[Remark, ...] = ()
    """Of the origins."""
    direct: frozenset[str] = frozenset()
    """Hosts that answer, and not from Cloudflare's edge."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """Hosts that do not answer, and why."""
    unreached: tuple[str, ...] = ()
    """Replicas that do not answer here, and why."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at, and why, as whole sentences."""


def is_harmful(findings: Sequence[Finding]) -> bool:
    """Whether somebody has to act before hosts are required."""
    return any(one.weight in HARMFUL for one in findings)


def enumerated(names: Sequence[str], between: str = ", ") -> str:
    """The names, as many as a sentence bears."""
    shown, left = names[:MOST_NAMED], len(names) - MOST_NAMED
    return between.join(shown) + (f" and {left} more" if left > 0 else "")
