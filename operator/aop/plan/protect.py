"""PROTECT: the rules that keep visitors from being refused, asked before all others.

They look only at the cluster, the replicas, the edge and the clock, so that neither a lost token
nor a blocked spec hides them (docs/architecture.md#the-order-of-the-rules). There is one exception,
named where it is made: the zone stops presenting a leaf before it expires, if Cloudflare can be
read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import takewhile

from aop.observed import REFUSED, HoldOff, Observed, ObservedOrigin, ObservedZone, RejectedClaim
from aop.plan.answers import relax
from aop.plan.claims import claim_of, claim_without, digest, runs_our_claim, was_rejected
from aop.plan.facts import (
    anybody_refuses,
    arrives_with,
    configured,
    expires_within,
    held_off_until,
    in_scope,
    in_words,
    is_fresh,
    loses,
    loses_in_a_row,
    may_be_presented,
    newest_active,
    oddity,
    our_pins,
    refused_arrivals,
    replicas,
)
from aop.steps import Note, Publish, RollOut, SetEnabled, Step, Withdraw
from aop.terms import Claim, Mode

MOST_HOLD_OFFS = 32
"""How many hosts can be held off separately at the same time; the record remembers no more."""


HOUR_S, DAY_S = 3600.0, 86400.0


def rejected_text_is_withdrawn(o: Observed) -> Step | None:
    """No origin keeps configuration that its server rejects.

    If an origin's own words reject the text, it is rendered again without the claim that broke it.
    No claim's mode goes up.
    """
    for origin in o.origins:
        published = configured(origin)
        if not origin.rejected or published.claim is None or not published.intact:
            continue  # a text that somebody has reset is put back, not taken back: nobody could show its revision
        if not origin.capabilities.fails_rejected and _runs_everywhere(origin):
            continue  # ours is accepted: what others published on top of it is theirs to withdraw
        changed = published.accepted is None or digest(published.claim, "") != digest(
            published.accepted, ""
        )
        if not changed and published.others_changed:
            continue  # theirs to withdraw: their own loop does it
        if not origin.joint and not was_rejected(o, origin, published.claim):
            rejected = _rejected_once_more(
                o, origin, digest(published.claim, published.foreign_digest)
            )
            return Note(
                o.noting(rejected=rejected),
                f"origin {origin.name} rejects the operator's text in {origin.words.place}: {origin.rejected}",
            )
        return _last_accepted(o, origin, published.claim, published.accepted if changed else None)
    return None


def _runs_everywhere(origin: ObservedOrigin) -> bool:
    published = configured(origin)
    return bool(origin.replicas) and all(
        runs_our_claim(replica, published) for replica in replicas(origin)
    )


def _rejected_once_more(
    o: Observed, origin: ObservedOrigin, name: str
) -> tuple[RejectedClaim, ...]:
    """The rejections, with one more of this claim; those tried again long ago are dropped."""
    last = next((one for one in o.record.rejected if one.digest == name), None)
    times = last.times + 1 if last else 1
    first, longest = o.limits.rejection_pause_s, HOUR_S
    if origin.capabilities.fails_rejected:
        first, longest = o.limits.failing_pause_s, DAY_S
    pause = timedelta(seconds=min(first * 2 ** min(times - 1, 10), longest))
    others = (
        one
        for one in o.record.rejected
        if one.digest != name and o.wall - one.until < timedelta(days=1)
    )
    return (*others, RejectedClaim(name, times, o.wall, o.wall + pause))[-8:]


def _last_accepted(
    o: Observed, origin: ObservedOrigin, claim: Claim, accepted: Claim | None
) -> Step | None:
    """The mildest change that takes a rejected claim back.

    To its last accepted form if that is safe, else to Off, else to nothing of ours.
    """
    why = f"the origin rejected revision {configured(origin).revision}"
    trusts = accepted is not None and (
        accepted.mode < Mode.OPTIONAL or set(o.record.uploaded) <= set(accepted.pins)
    )
    if (
        accepted is not None
        and accepted.mode <= claim.mode
        and trusts
        and not was_rejected(o, origin, accepted)
    ):
        return Publish(origin.name, origin.target, accepted, why)
    off = claim_of(o, origin, Mode.OFF)
    if claim.mode > Mode.OFF and not was_rejected(o, origin, off):
        return Publish(origin.name, origin.target, off, why)
    return Withdraw(origin.name, origin.target)


def no_origin_refuses_the_edge(o: Observed) -> Step | None:
    """No origin refuses requests that come through the edge.

    A loss is evidence against us, and never the mere absence of proof. If trusting a leaf of ours
    cures it, the origin trusts that; otherwise it refuses nobody. A host that loses is relaxed
    alone. All hosts are relaxed only if the zone's certificate itself is not presented.
    """
    for origin in o.origins:
        claim = configured(origin).may_do
        if claim is None or claim.mode < Mode.REQUEST:
            continue
        if step := _refused_by_the_server(o, origin, claim) or lost(o, origin, claim):
            return step
        if claim.mode >= Mode.OPTIONAL and (step := _refused_by_replicas(o, origin, claim)):
            return step
    return None


def _refused_by_the_server(o: Observed, origin: ObservedOrigin, claim: Claim) -> Step | None:
    """The server's own refusal does not reach the visitors of any host.

    No claim causes it; asking does (an expired leaf; SNI and Host that differ). As long as some
    host arrives well, the zone's certificate is not what is refused. Asking cannot be ended for one
    host alone, so the refused host is named, and the others stay as they are. A host that bypasses
    the edge, or whose Ingress verifies by itself, says nothing about our asking.
    """
    losing = [
        host
        for host in origin.hosts
        if _speaks_for_us(o, origin, host) and loses(o, origin, host, {REFUSED})
    ]
    if not losing:
        return None
    required = [host for host in losing if host in claim.required]
    if not any(_arrives_well(o, claim, host) for host in claim.required):
        return _held_off(o) or relax(
            o,
            origin,
            Mode.OFF,
            f"the origin itself refuses what the edge presents to {', '.join(losing)}",
        )
    return (
        _relaxed(o, origin, claim, required, "the origin itself refuses what the edge presents")
        if required
        else None
    )


def _speaks_for_us(o: Observed, origin: ObservedOrigin, host: str) -> bool:
    """Whether the host's answers through the edge are those of our replicas.

    Only then do they follow from our text.
    """
    return not o.evidence_of(host).direct and oddity(origin, host) is None


def lost(o: Observed, origin: ObservedOrigin, claim: Claim) -> Step | None:
    """Required hosts whose requests are seen to be refused."""
    losing = [
        host
        for host in claim.required
        if loses(o, origin, host, refused_arrivals(origin, claim, host))
    ]
    if not losing:
        return None
    presented = o.evidence_of(losing[0]).presented
    why = (
        f"the edge presents {'changing certificates' if presented is None else in_words(presented)}"
    )
    if _certificate_is_not_presented(o, origin, claim, losing):
        return _held_off(o) or relax(o, origin, Mode.REQUEST, f"{why} to {', '.join(losing)}")
    return _relaxed(o, origin, claim, losing, why)


def _certificate_is_not_presented(
    o: Observed, origin: ObservedOrigin, claim: Claim, losing: list[str]
) -> bool:
    """Whether the whole zone loses, and not one host of it.

    Cloudflare says so; or several hosts lose, or begin to, and none has arrived well since. Among
    hundreds of hosts many were not asked since then, and what came before says nothing about what
    comes now.
    """
    if isinstance(o.zone, ObservedZone):
        newest = newest_active(o.zone)
        if not o.zone.enabled or newest is None or newest.pin not in claim.pins:
            return True
    others = {*origin.hosts, *claim.required} - set(losing)
    alone = len(losing) == 1 and not any(_begins_to_lose(o, origin, claim, host) for host in others)
    began = min(_began_to_lose_at(o, origin, claim, host) for host in losing)
    return not alone and not any(_arrives_well(o, claim, host, since=began) for host in others)


def _began_to_lose_at(o: Observed, origin: ObservedOrigin, claim: Claim, host: str) -> datetime:
    """When the losing began: the first of the losing answers in a row.

    If only a share of the answers loses, the first of the recent ones.
    """
    recent, refused = o.evidence_of(host).recent, refused_arrivals(origin, claim, host)
    run = list(takewhile(lambda arrival: arrival.presented in refused, reversed(recent)))
    return run[-1].at if loses_in_a_row(o, recent, refused) else recent[0].at


def _begins_to_lose(o: Observed, origin: ObservedOrigin, claim: Claim, host: str) -> bool:
    """Whether the host's last request came with something that the origin refuses there."""
    evidence = o.evidence_of(host)
    refused = refused_arrivals(origin, claim, host)
    return is_fresh(o, evidence) and any(
        arrival.presented in refused for arrival in evidence.recent[-1:]
    )


