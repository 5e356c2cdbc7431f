"""How worlds are built from worlds, and what follows at once from any change."""

from __future__ import annotations

from typing import Any

from model.world import (
    ACTIVE,
    AROUND,
    BEHIND,
    BOTH_LOST,
    NO_RUN,
    OURS,
    REMEMBERED,
    REQUEST,
    UNLISTED,
    UNREADABLE,
    WHOLE,
    WORKS,
    N,
    Origin,
    Replica,
    Run,
    Setting,
    Text,
    World,
    Zone,
    asks,
    presented,
)

UNASKED = Run()
"""A host that the edge was not asked about."""


def with_zone(w: World, z: int, zone: Zone) -> World:
    """The world with one zone in place of another."""
    return w._replace(zones=(*w.zones[:z], zone, *w.zones[z + 1 :]))


def with_origin(w: World, i: int, origin: Origin) -> World:
    """The world with one origin in place of another."""
    return w._replace(origins=(*w.origins[:i], origin, *w.origins[i + 1 :]))


def with_replica(w: World, i: int, n: int, replica: Replica) -> World:
    """The world with one replica in place of another."""
    origin = w.origins[i]
    return with_origin(
        w, i, origin._replace(replicas=(*origin.replicas[:n], replica, *origin.replicas[n + 1 :]))
    )


def written(origin: Origin, text: Text) -> Origin:
    """A new revision of the ConfigMap, or none of ours any more."""
    return origin._replace(
        text=text,
        replicas=tuple(r._replace(stale=BEHIND) for r in origin.replicas),
        due=origin.rolls,
    )


def disturbed(origin: Origin, text: Text) -> Origin:
    """Somebody has changed the ConfigMap, whose revision is still ours."""
    return origin._replace(
        text=text, replicas=tuple(r._replace(stale=max(r.stale, AROUND)) for r in origin.replicas)
    )


def forgetful(zone: Zone, *, begin_again: bool = True) -> Zone:
    """Cloudflare was seen to change: proofs and the quiet period begin again.

    The answers themselves stay, because a loss is a loss.
    """
    runs = tuple(
        begun_again(run) if begin_again else run._replace(void=run.length != NO_RUN)
        for run in zone.runs
    )
    return zone._replace(runs=runs, still=False)


def begun_again(run: Run) -> Run:
    """The answers prove nothing any more; they stay, because a loss is a loss."""
    return run._replace(presented=0, length=NO_RUN, fresh=0, old=False)


def restarted(zone: Zone) -> Zone:
    """The operator's memory is lost: answers, the quiet period, ids that no list shows yet, and what was under way."""
    certificates = tuple(
        (c, state, UNLISTED if listed == REMEMBERED else listed)
        for c, state, listed in zone.certificates
    )
    zone = (
        zone._replace(ill="the ConfigMap cannot be read", recalled=None)
        if zone.recalled is not None
        else zone
    )
    return zone._replace(
        runs=tuple(Run() for _ in zone.runs),
        still=False,
        certificates=certificates,
        plan=None,
        noted=False,
        unread=None,
    )


def forgotten(w: World, z: int) -> World:
    """The operator's process ends: what it remembers of a zone, and of who has undone its writes, is lost."""
    origins = tuple(origin._replace(undone=0) for origin in w.origins)
    return with_zone(w._replace(origins=origins), z, restarted(w.zones[z]))


def visible(zone: Zone) -> tuple[Any, ...]:
    """What shows in Cloudflare's API."""
    return (
        tuple((c, state) for c, state, listed in zone.certificates if listed != UNLISTED),
        zone.enabled,
        zone.ssl,
    )


def settled(w: World) -> World:
    """A world to begin with, with the connections that there are in it."""
    return w._replace(origins=tuple(connections_after(origin, w.zones) for origin in w.origins))


def reached(old: World, new: World, z: int, s: Setting) -> Zone:
    """One zone, after what follows from a move of its own or of an origin."""
    before, zone = old.zones[z], new.zones[z]
    if zone is not before:
        zone = zone_after(before, zone, s)
    return edge_reader_after(old, new, z, record_after(old, new, z, zone))


def consequences(old: World, new: World, s: Setting) -> World:
    """What follows at once from a move.

    Nothing does from what has not changed: it has followed before.
    """
    same_texts = new.origins is old.origins
    zones = tuple(
        zone if zone is before and same_texts else reached(old, new, z, s)
        for z, (before, zone) in enumerate(zip(old.zones, new.zones, strict=True))
    )
    same_edge = all(zone.edge == before.edge for before, zone in zip(old.zones, zones, strict=True))
    origins = tuple(
        origin if origin is before and same_edge else connections_after(origin, zones)
        for before, origin in zip(old.origins, new.origins, strict=True)
    )
    return World(zones, origins, new.trouble)


