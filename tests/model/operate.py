"""What the operator does: looking and deciding is one move, carrying out what was decided is another.

Between the two anything can happen, so each write is conditional on what was read, as in
`aop.perform`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from model.change import forgetful, with_origin, with_zone, written
from model.decisions import Decisions
from model.observation import observe, read_text
from model.rendering import in_words
from model.world import (
    ACTIVE,
    BOTH_LOST,
    DELETING,
    FAILED,
    GENERATIONS,
    OFF,
    PENDING,
    REMEMBERED,
    REQUEST,
    WHOLE,
    WORKS,
    Claim,
    Origin,
    Plan,
    Record,
    Setting,
    Text,
    World,
    Zone,
    state_of,
)

Move = tuple[str, str, World]
"""(kind, line, world). Kinds: `see` and `act` are the operator's; `now` finishes by itself; these
three are fair. `chance` is like `now`, but may never happen; `user` is legitimate use and the
failures that the promises cover; `foe` costs one of the adversary's moves."""
PAUSES = frozenset({"Wait", "Block"})
LOSABLE = frozenset({"Upload", "Delete", "SetEnabled", "Publish", "Withdraw", "Promote"})
"""Effects whose answer may be lost with consequences; a lost `Note` or `Issue` is the same as a
crash right after it."""


def basis_of(w: World, z: int, step: tuple[Any, ...]) -> Any:
    """What a write to the cluster is conditional on: the content that was read stands for its resourceVersion."""
    zone = w.zones[z]
    match step[0]:
        case "Note":
            return (zone.record, zone.spec, zone.deleting, zone.rotate, zone.finalizer)
        case "Issue" | "Promote":
            return (zone.leaf, zone.next)
        case "Publish" | "Withdraw":
            return read_text(w, z, step[1])
    return None


def is_refused_for_its_size(w: World, z: int, step: tuple[Any, ...], s: Setting) -> bool:
    """Whether the API server would not take what a step writes: full annotations take what makes no claim larger."""
    if step[0] != "Publish" or not w.origins[step[1]].full:
        return False
    return not s.fits or not relaxes(w.origins[step[1]].text, z, step[2])


def relaxes(text: Text | None, z: int, claim: Claim) -> bool:
    """Whether a claim refuses nobody whom the text serves for sure, or nobody at all while a damaged text still may."""
    now = None if text is None else text.claims[z]
    if text is None or now is None:
        return False
    as_it_reads = now if text.damage == WHOLE else now._replace(mode=OFF, hosts=0)
    residue = text.damage != BOTH_LOST and claim.mode <= REQUEST
    return asks_no_more(claim, as_it_reads) or (residue and asks_no_more(claim, now))


def asks_no_more(claim: Claim, now: Claim) -> bool:
    """Whether a claim refuses nobody whom another one serves."""
    return (
        claim.mode <= now.mode
        and not claim.hosts & ~now.hosts
        and (not claim.hosts or not now.trust & ~claim.trust)
    )


def operated(w: World, z: int, s: Setting, decisions: Decisions) -> Iterator[Move]:
    """The operator's moves for one zone."""
    zone = w.zones[z]
    if zone.gone:
        return
    tag = f" of zone {z + 1}" if len(w.zones) > 1 else ""
    if zone.plan is None:
        step, line, rule = decisions.decide(observe(w, z, s))
        rests = step[0] in PAUSES or (step[0] == "Done" and not zone.deleting)
        if not rests and not is_refused_for_its_size(w, z, step, s):
            yield (
                "see",
                f"the operator{tag} decides ({rule}): {line}",
                with_zone(w, z, zone._replace(plan=Plan(step, basis_of(w, z, step)))),
            )
        return
    plan = zone.plan
    idle = with_zone(w, z, zone._replace(plan=None))
    done = performed(idle, z, plan, s)
    yield (
        "act",
        f"OPERATOR{tag} {in_words(plan.step)}" + ("" if done != idle else ", refused"),
        done,
    )
    if "late" in s.moves and zone.late is None and plan.step[0] in LOSABLE:
        lost = zone._replace(plan=None, late=plan)
        lost = forgetful(lost) if plan.step[0] in {"Upload", "Delete", "SetEnabled"} else lost
        yield (
            "user",
            f"OPERATOR{tag} {in_words(plan.step)}, the answer is lost",
            with_zone(w, z, lost),
        )


def performed(w: World, z: int, plan: Plan, s: Setting) -> World:
    """The world after one effect; what a conflict, a 404 or a 1406 refuses changes nothing."""
    step, zone = plan.step, w.zones[z]
    if zone.gone or is_refused(w, z, plan, s):
        return w
    match step:
        case ("Note", Record() as record):
            return with_zone(
                w,
                z,
                zone._replace(
                    record=record, noted=zone.noted or record.flushed > zone.record.flushed
                ),
            )
        case ("Issue", "first"):
            made = unused(w, z)
            return (
                with_zone(w, z, zone._replace(leaf=made, used=zone.used | made))
                if made and not zone.leaf
                else w
            )
        case ("Issue", _):
            made = unused(w, z)
            return (
                with_zone(w, z, zone._replace(next=made, used=zone.used | made))
                if made and not zone.next
                else w
            )
        case ("Promote", who):
            return (
                with_zone(w, z, zone._replace(leaf=who, next=0, due=False))
                if zone.next == who
                else w
            )
        case ("Publish" | "Withdraw" | "RollOut", i, *_):
            return done_to_origin(w, z, i, plan)
        case ("Done", left_behind):
            return with_zone(
                w,
                z,
                zone._replace(
                    gone=True, given_up=left_behind, finalizer=False, plan=None, still=False
                ),
            )
        case ("Upload", who) if not who & (zone.leaf | zone.next):
            return w
    return requested(w, z, step)


