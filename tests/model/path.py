"""A recorded run as a path of the model: which worlds it may have been in, from look to look.

`untraceable` takes the looks at one object. It keeps the set of worlds that agree with everything
seen so far. Between two looks the last step may have taken effect or not, the operator may have
been replaced, and what finishes by itself may have finished; what people do (the spec, the Secret's
renewal, access, trouble elsewhere) is taken from the look. Where no such world agrees with the next
look, or where the model's rules would not take the step that the operator took in any of them, the
run has left the model. Hosts are followed one by one, as they are judged: the others of the same
object are left out of observation.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

from aop.observed import Observed, ObservedZone
from aop.steps import Delete, Effect, Issue, Promote, Publish, SetEnabled, Step, Upload
from model.abstract import Generations, OutOfModel, claim_of, observation_of
from model.change import consequences, with_origin
from model.decisions import Decisions
from model.interference import meddling, using
from model.observation import Observation, SeenOrigin, SeenReplica, observe
from model.operate import basis_of, claimed, performed
from model.progress import finishing
from model.settings import EMPTY
from model.world import (
    BEGUN,
    LISTED,
    OFF,
    OPTIONAL,
    REQUEST,
    SPREAD,
    WORKS,
    Claim,
    F,
    N,
    Plan,
    Run,
    Setting,
    World,
    Zone,
    presented,
)

ENOUGH = 1500
"""Worlds that are looked at between two looks; what is not found by then is not found."""
KEPT = 12
"""Worlds that are kept of those that agree with a look: those that are reached with the fewest
moves, since the others follow from them."""


@dataclass
class Looks:
    """What was seen of one object so far, and the worlds that agree with it."""

    host: str
    setting: Setting
    decisions: Decisions
    names: Generations = field(default_factory=Generations)
    worlds: list[World] = field(default_factory=list)


def of_one_host(o: Observed, host: str) -> Observed:
    """The same look, as if the object had this host only."""
    origins = tuple(
        replace(
            origin,
            hosts=tuple(h for h in origin.hosts if h == host),
            replicas=tuple(
                replace(r, hosts=tuple(b for b in r.hosts if b.host == host))
                for r in origin.replicas
            )
            if isinstance(origin.replicas, tuple)
            else origin.replicas,
        )
        for origin in o.origins
    )
    return replace(o, origins=origins, evidence=tuple(e for e in o.evidence if e.host == host))


def untraceable(run: Iterable[tuple[int, Observed, Step]], moves: str) -> Iterator[str]:
    """Where a run leaves the model, one sentence; nothing where it stays in it.

    `moves` are what others did meanwhile, in the words of the settings; `shared`: other objects
    write the same ConfigMap, and note with their writes what every replica was seen to run.
    """
    looks = list(run)
    for host in sorted(
        {host for _, o, _ in looks for origin in o.origins for host in origin.hosts}
    ):
        heard = [o.evidence_of(host) for _, o, _ in looks]
        if any(evidence.direct for evidence in heard) or not any(
            evidence.presented for evidence in heard
        ):
            continue  # what visitors of this host come with is not what the edge presents
        with suppress(OutOfModel):
            yield from along(looks, host, moves)


def along(looks: list[tuple[int, Observed, Step]], host: str, moves: str) -> Iterator[str]:
    """One host's path."""
    _, first, _ = looks[0]
    global_on = any(isinstance(o.zone, ObservedZone) and o.zone.global_on for _, o, _ in looks)
    setting = Setting(
        host,
        (),
        frozenset({"crash", "replace", *moves.split()}),
        base=F if global_on else N,
        generate=first.spec.certificate.generate is not None,
        linger=True,
    )
    seen = Looks(host, setting, Decisions())
    last: Observation | None = None
    for number, o, step in looks:
        try:
            if goes_on_without(o, host):
                raise OutOfModel(host)
            observation = narrowed(observation_of(of_one_host(o, host), seen.names, host))
        except OutOfModel:
            if isinstance(step, Effect):
                return  # what it did there cannot be told, so nothing can be told of what comes after
            continue
        if observation == last and not isinstance(step, Effect):
            continue
        last = None if isinstance(step, Effect) else observation
        if not seen.worlds and any(origin.claim is not None for origin in observation.origins):
            return  # a run that does not begin at its beginning has no beginning to be followed from
        before = seen.worlds or [beginning(looks, host, seen)]
        start = [exposed(w, observation, setting) for w in before]
        reachable = reached(start, observation, setting)
        if not reachable:
            nearest = min((disagreements(w, observation, setting) for w in before), key=len)
            yield f"line {number}: {host}: no path of the model leads here: {'; '.join(nearest)}"
            return
        if isinstance(step, Effect):
            # Of the worlds that agree some are further on than others: only some of them lead to
            # this step.
            deciding = reached(
                start, observation, setting, partial(decides, step, observation, seen)
            )
            reachable = list(acted(deciding, observation, seen)) or list(
                elsewhere(reachable, step, observation, seen)
            )
            if not reachable:
                yield f"line {number}: {host}: no rule of the model takes the step {step}"
                return
        seen.worlds = reachable[: 2 * KEPT]


