"""TEARDOWN: removal in reverse, each step seen before the next (promise S7).

It waits without limit only while a replica still refuses somebody. Once nobody is refused,
everything at Cloudflare together has ten minutes by one clock, whatever delays it: a token that is
refused, no longer sees the zone or may only read, calls that get no answer, a certificate that
never reaches its end. Then the object is released, and the operator names what is left behind.
"""

from __future__ import annotations

from datetime import timedelta

from aop.errors import Reason
from aop.observed import (
    ENABLED,
    CertificateState,
    Configured,
    Observed,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedZone,
    Unknown,
)
from aop.plan.claims import CUT_OFF, claim_of, until_applied
from aop.plan.facts import configured, ours_listed, replicas, was_there_before, working_on
from aop.plan.prepare import put_back_by_others
from aop.steps import Block, Delete, Publish, SetEnabled, Step, Wait, Withdraw
from aop.terms import Mode, Pin


def origins_refuse_nobody(o: Observed) -> Step | None:
    """Every replica was seen to refuse no visitors.

    Every claim is at Off, and was *seen* so on every replica; something that is missing proves
    nothing. It is Off and not Request, because what the zone presents after our certificates are
    gone may be expired, and asking alone refuses that.
    """
    for origin in o.origins:
        if step := _refuses_nobody(o, origin):
            return step
    return None


def _refuses_nobody(o: Observed, origin: ObservedOrigin) -> Step | None:
    """What there is still to do, or to see, before one origin refuses nobody."""
    if isinstance(origin.configured, Unknown):
        return Wait(
            Reason.REMOVING,
            f"{origin.words.place} cannot be read: {origin.configured.message}",
            5.0,
        )
    gone = _nothing_of_ours_runs(origin)
    if not gone and (step := _text_refuses_nobody(o, origin)):
        return step
    if isinstance(origin.replicas, Unknown):
        return Wait(
            Reason.REMOVING,
            f"The replicas of origin {origin.name} cannot be listed: {origin.replicas.message}",
            5.0,
        )
    if not gone and (wait := _until_seen(origin)):
        return wait
    if origin.target not in o.record.claimed:
        return None
    return _every_replica_answers(origin) or _nothing_runs_that_was_taken_out(origin)


def _text_refuses_nobody(o: Observed, origin: ObservedOrigin) -> Step | None:
    """Whether our published claim is whole, and at Off."""
    published = configured(origin)
    if published.may_do is None or (published.may_do.mode <= Mode.OFF and published.intact):
        return None
    again_and_again = (
        origin.overwritten if _harmless(origin, published) and not published.intact else None
    )
    if again_and_again is not None and o.now < again_and_again.until:
        return Wait(
            Reason.REMOVING,
            f"The operator waits until no replica runs its text. {put_back_by_others(o, origin, again_and_again)}",
            2.0,
        )
    return Publish(
        origin.name,
        origin.target,
        claim_of(o, origin, Mode.OFF),
        "no origin may refuse visitors while the operator restores the zone",
    )


def _until_seen(origin: ObservedOrigin) -> Wait | None:
    """Every replica was seen to run what is published, or to refuse nobody."""
    wait = until_applied(origin) if configured(origin).claim and origin.replicas else None
    if wait is None or _strangers_pass(origin):
        return None
    return Wait(
        Reason.REMOVING,
        f"The operator removes nothing while a replica may still refuse visitors. {wait.message}",
        wait.seconds,
        wait.since,
        wait.remedy,
    )


def _every_replica_answers(origin: ObservedOrigin) -> Wait | None:
    """Every replica answers, because one that does not may refuse visitors."""
    silent = [r.name for r in replicas(origin) if r.error]
    if not silent:
        return None
    return Wait(
        Reason.REMOVING,
        f"Pod {silent[0]} does not answer the operator, so it may still refuse visitors",
        5.0,
        remedy=CUT_OFF,
    )


