"""The questions that several rules ask, and the two answers that several rules give.

They decide nothing by themselves: a question reads `Observed`, an answer builds a `Step`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import takewhile

from aop.errors import Reason
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Arrival,
    CertificateState,
    Configured,
    Evidence,
    HoldOff,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Unknown,
)
from aop.steps import Block, Note, Publish, Step, Wait
from aop.terms import Claim, Mode, Pin, covers

CUT_OFF = "Let the operator reach each pod that does not answer, or delete that pod"
"""What helps where a pod may serve visitors and cannot be asked."""
SOON_S = 2.0
"""When to look again at what finishes within seconds."""

# --- leaves ---------------------------------------------------------------------------------------


def wanted_leaf(o: Observed) -> Pin | None:
    """The leaf that the zone shall present: the next one during a rotation, else the one in use."""
    return (o.key_pair.next or o.key_pair.leaf) if isinstance(o.key_pair, ObservedKeyPair) else None


def ours_listed(o: Observed) -> tuple[ObservedCertificate, ...]:
    """What Cloudflare lists and we brought there: issued by us, or named by the record.

    What was there before us stays out.
    """
    issued = o.spec.certificate.generate is not None
    listed = o.zone.certificates if isinstance(o.zone, ObservedZone) else ()
    return tuple(
        c
        for c in listed
        if c.ours and not was_there_before(o, c) and (issued or c.pin in o.record.uploaded)
    )


def was_there_before(o: Observed, certificate: ObservedCertificate) -> bool:
    """The record says that this certificate was found on the zone."""
    return o.record.baseline is not None and certificate.id in o.record.baseline.foreign


def our_pins(o: Observed) -> tuple[Pin, ...]:
    """What Cloudflare may present by our doing, and what it will get; sorted."""
    secret_pins = (
        (o.key_pair.leaf, o.key_pair.next) if isinstance(o.key_pair, ObservedKeyPair) else ()
    )
    named = (*secret_pins, *o.record.uploaded, *(c.pin for c in ours_listed(o)))
    pins = {pin.sha256: pin for pin in named if pin}
    # The record has digests alone.
    leaves = {pin.sha256: pin.der for pin in named if pin and pin.der}
    return tuple(sorted(pin.with_leaf_of(leaves) for pin in pins.values()))


def _with_leaves(o: Observed, pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """The pins, with each leaf that is known; sorted.

    Some servers compare nothing but the leaf itself.
    """
    leaves = {pin.sha256: pin.der for pin in our_pins(o) if pin.der}
    return tuple(sorted(pin.with_leaf_of(leaves) for pin in pins))


def newest_active(zone: ObservedZone) -> ObservedCertificate | None:
    """What the zone presents when it is enabled.

    The last deployed (facts: cloudflare#newest-deployed).
    """
    return next(
        (c for c in reversed(zone.certificates) if c.state is CertificateState.ACTIVE), None
    )


def presented_by_us(o: Observed) -> ObservedCertificate | None:
    """The certificate of ours that the zone presents; None: another's, nothing, or nobody knows."""
    if not isinstance(o.zone, ObservedZone) or not o.zone.enabled:
        return None
    newest = newest_active(o.zone)
    return newest if newest is not None and newest.ours else None


def certificate_with(zone: ObservedZone, pin: Pin) -> ObservedCertificate | None:
    """The certificate with this fingerprint, if Cloudflare holds it."""
    return next((c for c in zone.certificates if c.pin.sha256 == pin.sha256), None)


def working_on(certificate: ObservedCertificate) -> str:
    """What Cloudflare does with a certificate that is on its way: "deploying", say."""
    return "deleting" if certificate.state is CertificateState.DELETING else "deploying"


def expires_within(pin: Pin, now: datetime, seconds: float) -> bool:
    """Whether the leaf is outside its validity, or will be that soon."""
    return pin.not_after <= now + timedelta(seconds=seconds) or pin.not_before > now


def leaf_of_record(o: Observed) -> Pin | None:
    """The wanted leaf; while the key pair cannot be read, what the zone presents of ours.

    For what is told alone: no rule goes on without a key pair.
    """
    presented = presented_by_us(o)
    if isinstance(o.key_pair, Unknown) and presented is not None:
        return presented.pin
    return wanted_leaf(o)


def may_be_presented(o: Observed) -> tuple[Pin, ...]:
    """Ours that the edge may present now.

    All that were ever uploaded, unless every host was just seen with the wanted one.
    """
    wanted, hosts = wanted_leaf(o), in_scope(o)
    if wanted and hosts and all(proven(o, host) for host in hosts):
        return (wanted,)
    return o.record.uploaded


# --- hosts and proof ------------------------------------------------------------------------------


def in_scope(o: Observed) -> tuple[str, ...]:
    """Every concrete host that may be required, over all origins; sorted."""
    return tuple(sorted({host for origin in o.origins if origin.wanted for host in origin.hosts}))


def proven(o: Observed, host: str) -> bool:
    """A whole, fresh window of requests through the edge that came with the wanted leaf.

    None of them came with anything else; silences do not count.
    """
    wanted, evidence = wanted_leaf(o), o.evidence_of(host)
    return wanted is not None and arrives_with(o, evidence, wanted) and whole_window(o, evidence)


def verified(o: Observed, host: str) -> bool:
    """As `proven`, with what the zone presents now: it stays so while a successor is on its way.

    For what is told alone. While nobody knows what the zone presents, any leaf of ours will do.
    """
    presented, evidence = presented_by_us(o), o.evidence_of(host)
    leaves = (presented.pin,) if presented is not None else our_pins(o)
    return whole_window(o, evidence) and any(arrives_with(o, evidence, leaf) for leaf in leaves)


def arrives_with(o: Observed, evidence: Evidence, leaf: Pin) -> bool:
    """The host's requests come with this leaf through the edge, the last one just now."""
    return not evidence.direct and evidence.presented == leaf.sha256 and is_fresh(o, evidence)


def in_words(presented: str) -> str:
    """What requests present, for a sentence."""
    return {
        NONE: "no certificate",
        OTHER: "another certificate",
        REFUSED: "something that the origin's server itself refuses",
    }.get(presented, f"leaf {presented[:8]}")


def is_fresh(o: Observed, evidence: Evidence) -> bool:
    """The last arrival is young enough to say what comes now."""
    return evidence.last is not None and o.now - evidence.last <= timedelta(
        seconds=o.limits.stale_after_s
    )


def whole_window(o: Observed, evidence: Evidence) -> bool:
    """Equal arrivals, enough of them, spread over the window.

    No gap between them hides what came in between.
    """
    return evidence.count >= o.limits.proof_answers and evidence.covered >= o.window


def loses(o: Observed, origin: ObservedOrigin, host: str, losing: Iterable[str]) -> bool:
    """What `host` comes with is refused.

    Its last answers in a row, or a share of the recent ones, came with something of `losing`. A
    share is one of what arrived since every replica does what is published, or since it was
    published while one does not: nobody was refused for what came before.
    """
    bad, recent = frozenset(losing), o.evidence_of(host).recent
    begun = origin.applied_at or origin.published_at
    since = [arrival for arrival in recent if begun is not None and arrival.at >= begun]
    return loses_in_a_row(o, recent, bad) or _loses_a_share(o, since, bad)


def loses_in_a_row(o: Observed, recent: Sequence[Arrival], losing: frozenset[str]) -> bool:
    """At least three answers over at least ten seconds, and no other in between."""
    run = [
        arrival.at
        for arrival in takewhile(lambda arrival: arrival.presented in losing, reversed(recent))
    ]
    return len(run) >= o.limits.loss_answers and run[0] - run[-1] >= timedelta(
        seconds=o.limits.loss_spread_s
    )


def _loses_a_share(o: Observed, recent: Sequence[Arrival], losing: frozenset[str]) -> bool:
    """One replica of several refuses, or one location of the edge presents something else.

    A part of the visitors is refused.
    """
    bad = [arrival.at for arrival in recent if arrival.presented in losing]
    if len(bad) < o.limits.loss_share_answers or len(bad) < o.limits.loss_share * len(recent):
        return False
    lasting = bad[-1] - bad[0] >= timedelta(seconds=o.limits.loss_share_s)
    return lasting and o.now - bad[-1] <= timedelta(seconds=o.limits.stale_after_s)


def refused_arrivals(origin: ObservedOrigin, claim: Claim, host: str) -> frozenset[str]:
    """What is refused by our doing when it arrives for `host` under this claim.

    The server's own refusal is not, where somebody else answers or verifies: relaxing would help
    nobody there, and the host is named.
    """
    by_asking = {REFUSED} if oddity(origin, host) is None else set()
    at = claim.at(host)
    if at < Mode.OPTIONAL:
        return frozenset(by_asking)
    pinned = {
        leaf
        for replica in replicas(origin)
        if (b := replica.seen(host)) and not b.own and not b.odd
        for leaf in b.refuses
    }
    return frozenset({OTHER, *by_asking, *pinned} | ({NONE} if at is Mode.REQUIRE else set()))


def held_off_until(o: Observed, host: str) -> datetime | None:
    """Until when the host is not required again; None: it may be."""
    return max((one.until for one in running_hold_offs(o) if one.host in {"", host}), default=None)


def running_hold_offs(o: Observed) -> tuple[HoldOff, ...]:
    """The hold-offs that are not over."""
    return tuple(one for one in o.record.hold_offs if one.holds_at(o.wall))


# --- hosts on an origin ---------------------------------------------------------------------------


def oddity(origin: ObservedOrigin, host: str) -> str | None:
    """Why nothing can be proven of `host` at this origin, whatever arrives through the edge.

    None where every replica shows our text there.
    """
    for replica in replicas(origin):
        seen = replica.seen(host)
        if seen is not None and seen.own:
            return next(
                (one.why for one in origin.displaced if one.host == host),
                "its own Ingress verifies client certificates",
            )
        if seen is not None and seen.odd:
            return f"pod {replica.name} answers {seen.odd}. Let requests for /.well-known/aop-operator/ through there if the host is to be required"
    return next((one.why for one in origin.left_out if one.host == host), None)


def believed(origin: ObservedOrigin, host: str) -> str | None:
    """Why whoever comes to `host` may pass for the edge at this origin; None: nobody may.

    Nothing that is required there would be worth anything. What is required already stays, because
    to let everybody in is no better.
    """
    for replica in replicas(origin):
        if (seen := replica.seen(host)) is not None and seen.believes:
            return (
                f"pod {replica.name} takes what a request says of itself for the certificate that came. Have the server take the headers "
                f"{' and '.join(seen.believes)} of every request away before it tells our text what came"
            )
    return None


def accepted_everywhere(origin: ObservedOrigin, host: str, leaf: Pin) -> bool:
    """Every replica was seen to serve the leaf to this host, and to run our text there."""
    seen = [replica.seen(host) for replica in replicas(origin)]
    return bool(seen) and all(
        b is not None and not b.odd and not b.own and leaf.sha256 in b.accepts for b in seen
    )


# --- origins --------------------------------------------------------------------------------------


def configured(origin: ObservedOrigin) -> Configured:
    """What it says of us; empty where that is missing or unreadable."""
    return origin.configured if isinstance(origin.configured, Configured) else Configured()


def replicas(origin: ObservedOrigin) -> tuple[ObservedReplica, ...]:
    """The replicas that could be found; empty where the search failed."""
    return origin.replicas if isinstance(origin.replicas, tuple) else ()


def refuses_somebody(origin: ObservedOrigin) -> bool:
    """Published, be the text damaged, *or* still running somewhere."""
    claim = configured(origin).may_do
    return (claim is not None and claim.mode >= Mode.OPTIONAL) or any(
        r.strictest >= Mode.OPTIONAL for r in replicas(origin)
    )


def anybody_refuses(o: Observed) -> bool:
    """Some origin refuses somebody."""
    return any(refuses_somebody(origin) for origin in o.origins)


def until_applied(origin: ObservedOrigin) -> Wait | None:
    """None once every replica was seen to do exactly what our published claim says."""
    published = origin.configured
    if isinstance(published, Unknown) or isinstance(origin.replicas, Unknown):
        source = published if isinstance(published, Unknown) else origin.replicas
        return Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"Origin {origin.name} cannot be read: {source.message}",  # type: ignore[union-attr]  # one of the two is Unknown
            SOON_S,
        )
    if not origin.replicas:
        return Wait(
            Reason.NO_REPLICAS,
            f"Origin {origin.name} has no Ready replica that could show what it does",
            SOON_S * 2,
        )
    claim = configured(origin).claim
    lagging = [
        f"pod {r.name} {trouble}"
        for r in origin.replicas
        if claim and (trouble := _not_yet(r, origin, claim))
    ]
    if not lagging:
        return None
    what = f"every replica runs revision {configured(origin).revision} of {origin.words.place}"
    remedy = CUT_OFF if any(r.error for r in origin.replicas) else ""
    if rollout := origin.next_rollout:
        what = f"{rollout.workload} has replaced its pods, so that {what}"
        remedy = remedy or f"If it does not get on, see {rollout.command}"
    return Wait(
        Reason.WAITING_FOR_REPLICAS,
        f"The operator waits until {what}: {'; '.join(lagging)}",
        SOON_S / 2,
        since=origin.published_at,
        remedy=remedy,
        shown=origin.target,
    )


