"""How one origin's replicas are replaced, if they read what is published only when they start.

One per target, shared by all objects that name it: what one of them has begun, the next does not
begin again.
"""

from __future__ import annotations

from datetime import datetime

from aop.clock import Clock
from aop.cluster import Cluster, ClusterError
from aop.observe.source import AWAITED_S
from aop.observe.sources import Pace, Sources
from aop.origins.kind import OriginKind, Site
from aop.origins.sites import Read, Rejection, Rollout
from aop.schema import Model
from aop.terms import Target

AGAIN_S = 60.0
"""How soon replicas are replaced again for the same text if somebody takes our mark off."""


class Rollouts:
    """Built once by the origin's keeper."""

    def __init__(
        self,
        kind: OriginKind,
        target: Target,
        reads: tuple[Read, ...],
        cluster: Cluster,
        sources: Sources,
        clock: Clock,
    ) -> None:
        self._kind = kind
        self._target = target
        self._reads = reads
        self._cluster = cluster
        self._sources = sources
        self._clock = clock
        self._begun: tuple[Rollout, datetime] | None = None
        """What the replicas were last replaced for, and when."""
        self._in_force: int | None = None
        """The last revision that every replica was seen to start with, and was Ready."""

    def wanted(self, site: Site, spec: Model | None, *, taken_up: bool) -> Rollout | None:
        """What makes every replica take up what is published.

        None if they have taken it up by themselves (`taken_up`), because they were replaced for
        another reason. None at first if somebody undoes it: each time replaces every pod.
        """
        rollout = site.rollout(spec)
        if rollout is None or (taken_up and not rollout.leaving):
            return None
        if self._begun is None or self._begun[0] != rollout:
            return rollout
        waited_s = (self._clock.now() - self._begun[1]).total_seconds()
        return rollout if waited_s >= AGAIN_S else None

    async def begin(self, rollout: Rollout) -> None:
        """Make a workload's controller replace the replicas. Raises `ClusterError`."""
        self._begun = rollout, self._clock.now()
        try:
            await self._cluster.merge(rollout.kind, rollout.key, dict(rollout.body))
        except ClusterError:
            # The next look shows whether it took effect all the same; until then it has not begun.
            self._begun = None
            raise
        finally:
            self._sources.of(Read(rollout.kind, rollout.key.namespace)).forget()

    async def begin_orphaned(self) -> None:
        """The same after a change of a claim whose object is gone. Raises `ClusterError`."""
        if not self._kind.rolls_out:
            return
        until_s = self._clock.monotonic_s() + AWAITED_S
        reading = await self._sources.look(self._reads, until_s=until_s, pace=Pace.BUSY)
        rollout = self._kind.site(self._target, reading.objects).rollout(None)
        if reading.lost is None and rollout is not None:
            await self.begin(rollout)

    def note_in_force(self, revision: int) -> None:
        """Every replica was seen to run that revision, and is Ready."""
        self._in_force = revision

    def judged(self, rejection: Rejection, revision: int) -> Rejection:
        """A rejection, with whose fault it is.

        If every replica was seen to start with that revision, then whatever keeps others from
        starting later is not the text's fault.
        """
        blameless = bool(self._kind.rolls_out) and self._in_force == revision
        return Rejection(rejection.words, ours=rejection.ours and not blameless)
