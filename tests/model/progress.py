"""What finishes by itself while everybody stands still."""

from __future__ import annotations

from collections.abc import Iterator

from model.change import disturbed, is_to_load, with_origin, with_replica, with_zone
from model.operate import Move, claimed, performed, requested
from model.rendering import in_words, names, running
from model.world import (
    ACTIVE,
    BEGUN,
    BOTH_LOST,
    DELETING,
    FULL,
    LISTED,
    NAMES,
    PENDING,
    SPREAD,
    THERE,
    UNDONE,
    UNREADABLE,
    WHOLE,
    WORKS,
    F,
    Loaded,
    Origin,
    R,
    Replica,
    Run,
    Setting,
    World,
    Zone,
    asks,
    bits,
    path,
    presented,
    refused,
    rejects,
    takes_nothing,
    told_by,
    traffic,
    troubled,
)


def finishing(w: World, s: Setting, resting: frozenset[int]) -> Iterator[Move]:
    """Every fair move that is not the operator's; `resting` are the zones for which it has nothing to do.

    A pause that is noted lasts a minute at least, an effect of ours seconds: it is not over before
    what it was noted for.
    """
    for z, zone in enumerate(w.zones):
        yield from at_cloudflare(w, z, zone, s)
        if zone.gone:
            yield from swept(w, z)
            continue
        if not zone.finalizer and not zone.deleting:
            yield "now", "Kopf sets the finalizer", with_zone(w, z, zone._replace(finalizer=True))
        if z in resting:
            yield from paused(w, z, zone, s)
        yield from (("now", line, with_zone(w, z, after)) for line, after in in_time(zone, s))
        yield from answers(w, z, s)
    for i, origin in enumerate(w.origins):
        yield from reloads(w, i, origin, s)


def in_time(zone: Zone, s: Setting) -> Iterator[tuple[str, Zone]]:
    """What is read again, what has lasted for long enough, and who is not there any more."""
    kept_out = zone.access != WORKS or zone.ill == "the zone does not exist"
    if kept_out and zone.deleting and not zone.given_up:
        yield "ten minutes without Cloudflare have passed", zone._replace(given_up=True)
    if zone.unread is not None and zone.access == WORKS:
        yield "Cloudflare is read again", zone._replace(unread=None)
    if not zone.still and zone.access == WORKS and settled(zone, s):
        yield "Cloudflare has been still for long enough", zone._replace(still=True)
    if zone.recalled is not None and not zone.recalled.long:
        yield (
            "the ConfigMaps have not been read for half a minute",
            zone._replace(recalled=zone.recalled._replace(long=True)),
        )
    if zone.zombie is not None:
        yield "the replaced process ends", zone._replace(zombie=None)


def paused(w: World, z: int, zone: Zone, s: Setting) -> Iterator[Move]:
    """Pauses that the record notes end; what is tried again in vain, with a pause that grows, costs the adversary, so that walks end."""
    record = zone.record
    for i, origin in enumerate(w.origins):
        if origin.tool and origin.undone == UNDONE and w.trouble:
            again = with_origin(w, i, origin._replace(undone=UNDONE - 1))._replace(
                trouble=w.trouble - 1
            )
            yield "foe", f"our text may be written again in origin {i + 1}, in vain", again
    for bit in (one for one in range(record.hold_off.bit_length()) if record.hold_off >> one & 1):
        over = record._replace(hold_off=record.hold_off & ~(1 << bit))
        whose = f"host {bit}" if bit else "all hosts"
        yield (
            "now",
            f"the hold-off is over for {whose}",
            with_zone(w, z, zone._replace(record=over)),
        )
    if record.flushed:
        after = with_zone(w, z, zone._replace(record=record._replace(flushed=False)))
        if not zone.forged:
            yield "now", "an hour has passed since old sessions were ended", after
        elif w.trouble:
            yield (
                "foe",
                "an hour has passed since old sessions were ended in vain",
                after._replace(trouble=w.trouble - 1),
            )
    for at, one in enumerate(record.rejected if s.tries_again else ()):
        left = (*record.rejected[:at], *record.rejected[at + 1 :])
        after = with_zone(w, z, zone._replace(record=record._replace(rejected=left)))
        if not any(rejects(origin, z, one.claim) for origin in w.origins):
            yield "now", "a rejected claim may be tried again", after
        elif w.trouble:
            yield (
                "foe",
                "a rejected claim may be tried again, in vain",
                after._replace(trouble=w.trouble - 1),
            )


def swept(w: World, z: int) -> Iterator[Move]:
    """A write that arrived after the object was gone is found by the label of the ConfigMap, at start and hourly (`aop.orphans`)."""
    for i, origin in enumerate(w.origins):
        if (
            origin.text is not None
            and origin.text.claims[z] is not None
            and w.zones[z].late is None
        ):
            yield (
                "now",
                f"the sweep takes an orphaned claim out of origin {i + 1}",
                with_origin(w, i, claimed(origin, z, None, applied=False)._replace(due=False)),
            )