def _not_yet(replica: ObservedReplica, origin: ObservedOrigin, claim: Claim) -> str:
    """Why this replica does not show the claim yet; empty when it does.

    A revision that others published on top of ours holds our claim as well, so nobody waits for a
    replica to run theirs. A host at which somebody else answers, or decides, shows nothing of
    our claim, so nobody waits for it either: it is named as unproven.
    """
    if replica.error:
        unready = "" if replica.ready else "is not Ready, may still serve, and "
        return f"{unready}does not answer the operator ({replica.error})"
    current = runs_our_claim(replica, configured(origin))
    if not current or not replica.settled:
        odd = next((f", as {b.host} answers {b.odd}" for b in replica.hosts if b.odd), "")
        shown = (
            f"shows no revision{odd}"
            if replica.revision is None
            else f"shows revision {replica.revision}"
        )
        return f"{shown} only just now" if current else shown
    seen, pins = {b.host: b for b in replica.hosts}, {pin.sha256 for pin in claim.pins}
    for host in origin.hosts:
        if host not in seen:
            return f"has not been asked about {host}"
        if seen[host].odd or seen[host].own:
            continue
        # Where asking is one switch for all hosts, another zone's claim may ask although ours does
        # not, and somebody may switch it off for hosts of theirs, which then stay unproven and hold
        # back nobody else.
        asked = not origin.capabilities.asks_per_host and {claim.at(host), seen[host].mode} == {
            Mode.OFF,
            Mode.REQUEST,
        }
        if seen[host].mode != claim.at(host) and not (asked and replica.strictest >= Mode.REQUEST):
            return f"shows {seen[host].mode.label} instead of {claim.at(host).label} for {host}"
        if refused := seen[host].refuses & pins:
            return f"refuses our own leaf {min(refused)[:8]} for {host}"
    return ""