def zone_after(before: Zone, zone: Zone, s: Setting) -> Zone:
    """A change at Cloudflare reaches some locations now and others later; once it is read, every proof begins again."""
    if (before.certificates, before.enabled, before.ssl) != (
        zone.certificates,
        zone.enabled,
        zone.ssl,
    ):
        was, now = (
            {c for c, state, _ in it.certificates if state == ACTIVE} for it in (before, zone)
        )
        # A location may hear of this change before it hears of the last one.
        overtaken = (
            N
            if before.edge & ~presented(before, s) and any(c & before.edge for c in was - now)
            else 0
        )
        zone = zone._replace(edge=zone.edge | presented(zone, s) | overtaken)
    if zone.access != WORKS or zone.unread is not None:
        return zone
    noticed = (
        before.access != WORKS or before.unread is not None or visible(before) != visible(zone)
    )
    return forgetful(zone, begin_again=s.begin_again) if noticed else zone


def record_after(old: World, new: World, z: int, zone: Zone) -> Zone:
    """The record without what bears on nothing any more: a flush that has had its effect, a rejection among text that has gone."""
    record = zone.record
    if zone.noted and said_of(old, z) != said_of(new, z):
        zone = zone._replace(
            noted=False
        )  # a text that says something else of the zone is applied later than anything that was noted
    if (
        record.flushed
        and not zone.noted
        and all(run.presented in {0, zone.next or zone.leaf} for run in zone.runs)
    ):
        record = record._replace(flushed=False)
    if record.rejected:
        around = {origin.text.foreign for origin in new.origins if origin.text is not None}
        record = record._replace(
            rejected=tuple(one for one in record.rejected if one.foreign in around)
        )
    return zone if record == zone.record else zone._replace(record=record)


def said_of(w: World, z: int) -> list[Any]:
    """What the texts say of a zone."""
    return [
        None if origin.text is None else (origin.text.claims[z], origin.text.damage)
        for origin in w.origins
    ]


def edge_reader_after(old: World, w: World, z: int, zone: Zone) -> Zone:
    """What arrived before nobody was asked any more proves nothing; it is dropped with the object only."""
    if zone.runs[0] == UNASKED and zone.runs == (UNASKED,) * len(zone.runs):
        return zone
    if zone.deleting:
        return zone._replace(runs=(UNASKED,) * len(zone.runs))
    wanted = [origin for i, origin in enumerate(w.origins) if zone.spec.origins >> i & 1]
    runs = zone.runs
    texts = [origin.text for origin in w.origins] if zone.recalled is None else zone.recalled.texts
    known = [text for i, text in enumerate(texts) if zone.spec.origins >> i & 1]
    if zone.ill not in UNREADABLE and any(asks_nobody(text, z) for text in known):
        runs = tuple(begun_again(run) if run.presented & OURS[z] else run for run in runs)
    if any(run.new or run.old for run in runs) and any(is_to_load(origin) for origin in wanted):
        runs = tuple(run._replace(new=False, old=False) for run in runs)
    if any(run.share for run in runs) and (
        said_of(old, z) != said_of(w, z) or has_loaded(old, w, zone)
    ):
        runs = tuple(
            run._replace(share=0) for run in runs
        )  # nobody was refused for what came before
    return zone if runs == zone.runs else zone._replace(runs=runs)


def asks_nobody(text: Text | None, z: int) -> bool:
    """Whether a text, as far as anybody can tell, asks the visitors of no host of a zone."""
    claim = None if text is None or text.damage == BOTH_LOST else text.claims[z]
    return text is not None and (claim is None or claim.mode < REQUEST)


def is_to_load(origin: Origin) -> bool:
    """Whether a replica has yet to load what says something else of us."""
    damaged = origin.text is not None and origin.text.damage != WHOLE
    return any(r.up and (r.stale == BEHIND or (r.stale and damaged)) for r in origin.replicas)


def has_loaded(old: World, new: World, zone: Zone) -> bool:
    """Whether the last replica of an origin has just loaded what says something else of us."""
    both = zip(old.origins, new.origins, strict=True)
    return any(
        zone.spec.origins >> i & 1 and is_to_load(was) and not is_to_load(now)
        for i, (was, now) in enumerate(both)
    )


def connections_after(origin: Origin, zones: tuple[Zone, ...]) -> Origin:
    """Connections and TLS sessions come with what the edge presented when they began; replicas have no order."""
    replicas = tuple(connected(r, zones) for r in origin.replicas)
    if len(replicas) == 2 and hash(replicas[0]) > hash(replicas[1]):
        replicas = replicas[::-1]
    return origin if replicas == origin.replicas else origin._replace(replicas=replicas)


def connected(replica: Replica, zones: tuple[Zone, ...]) -> Replica:
    """One replica, with the connections that the edge has opened to it by now."""
    if not replica.up or not asks(replica.runs):
        return replica
    lingering = tuple([h | zone.edge for h, zone in zip(replica.lingering, zones, strict=True)])
    return replica if lingering == replica.lingering else replica._replace(lingering=lingering)
