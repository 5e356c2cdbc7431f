"""The questions that several rules ask, and the two answers that several rules give.

Only the modules of `aop.plan` and `aop.status` call these. They decide nothing by themselves: a question reads `Observed`, an
answer builds a `Step`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from aop.errors import Reason
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    CertificateState,
    Configured,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Unknown,
)
from aop.origins import Claim, Mode, Pin
from aop.steps import Block, Note, Publish, Step, Wait

SOON_S = 2.0
"""When to look again at what finishes within seconds."""

# --- leaves ----------------------------------------------------------------------------------------------------------


def wanted_leaf(o: Observed) -> Pin | None:
    """The leaf that the zone shall present: the next one during a rotation, else the one in use."""
    return (o.key_pair.next or o.key_pair.leaf) if isinstance(o.key_pair, ObservedKeyPair) else None


def ours_listed(o: Observed) -> tuple[ObservedCertificate, ...]:
    """What Cloudflare lists and we brought there: issued by us, or named by the record; what was there before us stays out."""
    issued = o.spec.certificate.generate is not None
    listed = o.zone.certificates if isinstance(o.zone, ObservedZone) else ()
    return tuple(c for c in listed if c.ours and not was_there_before(o, c) and (issued or c.pin in o.record.uploaded))


def was_there_before(o: Observed, certificate: ObservedCertificate) -> bool:
    """The record says that this certificate was found on the zone."""
    return o.record.found is not None and certificate.id in o.record.found.foreign


def our_pins(o: Observed) -> tuple[Pin, ...]:
    """What Cloudflare may present by our doing, and what it will get; sorted."""
    held = (o.key_pair.leaf, o.key_pair.next) if isinstance(o.key_pair, ObservedKeyPair) else ()
    pins = {pin.sha256: pin for pin in (*held, *o.record.uploaded, *(c.pin for c in ours_listed(o))) if pin}
    return tuple(sorted(pins.values()))


def newest_active(zone: ObservedZone) -> ObservedCertificate | None:
    """What the zone presents when it is enabled: the last deployed (reference: cloudflare-api, 8)."""
    return next((c for c in reversed(zone.certificates) if c.state is CertificateState.ACTIVE), None)


def held(zone: ObservedZone, pin: Pin) -> ObservedCertificate | None:
    """The certificate with this fingerprint, if Cloudflare holds it."""
    return next((c for c in zone.certificates if c.pin.sha256 == pin.sha256), None)


def expires_within(pin: Pin, now: datetime, seconds: float) -> bool:
    """Whether the leaf is outside its validity, or will be that soon."""
    return pin.not_after <= now + timedelta(seconds=seconds) or pin.not_before > now


def may_be_presented(o: Observed) -> tuple[Pin, ...]:
    """Ours that the edge may present now: all that were ever uploaded, unless every host was just seen with the wanted one."""
    wanted, hosts = wanted_leaf(o), in_scope(o)
    if wanted and hosts and all(proven(o, host) for host in hosts):
        return (wanted,)
    return o.record.uploaded


# --- hosts and proof -------------------------------------------------------------------------------------------------


def in_scope(o: Observed) -> tuple[str, ...]:
    """Every concrete host that may be required, over all origins; sorted."""
    return tuple(sorted({host for origin in o.origins if origin.wanted for host in origin.hosts}))


def proven(o: Observed, host: str) -> bool:
    """A whole, fresh window of requests through the edge that came with the wanted leaf and nothing else."""
    wanted, evidence = wanted_leaf(o), o.evidence_of(host)
    if wanted is None or evidence.direct or evidence.presented != wanted.sha256 or evidence.since is None or evidence.last is None:
        return False
    fresh = o.now - evidence.last <= timedelta(seconds=max(o.limits.stale_after_s, o.window.total_seconds() / o.limits.proof_answers * 2))
    return fresh and evidence.count >= o.limits.proof_answers and evidence.last - evidence.since >= o.window


def loses(o: Observed, host: str, losing: Iterable[str]) -> bool:
    """The last answers of `host`, at least three over at least ten seconds, all came with something of `losing`."""
    bad, run = frozenset(losing), []
    for arrival in reversed(o.evidence_of(host).recent):
        if arrival.presented not in bad:
            break
        run.append(arrival.at)
    return len(run) >= o.limits.loss_answers and run[0] - run[-1] >= timedelta(seconds=o.limits.loss_spread_s)


def refused_arrivals(origin: ObservedOrigin, claim: Claim, host: str) -> frozenset[str]:
    """What a replica refuses when it arrives for `host` under this claim."""
    at = claim.at(host)
    if at < Mode.OPTIONAL:
        return frozenset({REFUSED})
    pinned = {leaf for replica in replicas(origin) for b in replica.hosts if b.host == host for leaf in b.refuses}
    return frozenset({REFUSED, OTHER, *pinned} | ({NONE} if at is Mode.REQUIRE else set()))


# --- origins ---------------------------------------------------------------------------------------------------------


def configured(origin: ObservedOrigin) -> Configured:
    """What the ConfigMap says of us; empty where it is missing or unreadable."""
    return origin.configured if isinstance(origin.configured, Configured) else Configured()


def replicas(origin: ObservedOrigin) -> tuple[ObservedReplica, ...]:
    """The replicas that could be found; empty where the search failed."""
    return origin.replicas if isinstance(origin.replicas, tuple) else ()


def refuses_somebody(origin: ObservedOrigin) -> bool:
    """Published, *or* still running somewhere."""
    claim = configured(origin).claim
    return (claim is not None and claim.mode >= Mode.OPTIONAL) or any(r.strictest >= Mode.OPTIONAL for r in replicas(origin))


def anybody_refuses(o: Observed) -> bool:
    """Some origin refuses somebody."""
    return any(refuses_somebody(origin) for origin in o.origins)


def until_applied(origin: ObservedOrigin) -> Wait | None:
    """None once every replica was seen to do exactly what our published claim says."""
    found = origin.configured
    if isinstance(found, Unknown) or isinstance(origin.replicas, Unknown):
        source = found if isinstance(found, Unknown) else origin.replicas
        return Wait(Reason.WAITING_FOR_REPLICAS, f"origin {origin.name} cannot be read: {source.message}", SOON_S)  # type: ignore[union-attr]  # one of the two is Unknown
    if not origin.replicas:
        return Wait(Reason.NO_REPLICAS, f"origin {origin.name} has no Ready replica that could show what it does", SOON_S * 2)
    claim = configured(origin).claim
    lagging = [
        f"pod {r.name} {trouble}" for r in origin.replicas if claim and (trouble := not_yet(r, configured(origin), claim, origin.hosts))
    ]
    if not lagging:
        return None
    return Wait(
        Reason.WAITING_FOR_REPLICAS,
        f"revision {configured(origin).revision} of ConfigMap {origin.target} is not seen on every replica: {'; '.join(lagging)}",
        SOON_S / 2,
        since=origin.published_at,
    )


def not_yet(replica: ObservedReplica, published: Configured, claim: Claim, hosts: tuple[str, ...]) -> str:
    """Why this replica does not show the claim yet; empty when it does.

    A revision that others published on top of ours holds our claim as well, so nobody waits for a controller to run theirs.
    """
    if replica.error:
        return f"cannot be asked ({replica.error})"
    current = runs_our_claim(replica, published)
    if not current or not replica.settled:
        shown = "shows no revision" if replica.revision is None else f"shows revision {replica.revision}"
        return f"{shown} only just now" if current else shown
    seen, pins = {b.host: b for b in replica.hosts}, {pin.sha256 for pin in claim.pins}
    for host in hosts:
        if host not in seen:
            return f"has not been asked about {host}"
        # Asking is one switch for the whole controller: another zone's claim may ask although ours does not, and an Ingress may switch
        # it off for its own hosts, which then stay unproven and hold back nobody else.
        asked = {claim.at(host), seen[host].mode} == {Mode.OFF, Mode.REQUEST}
        if seen[host].mode != claim.at(host) and not (asked and replica.strictest >= Mode.REQUEST):
            return f"shows {seen[host].mode.label} instead of {claim.at(host).label} for {host}"
        if refused := seen[host].refuses & pins:
            return f"refuses our own leaf {min(refused)[:8]} for {host}"
    return ""


def runs_our_claim(replica: ObservedReplica, published: Configured) -> bool:
    """The replica shows a revision that has our claim as it is published now."""
    first = published.revision if published.claim_since is None else published.claim_since
    return replica.revision is not None and first <= replica.revision <= published.revision


def claim_of(o: Observed, origin: ObservedOrigin, mode: Mode, enforced: Iterable[str] = (), pins: Iterable[Pin] | None = None) -> Claim:
    """A claim of this object, with the pins that are published unless others are given."""
    current = configured(origin).claim
    return Claim(
        uid=o.object.uid,
        owner=str(o.object.key),
        zone=o.spec.zone.name,
        patterns=tuple(o.spec.hostname_patterns),
        mode=mode,
        enforced=tuple(sorted(enforced)) if mode >= Mode.OPTIONAL else (),
        pins=tuple(sorted(pins)) if pins is not None else (current.pins if current else ()),
        nudge=current.nudge if current else 0,
    )


def digest(claim: Claim, foreign_digest: str) -> str:
    """Names a claim together with the foreign text around it, in the record of rejected ones."""
    text = repr((claim.patterns, int(claim.mode), claim.enforced, [pin.sha256 for pin in claim.pins], foreign_digest))
    return sha256(text.encode()).hexdigest()[:16]


def was_rejected(o: Observed, origin: ObservedOrigin, claim: Claim) -> bool:
    """Whether a controller has rejected this very claim among this very foreign text."""
    return digest(claim, configured(origin).foreign_digest) in o.record.rejected


# --- answers ---------------------------------------------------------------------------------------------------------


def publish(o: Observed, origin: ObservedOrigin, claim: Claim, why: str) -> Step:
    """Publish, once the record names the ConfigMap, and unless this very text was rejected before."""
    if was_rejected(o, origin, claim):
        return Block(
            Reason.TEXT_REJECTED,
            f"the controller of ConfigMap {origin.target} rejected our text for {claim.mode.label}; it stays withdrawn until spec.hostnames, "
            "the certificate or the text around ours changes. See the Warning RELOAD Events of the controller's pods",
        )
    if origin.target not in o.record.claimed:
        return Note(
            o.noting(claimed=tuple(sorted({*o.record.claimed, origin.target}))), f"ConfigMap {origin.target} is about to carry our claim"
        )
    return Publish(origin.name, origin.target, claim, why)


def relax(o: Observed, origin: ObservedOrigin, to: Mode, why: str) -> Step | None:
    """Publish something milder at once; what was rejected before is skipped for the next milder one."""
    current = configured(origin).claim
    for mode in (m for m in (Mode.REQUEST, Mode.OFF) if m <= to):
        claim = claim_of(o, origin, mode)
        if current and current.mode > mode and not was_rejected(o, origin, claim):
            return Publish(origin.name, origin.target, claim, why)
    return None


def flush(o: Observed, leaf: Pin) -> Step | None:
    """The same text under a new revision where only old sessions keep `leaf` from being seen: else they would hold it back for ever."""
    for origin in o.origins:
        claim = configured(origin).claim
        held_back = [host for host in origin.hosts if old_sessions_hold_back(o, origin, host, leaf.sha256)]
        if origin.wanted and claim is not None and held_back:
            why = f"only connections and TLS sessions from before do not present leaf {leaf.short} to {', '.join(held_back)}"
            return publish(o, origin, replace(claim, nudge=claim.nudge + 1), why)
    return None


def old_sessions_hold_back(o: Observed, origin: ObservedOrigin, host: str, leaf: str) -> bool:
    """New handshakes come with the leaf, or there was none for a whole window; what arrives without it is old."""
    evidence = o.evidence_of(host)
    if evidence.direct or evidence.presented in {None, leaf} or evidence.last is None:
        return False
    if origin.applied_at is None or evidence.last <= origin.applied_at:
        return False  # the last flush is still to show its effect
    if evidence.old_since is None:
        return False
    nothing_new_since = max(evidence.old_since, origin.applied_at)
    return (evidence.fresh is not None and evidence.fresh.presented == leaf) or o.now - nothing_new_since >= o.window


def unknown(what: str, fact: Unknown, waiting: Reason, seconds: float = 5.0) -> Wait | Block:
    """The answer of a rule that needs a fact which could not be looked up."""
    if fact.reason is not None:
        return Block(fact.reason, fact.message)
    return Wait(waiting, f"{what}: {fact.message}", fact.retry_after_s or seconds)
