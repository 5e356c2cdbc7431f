"""The promises, as checks on worlds and on the operator's steps; never on what the operator believes.

Each yields `(promise, detail)`. T1 to T7 are named in `docs/state-space.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aop.errors import Reason
from model.change import with_zone
from model.meddle import ILLS
from model.mind import Mind
from model.sight import observe
from model.words import names
from model.world import (
    ACTIVE,
    DOWN,
    ELSEWHERE,
    FULL,
    OFF,
    OPTIONAL,
    OURS,
    REJECTED,
    REQUIRE,
    WHOLE,
    Claim,
    F,
    Plan,
    Setting,
    World,
    Zone,
    hurt,
    mode_at,
    presented,
    refused,
    rejected,
    strictest,
    will_hurt,
)

STANDSTILL = frozenset(
    {
        "the zone is paused",
        "global AOP is on",
        "every host has an association",
        "an older object names the zone",
        "the other objects cannot be listed",
        "an Ingress verifies by itself",
        "a hostname is too long",
        "the ConfigMap is not allowed",
    }
)
"""What is wrong until a person has acted: nothing that goes further is done meanwhile."""
Broken = Iterator[tuple[str, str]]


# --- at every instant ------------------------------------------------------------------------------------------------


def in_world(w: World, s: Setting) -> Broken:
    """What must hold in every world."""
    for z, zone in enumerate(w.zones):
        if s.quiet and (bad := hurt(w, z, s)):
            yield "T1 a request through the edge is refused", names(bad)
        ours = [c for c, _, _ in zone.certificates if c & OURS[z]]
        if len(ours) > 2:
            yield "T3 more than two certificates of ours", names(sum(ours))
        if zone.gone:
            yield from as_found(w, z, zone, s)


def as_found(w: World, z: int, zone: Zone, s: Setting) -> Broken:
    """T4: after a removal everything is as it was."""
    if zone.late or zone.zombie or zone.plan:
        return
    if strictest(w, z, s) >= OPTIONAL and any(origin.text is not None for origin in w.origins):
        yield "T4 the object is gone, an origin still refuses", ""
    if zone.spec.retain or zone.given_up or zone.ill == "the zone does not exist" or "record" in s.moves:
        return
    if any(c & OURS[z] for c, _, _ in zone.certificates):
        yield "T4 the object is gone, a certificate of ours is not", ""
    foreign = any(c == F for c, _, _ in zone.certificates)
    if "zone" not in s.moves and not foreign and zone.enabled != s.found:
        yield "T4 the zone is not put back as it was found", ""


# --- at every step ---------------------------------------------------------------------------------------------------


def in_step(w: World, z: int, plan: Plan, after: World, s: Setting, mind: Mind, races: dict[str, int]) -> Broken:  # noqa: C901, PLR0912 - a list of independent cases
    """What must hold of every effect of the operator; `w` is the world in which it takes effect."""
    step, zone = plan.step, w.zones[z]
    worse = will_hurt(after, z, s) & ~will_hurt(w, z, s)
    informed = with_zone(w, z, zone._replace(plan=None, unread=None))
    current = mind.decide(observe(informed, z, s))[0] == step
    tightens = step[0] == "Publish" and stricter(step[2], w, z, step[1])
    if worse and (s.quiet or (current and not tightens)):
        yield ("T1" if s.quiet else "T2") + " the operator's own step makes requests fail", f"{names(worse)} will be refused"
    elif worse:
        kind = (
            "tightened on a proof that the edge has outlived, which the API has not shown"
            if current
            else "a decision that the world has overtaken"
        )
        races[kind] = races.get(kind, 0) + 1
    for other in range(len(w.zones)):
        if other != z:
            yield from on_another(w, other, after, s)
    if current and goes_further(step, w, z) and not zone.deleting:
        if zone.spec.suspend:
            yield "T6 goes further although it is suspended", str(step)
        outranked = zone.ill == "global AOP is on" and (zone.spec.replace_foreign or (zone.enabled and presented_if_enabled(zone)))
        if zone.ill in STANDSTILL and not outranked:
            yield "T6 goes further although something is wrong that a person has to mend", f"{zone.ill}: {step}"
    match step:
        case ("Publish", _, Claim() as claim, _):
            if claim.trust & ~OURS[z]:
                yield "T5 another's certificate is trusted", names(claim.trust & ~OURS[z])
        case ("Issue", "first") if zone.leaf and after.zones[z].used != zone.used:
            yield "T3 a new key although there is one", ""
        case ("Issue", "next") if not zone.rotate and not zone.due and current:
            yield "T3 a new key that nobody asked for", ""
        case ("Upload", who) if s.quiet or current:
            yield from on_upload(w, z, who, s)
        case ("Delete", who):
            if not who & OURS[z]:
                yield "T4 deletes what is not ours", names(who)
            if zone.deleting and strictest(w, z, s) >= OPTIONAL and current and any(o.text is not None for o in w.origins):
                yield "T4 deletes before un-enforcement is seen everywhere", ""
        case ("SetEnabled", enabled):
            if current and not enabled and any(c == F and state == ACTIVE for c, state, _ in zone.certificates) and zone.deleting:
                yield "T4 disables a zone that somebody else uses", ""
            if current and not enabled and strictest(w, z, s) >= REQUIRE and any(o.text is not None for o in w.origins):
                yield "T2 disables the zone before un-enforcement is seen everywhere", ""
            if (
                enabled
                and current
                and any(c == F and state == ACTIVE for c, state, _ in zone.certificates)
                and presented_if_enabled(zone) == F
                and not zone.spec.replace_foreign
            ):
                yield "T4 enables somebody else's certificate", ""


def goes_further(step: tuple[Any, ...], w: World, z: int) -> bool:
    """Whether an effect brings the world nearer to a requirement: keys, an upload, the zone enabled, or more asked of visitors."""
    match step:
        case ("Issue" | "Upload", *_) | ("SetEnabled", True):
            return True
        case ("Publish", i, Claim() as claim, _):
            text = w.origins[i].text
            now = text.claims[z] if text is not None else None
            return claim.mode > (now.mode if now is not None else OFF)
    return False


def presented_if_enabled(zone: Zone) -> int:
    """What the zone would present if it were enabled."""
    return next((c for c, state, _ in reversed(zone.certificates) if state == ACTIVE), 0)


def on_another(w: World, other: int, after: World, s: Setting) -> Broken:
    """T5: one zone's step changes nothing for another zone."""
    for before, now in zip(w.origins, after.origins, strict=True):
        if before.text is None or now.text is None or before.text.damage != WHOLE:
            continue
        if before.text.claims[other] != now.text.claims[other]:
            yield "T5 a step changes another zone's claim", f"zone {other + 1}"
    if (worse := will_hurt(after, other, s) & ~will_hurt(w, other, s)) and s.quiet:
        yield "T5 a step makes another zone's requests fail", names(worse)


