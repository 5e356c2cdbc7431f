"""What is measured of an object: the same `Observed` as for the decision, in numbers. Pure.

The runtime counts and shows; this module says what there is to count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from aop.api import ConditionType, Status
from aop.metrics.figures import Cause, ObjectFigures, OriginFigures, Undone
from aop.observed import Observed, ObservedKeyPair, ObservedOrigin, Unknown
from aop.plan import Rule
from aop.plan.claims import required_hosts
from aop.plan.facts import (
    configured,
    in_scope,
    our_pins,
    presented_by_us,
    replicas,
    running_hold_offs,
    verified,
)
from aop.plan.protect import (
    enforcement_is_not_exceeded,
    lost,
    no_origin_refuses_the_edge,
    no_requirement_outlives_its_leaf,
    rejected_text_is_withdrawn,
)
from aop.plan.qualify import claimant
from aop.status import enforcement_of, telling
from aop.steps import Issue, Publish, SetEnabled, Step, Upload
from aop.terms import Claim, Mode

UNKNOWN = "Unknown"
"""The mode of a replica that does not answer."""


CAUSES: tuple[tuple[Rule, Cause], ...] = (
    (rejected_text_is_withdrawn, Cause.REJECTION),
    (no_origin_refuses_the_edge, Cause.REFUSAL),
    (no_requirement_outlives_its_leaf, Cause.EXPIRY),
    (enforcement_is_not_exceeded, Cause.SPEC),
)


def figures(o: Observed, previous: Status) -> ObjectFigures:
    """All figures of one look.

    `previous` says about the certificate what Cloudflare does not say at present.
    """
    hosts, required = in_scope(o), required_hosts(o)
    enforcement = enforcement_of(o)
    validity = _validity(o, previous)
    return ObjectFigures(
        wanted=o.spec.enforcement_mode.value,
        enforcement=enforcement.value if enforcement is not None else None,
        hosts=len(hosts),
        required=len(required),
        unproven=sum(1 for host in hosts if not verified(o, host)) if claimant(o) is None else 0,
        hold_offs=len(running_hold_offs(o)),
        undone=max((origin.undone for origin in o.origins if origin.wanted), default=0),
        proven_at=_proven_at(o, required or hosts),
        begins_at=_seconds(validity.begins),
        expires_at=_seconds(validity.expires),
        renews_at=_seconds(validity.renews),
        origins=tuple(_origin(origin) for origin in o.origins if origin.wanted),
    )


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def _proven_at(o: Observed, hosts: tuple[str, ...]) -> float | None:
    """When the last of these hosts was seen to be proven; None unless all are."""
    if not hosts or not all(verified(o, host) for host in hosts):
        return None
    seen = [last for host in hosts if (last := o.evidence_of(host).last) is not None]
    return o.shown(min(seen)).timestamp()


@dataclass(frozen=True, slots=True)
class _Validity:
    """The validity of what the zone presents; None is what is not known."""

    begins: datetime | None = None
    expires: datetime | None = None
    renews: datetime | None = None
    """When its successor is due."""


def _validity(o: Observed, previous: Status) -> _Validity:
    """The validity; while Cloudflare cannot be read, that of what it last showed."""
    if claimant(o) is not None:
        return _Validity()
    if isinstance(o.zone, Unknown):
        before = previous.certificate
        if before is None:
            return _Validity()
        pin = next((one for one in our_pins(o) if one.sha256 == before.fingerprint), None)
        return _Validity(pin.not_before if pin else None, before.not_after, before.renewal_time)
    presented = presented_by_us(o)
    if presented is None:
        return _Validity()
    pin, pair = presented.pin, o.key_pair
    renews = (
        pair.renewal_at
        if isinstance(pair, ObservedKeyPair) and pin in {pair.leaf, pair.next}
        else None
    )
    return _Validity(pin.not_before, pin.not_after, renews)


def _origin(origin: ObservedOrigin) -> OriginFigures:
    modes = Counter(one.strictest.label for one in telling(origin))
    modes[UNKNOWN] = sum(1 for one in replicas(origin) if one.error)
    running = [one.revision for one in replicas(origin) if one.revision is not None]
    words = (*(mode.label for mode in Mode), UNKNOWN)
    lag = max(0, configured(origin).revision - min(running)) if running else None
    return OriginFigures(origin.name, {word: modes[word] for word in words}, lag)


def relaxation(o: Observed, step: Step) -> Cause | None:
    """Why the step lets somebody pass who was refused; None if it does not."""
    if not isinstance(step, Publish):
        return None
    origin = next((one for one in o.origins if one.target == step.target), None)
    before = configured(origin).may_do if origin else None
    if origin is None or before is None or not _milder(step.claim, before):
        return None
    if lost(o, origin, before) == step:
        return Cause.LOSS
    return next((cause for rule, cause in CAUSES if rule(o) == step), None)


def _milder(claim: Claim, before: Claim) -> bool:
    return claim.mode < before.mode or not set(before.enforced) <= set(claim.enforced)


def undone(o: Observed, step: Step, previous: Status) -> Undone | None:
    """What the step does again because somebody has undone it; None if it does something new.

    `previous` says what was so before. What no status has said yet, as in the first minute of an
    object, was not undone.
    """
    match step:
        case SetEnabled(enabled=True) if _was_true(previous, ConditionType.ZONE_ENABLED):
            return Undone.ZONE
        case Upload(pin=pin) if _presented(previous) == pin.sha256:
            return Undone.CERTIFICATE
        case Issue(slot="first") if o.record.uploaded:
            return Undone.KEY_PAIR
    return None


def _was_true(previous: Status, kind: ConditionType) -> bool:
    condition = previous.condition(kind)
    return condition is not None and condition.status == "True"


def _presented(previous: Status) -> str | None:
    deployed = _was_true(previous, ConditionType.CERTIFICATE_DEPLOYED)
    return previous.certificate.fingerprint if previous.certificate and deployed else None