def shows_otherwise(replica: ObservedReplica, origin: ObservedOrigin) -> bool:
    """The replica has answered, and does not show the claim.

    What it was not asked yet shows nothing: a new pod's revision, one that was seen only just now,
    a host whose turn is still to come. Neither does a question that was not answered.
    """
    claim = configured(origin).claim
    if claim is None or (replica.revision is None and not replica.settled):
        return False
    asked = replace(origin, hosts=tuple(host for host in origin.hosts if replica.seen(host)))
    return bool(_not_yet(replace(replica, settled=True, error=None), asked, claim))


def runs_our_claim(replica: ObservedReplica, published: Configured) -> bool:
    """The replica shows a revision that has our claim as it is published now."""
    first = published.revision if published.claim_since is None else published.claim_since
    return replica.revision is not None and first <= replica.revision <= published.revision


def _runs_everywhere(origin: ObservedOrigin, claim: Claim) -> bool:
    """Every replica runs what is published, and that is this claim."""
    published, asked = configured(origin), replicas(origin)
    same = published.claim is not None and digest(published.claim, "") == digest(claim, "")
    return same and bool(asked) and all(runs_our_claim(replica, published) for replica in asked)


def claim_of(
    o: Observed,
    origin: ObservedOrigin,
    mode: Mode,
    enforced: Iterable[str] = (),
    pins: Iterable[Pin] | None = None,
) -> Claim:
    """A claim of this object, with the pins that are published unless others are given."""
    current = configured(origin).claim
    trusted = current.pins if current else ()
    enforced = tuple(sorted(enforced)) if mode >= Mode.OPTIONAL else ()
    return Claim(
        uid=o.object.uid,
        owner=str(o.object.key),
        zone=o.spec.zone.name,
        patterns=patterns_for(o, origin),
        mode=mode,
        enforced=enforced,
        excepted=_excepted(origin, enforced),
        pins=_with_leaves(o, trusted if pins is None else pins),
        flush_count=current.flush_count if current else 0,
    )


