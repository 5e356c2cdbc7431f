"""What must hold of every effect of the operator, judged by the world in which it takes effect.

Each check yields `(promise, detail)`, as those of `model.checks` do. `Effect.current` tells an
effect that the rules would decide again now from one that the world has overtaken since: nobody can
be blamed for what nobody could have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from model.change import with_zone
from model.decisions import Decisions
from model.observation import observe
from model.rendering import names
from model.world import (
    ACTIVE,
    DELETING,
    FULL,
    IN_FORCE,
    MARRED,
    NO_RUN,
    OFF,
    OPTIONAL,
    OURS,
    PENDING,
    REQUIRE,
    THERE,
    UNLISTED,
    WHOLE,
    WORKS,
    Claim,
    F,
    Loaded,
    Origin,
    Plan,
    R,
    Record,
    Run,
    Setting,
    World,
    Zone,
    mode_at,
    presented,
    refused,
    rejected,
    shown,
    strictest,
    troubled,
    will_hurt,
)

Broken = Iterator[tuple[str, str]]
STANDSTILL = frozenset(
    {
        "the zone is paused",
        "global AOP is on",
        "every host has an association",
        "an older object names the zone",
        "the other objects cannot be listed",
        "the text of others must not stand beside ours",
        "the ConfigMap is not allowed",
    }
)
"""What is wrong until a person has acted: nothing that goes further is done meanwhile."""
NARROWING = frozenset({"a hostname is too long", "no host is known"})
"""What takes hosts out of the scope, so that they are not required any more."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One step as it takes effect in a world."""

    w: World
    z: int
    step: tuple[Any, ...]
    after: World
    s: Setting
    current: bool
    """The rules would take the same step again now."""

    @property
    def zone(self) -> Zone:
        """The zone that it is done for."""
        return self.w.zones[self.z]


def in_step(
    w: World,
    z: int,
    plan: Plan,
    after: World,
    s: Setting,
    decisions: Decisions,
    races: dict[str, int],
) -> Broken:
    """What must hold of one effect; what could not have been known is counted in `races`."""
    informed = with_zone(w, z, w.zones[z]._replace(plan=None, unread=None))
    effect = Effect(
        w, z, plan.step, after, s, current=decisions.decide(observe(informed, z, s))[0] == plan.step
    )
    yield from adds_nobody_refused(effect, races)
    for other in range(len(w.zones)):
        if other != z:
            yield from on_another(effect, other)
    if effect.current:
        yield from standing_still(effect)
    for kind, check in CHECKS:
        if kind == plan.step[0]:
            yield from check(effect)


# --- of every step ---------------------------------------------------------------------------------------------------


def adds_nobody_refused(e: Effect, races: dict[str, int]) -> Broken:
    """T1 and T2: no step of ours adds to those refused."""
    worse = will_hurt(e.after, e.z, e.s) & ~will_hurt(e.w, e.z, e.s)
    tightens = e.step[0] == "Publish" and stricter(e.step[2], e.w, e.z, e.step[1])
    if worse and (e.s.quiet or (e.current and not tightens)):
        yield (
            ("T1" if e.s.quiet else "T2") + " the operator's own step makes requests fail",
            f"{names(worse)} will be refused",
        )
    elif worse:
        kind = "tightened on a proof that the edge has outlived, which the API has not shown"
        kind = kind if e.current else "a decision that the world has overtaken"
        races[kind] = races.get(kind, 0) + 1


def on_another(e: Effect, other: int) -> Broken:
    """T5: one zone's step changes nothing for another zone."""
    for before, now in zip(e.w.origins, e.after.origins, strict=True):
        if before.text is None or now.text is None or before.text == now.text:
            continue
        claim = now.text.claims[other]
        if before.text.damage != WHOLE:
            if claim is not None and claim.mode > OFF:
                yield (
                    "T7 what another zone required before a reset is required again without a proof",
                    f"zone {other + 1}",
                )
            was = before.text.claims[other]
            if (
                before.text.damage == MARRED
                and was is not None
                and was.mode > OFF
                and all(r.runs.claims[other] == was for r in before.replicas)
            ):
                yield "T5 a step opens another zone", f"zone {other + 1}"
        elif before.text.claims[other] != claim:
            yield "T5 a step changes another zone's claim", f"zone {other + 1}"
    if (worse := will_hurt(e.after, other, e.s) & ~will_hurt(e.w, other, e.s)) and e.s.quiet:
        yield "T5 a step makes another zone's requests fail", names(worse)


