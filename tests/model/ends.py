"""What must hold where nothing moves any more: the goal, or a reason to stand still that is true of the world (T6, T2, T4).

Each check yields `(promise, detail)`, as those of `model.checks` do.
"""

from __future__ import annotations

from collections.abc import Iterator

from aop.errors import Reason
from model.decisions import Decisions
from model.effects import presented_if_enabled
from model.interference import ILLS
from model.observation import observe
from model.operate import is_refused_for_its_size
from model.rendering import names
from model.world import (
    ACTIVE,
    BEHIND,
    DOWN,
    ELSEWHERE,
    IN_FORCE,
    OFF,
    OPTIONAL,
    OURS,
    REJECTED,
    UNREADABLE,
    WHOLE,
    WORKS,
    Claim,
    F,
    Setting,
    World,
    Zone,
    hurt,
    presented,
    rejected,
    shown,
    takes_nothing,
    troubled,
)

Broken = Iterator[tuple[str, str]]


def at_goal(w: World, z: int, s: Setting) -> bool:
    """The world is as the spec asks, and so is what the edge presents; a pod that cannot start on somebody's text serves nobody."""
    zone = w.zones[z]
    started = all(r.up or takes_nothing(origin) for origin in w.origins for r in origin.replicas)
    return zone.gone or (as_asked(w, z, s, whole=True) and zone.edge == zone.leaf and started)


def as_asked(w: World, z: int, s: Setting, *, whole: bool) -> bool:
    """What can be seen of the world is as the spec asks, of several hosts at least for one; a pod that is not Ready shows nothing."""
    zone = w.zones[z]
    if (
        zone.deleting
        or zone.next
        or zone.due
        or (s.generate and zone.rotate and not zone.record.rotated)
    ):
        return False
    scope = [h for h, kind in enumerate(s.hosts) if kind == "edge" and not (zone.spec.narrow and h)]
    held_off = 0 if whole else zone.record.hold_off
    fit = sum(1 << h for h in scope if not troubled(w, z, h, s) and not held_off & (1 | 2 << h))
    edge = sum(1 << h for h in scope)
    narrow = zone.spec.narrow or (len(s.hosts) > 1 and zone.ill == "a hostname is too long")
    for i, origin in enumerate(w.origins):
        claim = None if origin.text is None else origin.text.claims[z]
        if not zone.spec.origins >> i & 1:
            if claim is not None or zone.record.claimed >> i & 1:
                return False
            continue
        # Whoever cannot be proven holds back nobody else, and stays required where it was; so does
        # whoever is not proven yet.
        hosts = fit if whole else 0
        if claim is not None and zone.spec.mode >= OPTIONAL:
            hosts |= claim.hosts & edge
            if fit and not hosts & fit:
                return False
        want = Claim(zone.spec.mode, hosts if zone.spec.mode >= OPTIONAL else 0, zone.leaf, narrow)
        if (
            origin.text is None
            or origin.text.damage != WHOLE
            or claim != want
            or any(
                r.up and (r.stale == BEHIND or r.runs.claims[z] != want) for r in origin.replicas
            )
        ):
            return False
    mine = [
        (c, state) for c, state, _ in zone.certificates if c & OURS[z] & ~(s.before & ~zone.leaf)
    ]
    return zone.enabled and mine == [(zone.leaf, ACTIVE)]


def true_of(reason: str, w: World, z: int, s: Setting) -> bool:
    """Whether a reason to stand still is true of the world, and nothing that finishes by itself would change it."""
    zone = w.zones[z]
    nobody_fit = all(troubled(w, z, h, s) for h in range(len(s.hosts)))
    cut = any(r.cut for o in w.origins for r in o.replicas)
    facts: dict[str, bool] = {
        Reason.TOKEN_REJECTED: zone.access == REJECTED,
        Reason.WAITING_FOR_CLOUDFLARE: zone.access == DOWN,
        Reason.SSL_MODE_TOO_LOW: not zone.ssl,
        Reason.ORIGIN_NOT_FOUND: any(
            o.text is None and zone.spec.origins >> i & 1 for i, o in enumerate(w.origins)
        ),
        Reason.FOREIGN_CERTIFICATE: not zone.spec.replace_foreign and somebody_elses(zone, s),
        Reason.KEY_PAIR_INVALID: (
            not s.generate and (not zone.leaf or bool(zone.leaf & zone.expired))
        )
        or zone.ill == "the key does not match",
        Reason.LEAF_EXPIRING: bool((zone.next or zone.leaf) & (zone.expiring | zone.expired)),
        Reason.TEXT_REJECTED: any(o.rejects is not None for o in w.origins),
        Reason.SUSPENDED: zone.spec.suspend,
        Reason.NO_CONTROLLER: any(o.pods == ELSEWHERE for o in w.origins),
        Reason.NO_REPLICAS: not any(
            r.up or o.pods == ELSEWHERE for o in w.origins for r in o.replicas
        ),
        Reason.EDGE_SILENT: zone.silent or nobody_fit,
        Reason.EDGE_NOT_PROVEN: (zone.ssl and presented(zone, s) == F) or nobody_fit,
        Reason.ORIGIN_UNREACHABLE: zone.ill == "a pod cannot be reached" or cut,
        Reason.WAITING_FOR_REPLICAS: any(takes_nothing(o) for o in w.origins) or cut or nobody_fit,
        Reason.CONTROLLER_STUCK: any(o.stuck for o in w.origins),
        Reason.FOREIGN_CONFIGURATION: any(o.tool for o in w.origins)
        or (not zone.enabled and any(o.own & ~o.hidden for o in w.origins)),
        Reason.TRANSIENT_ERROR: zone.recalled is not None,
    }
    if facts.get(reason, False) or (
        zone.ill and ILLS[zone.ill] == reason and reason != Reason.FOREIGN_CERTIFICATE
    ):
        return True
    if zone.deleting and reason == Reason.REMOVING:
        return (
            cut
            or any(o.text is None or takes_nothing(o) for o in w.origins)
            or zone.ill
            in {"a pod cannot be reached", "pods cannot be listed", "the ConfigMap cannot be read"}
        )
    return ((zone.silent or nobody_fit) and reason == Reason.WAITING_FOR_PROOF) or (
        zone.ill == "a pod cannot be reached" and reason == Reason.WAITING_FOR_REPLICAS
    )


