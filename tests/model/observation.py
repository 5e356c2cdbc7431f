"""What the operator may know of a world, as a small tuple: the key under which its decisions are remembered."""

from __future__ import annotations

from typing import NamedTuple

from model.world import (
    BEHIND,
    BOTH_LOST,
    ELSEWHERE,
    OFF,
    OURS,
    REQUEST,
    REQUIRE,
    THERE,
    UNDONE,
    UNLISTED,
    UNREACHABLE,
    WHOLE,
    WORKS,
    Claim,
    Origin,
    Read,
    Record,
    Replica,
    Run,
    Setting,
    Spec,
    Text,
    World,
    Zone,
    mode_at,
    path,
    refused,
    rejected,
    shown,
)


class SeenReplica(NamedTuple):
    """One Ready replica, as its answers show it."""

    current: bool
    path: bool
    settled: bool
    modes: tuple[int, ...] = ()
    refuses: tuple[int, ...] = ()
    error: bool = False
    ready: bool = True
    odd: int = 0
    own: int = 0


class SeenOrigin(NamedTuple):
    """One origin."""

    wanted: bool
    missing: bool = False
    claim: Claim | None = None
    standing: Claim | None = None
    accepted: Claim | None = None
    intact: bool = True
    others_changed: bool = False
    foreign: int = 0
    rejected: bool = False
    replicas: tuple[SeenReplica, ...] = ()
    readers: bool = True
    stuck: bool = False
    overwritten: bool = False
    stale: bool = False
    displaced: int = 0
    rollout: bool = False
    """Its pods are to be replaced, so that they start with what stands in the ConfigMap."""
    leaving: bool = False
    """Nothing of ours stands there any more."""


class Observation(NamedTuple):
    """All that a rule may depend on, small enough to be a key."""

    zone_index: int
    hosts: tuple[str, ...]
    generate: bool
    finalizer: bool
    deleting: bool
    spec: Spec
    rotate: bool
    record: Record
    certificates: tuple[tuple[int, int], ...] | None
    """None: Cloudflare could not be read."""
    enabled: bool
    ssl: bool
    access: int
    given_up: bool
    leaf: int
    next: int
    due: bool
    origins: tuple[SeenOrigin, ...]
    runs: tuple[Run, ...]
    silent: bool
    noted: bool
    still: bool
    expiring: int
    expired: int
    ill: str


def observe(w: World, z: int, s: Setting) -> Observation:
    """What the operator may know of zone `z`."""
    zone = w.zones[z]
    readable = zone.access == WORKS
    read = zone.unread or Read(zone.certificates, zone.enabled, zone.ssl)
    certificates = tuple(
        (who, state) for who, state, listed in read.certificates if listed != UNLISTED
    )
    relevant = zone.leaf | zone.next | zone.record.uploaded | sum(who for who, _ in certificates)
    return Observation(
        zone_index=z,
        hosts=s.hosts,
        generate=s.generate,
        finalizer=zone.finalizer,
        deleting=zone.deleting,
        spec=zone.spec,
        rotate=zone.rotate,
        record=zone.record,
        certificates=certificates if readable else None,
        enabled=readable and read.enabled,
        ssl=readable and read.ssl,
        access=zone.access,
        given_up=zone.given_up,
        leaf=zone.leaf,
        next=zone.next,
        due=zone.due,
        origins=tuple(seen_origin(w, z, i, len(s.hosts)) for i in looked_at(zone)),
        runs=tuple(run._replace(void=False) for run in zone.runs),
        silent=zone.silent,
        noted=zone.noted,
        still=zone.still,
        expiring=zone.expiring & relevant,
        expired=zone.expired & relevant,
        ill=zone.ill,
    )


def looked_at(zone: Zone | Observation) -> list[int]:
    """The origins of the spec, and those that were claimed and have left it."""
    origins = zone.spec.origins
    return [i for i in (0, 1) if origins >> i & 1] + [
        i for i in (0, 1) if (zone.record.claimed & ~origins) >> i & 1
    ]


