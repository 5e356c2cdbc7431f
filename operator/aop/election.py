"""Which process leads: the one that holds a Lease.

The holder renews it three times in its length. A process that does not hold it looks every second
whether it may be taken. A holder that could not renew it has ended before that: `leading` counts
from when a renewal was sent, and a rival from when it saw it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, Conflict, Kind
from aop.health import Health
from aop.leading import Lead
from aop.lease import SeenLease, holder_of, made, released, renewed, taken
from aop.metrics import Metrics
from aop.terms import ObjectKey

log = logging.getLogger("aop")
Manifest = dict[str, Any]

RENEWALS = 3
"""How often a Lease is renewed in its length: two may fail."""
LOOK_S, LOOKS = 1.0, 15
"""How often a process that waits for a Lease looks at it: another has it a second after its
release. A short Lease is looked at as often in its length as one of 15 s."""


class Election:
    """One process's part in the election.

    Nothing else writes the Lease, and nothing else may write without a `Lead`.
    """

    def __init__(
        self,
        cluster: Cluster,
        key: ObjectKey,
        identity: str,
        lease_s: int,
        clock: Clock,
        health: Health,
        metrics: Metrics,
    ) -> None:
        """`identity` is that of this process, not of its pod.

        A container that starts again does not know what the one before it has under way.
        """
        self._cluster = cluster.under(Lead.alone(clock))
        self._key = key
        self._identity = identity
        self._lease_s = lease_s
        self._again_s = min(LOOK_S, lease_s / LOOKS)
        self._clock = clock
        self._health = health
        self._leader = metrics.leader
        self._seen = SeenLease(identity, lease_s)
        self._standing_by = ""
        """The holder of the Lease that was logged last."""
        self._lease: Manifest = {}
        """The Lease as this process last wrote it."""

    async def win(self, ending: asyncio.Event) -> Lead | None:
        """Wait until the Lease may be taken, and take it; None: the process ends before that."""
        while not ending.is_set():
            try:
                if (lead := await self.try_to_take()) is not None:
                    return lead
            except Exception:
                log.exception("bug while Lease %s is looked at", self._key)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._again_s):
                    await ending.wait()
        return None

    @asynccontextmanager
    async def kept(self, lead: Lead) -> AsyncIterator[None]:
        """Renew while the block lasts, and release at its end.

        Before anybody else may lead, it waits for whatever is under way then.
        """
        renewing = asyncio.create_task(self._renew(lead))
        self._leader.set(1)
        log.info("this process leads: it holds Lease %s as %s", self._key, self._identity)
        try:
            yield
        finally:
            await lead.settle()
            self._leader.set(0)
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await self._release()
            log.info("this process leads no longer")

    async def try_to_take(self) -> Lead | None:
        """Look at the Lease, and take it if it is free; None if that has failed."""
        try:
            async with asyncio.timeout(self._lease_s / RENEWALS):
                lease = await self._cluster.fetch(Kind.LEASE, self._key)
                if lease is None:
                    new = made(self._key, self._lease_s, self._clock.wall())
                    lease = await self._cluster.create(Kind.LEASE, self._key.namespace, new)
                if self._seen.free_in_s(lease, self._clock.monotonic_s()):
                    self._health.elected()
                    self._stand_by(holder_of(lease))
                    return None
                sent_s = self._clock.monotonic_s()
                self._lease = await self._write(
                    taken(lease, self._identity, self._lease_s, self._clock.wall())
                )
        except Conflict:
            return None  # somebody was faster
        except (ClusterError, TimeoutError) as error:
            self._fail(error)
            return None
        self._health.elected()
        self._stand_by("")
        return Lead(self._clock, self._lease_s, sent_s)

    async def _write(self, lease: Manifest) -> Manifest:
        return await self._cluster.replace(Kind.LEASE, self._key, lease)

    # --- keeping ----------------------------------------------------------------------------------

    async def _renew(self, lead: Lead) -> None:
        """Renew until it is too late for that, or another has the Lease: the lead has ended."""
        regularly_s = pause_s = self._lease_s / RENEWALS
        try:
            while lead.left_s:
                await asyncio.sleep(min(pause_s, lead.left_s))
                pause_s = regularly_s if await self.try_to_renew(lead) else self._again_s
        except Exception:
            log.exception("bug while Lease %s is renewed", self._key)
        finally:
            lead.end()

    async def try_to_renew(self, lead: Lead) -> bool:
        """Write the Lease again; False if that has failed and may be tried once more."""
        sent_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(min(self._lease_s / RENEWALS, lead.left_s)):
                self._lease = await self._write(renewed(self._lease, self._clock.wall()))
        except Conflict:
            return await self._read_again(lead)
        except (ClusterError, TimeoutError) as error:
            if isinstance(error, ClusterError) and error.status == 404:
                return await self._read_again(lead)
            self._fail(error)
            return False
        self._health.elected()
        lead.renewed(sent_s)
        return True

    async def _read_again(self, lead: Lead) -> bool:
        """Read a Lease that another has, or has written beside us, or that is gone."""
        try:
            async with asyncio.timeout(self._lease_s / RENEWALS):
                lease = await self._cluster.fetch(Kind.LEASE, self._key)
        except (ClusterError, TimeoutError) as error:
            self._fail(error)
            return False
        if lease is not None and self._is_ours(lease):
            self._lease = lease
            return False
        log.warning("Lease %s was taken away from this process", self._key)
        lead.lose()
        return True

    async def _release(self) -> None:
        """Let another have the Lease at once, if it is still ours and can be written."""
        try:
            async with asyncio.timeout(self._lease_s / RENEWALS):
                try:
                    await self._write(released(self._lease, self._clock.wall()))
                except Conflict:  # as after a renewal that was cut off
                    lease = await self._cluster.fetch(Kind.LEASE, self._key)
                    if lease is not None and self._is_ours(lease):
                        await self._write(released(lease, self._clock.wall()))
        except (ClusterError, TimeoutError) as error:
            self._fail(error)

    def _is_ours(self, lease: Manifest) -> bool:
        return holder_of(lease) == self._identity

    # --- telling ----------------------------------------------------------------------------------

    def _fail(self, error: ClusterError | TimeoutError) -> None:
        why = error.message if isinstance(error, ClusterError) else "no answer in time"
        log.warning("Lease %s: %s", self._key, why)

    def _stand_by(self, holder: str) -> None:
        if holder and holder != self._standing_by:
            log.info("this process stands by: Lease %s is held by %s", self._key, holder)
        self._standing_by = holder
