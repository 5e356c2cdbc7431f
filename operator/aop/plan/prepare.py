"""The RULES up to the edge presenting our leaf. Nobody is asked or refused yet.

Trust goes before presentation: every replica accepts a certificate before Cloudflare may present
it.
"""

from __future__ import annotations

from aop.errors import Reason
from aop.observed import (
    CertificateState,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Overwritten,
    Unknown,
)
from aop.plan.answers import flush, nobody_is_refused_by_others, publish, unknown
from aop.plan.claims import claim_of, patterns_for, to_be_proven, until_applied, with_wildcards
from aop.plan.facts import (
    accepted_everywhere,
    anybody_refuses,
    arrives_with,
    certificate_with,
    configured,
    expires_within,
    in_scope,
    newest_active,
    our_pins,
    ours_listed,
    refused_arrivals,
    refuses_somebody,
    renewal_is_due,
    replicas,
    wanted_leaf,
    was_there_before,
    working_on,
)
from aop.steps import Block, Delete, Issue, Note, SetEnabled, Step, Upload, Wait
from aop.terms import Claim, Mode, Pin


def origins_answer(o: Observed) -> Step | None:
    """Every replica answers the operator's check path, directly and through the edge."""
    for origin in o.origins:
        if not origin.wanted:
            continue
        if step := claim_is_whole(o, origin) or until_applied(origin):
            return step
    hosts = in_scope(o)
    heard = [e for host in hosts if (e := o.evidence_of(host)).last is not None]
    if any(not evidence.direct for evidence in heard):
        return None
    silent = [
        f"{host}: {o.evidence_of(host).silence or 'not asked yet'}"
        for host in hosts
        if not o.evidence_of(host).direct
    ]
    direct = [host for host in hosts if o.evidence_of(host).direct]
    what = "; ".join(
        [
            *silent[:5],
            *(f"{host} bypasses Cloudflare (is its DNS record DNS-only?)" for host in direct[:5]),
        ]
    )
    since = min((e.silent_since for e in o.evidence if e.silent_since), default=None)
    return Wait(
        Reason.EDGE_SILENT,
        f"None of the operator's requests for the check path reaches the origins through the edge. {what}",
        2.0,
        since=since,
    )


def claim_is_whole(o: Observed, origin: ObservedOrigin) -> Step | None:
    """Our text is there as it was rendered, for the hosts that the spec names."""
    published = configured(origin)
    current = published.claim
    if current is not None and published.intact and current.patterns == patterns_for(o, origin):
        return _moved(o, origin, current) if origin.misplaced else None
    there = current is not None and published.intact
    if not there and origin.overwritten is not None and o.now < origin.overwritten.until:
        return Block(
            Reason.FOREIGN_CONFIGURATION, put_back_by_others(o, origin, origin.overwritten)
        )
    if current is None and published.standing is None:
        return publish(
            o,
            origin,
            claim_of(o, origin, Mode.OFF),
            "the operator must first see every replica answer its check path",
        )
    if current is None or not published.intact:
        kept = _as_every_replica_does(o, origin)
        return publish(o, origin, kept, "somebody has changed the operator's text there")
    return publish(
        o, origin, claim_of(o, origin, current.mode, current.enforced), "spec.hostnames has changed"
    )


def _moved(o: Observed, origin: ObservedOrigin, current: Claim) -> Step:
    """The text, put where the spec now says.

    Nobody has seen what it does in that place, so no more is required than every replica requires
    now.
    """
    asks = current if current.mode < Mode.OPTIONAL else _as_every_replica_does(o, origin)
    return publish(
        o, origin, asks, "spec.origins names another place in the server for the operator's text"
    )


def put_back_by_others(o: Observed, origin: ObservedOrigin, overwritten: Overwritten) -> str:
    """Who keeps putting their text back over ours, and what ends that."""
    return (
        f"Since {o.shown(overwritten.since):%H:%M:%S} UTC, {overwritten.by} has replaced the operator's text in {origin.words.place} "
        f"{overwritten.times} times, and each time costs every replica a reload. Tell it to leave {origin.words.ours} "
        f"alone (Argo CD: ignoreDifferences; Flux: a driftDetection ignore rule; Helm: no value for them). The operator "
        f"writes its text again at {o.shown(overwritten.until):%H:%M:%S} UTC"
    )


