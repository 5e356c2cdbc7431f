"""One loop per object: it begins when a watch shows the object, and ends with it.

What the object refers to wakes it. The finalizer is set and removed here and nowhere else, so that
an object, a loop and a finalizer begin and end together.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from aop.api import FINALIZER, ROTATE_ANNOTATION
from aop.api.manifest import finalizers, is_deleting, is_edited, is_held, is_settled, references
from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, Kind
from aop.health import Health
from aop.metrics import WaitingFigures
from aop.observe import Observer
from aop.observe.memory import Memory
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.orphans import Orphans
from aop.reconcile import Reconciler
from aop.terms import ObjectKey

log = logging.getLogger("aop")
Manifest = dict[str, Any]

REMOVAL_RECHECK_S = 10.0
"""How long a removal rests at most: somebody waits for it."""
FIRSTS_AT_ONCE = 64
"""Settled objects whose first visit is under way. After a start thousands wait for theirs: an
object takes many times the memory then, and those for which somebody waits go before all."""
RESTS_S = 5.0
"""What is kept of an object for a look at it is not kept for longer than that."""
RELEASE_AGAIN_S = 1.0
"""When a finalizer that could not be taken off is tried again."""


@dataclass(slots=True)
class Loop:
    """One object's wake event and memory."""

    key: ObjectKey
    memory: Memory
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    seen: tuple[object, ...] = ()
    references: frozenset[ObjectKey] = frozenset()
    """Secrets and ConfigMaps that the spec names."""
    task: asyncio.Task[None] | None = None

    def rouse(self, now_s: float) -> None:
        """Have the object looked at, now (monotonic) or as soon as its turn comes."""
        self.wake.set()
        if self.memory.waits_since_s is None:
            self.memory.waits_since_s = now_s


