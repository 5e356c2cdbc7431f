"""The questions that several rules ask about leaves, hosts, proofs and origins.

They decide nothing by themselves, and read nothing but `Observed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile

from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Arrival,
    CertificateState,
    Configured,
    Evidence,
    HoldOff,
    LeftOut,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Unknown,
)
from aop.terms import Claim, Mode, Pin

# --- leaves ---------------------------------------------------------------------------------------


def wanted_leaf(o: Observed) -> Pin | None:
    """The leaf that the zone should present: in a rotation the next one, else the one in use."""
    return (o.key_pair.next or o.key_pair.leaf) if isinstance(o.key_pair, ObservedKeyPair) else None


def ours_listed(o: Observed) -> tuple[ObservedCertificate, ...]:
    """The listed certificates that we brought there: issued by us, or named by the record.

    Whatever was there before us stays out.
    """
    issued = o.spec.certificate.generate is not None
    listed = o.zone.certificates if isinstance(o.zone, ObservedZone) else ()
    return tuple(
        c
        for c in listed
        if c.ours and not was_there_before(o, c) and (issued or c.pin in o.record.uploaded)
    )


def was_there_before(o: Observed, certificate: ObservedCertificate) -> bool:
    """Whether the record says that this certificate was found on the zone."""
    return o.record.baseline is not None and certificate.id in o.record.baseline.foreign


def our_pins(o: Observed) -> tuple[Pin, ...]:
    """The pins of what Cloudflare may present because of us, now or soon; sorted."""
    secret_pins = (
        (o.key_pair.leaf, o.key_pair.next) if isinstance(o.key_pair, ObservedKeyPair) else ()
    )
    named = (*secret_pins, *o.record.uploaded, *(c.pin for c in ours_listed(o)))
    pins = {pin.sha256: pin for pin in named if pin}
    # The record contains digests only.
    leaves = {pin.sha256: pin.der for pin in named if pin and pin.der}
    return tuple(sorted(pin.with_leaf_of(leaves) for pin in pins.values()))


def with_leaves(o: Observed, pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """The pins, each with its leaf if that is known; sorted.

    Some servers can compare nothing but the leaf itself.
    """
    leaves = {pin.sha256: pin.der for pin in our_pins(o) if pin.der}
    return tuple(sorted(pin.with_leaf_of(leaves) for pin in pins))


def newest_active(zone: ObservedZone) -> ObservedCertificate | None:
    """What the zone presents when it is enabled.

    The certificate that was deployed last (facts: cloudflare#newest-deployed).
    """
    return next(
        (c for c in reversed(zone.certificates) if c.state is CertificateState.ACTIVE), None
    )


def presented_by_us(o: Observed) -> ObservedCertificate | None:
    """Our certificate that the zone presents; None: another's, nothing, or nobody knows."""
    if not isinstance(o.zone, ObservedZone) or not o.zone.enabled:
        return None
    newest = newest_active(o.zone)
    return newest if newest is not None and newest.ours else None


def certificate_with(zone: ObservedZone, pin: Pin) -> ObservedCertificate | None:
    """The certificate with this fingerprint, if Cloudflare holds it."""
    return next((c for c in zone.certificates if c.pin.sha256 == pin.sha256), None)


def working_on(certificate: ObservedCertificate) -> str:
    """What Cloudflare still does with a certificate: "deploying", for example."""
    return "deleting" if certificate.state is CertificateState.DELETING else "deploying"


def expires_within(pin: Pin, now: datetime, seconds: float) -> bool:
    """Whether the leaf is outside its validity, or will be within that time."""
    return pin.not_after <= now + timedelta(seconds=seconds) or pin.not_before > now


def leaf_of_record(o: Observed) -> Pin | None:
    """The wanted leaf; while the key pair cannot be read, our leaf that the zone presents.

    Only for messages: no rule goes on without a key pair.
    """
    presented = presented_by_us(o)
    if isinstance(o.key_pair, Unknown) and presented is not None:
        return presented.pin
    return wanted_leaf(o)


def renewal_is_due(o: Observed, keys: ObservedKeyPair) -> bool:
    """Whether these keys are to have a successor now: in time, or because somebody asks for it."""
    asked = o.object.rotate is not None and o.object.rotate != o.record.rotated
    return asked or (keys.renewal_at is not None and o.wall >= keys.renewal_at)


def may_be_presented(o: Observed) -> tuple[Pin, ...]:
    """Our leaves that the edge may present now.

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
    """Whether the host's requests have come with the wanted leaf for a whole, fresh window.

    None of them came with anything else; silence does not count.
    """
    wanted, evidence = wanted_leaf(o), o.evidence_of(host)
    return wanted is not None and arrives_with(o, evidence, wanted) and whole_window(o, evidence)


def verified(o: Observed, host: str) -> bool:
    """As `proven`, with what the zone presents now; so it holds while a successor is on its way.

    Only for messages. While nobody knows what the zone presents, any leaf of ours will do.
    """
    presented, evidence = presented_by_us(o), o.evidence_of(host)
    leaves = (presented.pin,) if presented is not None else our_pins(o)
    return whole_window(o, evidence) and any(arrives_with(o, evidence, leaf) for leaf in leaves)


def arrives_with(o: Observed, evidence: Evidence, leaf: Pin) -> bool:
    """Whether the host's requests come through the edge with this leaf, the last one just now."""
    return not evidence.direct and evidence.presented == leaf.sha256 and is_fresh(o, evidence)


def in_words(presented: str) -> str:
    """What requests present, in words for a sentence."""
    return {
        NONE: "no certificate",
        OTHER: "another certificate",
        REFUSED: "something that the origin's server itself refuses",
    }.get(presented, f"leaf {presented[:8]}")


def is_fresh(o: Observed, evidence: Evidence) -> bool:
    """Whether the last arrival is recent enough to show what comes now."""
    return evidence.last is not None and o.now - evidence.last <= timedelta(
        seconds=o.limits.stale_after_s
    )


def whole_window(o: Observed, evidence: Evidence) -> bool:
    """Whether there are enough equal arrivals, spread over the window.

    No gap between them hides what came in between.
    """
    return evidence.count >= o.limits.proof_answers and evidence.covered >= o.window


def loses(o: Observed, origin: ObservedOrigin, host: str, losing: Iterable[str]) -> bool:
    """Whether the origin refuses what `host` comes with.

    Its last answers in a row, or a share of the recent ones, came with something of `losing`. A
    share counts from when every replica began to do what is published, or, while one does not, from
    when it was published: what came before refused nobody.
    """
    bad, recent = frozenset(losing), o.evidence_of(host).recent
    begun = origin.applied_at or origin.published_at
    since = [arrival for arrival in recent if begun is not None and arrival.at >= begun]
    return loses_in_a_row(o, recent, bad) or _loses_a_share(o, since, bad)


def loses_in_a_row(o: Observed, recent: Sequence[Arrival], losing: frozenset[str]) -> bool:
    """Whether at least three answers in a row lost, over at least ten seconds."""
    run = [
        arrival.at
        for arrival in takewhile(lambda arrival: arrival.presented in losing, reversed(recent))
    ]
    return len(run) >= o.limits.loss_answers and run[0] - run[-1] >= timedelta(
        seconds=o.limits.loss_spread_s
    )


def _loses_a_share(o: Observed, recent: Sequence[Arrival], losing: frozenset[str]) -> bool:
    """Whether a share of the answers lost, so that some of the visitors are refused.

    One replica of several refuses, or one location of the edge presents something else.
    """
    bad = [arrival.at for arrival in recent if arrival.presented in losing]
    if len(bad) < o.limits.loss_share_answers or len(bad) < o.limits.loss_share * len(recent):
        return False
    lasting = bad[-1] - bad[0] >= timedelta(seconds=o.limits.loss_share_s)
    return lasting and o.now - bad[-1] <= timedelta(seconds=o.limits.stale_after_s)


def refused_arrivals(origin: ObservedOrigin, claim: Claim, host: str) -> frozenset[str]:
    """What our text refuses when it arrives for `host` under this claim.

    The server's own refusal does not count where somebody else answers or verifies: relaxing would
    help nobody there, and the host is named.
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
    """The hold-offs that are not over yet."""
    return tuple(one for one in o.record.hold_offs if one.holds_at(o.wall))


# --- hosts on an origin ---------------------------------------------------------------------------


def oddity(origin: ObservedOrigin, host: str) -> str | None:
    """Why nothing can be proven for `host` at this origin, whatever arrives through the edge.

    None if every replica shows our text there.
    """
    for replica in replicas(origin):
        seen = replica.seen(host)
        if seen is not None and seen.own:
            return _why(origin.displaced, host) or "its own Ingress verifies client certificates"
        if seen is not None and seen.odd:
            return (
                _why(origin.unserved, host)
                or f"pod {replica.name} answers {seen.odd}. Let requests for /.well-known/aop-operator/ through there if the host is to be required"
            )
    return _why(origin.left_out, host)


def _why(listed: Iterable[LeftOut], host: str) -> str | None:
    """The reason that is given for a host among these; None: it is not one of them."""
    return next((one.why for one in listed if one.host == host), None)


def believed(origin: ObservedOrigin, host: str) -> str | None:
    """Why anybody who comes to `host` may pass for the edge at this origin; None: nobody can.

    A requirement would be worth nothing there. If the host is required already, it stays so,
    because to let everybody in is no better.
    """
    for replica in replicas(origin):
        if (seen := replica.seen(host)) is not None and seen.believes:
            return (
                f"pod {replica.name} believes what a request's own headers say about its certificate. Have the server remove "
                f"{' and '.join(seen.believes)} from every request before it sets them itself"
            )
    return None


def believed_everywhere(origin: ObservedOrigin, host: str) -> str | None:
    """The same where it is so at every replica: then nothing protects that host."""
    seen = [replica.seen(host) for replica in replicas(origin)]
    everywhere = bool(seen) and all(b is not None and b.believes for b in seen)
    return believed(origin, host) if everywhere else None


def accepted_everywhere(origin: ObservedOrigin, host: str, leaf: Pin) -> bool:
    """Whether every replica was seen to serve the leaf to this host, and to run our text there."""
    seen = [replica.seen(host) for replica in replicas(origin)]
    return bool(seen) and all(
        b is not None and not b.odd and not b.own and leaf.sha256 in b.accepts for b in seen
    )


# --- origins --------------------------------------------------------------------------------------


def configured(origin: ObservedOrigin) -> Configured:
    """What the origin says of us; empty if that is missing or unreadable."""
    return origin.configured if isinstance(origin.configured, Configured) else Configured()


def replicas(origin: ObservedOrigin) -> tuple[ObservedReplica, ...]:
    """The replicas that could be found; empty if the search failed."""
    return origin.replicas if isinstance(origin.replicas, tuple) else ()


def refuses_somebody(origin: ObservedOrigin) -> bool:
    """Whether the origin refuses somebody.

    It does so as published, even if the text is damaged, or as some replica still runs it.
    """
    claim = configured(origin).may_do
    return (claim is not None and claim.mode >= Mode.OPTIONAL) or any(
        r.strictest >= Mode.OPTIONAL for r in replicas(origin)
    )


def anybody_refuses(o: Observed) -> bool:
    """Whether any origin refuses somebody."""
    return any(refuses_somebody(origin) for origin in o.origins)