def standing_still(e: Effect) -> Broken:
    """T6: where a person has said so, or has to mend something first, nothing goes further."""
    zone = e.zone
    if zone.deleting or not goes_further(e):
        return
    if zone.spec.suspend:
        yield "T6 goes further although it is suspended", str(e.step)
    if e.step[0] == "Publish" and takes_no_text(e, e.w.origins[e.step[1]]):
        yield "T6 goes further although the controllers take nothing", str(e.step)
    outranked = zone.ill == "global AOP is on" and (
        zone.spec.replace_foreign or (zone.enabled and presented_if_enabled(zone))
    )
    if zone.ill in STANDSTILL and not outranked:
        yield (
            "T6 goes further although something is wrong that a person has to mend",
            f"{zone.ill}: {e.step}",
        )


def takes_no_text(e: Effect, origin: Origin) -> bool:
    """Nginx's own words say that somebody else's line keeps it from loading what we have written."""
    return origin.stuck and origin.pods == THERE and not shown(origin)


def goes_further(e: Effect) -> bool:
    """Whether an effect brings the world nearer to a requirement: keys, an upload, the zone enabled, a first claim, or more asked of visitors."""
    match e.step:
        case ("Issue" | "Upload", *_) | ("SetEnabled", True):
            return True
        case ("Publish", i, Claim() as claim, _):
            now, text = claim_in(e.w, i, e.z), e.w.origins[i].text
            begins = text is not None and text.claims[e.z] is None
            return begins or claim.mode > (now.mode if now is not None else OFF)
    return False


# --- of one kind of step ---------------------------------------------------------------------------------------------


def of_a_note(e: Effect) -> Broken:
    """T4: what was found is noted as it is. T6: a rotation is noted once it has begun."""
    zone, record = e.zone, e.step[1]
    if not e.current or not isinstance(record, Record):
        return
    baseline = (
        zone.enabled,
        sum(
            c
            for c, _, listed in zone.certificates
            if listed != UNLISTED and not known_for_ours(zone, e, c)
        ),
    )
    begins = (
        not (zone.record.uploaded or zone.record.claimed)
        and (record.uploaded or record.claimed)
        and zone.unread is None
    )
    lost = (
        "record" in e.s.moves and record.baseline is False
    )  # how it was found is not known any more, and our own work is no baseline
    if not lost and (record.baseline, record.foreign) not in (
        {baseline} if begins else {(zone.record.baseline, zone.record.foreign), baseline}
    ):
        yield "T4 what was found is not noted as it is", f"{record} instead of {baseline}"
    if (
        record.rotated
        and not zone.record.rotated
        and e.s.generate
        and zone.rotate
        and not zone.next
    ):
        yield "T6 a rotation counts as done that was not begun", ""


def known_for_ours(zone: Zone, e: Effect, who: int) -> bool:
    """Whether what lies at Cloudflare is surely ours: issued by us, or named by the record."""
    return bool(who & OURS[e.z]) and (e.s.generate or bool(who & zone.record.uploaded))


def of_a_key(e: Effect) -> Broken:
    """T3: no key that nobody asked for."""
    zone = e.zone
    if e.step[1] == "first" and zone.leaf and e.after.zones[e.z].used != zone.used:
        yield "T3 a new key although there is one", ""
    if e.step[1] == "next" and not zone.rotate and not zone.due and e.current:
        yield "T3 a new key that nobody asked for", ""


def of_a_promotion(e: Effect) -> Broken:
    """A next leaf comes into use once the edge is proven to present it."""
    claimed = [claim for i in range(len(e.w.origins)) if (claim := claim_in(e.w, i, e.z))]
    required = {h for claim in claimed for h in range(len(e.s.hosts)) if claim.hosts >> h & 1}
    required = {h for h in required if not troubled(e.w, e.z, h, e.s)} or required
    if e.current and any(
        run.presented != e.step[1] or run.length != FULL
        for run in (e.zone.runs[h] for h in required)
    ):
        yield "T7 a leaf comes into use without a proof of each required host", names(e.step[1])
    if e.s.quiet and e.zone.edge & ~e.step[1]:
        yield (
            "T6 a leaf comes into use that is not presented everywhere",
            f"the edge presents {names(e.zone.edge)}",
        )


def of_an_upload(e: Effect) -> Broken:
    """T1: whoever refuses anybody accepts what is about to be presented.

    T4: nobody's certificate is displaced without consent.
    """
    zone, who = e.zone, e.step[1]
    if e.s.quiet or e.current:
        for runs in (one for origin in e.w.origins for one in serving(origin)):
            hosts = range(len(e.s.hosts))
            if any(
                mode_at(runs, e.z, h) >= OPTIONAL and refused(runs, e.z, h, who, zone.expired)
                for h in hosts
            ):
                yield (
                    "T1 uploaded before every replica that refuses somebody accepts it",
                    names(who),
                )
                break
    if (
        e.current
        and zone.enabled
        and presented_if_enabled(zone) == F
        and not zone.spec.replace_foreign
    ):
        yield "T4 displaces somebody else's certificate without consent", names(who)
    if not who & (zone.leaf | zone.next) and e.after.zones[e.z].certificates != zone.certificates:
        yield "T3 uploads a leaf that no Secret holds", names(who)
    if e.current and who & (zone.expiring | zone.expired):
        yield "T6 uploads a leaf that is about to expire", names(who)