def _as_every_replica_does(o: Observed, origin: ObservedOrigin) -> Claim:
    """The claim that is put in place of a damaged text.

    It is what every replica was seen to do all the same, unless requests were seen to come in
    another way. Nothing becomes stricter by it, so it takes no proof: where a proof is still to be
    made (after a restart, after a change at Cloudflare), what was required stays required.
    """
    standing, wanted = configured(origin).standing, wanted_leaf(o)
    if standing is None or wanted is None or standing.mode < Mode.OPTIONAL or not replicas(origin):
        return claim_of(o, origin, Mode.OFF)
    kept = [
        host
        for host in standing.required
        if o.evidence_of(host).presented not in refused_arrivals(origin, standing, host)
        and (
            _is_required_everywhere(origin, host, standing.mode, wanted)
            or _is_met_through_the_edge(o, origin, host, wanted)
        )
    ]
    return claim_of(
        o,
        origin,
        standing.mode if kept else Mode.OFF,
        with_wildcards(origin, kept) & set(standing.enforced),
        standing.pins,
    )


def _is_required_everywhere(origin: ObservedOrigin, host: str, mode: Mode, leaf: Pin) -> bool:
    """Whether every replica was just seen to be as strict to the host, and to serve the leaf."""
    return accepted_everywhere(origin, host, leaf) and all(
        _at_least(replica, host, mode) for replica in replicas(origin)
    )


def _is_met_through_the_edge(o: Observed, origin: ObservedOrigin, host: str, leaf: Pin) -> bool:
    """Whether our text is whole but others' text has come to stand before it.

    That hides it from us, but not from the requests of the edge.
    """
    claim = configured(origin).claim
    hidden = [
        seen
        for replica in replicas(origin)
        if (seen := replica.seen(host)) is not None and seen.odd
    ]
    return (
        claim is not None
        and claim.at(host) >= Mode.OPTIONAL
        and bool(hidden)
        and arrives_with(o, o.evidence_of(host), leaf)
    )


def _at_least(replica: ObservedReplica, host: str, mode: Mode) -> bool:
    """Whether the replica was just seen to be at least as strict to the host."""
    seen = replica.seen(host)
    return replica.error is None and seen is not None and seen.mode >= mode


def key_pair_exists(o: Observed) -> Step | None:
    """There is a valid key pair: one that the operator generates, or the referenced one."""
    if isinstance(o.key_pair, Unknown):
        return unknown("The key pair cannot be read", o.key_pair, Reason.TRANSIENT_ERROR)
    generated = o.spec.certificate.generate is not None
    if o.key_pair is None:
        return (
            Issue("first")
            if generated
            else Block(
                Reason.KEY_PAIR_INVALID,
                "The Secret that spec.certificate.secretRef names does not exist. Create it",
            )
        )
    if o.object.rotate != o.record.rotated and (o.key_pair.next or not generated):
        return Note(
            o.noting(rotated=o.object.rotate), "the operator has acted on the rotate annotation"
        )
    due = renewal_is_due(o, o.key_pair) and o.key_pair.next is None
    return Issue("next") if generated and due else None


def origins_accept_what_comes_next(o: Observed) -> Step | None:
    """Every origin that asks for a certificate accepts all that Cloudflare may present.

    And every replica that refuses somebody serves it.
    """
    needed = set(our_pins(o))
    for origin in o.origins:
        claim = configured(origin).claim
        if not origin.wanted or claim is None or claim.mode < Mode.REQUEST:
            continue
        if not needed <= set(claim.pins):
            return publish(
                o,
                origin,
                claim_of(o, origin, claim.mode, claim.enforced, {*claim.pins, *needed}),
                "every replica must accept the next leaf before Cloudflare presents it",
            )
        if refuses_somebody(origin) and (wait := _until_accepted(o, origin)):
            return wait
    return None


