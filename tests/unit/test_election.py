"""Who may take a Lease and when; and that no two processes change anything at the same time, whatever is late, lost, stopped or taken away."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, groupby
from random import Random
from typing import Any, Self, cast

import pytest

from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, Conflict, Kind
from aop.election import LOOKS, RENEWALS, Election
from aop.health import Health
from aop.leading import CLOCKS_DIFFER_BY, Lead, NotLeading
from aop.lease import SeenLease, holder_of, made, released, renewed, taken
from aop.metrics import Metrics
from aop.terms import ObjectKey
from builders import NOW

KEY = ObjectKey("aop-system", "aop-operator")
LEASE_S = 15
LIMIT_S = 10.0


# --- by the Lease alone ---------------------------------------------------------------------------


def stored(lease: dict[str, Any], version: int = 1) -> dict[str, Any]:
    return {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(version)}}


def by(holder: str) -> dict[str, Any]:
    return stored(taken(made(KEY, LEASE_S, NOW), holder, LEASE_S, NOW))


def test_a_lease_is_free_when_it_was_seen_unchanged_for_its_whole_length() -> None:
    seen = SeenLease("us", LEASE_S)
    assert seen.free_in_s(by("them"), 100) == 15
    assert seen.free_in_s(by("them"), 114) == 1
    again = stored(renewed(by("them"), NOW), 2)
    assert seen.free_in_s(again, 114.5) == 15
    assert seen.free_in_s(again, 129.5) == 0


def test_its_own_length_counts_and_not_ours() -> None:
    lease = by("them")
    lease["spec"]["leaseDurationSeconds"] = 60
    assert SeenLease("us", LEASE_S).free_in_s(lease, 100) == 60


@pytest.mark.parametrize("holder", ["", "us"])
def test_what_nobody_holds_or_this_very_process_is_free(holder: str) -> None:
    assert SeenLease("us", LEASE_S).free_in_s(by(holder), 100) == 0


def test_one_that_was_released_is_free_at_once() -> None:
    seen = SeenLease("us", LEASE_S)
    assert seen.free_in_s(by("them"), 100)
    assert seen.free_in_s(released(by("them"), NOW), 101) == 0


def test_one_that_was_just_made_is_waited_for_too() -> None:
    """It may stand where one was taken away from under its holder."""
    assert SeenLease("us", LEASE_S).free_in_s(stored(made(KEY, LEASE_S, NOW)), 100) == 15


def test_a_lease_says_who_has_it_and_how_often_that_has_changed() -> None:
    lease = taken(released(by("them"), NOW), "us", LEASE_S, NOW)
    assert holder_of(lease) == "us"
    assert lease["spec"]["leaseTransitions"] == 2
    assert lease["spec"]["renewTime"] == "2026-03-01T12:00:00.000000Z"


# --- several processes ----------------------------------------------------------------------------


class TwoWriters(Exception):
    """What must never be."""


@dataclass(slots=True)
class ElectionWorld:
    """Time that passes only when everybody waits, and what happens in it, by chance that can be had again."""

    chance: Random
    at_s: float = 0.0
    lease: dict[str, Any] | None = None
    version: int = 0
    due: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    changes: list[tuple[str, float, float]] = field(default_factory=list)
    """Who sent a change, when, and until when it may take effect."""

    async def sleep_until(self, at_s: float) -> None:
        """Wait, in the time of the world."""
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self.due, (at_s, next(NUMBERS), future))
        await future

    async def run(self, until_s: float) -> None:
        """Let time pass."""
        while self.due and self.due[0][0] < until_s:
            at_s, _, future = heapq.heappop(self.due)
            self.at_s = max(self.at_s, at_s)
            if not future.done():
                future.set_result(None)
            for _ in range(4):
                await asyncio.sleep(0)

    def begin(self, who: str, until_s: float) -> None:
        """A change goes out now. Raises TwoWriters where another's may still take effect."""
        beside = [one for one in self.changes if one[0] != who and one[2] > self.at_s]
        if beside:
            raise TwoWriters(f"{who} changes something at {self.at_s}, beside {beside}")
        self.changes.append((who, self.at_s, until_s))


NUMBERS = count()


class ItsClock(Clock):
    """Goes at a rate of its own, from a moment of its own."""

    def __init__(self, world: ElectionWorld, rate: float, ahead_s: float) -> None:
        self.world, self.rate, self.ahead_s = world, rate, ahead_s
        super().__init__()

    def monotonic_s(self) -> float:
        return self.world.at_s * self.rate + self.ahead_s

    def wall(self) -> datetime:
        return NOW  # nobody goes by it