def of_a_deletion(e: Effect) -> Broken:
    """T4: what is not ours stays, and what is ours goes when nobody can miss it."""
    zone, who = e.zone, e.step[1]
    if not who & OURS[e.z] or who & e.s.before:
        yield "T4 deletes what is not ours", names(who)
    if not e.current:
        return
    yield from although_it_stays(e)
    if (
        zone.deleting
        and strictest(e.w, e.z, e.s) >= OPTIONAL
        and any(o.text is not None for o in e.w.origins)
    ):
        yield "T4 deletes before un-enforcement is seen everywhere", ""
    if not zone.deleting and who == presented(zone, e.s) and strictest(e.w, e.z, e.s) >= OPTIONAL:
        yield "T2 deletes what the edge presents while somebody is refused", names(who)
    if any(c == who and state in {PENDING, DELETING} for c, state, _ in zone.certificates):
        yield "T6 asks to delete what Cloudflare is still deploying or deleting", names(who)


def although_it_stays(e: Effect) -> Broken:
    """T4: where the spec says so, a removal leaves Cloudflare alone."""
    if e.zone.deleting and e.zone.spec.retain:
        yield "T4 changes at Cloudflare what the spec retains", str(e.step)


def of_enabling(e: Effect) -> Broken:
    """T2 and T4: the zone stops presenting when nobody can miss it, and presents nothing of anybody else's."""
    zone = e.zone
    if not e.current:
        return
    yield from although_it_stays(e)
    foreign = any(c == F and state == ACTIVE for c, state, _ in zone.certificates)
    if (
        not e.step[1]
        and foreign
        and not e.s.before & F
        and (zone.deleting or presented_if_enabled(zone) == F)
    ):
        yield "T4 disables a zone that somebody else uses", ""
    if (
        not e.step[1]
        and strictest(e.w, e.z, e.s) >= REQUIRE
        and any(o.text is not None for o in e.w.origins)
    ):
        yield "T2 disables the zone before un-enforcement is seen everywhere", ""
    if e.step[1] and foreign and presented_if_enabled(zone) == F and not zone.spec.replace_foreign:
        yield "T4 enables somebody else's certificate", ""


def of_a_text(e: Effect) -> Broken:
    """T5: no pin of another zone. T4: the record names what is written. T6: no write for nothing.

    T2: losses are remembered.
    """
    zone, i, claim = e.zone, e.step[1], e.step[2]
    if claim.trust & ~OURS[e.z]:
        yield "T5 another's certificate is trusted", names(claim.trust & ~OURS[e.z])
    if not e.current:
        return
    now = claim_in(e.w, i, e.z)
    if claim.mode > zone.spec.mode and claim.mode > (now.mode if now is not None else OFF):
        yield "T2 publishes more than the spec asks for", ""
    if not zone.record.claimed >> i & 1 and "record" not in e.s.moves:
        yield "T4 a ConfigMap is written that the record does not name", ""
    if now is None:
        return
    text = e.w.origins[i].text
    damaged = (
        text is not None and text.damage != WHOLE
    )  # what is unproven in it is raised again from Off
    if claim.mode == OFF < now.mode and not damaged and not gives_reason_to_stop_asking(e, i):
        yield "T6 stops asking where asking refuses nobody", ""
    if not asked_for_less(e, i):
        yield from given_up(e, i, now)


def given_up(e: Effect, i: int, now: Claim) -> Broken:
    """T2: a host is relaxed for what it has lost itself, unless nobody is presented our certificate; and it is held off."""
    zone, origin, claim = e.zone, e.w.origins[i], e.step[2]
    for h in range(len(e.s.hosts)):
        if (
            now.mode < OPTIONAL
            or not now.hosts >> h & 1
            or (claim.mode >= OPTIONAL and claim.hosts >> h & 1)
        ):
            continue
        if e.z == 0 and origin.own & ~origin.hidden & 1 << h and not is_lost_by_all(e, now):
            yield "T2 a host is relaxed that somebody else's configuration refuses", f"host {h}"
        whole = origin.text is not None and origin.text.damage == WHOLE
        if whole and not zone.record.hold_off & (1 | 2 << h):
            yield "T2 relaxed after a loss, and not held off", f"host {h}"
        if (
            not lost(e, i, now, h)
            and not is_lost_by_all(e, now)
            and (whole or still_done(e, origin, h, now))
        ):
            yield "T2 a host is relaxed that has lost nothing", f"host {h}"