def goes_on_without(o: Observed, host: str) -> bool:
    """Another host has answered through the edge, and this one has not: that is enough for the rules to go on with both."""
    heard = {e.host for e in o.evidence if e.last is not None and not e.direct}
    return bool(heard) and host not in heard


def beginning(looks: list[tuple[int, Observed, Step]], host: str, seen: Looks) -> World:
    """The world before the first look: Cloudflare and the Secret as they were found, nothing of ours anywhere."""
    observations = [narrowed(observation_of(of_one_host(looks[0][1], host), seen.names, host))]
    observations += [
        narrowed(observation_of(of_one_host(o, host), seen.names, host))
        for _, o, _ in looks[1:]
        if isinstance(o.zone, ObservedZone)
    ][:1]
    first = observations[-1]
    listed = tuple((who, state, LISTED) for who, state in first.certificates or ())
    zone = Zone(
        finalizer=observations[0].finalizer,
        leaf=observations[0].leaf,
        next=observations[0].next,
        used=observations[0].leaf | observations[0].next,
        record=observations[0].record,
        certificates=listed,
        enabled=first.enabled,
        ssl=first.ssl or first.certificates is None,
        still=first.still,
    )
    return World((zone._replace(edge=presented(zone, seen.setting)),), (EMPTY,), trouble=99)


def narrowed(observation: Observation) -> Observation:
    """A claim that refuses nobody of this host asks only, as far as this host is concerned."""
    return observation._replace(
        hosts=("edge",),
        runs=observation.runs[:1] or (Run(),),
        origins=tuple(narrow(origin) for origin in observation.origins),
    )


def narrow(origin: SeenOrigin) -> SeenOrigin:
    def of(claim: Claim | None) -> Claim | None:
        if claim is None or claim.mode < OPTIONAL or claim.hosts:
            return claim
        return claim._replace(mode=REQUEST)

    return origin._replace(claim=of(origin.claim), accepted=of(origin.accepted))


def exposed(w: World, observation: Observation, s: Setting) -> World:
    """The world with what people and accidents have made of it by now."""
    zone = w.zones[0]
    changed = zone._replace(
        finalizer=observation.finalizer,
        spec=observation.spec,
        rotate=observation.rotate,
        due=observation.due,
        deleting=observation.deleting,
        access=observation.access,
        ill=observation.ill,
        silent=observation.silent,
        given_up=observation.given_up,
        ssl=observation.ssl if observation.certificates is not None else zone.ssl,
    )
    if not s.generate:
        changed = changed._replace(leaf=observation.leaf, used=zone.used | observation.leaf)
    after = w if changed == zone else consequences(w, w._replace(zones=(changed,)), s)
    text, seen = w.origins[0].text, observation.origins[0].accepted if observation.origins else None
    if "shared" in s.moves and text is not None and text.accepted != (seen,):
        after = with_origin(
            after, 0, after.origins[0]._replace(text=text._replace(accepted=(seen,)))
        )
    return after


def reached(
    start: list[World], observation: Observation, s: Setting, also: Callable[[World], bool] = bool
) -> list[World]:
    """The worlds that agree with a look, and `also` with something else, and can be reached by what finishes by itself; nearest first."""
    order = count()
    heap = [(len(disagreements(w, observation, s)), next(order), w) for w in dict.fromkeys(start)]
    heapq.heapify(heap)
    seen, worlds = {w for _, _, w in heap}, list[World]()
    while heap and len(seen) < ENOUGH and len(worlds) < KEPT:
        far, _, w = heapq.heappop(heap)
        if not far and also(w):
            worlds.append(w)
        for after in moved(w, s):
            if after not in seen:
                seen.add(after)
                heapq.heappush(
                    heap, (len(disagreements(after, observation, s)), next(order), after)
                )
    return worlds


def moved(w: World, s: Setting) -> Iterator[World]:
    """What may have happened between two looks, but for the operator's own steps."""
    for possible in (finishing(w, s, frozenset({0})), using(w, s), meddling(w, s)):
        for _, _, world in possible:
            yield consequences(w, world._replace(trouble=99), s)


