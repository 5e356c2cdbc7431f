"""What an origin says of the current text if it does not accept it.

Only words prove a rejection; no silence and no clock does (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from aop.clock import Clock
from aop.cluster import Cluster
from aop.observe.published import PublishedMemory
from aop.observe.rollouts import Rollouts
from aop.observe.source import Known, Source
from aop.observed import ObservedReplica
from aop.origins.kind import Capabilities, Site
from aop.origins.sites import Rejection, Replica
from aop.terms import Kind

Manifest = dict[str, Any]

EVENTS_AFTER_S = 1.0
"""How old a revision that no replica shows must be before the Events are worth a look."""


class Refusals:
    """The refusals of one origin; built once by its keeper."""

    def __init__(
        self,
        cluster: Cluster,
        memory: PublishedMemory,
        rollouts: Rollouts,
        clock: Clock,
        capabilities: Capabilities,
    ) -> None:
        self._cluster = cluster
        self._memory = memory
        self._rollouts = rollouts
        self._clock = clock
        self._capabilities = capabilities
        self._events: dict[str, Source[list[Manifest]]] = {}
        """By the name of the pod."""

    async def look(
        self, site: Site, replicas: Collection[ObservedReplica], until_s: float
    ) -> Rejection | None:
        """The origin's own words about the current text, while no replica shows it.

        A controller that has given up replacing the replicas is heard in any case, even if some of
        them show the text. A pod that starts with a text that it cannot read never becomes Ready,
        but says why as well: if all pods have been replaced, nobody else does.
        """
        changed_at, revision = self._memory.changed_at, site.published.revision
        if not revision or changed_at is None:
            self._events.clear()
            return None
        since = changed_at + self._clock.stepped()
        if why := site.unfinished(since):
            return self._rollouts.judged(why, revision)
        if any(r.revision == revision for r in replicas):
            self._events.clear()
            return self._without_events(site, since)
        if (self._clock.now() - changed_at).total_seconds() < EVENTS_AFTER_S:
            return None
        refusal = await self._in_events(site, since, until_s)
        return self._rollouts.judged(refusal, revision) if refusal else None

    def _without_events(self, site: Site, since: datetime) -> Rejection | None:
        """What the origin says without Events about a text that was in force and ends by that."""
        if not self._capabilities.fails_rejected:
            return None
        refusals = (site.rejection((), replica, since) for replica in site.replicas)
        return next((one for one in refusals if one is not None), None)

    async def _in_events(self, site: Site, since: datetime, until_s: float) -> Rejection | None:
        for replica in site.replicas:
            source = self._events.setdefault(replica.name, self._events_of(replica))
            events = await source.look(
                within_s=EVENTS_AFTER_S, patience_s=until_s - self._clock.monotonic_s()
            )
            if isinstance(events, Known) and (
                refusal := site.rejection(events.value, replica, since)
            ):
                return replace(refusal, words=f"pod {replica.name}: {refusal.words}")
        return None

    def _events_of(self, replica: Replica) -> Source[list[Manifest]]:
        fields = f"involvedObject.name={replica.name}"
        return Source(
            f"the Events of pod {replica.key}",
            lambda: self._cluster.list(Kind.EVENT, replica.key.namespace, fields=fields),
            self._clock,
            needed=False,
        )
