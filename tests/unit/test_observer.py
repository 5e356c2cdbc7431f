"""No bug of ours in looking at one thing ends the look: what was last known of it is what protection goes on with."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.cluster import Cluster
from aop.errors import Transient
from aop.observe import Observer
from aop.observe.edge import EdgeReader
from aop.observe.memory import Memory
from aop.observe.origin import OriginKeepers
from aop.observe.zone import ZoneReader
from aop.observed import ObservedOrigin, Unknown
from aop.settings import Settings
from builders import KEY, NOW, TARGET, UID, evidence, origin, spec
from cloudflare_api import StoppedClock

PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())


class Failing:
    """Every counterpart at once: an API that refuses, a zone that is not known, an edge that says what it said, and an origin that may be a bug."""

    def __init__(self) -> None:
        self.bug: Exception | None = None
        self.seen = origin()

    async def fetch(self, *_: Any) -> dict[str, Any]:
        raise Transient("the API server cannot be reached")

    async def list(self, *_: Any) -> list[dict[str, Any]]:
        raise Transient("the API server cannot be reached")

    async def read(self, *_: Any, **__: Any) -> Any:
        return Unknown("Cloudflare has not answered yet")

    def of(self, _: Any) -> Failing:
        return self

    async def look(self, *_: Any, **__: Any) -> ObservedOrigin:
        if self.bug:
            raise self.bug
        return self.seen

    def check_path(self) -> str:
        return "/check"

    def claimants(self, _: str) -> dict[str, str]:
        return {}

    changed_at = None


class Edge(Failing):
    """What arrives."""

    async def read(self, *_: Any, **__: Any) -> Any:
        return (evidence(),)

    def cadence_s(self, *_: Any) -> float:
        return 10.0


@pytest.mark.asyncio
async def test_a_bug_in_looking_at_an_origin_leaves_what_was_last_seen_of_it() -> None:
    world, memory = Failing(), Memory(uid=UID)
    observer = Observer(
        cast("Cluster", world),
        cast("ZoneReader", world),
        cast("OriginKeepers", world),
        cast("EdgeReader", Edge()),
        Settings(),
        StoppedClock(),
    )
    before = await observer.observe(PULL, memory)
    assert before.origins == (world.seen,)
    world.bug = KeyError("nobody thought of this")
    (after,) = (await observer.observe(PULL, memory)).origins
    assert (after.configured, after.replicas) == (world.seen.configured, world.seen.replicas)
    assert "KeyError" in str(after.stale)


@pytest.mark.asyncio
async def test_a_bug_at_the_first_look_is_an_origin_that_is_not_known() -> None:
    world = Failing()
    world.bug = ZeroDivisionError()
    observer = Observer(
        cast("Cluster", world),
        cast("ZoneReader", world),
        cast("OriginKeepers", world),
        cast("EdgeReader", Edge()),
        Settings(),
        StoppedClock(),
    )
    (found,) = (await observer.observe(PULL, Memory(uid=UID))).origins
    assert isinstance(found.configured, Unknown)
    assert found.target == TARGET
