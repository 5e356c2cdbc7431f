"""What the rules would do, step after step, if every step has its effect.

It asks the operator's own rules (`aop.plan`), and imagines the effect of each step: an origin runs
what is published, Cloudflare deploys what is uploaded, the edge presents it, and hosts that do not
bypass the edge are proven by waiting. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

from aop.observed import (
    NONE,
    CertificateState,
    Configured,
    Evidence,
    HostBehaviour,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
)
from aop.plan import PROTECT, RULES, TEARDOWN, Rule
from aop.plan.facts import in_scope, newest_active
from aop.steps import (
    Block,
    Delete,
    Done,
    Issue,
    Note,
    Pause,
    Promote,
    Publish,
    RollOut,
    SetEnabled,
    Step,
    Upload,
    Wait,
    Withdraw,
)
from aop.terms import Claim, Mode, Pin

MOST_STEPS = 40
"""More than any rollout has."""
NEW_LEAF = "0" * 64
"""The digest of a leaf that is still to be made: no SHA-256 that anybody has seen."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One step, and the rule that asks for it; None: the truths of all rules hold."""

    rule: Rule | None
    step: Step

    @property
    def why(self) -> str:
        """The truth that the step establishes, in the rule's own words."""
        if self.rule is None:
            return ""
        first = (self.rule.__doc__ or "").replace("*", "").strip().splitlines()
        return f"{self.rule.__name__}: {first[0].rstrip('.')}" if first else self.rule.__name__

    def __str__(self) -> str:
        short = NEW_LEAF[:8]
        return str(self.step).replace(f"leaf {short}", "the new leaf").replace(short, "the new one")


def foreseen(o: Observed) -> Iterator[Foreseen]:
    """The next step and those after it, up to the first that only time or a person can end."""
    before: Step | None = None
    for _ in range(MOST_STEPS):
        one = _next(o)
        if one.step == before:
            return
        yield one
        if isinstance(one.step, Block | Done):
            return
        before, o = one.step, after(o, one.step)


def _next(o: Observed) -> Foreseen:
    for rule in (*PROTECT, *(TEARDOWN if o.object.deleting else RULES)):
        if step := rule(o):
            return Foreseen(rule, step)
    return Foreseen(None, Done())


def after(o: Observed, step: Step) -> Observed:
    """The world after a step has had its effect."""
    match step:
        case Note():
            return replace(o, object=replace(o.object, record=step.record))
        case Wait() | Block() | Done():
            return _awaited(o, step)
        case Issue() | Promote():
            return replace(o, key_pair=_keys(o, step))
        case Publish():
            return _heard(_with_origin(o, step, step.claim))
        case Withdraw():
            return _heard(_with_origin(o, step, None))
        case RollOut():
            taken_up = tuple(
                _running(o, one) if one.target == step.target else one for one in o.origins
            )
            return _heard(replace(o, origins=taken_up))
        case Upload() | Delete() | SetEnabled():
            if not isinstance(o.zone, ObservedZone):
                return o
            return _heard(replace(o, zone=_changed(o, o.zone, step)))
        case _:
            assert_never(step)


def _keys(o: Observed, step: Issue | Promote) -> ObservedKeyPair:
    if isinstance(step, Promote):
        return ObservedKeyPair(step.pin, renewal_at=o.wall + 30 * DAY)
    generate = o.spec.certificate.generate
    lasts = generate.leaf_lifetime if generate else DAY
    made = Pin(NEW_LEAF, NEW_LEAF[:40], o.wall - timedelta(hours=1), o.wall + lasts)
    if step.slot == "next" and isinstance(o.key_pair, ObservedKeyPair):
        return replace(o.key_pair, next=made)
    return ObservedKeyPair(made, renewal_at=made.not_after - 30 * DAY)


def _changed(o: Observed, zone: ObservedZone, step: Upload | Delete | SetEnabled) -> ObservedZone:
    match step:
        case SetEnabled():
            return replace(zone, enabled=step.enabled)
        case Delete():
            rest = tuple(one for one in zone.certificates if one.id != step.certificate_id)
            return replace(zone, certificates=rest)
        case Upload():
            uploaded = ObservedCertificate(
                "new", step.pin, CertificateState.ACTIVE, o.wall, ours=True, status="active"
            )
            return replace(zone, certificates=(*zone.certificates, uploaded))


def _with_origin(o: Observed, step: Publish | Withdraw, claim: Claim | None) -> Observed:
    return replace(
        o,
        origins=tuple(
            _publishing(o, origin, claim) if origin.target == step.target else origin
            for origin in o.origins
        ),
    )


def _publishing(o: Observed, origin: ObservedOrigin, claim: Claim | None) -> ObservedOrigin:
    """The origin with that claim published.

    Every replica was seen to run it, or has to be replaced first.
    """
    before = origin.configured if isinstance(origin.configured, Configured) else Configured()
    published = Configured(
        revision=before.revision + 1,
        claim=claim,
        accepted=claim,
        foreign_digest=before.foreign_digest,
    )
    later = replace(origin, configured=published, published_at=o.now, next_write_at=None)
    if origin.next_rollout is None:
        return _running(o, later)
    return replace(later, rollout=origin.next_rollout, applied_at=None)


def _running(o: Observed, origin: ObservedOrigin) -> ObservedOrigin:
    """The origin with every replica seen to run what is published."""
    published, replicas = origin.configured, origin.replicas
    if isinstance(published, Configured) and isinstance(replicas, tuple):
        replicas = tuple(runs(one, published, origin.hosts) for one in replicas)
    return replace(origin, replicas=replicas, rollout=None, applied_at=o.now)


def runs(
    replica: ObservedReplica, published: Configured, hosts: tuple[str, ...]
) -> ObservedReplica:
    """The replica doing what is published."""
    claim = published.claim
    pins = frozenset(pin.sha256 for pin in claim.pins) if claim else frozenset()
    return replace(
        replica,
        revision=published.revision if claim else None,
        settled=True,
        error=None,
        hosts=tuple(
            HostBehaviour(host, claim.at(host) if claim else Mode.OFF, accepts=pins)
            for host in hosts
        ),
    )


# --- the edge -------------------------------------------------------------------------------------


def _presented(o: Observed) -> str:
    """What the edge presents, according to Cloudflare."""
    newest = newest_active(o.zone) if isinstance(o.zone, ObservedZone) else None
    enabled = isinstance(o.zone, ObservedZone) and o.zone.enabled
    return newest.pin.sha256 if newest and enabled else NONE


def _heard(o: Observed) -> Observed:
    """Each host that does not bypass the edge has answered once with what the edge presents now."""
    return _arriving(o, 1, timedelta())


def _awaited(o: Observed, step: Pause) -> Observed:
    """The world after a wait: a whole window has passed, and whatever else was awaited."""
    passed = max(o.window, timedelta(seconds=step.seconds if isinstance(step, Wait) else 0.0))
    later = replace(o, now=o.now + passed, still=True)
    return _arriving(later, o.limits.proof_answers, o.window)


def _arriving(o: Observed, count: int, covered: timedelta) -> Observed:
    presented = _presented(o)

    def of(host: str) -> Evidence:
        before = o.evidence_of(host)
        if before.direct:
            return replace(before, last=o.now) if before.last else before
        if before.presented == presented and before.count >= count:
            return replace(before, last=o.now, silence=None, silent_since=None)
        return Evidence(host, presented, count, o.now - covered, covered, o.now)

    return replace(o, evidence=tuple(of(host) for host in in_scope(o)))