def decision(w: World, observation: Observation, seen: Looks) -> tuple[Any, ...]:
    """What the rules decide in a world, as far as Cloudflare could be read at this look."""
    return seen.decisions.decide(observe(w, 0, seen.setting)._replace(access=observation.access))[0]


def acted(worlds: list[World], observation: Observation, seen: Looks) -> Iterator[World]:
    """Each world after the step and without it: its answer may have been a refusal, or never have come."""
    for w in worlds:
        decided = decision(w, observation, seen)
        yield consequences(
            w, performed(w, 0, Plan(decided, basis_of(w, 0, decided)), seen.setting), seen.setting
        )
        yield w


def elsewhere(
    worlds: list[World], step: Step, observation: Observation, seen: Looks
) -> Iterator[World]:
    """A step that concerns another host, or this one when it has left the spec: here it refuses nobody that was not refused before."""
    if not isinstance(step, Publish) or (claim := published(step, observation, seen)) is None:
        return
    now = observation.origins[0].claim or Claim()
    if claim.mode > now.mode or claim.hosts & ~now.hosts:
        return
    for w in worlds:
        again = (claimed(w.origins[0], 0, claim, applied=applied) for applied in (False, True))
        yield from (consequences(w, with_origin(w, 0, origin), seen.setting) for origin in again)
        yield w


def published(step: Publish, observation: Observation, seen: Looks) -> Claim | None:
    """What a step asks for, as far as this host is concerned."""
    claim = claim_of(step.claim, (seen.host,), seen.names)
    return narrow(observation.origins[0]._replace(claim=claim)).claim


def decides(step: Step, observation: Observation, seen: Looks, w: World) -> bool:
    """Whether the rules take the real step in a world, as far as it concerns this host."""
    decided = decision(w, observation, seen)
    if decided[0] != type(step).__name__:
        return False
    wanted: object = decided[1]
    match step:
        case Issue(slot=slot):
            wanted = slot
        case Promote(pin=pin) | Upload(pin=pin) | Delete(pin=pin):
            wanted = seen.names.of(pin.sha256)
        case SetEnabled(enabled=enabled):
            wanted = enabled
        case Publish():
            return bool(decided[2] == published(step, observation, seen))
    return bool(decided[1] == wanted)


def disagreements(w: World, observation: Observation, s: Setting) -> list[str]:
    """In what a world differs from a look, one sentence each."""
    own = observe(w, 0, s)
    compared = ["record", "leaf", "next"]
    if observation.access == WORKS and own.access == WORKS:
        compared += ["certificates", "enabled"]
    differences = [
        f"{name} is {getattr(observation, name)}, not {getattr(own, name)}"
        for name in compared
        if getattr(own, name) != getattr(observation, name)
    ]
    shared = "shared" in s.moves
    for i, (mine, seen) in enumerate(zip(own.origins, observation.origins, strict=False), 1):
        differences += [f"origin {i}: {what}" for what in of_origin(mine, seen, shared=shared)]
    if shared:
        return differences
    run, heard = own.runs[0], observation.runs[0]
    if heard.length > BEGUN and (
        run.presented != heard.presented or run.length < max(heard.length, SPREAD)
    ):
        differences.append(f"the answers were {heard}, not {run}")
    return differences


def of_origin(mine: SeenOrigin, seen: SeenOrigin, *, shared: bool) -> Iterator[str]:
    """In what an origin differs: its text, and every replica that has settled."""
    for name in (
        ("missing", "claim", "intact") if shared else ("missing", "claim", "accepted", "intact")
    ):
        if getattr(mine, name) != getattr(seen, name):
            yield f"{name} is {getattr(seen, name)}, not {getattr(mine, name)}"
    if shared:
        return
    for replica in seen.replicas:
        if (
            replica.settled
            and not replica.error
            and not any(alike(own, replica) for own in mine.replicas)
        ):
            yield f"a replica shows {replica}, not one of {mine.replicas}"


def alike(own: SeenReplica, replica: SeenReplica) -> bool:
    """Whether a replica of the model may be the one that was asked."""
    if own.current != replica.current:
        return False
    if not own.settled or not replica.modes:
        return True
    # Asking is one switch for the whole controller: another object's claim may ask although this
    # one's does not.
    modes = own.modes[:1] == replica.modes[:1] or {*own.modes[:1], *replica.modes[:1]} == {
        OFF,
        REQUEST,
    }
    return modes and own.refuses[:1] == replica.refuses[:1]