def still_done(e: Effect, origin: Origin, host: int, now: Claim) -> bool:
    """Every replica does for the host what a damaged text says all the same, and its proof is whole: it is put back as it is."""
    run, up = e.zone.runs[host], [r for r in origin.replicas if r.up]
    seen = not troubled(e.w, e.z, host, e.s) and all(
        mode_at(r.runs, e.z, host) >= now.mode for r in up
    )
    return (
        seen
        and run.length == FULL
        and run.presented == (e.zone.next or e.zone.leaf)
        and arrives_well(run, now)
    )


def lost(e: Effect, i: int, now: Claim, host: int) -> bool:
    """Answers of the host came with what this claim refuses, in a row or in turn, or a replica refuses a leaf of ours that may be presented."""
    zone, ours, run = (
        e.zone,
        (e.zone.leaf | e.zone.next) & e.zone.record.uploaded,
        e.zone.runs[host],
    )
    in_a_row = (
        bool(run.recent) and not run.recent & (run.recent - 1) and bool(run.recent & ~now.trust)
    )
    refuses = any(
        r.up and refused(r.runs, e.z, host, ours, zone.expired) for r in e.w.origins[i].replicas
    )
    return in_a_row or bool(run.share & ~now.trust) or refuses


def is_lost_by_all(e: Effect, now: Claim) -> bool:
    """Cloudflare was read not to present what the claim trusts, or the servers themselves refuse what comes and nobody arrives well."""
    zone = e.zone
    enabled, certificates = (zone.unread or zone).enabled, (zone.unread or zone).certificates
    newest = next(
        (
            c
            for c, state, listed in reversed(certificates)
            if state == ACTIVE and listed != UNLISTED
        ),
        0,
    )
    required = [zone.runs[h] for h in range(len(e.s.hosts)) if now.hosts >> h & 1]
    refused_itself = any(run.recent & R or run.share & R for run in zone.runs) and not any(
        arrives_well(run, now) for run in required
    )
    return (zone.access == WORKS and not (enabled and newest & now.trust)) or refused_itself


def arrives_well(run: Run, claim: Claim) -> bool:
    """The host was just seen to come with what the claim trusts."""
    return run.length != NO_RUN and not run.aged and bool(run.presented & claim.trust)


def gives_reason_to_stop_asking(e: Effect, i: int) -> bool:
    """Whether even asking does harm, or nobody wants it any more."""
    zone, origin = e.zone, e.w.origins[i]
    doubted = (
        bool(zone.expired)
        or bool(zone.record.rejected)
        or rejected(origin)
        or zone.ill in NARROWING
    )
    return zone.deleting or doubted or not zone.spec.origins >> i & 1


def asked_for_less(e: Effect, i: int) -> bool:
    """Whether a requirement goes for another reason than a loss."""
    zone = e.zone
    return (
        gives_reason_to_stop_asking(e, i)
        or zone.spec.mode < OPTIONAL
        or bool(zone.expiring)
        or zone.spec.narrow
    )


def of_a_withdrawal(e: Effect) -> Broken:
    """T4: our claim stays until nobody is refused by it any more; what is rejected cannot tell anybody anything."""
    origin = e.w.origins[e.step[1]]
    if (
        e.current
        and not rejected(origin)
        and any(
            mode_at(one, e.z, h) >= OPTIONAL
            for one in serving(origin)
            for h in range(len(e.s.hosts))
        )
        and origin.text is not None
        and origin.text.damage in IN_FORCE
    ):
        yield "T4 our claim is taken out of an origin that still refuses somebody", ""


CHECKS = (
    ("Note", of_a_note),
    ("Issue", of_a_key),
    ("Promote", of_a_promotion),
    ("Upload", of_an_upload),
    ("Delete", of_a_deletion),
    ("SetEnabled", of_enabling),
    ("Publish", of_a_text),
    ("Withdraw", of_a_withdrawal),
)


# --- facts -----------------------------------------------------------------------------------------------------------


def serving(origin: Origin) -> list[Loaded]:
    """What the workers of the Ready replicas run, also the old ones that linger."""
    return [one for r in origin.replicas if r.up for one in (r.runs, r.old) if one is not None]


def claim_in(w: World, i: int, z: int) -> Claim | None:
    """What stands in a whole text."""
    text = w.origins[i].text
    return text.claims[z] if text is not None and text.damage in IN_FORCE else None


def stricter(claim: Claim, w: World, z: int, i: int) -> bool:
    """Whether publishing this claim refuses more than what the ConfigMap says now."""
    if claim.mode < OPTIONAL:
        return False
    now = claim_in(w, i, z)
    return now is None or claim.mode > now.mode or bool(claim.hosts & ~now.hosts)


def presented_if_enabled(zone: Zone) -> int:
    """What the zone would present if it were enabled."""
    return next((c for c, state, _ in reversed(zone.certificates) if state == ACTIVE), 0)