def _excepted(origin: ObservedOrigin, enforced: Collection[str]) -> tuple[str, ...]:
    """The hosts that stay at Request although an enforced wildcard's server takes them.

    Each waits for its own proof. While the Ingresses cannot be listed nobody knows which wildcards
    are served, so that what was excepted, or was required, stays out.
    """
    known = {wildcard.host: wildcard.samples for wildcard in origin.wildcards}
    wildcards = [host for host in enforced if host.startswith("*.")]
    samples = {sample for host in wildcards for sample in known.get(host, ())}
    before, unknown_ones = (
        configured(origin).may_do,
        [host for host in wildcards if host not in known],
    )
    named = {*before.excepted, *before.required} if before else set()
    samples |= {host for host in named if any(covers(wildcard, host) for wildcard in unknown_ones)}
    return tuple(sorted(samples - set(enforced)))


def required_hosts(o: Observed) -> tuple[str, ...]:
    """The concrete hosts that are required anywhere, by what may stand in the origins; sorted."""
    claims = (configured(origin).may_do for origin in o.origins)
    return tuple(sorted({host for claim in claims if claim for host in claim.required}))


def to_be_proven(o: Observed) -> tuple[str, ...]:
    """The required hosts whose proof a step waits for that concerns them all.

    Those at which somebody else answers do not count, unless all are such.
    """
    hidden = {
        host for origin in o.origins for host in origin.hosts if oddity(origin, host) is not None
    }
    return tuple(host for host in required_hosts(o) if host not in hidden) or required_hosts(o)