def somebody_elses(zone: Zone, s: Setting) -> bool:
    """Whether going on would displace, or present, what somebody else has put there: newer than ours, or before ours is presented."""
    if (
        any(c & s.before & zone.leaf for c, _, _ in zone.certificates)
        and presented_if_enabled(zone) != zone.leaf
    ):
        return True
    if (
        presented_if_enabled(zone)
        & (F | s.before)
        & ~(zone.leaf | zone.next | zone.record.uploaded)
    ):
        return zone.enabled or any(
            c & (zone.next or zone.leaf) and state == ACTIVE for c, state, _ in zone.certificates
        )
    return zone.ill == "global AOP is on" and not (zone.enabled and presented_if_enabled(zone))


def at_end(w: World, z: int, s: Setting, decisions: Decisions) -> Broken:
    """T6: what must hold where nothing moves any more."""
    zone = w.zones[z]
    if zone.gone:
        if any(o.text is not None and o.text.claims[z] is not None for o in w.origins):
            yield "T4 the object is gone, its claim is not", ""
        return
    step, line, rule = decisions.decide(observe(w, z, s))
    yield from of_the_texts(w, z, s, f"{rule}: {line}")
    if step[0] == "Done":
        if not at_goal(w, z, s):
            yield "T6 the operator is done, and the world is not as the spec asks", line
        return
    if step[0] in {"Wait", "Block"}:
        yield from standing(w, z, s, step[1], rule, line)
    elif not is_refused_for_its_size(w, z, step, s):
        yield "T6 it wants to do something that changes nothing, for ever", f"{rule}: {line}"
    elif bad := hurt(w, z, s, cut=False):
        yield "T2 what relaxes is refused for its size", f"{names(bad)}; {rule}: {line}"


def standing(w: World, z: int, s: Setting, reason: str, rule: str, line: str) -> Broken:
    """T6 and T2: the reason to stand still is true of the world, nobody is refused, and no more is required than the spec asks."""
    zone = w.zones[z]
    proves = (
        zone.silent
        and reason == Reason.WAITING_FOR_PROOF
        and rule != "cloudflare_holds_certificate"
    )
    if not true_of(reason, w, z, s) or proves:
        yield "T6 it stands still for a reason that is not true of the world", f"{rule}: {line}"
    elif (
        not removing_blind(w, z)
        and not zone.silent
        and (bad := hurt(w, z, s, cut=False))
        and not rejected_everywhere(w)
    ):
        yield "T2 it stands still while requests are refused", f"{names(bad)}; {rule}: {line}"
    elif zone.ill not in UNREADABLE and (
        limit := OFF
        if zone.deleting or not any(zone.spec.origins >> i & 1 for i in range(len(w.origins)))
        else zone.spec.mode
    ) < published(w, z):
        yield "T6 it was asked to refuse less, and stands still", f"{limit} {line}"


def of_the_texts(w: World, z: int, s: Setting, line: str) -> Broken:
    """T2: nothing that ends within a day is required.

    T6: no text is left as it should not be, where nothing that its repair needs is missing.
    """
    zone = w.zones[z]
    if presented(zone, s) & (zone.expiring | zone.expired) and published(w, z) >= OPTIONAL:
        yield "T2 what is required is about to expire", line
    if zone.spec.suspend:
        return
    if any(rejected(o) and not shown(o) for o in w.origins) and not zone.ill:
        yield "T6 a text that the controllers reject is left lying there", line
    keyless = zone.ill in {"the key does not match", "the Secret cannot be read"}
    if keyless and not zone.deleting and any(is_damaged(w, z, i) for i in range(len(w.origins))):
        yield "T6 a text is not put back", line


def is_damaged(w: World, z: int, i: int) -> bool:
    """Our text stood in a ConfigMap that is there, and does not any more, or not as a whole."""
    text, zone = w.origins[i].text, w.zones[z]
    known = zone.record.claimed & zone.spec.origins if zone.access == WORKS else 0
    return (
        bool(known >> i & 1)
        and text is not None
        and (text.damage != WHOLE or text.claims[z] is None)
    )


def removing_blind(w: World, z: int) -> bool:
    """A removed ConfigMap: nobody can tell the replicas anything (promise S7 waits without limit)."""
    return all(o.text is None for o in w.origins)


def rejected_everywhere(w: World) -> bool:
    """The controllers take no text at all."""
    return all(o.stuck or (o.rejects is not None and o.rejects[1] == OFF) for o in w.origins)


def published(w: World, z: int) -> int:
    """The strictest published claim of one zone."""
    claims = [
        o.text.claims[z] for o in w.origins if o.text is not None and o.text.damage in IN_FORCE
    ]
    return max((claim.mode for claim in claims if claim is not None), default=OFF)