def stricter(claim: Claim, w: World, z: int, i: int) -> bool:
    """Whether publishing this claim refuses more than what the ConfigMap says now."""
    if claim.mode < OPTIONAL:
        return False
    text = w.origins[i].text
    now = text.claims[z] if text is not None and text.damage == WHOLE else None
    return now is None or claim.mode > now.mode or bool(claim.hosts & ~now.hosts)


def on_upload(w: World, z: int, who: int, s: Setting) -> Broken:
    """T1: whoever refuses anybody accepts what is about to be presented."""
    zone = w.zones[z]
    for origin in w.origins:
        for r in origin.replicas:
            runs = [r.runs, r.old] if r.old else [r.runs]
            for one in runs:
                if (
                    r.up
                    and one is not None
                    and any(mode_at(one, z, h) >= OPTIONAL and refused(one, z, h, who, zone.expired) for h in range(len(s.hosts)))
                ):
                    yield "T1 uploaded before every replica that refuses somebody accepts it", names(who)
                    return


def in_decision(w: World, z: int, plan: Plan, s: Setting) -> Broken:  # noqa: C901, PLR0912 - a list of independent cases
    """What must hold when a step is decided. T7: each new requirement has its own whole window behind it."""
    step, zone = plan.step, w.zones[z]
    if step[0] == "Upload" and not zone.record.uploaded & step[1]:
        yield "T3 an upload that no record names", names(step[1])
    if step[0] == "Done" and any(o.text is not None and o.text.claims[z] is not None for o in w.origins):
        yield "T4 the object is released, its claim is still there", ""
    if step == ("Done", True) and not zone.given_up:
        yield "T4 it gives Cloudflare up before ten minutes have passed", ""
    if step[0] != "Publish" or not stricter(step[2], w, z, step[1]):
        return
    claim, text = step[2], w.origins[step[1]].text
    now = text.claims[z] if text is not None and text.damage == WHOLE else None
    for host, kind in enumerate(s.hosts):
        if not claim.hosts >> host & 1:
            continue
        if now is not None and now.mode >= claim.mode and now.hosts >> host & 1:
            continue
        if kind != "edge":
            yield "T7 a host is required whose visitors do not come with our certificate", kind
            continue
        run = zone.runs[host]
        if run.length != FULL or run.void or zone.aged or not run.presented & claim.trust or not run.presented & OURS[z]:
            yield "T7 a host is required without its own fresh proof", f"host {host}"
        for i, origin in enumerate(w.origins):
            if i == step[1]:
                for r in origin.replicas:
                    if r.up and run.presented & ~(r.runs.claims[z] or Claim()).trust:
                        yield "T7 a host is required although a replica does not accept what was proven", ""