def _nothing_runs_that_was_taken_out(origin: ObservedOrigin) -> Step | None:
    """No replica goes on with a text of ours that somebody has taken out."""
    published = configured(origin)
    if published.claim is not None:
        return None
    hidden = [r.name for r in replicas(origin) if r.revision not in {None, published.revision}]
    if hidden and not origin.hosts:
        return Wait(
            Reason.REMOVING,
            f"Pod {hidden[0]} still runs an older text of {origin.words.place}, and the operator knows no host by which it could ask whether the pod "
            "refuses anybody. It waits until the pod runs the current text",
            5.0,
            remedy=f"If {origin.words.place} is gone, create it again, or delete the pod",
        )
    refusing = [r.name for r in replicas(origin) if r.strictest >= Mode.OPTIONAL]
    if not refusing:
        return None
    return Block(
        Reason.REMOVING,
        f"Pod {refusing[0]} still refuses requests, although the operator's text is gone from {origin.words.place}. Create {origin.words.place} again, or delete the pod",
    )


def _nothing_of_ours_runs(origin: ObservedOrigin) -> bool:
    """Whether nothing of ours runs, after somebody took our text out or changed a harmless one.

    Every replica was seen to run what is there instead. To put it right first would never end where
    a tool puts the other text back within seconds, or a policy changes each write.
    """
    published, asked = configured(origin), replicas(origin)
    runs = {None} if published.standing is None else {None, published.revision}
    reset = not published.intact and _harmless(origin, published)
    return (
        reset
        and bool(asked)
        and all(
            not r.error and r.settled and r.revision in runs and r.strictest < Mode.OPTIONAL
            for r in asked
        )
    )


def _harmless(origin: ObservedOrigin, published: Configured) -> bool:
    """Whether nothing is left of our text, or only what refuses nobody and others keep changing."""
    return published.standing is None or (
        published.standing.mode is Mode.OFF and origin.overwritten is not None
    )


def _strangers_pass(origin: ObservedOrigin) -> bool:
    """Whether every replica was asked about every host and refuses nobody.

    If other people's pages hide which text it runs, no more than that can be seen.
    """
    asked = [(replica, replica.seen(host)) for replica in replicas(origin) for host in origin.hosts]
    return bool(asked) and all(
        r.settled and not r.error and b is not None and b.odd and b.mode < Mode.OPTIONAL
        for r, b in asked
    )


def given_up(o: Observed) -> bool:
    """Whether Cloudflare's time is over, which began when nobody was refused any more.

    Whatever has not ended by then is left to a person.
    """
    return o.removing_since is not None and o.now - o.removing_since >= timedelta(
        seconds=o.limits.teardown_patience_s
    )


def _awaited(o: Observed, what: str, seconds: float) -> Wait | None:
    """The wait for Cloudflare, whatever the reason; None once its time is over."""
    if given_up(o):
        return None
    patience = timedelta(seconds=o.limits.teardown_patience_s)
    until = "for a while"
    if o.removing_since:
        until = f"until {o.shown(o.removing_since + patience):%H:%M:%S} UTC"
    left = (
        f"No replica refuses visitors any more. The operator waits for Cloudflare {until}. "
        "After that it removes its finalizer, and an Event names what is left at Cloudflare"
    )
    return Wait(Reason.REMOVING, f"{what}. {left}", seconds, o.removing_since)


def _attempted(o: Observed, step: SetEnabled | Delete) -> Step | None:
    """The change; None once Cloudflare's time is over and exactly this change was refused."""
    what = ENABLED if isinstance(step, SetEnabled) else step.certificate_id
    return None if given_up(o) and any(refusal.what == what for refusal in o.refusals) else step


def _may_be_there(o: Observed) -> tuple[Pin, ...]:
    """The leaves that Cloudflare may have because of us; sorted.

    By the record, by Cloudflare's list, and, if the record is lost, by our claims; while the list
    cannot be read, also by the key pair that we made.
    """
    claims = [claim for origin in o.origins if (claim := configured(origin).may_do)]
    blind = (
        o.record.baseline is None
        and not isinstance(o.zone, ObservedZone)
        and o.spec.certificate.generate is not None
    )
    made = (
        (o.key_pair.leaf, o.key_pair.next)
        if blind and isinstance(o.key_pair, ObservedKeyPair)
        else ()
    )
    named = (
        *o.record.uploaded,
        *(c.pin for c in ours_listed(o)),
        *(pin for claim in claims for pin in claim.pins),
        *made,
    )
    return tuple(sorted({pin for pin in named if pin}))


def _cloudflare_is_left_alone(o: Observed) -> bool:
    """Whether nothing is to be put back at Cloudflare: by a wish, or because nothing was done."""
    return o.spec.deletion_policy == "Retain" or not _may_be_there(o)


