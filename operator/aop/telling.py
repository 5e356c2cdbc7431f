"""What people and tools read: the status, and a handful of Events.

A status is written when something has changed on which somebody would act, and not for what only
counts on. If many objects progress at once, only some of them report it at a time. Writing it never
delays what protects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aop.api import API_VERSION, KIND, AuthenticatedOriginPull, ConditionType, Status
from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, EventType, Kind, Subject, event
from aop.errors import Reason
from aop.metrics import MeasuredObject, Metrics
from aop.observe import LOOK_S
from aop.observe.memory import Memory, Mention
from aop.observed import Observed
from aop.progress import Progress, is_progress
from aop.standing import is_only_postponed, stands_for, yet_to_be_seen
from aop.status import failed, merge_patch, status_of, without_rays
from aop.steps import Done, Step
from aop.terms import ObjectKey

log = logging.getLogger("aop")

LEFT_BEHIND = "LeftBehind"
"""Reason of the Event that names what a removal has left at Cloudflare."""
SAID_AGAIN_S = 3600.0
"""For how long an Event is not written again: Kubernetes forgets it after an hour."""
MOST_SAID = 100
"""How many Events are remembered for one object."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A visit that ended in an error."""

    reason: Reason
    message: str
    stalled: bool
    """Nothing more happens until somebody acts."""


