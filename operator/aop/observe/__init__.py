"""Everything outside, read into one frozen `Observed`.

That is the cluster, Cloudflare, every replica and the edge. Each source fails alone, and all of
them together have one deadline, because an API that hangs must not delay what protects visitors
(docs/architecture.md#sources-fail-alone).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import Access
from aop.cluster import Cluster
from aop.errors import Reason
from aop.observe.awaited import AT_LATEST_S
from aop.observe.edge import AskedOrigin, EdgeReader, on_its_way
from aop.observe.memory import Memory
from aop.observe.objects import Objects, zone_id_of
from aop.observe.origin import NO_TOKEN
from aop.observe.origins import OriginKeepers
from aop.observe.referenced import ReferencedSecrets
from aop.observe.secrets import Secrets
from aop.observe.views import TURN_S
from aop.observe.wanted import Wanted, origins_of
from aop.observe.zone import ZoneReader, awaited, is_still
from aop.observed import (
    Configured,
    Evidence,
    Limits,
    Observed,
    ObservedKeyPair,
    ObservedObject,
    ObservedOrigin,
    ObservedZone,
    Record,
    Refusal,
    Unknown,
)
from aop.origins.check import check_path
from aop.record import newest
from aop.settings import Settings
from aop.steps import Wait
from aop.terms import Pin

LOOK_S = 2.0
"""How long one look waits for everything outside. What has not arrived by then is in the next
look."""
LOOKS_AT_ONCE = 32
"""How many looks may be under way at the same time. Each has its deadline, and a thousand that
begin together would all miss it."""
RESYNCS_AT_ONCE = 8
"""How many zones are read at the same time for which nobody waits."""
REST_EACH_S = 0.4
"""How much each object adds to the longest time between two looks at one that waits for nothing:
five such looks a second on the average, whatever the number of objects and origins."""
FIRST_LOOKS_S = 0.5
"""How much each object adds to the time until all have been looked at, as after a start: its hosts
are asked about on every replica and through the edge, at rates that do not grow with the number of
objects."""

log = logging.getLogger("aop")


class Observer:
    """Looks at everything that concerns one object; built once per process."""

    def __init__(
        self,
        cluster: Cluster,
        zones: ZoneReader,
        origins: OriginKeepers,
        edge: EdgeReader,
        secrets: Secrets,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._zones = zones
        self._origins = origins
        self._edge = edge
        self._settings = settings
        self._clock = clock
        self._referenced = ReferencedSecrets(secrets, clock)
        self._looks, self._edited = (asyncio.Semaphore(LOOKS_AT_ONCE) for _ in range(2))
        self._resyncs = asyncio.Semaphore(RESYNCS_AT_ONCE)
        self.objects = Objects(cluster, origins, settings, clock)

    async def observe(self, pull: AuthenticatedOriginPull, memory: Memory) -> Observed:
        """The world of one object now, within a few seconds even if something hangs.

        Raises nothing for what lies outside; that becomes `Unknown`.
        """
        record = newest(pull.record, pull.status.record)
        if memory.kept_note:
            record = memory.kept_note.added_to(record)
        wanted = origins_of(pull, record.claimed)
        async with self._lane(memory):
            memory.urgent, memory.edited, memory.waits_since_s = False, False, None
            until_s = self._clock.monotonic_s() + LOOK_S
            key_pair = await self._referenced.key_pair(pull, memory, until_s)
            zone_task = await self._zone_task(pull, record, key_pair, memory, until_s)
            asking = (
                isinstance(memory.zone, ObservedZone)
                and memory.blocked_on is not Reason.ZONE_CLAIMED
            )
            origins = await asyncio.gather(
                *(self._origin(pull, one, memory, until_s, asking=asking) for one in wanted)
            )
            evidence = await self._evidence(pull, origins, memory, until_s, asking=asking)
        # In no lane: a thousand that wait for Cloudflare cost nothing, and delay nobody's look.
        await self._await_zone(zone_task, memory, until_s)
        if isinstance(memory.zone, ObservedZone):
            self.objects.has_shown(pull, memory.zone.id)
            evidence = (
                tuple(memory.evidence[host] for host in sorted(memory.evidence))
                if evidence
                else evidence
            )
        return Observed(
            now=self._clock.now(),
            stepped=self._clock.stepped(),
            object=_object(pull, record),
            zone=memory.zone,
            key_pair=key_pair,
            origins=tuple(origins),
            evidence=evidence,
            rivals=await self.objects.rivals(pull, until_s, self._claimants(pull, wanted)),
            gone=self.objects.gone(pull, [one.target for one in wanted]),
            still=is_still(memory, self._settings.quiet_period_s),
            removing_since=self._removing_since(pull, memory),
            refusals=tuple(
                Refusal(what, why) for what, why in sorted(memory.cloudflare.refused.items())
            ),
            alerts=memory.alerts,
            unnoted=memory.kept_note.unnoted if memory.kept_note else None,
            limits=self._limits(memory),
        )

    def _limits(self, memory: Memory) -> Limits:
        return Limits(
            teardown_patience_s=self._settings.teardown_patience_s,
            stale_after_s=max(30.0, self._edge.cadence_s(memory) * 3),
            looks_to_come_s=max(30.0, FIRST_LOOKS_S * self.objects.count),
        )

    def _lane(self, memory: Memory) -> AbstractAsyncContextManager[None]:
        """The lane in which the look waits for its turn.

        An object whose spec somebody has changed waits only for other such objects. One whose
        visitors may be refused waits for none.
        """
        if memory.urgent:
            return nullcontext()
        return self._edited if memory.edited else self._looks

    def _claimants(self, pull: AuthenticatedOriginPull, wanted: Sequence[Wanted]) -> set[str]:
        """The uids of all who have a claim of the zone on any of these origins."""
        zone = pull.spec.zone.name
        return {uid for one in wanted for uid in self._origins.of(one.target).claimants(zone)}

    def _removing_since(self, pull: AuthenticatedOriginPull, memory: Memory) -> datetime | None:
        """Since when the removal refuses nobody, counted on steadily from what the status says.

        Read once per process, so that nobody who sets the clock later changes it. A time in the
        future counts as now.
        """
        noted = pull.status.removing_since
        if not pull.deleting or noted is None:
            memory.removing_since = None
        elif memory.removing_since is None:
            memory.removing_since = self._clock.now() - max(timedelta(), self._clock.wall() - noted)
        return memory.removing_since

    async def _origin(
        self,
        pull: AuthenticatedOriginPull,
        one: Wanted,
        memory: Memory,
        until_s: float,
        *,
        asking: bool,
    ) -> ObservedOrigin:
        """One origin.

        If the look at it ends in a bug, what was last known of it is left to the rules that
        protect, together with a note of the bug.
        """
        try:
            observed = await self._origins.of(one.target).look(
                pull,
                one,
                memory.presenting,
                until_s=until_s,
                asking=asking,
                resting=not memory.awaiting,
            )
        except Exception as error:
            log.exception("bug while looking at origin %s of %s", one.name, pull.key)
            lost = Unknown(
                f"{type(error).__name__} in the operator while origin {one.name} was looked at; its log has the traceback"
            )
            last = memory.origins.get(
                one.target,
                ObservedOrigin(one.name, one.target, lost, wanted=one.wanted, replicas=lost),
            )
            return replace(last, stale=lost.message)
        memory.origins[one.target] = observed
        return observed

    async def _evidence(
        self,
        pull: AuthenticatedOriginPull,
        origins: Sequence[ObservedOrigin],
        memory: Memory,
        until_s: float,
        *,
        asking: bool,
    ) -> tuple[Evidence, ...]:
        """What arrives through the edge."""
        if pull.deleting:
            self._edge.drop(memory)
            return ()
        asked = tuple(self._asked(origin, asking=asking) for origin in origins if origin.wanted)
        return await self._edge.read(
            asked,
            pull.spec.verification.window_duration,
            memory,
            until_s,
            proving=_is_proving(memory, pull.spec.verification.window_duration),
        )

    def drop(self, uid: str, memory: Memory) -> frozenset[str]:
        """The object is gone; returns the uids of the others that name its zone."""
        self._edge.drop(memory)
        return self.objects.drop(uid)

    def awaits(self, wait: Wait, uid: str) -> float:
        """Seconds after which an object looks again, unless it is woken by what it waits for."""
        if wait.turn is not None:
            self._origins.of(wait.turn).await_turn(uid)
        if wait.shown is not None and self._origins.of(wait.shown).await_shown(uid):
            return max(wait.seconds, AT_LATEST_S)
        return wait.seconds

    def has_looked(self, memory: Memory) -> None:
        """A visit has ended: no write of others waits for the object any longer."""
        for target in memory.origins:
            self._origins.of(target).writer.turns.has_looked(memory.uid)

    def _asked(self, origin: ObservedOrigin, *, asking: bool) -> AskedOrigin:
        """Where the origin's hosts are asked: all of them wherever our check path may be in force.

        Before that, only those at which others verify certificates: our certificate would be
        refused there, and such a host may never meet the edge.
        """
        keeper = self._origins.of(origin.target)
        if isinstance(origin.configured, Configured) and origin.configured.may_do:
            return AskedOrigin(origin, keeper.check_path(), keeper.kind.refuses_arrival)
        displaced = frozenset(one.host for one in origin.displaced if asking)
        path = check_path(NO_TOKEN) if displaced else None
        return AskedOrigin(origin, path, keeper.kind.refuses_arrival, displaced)

    def due_in_s(self, memory: Memory) -> float:
        """Seconds until the next look is due, whatever the rules wait for."""
        now, recheck_s = self._clock.now(), self._settings.replica_recheck_s
        if not memory.awaiting:
            recheck_s += self._clock.jitter(max(0.0, self._rests_s(memory) - recheck_s))
        moments = [now + timedelta(seconds=recheck_s)]
        # A certificate that has become active stays known until the list shows it, and is not asked
        # for any more.
        if memory.cloudflare.next_poll and any(
            not c.active and not c.failed for c in memory.cloudflare.known.values()
        ):
            moments.append(memory.cloudflare.next_poll)
        return max(0.05, float((min(moments) - now).total_seconds()))

    def _rests_s(self, memory: Memory) -> float:
        """The longest time for which an object that waits for nothing is not looked at, in seconds.

        Such a look is there to take a turn at asking each replica about one host, at a rate that
        does not grow with the number of objects, and to read Cloudflare again. Everything else
        wakes the object, including what another object's look finds. So the objects that share an
        origin spread their looks: if all came to rest at one moment, as after a restart, they would
        otherwise notice nothing for minutes.
        """
        sharers = max((self._origins.of(one).sharers for one in memory.origins), default=1)
        all_in_turn_s = REST_EACH_S * self.objects.count
        turn_s, read_s = max(TURN_S * sharers, all_in_turn_s), self._settings.resync_s
        longest_s = max(read_s, all_in_turn_s)
        listed, now = memory.cloudflare.listed.last, self._clock.now()
        left_s = longest_s - (now - listed.at).total_seconds() if listed is not None else longest_s
        # If the time is over, the look that has just been made could not read: the budget has to
        # last for others, too.
        return min(turn_s, left_s if left_s > 0.0 else longest_s)

    # --- Cloudflare -------------------------------------------------------------------------------

    async def _zone_task(
        self,
        pull: AuthenticatedOriginPull,
        record: Record,
        key_pair: ObservedKeyPair | Unknown | None,
        memory: Memory,
        until_s: float,
    ) -> asyncio.Task[ObservedZone | Unknown | None]:
        if memory.zone_task is None:
            secret_pins = (
                (key_pair.leaf, key_pair.next) if isinstance(key_pair, ObservedKeyPair) else ()
            )
            ours: tuple[Pin, ...] = (*record.uploaded, *(pin for pin in secret_pins if pin))
            access = await self._referenced.access(pull, memory, until_s)
            reading = self._read_zone(pull, access, memory, ours)
            memory.zone_task = asyncio.create_task(reading)
        return memory.zone_task

    async def _await_zone(
        self,
        reading: asyncio.Task[ObservedZone | Unknown | None],
        memory: Memory,
        until_s: float,
    ) -> None:
        """Take what was read, if it is there in time; else a later look does."""
        await asyncio.wait({reading}, timeout=max(0.0, until_s - self._clock.monotonic_s()))
        if reading.done():
            memory.zone, memory.zone_task = reading.result(), None

    async def _read_zone(
        self,
        pull: AuthenticatedOriginPull,
        access: Access | Unknown,
        memory: Memory,
        ours: Sequence[Pin],
    ) -> ObservedZone | Unknown | None:
        """The zone. Of the zones for which nobody waits, only some are read at once.

        If hundreds share a budget, as after a start, some are then known early and the others
        later, instead of all at the end.
        """
        hurry = memory.awaiting
        waited_for = hurry and awaited(pull, memory)
        async with nullcontext() if waited_for else self._resyncs:
            return await self._zones.read(
                pull, access, memory, self._clock.now(), ours, hurry=hurry
            )


def _is_proving(memory: Memory, window: timedelta) -> bool:
    """Whether the object's next step depends on what its hosts' requests come with.

    It does once the zone presents something, while the object waits, and while the proof of any
    host is under way, such as one that has joined hosts which are required already. It also does
    until something has been heard of each host for the first time.
    """
    if not isinstance(memory.zone, ObservedZone):
        return False
    if memory.zone.enabled and any(on_its_way(one, window) for one in memory.evidence.values()):
        return True
    return memory.awaiting and (
        memory.zone.enabled or any(one.last is None for one in memory.evidence.values())
    )


def _object(pull: AuthenticatedOriginPull, record: Record) -> ObservedObject:
    return ObservedObject(
        key=pull.key,
        uid=pull.uid,
        generation=pull.generation,
        created=pull.created_at,
        spec=pull.spec,
        record=record,
        finalizer=pull.has_finalizer,
        deleting=pull.deleting,
        rotate=pull.rotate,
        holds=zone_id_of(pull.status),
    )