def _until_accepted(o: Observed, origin: ObservedOrigin) -> Step | None:
    """None once every replica runs the published text and serves the wanted leaf.

    Each was seen to serve it at every required host.
    """
    if wait := until_applied(origin):
        return wait
    wanted, claim = wanted_leaf(o), configured(origin).claim
    if wanted is None or claim is None or isinstance(origin.replicas, Unknown):
        return None
    missing = [
        f"pod {r.name} for {b.host}"
        for r in origin.replicas
        for b in r.hosts
        if b.host in claim.enforced and wanted.sha256 not in b.accepts and not b.odd and not b.own
    ]
    return (
        Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"The operator has not yet seen these accept leaf {wanted.short}: {', '.join(missing)}",
            1.0,
            origin.published_at,
        )
        if missing
        else None
    )


def cloudflare_holds_certificate(o: Observed) -> Step | None:
    """Cloudflare has the leaf, by its fingerprint, and never more than two of the operator's."""
    wanted = wanted_leaf(o)
    if wanted is None or not isinstance(o.zone, ObservedZone):
        return Wait(
            Reason.WAITING_FOR_CLOUDFLARE,
            "The operator could not read the key pair or the zone",
            5.0,
        )
    certificate = certificate_with(o.zone, wanted)
    if certificate is None:
        return uploaded(o, o.zone, wanted)
    if wanted not in o.record.uploaded:
        return named(
            o, wanted, "is about to be presented"
        )  # it was there before us, or the record was lost
    if certificate.state is CertificateState.ACTIVE:
        return _newest_of_ours(o, o.zone, certificate)
    if certificate.state is CertificateState.FAILED:
        return Delete(
            o.zone.id,
            certificate.id,
            certificate.pin,
            "Cloudflare did not deploy it in time, and the operator uploads the same leaf again",
        )
    return Wait(
        Reason.WAITING_FOR_CLOUDFLARE,
        f"Cloudflare is still deploying certificate {certificate.id} (leaf {wanted.short})",
        1.0,
        o.steady(certificate.uploaded_at),
    )


def _newest_of_ours(
    o: Observed, zone: ObservedZone, certificate: ObservedCertificate
) -> Step | None:
    """Our certificate is the newest; only a new upload can make it so.

    It is older if a Secret was put back, or if somebody else's upload came that we may outrank.
    """
    newest = newest_active(zone)
    if (
        newest is None
        or newest.id == certificate.id
        or (not newest.ours and not o.spec.certificate.replace_foreign)
    ):
        return None
    if was_there_before(o, certificate):
        return Block(
            Reason.FOREIGN_CERTIFICATE,
            f"Certificate {certificate.id} holds leaf {certificate.pin.short}, was at Cloudflare before this object, and the newer certificate {newest.id} "
            f"outranks it. Delete {certificate.id} at Cloudflare: the operator then uploads the leaf again",
        )
    if anybody_refuses(o) and not (newest.ours and _presented_everywhere(o, newest.pin)):
        return flush(o, newest.pin) or Wait(
            Reason.WAITING_FOR_PROOF,
            f"Cloudflare may still present leaf {certificate.pin.short} somewhere, so the operator does not delete it yet",
            5.0,
        )
    return Delete(
        zone.id,
        certificate.id,
        certificate.pin,
        f"certificate {newest.id} is newer and outranks it, and the operator uploads it again",
    )


def _presented_everywhere(o: Observed, leaf: Pin) -> bool:
    """Whether every required host whose answers are ours was seen to come with this leaf.

    For a whole window it came with nothing else.
    """
    seen = [o.evidence_of(host) for host in to_be_proven(o)]
    return all(
        evidence.presented == leaf.sha256 and evidence.covered >= o.window for evidence in seen
    )


