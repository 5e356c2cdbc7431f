"""The first RULES: whether this object, this zone and these origins may be worked on at all.

They change nothing outside the object. Each failure is a `Block` with its own reason and a message
that says what to do next. If the same fact could not be looked up, the answer is a `Wait`.
"""

from __future__ import annotations

from aop.errors import Reason
from aop.observed import Baseline, Observed, ObservedOrigin, ObservedZone, Rival, Unknown
from aop.plan.answers import nobody_is_refused_by_others, unknown
from aop.plan.facts import configured, in_scope, newest_active, ours_listed
from aop.steps import Block, Note, Step, Wait
from aop.terms.ssl_modes import PRESENTING_SSL_MODES

"""In `off` and `flexible` the edge speaks plaintext to the origin (facts: cloudflare#ssl-modes)."""


def finalizer_is_set(o: Observed) -> Step | None:
    """The object carries the operator's finalizer before the operator changes anything."""
    return (
        None
        if o.object.finalizer
        else Wait(Reason.INITIALIZING, "The operator is about to set its finalizer", 5.0)
    )


def what_protects_is_noted(o: Observed) -> Step | None:
    """The operator starts nothing new while it cannot write its record.

    Otherwise a restart could forget why a host was relaxed.
    """
    if o.unnoted is None:
        return None
    if o.now >= o.unnoted.again:
        return Note(
            o.noting(),
            "why hosts were relaxed, or which text was rejected, which could not be written before",
        )
    return Wait(
        Reason.TRANSIENT_ERROR,
        f"{o.unnoted.why}. The operator goes on with what protects visitors, and starts nothing new until it can note on the object what it does",
        (o.unnoted.again - o.now).total_seconds(),
        remedy="Let the operator update the object",
    )


def what_was_found_is_recorded(o: Observed) -> Step | None:
    """The object records how the zone was before the operator changed anything.

    The record is refreshed as long as nothing was done, so that it is never stale. Only what we
    issued counts as ours: whoever made a referenced leaf may have uploaded it, and then it is not
    ours to delete.
    """
    if not isinstance(o.zone, ObservedZone):
        return None  # nothing is done without the zone; the rule that needs it says why it is not there
    if not o.record.untouched and o.record.baseline:
        return None
    if step := _our_own_work_is_no_baseline(o, o.zone):
        return step
    issued = o.spec.certificate.generate is not None
    foreign = tuple(sorted(c.id for c in o.zone.certificates if not (c.ours and issued)))
    baseline = Baseline(o.zone.enabled, foreign)
    if o.record.baseline == baseline and o.record.zone_id == o.zone.id:
        return None
    state = "enabled" if o.zone.enabled else "disabled"
    return Note(
        o.noting(baseline=baseline, zone_id=o.zone.id),
        f"Authenticated Origin Pulls were {state} on the zone, which held {len(foreign) or 'no'} certificate{'' if len(foreign) == 1 else 's'} of others",
    )


def _our_own_work_is_no_baseline(o: Observed, zone: ObservedZone) -> Note | None:
    """What a lost record named, as far as our own traces show it.

    What is there because of us is not how the zone was found.
    """
    claimed = {origin.target: claim for origin in o.origins if (claim := configured(origin).may_do)}
    pins = {
        *o.record.uploaded,
        *(c.pin for c in ours_listed(o)),
        *(pin for claim in claimed.values() for pin in claim.pins),
    }
    if not claimed and not pins:
        return None
    issued = o.spec.certificate.generate is not None
    theirs = tuple(sorted(c.id for c in zone.certificates if c.ours and not issued))
    return Note(
        o.noting(
            zone_id=zone.id,
            baseline=Baseline(enabled=False, foreign=theirs),
            uploaded=tuple(sorted(pins)),
            claimed=tuple(sorted({*o.record.claimed, *claimed})),
        ),
        "the record was lost, and with it how the operator found the zone. A removal will disable Authenticated Origin Pulls, unless somebody "
        "else's certificate is deployed by then"
        + (
            "; it leaves a certificate with the referenced leaf, which may be its owner's"
            if theirs
            else ""
        ),
    )


