"""The answers that several rules give: to publish a claim, to end sessions, to wait for a fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from aop.errors import Reason
from aop.observed import (
    Observed,
    ObservedOrigin,
    Unknown,
)
from aop.plan.claims import claim_of, digest, runs_everywhere, was_rejected
from aop.plan.facts import configured, held_off_until
from aop.steps import Block, Note, Publish, Step, Wait
from aop.terms import Claim, Mode, Pin


def publish(o: Observed, origin: ObservedOrigin, claim: Claim, why: str) -> Step:
    """Publish the claim, once the record names the origin.

    A text that was rejected before is not published again until it has been accepted.
    """
    if was_rejected(o, origin, claim) and not runs_everywhere(origin, claim):
        name = digest(claim, configured(origin).foreign_digest)
        again = max(one.until for one in o.record.rejected if one.digest == name)
        return Block(
            Reason.TEXT_REJECTED,
            f"Origin {origin.name} rejected the operator's configuration for mode {claim.mode.label} in {origin.words.place}. The operator tries it again "
            f"at {again:%H:%M:%S} UTC, and at once when spec.hostnames, the certificate or the text around the operator's changes. {origin.words.rejected}",
        )
    if origin.next_write_at is not None and origin.next_write_at > o.now:
        return Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"The operator writes into {origin.words.place} for several objects at once, so that the replicas reload less often. This object's change "
            f"goes out as soon as they run the last one, and at {o.shown(origin.next_write_at):%H:%M:%S} UTC at the latest",
            max(0.1, (origin.next_write_at - o.now).total_seconds()),
            turn=origin.target,
        )
    if origin.target not in o.record.claimed:
        return Note(
            o.noting(claimed=tuple(sorted({*o.record.claimed, origin.target}))),
            f"{origin.words.place} is about to hold configuration for this object",
        )
    return Publish(origin.name, origin.target, claim, why)


def relax(o: Observed, origin: ObservedOrigin, to: Mode, why: str) -> Step | None:
    """Publish something milder at once.

    If that was rejected before, take the next milder one; the mildest is always tried.
    """
    current = configured(origin).may_do
    for mode in (m for m in (Mode.REQUEST, Mode.OFF) if m <= to):
        claim = claim_of(o, origin, mode)
        if (
            current
            and current.mode > mode
            and (mode is Mode.OFF or not was_rejected(o, origin, claim))
        ):
            return Publish(origin.name, origin.target, claim, why)
    return None


def flush(o: Observed, leaf: Pin) -> Step | None:
    """Publish the same text under a new revision if only old sessions keep `leaf` from being seen.

    Otherwise they would hold it back forever. A flush costs every replica a reload, and whoever
    forges answers on their own host could cause one after the other, so there are at most three an
    hour. Each is noted first.
    """
    for origin in o.origins:
        claim = configured(origin).claim
        waiting = [host for host in origin.hosts if held_off_until(o, host) is None]
        held_back = [
            host for host in waiting if old_sessions_hold_back(o, origin, host, leaf.sha256)
        ]
        if not (origin.wanted and claim and held_back and origin.capabilities.ends_sessions):
            continue
        noted = max(flushes_of_the_hour(o), default=None)
        if (
            noted is not None
            and origin.applied_at is not None
            and o.steady(noted) > origin.applied_at
        ):
            why = f"only connections and TLS sessions from before the switch come to {', '.join(held_back)} without leaf {leaf.short}"
            return publish(o, origin, replace(claim, flush_count=claim.flush_count + 1), why)
        if not flushes_used_up(o):
            flushes = (*flushes_of_the_hour(o), o.wall)
            return Note(
                o.noting(flushes=flushes),
                f"old TLS sessions are about to be ended (number {len(flushes)} within the hour)",
            )
    return None


def flushes_of_the_hour(o: Observed) -> tuple[datetime, ...]:
    """When old sessions were ended within the last hour.

    What was noted while the clock was ahead does not count; the record rounds up to seconds.
    """
    second, hour = timedelta(seconds=1), timedelta(hours=1)
    return tuple(moment for moment in o.record.flushes if -second <= o.wall - moment < hour)


def flushes_used_up(o: Observed) -> bool:
    """Whether old sessions have been ended as often as an hour allows."""
    return len(flushes_of_the_hour(o)) >= o.limits.flushes_per_hour


def old_sessions_hold_back(o: Observed, origin: ObservedOrigin, host: str, leaf: str) -> bool:
    """Whether only old sessions come without the leaf.

    New handshakes come with it, or there was none for a whole window.
    """
    evidence = o.evidence_of(host)
    if evidence.direct or evidence.presented in {None, leaf} or evidence.last is None:
        return False
    if origin.applied_at is None or evidence.last <= origin.applied_at:
        return False  # the last flush is still to show its effect
    if evidence.old_since is None:
        return False
    nothing_new_since = max(evidence.old_since, origin.applied_at)
    return (
        evidence.fresh is not None and evidence.fresh.presented == leaf
    ) or o.now - nothing_new_since >= o.window


def nobody_is_refused_by_others(o: Observed, origin: ObservedOrigin) -> Block | None:
    """Block if our certificate would make a request fail that succeeds today; else None.

    Asked before the zone is enabled. A host whose requests do not meet the edge is not affected by
    what the zone presents.
    """
    displaced = [one for one in origin.displaced if not o.evidence_of(one.host).direct]
    if not displaced:
        return None
    first = displaced[0]
    return Block(
        Reason.FOREIGN_CONFIGURATION,
        f"{', '.join(one.host for one in displaced[:5])} would refuse the certificate as soon as the zone presents it: {first.why}. "
        "Or accept that, and leave the host out of spec.hostnames",
    )


def unknown(what: str, fact: Unknown, waiting: Reason, seconds: float = 5.0) -> Wait | Block:
    """The answer of a rule that needs a fact which could not be looked up."""
    if fact.reason is not None:
        return Block(fact.reason, fact.message)
    return Wait(waiting, f"{what}: {fact.message}", fact.retry_after_s or seconds)
