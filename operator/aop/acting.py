"""What acts while this process leads.

Everything that reads the world to decide on it, and everything that changes it, is built anew for
each lead: nothing that was read, begun or remembered in an earlier one counts any more. What a
standby has as well, the watches and the connections to the API server, is passed in.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from aop import __version__
from aop.alerts import AlertsKeeper
from aop.clock import Clock
from aop.cloudflare import Cloudflare, Shares
from aop.cluster import Cluster, ClusterError, Kind, Subject, event
from aop.health import Health
from aop.leading import Lead
from aop.loops import Loops
from aop.metrics import Metrics
from aop.observe import Observer
from aop.observe.composed import edge_reader, origin_keepers
from aop.observe.edge import EdgeReader
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.observe.zone import ZoneReader
from aop.orphans import Orphans
from aop.perform import Performer
from aop.reconcile import Reconciler
from aop.settings import Settings
from aop.terms import ObjectKey

log = logging.getLogger("aop")

CLOUDFLARE_TOTAL_S = 10.0
"""The longest that one request to Cloudflare may take: a mutation that hangs must not delay what
protects visitors for longer."""
FINISHED_WITHIN_S = 20.0
"""How long effects that are under way at the end of the process may take: a change at Cloudflare is
not cut off. Below the chart's terminationGracePeriodSeconds."""
LIST_AGAIN_S = 1.0


class Shown:
    """Passes what the watches show to the loops of the process that leads; a standby drops it."""

    def __init__(self) -> None:
        self.loops: Loops | None = None

    def see(self, kind: Kind, type_: str | None, manifest: dict[str, Any]) -> None:
        """A watch shows an object; `type_` is that of its event, None while it lists all."""
        if self.loops is None:
            return
        meta = manifest["metadata"]
        if kind is not Kind.AUTHENTICATED_ORIGIN_PULL:
            key = ObjectKey(meta["namespace"], meta["name"])
            version = meta["resourceVersion"] if type_ != "DELETED" else ""
            self.loops.wake_referrers(key, version, listed=type_ is None)
        elif type_ == "DELETED":
            self.loops.lose(meta["uid"])
        else:
            self.loops.see(manifest)


@dataclass(frozen=True, slots=True)
class Parts:
    """What acts during one lead."""

    reconciler: Reconciler
    loops: Loops
    origins: OriginKeepers
    edge: EdgeReader
    alerts: AlertsKeeper
    orphans: Orphans


@dataclass(frozen=True, slots=True)
class Actor:
    """Acts for as long as a lead lasts; what is in it lasts as long as the process."""

    settings: Settings
    clock: Clock
    cluster: Cluster
    shown: Shown
    home: Subject | None
    health: Health
    metrics: Metrics

    async def act(self, lead: Lead, ending: asyncio.Event) -> None:
        """Look and act until the lead or the process ends.

        At the end of the process, effects that are under way may finish. A lead that has ended
        leaves no time for that: nothing that changes anything is sent any more.
        """
        cluster, settings = self.cluster.under(lead), self.settings
        async with AsyncExitStack() as stack:
            cloudflare = await stack.enter_async_context(
                Cloudflare(
                    settings.cloudflare_base_url,
                    clock=self.clock,
                    lead=lead,
                    shares=Shares(total=settings.budget_share, resync=settings.budget_resync_share),
                    metrics=self.metrics,
                    total_s=CLOUDFLARE_TOTAL_S,
                )
            )
            parts = self._parts(cluster, cloudflare)
            loops = parts.loops
            stack.enter_context(self.metrics.acting(loops.waiting, cloudflare.budgets))
            parts.edge.begin(loops.wake)
            parts.alerts.begin(loops.wake)
            parts.origins.begin(loops.wake_all)
            stack.callback(parts.origins.end)
            for task in (self._announce(cluster), parts.orphans.run(), parts.alerts.run()):
                stack.callback(asyncio.create_task(task).cancel)
            self.shown.loops = loops
            showing = asyncio.create_task(self._show_all(cluster, loops))
            await first_of(lead.ended, ending)
            self.shown.loops = None
            showing.cancel()  # first, because it begins loops
            await loops.end()
            await parts.reconciler.finish(FINISHED_WITHIN_S if lead.left_s else 0.0)
            await lead.settle()

    def _parts(self, cluster: Cluster, cloudflare: Cloudflare) -> Parts:
        """All that looks, decides and acts, before it begins."""
        settings, clock = self.settings, self.clock
        origins = origin_keepers(cluster, settings, clock, watching=True)
        edge = edge_reader(settings, clock)
        secrets = Secrets(cluster, settings, clock)
        zones = ZoneReader(cloudflare, settings, self.metrics)
        observer = Observer(cluster, zones, origins, edge, secrets, settings, clock)
        alerts = AlertsKeeper(
            cloudflare,
            clock,
            lambda: observer.objects.served,
            settings.teardown_patience_s,
            self.metrics,
        )
        reconciler = Reconciler(
            cluster,
            observer,
            Performer(cluster, origins, secrets, cloudflare, clock),
            alerts,
            clock,
            self.metrics,
            settings.trace_file,
            self.home,
        )
        orphans = Orphans(cluster, origins, settings, self.metrics)
        loops = Loops(cluster, reconciler, observer, origins, secrets, orphans, clock, self.health)
        return Parts(reconciler, loops, origins, edge, alerts, orphans)

    async def _show_all(self, cluster: Cluster, loops: Loops) -> None:
        """Give each object its loop, as the API server shows it now.

        The watches have shown the objects while this process stood by and did not act. And they may
        lag behind the last writes of the process that led before.
        """
        while True:
            try:
                for namespace in self.settings.watch_namespaces or (None,):
                    async for manifest in cluster.each(Kind.AUTHENTICATED_ORIGIN_PULL, namespace):
                        loops.see(manifest)
            except ClusterError as error:
                log.warning("the objects are not known yet: %s", error.message)
            except Exception:
                log.exception("bug while the objects are listed")
            else:
                return
            await asyncio.sleep(LIST_AGAIN_S)

    async def _announce(self, cluster: Cluster) -> None:
        """Write an Event beside the operator's own Pod that says what this process serves.

        So a person sees where its later Events there come from, and which process leads.
        """
        if self.home is None:
            return
        settings = self.settings
        served = (
            f"namespaces {', '.join(settings.watch_namespaces)}"
            if settings.watch_namespaces
            else "all namespaces"
        )
        maps = (
            f"ConfigMaps {', '.join(settings.ingress_config_maps)}"
            if settings.ingress_config_maps
            else "any ConfigMap that a controller names"
        )
        message = f"aop-operator {__version__} serves AuthenticatedOriginPulls in {served}, and may write {maps}"
        serving = event(self.home, "Normal", "Serving", message, self.clock.wall())
        try:
            await cluster.create(Kind.EVENT, self.home.key.namespace, serving)
        except ClusterError as error:
            log.warning("Event not written: %s", error.message)


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.create_task(one.wait()) for one in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