def spec_is_acceptable(o: Observed) -> Step | None:
    """The spec passes the checks that the schema cannot express."""
    if o.spec.suspend:
        return Block(
            Reason.SUSPENDED,
            f"spec.suspend is true, so the operator starts nothing new. It still opens origins that refuse visitors. {Reason.SUSPENDED.remedy}",
        )
    # Checked before anything is written. Later it delays only what needs the key pair, but not the
    # repair of what is published.
    if isinstance(o.key_pair, Unknown) and o.record.untouched:
        return unknown("The key pair cannot be read", o.key_pair, Reason.TRANSIENT_ERROR)
    return None


def zone_is_ours(o: Observed) -> Step | None:
    """No other object manages the zone, and the token sees it.

    Every other object for the zone says which one manages it.
    """
    if isinstance(o.rivals, Unknown):
        return unknown(
            "The other AuthenticatedOriginPulls cannot be listed", o.rivals, Reason.TRANSIENT_ERROR
        )
    other = claimant(o)
    if other is None:
        return None
    return Block(
        Reason.ZONE_CLAIMED,
        f"AuthenticatedOriginPull {other.key} already manages zone {o.spec.zone.name}. {Reason.ZONE_CLAIMED.remedy}",
    )


def claimant(o: Observed) -> Rival | None:
    """The other object to which the zone belongs; None: it may be this one's.

    Whichever object has the zone keeps it, even without its token, because it may protect visitors.
    Of several that begin, the oldest has it, then the one with the smallest uid. An object whose
    own token has not seen the zone gives way to nobody, and does nothing either.
    """
    zone_id = o.zone.id if isinstance(o.zone, ObservedZone) else o.object.holds
    mine = (zone_id != o.object.holds, o.object.created, o.object.uid)
    others = () if isinstance(o.rivals, Unknown) or zone_id is None else o.rivals
    ahead = [r for r in others if r.zone_id == zone_id and (not r.holds, r.created, r.uid) < mine]
    return min(ahead, key=lambda r: (not r.holds, r.created, r.uid), default=None)


def zone_is_eligible(o: Observed) -> Step | None:
    """The token works, the zone is active, and its SSL mode lets the edge present a certificate.

    And nobody's certificate is displaced without consent.
    """
    name = o.spec.zone.name
    if isinstance(o.zone, Unknown):
        return unknown(f"Zone {name} cannot be read", o.zone, Reason.WAITING_FOR_CLOUDFLARE)
    if o.zone is None:
        return Block(
            Reason.ZONE_NOT_FOUND,
            f"The token sees no zone {name}. Check spec.zone and the token's Zone Resources",
        )
    if not o.zone.active:
        return Block(
            Reason.ZONE_NOT_ACTIVE,
            f"Zone {name} is not active at Cloudflare (it is pending, moved or paused), so no request passes its edge. Activate it there",
        )
    if o.zone.ssl_mode not in PRESENTING_SSL_MODES:
        return Block(
            Reason.SSL_MODE_TOO_LOW,
            f"The SSL/TLS mode of zone {name} is {o.zone.ssl_mode!r}, in which the edge presents no certificate. {Reason.SSL_MODE_TOO_LOW.remedy}",
        )
    hosts = in_scope(o)
    if hosts and set(hosts) <= set(o.zone.outranked):
        return Block(
            Reason.HOSTS_SUPPRESSED,
            f"Per-hostname associations at Cloudflare outrank the zone's certificate for every host in scope ({', '.join(hosts[:5])}). {Reason.HOSTS_SUPPRESSED.remedy}",
        )
    return _nobodys_certificate_is_displaced(o, o.zone)


