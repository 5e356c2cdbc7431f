"""The keeper of an origin whose replicas read at their start: it makes, rolls out and deletes what carries the claims."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.cluster import Cluster, Conflict
from aop.observe.origin import OriginKeeper
from aop.observe.origins import OriginKeepers
from aop.observe.replicas import ReplicaReader
from aop.observe.rollouts import AGAIN_S
from aop.observe.wanted import Wanted
from aop.observed import Configured, ObservedOrigin
from aop.origins.workload import NGINX
from aop.origins.workload.spec import Nginx
from aop.pki import throwaway
from aop.probe import Answer, Asked, Failure, FailureKind, Presented, ReplicaProbe
from aop.settings import Settings
from aop.terms import Claim, Kind, Mode, ObjectKey
from builders import KEY, NOW, OFF, REQUIRING, UID, spec
from clocks import SetClock
from identities import identity_of
from paged import Paged

Json = dict[str, Any]
SPEC = Nginx.model_validate(
    {
        "workloadRef": {"kind": "Deployment", "namespace": "web", "name": "frontend"},
        "configMapRef": {"namespace": "web", "name": "frontend-aop"},
    }
)
TARGET = NGINX.target(SPEC)
WANTED = Wanted("frontend", TARGET, SPEC)
PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
INSIDE = {
    "volumes": [{"name": "aop", "configMap": {"name": TARGET.name, "optional": True}}],
    "containers": [{"name": "nginx", "volumeMounts": [{"name": "aop", "mountPath": "/aop"}]}],
}


class DeploymentWorld(Paged):
    """One Deployment with one pod, which runs the revision that it is told to."""

    def __init__(self) -> None:
        self.config_map: Json | None = None
        self.deployment: Json = {
            "metadata": {"namespace": "web", "name": "frontend", "resourceVersion": "1"},
            "spec": {"template": {"metadata": {"annotations": {}}, "spec": INSIDE}},
        }
        self.pod: Json = {
            "metadata": {"namespace": "web", "name": "one", "uid": "uid-one"}
            | {
                "ownerReferences": [
                    {"kind": "ReplicaSet", "name": "frontend-1", "controller": True}
                ]
            }
            | {"labels": {"pod-template-hash": "1"}},
            "spec": INSIDE,
            "status": {"podIP": "192.0.2.1", "conditions": [{"type": "Ready", "status": "True"}]},
        }
        self.runs: int | None = None
        self.refuses = False
        """Nobody listens at the pod's address."""
        self.written: list[str] = []
        self.conflicts = 0
        """So many changes of the Deployment are refused, because somebody was faster."""

    async def fetch(self, kind: Kind, key: ObjectKey) -> Json | None:
        assert (kind, key) == (Kind.CONFIG_MAP, TARGET.key)
        return self.config_map

    async def list(self, kind: Kind, *_: Any, **__: Any) -> list[Json]:
        return {Kind.POD: [self.pod], Kind.DEPLOYMENT: [self.deployment]}.get(kind, [])

    async def create(self, _: Kind, __: str, body: Json) -> Json:
        if self.config_map is not None:
            raise Conflict("it exists")
        self.written.append("create")
        return self._keep(body, 1)

    async def replace(self, _: Kind, __: ObjectKey, body: Json) -> Json:
        self.written.append("replace")
        return self._keep(body, int(body["metadata"]["resourceVersion"]) + 1)

    async def delete(self, _: Kind, __: ObjectKey, manifest: Json) -> None:
        assert manifest == self.config_map, "the very one that was read"
        self.written.append("delete")
        self.config_map = None

    async def merge(self, kind: Kind, key: ObjectKey, body: Json) -> Json:
        assert (kind, key) == (Kind.DEPLOYMENT, ObjectKey("web", "frontend"))
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody was faster")
        changes: Mapping[str, str | None] = body["spec"]["template"]["metadata"]["annotations"]
        self.written.append("roll out")
        changed = deepcopy(self.deployment)
        annotations = changed["spec"]["template"]["metadata"]["annotations"]
        for name, value in changes.items():
            annotations.pop(name, None)
            if value is not None:
                annotations[name] = value
        self._store(changed)
        return self.deployment

    def take_our_mark_off(self) -> None:
        changed = deepcopy(self.deployment)
        changed["spec"]["template"]["metadata"]["annotations"] = {}
        self._store(changed)

    def _store(self, changed: Json) -> None:
        version = int(self.deployment["metadata"]["resourceVersion"]) + 1
        changed["metadata"]["resourceVersion"] = str(version)
        self.deployment = changed

    def _keep(self, body: Json, version: int) -> Json:
        metadata = body["metadata"] | {"uid": "uid-map", "resourceVersion": str(version)}
        self.config_map = body | {"metadata": metadata}
        return self.config_map

    async def ask(
        self, _: Any, host: str, paths: Any, identities: Any, _told_by: Any = ()
    ) -> tuple[Asked, ...]:
        answer = await self.ask_plaintext(_, host, paths.check)
        return tuple(Asked(host, who, answer, answer) for who in (Presented.NONE, *identities))

    async def ask_plaintext(self, *_: Any) -> Answer | Failure:
        if self.refuses:
            return Failure(FailureKind.REFUSED, "nobody listens")
        if self.runs is None:
            return Answer(404, "nothing of ours")
        line = f"aop rev={self.runs:08} zone=- presented=none https=on conn=1. nonce=\n"
        return Answer(200, line)


