"""What an origin says of the current text, where it does not take it.

Only words prove a rejection: no silence does, and no clock (docs/adr/0014).
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
"""When a revision that nobody shows is worth a look at the Events."""


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

        Whoever has given up replacing the replicas is heard in any case, whatever some of them
        show. A pod that starts on a text that it cannot read never becomes Ready, but says why as
        well: where all have been replaced, nobody else does.
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
        """What is said without Events of a text that was in force, where that has an end by it."""
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
