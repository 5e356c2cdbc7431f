"""One look at the world of an object from where a person sits, by the operator's own observer.

It only reads: it sends only GETs to the API server and to Cloudflare, and asks replicas and the
edge on our two paths. The AOP_* variables apply as for the operator, as far as they say where
Cloudflare and the edge are.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import Cloudflare
from aop.cluster import ClusterError, Kind, ReadingCluster, Right
from aop.kubectl.findings import Beside
from aop.kubectl.surveying import Means, surveyed
from aop.leading import Lead
from aop.observe import Observer
from aop.observe.composed import edge_probe, edge_reader, origin_keepers
from aop.observe.memory import Memory
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.observe.zone import ZoneReader
from aop.observed import Observed, ObservedReplica, Unknown
from aop.settings import Settings

PAUSE_S = 0.6
"""The pause between two looks: what a replica runs counts once it was seen again after half a
second (docs/facts/ingress-nginx.md#old-workers)."""
PATIENCE_S = 12.0
"""How long to wait for what is asked once the zone was read: two timeouts of a replica that does
not answer, and a little more."""
ZONE_PATIENCE_S = 25.0
"""How long to wait for the zone: a token that lacks a permission is refused for ten seconds before
that is believed, for each of two calls."""
CLOUDFLARE_TOTAL_S = 8.0
FIRST_LOOKS = 3
"""How many looks there are at least: the first knows no zone, the second asks replicas and edge,
the third has seen them again."""


@dataclass(frozen=True, slots=True)
class OneLook:
    """What was seen, and what could not be."""

    observed: Observed
    missing: tuple[Right, ...]
    """The rights that were refused."""
    installed: bool
    """Whether the cluster knows the resource."""
    beside: Beside
    """What a survey has shown."""


async def look(
    cluster: ReadingCluster,
    pull: AuthenticatedOriginPull,
    settings: Settings,
    *,
    survey: bool = False,
) -> OneLook:
    """Everything that concerns one object, asked until all has answered or patience is over.

    With a `survey`, also what no rule of the operator needs.
    """
    logging.getLogger("aop").addHandler(logging.NullHandler())
    installed = await _is_installed(cluster, pull.key.namespace)
    clock, memory = Clock(), Memory(uid=pull.uid)
    async with AsyncExitStack() as stack:
        cloudflare = await stack.enter_async_context(
            Cloudflare(
                settings.cloudflare_base_url,
                clock=clock,
                lead=Lead.none(clock),
                total_s=CLOUDFLARE_TOTAL_S,
            )
        )
        origins = origin_keepers(cluster, settings, clock)
        observer = _observer(cluster, cloudflare, origins, settings, clock)
        stack.callback(observer.drop, pull.uid, memory)
        observed = await _answered(observer, pull, memory, clock)
        beside = Beside()
        if survey:
            means = _means(cloudflare, memory, origins, settings)
            beside = await surveyed(means, observed)
    if not installed:
        observed = replace(observed, rivals=())
    return OneLook(observed, tuple(cluster.missing), installed, beside)


async def _answered(
    observer: Observer, pull: AuthenticatedOriginPull, memory: Memory, clock: Clock
) -> Observed:
    """What is seen once all has answered, or patience is over."""
    began_s, looks = clock.monotonic_s(), 0
    until_s = began_s + PATIENCE_S
    while True:
        observed, looks = await observer.observe(pull, memory), looks + 1
        now_s = clock.monotonic_s()
        if memory.zone_task is not None and now_s - began_s < ZONE_PATIENCE_S:
            until_s = now_s + PATIENCE_S
        all_there = looks >= FIRST_LOOKS and not _is_pending(observed, memory)
        if all_there or now_s > until_s:
            return observed
        await asyncio.sleep(PAUSE_S)


def _means(
    cloudflare: Cloudflare, memory: Memory, origins: OriginKeepers, settings: Settings
) -> Means:
    known = memory.cloudflare.zone.last
    return Means(
        cloudflare,
        memory.cloudflare.access,
        known.value if known else None,
        edge_probe(settings),
        lambda target: origins.of(target).site,
    )


async def _is_installed(cluster: ReadingCluster, namespace: str) -> bool:
    """Whether the cluster knows the resource; if the right to ask is missing, it does."""
    try:
        await cluster.list(Kind.AUTHENTICATED_ORIGIN_PULL, namespace)
    except ClusterError as error:
        return error.status != HTTPStatus.NOT_FOUND
    return True


def _observer(
    cluster: ReadingCluster,
    cloudflare: Cloudflare,
    origins: OriginKeepers,
    settings: Settings,
    clock: Clock,
) -> Observer:
    return Observer(
        cluster,
        ZoneReader(cloudflare, settings),
        origins,
        edge_reader(settings, clock),
        Secrets(cluster, settings, clock),
        settings,
        clock,
    )


def _is_pending(o: Observed, memory: Memory) -> bool:
    """Whether something was asked and has not answered yet."""
    if memory.zone_task is not None or any(not task.done() for task in memory.asking.values()):
        return True
    replicas = [
        one
        for origin in o.origins
        if not isinstance(origin.replicas, Unknown)
        for one in origin.replicas
    ]
    return not isinstance(o.zone, Unknown) and not all(map(_has_answered, replicas))


def _has_answered(replica: ObservedReplica) -> bool:
    return replica.error is not None or (bool(replica.hosts) and replica.settled)