class RolloutKeeping:
    """The keeper of that origin."""

    def __init__(self) -> None:
        self.world, self.clock = DeploymentWorld(), SetClock()
        stranger = identity_of(throwaway(NOW))
        reader = ReplicaReader(cast("ReplicaProbe", self.world), stranger, self.clock, 30.0)
        cluster = cast("Cluster", self.world)
        keepers = OriginKeepers(cluster, reader, Settings(), self.clock, {NGINX.name: NGINX})
        self.keeper: OriginKeeper = keepers.of(TARGET)

    async def look(self, times: int = 1, wanted: Wanted = WANTED) -> ObservedOrigin:
        for _ in range(times):
            self.clock.pass_s(1.0)
            until_s = self.clock.monotonic_s() + 60
            seen = await self.keeper.look(PULL, wanted, {}, until_s=until_s, asking=True)
        return seen

    async def publish(self, claim: Claim) -> None:
        await self.keeper.writer.publish(UID, claim, spec=SPEC, gone=frozenset())

    async def roll_out(self) -> None:
        seen = await self.look()
        assert seen.rollout is not None
        await self.keeper.rollouts.begin(seen.rollout)


@pytest.mark.asyncio
async def test_the_life_of_a_config_map_that_is_ours() -> None:
    keeping = RolloutKeeping()
    before = deepcopy(keeping.world.deployment["spec"])
    seen = await keeping.look()
    assert isinstance(seen.configured, Configured)
    assert (seen.configured.claim, seen.readers, seen.rollout) == (None, 1, None)
    for revision, claim in enumerate((OFF, REQUIRING, OFF), 1):
        await keeping.publish(claim)
        await keeping.roll_out()
        assert (await keeping.look()).rollout is None, "that was said"
        keeping.world.runs = revision
        seen = await keeping.look(3)
        assert isinstance(seen.configured, Configured)
        assert (seen.configured.claim, seen.rollout) == (claim, None)
    await keeping.keeper.writer.withdraw(UID)
    seen = await keeping.look()
    assert isinstance(seen.configured, Configured)
    assert seen.configured.may_do is None
    assert seen.rollout is not None
    assert seen.rollout.leaving
    await keeping.roll_out()
    assert (await keeping.look()).rollout is None
    assert keeping.world.deployment["spec"] == before
    assert keeping.world.written == [
        *("create", "roll out"),
        *("replace", "roll out") * 2,
        *("delete", "roll out"),
    ]