# --- where it ends ---------------------------------------------------------------------------------------------------


def at_goal(w: World, z: int, s: Setting) -> bool:
    """The world is as the spec asks."""
    zone = w.zones[z]
    if zone.gone:
        return True
    if zone.deleting or zone.next:
        return False
    hosts = sum(1 << h for h, kind in enumerate(s.hosts) if kind == "edge" and not (zone.spec.narrow and h))
    for i, origin in enumerate(w.origins):
        claim = None if origin.text is None else origin.text.claims[z]
        if not zone.spec.origins >> i & 1:
            if claim is not None or zone.record.claimed >> i & 1:
                return False
            continue
        want = Claim(zone.spec.mode, hosts if zone.spec.mode >= OPTIONAL else 0, zone.leaf, zone.spec.narrow)
        if (
            origin.text is None
            or origin.text.damage != WHOLE
            or claim != want
            or any(r.stale or not r.up or r.runs.claims[z] != want for r in origin.replicas)
        ):
            return False
    mine = [(c, state) for c, state, _ in zone.certificates if c & OURS[z]]
    return zone.enabled and zone.edge == zone.leaf and mine == [(zone.leaf, ACTIVE)]


def true_of(reason: str, w: World, z: int, s: Setting) -> bool:
    """Whether a reason to stand still is true of the world, and nothing that finishes by itself would change it."""
    zone = w.zones[z]
    foreign = presented_if_enabled(zone) == F
    facts = {
        Reason.TOKEN_REJECTED: zone.access == REJECTED,
        Reason.WAITING_FOR_CLOUDFLARE: zone.access == DOWN,
        Reason.SSL_MODE_TOO_LOW: not zone.ssl,
        Reason.CONFIG_MAP_NOT_FOUND: any(o.text is None and zone.spec.origins >> i & 1 for i, o in enumerate(w.origins)),
        Reason.FOREIGN_CERTIFICATE: foreign or zone.ill == "global AOP is on",
        Reason.KEY_PAIR_INVALID: (not s.generate and (not zone.leaf or bool(zone.leaf & zone.expired)))
        or zone.ill == "the key does not match",
        Reason.LEAF_EXPIRING: bool((zone.next or zone.leaf) & (zone.expiring | zone.expired)),
        Reason.TEXT_REJECTED: any(o.rejects is not None for o in w.origins),
        Reason.SUSPENDED: zone.spec.suspend,
        Reason.NO_CONTROLLER: any(o.pods == ELSEWHERE for o in w.origins),
        Reason.NO_REPLICAS: not any(r.up for o in w.origins for r in o.replicas),
        Reason.EDGE_SILENT: zone.silent or all(kind != "edge" for kind in s.hosts),
        Reason.EDGE_NOT_PROVEN: (zone.ssl and presented(zone, s) == F) or all(kind != "edge" for kind in s.hosts),
        Reason.ORIGIN_UNREACHABLE: zone.ill == "a pod cannot be reached",
        Reason.WAITING_FOR_REPLICAS: any(rejected(o) for o in w.origins),
    }
    if facts.get(Reason(reason), False) or (zone.ill and ILLS[zone.ill] == reason):
        return True
    if zone.deleting and reason == Reason.REMOVING:
        return (
            zone.access == DOWN
            or any(o.text is None or rejected(o) for o in w.origins)
            or zone.ill in {"a pod cannot be reached", "pods cannot be listed", "the ConfigMap cannot be read"}
        )
    return (zone.silent and reason == Reason.WAITING_FOR_PROOF) or (
        zone.ill == "a pod cannot be reached" and reason == Reason.WAITING_FOR_REPLICAS
    )


