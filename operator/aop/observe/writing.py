"""The one writer of an origin's carrier.

Every write costs every replica a reload, and each reload makes the others wait. So what objects
want to publish at about the same time goes out in one write, and the next write waits until every
replica was seen to run that one, or for as long as a controller takes to notice. What protects
visitors never waits, and takes along what has gathered (docs/adr/0019).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from aop.clock import Clock
from aop.cluster import Conflict
from aop.errors import Blocked, Reason, Transient
from aop.observe.carrier import Carrier
from aop.observe.pauses import gathered_at_most_s, gathered_s, pause_s
from aop.observe.published import PublishedMemory
from aop.observe.turns import Turns
from aop.origins.kind import Site
from aop.origins.sites import Json, Published
from aop.schema import Model
from aop.terms import Claim, Mode

ADMISSION = "an admission webhook or policy of the cluster"
"""Who else may change what a write of ours says: nothing else stands between it and the answer of
the API server."""
UNFIT = (Blocked, ValueError)
"""What a driver raises for a claim that it cannot write (`kind.Site.publish`)."""


@dataclass(slots=True, eq=False)
class ClaimChange:
    """What one object wants to have published."""

    claim: Claim
    spec: Model | None
    gone: frozenset[str]
    protects: bool
    decided_on: tuple[object, ...]
    done: asyncio.Future[None]


class OriginWriter:
    """Writes one origin's carrier; built once by its keeper."""

    def __init__(
        self,
        carrier: Carrier,
        memory: PublishedMemory,
        notice: Callable[[Published, bool, str], None],
        clock: Clock,
        wake: Callable[[frozenset[str]], None],
    ) -> None:
        self._carrier = carrier
        self._memory = memory
        self._notice = notice
        self._clock = clock
        self._words = carrier.words
        self._turn = asyncio.Lock()
        self._waiting: dict[str, ClaimChange] = {}
        """By the uid of the object."""
        self._gathering: asyncio.Task[None] | None = None
        self.turns = Turns(self.next_at, wake, clock)
        self._flushes: set[asyncio.Task[None]] = set()
        """Writes under way. Each is made for several objects, so none of these may end one."""
        self._joint: tuple[int, frozenset[str]] = (0, frozenset())
        """The last joint write: its revision, and whose claims it had."""
        self._unfit: dict[str, tuple[tuple[object, ...], Exception]] = {}
        """By the uid of the object, what could not be written on the carrier as it is, and why."""
        self._unfit_on: Site | None = None
        """The carrier on which that was tried."""
        self._alone: set[str] = set()
        """Objects whose claims went out in a write that was rejected; each is now tried alone."""
        self.busy = 0
        """How many objects that share the origin wait for something."""
        self.unseen = False
        """Some of them have not yet seen, on every replica, what the published text does to their
        hosts."""
        self.seen_everywhere: int | None = None
        """The revision that every replica which may serve was seen to run; None: they differ."""

    # --- when -------------------------------------------------------------------------------------

    def next_at(self) -> datetime | None:
        """Until when nothing is written except what protects; None: it may be now.

        An object that changes alone waits for nobody.
        """
        changed_at = self._memory.changed_at
        if changed_at is None or self.busy < 2 or not self._memory.published.revision:
            return None
        applied = self.seen_everywhere == self._memory.published.revision
        least_s = pause_s(self.busy, applied=applied, unseen=self.unseen)
        moment = changed_at + timedelta(seconds=least_s)
        return moment if moment > self._clock.now() else None

    def went_out_with_others(self, uid: str) -> bool:
        """Whether its claim was part of a joint write, so that a rejection may be another's."""
        revision, uids = self._joint
        return revision == self._memory.published.revision and uid in uids

    def try_each_alone(self) -> None:
        """The last write was rejected: from now on, try each of its claims alone."""
        self._alone |= self._joint[1]

    def drop(self, uid: str) -> None:
        """An object is gone."""
        self._alone.discard(uid)
        self._unfit.pop(uid, None)
        self.turns.drop(uid)

    # --- what -------------------------------------------------------------------------------------

    async def publish(
        self, uid: str, claim: Claim, *, spec: Model | None, gone: frozenset[str]
    ) -> None:
        """Write a claim that was decided on the last look, with what else has gathered.

        Raises `Conflict` if what it was decided on has changed since.
        """
        followed = self._memory.of(uid)
        if followed is None:
            raise Conflict(f"the operator has not looked at {self._words.place} yet")
        protects = self._memory.published.relaxed_by(claim)
        if not protects and self.next_at() is not None:
            raise self._changed()  # a write has gone out since: this one waits for the next turn
        done = asyncio.get_running_loop().create_future()
        self.turns.has_looked(uid)
        change = ClaimChange(claim, spec, gone, protects, followed.decided_on, done)
        self._waiting[uid] = change
        if protects or self.busy < 2:
            self._begin(self._flush())
        elif self._gathering is None or self._gathering.done():
            self._gathering = self._begin(self._flush_soon())
        await change.done

    async def withdraw(self, uid: str) -> None:
        """Take an object's claim out.

        Raises `Conflict` if what that was decided on has changed since.
        """
        async with self._turn:
            followed = self._memory.of(uid)
            manifest, site = self._current()
            if followed is None or site.published.as_seen_by(uid) != followed.decided_on:
                raise self._changed()
            if manifest is not None:
                await self._write(manifest, site.withdraw(uid), ())
            followed.written = None

    async def relax_orphaned(self, manifest: Json, claim: Claim) -> None:
        """Take a claim whose object is gone one step further: to Off, and from Off out.

        `manifest` is the carrier that was just read. Raises `ClusterError`.
        """
        async with self._turn:
            site = self._carrier.site((manifest,))
            milder = replace(claim, mode=Mode.OFF, enforced=())
            body = (
                site.publish(milder, spec=None, token_if_new=secrets.token_hex(8))
                if claim.mode > Mode.OFF
                else site.withdraw(claim.uid)
            )
            if body != manifest:
                await self._carrier.replace(manifest, body)
                self._carrier.forget()

    # --- how --------------------------------------------------------------------------------------

    def _begin(self, flush: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it in a separate task.

        If whoever began it leaves, the claims of the others still go out.
        """
        task = asyncio.create_task(flush)
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)
        return task

    async def _flush_soon(self) -> None:
        """Write once nobody has come for a moment, and all who were woken for it have looked."""
        began_s, gathered = self._clock.monotonic_s(), 0
        while gathered < len(self._waiting) or self.turns.expects_somebody:
            gathered = len(self._waiting)
            if self._clock.monotonic_s() - began_s >= gathered_at_most_s(self.busy):
                break
            await asyncio.sleep(gathered_s(self.busy))
        await self._flush()

    async def _flush(self) -> None:
        """Write everything that waits. A claim that may have broken a text goes alone, first."""
        async with self._turn:
            waiting = {uid: one for uid, one in self._waiting.items() if not one.done.done()}
            self._waiting.clear()
            chosen = self._chosen(waiting)
            outcome: Exception | None = None
            try:
                await self._write_together(chosen)
            except Exception as error:  # noqa: BLE001 - each visit that waits for it deals with it
                outcome = error
            for change in chosen.values():
                _end(change, outcome)
            for uid in waiting.keys() - chosen.keys():
                _end(waiting[uid], self._changed())
            self._send_back()
        if self._waiting:
            self._gathering = self._begin(self._flush_soon())

    def _send_back(self) -> None:
        """Send those that came while others were written back to look again and wait.

        Otherwise each write would be followed by a second one, without a pause.
        """
        if self.next_at() is None:
            return
        late = {uid: one for uid, one in self._waiting.items() if not one.protects}
        for uid, change in late.items():
            del self._waiting[uid]
            _end(change, self._changed())

    def _chosen(self, waiting: dict[str, ClaimChange]) -> dict[str, ClaimChange]:
        """The changes that go out now.

        A claim that may have broken a text waits for what protects, and then goes alone.
        """
        doubted = {uid for uid, one in waiting.items() if uid in self._alone and not one.protects}
        if not doubted:
            return waiting
        if any(one.protects for one in waiting.values()):
            return {uid: one for uid, one in waiting.items() if uid not in doubted}
        first = min(doubted)
        self._alone.remove(first)
        return {first: waiting[first]}

    async def _write_together(self, changes: dict[str, ClaimChange]) -> None:
        """Write them all at once.

        If they do not go together, write those that do, what protects first.
        """
        manifest, site = self._current()
        if manifest is None and not self._carrier.creates:
            raise Transient(f"{self._words.place} does not exist any more")
        going = self._going(site, changes.values())
        whole: dict[str, Any] | None = None
        if len(going) > 1:
            with suppress(*UNFIT):
                whole = self._body(site, going)
        if whole is not None:
            await self._write(manifest, whole, going)
            return
        for protects in (True, False):
            await self._write_what_fits([one for one in going if one.protects is protects])

    def _going(self, site: Site, changes: Iterable[ClaimChange]) -> list[ClaimChange]:
        """The changes that are still to be written; the others end with what prevents them.

        With many claims a try takes a while, so what could not be written is not tried again on the
        same carrier.
        """
        for change in changes:
            uid = change.claim.uid
            if site.published.as_seen_by(uid) != change.decided_on:
                _end(change, self._changed())
            elif (known := self._unfit.get(uid)) and known[0] == self._attempt(change):
                _end(change, known[1])
        return [one for one in changes if not one.done.done()]

    async def _write_what_fits(self, changes: list[ClaimChange]) -> None:
        """Write those that can be written; the others end with what prevents them.

        One object's claim holds up no other's. A few among hundreds are found by halving, and
        whatever else the process does goes on between the tries.
        """
        manifest, site = self._current()
        fit: list[ClaimChange] = []
        body: dict[str, Any] | None = None
        going = self._going(site, changes)
        parts = [going] if going else []
        while parts:
            part = parts.pop()
            try:
                body = self._body(site, [*fit, *part])
            except UNFIT as error:
                if len(part) > 1:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                else:
                    unfit = self._attempt(part[0]), error.with_traceback(None)
                    self._unfit[part[0].claim.uid] = unfit
                    _end(part[0], error)
            else:
                fit += part
            await asyncio.sleep(0)
        if body is not None:
            await self._write(manifest, body, fit)

    def _attempt(self, change: ClaimChange) -> tuple[object, ...]:
        """Everything except the carrier that decides whether a change can be written."""
        return self.seen_everywhere, change.claim, change.spec, change.gone

    def _body(self, site: Site, changes: list[ClaimChange]) -> dict[str, Any]:
        first, *others = changes
        return site.publish(
            first.claim,
            spec=first.spec,
            token_if_new=secrets.token_hex(8),
            seen_everywhere=self.seen_everywhere,
            gone=frozenset().union(*(change.gone for change in changes)),
            beside=[(change.claim, change.spec) for change in others],
        )

    def _current(self) -> tuple[Json | None, Site]:
        """The carrier as it was last read or written."""
        manifest, site = self._carrier.current()
        if site is not self._unfit_on:
            self._unfit.clear()
            self._unfit_on = site
        return manifest, site

    async def _write(
        self, manifest: Json | None, body: dict[str, Any] | None, changes: Collection[ClaimChange]
    ) -> None:
        """Put the body in the carrier's place, and check what comes back.

        Raises `Blocked` if it differs from what was sent, because each try costs every replica a
        reload.
        """
        if body == manifest:
            return
        sent, stored = await self._carrier.put(manifest, body)
        uids = frozenset(change.claim.uid for change in changes)
        self._joint = (stored.revision, uids) if len(uids) > 1 else (0, frozenset())
        if _says(stored) == _says(sent):
            self._notice(stored, True, "")
            return
        self._notice(sent, True, "")
        self._notice(stored, False, ADMISSION)
        for change in changes:
            if (followed := self._memory.of(change.claim.uid)) is not None:
                # As far as anybody knows; whether the text really says so, the replicas are asked.
                followed.written = change.claim
        raise Blocked(
            Reason.FOREIGN_CONFIGURATION,
            f"Before the API server stores it, {ADMISSION} changes what the operator writes into {self._words.place}. Let it leave {self._words.ours} alone there",
        )

    def _changed(self) -> Conflict:
        return Conflict(f"{self._words.place} has changed since it was looked at")


def _end(change: ClaimChange, error: Exception | None) -> None:
    if change.done.done():
        return
    if error is None:
        change.done.set_result(None)
    else:
        change.done.set_exception(error)


def _says(published: Published) -> tuple[object, ...]:
    """What a carrier says of us, as far as a write depends on it."""
    return (
        published.entries,
        published.intact,
        published.residue,
        published.revision,
        published.path_token,
    )
