"""The loop: observe, next_step, perform, again and again.

Then come the status, Events, and when to look next. An object is visited under its own lock, by one
task at a time. A visit goes on while there are effects to perform, and ends with the first step
that is none. No error ends the loop: `Blocked` and `Transient` become a condition and a delay, a
bug becomes a traceback in the log, a condition, and a delay.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TextIO

from pydantic import TypeAdapter

from aop.alerts import AlertsKeeper
from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, Conflict, Kind, Subject
from aop.errors import AopError, Blocked, Reason, Transient
from aop.measured import figures, relaxation, undone
from aop.metrics import Metrics
from aop.observe import LOOK_S, Observer
from aop.observe.memory import Memory
from aop.observed import Observed
from aop.perform import Performer
from aop.plan import next_step
from aop.plan.facts import ours_listed, wanted_leaf
from aop.standing import rests_meanwhile
from aop.steps import Block, Done, Effect, Note, Step, Wait
from aop.telling import Failed, Teller, measured_of, subject_of
from aop.terms import ObjectKey

log = logging.getLogger("aop")

MOST_STEPS = 20
"""How many effects one visit may have, more than any rollout needs, so that a plan which never ends
becomes visible instead of keeping the process busy."""
BLOCKED_RECHECK_S = 15.0
LOOK_AGAIN_S = 5.0
"""How soon the operator looks again after an effect was refused, because of what protects, whatever
the refused call itself waits for."""
AFTER_PAUSE_S = 15.0
"""The same if the effect must not be tried again before a known time: with hundreds of zones it can
take minutes until Cloudflare accepts more calls."""
CONFLICT_S = 0.2
"""How soon the operator looks again after somebody else has written first: nothing is wrong, it
only decides again on what is there now."""
REREAD_AFTER_FAILURE_S = 5.0
"""How soon the object is read again after reading it has failed."""
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Visit:
    """The outcome of a visit: the seconds until the next one, and whether a removal is finished."""

    delay_s: float
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """One look and the step to which it led.

    It is a line of the trace, from which a run can be replayed in the model of the rules.
    """

    observed: Observed
    kind: str
    step: Step


TRACE: TypeAdapter[Pass] = TypeAdapter(Pass)
"""Writes and reads lines of the trace."""


class Reconciler:
    """Visits objects; built once per process."""

    def __init__(
        self,
        cluster: Cluster,
        observer: Observer,
        performer: Performer,
        alerts: AlertsKeeper,
        clock: Clock,
        metrics: Metrics,
        trace: Path | None = None,
        home: Subject | None = None,
    ) -> None:
        self._cluster = cluster
        self._observer = observer
        self._performer = performer
        self._alerts = alerts
        self._clock = clock
        self._metrics = metrics
        self._teller = Teller(cluster, clock, metrics, home)
        self._under_way: set[asyncio.Task[None]] = set()
        self._trace: TextIO | None = (
            trace.open("a", encoding="utf-8", buffering=1) if trace else None
        )

    async def visit(self, key: ObjectKey, memory: Memory) -> Visit:
        """Bring the object's world one visit nearer to its spec.

        Never raises, except when it is cancelled.
        """
        begun_s = self._clock.monotonic_s()
        try:
            return await self._visit(key, memory)
        finally:
            self._observer.has_looked(memory)
            self._metrics.visit_duration.observe(self._clock.monotonic_s() - begun_s)

    async def _visit(self, key: ObjectKey, memory: Memory) -> Visit:
        pull: AuthenticatedOriginPull | None = None
        try:
            for _ in range(MOST_STEPS):
                manifest = await self._manifest(key, memory)
                if manifest is None:
                    return Visit(LONGEST_BACKOFF_S, finished=True)
                pull = memory.kept.parse(manifest)
                observed = await self._observer.observe(pull, memory)
                self._measure(pull, observed, memory)
                step = next_step(observed)
                self._trace_pass(observed, step)
                self._alerts.hear(pull, observed, memory)
                if isinstance(step, Done) and observed.object.deleting:
                    step = self._and_alerts_left(step, pull)
                if isinstance(step, Wait | Block | Done):
                    return await self._rest(pull, observed, step, memory)
                await self._tell_and_perform(step, observed, pull, memory)
            raise RuntimeError(f"{MOST_STEPS} steps in one visit of {key}, the last one: {step}")
        except Conflict as error:
            memory.shown_s = float("-inf")
            log.info("%s: %s; it is looked at again", key, error.message)
            return Visit(CONFLICT_S)
        except AopError as error:
            return await self._failed(key, pull, error, memory)
        except Exception as error:
            log.exception("bug while visiting %s", key)
            return await self._failed(key, pull, error, memory)

    def _and_alerts_left(self, step: Done, pull: AuthenticatedOriginPull) -> Wait | Done:
        """A removal is finished once the object's recipients are no longer warned because of it."""
        left = self._alerts.until_left(pull)
        if isinstance(left, Wait):
            return left
        return Done("; and ".join(filter(None, (step.left_behind, left))))

    async def finish(self, within_s: float) -> None:
        """Visit nothing any more, and wait that long for the effects that are under way."""
        if under_way := set(self._under_way):
            log.info("%d effects are under way and may finish", len(under_way))
            done, cut = await asyncio.wait(under_way, timeout=within_s)
            for effect in done:
                if not effect.cancelled() and (error := effect.exception()):
                    log.warning("an effect failed at the end of the process: %s", error)
            for effect in cut:
                log.warning("an effect was cut off after %.0f s", within_s)
                effect.cancel()
        if self._trace:
            self._trace.close()

    async def _manifest(self, key: ObjectKey, memory: Memory) -> dict[str, Any] | None:
        """The object as its watch, or the list of all, shows it.

        A slow API server must not delay what protects. None: this object, by its uid, no longer
        exists.

        It is read separately if neither has shown it for a while, or if a conflict shows that it
        was out of date.
        """
        if memory.gone:
            return None
        known, now_s = memory.manifest, self._clock.monotonic_s()
        stale_after_s = self._observer.objects.stale_after_s
        if known is not None and now_s - memory.shown_s < stale_after_s:
            return known
        try:
            async with asyncio.timeout(None if known is None else LOOK_S):
                manifest = await self._cluster.find(Kind.AUTHENTICATED_ORIGIN_PULL, key)
        except (ClusterError, TimeoutError):
            if known is None:
                raise
            memory.shown_s = now_s - stale_after_s + REREAD_AFTER_FAILURE_S
            return known
        if manifest is None or (memory.uid and manifest["metadata"]["uid"] != memory.uid):
            return None
        memory.uid = manifest["metadata"]["uid"]
        memory.learn(manifest, now_s)
        memory.shown_s = now_s
        return memory.manifest

    async def _tell_and_perform(
        self, step: Effect, observed: Observed, pull: AuthenticatedOriginPull, memory: Memory
    ) -> None:
        """Do both at once: what protects does not wait for a status.

        A status that is written beside a note would make the note miss its version.
        """
        if isinstance(step, Note):
            try:
                await self._perform(step, observed, pull, memory)
            except Transient as error:
                if isinstance(error, Conflict) or memory.kept_note is None:
                    raise
                log.warning("%s: %s; what protects goes on without it", pull.key, error.message)
            return
        if step == memory.refused:  # what it failed of is told, and still true
            await self._perform(step, observed, pull, memory)
            return
        telling = asyncio.create_task(self._teller.tell(pull, observed, step, memory))
        try:
            await self._perform(step, observed, pull, memory)
        finally:
            await telling

    async def _perform(
        self, step: Effect, observed: Observed, pull: AuthenticatedOriginPull, memory: Memory
    ) -> None:
        log.info("%s: %s", pull.key, step, extra={"step": type(step).__name__})
        self._metrics.steps.labels(step=type(step).__name__).inc()
        memory.refused = step
        # The end of the process ends the visit, but not the change that it has begun.
        effect = asyncio.create_task(self._performer.perform(step, observed, pull, memory))
        self._under_way.add(effect)
        effect.add_done_callback(self._under_way.discard)
        await asyncio.shield(effect)
        memory.errors, memory.refused = 0, None
        if (cause := relaxation(observed, step)) is not None:
            self._metrics.relaxed(measured_of(pull), cause)
        if (what := undone(observed, step, pull.status)) is not None:
            self._metrics.made_good(measured_of(pull), what)
        if not isinstance(step, Note):
            self._teller.say(subject_of(pull), "Normal", type(step).__name__, str(step), memory)

    async def _rest(
        self,
        pull: AuthenticatedOriginPull,
        observed: Observed,
        step: Wait | Block | Done,
        memory: Memory,
    ) -> Visit:
        memory.errors, memory.refused = 0, None
        resting = isinstance(step, Done) or rests_meanwhile(observed, step, pull.status)
        memory.awaiting = not resting
        memory.blocked_on = step.reason if isinstance(step, Block) else None
        memory.awaits_quiet_period = observed.object.deleting or bool(
            {*observed.record.uploaded, *(c.pin for c in ours_listed(observed))}
            - {wanted_leaf(observed)}
        )
        self._metrics.visits.labels(result=type(step).__name__.lower()).inc()
        finished = isinstance(step, Done) and observed.object.deleting
        # Until its watch shows that the object is gone, what is known of it would finish its
        # removal again.
        memory.gone = finished
        if isinstance(step, Done) and step.left_behind:
            await self._teller.leave_behind(pull, step.left_behind)
        if not finished:
            await self._teller.tell(pull, observed, step, memory)
        else:
            self._metrics.forget(observed.object.uid)
        seconds = self._observer.due_in_s(memory)
        if isinstance(step, Wait) and not resting:
            seconds = min(seconds, self._observer.awaits(step, pull.uid))
        elif isinstance(step, Block):
            seconds = min(seconds, BLOCKED_RECHECK_S)
        return Visit(max(0.05, seconds), finished)

    async def _failed(
        self, key: ObjectKey, pull: AuthenticatedOriginPull | None, error: Exception, memory: Memory
    ) -> Visit:
        memory.errors += 1
        memory.awaiting = True
        if isinstance(error, ClusterError) and error.status == HTTPStatus.NOT_FOUND:
            memory.kept.forget()
        # What protects visitors waits for no call that fails, so the loop never rests for long.
        # Each API's client paces its own calls.
        backoff_s = self._clock.jitter(
            min(FIRST_BACKOFF_S * 2 ** min(memory.errors, 10), LOOK_AGAIN_S)
        )
        result, reason, delay_s = "bug", Reason.INTERNAL_ERROR, max(backoff_s, 1.0)
        message = f"{type(error).__name__} in the operator; its log has the traceback. The operator tries again"
        if isinstance(error, Blocked):
            result, reason, delay_s, message = "blocked", error.reason, LOOK_AGAIN_S, error.message
        elif isinstance(error, Transient):
            after_s = error.retry_after_s
            result, reason, delay_s = (
                "transient",
                Reason.TRANSIENT_ERROR,
                min(after_s, AFTER_PAUSE_S) if after_s is not None else backoff_s,
            )
            message = f"{error.message.rstrip('.')}. The operator tries again"
        self._metrics.visits.labels(result=result).inc()
        log.warning("%s: %s", key, message)
        memory.blocked_on = error.reason if isinstance(error, Blocked) else None
        failure = Failed(reason, message, stalled=isinstance(error, Blocked))
        await self._teller.tell_failure(key, pull, failure, memory)
        return Visit(max(delay_s, 0.05))

    def _measure(self, pull: AuthenticatedOriginPull, observed: Observed, memory: Memory) -> None:
        if not memory.gone:
            self._metrics.see(measured_of(pull), figures(observed, pull.status))

    def drop(self, uid: str) -> None:
        """The object is gone."""
        self._alerts.forget(uid)
        self._metrics.forget(uid)

    def _trace_pass(self, observed: Observed, step: Step) -> None:
        """Write one line per pass for whoever replays a run in the model of the rules.

        Only if AOP_TRACE_FILE is set.
        """
        if self._trace:
            self._trace.write(
                TRACE.dump_json(Pass(observed, type(step).__name__, step), by_alias=True).decode()
                + "\n"
            )