def seen_origin(w: World, z: int, i: int, hosts: int) -> SeenOrigin:
    """One origin, as zone `z` sees it."""
    zone, origin = w.zones[z], w.origins[i]
    text = read_text(w, z, i)
    wanted = bool(zone.spec.origins >> i & 1)
    own = origin.own if z == 0 else 0
    asked = (
        zone_is_known(zone)
        or zone.deleting
        or not wanted
        or (text is not None and text.claims[z] is not None)
    )
    replicas = tuple(
        one if asked else one._replace(settled=False, modes=(), refuses=())
        for n, r in enumerate(origin.replicas)
        if r.up
        for error in (r.cut == UNREACHABLE or (zone.ill == "a pod cannot be reached" and n == 0),)
        for one in (
            seen_replica(
                r,
                zone,
                z,
                hosts,
                text if zone.recalled is not None else None,
                own=own,
                hidden=origin.hidden,
                error=error,
            ),
        )
    )
    elsewhere = SeenOrigin(
        wanted,
        missing=text is None,
        replicas=replicas,
        readers=origin.pods != ELSEWHERE,
        stuck=origin.stuck and origin.pods == THERE and text is not None and not shown(origin),
        overwritten=origin.undone >= UNDONE,
        stale=zone.ill == "the Ingresses cannot be listed any more"
        or (zone.recalled is not None and zone.recalled.long),
        displaced=own & ~origin.hidden,
    )
    if text is None:
        return elsewhere
    intact = text.damage == WHOLE
    leaving = not any(text.claims)
    claim = text.claims[z]
    standing = claim if text.damage != BOTH_LOST else None
    if claim is not None and not intact:
        claim = claim._replace(mode=0, hosts=0)
    accepted = text.accepted if intact else (None,) * len(text.claims)
    others_changed = any(
        c != a for o, (c, a) in enumerate(zip(text.claims, accepted, strict=True)) if o != z
    )
    return elsewhere._replace(
        claim=claim,
        standing=standing,
        accepted=accepted[z],
        intact=intact,
        others_changed=others_changed,
        foreign=text.foreign,
        rejected=seen_rejected(origin),
        rollout=origin.due and (leaving or not all(one.current for one in replicas)),
        leaving=leaving,
    )


def zone_is_known(zone: Zone) -> bool:
    """Whether the zone is surely the object's own: for another nothing is asked of any replica."""
    return zone.access == WORKS and zone.ill not in {
        "the zone does not exist",
        "an older object names the zone",
    }


def read_text(w: World, z: int, i: int) -> Text | None:
    """A ConfigMap as it was last read."""
    recalled = w.zones[z].recalled
    return w.origins[i].text if recalled is None else recalled.texts[i]


def seen_rejected(origin: Origin) -> bool:
    """Nginx's own words, of any pod that tries to load or to start; nobody looks for them while a replica shows what was published."""
    return origin.pods == THERE and not origin.stuck and rejected(origin) and not shown(origin)


def seen_replica(
    r: Replica,
    zone: Zone,
    z: int,
    hosts: int,
    recalled: Text | None,
    *,
    own: int,
    hidden: int,
    error: bool,
) -> SeenReplica:
    """One replica; it is asked about every host once it has settled.

    What is `recalled` of the ConfigMap may not stand there any more.
    """
    hides = (r.odd | own) if z == 0 else 0
    tells, ready = path(r.runs) and not all(hides >> h & 1 for h in range(hosts)), not r.cut
    current = r.stale != BEHIND if recalled is None else tells and r.runs.claims == recalled.claims
    if error or r.old is not None:
        return SeenReplica(current, tells, settled=False, error=error, ready=ready)
    probed = (zone.leaf | zone.next) & OURS[z] & ~zone.expired
    odd = r.odd if z == 0 else 0
    modes = tuple(
        mode if mode != REQUEST or tells else OFF
        for mode in (mode_at(r.runs, z, h) for h in range(hosts))
    )
    refuses = [refused(r.runs, z, h, probed, zone.expired) for h in range(hosts)]
    for h in range(hosts):
        if own >> h & 1:
            refuses[h], modes = probed, (*modes[:h], REQUIRE, *modes[h + 1 :])
        elif odd >> h & 1:
            refuses[h], modes = 0, (*modes[:h], min(modes[h], REQUEST), *modes[h + 1 :])
    seen = SeenReplica(
        current, tells, settled=True, modes=modes, refuses=tuple(refuses), ready=ready
    )
    return seen._replace(odd=odd | (own & hidden), own=own & ~hidden)