class Loops:
    """All objects' loops, by uid; built once per process, and used in one thread only."""

    def __init__(
        self,
        cluster: Cluster,
        reconciler: Reconciler,
        observer: Observer,
        origins: OriginKeepers,
        secrets: Secrets,
        orphans: Orphans,
        clock: Clock,
        health: Health,
    ) -> None:
        self._cluster = cluster
        self._reconciler = reconciler
        self._observer = observer
        self._origins = origins
        self._secrets = secrets
        self._orphans = orphans
        self._clock = clock
        self._health = health
        self._loops: dict[str, Loop] = {}
        self._queued: dict[str, Loop] = {}
        """Loops of settled objects that have not begun yet, by uid."""
        self._firsts: set[str] = set()
        """Uids of those of them whose first visit is under way."""
        observer.objects.begin(self._see_again)

    # --- what the watches show --------------------------------------------------------------------

    def see(self, manifest: Manifest) -> None:
        """The watch shows an object as it is now; the object has a loop from its first sight on.

        It has none if it is being deleted without our finalizer: then nothing of ours has to be put
        back. What a list or a watch shows too late changes nothing.
        """
        meta = manifest["metadata"]
        if is_deleting(manifest) and not is_held(manifest):
            self.lose(meta["uid"])
            return
        loop = self.loop(meta["uid"], ObjectKey(meta["namespace"], meta["name"]))
        if not loop.memory.learn(manifest, self._clock.monotonic_s()):
            return
        self.wake_all(self._observer.objects.learn(manifest))
        loop.references = references(loop.key, manifest.get("spec") or {})
        seen = (
            meta.get("generation"),
            is_held(manifest),
            is_deleting(manifest),
            (meta.get("annotations") or {}).get(ROTATE_ANNOTATION),
        )
        if seen != loop.seen:
            loop.seen = seen
            loop.memory.edited = is_edited(manifest)
            loop.memory.cloudflare.retry_at = None
            loop.rouse(self._clock.monotonic_s())
        if loop.task is None and is_settled(manifest):
            self._queued[meta["uid"]] = loop
            self._begin_queued()
        else:
            self._begin(meta["uid"], loop)

    def _see_again(self, manifest: Manifest) -> None:
        """The list shows an object, whose watch may hang.

        If an object has no loop, the watch has to show it first: a list may be older.
        """
        if manifest["metadata"]["uid"] in self._loops:
            self.see(manifest)

    def lose(self, uid: str) -> None:
        """An object is gone, or no longer ours; what it may have left behind is looked for soon."""
        if uid in self._loops:
            self.wake_all(self.drop(uid))
            self._orphans.look_soon()

    def wake_referrers(self, key: ObjectKey, version: str = "", *, listed: bool = False) -> None:
        """A Secret or ConfigMap has changed: objects that name it look again, and read it anew.

        Nobody needs to be told of what was read or written at the resourceVersion `version`. What a
        watch has only `listed`, as it begins, is no news to an object that has not looked yet.
        """
        if self._origins.knows(key, version) or self._secrets.knows(key, version):
            return
        self._origins.forget(key)
        self._secrets.forget(key)
        for uid, loop in self._loops.items():
            if key in loop.references and not (listed and loop.task is None):
                loop.memory.urgent = True
                loop.rouse(self._clock.monotonic_s())
                self._begin(uid, loop)

    # --- the loops themselves ---------------------------------------------------------------------

    def loop(self, uid: str, key: ObjectKey) -> Loop:
        """The object's loop, made at its first mention.

        An object of the same name that comes after it has another uid, and another loop.
        """
        if uid not in self._loops:
            self._loops[uid] = Loop(key, Memory(uid=uid))
            self._origins.forget_what_is_served()
        return self._loops[uid]

    def drop(self, uid: str) -> frozenset[str]:
        """The object is gone; a visit that is under way finds nothing to do.

        Returns the uids of the others that name its zone.
        """
        others: frozenset[str] = frozenset()
        self._queued.pop(uid, None)
        self._end_first(uid)
        if loop := self._loops.pop(uid, None):
            loop.memory.gone = True
            loop.wake.set()
            others = self._observer.drop(uid, loop.memory)
        self._reconciler.drop(uid)
        self._origins.drop(uid)
        self._health.forget(uid)
        return others

    def wake(self, uid: str) -> None:
        """Something was seen on which the object may act."""
        if loop := self._loops.get(uid):
            loop.rouse(self._clock.monotonic_s())

    def wake_all(self, uids: frozenset[str]) -> None:
        """Look at these objects now."""
        for uid in uids:
            self.wake(uid)

    def waiting(self) -> WaitingFigures:
        """How many objects there are, and how long each one that waits for a look has waited."""
        now_s, memories = (
            self._clock.monotonic_s(),
            [one.memory for one in tuple(self._loops.values())],
        )
        since = [one.waits_since_s for one in memories]
        return WaitingFigures(
            len(memories), tuple(max(0.0, now_s - at_s) for at_s in since if at_s is not None)
        )

    async def end(self) -> None:
        """Look at nothing any more. This does not wait for effects that are under way."""
        tasks = [loop.task for loop in self._loops.values() if loop.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for uid, loop in self._loops.items():
            self._health.forget(uid)
            self._reconciler.drop(uid)
            self._observer.drop(uid, loop.memory)

    def _begin(self, uid: str, loop: Loop) -> None:
        """Begin a loop that has not begun: somebody waits for its object, or its turn has come."""
        self._queued.pop(uid, None)
        if loop.task is None:
            loop.task = asyncio.create_task(self._keep(uid, loop))

    def _begin_queued(self) -> None:
        while self._queued and len(self._firsts) < FIRSTS_AT_ONCE:
            uid = next(iter(self._queued))
            self._firsts.add(uid)
            self._begin(uid, self._queued[uid])

    def _end_first(self, uid: str) -> None:
        """An object has had its first visit, or is gone: the next one's turn has come."""
        if uid in self._firsts:
            self._firsts.remove(uid)
            self._begin_queued()

    async def _keep(self, uid: str, loop: Loop) -> None:
        """Visit the object again and again, until it is gone."""
        while self._loops.get(uid) is loop:
            loop.wake.clear()
            self._health.expect(uid)
            await self._hold(loop)
            visit = await self._reconciler.visit(loop.key, loop.memory)
            self._end_first(uid)
            delay_s = visit.delay_s
            if visit.finished:
                if self._loops.get(uid) is not loop or await self._release(loop):
                    break
                delay_s = RELEASE_AGAIN_S
            elif is_deleting(loop.memory.manifest or {}):
                delay_s = min(delay_s, REMOVAL_RECHECK_S)
            self._health.expect(uid, delay_s)
            if delay_s >= RESTS_S:
                loop.memory.kept.rest()
            try:
                async with asyncio.timeout(delay_s):
                    await loop.wake.wait()
            except TimeoutError:
                loop.rouse(self._clock.monotonic_s())
        self._health.forget(uid)

    # --- the finalizer ----------------------------------------------------------------------------

    async def _hold(self, loop: Loop) -> None:
        """Set the finalizer before anything leaves a trace; the rules wait until it is there."""
        known = loop.memory.manifest
        if known is None or loop.memory.gone or is_deleting(known) or is_held(known):
            return
        try:
            await self._write_finalizers(loop, known, [*finalizers(known), FINALIZER])
        except ClusterError as error:
            loop.memory.shown_s = float("-inf")
            log.warning("%s: finalizer not set: %s", loop.key, error.message)

    async def _release(self, loop: Loop) -> bool:
        """Take the finalizer off an object that is finished; returns whether its loop may end.

        An API server that is starting may not know the kind yet; that ends no loop. A list shows
        it, while a read only says that there is no such object.
        """
        uid, finished = loop.memory.uid, loop.memory.gone
        try:
            current = await self._cluster.find(Kind.AUTHENTICATED_ORIGIN_PULL, loop.key)
            if current is None or current["metadata"]["uid"] != uid:
                self.lose(uid)
                return True
            if not finished or not is_deleting(current):
                loop.memory.gone = False
                return False
            if is_held(current):
                kept = [one for one in finalizers(current) if one != FINALIZER]
                await self._write_finalizers(loop, current, kept)
        except ClusterError as error:
            log.warning("%s: finalizer not taken off: %s", loop.key, error.message)
            return False
        return True

    async def _write_finalizers(self, loop: Loop, known: Manifest, wanted: list[str]) -> None:
        version = known["metadata"]["resourceVersion"]
        body = {"metadata": {"finalizers": wanted or None, "resourceVersion": version}}
        # Ending the loop does not end a write: it could arrive when another process leads.
        written = await asyncio.shield(
            asyncio.create_task(self._cluster.merge(Kind.AUTHENTICATED_ORIGIN_PULL, loop.key, body))
        )
        loop.memory.learn(written, self._clock.monotonic_s())
