"""The keeper of an origin does with any kind what it does with ingress-nginx: it looks, publishes and withdraws.

Here with the kind in memory, of which nothing outside of this folder knows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.cluster import Cluster, Conflict
from aop.observe.origin import OriginKeeper
from aop.observe.origins import OriginKeepers
from aop.observe.replicas import ReplicaReader
from aop.observe.wanted import Wanted
from aop.observed import Configured, ObservedOrigin
from aop.origins.kind import OriginKind
from aop.origins.sites import Read
from aop.pki import throwaway
from aop.probe import (
    Answer,
    Asked,
    ClientIdentity,
    Paths,
    Presented,
    ReplicaAddress,
    ReplicaProbe,
)
from aop.settings import Settings
from aop.terms import Claim, Kind, Mode, ObjectKey, Pin
from builders import HOSTS, KEY, NOW, UID, WWW, claim, spec
from clocks import SetClock
from identities import identity_of
from origin_kinds.ground import Json, bare, target_of
from origin_kinds.grounds import InMemoryGround
from origin_kinds.in_memory import IN_MEMORY, RULES, InMemoryServer
from paged import Paged

GROUND = InMemoryGround()
TARGET = target_of(GROUND)
OURS, STRANGER = (throwaway(datetime.now(UTC)) for _ in range(2))
PIN = OURS.leaf.pin
PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
WANTED = Wanted("rules", TARGET, GROUND.spec)
OFF, REQUIRING = claim(Mode.OFF, (), (PIN,)), claim(enforced=(WWW,), pins=(PIN,))


class CarrierWorld(Paged):
    """A cluster with one carrier, and pods that act on it at once."""

    def __init__(self) -> None:
        self.carrier = bare(GROUND) | {"data": {"greeting": "hello"}}
        self.carrier["metadata"]["resourceVersion"] = "1"
        self.others = [
            *GROUND.serving(WWW),
            GROUND.pod("one", "192.0.2.1"),
            GROUND.pod("two", "192.0.2.2"),
        ]

    async def fetch(self, kind: Kind, key: ObjectKey) -> Json | None:
        return self.carrier if (kind, key) == (IN_MEMORY.carried_by, TARGET.key) else None

    async def list(self, kind: Kind, namespace: str | None = None, **_: Any) -> list[Json]:
        assert namespace in {None, TARGET.namespace}
        return [one for one in self.others if one["kind"] == kind.title]

    async def replace(self, kind: Kind, key: ObjectKey, body: Json) -> Json:
        assert (kind, key) == (IN_MEMORY.carried_by, TARGET.key)
        version = self.carrier["metadata"]["resourceVersion"]
        if body["metadata"]["resourceVersion"] != version:
            raise Conflict("the object has been modified")
        metadata = body["metadata"] | {"resourceVersion": str(int(version) + 1)}
        self.carrier = deepcopy(body | {"metadata": metadata})
        return self.carrier

    async def ask(
        self,
        _: ReplicaAddress,
        host: str,
        paths: Paths,
        identities: Mapping[Presented, ClientIdentity],
        _told_by: Collection[str] = (),
    ) -> tuple[Asked, ...]:
        presented: dict[Presented, Pin | None] = {Presented.NONE: None}
        pins = {one.leaf.pin.sha256: one.leaf.pin for one in (OURS, STRANGER)}
        presented |= {who: pins[identity.sha256] for who, identity in identities.items()}
        return tuple(
            Asked(
                host, who, self._answer(host, paths.check, pin), self._answer(host, paths.gate, pin)
            )
            for who, pin in presented.items()
        )

    async def ask_plaintext(self, _: ReplicaAddress, host: str, path: str) -> Answer:
        return self._answer(host, path, None, tls=False)

    def _answer(self, host: str, path: str, pin: Pin | None, *, tls: bool = True) -> Answer:
        rules = self.carrier["data"].get(RULES, "")
        return InMemoryServer(rules, (WWW,)).ask(host, path, pin, tls=tls)


class CarrierKeeping:
    """The keeper of the origin in memory."""

    def __init__(self) -> None:
        self.world, self.clock = CarrierWorld(), SetClock()
        kinds: Mapping[str, OriginKind] = {IN_MEMORY.name: IN_MEMORY}
        probe = cast("ReplicaProbe", self.world)
        reader = ReplicaReader(probe, identity_of(STRANGER), self.clock, 30.0)
        cluster = cast("Cluster", self.world)
        keepers = OriginKeepers(cluster, reader, Settings(), self.clock, kinds)
        self.keeper: OriginKeeper = keepers.of(TARGET)

    async def look(self) -> ObservedOrigin:
        """What is seen once every replica was asked twice: which revision settles, and then its hosts."""
        for _ in range(3):
            self.clock.pass_s(1.0)
            seen = await self.keeper.look(
                PULL,
                WANTED,
                {Presented.OURS: identity_of(OURS)},
                until_s=self.clock.monotonic_s() + 60,
                asking=True,
            )
        return seen

    async def publish(self, wanted: Claim) -> None:
        await self.keeper.writer.publish(UID, wanted, spec=GROUND.spec, gone=frozenset())


def modes(seen: ObservedOrigin) -> set[tuple[str, int | None, bool, Mode]]:
    """What every replica shows of every host."""
    assert isinstance(seen.replicas, tuple)
    return {
        (host.host, one.revision, one.settled, host.mode)
        for one in seen.replicas
        for host in one.hosts
    }


@pytest.mark.asyncio
async def test_an_origin_of_any_kind_is_looked_at_published_and_left_as_it_was_found() -> None:
    keeping = CarrierKeeping()
    before = deepcopy(keeping.world.carrier)
    seen = await keeping.look()
    assert (seen.readers, seen.hosts, seen.allowed, seen.stale) == (2, HOSTS, True, None)
    assert seen.capabilities == IN_MEMORY.capabilities
    assert seen.words == IN_MEMORY.words(TARGET)
    for revision, wanted in enumerate((OFF, REQUIRING, OFF), 1):
        await keeping.publish(wanted)
        seen = await keeping.look()
        assert isinstance(seen.configured, Configured)
        assert (seen.configured.claim, seen.configured.revision) == (wanted, revision)
        assert modes(seen) == {(host, revision, True, wanted.at(host)) for host in HOSTS}
        assert seen.applied_at is not None
        assert isinstance(seen.replicas, tuple)
        assert {host.accepts for one in seen.replicas for host in one.hosts} == {
            frozenset({PIN.sha256})
        }
    await keeping.keeper.writer.withdraw(UID)
    after = keeping.world.carrier
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
    assert after == before


@pytest.mark.asyncio
async def test_a_write_is_refused_once_what_it_was_decided_on_has_changed() -> None:
    keeping = CarrierKeeping()
    await keeping.look()
    await keeping.publish(OFF)
    await keeping.look()
    keeping.world.carrier = bare(GROUND)
    keeping.world.carrier["metadata"]["resourceVersion"] = "9"
    keeping.keeper.forget()
    other = replace(PULL, uid="another")
    await keeping.keeper.look(
        other, WANTED, {}, until_s=keeping.clock.monotonic_s() + 60, asking=False
    )
    with pytest.raises(Conflict):
        await keeping.publish(REQUIRING)


@pytest.mark.asyncio
async def test_a_claim_whose_object_is_gone_is_relaxed_and_then_taken_out() -> None:
    keeping = CarrierKeeping()
    before = deepcopy(keeping.world.carrier)
    await keeping.look()
    await keeping.publish(REQUIRING)
    carrier = Read(Kind.CONFIG_MAP, TARGET.namespace, TARGET.name)
    for left in (1, 0):
        now = keeping.world.carrier
        published = IN_MEMORY.site(TARGET, {carrier: (now,)}).published
        await keeping.keeper.writer.relax_orphaned(now, published.claims[UID])
        published = IN_MEMORY.site(TARGET, {carrier: (keeping.world.carrier,)}).published
        assert [one.mode for one in published.claims.values()] == [Mode.OFF] * left
    assert keeping.world.carrier["data"] == before["data"]