def zone_is_as_found(o: Observed) -> Step | None:
    """The zone's setting is as it was before, or disabled if the record of that is lost.

    A certificate of somebody else's that has come since keeps it on.
    """
    if _cloudflare_is_left_alone(o):
        return None
    if not isinstance(o.zone, ObservedZone):
        return _awaited(o, _unreadable(o), 10.0)
    if _as_found(o, o.zone):
        return None
    enabled = o.record.baseline is not None and o.record.baseline.enabled
    why = f"they were {'enabled' if enabled else 'disabled'} on the zone before this object managed it"
    if o.record.baseline is None:
        why = "the record of how the zone was is lost, and what it presents is this object's certificate"
    return _attempted(o, SetEnabled(o.zone.id, enabled=enabled, why=why))


def _unreadable(o: Observed) -> str:
    """Why the zone cannot be seen, and so cannot be put back."""
    name = o.spec.zone.name
    if isinstance(o.zone, Unknown):
        return f"Zone {name} cannot be read: {o.zone.message.rstrip('.')}"
    return f"The token sees no zone {name} any more. If the zone is still there, add it to the token's Zone Resources"


def _as_found(o: Observed, zone: ObservedZone) -> bool:
    """Whether the zone's setting is as it should be left."""
    return zone.enabled == (o.record.baseline is not None and o.record.baseline.enabled) or (
        zone.enabled and _used_by_others(o, zone)
    )


def _used_by_others(o: Observed, zone: ObservedZone) -> bool:
    """Whether somebody else's certificate was deployed on the zone since it was found."""
    return any(
        not c.ours and not was_there_before(o, c) and c.state is CertificateState.ACTIVE
        for c in zone.certificates
    )


def our_certificates_are_gone(o: Observed) -> Step | None:
    """Cloudflare has none of the operator's certificates.

    And the list is quiet, because an upload whose answer was lost may arrive late.
    """
    if _cloudflare_is_left_alone(o) or not isinstance(o.zone, ObservedZone):
        return None
    for certificate in ours_listed(o):
        if certificate.state in {CertificateState.ACTIVE, CertificateState.FAILED}:
            step: Step | None = _attempted(
                o,
                Delete(
                    o.zone.id, certificate.id, certificate.pin, "no origin requires it any more"
                ),
            )
        else:
            step = _awaited(
                o,
                f"Cloudflare is still {working_on(certificate)} certificate {certificate.id}",
                1.0,
            )
        if step:
            return step
    if o.still or ours_listed(o):
        return None
    return _awaited(
        o,
        "Cloudflare no longer lists the certificate. The list can be out of date, so the operator checks it a little longer",
        2.0,
    )


def origins_are_as_found(o: Observed) -> Step | None:
    """No origin has the operator's configuration.

    The last claim takes the block out with it.
    """
    return next(
        (
            Withdraw(origin.name, origin.target)
            for origin in o.origins
            if configured(origin).may_do is not None
        ),
        None,
    )


def what_is_left_behind(o: Observed) -> str:
    """What a finished removal leaves behind at Cloudflare against its wish, in words.

    Empty if it leaves nothing.
    """
    if _cloudflare_is_left_alone(o):
        return ""
    name = o.spec.zone.name
    if not isinstance(o.zone, ObservedZone):
        leaves = ", ".join(pin.short for pin in _may_be_there(o))
        baseline = o.record.baseline
        was = "unknown"
        if baseline is not None:
            was = "enabled" if baseline.enabled else "disabled"
        return (
            f"zone {name} may still have certificates with leaf {leaves}, and Authenticated Origin Pulls as they are (before this object: {was}). "
            f"{_unreadable(o)}"
        )
    kept = [
        f"certificate {c.id} (leaf {c.pin.short}, {c.status or c.state})" for c in ours_listed(o)
    ]
    if not _as_found(o, o.zone):
        kept.append(f"Authenticated Origin Pulls {'enabled' if o.zone.enabled else 'disabled'}")
    if not kept:
        return ""
    why = (
        "; ".join(dict.fromkeys(refusal.why for refusal in o.refusals))
        or "Cloudflare did not finish in time"
    )
    return f"zone {name} keeps {' and '.join(kept)}: {why}"


def nobody_is_refused(o: Observed) -> bool:
    """Whether the removal has got as far as Cloudflare."""
    return o.object.deleting and origins_refuse_nobody(o) is None
