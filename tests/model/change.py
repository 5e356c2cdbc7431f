"""How worlds are built from worlds, and what follows at once from any change."""

from __future__ import annotations

from typing import Any

from model.world import (
    ACTIVE,
    NO_RUN,
    REMEMBERED,
    UNLISTED,
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
    return with_origin(w, i, origin._replace(replicas=(*origin.replicas[:n], replica, *origin.replicas[n + 1 :])))


def written(origin: Origin, text: Text) -> Origin:
    """A new revision of the ConfigMap."""
    return origin._replace(text=text, replicas=tuple(r._replace(stale=True) for r in origin.replicas))


def forgetful(zone: Zone, *, begin_again: bool = True) -> Zone:
    """Cloudflare was seen to change: proofs and stillness begin again. The answers themselves stay, because a loss is a loss."""
    if begin_again:
        runs = tuple(run._replace(presented=0, length=NO_RUN, fresh=0, old=False) for run in zone.runs)
    else:
        runs = tuple(run._replace(void=run.length != NO_RUN) for run in zone.runs)
    return zone._replace(runs=runs, still=False)


def restarted(zone: Zone) -> Zone:
    """The operator's memory is lost: answers, stillness, ids that no list shows yet, and what was under way."""
    certificates = tuple((c, state, UNLISTED if listed == REMEMBERED else listed) for c, state, listed in zone.certificates)
    return zone._replace(runs=tuple(Run() for _ in zone.runs), still=False, certificates=certificates, plan=None, aged=False, unread=None)


def visible(zone: Zone) -> tuple[Any, ...]:
    """What shows in Cloudflare's API."""
    return (tuple((c, state) for c, state, listed in zone.certificates if listed != UNLISTED), zone.enabled, zone.ssl)


def consequences(old: World, new: World, s: Setting) -> World:
    """What follows at once from a move."""
    zones = tuple(
        edge_reader_after(new, z, zone if zone is before else zone_after(before, zone, s))
        for z, (before, zone) in enumerate(zip(old.zones, new.zones, strict=True))
    )
    return World(zones, tuple(connections_after(origin, zones) for origin in new.origins), new.trouble)


def zone_after(before: Zone, zone: Zone, s: Setting) -> Zone:
    """A change at Cloudflare reaches some locations now and others later; once it is read, every proof begins again."""
    if (before.certificates, before.enabled, before.ssl) != (zone.certificates, zone.enabled, zone.ssl):
        was, now = ({c for c, state, _ in it.certificates if state == ACTIVE} for it in (before, zone))
        # A location may hear of this change before it hears of the last one.
        overtaken = N if before.edge & ~presented(before, s) and any(c & before.edge for c in was - now) else 0
        zone = zone._replace(edge=zone.edge | presented(zone, s) | overtaken)
    if zone.access != WORKS or zone.unread is not None:
        return zone
    noticed = before.access != WORKS or before.unread is not None or visible(before) != visible(zone)
    return forgetful(zone, begin_again=s.begin_again) if noticed else zone


def edge_reader_after(w: World, z: int, zone: Zone) -> Zone:
    """The edge is asked only where an origin carries our claim; without one, what it answered is dropped."""
    if zone.runs[0] == UNASKED and zone.runs == (UNASKED,) * len(zone.runs):
        return zone
    wanted = [origin for i, origin in enumerate(w.origins) if zone.spec.origins >> i & 1]
    unreadable = zone.ill == "the ConfigMap cannot be read"
    if zone.deleting or unreadable or not any(origin.text is not None and origin.text.claims[z] is not None for origin in wanted):
        return zone._replace(runs=(UNASKED,) * len(zone.runs), aged=False)
    if any(run.new or run.old for run in zone.runs) and any(r.stale for origin in wanted for r in origin.replicas if r.up):
        return zone._replace(runs=tuple(run._replace(new=False, old=False) for run in zone.runs))
    return zone


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
    held = tuple([h | zone.edge for h, zone in zip(replica.held, zones, strict=True)])
    return replica if held == replica.held else replica._replace(held=held)