def at_end(w: World, z: int, s: Setting, mind: Mind) -> Broken:
    """T6: what must hold where nothing moves any more."""
    zone = w.zones[z]
    if zone.gone:
        if any(o.text is not None and o.text.claims[z] is not None for o in w.origins):
            yield "T4 the object is gone, its claim is not", ""
        return
    step, line, rule = mind.decide(observe(w, z, s))
    if any(rejected(o) for o in w.origins) and not zone.ill and not zone.spec.suspend:
        yield "T6 a text that the controllers reject is left lying there", f"{rule}: {line}"
    if step[0] == "Done":
        if not at_goal(w, z, s) and not tolerated(w, z, s):
            yield "T6 the operator is done, and the world is not as the spec asks", line
        return
    if step[0] in {"Wait", "Block"}:
        if not true_of(step[1], w, z, s):
            yield "T6 it stands still for a reason that is not true of the world", f"{rule}: {line}"
        elif not removing_blind(w, z) and not zone.silent and (bad := hurt(w, z, s)) and not rejected_everywhere(w):
            yield "T2 it stands still while requests are refused", f"{names(bad)}; {rule}: {line}"
        elif zone.ill != "the ConfigMap cannot be read" and (
            limit := OFF if zone.deleting or not any(zone.spec.origins >> i & 1 for i in range(len(w.origins))) else zone.spec.mode
        ) < published(w, z):
            yield "T6 it was asked to refuse less, and stands still", f"{limit} {line}"
        return
    yield "T6 it wants to do something that changes nothing, for ever", f"{rule}: {line}"


def tolerated(w: World, z: int, s: Setting) -> bool:
    """Done short of the goal, by design: the certificates of others that came later may stay newest; trouble that only shows as silence."""
    return False


def removing_blind(w: World, z: int) -> bool:
    """A removed ConfigMap: nobody can tell the replicas anything (promise S7 waits without limit)."""
    return all(o.text is None for o in w.origins)


def rejected_everywhere(w: World) -> bool:
    """The controllers take no text at all."""
    return all(o.rejects is not None and o.rejects[1] == OFF for o in w.origins)


def published(w: World, z: int) -> int:
    """The strictest published claim of one zone."""
    claims = [o.text.claims[z] for o in w.origins if o.text is not None and o.text.damage == WHOLE]
    return max((claim.mode for claim in claims if claim is not None), default=OFF)
