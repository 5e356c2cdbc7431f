"""PROTECT: the rules that keep visitors from being refused, asked before all others.

They look only at the cluster, the replicas, the edge and the clock, so that neither a lost token nor a blocked spec hides them
(design, section 3). One exception is named where it stands: presenting stops before a leaf expires, if Cloudflare can be read.
"""

from __future__ import annotations

from datetime import timedelta

from aop.observed import REFUSED, HoldOff, Observed, ObservedOrigin, ObservedZone
from aop.origins import Claim, Mode
from aop.plan.facts import (
    anybody_refuses,
    claim_of,
    configured,
    digest,
    expires_within,
    in_scope,
    loses,
    may_be_presented,
    newest_active,
    our_pins,
    refused_arrivals,
    relax,
    replicas,
    runs_our_claim,
    was_rejected,
)
from aop.steps import Note, Publish, SetEnabled, Step, Withdraw


def rejected_text_is_withdrawn(o: Observed) -> Step | None:
    """A text that the replicas reject is rendered again without the claim that broke it; no claim's mode goes up."""
    for origin in o.origins:
        found = configured(origin)
        if not origin.rejected or found.claim is None or not found.intact:
            continue  # a text that somebody has reset is put back, not taken back: nobody could show its revision
        if origin.replicas and all(runs_our_claim(replica, found) for replica in replicas(origin)):
            continue  # ours is accepted: what others published on top of it is theirs to withdraw
        changed = found.accepted is None or digest(found.claim, "") != digest(found.accepted, "")
        if not changed and found.others_changed:
            continue  # theirs to withdraw: their own loop does it
        if not was_rejected(o, origin, found.claim):
            rejected = (*o.record.rejected, digest(found.claim, found.foreign_digest))[-8:]
            return Note(o.noting(rejected=rejected), f"the controller of ConfigMap {origin.target} rejects our text: {origin.rejected}")
        return last_accepted(o, origin, found.claim, found.accepted if changed else None)
    return None


def last_accepted(o: Observed, origin: ObservedOrigin, claim: Claim, accepted: Claim | None) -> Step | None:
    """The mildest change that takes a rejected claim back: its last accepted form if that is safe, else Off, else nothing of ours."""
    why = f"the controller rejected revision {configured(origin).revision}"
    trusts = accepted is not None and (accepted.mode < Mode.OPTIONAL or set(o.record.uploaded) <= set(accepted.pins))
    if accepted is not None and accepted.mode <= claim.mode and trusts and not was_rejected(o, origin, accepted):
        return Publish(origin.name, origin.target, accepted, why)
    off = claim_of(o, origin, Mode.OFF)
    if claim.mode > Mode.OFF and not was_rejected(o, origin, off):
        return Publish(origin.name, origin.target, off, why)
    return Withdraw(origin.name, origin.target)


def no_origin_refuses_the_edge(o: Observed) -> Step | None:
    """Loss is evidence against us, never the mere absence of proof: trust what is ours where that mends it, else refuse nobody."""
    for origin in o.origins:
        claim = configured(origin).claim
        if claim is None or claim.mode < Mode.REQUEST:
            continue
        if asked := [host for host in origin.hosts if loses(o, host, {REFUSED})]:
            return held_off(o) or relax(o, origin, Mode.OFF, f"the origin itself refuses what the edge presents to {', '.join(asked)}")
        if lost := [host for host in claim.enforced if loses(o, host, refused_arrivals(origin, claim, host))]:
            presented = o.evidence_of(lost[0]).presented
            return held_off(o) or relax(
                o, origin, Mode.REQUEST, f"the edge presents {presented or 'changing certificates'} to {', '.join(lost)}"
            )
        if claim.mode >= Mode.OPTIONAL and (step := refused_by_replicas(o, origin, claim)):
            return step
    return None


def refused_by_replicas(o: Observed, origin: ObservedOrigin, claim: Claim) -> Step | None:
    """A replica that runs the published revision and refuses a leaf that Cloudflare may present."""
    pins = our_pins(o)
    uploaded = {pin.sha256 for pin in o.record.uploaded}
    refusing = {
        leaf
        for replica in replicas(origin)
        if runs_our_claim(replica, configured(origin)) and replica.settled
        for behaviour in replica.hosts
        if behaviour.host in claim.enforced
        for leaf in behaviour.refuses & uploaded
    }
    if not refusing:
        return None
    mended = claim_of(o, origin, claim.mode, claim.enforced, {*claim.pins, *pins})
    if not refusing <= {pin.sha256 for pin in claim.pins} and not was_rejected(o, origin, mended):
        return Publish(origin.name, origin.target, mended, "a replica refuses a leaf of ours that the edge may present")
    return held_off(o) or relax(o, origin, Mode.REQUEST, f"a replica refuses our own leaf {min(refusing)[:8]}")


def held_off(o: Observed) -> Step | None:
    """Before a relaxation, note that the next requirement waits, longer each time; what was a day ago is forgotten."""
    last = o.record.hold_off
    if last and o.now < last.until:
        return None
    times = last.times + 1 if last and o.now - last.since < timedelta(days=1) else 1
    until = o.now + timedelta(seconds=min(o.limits.hold_off_s * 2 ** (times - 1), 86400.0))
    return Note(o.noting(hold_off=HoldOff(times, o.now, until)), f"nothing is required again before {until:%Y-%m-%d %H:%M:%S} UTC")


def no_requirement_outlives_its_leaf(o: Observed) -> Step | None:
    """24 h before the presented leaf ends and no successor is proven: refuse nobody, then present nothing; expired: do not even ask."""
    presented = may_be_presented(o)
    if any(expires_within(pin, o.now, 60.0) for pin in presented):
        for origin in o.origins:
            claim = configured(origin).claim
            if (
                claim
                and claim.mode >= Mode.REQUEST
                and (step := relax(o, origin, Mode.OFF, "an expired certificate may be presented, and asking refuses it"))
            ):
                return step
    if not any(expires_within(pin, o.now, o.limits.expiry_margin_s) for pin in presented):
        return None
    for origin in o.origins:
        claim = configured(origin).claim
        if (
            claim
            and claim.mode >= Mode.OPTIONAL
            and (step := relax(o, origin, Mode.REQUEST, "the presented certificate is about to expire"))
        ):
            return step
    if isinstance(o.zone, ObservedZone) and o.zone.enabled and not anybody_refuses(o):
        newest = newest_active(o.zone)
        if newest and newest.ours and expires_within(newest.pin, o.now, o.limits.expiry_margin_s):
            return SetEnabled(o.zone.id, enabled=False, why=f"leaf {newest.pin.short} is about to expire and no successor is proven")
    return None


def enforcement_is_not_exceeded(o: Observed) -> Step | None:
    """The spec asks for less: the origin gets less, whatever else is blocked."""
    hosts = set(in_scope(o))
    for origin in o.origins:
        claim = configured(origin).claim
        if claim is None or claim.mode is Mode.OFF:
            continue
        limit = o.spec.enforcement_mode if origin.wanted else Mode.OFF
        enforced = [host for host in claim.enforced if host in hosts] if o.spec.origins else []
        mode = min(claim.mode, limit)
        if mode >= Mode.OPTIONAL and not enforced:
            mode = Mode.REQUEST
        less = claim_of(o, origin, mode, enforced)
        if (less.mode, less.enforced) != (claim.mode, claim.enforced):
            return Publish(origin.name, origin.target, less, "the spec asks for less")
    return None
