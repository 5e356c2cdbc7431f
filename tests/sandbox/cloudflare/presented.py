"""Which certificate the edge presents to the origin for a host.

Pure; facts: cloudflare#precedence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sandbox.cloudflare.certificates import Certificate, KeyPair, Status
from sandbox.cloudflare.state import State, StoredZone


@dataclass(frozen=True, slots=True)
class Presented:
    """A certificate and on whose account it is presented; "nothing" has neither."""

    level: Literal["hostname", "zone", "global", "override", "none"]
    pair: KeyPair | None = None


NOTHING = Presented("none")


def presented(state: State, zone: StoredZone, hostname: str, moment: float) -> Presented:
    """What a new connection for `hostname` presents where the state of `moment` is known.

    Expired certificates are presented like any other. DNS-only names, and the SSL modes that speak
    plain HTTP, present nothing.
    """
    if not zone.serves(hostname) or zone.ssl.effective.at(moment) in {"off", "flexible"}:
        return NOTHING
    association = zone.associations.get(hostname)
    choice = association.enabled.at(moment) if association else None
    if choice is False:
        return NOTHING
    if association and choice:
        own = zone.hostname_certificates.get(association.certificate_id)
        if own and own.status.at(moment) is Status.ACTIVE:
            return Presented("hostname", own.pair)
    return _of_the_zone(state, zone, moment)


def _of_the_zone(state: State, zone: StoredZone, moment: float) -> Presented:
    enabled = zone.enabled.at(moment)
    certificate = _newest_deployed(state, zone, moment) if enabled else None
    if certificate:
        return Presented("zone", certificate.pair)
    if zone.global_aop.effective.at(moment) == "on" and not (
        enabled and state.knobs.enabled_without_certificate == "none"
    ):
        return Presented("global", state.shared)
    return NOTHING


def _newest_deployed(state: State, zone: StoredZone, moment: float) -> Certificate | None:
    """Not the newest uploaded: whichever became active last."""
    ever = [one for one in zone.certificates.values() if one.deployed(moment) is not None]
    if state.knobs.after_newest_deleted == "older":
        ever = [one for one in ever if one.status.at(moment) is Status.ACTIVE]
    newest = max(ever, key=lambda one: one.deployed(moment) or -math.inf, default=None)
    return newest if newest and newest.status.at(moment) is Status.ACTIVE else None