def _arrives_well(o: Observed, claim: Claim, host: str, *, since: datetime | None = None) -> bool:
    """Whether the host's requests were just seen to come with a leaf that the claim trusts.

    The last one did not come before `since`.
    """
    evidence = o.evidence_of(host)
    late = since is None or (evidence.last is not None and evidence.last >= since)
    return late and any(arrives_with(o, evidence, pin) for pin in claim.pins)


def _relaxed(
    o: Observed, origin: ObservedOrigin, claim: Claim, hosts: list[str], why: str
) -> Step | None:
    """Some hosts go back to Request; the others stay as they are."""
    less = claim_without(o, origin, claim, hosts)
    if was_rejected(o, origin, less):
        return _held_off(o) or relax(o, origin, Mode.REQUEST, f"{why} to {', '.join(hosts)}")
    return _held_off(o, *hosts) or Publish(
        origin.name, origin.target, less, f"{why} to {', '.join(hosts)}"
    )


def _refused_by_replicas(o: Observed, origin: ObservedOrigin, claim: Claim) -> Step | None:
    """No replica that runs the published revision refuses a leaf that Cloudflare may present."""
    uploaded = {pin.sha256 for pin in o.record.uploaded}
    refusing = {
        (behaviour.host, leaf)
        for replica in replicas(origin)
        if runs_our_claim(replica, configured(origin)) and replica.settled
        for behaviour in replica.hosts
        if behaviour.host in claim.required and not behaviour.own and not behaviour.odd
        for leaf in behaviour.refuses & uploaded
    }
    if not refusing:
        return None
    hosts, leaves = sorted({host for host, _ in refusing}), {leaf for _, leaf in refusing}
    mended = claim_of(o, origin, claim.mode, claim.enforced, {*claim.pins, *our_pins(o)})
    if not leaves <= {pin.sha256 for pin in claim.pins} and not was_rejected(o, origin, mended):
        return Publish(
            origin.name,
            origin.target,
            mended,
            "a replica refuses a leaf of this object that the edge may present",
        )
    return _relaxed(
        o,
        origin,
        claim,
        hosts,
        f"a replica refuses leaf {min(leaves)[:8]}, which the edge may present",
    )