class Teller:
    """Writes statuses and Events; built once per process."""

    def __init__(
        self, cluster: Cluster, clock: Clock, metrics: Metrics, home: Subject | None
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._metrics = metrics
        self._home = home
        self._progress = Progress()
        self._saying: set[asyncio.Task[bool]] = set()

    # --- the status -------------------------------------------------------------------------------

    async def tell(
        self, pull: AuthenticatedOriginPull, observed: Observed, step: Step, memory: Memory
    ) -> None:
        """Write the status, and an Event for a transition."""
        if yet_to_be_seen(observed, step, pull.status):
            if memory.standing_since is None or is_only_postponed(observed):
                memory.standing_since = observed.now
            if observed.now - memory.standing_since < stands_for(observed, step):
                self._show(measured_of(pull), pull.status, memory)
                return
        else:
            memory.standing_since = None
        status = status_of(observed, step, pull.status)
        self._show(measured_of(pull), status, memory)
        # A later look writes what is left out; there is one every half minute while something is
        # awaited. An object that waits for nothing has no such look.
        if (
            not isinstance(step, Done)
            and status != pull.status
            and is_progress(pull.status, status)
            and not self._progress.may_tell(self._clock.monotonic_s())
        ):
            return
        await self._in_time(
            memory,
            lambda: self._written_and_announced(subject_of(pull), status, pull.status, memory),
        )

    async def tell_failure(
        self,
        key: ObjectKey,
        pull: AuthenticatedOriginPull | None,
        failure: Failed,
        memory: Memory,
    ) -> None:
        """Write why a visit failed; what was seen before it stays."""
        manifest = memory.manifest if pull else await self._manifest(key)
        if manifest is None:
            return
        previous = Status.parse(manifest.get("status"))  # as told beside the step that has failed
        metadata = manifest["metadata"]
        status = failed(
            int(metadata.get("generation", 0)),
            self._clock.wall(),
            failure.reason,
            failure.message,
            previous,
            stalled=failure.stalled,
        )
        zone = str(((manifest.get("spec") or {}).get("zone") or {}).get("name") or "")
        self._show(MeasuredObject(metadata["uid"], key.namespace, key.name, zone), status, memory)
        subject = Subject(API_VERSION, KIND, key, metadata["uid"])
        await self._in_time(
            memory, lambda: self._written_and_announced(subject, status, previous, memory)
        )

    def _show(self, subject: MeasuredObject, status: Status, memory: Memory) -> None:
        """Log Ready as it is written, even if the API server does not accept it."""
        ready = status.condition(ConditionType.READY)
        stalled = status.condition(ConditionType.STALLED)
        alerts = status.condition(ConditionType.ALERTS_CONFIGURED)
        if ready is not None and not memory.gone:
            self._metrics.tell(
                subject,
                ready=ready.status == "True",
                stalled=stalled is not None and stalled.status == "True",
                reason=ready.reason,
                alerts_configured=alerts.status == "True" if alerts is not None else None,
            )

    async def _manifest(self, key: ObjectKey) -> dict[str, Any] | None:
        """The object, whatever spec it has."""
        try:
            return await self._cluster.find(Kind.AUTHENTICATED_ORIGIN_PULL, key)
        except ClusterError:
            return None

    async def _written_and_announced(
        self, subject: Subject, status: Status, previous: Status, memory: Memory
    ) -> None:
        if await self._write(subject.key, status, previous, memory):
            self._announce(subject, status, previous, memory)

    async def _write(
        self, key: ObjectKey, status: Status, previous: Status, memory: Memory
    ) -> bool:
        """Write the status if it differs; returns whether it was accepted.

        A failure is only logged: the next visit writes the status again.
        """
        if status == previous:
            return False
        shown = (memory.manifest or {}).get("status") or previous.manifest()
        body = {"status": merge_patch(shown, status.manifest())}
        try:
            written = await self._cluster.merge(Kind.AUTHENTICATED_ORIGIN_PULL, key, body, "status")
        except ClusterError as error:
            # Read anew if possible; what is known stands, because protection must not end with a
            # right.
            memory.shown_s = float("-inf")
            log.warning("%s: status not written: %s", key, error.message)
            return False
        memory.learn(written, self._clock.monotonic_s())
        return True

    async def _in_time(
        self, memory: Memory, telling: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """Write, and wait as long as a look may take.

        An API server or a webhook that hangs must not delay what protects: the write goes on by
        itself, and what has changed since is written when it has ended.
        """
        if memory.telling is None or memory.telling.done():
            memory.telling = asyncio.create_task(telling())
            await asyncio.wait({memory.telling}, timeout=LOOK_S)

    # --- Events -----------------------------------------------------------------------------------

    def _announce(self, subject: Subject, status: Status, previous: Status, memory: Memory) -> None:
        """Write an Event for each transition on which a person would act."""
        self._announce_alerts(subject, status, previous, memory)
        self._announce_ready(subject, status, previous, memory)

    def _announce_alerts(
        self, subject: Subject, status: Status, previous: Status, memory: Memory
    ) -> None:
        """Write that Cloudflare warns all whom the spec names, or that it does not."""
        type_ = ConditionType.ALERTS_CONFIGURED
        before, after = (one.condition(type_) for one in (previous, status))
        if after is None or after.status == "Unknown":
            return
        if before and (before.status, before.reason) == (after.status, after.reason):
            return
        if after.status == "True":
            self.say(subject, "Normal", type_, after.message, memory)
        else:
            self.say(subject, "Warning", after.reason, after.message, memory)

    def _announce_ready(
        self, subject: Subject, status: Status, previous: Status, memory: Memory
    ) -> None:
        """Write that the object became Ready, is no longer, or is stalled until somebody acts.

        What is only awaited is in the status.
        """
        before, after = (one.condition(ConditionType.READY) for one in (previous, status))
        if after is None or (
            before and (before.status, before.reason) == (after.status, after.reason)
        ):
            return
        stalled = status.condition(ConditionType.STALLED)
        is_stalled = stalled is not None and stalled.status == "True"
        lost = before is not None and before.status == "True" and after.reason != Reason.REMOVING
        if after.status == "True" or is_stalled or lost:
            kind: EventType = "Warning" if is_stalled else "Normal"
            self.say(subject, kind, after.reason, after.message, memory)

    def say(
        self,
        subject: Subject,
        kind: EventType,
        reason: str,
        message: str,
        memory: Memory,
    ) -> None:
        """Write an Event beside the object, for which nobody waits.

        One that was written within the hour is counted, and the next one gives the count.
        """
        now, what = self._clock.now(), (kind, reason, without_rays(message))
        earlier = memory.mentions.get(what)
        if earlier is not None and now - earlier.at < timedelta(seconds=SAID_AGAIN_S):
            earlier.count += 1
            return
        count = 1 if earlier is None else earlier.count + 1
        while len(memory.mentions) >= MOST_SAID:
            del memory.mentions[next(iter(memory.mentions))]
        memory.mentions[what] = Mention(now)
        saying = asyncio.create_task(self._event(subject, kind, reason, message, count))
        self._saying.add(saying)
        saying.add_done_callback(self._saying.discard)

    async def _event(
        self, subject: Subject, kind: EventType, reason: str, message: str, count: int = 1
    ) -> bool:
        """Write the Event; returns whether it was accepted."""
        try:
            await self._cluster.create(
                Kind.EVENT,
                subject.key.namespace,
                event(subject, kind, reason, message, self._clock.wall(), count),
            )
        except ClusterError as error:
            log.warning("%s: Event not written: %s", subject.key, error.message)
            return False
        return True

    async def leave_behind(self, pull: AuthenticatedOriginPull, what: str) -> None:
        """Name what is left behind, where it can still be read.

        A namespace that is being deleted accepts no Event, and takes those that it has with it.
        """
        message = f"released although {what}. Remove it at Cloudflare by hand"
        log.warning("%s: %s", pull.key, message)
        self._metrics.left_behind.labels(*measured_of(pull).labels).inc()
        if not await self._event(subject_of(pull), "Warning", LEFT_BEHIND, message) and self._home:
            message = f"{KIND} {pull.key} was {message}"
            await self._event(self._home, "Warning", LEFT_BEHIND, message)


def measured_of(pull: AuthenticatedOriginPull) -> MeasuredObject:
    """The object, as metrics name it."""
    return MeasuredObject(pull.uid, pull.key.namespace, pull.key.name, pull.spec.zone.name)


def subject_of(pull: AuthenticatedOriginPull) -> Subject:
    """The object, as its Events name it."""
    return Subject(API_VERSION, KIND, pull.key, pull.uid)
