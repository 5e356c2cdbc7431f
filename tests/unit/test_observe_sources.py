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
    """An API server whose watches stand and show nothing."""

    def __init__(self) -> None:
        self.lists, self.watches = 0, 0
        self.fails = False

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
        yield self._nothing()

    async def _nothing(self) -> AsyncIterator[WatchedChange]:
        await asyncio.Event().wait()
        yield WatchedChange("", None)


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