def _held_off(o: Observed, *hosts: str) -> Step | None:
    """Before a relaxation, note that the next requirement waits, longer each time; no host: of all.

    A hold-off that ended a day ago is forgotten.

    The note stays small, because an annotation has to hold it. If many hosts lose at once, all are
    held off together; of the others, the one that ends first makes room.
    """
    new = [host for host in hosts or ("",) if held_off_until(o, host) is None]
    if not new:
        return None
    new = new if len(new) <= MOST_HOLD_OFFS else [""]
    before = {one.host: one for one in o.record.hold_offs if o.wall - one.since < timedelta(days=1)}
    noted = [
        _held_off_again(o, host, before[host].times + 1 if host in before else 1) for host in new
    ]
    others = sorted(
        (one for one in before.values() if one.host not in new),
        key=lambda one: one.until,
        reverse=True,
    )
    lasting = (*noted, *others[: MOST_HOLD_OFFS - len(noted)])
    until = max(one.until for one in noted)
    which = f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} not"
    if new == [""]:
        which = "no host is"
    return Note(
        o.noting(hold_offs=tuple(sorted(lasting, key=lambda one: one.host))),
        f"{which} required again before {until:%Y-%m-%d %H:%M:%S} UTC",
    )


def _held_off_again(o: Observed, host: str, times: int) -> HoldOff:
    """The hold-off of a host that is relaxed for the `times`th time."""
    pause = timedelta(seconds=min(o.limits.hold_off_s * 2 ** min(times - 1, 20), 86400.0))
    return HoldOff(times, o.wall, o.wall + pause, host)