class Candidate:
    """One process, and its way to the API server: it looks or renews all the time, and has something to change all the time."""

    def __init__(self, name: str, world: ElectionWorld, rate: float) -> None:
        self.name, self.world = name, world
        self.clock = ItsClock(world, rate, world.chance.uniform(0, 1e6))
        self.health = Health(self.clock, ())
        self.election = Election(
            cast("Cluster", self), KEY, name, LEASE_S, self.clock, self.health, Metrics()
        )
        self.lead: Lead | None = None
        self.stopped_until_s = 0.0

    async def sleep(self, seconds: float) -> None:
        """Nothing goes on in a process that is stopped, and all of it when it goes on."""
        await self.world.sleep_until(self.world.at_s + seconds)
        while self.world.at_s < self.stopped_until_s:
            await self.world.sleep_until(self.stopped_until_s)

    async def on_the_way(self) -> None:
        """Mostly quick, sometimes slow, and sometimes never. Raises `ClusterError` for that."""
        chance = self.world.chance
        await self.sleep(chance.choice([0.01, 0.01, 0.01, 0.01, 0.5, 3.0, 4.9]))
        if chance.random() < 0.1:
            raise ClusterError("lost")

    def under(self, _: Lead) -> Self:
        return self

    async def fetch(self, _: Kind, __: ObjectKey) -> dict[str, Any] | None:
        await self.on_the_way()
        lease = self.world.lease
        await self.on_the_way()
        return lease

    async def create(self, _: Kind, __: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._store(body, None)

    async def replace(self, _: Kind, __: ObjectKey, body: dict[str, Any]) -> dict[str, Any]:
        return await self._store(body, body["metadata"]["resourceVersion"])

    async def _store(self, body: dict[str, Any], version: str | None) -> dict[str, Any]:
        await self.on_the_way()
        world = self.world
        if version != (world.lease and world.lease["metadata"]["resourceVersion"]):
            raise Conflict("changed", status=409)
        world.version += 1
        world.lease = written = stored(body, world.version)
        await self.on_the_way()
        return written

    async def elect(self) -> None:
        """As `Election` itself goes on, but that time is the world's."""
        while True:
            if self.lead is None or not self.lead.left_s:
                self.lead = await self.election.try_to_take()
                await self.sleep(LEASE_S / LOOKS)
            else:
                renewed_it = await self.election.try_to_renew(self.lead)
                await self.sleep(LEASE_S / (RENEWALS if renewed_it else LOOKS))

    async def change(self) -> None:
        """Begin a change whenever the gate lets it; it goes out when its connection is there."""
        while True:
            if self.lead is not None:
                with suppress(NotLeading, ClusterError), self.lead.change(LIMIT_S) as permit:
                    until_s = self.world.at_s + permit.limit_s / self.clock.rate
                    await self.on_the_way()
                    permit.check()
                    self.world.begin(self.name, until_s)
            await self.sleep(0.4)

    async def meet_trouble(self) -> None:
        """Now and then it is stopped, and now and then somebody deletes the Lease."""
        chance = self.world.chance
        while True:
            await self.sleep(chance.uniform(5, 60))
            match chance.choice(["stopped", "stopped", "deleted"]):
                case "stopped":
                    self.stopped_until_s = self.world.at_s + chance.choice([3, 12, 15, 16, 40])
                case "deleted":
                    self.world.lease = None


async def lived(world: ElectionWorld, rates: Sequence[float], seconds: float) -> list[str]:
    """Who changed something, in the order of taking over. Raises TwoWriters."""
    replicas = [Candidate(f"replica {i}", world, rate) for i, rate in enumerate(rates)]
    tasks = [
        asyncio.create_task(does())
        for one in replicas
        for does in (one.elect, one.change, one.meet_trouble)
    ]
    await asyncio.sleep(0)
    await world.run(seconds)
    for task in tasks:
        task.cancel()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(end, Exception):
            raise end
    return [who for who, _ in groupby(who for who, *_ in world.changes)]


def chance_of(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - chance that can be had again


@pytest.mark.parametrize(
    "seed",
    [*range(8), *(pytest.param(seed, marks=pytest.mark.large) for seed in range(8, 16))],
)
def test_never_two_processes_change_anything_at_the_same_time(seed: int) -> None:
    """Clocks that differ in rate and in reading; requests and answers that come late or never; processes that are stopped; a Lease that is deleted."""
    turns = asyncio.run(lived(ElectionWorld(chance_of(seed)), (0.99, 1.0, 1.01), 1000))
    assert len(turns) > 3


def test_clocks_that_differ_by_far_too_much_would_be_seen_to_break_it() -> None:
    """What the test before this one looks for is there to be seen."""
    with pytest.raises(TwoWriters):
        asyncio.run(lived(ElectionWorld(chance_of(4)), (0.5, 1.0, 2.0), 2500))


class Slow(Random):
    """Each way takes three seconds, and nothing gets lost."""

    def choice(self, _: Any) -> Any:
        return 3.0

    def random(self) -> float:
        return 0.5


@pytest.mark.asyncio
async def test_a_lead_counts_from_when_its_lease_was_asked_for() -> None:
    world = ElectionWorld(Slow(), lease=by(""))
    replica = Candidate("us", world, 1.0)
    taking = asyncio.create_task(replica.election.try_to_take())
    await asyncio.sleep(0)
    await world.run(13)
    lead = await taking
    assert lead is not None
    assert world.at_s == 12
    assert lead.left_s == pytest.approx(LEASE_S * (1 - CLOCKS_DIFFER_BY) - 6)


class Forbidding(Candidate):
    """The Lease may be read, and not written."""

    async def _store(self, _: dict[str, Any], __: str | None) -> dict[str, Any]:
        raise ClusterError("forbidden", status=403)


@pytest.mark.asyncio
@pytest.mark.parametrize("lease", [None, by("")], ids=["none", "free"])
async def test_a_lease_that_cannot_be_taken_is_no_lead_and_is_seen(
    lease: dict[str, Any] | None,
) -> None:
    world = ElectionWorld(Slow(), lease=lease)
    replica = Forbidding("us", world, 1.0)
    replica.health.stand()
    replica.health.answered()
    taking = asyncio.create_task(replica.election.try_to_take())
    await asyncio.sleep(0)
    await world.run(13)
    assert await taking is None
    assert "who leads is not known" in replica.health.unready()