def settled(zone: Zone, s: Setting) -> bool:
    """Nothing is under way at Cloudflare."""
    moving = any(
        state in {PENDING, DELETING} or listed != LISTED for _, state, listed in zone.certificates
    )
    under_way = s.patient and (zone.late is not None or zone.zombie is not None)
    return zone.edge == presented(zone, s) and not moving and zone.unread is None and not under_way


def at_cloudflare(w: World, z: int, zone: Zone, s: Setting) -> Iterator[Move]:
    """Cloudflare finishes what was begun; a request whose answer was lost arrives late or never."""
    if zone.edge != presented(zone, s):
        yield (
            "now",
            f"the edge has propagated: it presents {NAMES[presented(zone, s)]}",
            with_zone(w, z, zone._replace(edge=presented(zone, s))),
        )
    for who, state, listed in zone.certificates:
        rest = tuple(c for c in zone.certificates if c[0] != who)
        if state == PENDING:
            done = tuple((c, ACTIVE if c == who else st, li) for c, st, li in zone.certificates)
            yield (
                "now",
                f"{NAMES[who]} becomes active",
                with_zone(w, z, zone._replace(certificates=done)),
            )
        if state == DELETING:
            yield (
                "now",
                f"{NAMES[who]} is deleted at last",
                with_zone(w, z, zone._replace(certificates=rest)),
            )
        if listed != LISTED:
            shown = tuple((c, st, LISTED if c == who else li) for c, st, li in zone.certificates)
            yield (
                "now",
                f"the list shows {NAMES[who]}",
                with_zone(w, z, zone._replace(certificates=shown)),
            )
    if zone.late is not None:
        idle, step = with_zone(w, z, zone._replace(late=None)), zone.late.step
        arrived = (
            requested(idle, z, step)
            if step[0] in {"Upload", "Delete", "SetEnabled"}
            else performed(idle, z, zone.late, s)
        )
        if arrived != idle:
            yield "now", f"the late request arrives: {in_words(step)}", arrived
        yield "now", f"the late request is lost: {in_words(step)}", idle


def reloads(w: World, i: int, origin: Origin, s: Setting) -> Iterator[Move]:
    """The replicas load what stands in the ConfigMap; a tool of somebody's puts its own back."""
    text = origin.text
    if (
        origin.tool
        and text is not None
        and text.damage == WHOLE
        and any(claim is not None for claim in text.claims)
    ):
        again = origin._replace(undone=min(origin.undone + 1, UNDONE))
        lost = disturbed(again, text._replace(damage=BOTH_LOST))
        yield "now", f"a tool puts its text back in origin {i + 1}", with_origin(w, i, lost)
    if not origin.tool and origin.undone:
        yield (
            "now",
            f"our text has stood in origin {i + 1}",
            with_origin(w, i, origin._replace(undone=0)),
        )
    for n, r in enumerate(origin.replicas):
        if n and r == origin.replicas[n - 1]:
            continue
        if (
            text is not None
            and r.stale
            and not takes_nothing(origin)
            and not (origin.due and r.up)
            and r.old is None
            and origin.pods == THERE
            and not r.cut
        ):
            runs = Loaded(text.claims, text.damage)
            old = r.runs if s.linger and r.up and r.runs != runs else None
            lingering = (0,) * len(w.zones) if s.flush else r.lingering
            yield (
                "now",
                f"a replica of origin {i + 1} loads {running(runs)}",
                with_replica(w, i, n, Replica(runs, old=old, lingering=lingering, odd=r.odd)),
            )
        if r.old is not None:
            yield (
                "now",
                f"the old workers of a replica of origin {i + 1} are gone",
                with_replica(w, i, n, r._replace(old=None)),
            )


def answers(w: World, z: int, s: Setting) -> Iterator[Move]:
    """What requests for the check path come back with, through the edge and the first origin that carries the claim."""
    zone = w.zones[z]
    if zone.deleting:
        return
    asked = next(
        (
            o
            for i, o in enumerate(w.origins)
            if zone.spec.origins >> i & 1 and o.text is not None and o.text.claims[z] is not None
        ),
        None,
    )
    for host in (
        h for h, kind in enumerate(s.hosts) if kind == "edge" and not (h and zone.spec.narrow)
    ):
        run = zone.runs[host]
        if host and s.together and alike(w, z, host, s):
            continue
        telling = (
            [r for r in asked.replicas if r.up and (z or not r.odd >> host & 1)]
            if asked is not None
            else []
        )
        if asked is None or not telling or zone.silent or zone.ill in UNREADABLE:
            if run not in {Run(), run._replace(aged=True)}:
                yield (
                    "now",
                    "the last answer has become old",
                    with_run(w, z, host, run._replace(aged=True), s),
                )
            continue
        new, lingering, loses = coming(zone, z, host, asked, telling, s)
        for kind, line, after in following(
            zone, run, new, lingering, s, loses=loses, late=is_to_load(asked)
        ):
            if after != run:
                yield kind, line, with_run(w, z, host, after, s)


