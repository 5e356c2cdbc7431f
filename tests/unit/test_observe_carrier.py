"""What the watch shows of a carrier while we write it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from aop.cluster import Cluster, Conflict
from aop.observe.carrier import Carrier
from aop.observe.source import Source
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.origins.sites import Json
from builders import TARGET
from clocks import SetClock


def at_version(version: str) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": TARGET.namespace,
            "name": TARGET.name,
            "resourceVersion": version,
        },
        "data": {},
    }


class WrittenSlowly:
    """A carrier that was read at version 6, and whose write is answered when it may be."""

    def __init__(self) -> None:
        self.reads, self.answer = 0, asyncio.get_running_loop().create_future()
        self.source: Source[tuple[Json, ...]] = Source("the ConfigMap", self._read, SetClock())
        self.carrier = Carrier(INGRESS_NGINX, TARGET, cast("Cluster", self), self.source)

    async def _read(self) -> tuple[Json, ...]:
        self.reads += 1
        return (at_version("6"),)

    async def replace(self, *_: Any) -> Any:
        return await self.answer

    async def look(self) -> None:
        await self.source.look(within_s=60, patience_s=1)

    async def begin(self) -> asyncio.Task[Any]:
        await self.look()
        writing = asyncio.create_task(self.carrier.put(at_version("6"), at_version("6")))
        await asyncio.sleep(0)
        return writing


@pytest.mark.asyncio
async def test_our_own_write_is_no_news_although_it_is_shown_before_it_is_answered() -> None:
    """Hundreds of objects that share the carrier would all look, at every write."""
    slow = WrittenSlowly()
    writing = await slow.begin()
    assert slow.carrier.knows("7")
    slow.answer.set_result(at_version("7"))
    await writing
    await slow.look()
    assert slow.reads == 1
    assert [slow.carrier.knows(version) for version in ("7", "8")] == [True, False]


@pytest.mark.asyncio
@pytest.mark.parametrize("shown", ["8", ""], ids=["changed once more", "deleted"])
async def test_what_somebody_else_did_beside_our_write_is_read_after_it(shown: str) -> None:
    slow = WrittenSlowly()
    writing = await slow.begin()
    for version in ("7", shown):
        assert slow.carrier.knows(version)
    slow.answer.set_result(at_version("7"))
    await writing
    await slow.look()
    assert slow.reads == 2


@pytest.mark.asyncio
async def test_after_a_write_that_was_refused_it_is_read_and_what_comes_is_news() -> None:
    slow = WrittenSlowly()
    writing = await slow.begin()
    assert slow.carrier.knows("7")
    slow.answer.set_exception(Conflict("somebody was faster"))
    with pytest.raises(Conflict):
        await writing
    await slow.look()
    assert slow.reads == 2
    assert not slow.carrier.knows("7")