def done_to_origin(w: World, z: int, i: int, plan: Plan) -> World:
    """The world after a write of the ConfigMap, or after the pods that read it were replaced."""
    origin = w.origins[i]
    match plan.step:
        case ("Publish", _, Claim() as claim, applied):
            applied = applied and origin.text == plan.basis
            return claiming(w, z, i, claimed(origin, z, claim, applied=applied))
        case ("Withdraw", _):
            return claiming(w, z, i, claimed(origin, z, None, applied=False))
        case _:
            return with_origin(w, i, origin._replace(due=False))


def is_refused(w: World, z: int, plan: Plan, s: Setting) -> bool:
    """Whether the API server does not take a write: its size, or what it was decided on."""
    conflict = overtaken(basis_of(w, z, plan.step), plan.basis, z) or is_written_blindly(
        w, z, plan.step
    )
    return (s.lock and conflict) or is_refused_for_its_size(w, z, plan.step, s)


def claiming(w: World, z: int, i: int, origin: Origin) -> World:
    """The world with a ConfigMap that was written for one zone, as the process knows from the answer."""
    zone = w.zones[z]
    if zone.recalled is not None:
        texts = tuple(origin.text if n == i else text for n, text in enumerate(zone.recalled.texts))
        zone = zone._replace(recalled=zone.recalled._replace(texts=texts))
    return with_zone(with_origin(w, i, origin), z, zone._replace(noted=False))


def is_written_blindly(w: World, z: int, step: tuple[Any, ...]) -> bool:
    """Whether a write goes out on a ConfigMap that was read before somebody changed it: the API server refuses that."""
    return (
        step[0] in {"Publish", "Withdraw"} and read_text(w, z, step[1]) != w.origins[step[1]].text
    )


def overtaken(now: Any, then: Any, z: int) -> bool:
    """Whether what a write was decided on has changed; what others have claimed in the same ConfigMap does not bear on it."""
    if not isinstance(now, Text) or not isinstance(then, Text):
        return bool(now != then)
    return (now.claims[z], now.damage, now.foreign) != (then.claims[z], then.damage, then.foreign)


def unused(w: World, z: int) -> int:
    """The generation that a new key pair becomes; 0 when the model has no more."""
    return next(
        (generation for generation in GENERATIONS[z] if not generation & w.zones[z].used), 0
    )


def claimed(origin: Origin, z: int, claim: Claim | None, *, applied: bool) -> Origin:
    """The ConfigMap with one zone's claim; the others' are written as they read, which is Off where the text was damaged.

    With `applied` every replica was seen to run what stood there, so that this is what is known to
    be accepted.
    """
    text = origin.text
    if text is None or (claim is None and text.claims[z] is None):
        return origin
    if text.damage == WHOLE:
        claims, accepted = text.claims, text.claims if applied else text.accepted
    else:
        claims, accepted = (
            tuple(c and c._replace(mode=OFF, hosts=0) for c in text.claims),
            (None,) * len(text.claims),
        )
    claims = (*claims[:z], claim, *claims[z + 1 :])
    accepted = (*accepted[:z], still_accepted(accepted[z], claim), *accepted[z + 1 :])
    return written(origin, Text(claims, accepted, WHOLE, text.foreign))


def still_accepted(accepted: Claim | None, claim: Claim | None) -> Claim | None:
    """What was known to be accepted, unless `claim` comes down from it: nothing goes back up without a new proof."""
    if (
        accepted is None
        or claim is None
        or accepted.mode > claim.mode
        or accepted.hosts & ~claim.hosts
    ):
        return None
    return accepted


def without_deletions(zone: Zone, who: int) -> Zone:
    """A deletion names a certificate by its id: one that is still under way does not meet what is uploaded after it."""
    void = ("Delete", who)
    late = None if zone.late is not None and zone.late.step == void else zone.late
    zombie = None if zone.zombie is not None and zone.zombie.step == void else zone.zombie
    return zone._replace(late=late, zombie=zombie)


def requested(w: World, z: int, step: tuple[Any, ...]) -> World:
    """One request as it arrives at Cloudflare."""
    zone = w.zones[z]
    if zone.access != WORKS:
        return w
    match step:
        case ("Upload", who):
            if state_of(zone, who) is not None:
                return w
            changed = without_deletions(zone, who)._replace(
                certificates=(*zone.certificates, (who, PENDING, REMEMBERED))
            )
        case ("Delete", who):
            if state_of(zone, who) not in {ACTIVE, FAILED}:
                return w
            changed = zone._replace(
                certificates=tuple(
                    (c, DELETING if c == who else state, listed)
                    for c, state, listed in zone.certificates
                )
            )
        case ("SetEnabled", enabled):
            changed = zone._replace(enabled=enabled)
        case _:
            raise AssertionError(step)
    return with_zone(w, z, forgetful(changed._replace(unread=None)))