def _nobodys_certificate_is_displaced(o: Observed, zone: ObservedZone) -> Step | None:
    """What the zone presents now is ours, or nothing, or the user consents to outrank it."""
    if o.spec.certificate.replace_foreign:
        return None
    consent = "Origins outside this cluster that require that one would then refuse every request. If there are none, set spec.certificate.replaceForeign: true"
    newest = newest_active(zone)
    if zone.enabled and newest and not newest.ours:
        return Block(
            Reason.FOREIGN_CERTIFICATE,
            f"Zone {zone.name} presents certificate {newest.id}, which is somebody else's. Delete it at Cloudflare if nobody needs it. "
            f"Otherwise the operator's certificate would take its place. {consent}",
        )
    ours_is_presented = zone.enabled and newest is not None
    if zone.global_on and not ours_is_presented:
        return Block(
            Reason.FOREIGN_CERTIFICATE,
            f"Global Authenticated Origin Pulls are on, so zone {zone.name} presents Cloudflare's shared certificate. "
            f"Switch them off at Cloudflare if nobody needs them. Otherwise the operator's certificate would take its place. {consent}",
        )
    return None


def origins_are_eligible(o: Observed) -> Step | None:
    """Each origin exists, has a Ready replica, and has no setting that conflicts."""
    for origin in o.origins:
        if origin.wanted and (step := _eligible(origin) or _presentable(o, origin)):
            return step
    if not in_scope(o):
        if left_out := [one for origin in o.origins if origin.wanted for one in origin.left_out]:
            return Block(
                Reason.HOSTNAME_TOO_LONG,
                f"The origins can take no host in scope. {left_out[0].host}: {left_out[0].why}",
            )
        return Block(
            Reason.NO_HOSTS,
            f"spec.hostnames names only wildcards, and no Ingress has a host under them. {Reason.NO_HOSTS.remedy}",
        )
    return None


def _presentable(o: Observed, origin: ObservedOrigin) -> Step | None:
    """The key pair can be presented. Checked before anything is written.

    Later it delays only the enabling, and not what other hosts need.
    """
    disabled = isinstance(o.zone, ObservedZone) and not o.zone.enabled
    return nobody_is_refused_by_others(o, origin) if o.record.untouched and disabled else None


def _eligible(origin: ObservedOrigin) -> Step | None:
    """What prevents work on one origin, the most basic reason first."""
    words = origin.words
    if not origin.allowed:
        return Block(
            Reason.ORIGIN_NOT_ALLOWED,
            f"The operator may not write {words.place}. {words.not_allowed}",
        )
    if isinstance(origin.configured, Unknown):
        return unknown(f"{words.place} cannot be read", origin.configured, Reason.TRANSIENT_ERROR)
    if origin.configured is None:
        return Block(
            Reason.ORIGIN_NOT_FOUND,
            f"{words.place} of origin {origin.name} does not exist. {words.missing}",
        )
    if isinstance(origin.replicas, Unknown):
        return unknown(
            f"The replicas of origin {origin.name} cannot be listed",
            origin.replicas,
            Reason.TRANSIENT_ERROR,
        )
    if not origin.readers:
        return Block(
            Reason.NO_CONTROLLER,
            f"Origin {origin.name}: {words.unread}",
        )
    if not any(replica.ready for replica in origin.replicas):
        return Block(
            Reason.NO_REPLICAS,
            f"None of the {origin.readers} pods that read {words.place} is Ready. {words.unready}",
        )
    return (
        Block(Reason.FOREIGN_CONFIGURATION, origin.foreign)
        if origin.foreign
        else _until_it_listens(origin)
    )


def _until_it_listens(origin: ObservedOrigin) -> Wait | None:
    """None while everything about the origin can be read, and it takes up what is written."""
    if origin.stale:
        return Wait(Reason.TRANSIENT_ERROR, f"Origin {origin.name}: {origin.stale}", 5.0)
    if origin.stuck:
        return Wait(Reason.CONTROLLER_STUCK, origin.stuck, 5.0, origin.published_at)
    asked = origin.replicas if isinstance(origin.replicas, tuple) else ()
    # A replica that is not Ready but may still serve is another matter, which `until_applied`
    # covers.
    if errors := [f"pod {r.name}: {r.error}" for r in asked if r.error and r.ready]:
        return Wait(
            Reason.ORIGIN_UNREACHABLE,
            f"The operator cannot ask origin {origin.name}: {'; '.join(errors)}. {origin.words.unreached}",
            5.0,
        )
    return None