def coming(
    zone: Zone, z: int, host: int, asked: Origin, telling: list[Replica], s: Setting
) -> tuple[int, int, bool]:
    """What answers of one host tell of new connections and of old ones, and whether some of what arrives is refused."""
    new = lingering = refusing = 0
    comes = traffic(zone, host, "edge")
    for r in telling:
        kept = 0 if zone.bare >> host & 1 else r.lingering[z]
        refusing |= refused(r.runs, z, host, comes | kept, zone.expired)
        if not (s.pooled and kept):
            new |= told_by(r.runs, z, comes, zone.expired)
        lingering |= told_by(r.runs, z, kept, 0) if asks(r.runs) and path(r.runs) else 0
    if z == 0 and asked.own >> host & 1:
        return R, 0, True
    return new, lingering | (F if zone.forged and host == 0 else 0), bool(refusing)


def alike(w: World, z: int, host: int, s: Setting) -> bool:
    """Whether a host fares as the first one does, so that its answers need no moves of their own."""
    return w.zones[z].runs[host] == w.zones[z].runs[0] and troubled(w, z, host, s) == troubled(
        w, z, 0, s
    )


def with_run(w: World, z: int, host: int, run: Run, s: Setting) -> World:
    """The world with another run of answers of one host, and of those that fare alike."""
    zone = w.zones[z]
    also = {h for h in range(1, len(zone.runs)) if not host and s.together and alike(w, z, h, s)}
    return with_zone(
        w,
        z,
        zone._replace(
            runs=tuple(
                run if h == host or h in also else other for h, other in enumerate(zone.runs)
            )
        ),
    )


def freshest(run: Run, unwanted: int) -> int:
    """What the latest new connection came with: one of what is not wanted, or what it was before."""
    return unwanted & -unwanted or run.fresh


def following(
    zone: Zone, run: Run, new: int, lingering: int, s: Setting, *, loses: bool, late: bool
) -> Iterator[tuple[str, str, Run]]:
    """How a host's run of answers goes on, when new connections come with `new`, old ones with `lingering`; `loses`: some of it is refused.

    Where answers come in turn, three of a kind in a row are a matter of chance, and need not come.
    What is refused is a share of half a minute's answers in the end, as the edge chooses its
    connections at random.
    """
    shown, wanted = new | lingering, zone.next or zone.leaf

    def heard(value: int, length: int, recent: int, share: int = 0) -> Run:
        unwanted = new & ~wanted or new
        fresh = value if value & new else freshest(run, unwanted)
        same = run.presented == value and length > SPREAD
        silences = run.gap or (run.aged and run.length == SPREAD)
        gap = length == SPREAD and run.presented == value and silences
        old = run.old and not new
        return Run(
            value,
            length,
            recent,
            bool(value & new),
            fresh,
            old,
            new=not late,
            void=run.void and same,
            gap=gap,
            share=share,
        )

    if shown and shown & (shown - 1) == 0:
        same = run.presented == shown
        if not same or run.length < SPREAD or run.recent != shown or run.aged:
            yield (
                "now",
                f"ten seconds of answers came with {NAMES[shown]}",
                heard(shown, max(run.length, SPREAD) if same else SPREAD, shown),
            )
        elif run.length < FULL:
            yield (
                "now",
                f"a whole window of answers came with {NAMES[shown]}",
                heard(shown, FULL, shown),
            )
        else:
            yield (
                "now",
                f"another answer came with {NAMES[shown]}",
                heard(shown, FULL, shown)._replace(old=not new and not late),
            )
    elif shown:
        # The last answer is now one thing, now another: the one that tells the most is what only
        # old sessions come with.
        bad = shown & ~zone.edge or shown & ~wanted or shown
        value = bad & ~new or bad
        lasting = run.share if run.share == shown else 0
        yield (
            "now",
            f"answers came with {names(shown)} in turn",
            heard(value & -value, BEGUN, shown, lasting),
        )
        if loses and (run.length, run.recent) == (BEGUN, shown):
            yield (
                "now",
                f"half a minute of answers came with {names(shown)} in turn",
                heard(value & -value, BEGUN, shown, shown),
            )
        propagated = zone.edge == presented(zone, s)  # which takes less than a window
        if run.new and not new and not run.old and not late and propagated:
            yield (
                "now",
                "for a whole window nothing came over a new connection",
                heard(value & -value, BEGUN, shown, lasting)._replace(old=True),
            )
        for one in bits(shown):
            yield (
                "chance",
                f"three answers in a row came with {NAMES[one]}",
                heard(one, SPREAD, one),
            )
            if s.hidden:
                yield (
                    "chance",
                    f"a whole window met only locations that came with {NAMES[one]}",
                    heard(one, FULL, one),
                )