@pytest.mark.asyncio
async def test_replicas_that_take_it_up_by_themselves_are_not_replaced() -> None:
    keeping = RolloutKeeping()
    await keeping.look()
    await keeping.publish(OFF)
    keeping.world.runs = 1
    assert (await keeping.look(3)).rollout is None


@pytest.mark.asyncio
async def test_where_somebody_takes_our_mark_off_it_is_not_put_back_at_once() -> None:
    keeping = RolloutKeeping()
    await keeping.look()
    await keeping.publish(OFF)
    await keeping.roll_out()
    keeping.world.take_our_mark_off()
    keeping.clock.pass_s(AGAIN_S - 10)
    assert (await keeping.look()).rollout is None
    keeping.clock.pass_s(10)
    assert (await keeping.look()).rollout is not None
    await keeping.publish(REQUIRING)
    assert (await keeping.look()).rollout is not None, "another text is rolled out at once"


@pytest.mark.asyncio
async def test_what_the_api_server_refuses_is_done_again_at_once() -> None:
    """Else a relaxation would wait for a minute, because the controllers of workloads write the same object."""
    keeping = RolloutKeeping()
    await keeping.look()
    await keeping.publish(OFF)
    keeping.world.conflicts = 1
    with pytest.raises(Conflict):
        await keeping.roll_out()
    await keeping.roll_out()
    assert keeping.world.written == ["create", "roll out"]


@pytest.mark.asyncio
async def test_one_that_somebody_deletes_is_feared_still() -> None:
    keeping = RolloutKeeping()
    await keeping.look()
    await keeping.publish(REQUIRING)
    await keeping.roll_out()
    keeping.world.runs = 1
    await keeping.look(3)
    keeping.world.config_map = None
    keeping.keeper.forget()
    seen = await keeping.look()
    assert isinstance(seen.configured, Configured)
    assert (seen.configured.claim, seen.configured.may_do) == (None, REQUIRING)
    assert seen.rollout is not None
    assert seen.rollout.leaving, "which the rule leaves for as long as something is feared"


@pytest.mark.asyncio
async def test_what_others_make_meanwhile_is_not_overwritten() -> None:
    keeping = RolloutKeeping()
    await keeping.look()
    keeping.world.config_map = {
        "metadata": {"namespace": "web", "name": TARGET.name, "uid": "x", "resourceVersion": "1"},
        "data": {"theirs": "x"},
    }
    with pytest.raises(Conflict):
        await keeping.publish(OFF)
    seen = await keeping.look()
    assert seen.foreign is not None
    assert keeping.world.written == []


@pytest.mark.asyncio
async def test_an_orphaned_claim_is_rolled_out_step_by_step() -> None:
    keeping = RolloutKeeping()
    before = deepcopy(keeping.world.deployment["spec"])
    await keeping.look()
    await keeping.publish(REQUIRING)
    await keeping.roll_out()
    for mode in (Mode.OFF, None):
        carrier = keeping.world.config_map
        assert carrier is not None
        claims = NGINX.site(TARGET, {NGINX.carrier(TARGET): (carrier,)}).published.claims
        await keeping.keeper.writer.relax_orphaned(carrier, claims[UID])
        await keeping.keeper.rollouts.begin_orphaned()
        left = keeping.world.config_map
        assert (left is None) is (mode is None)
    assert keeping.world.deployment["spec"] == before


@pytest.mark.asyncio
async def test_that_nobody_listened_before_a_pod_was_ready_says_nothing_of_it() -> None:
    keeping = RolloutKeeping()
    ready = keeping.world.pod["status"].pop("conditions")
    keeping.world.refuses = True
    seen = await keeping.look(2)
    assert seen.replicas == (), "it serves nobody"
    keeping.world.refuses = False
    status = keeping.world.pod["status"] | {"conditions": ready}
    keeping.world.pod = keeping.world.pod | {"status": status}
    seen = await keeping.look()
    assert isinstance(seen.replicas, tuple)
    assert [(one.ready, one.error) for one in seen.replicas] == [(True, None)]