def patterns_for(o: Observed, origin: ObservedOrigin) -> tuple[str, ...]:
    """`spec.hostnames` without what the origin's text cannot carry; sorted."""
    left_out = {one.host for one in origin.left_out}
    return tuple(sorted(set(o.spec.hostname_patterns) - left_out))


def with_wildcards(origin: ObservedOrigin, hosts: Iterable[str]) -> set[str]:
    """The hosts, and each wildcard of which one of them is a sample.

    What its server takes is required as that sample is.
    """
    concrete = {host for host in hosts if not host.startswith("*.")}
    return concrete | {
        wildcard.host for wildcard in origin.wildcards if not concrete.isdisjoint(wildcard.samples)
    }


def claim_without(o: Observed, origin: ObservedOrigin, claim: Claim, hosts: Iterable[str]) -> Claim:
    """The claim with some of its hosts back at Request."""
    left = set(claim.required) - set(hosts)
    unlisted = (
        set(claim.enforced) - set(claim.required) - {wildcard.host for wildcard in origin.wildcards}
    )
    enforced = with_wildcards(origin, left) & set(claim.enforced) | {
        wildcard for wildcard in unlisted if any(covers(wildcard, host) for host in left)
    }
    return claim_of(o, origin, claim.mode if left else min(claim.mode, Mode.REQUEST), enforced)


def digest(claim: Claim, foreign_digest: str) -> str:
    """Names a claim together with the foreign text around it, in the record of rejected ones."""
    text = repr(
        (
            claim.patterns,
            int(claim.mode),
            claim.enforced,
            claim.excepted,
            [pin.sha256 for pin in claim.pins],
            foreign_digest,
        )
    )
    return sha256(text.encode()).hexdigest()[:16]


def was_rejected(o: Observed, origin: ObservedOrigin, claim: Claim) -> bool:
    """Whether an origin has rejected this very claim among this very foreign text.

    True while it is too early to try it again.
    """
    name = digest(claim, configured(origin).foreign_digest)
    return any(one.digest == name and one.holds_at(o.wall) for one in o.record.rejected)


# --- answers --------------------------------------------------------------------------------------


def publish(o: Observed, origin: ObservedOrigin, claim: Claim, why: str) -> Step:
    """Publish, once the record names the origin.

    Not a text that was rejected before and has not been taken since.
    """
    if was_rejected(o, origin, claim) and not _runs_everywhere(origin, claim):
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

    What was rejected before is skipped for the next milder one, and the mildest is always tried.
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
    """The same text under a new revision where only old sessions keep `leaf` from being seen.

    Else they would hold it back for ever. A flush costs every replica a reload, and whoever forges
    answers on a host of theirs could ask for one after the other: at most three an hour. Each is
    noted first.
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
    """When old sessions were ended lately.

    What was noted by a clock that was ahead then says nothing; the record rounds up to seconds.
    """
    second, hour = timedelta(seconds=1), timedelta(hours=1)
    return tuple(moment for moment in o.record.flushes if -second <= o.wall - moment < hour)


def flushes_used_up(o: Observed) -> bool:
    """Ending old sessions has been tried as often as an hour allows."""
    return len(flushes_of_the_hour(o)) >= o.limits.flushes_per_hour


def old_sessions_hold_back(o: Observed, origin: ObservedOrigin, host: str, leaf: str) -> bool:
    """New handshakes come with the leaf, or there was none for a whole window.

    What arrives without it is old.
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
    """Presenting our certificate makes no request fail that succeeds today.

    Asked before the zone is enabled. What the zone presents concerns no host whose requests do not
    meet the edge.
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
