"""How soon what drivers list is read again, while a watch shows it and while it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from aop.cluster import Cluster, ClusterError, WatchedChange
from aop.observe.sources import STALE_S, KnownObjects, Pace, Sources
from aop.origins.sites import Need, Read
from aop.settings import Settings
from aop.terms import Kind
from clocks import SetClock, eventually

INGRESSES = Read(Kind.INGRESS, need=Need.AWAITED)


class WatchedIngresses:
    """An API server without any Ingress, whose watches show what a test puts into them."""

    def __init__(self) -> None:
        self.lists, self.watches = 0, 0
        self.fails = False
        self.shows: asyncio.Queue[WatchedChange] = asyncio.Queue()

    async def each(
        self, *_: Any, version: Callable[[str], object]
    ) -> AsyncIterator[dict[str, Any]]:
        self.lists += 1
        if self.fails:
            raise ClusterError("too many requests", status=429)
        version("10")
        for one in list[dict[str, Any]]():
            yield one

    @asynccontextmanager
    async def watch(self, *_: Any) -> AsyncIterator[AsyncIterator[WatchedChange]]:
        self.watches += 1
        yield self._shown()

    async def _shown(self) -> AsyncIterator[WatchedChange]:
        while True:
            yield await self.shows.get()


@pytest.mark.asyncio
async def test_a_list_that_failed_is_read_again_as_soon_as_without_a_watch() -> None:
    """What is stale holds up all but what protects, and the watch alone does not refresh it."""
    api, clock = WatchedIngresses(), SetClock()
    sources = Sources(cast("Cluster", api), Settings(), clock, watching=True)

    async def look(after_s: float) -> KnownObjects:
        clock.pass_s(after_s)
        return await sources.look((INGRESSES,), until_s=clock.monotonic_s() + 60.0, pace=Pace.BUSY)

    await look(0.0)
    await eventually(lambda: api.watches == 1)
    await look(Pace.BUSY.others_s)
    assert api.lists == 1, "a watch shows what changes"
    api.fails = True
    assert (await look(max(Pace.BUSY.watched_others_s, STALE_S + 1.0))).stale is not None
    api.fails = False
    assert (await look(Pace.BUSY.others_s)).stale is None
    assert api.lists == 3
    sources.end()


@pytest.mark.asyncio
async def test_drivers_to_whom_the_same_matters_more_and_less_share_one_watch() -> None:
    """Ingresses are awaited by one kind of origin, and another one does without them."""
    api, clock = WatchedIngresses(), SetClock()
    sources = Sources(cast("Cluster", api), Settings(), clock, watching=True)
    optional = Read(Kind.INGRESS, need=Need.OPTIONAL)

    async def look() -> KnownObjects:
        until_s = clock.monotonic_s() + 60.0
        return await sources.look((INGRESSES, optional), until_s=until_s, pace=Pace.REST)

    await look()
    await eventually(lambda: api.watches == 1)
    manifest = {
        "metadata": {"name": "shop", "namespace": "web", "uid": "1", "resourceVersion": "11"}
    }
    api.shows.put_nowait(WatchedChange("11", manifest))
    await eventually(lambda: sources.of(optional).last.value == (manifest,))  # type: ignore[union-attr]  # it is known
    both = (await look()).objects
    assert both[INGRESSES] == both[optional] == (manifest,)
    assert both[INGRESSES][0] is both[optional][0]  # type: ignore[index]  # both are known
    assert api.watches == 1
    sources.end()