def no_requirement_outlives_its_leaf(o: Observed) -> Step | None:
    """No origin requires a leaf that ends within 24 hours and has no proven successor.

    Then the zone presents nothing. In the last hour, and once the leaf has expired, the origins do
    not even ask.
    """
    presented = may_be_presented(o)
    if any(expires_within(pin, o.wall, o.limits.asking_margin_s) for pin in presented):
        asking = [one for one in o.origins if one.capabilities.refuses_expired]
        why = "Cloudflare may soon present an expired certificate, which the origin refuses even where it only asks for one"
        if step := _none_stricter(o, asking, Mode.OFF, why):
            return step
    if not any(expires_within(pin, o.wall, o.limits.expiry_margin_s) for pin in presented):
        return None
    why = "the certificate that Cloudflare presents is about to expire"
    if step := _none_stricter(o, o.origins, Mode.REQUEST, why):
        return step
    if isinstance(o.zone, ObservedZone) and o.zone.enabled and not anybody_refuses(o):
        newest = newest_active(o.zone)
        if newest and newest.ours and expires_within(newest.pin, o.wall, o.limits.expiry_margin_s):
            return SetEnabled(
                o.zone.id,
                enabled=False,
                why=f"leaf {newest.pin.short} is about to expire and no successor is proven",
            )
    return None


def _none_stricter(
    o: Observed, origins: Iterable[ObservedOrigin], to: Mode, why: str
) -> Step | None:
    """The first origin that may be stricter goes back to this mode."""
    for origin in origins:
        claim = configured(origin).may_do
        if claim and claim.mode > to and (step := relax(o, origin, to, why)):
            return step
    return None


def enforcement_is_not_exceeded(o: Observed) -> Step | None:
    """No origin is stricter than the spec asks, whatever else is blocked."""
    hosts = set(in_scope(o))
    for origin in o.origins:
        claim = configured(origin).may_do
        if claim is None or claim.mode is Mode.OFF:
            continue
        limit = o.spec.enforcement_mode if origin.wanted else Mode.OFF
        allowed = hosts | {wildcard.host for wildcard in origin.wildcards}
        enforced = (
            [
                host
                for host in claim.enforced
                if host in allowed or (origin.stale and host.startswith("*."))
            ]
            if o.spec.origins
            else []
        )
        mode = min(claim.mode, limit)
        if mode >= Mode.OPTIONAL and not enforced:
            mode = Mode.REQUEST
        less = claim_of(o, origin, mode, enforced)
        if (less.mode, less.enforced) != (claim.mode, claim.enforced):
            return Publish(origin.name, origin.target, less, "the spec asks for less")
    return None


def published_text_is_taken_up(o: Observed) -> Step | None:
    """Pods that read their configuration only when they start are replaced when it changes.

    This comes after everything that may still become milder, so that they are replaced only once.
    If nothing of ours is published, and nothing is to be put back, they start without it.
    """
    for origin in o.origins:
        rollout = origin.rollout
        if rollout and (not rollout.leaving or configured(origin).may_do is None):
            return RollOut(origin.name, origin.target, rollout)
    return None
