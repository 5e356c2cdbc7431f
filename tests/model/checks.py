"""The promises, as checks on worlds and on the operator's steps; never on what the operator believes.

Each yields `(promise, detail)`. T1 to T7 are named in `docs/state-space.md`.
"""

from __future__ import annotations

from collections.abc import Iterator

from model.change import is_to_load
from model.effects import claim_in, stricter
from model.ends import as_asked
from model.rendering import names
from model.world import (
    FULL,
    OPTIONAL,
    OURS,
    UNLISTED,
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
    strictest,
)

Broken = Iterator[tuple[str, str]]


# --- at every instant ------------------------------------------------------------------------------------------------


def in_world(w: World, s: Setting) -> Broken:
    """What must hold in every world."""
    for z, zone in enumerate(w.zones):
        if s.quiet and (bad := hurt(w, z, s)):
            yield "T1 a request through the edge is refused", names(bad)
        ours = [c for c, _, _ in zone.certificates if c & OURS[z] & ~s.before]
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
    if (
        zone.spec.retain
        or zone.given_up
        or zone.ill == "the zone does not exist"
        or ("record" in s.moves and not s.generate)
    ):
        return
    left = sum(c for c, _, _ in zone.certificates)
    if s.before & ~left:
        yield "T4 a certificate that was there before us is gone", names(s.before)
    if left & OURS[z] & ~s.before:
        yield "T4 the object is gone, a certificate of ours is not", ""
    foreign = any(c == F & ~s.before for c, _, _ in zone.certificates)
    if not s.moves & {"zone", "record"} and not foreign and zone.enabled != s.baseline:
        yield "T4 the zone is not put back as it was found", ""


# --- at every decision -----------------------------------------------------------------------------------------------


def in_decision(w: World, z: int, plan: Plan, s: Setting) -> Broken:
    """What must hold when a step is decided, whatever becomes of it."""
    step, zone = plan.step, w.zones[z]
    match step:
        case ("Upload", who) if not zone.record.uploaded & who:
            yield "T3 an upload that no record names", names(who)
        case ("Done", left_behind):
            if any(o.text is not None and o.text.claims[z] is not None for o in w.origins):
                yield "T4 the object is released, its claim is still there", ""
            if left_behind and not zone.given_up:
                yield "T4 it gives Cloudflare up before ten minutes have passed", ""
        case ("Publish", i, Claim() as claim, _) if claim == claim_in(w, i, z) and not is_damaged(
            w, i
        ):
            yield from flushed(w, z, i, s)
        case ("Publish", i, Claim() as claim, _) if stricter(claim, w, z, i):
            yield from newly_required(w, z, i, claim, s)


def flushed(w: World, z: int, i: int, s: Setting) -> Broken:
    """T6: the same text again costs a reload: only where old sessions hide what new ones come with, and once for all of them."""
    zone = w.zones[z]
    runs = [run for run, kind in zip(zone.runs, s.hosts, strict=True) if kind == "edge"]
    if not zone.noted:
        yield "T6 flushes old sessions without having noted it", ""
    if is_to_load(w.origins[i]) or not any(run.new for run in runs):
        yield "T6 flushes old sessions again before it is seen what the last time has done", ""
    now = presented(zone, s)
    shown = (
        zone.unread is None
        and zone.edge == now
        and all(listed != UNLISTED for _, _, listed in zone.certificates)
    )
    if shown and not any(
        run.presented not in {0, now} and (run.fresh == now or run.old) for run in runs
    ):
        yield "T6 flushes old sessions where they hide nothing", ""


def newly_required(w: World, z: int, i: int, claim: Claim, s: Setting) -> Broken:
    """T7: each new requirement has its own whole window behind it, on replicas that accept what was proven."""
    zone, now = w.zones[z], claim_in(w, i, z)
    for host, kind in enumerate(s.hosts):
        if not claim.hosts >> host & 1 or (
            now is not None and now.mode >= claim.mode and now.hosts >> host & 1
        ):
            continue
        if all(
            mode_at(r.runs, z, host) >= claim.mode for r in w.origins[i].replicas if r.up
        ) and is_damaged(w, i):
            continue  # what every replica does all the same is put back as it is
        if zone.record.hold_off & (1 | 2 << host):
            yield "T7 required again within the hold-off", f"host {host}"
        if (
            z == 0
            and (w.origins[i].own | w.origins[i].replicas[0].odd | w.origins[i].replicas[-1].odd)
            >> host
            & 1
        ):
            yield "T7 a host is required where somebody else answers or decides", f"host {host}"
        if kind != "edge":
            yield "T7 a host is required whose visitors do not come with our certificate", kind
            continue
        run = zone.runs[host]
        if (
            run.length != FULL
            or run.void
            or run.aged
            or not run.presented & claim.trust
            or not run.presented & OURS[z]
        ):
            yield "T7 a host is required without its own fresh proof", f"host {host}"
        if any(
            r.up and run.presented & ~(r.runs.claims[z] or Claim()).trust
            for r in w.origins[i].replicas
        ):
            yield "T7 a host is required although a replica does not accept what was proven", ""


def is_damaged(w: World, i: int) -> bool:
    """The text is not the one that was rendered."""
    text = w.origins[i].text
    return text is not None and text.damage != WHOLE


def in_rest(w: World, z: int, s: Setting) -> Broken:
    """T6: where the operator has nothing to do, what it can see is as the spec asks."""
    zone = w.zones[z]
    if zone.unread is None and zone.recalled is None and not as_asked(w, z, s, whole=False):
        yield "T6 the operator says that it is done, and what it sees is not as the spec asks", ""