def uploaded(o: Observed, zone: ObservedZone, wanted: Pin) -> Step:
    """Upload the leaf, once the record names it and there is surely room for it."""
    if expires_within(wanted, o.wall, o.limits.expiry_margin_s):
        return Block(
            Reason.LEAF_EXPIRING,
            f"Leaf {wanted.short} expires at {wanted.not_after:%Y-%m-%d %H:%M} UTC, too soon to be presented. Renew it",
        )
    others = [c for c in ours_listed(o) if c.pin.sha256 != wanted.sha256]
    unlisted = [
        pin for pin in o.record.uploaded if pin != wanted and certificate_with(zone, pin) is None
    ]
    if unlisted and not o.still:
        return Wait(
            Reason.WAITING_FOR_CLOUDFLARE,
            f"Leaf {unlisted[0].short} may still appear in Cloudflare's list, which lags behind, and the operator waits for that to be certain",
            5.0,
        )
    if len(others) > 1:
        return _room_for_the_next(o, zone, others)
    if wanted not in o.record.uploaded:
        return named(o, wanted, "is about to be uploaded")
    return Upload(zone.id, wanted)


def named(o: Observed, leaf: Pin, why: str) -> Note:
    """The record names every leaf that Cloudflare may present because of us, before it may."""
    return Note(
        o.noting(uploaded=tuple(sorted({*o.record.uploaded, leaf}))), f"leaf {leaf.short} {why}"
    )


def _room_for_the_next(o: Observed, zone: ObservedZone, others: list[ObservedCertificate]) -> Step:
    """There is room for the next leaf.

    If Cloudflare has two of ours and neither is wanted any more, an interrupted rotation is
    finished first.
    """
    for certificate in others:
        if certificate.state in {CertificateState.PENDING, CertificateState.DELETING}:
            return Wait(
                Reason.WAITING_FOR_CLOUDFLARE,
                f"Cloudflare is still {working_on(certificate)} certificate {certificate.id}",
                2.0,
                o.steady(certificate.uploaded_at),
            )
    for certificate in others:
        if certificate.state is CertificateState.FAILED:
            return Delete(
                zone.id, certificate.id, certificate.pin, "the next certificate needs its place"
            )
    newest = newest_active(zone)
    if anybody_refuses(o) and newest and newest.ours and not _presented_everywhere(o, newest.pin):
        return flush(o, newest.pin) or Wait(
            Reason.WAITING_FOR_PROOF,
            "Cloudflare may still present an older certificate somewhere, so the operator does not delete it yet",
            5.0,
        )
    oldest = next(c for c in others if newest is None or c.id != newest.id)
    return Delete(zone.id, oldest.id, oldest.pin, "the next certificate needs its place")


def zone_presents_certificate(o: Observed) -> Step | None:
    """Authenticated Origin Pulls are enabled on the zone and present the operator's leaf."""
    if not isinstance(o.zone, ObservedZone) or o.zone.enabled:
        return None
    newest = newest_active(o.zone)
    if newest is None or (not newest.ours and not isinstance(o.key_pair, ObservedKeyPair)):
        return Wait(
            Reason.WAITING_FOR_CLOUDFLARE,
            "Cloudflare has no active certificate for the zone yet",
            5.0,
        )
    if newest.pin != wanted_leaf(o) and not newest.ours:
        return Block(
            Reason.FOREIGN_CERTIFICATE,
            f"Certificate {newest.id} on zone {o.zone.name} is somebody else's and newer than the operator's, so enabling the zone would present it. "
            "Delete it at Cloudflare, or set spec.certificate.replaceForeign: true",
        )
    if expires_within(newest.pin, o.wall, o.limits.expiry_margin_s):
        return Block(
            Reason.LEAF_EXPIRING,
            f"Leaf {newest.pin.short} expires at {newest.pin.not_after:%Y-%m-%d %H:%M} UTC, so the operator does not present it any more. Renew it",
        )
    if step := next(
        (
            refused
            for origin in o.origins
            if origin.wanted and (refused := nobody_is_refused_by_others(o, origin))
        ),
        None,
    ):
        return step
    return SetEnabled(o.zone.id, enabled=True, why=f"leaf {newest.pin.short} is active")
