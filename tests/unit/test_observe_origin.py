"""The keeper of an origin: which origins an object has, and what is known of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.cluster import Cluster, Kind, WatchedChange
from aop.errors import Blocked, Reason
from aop.observe import stirred
from aop.observe.origin import OriginKeeper
from aop.observe.origins import OriginKeepers
from aop.observe.pauses import MOST_S, SHOWN_S
from aop.observe.replicas import ReplicaReader
from aop.observe.views import Question, ReplicaMemory
from aop.observe.wanted import origins_of
from aop.origins.ingress_nginx.text import VARIABLES
from aop.probe import Failure, FailureKind, ReplicaAddress
from aop.settings import Settings
from aop.terms import Claim, Mode, ObjectKey, Target
from builders import KEY, NEXT, NOW, OFF, REQUIRING, TARGET, UID, spec
from clocks import SetClock, eventually
from paged import Paged

PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
COLLEAGUE = replace(PULL, uid="another-uid")


def test_what_was_claimed_and_left_the_spec_is_still_an_origin() -> None:
    old = Target("ingressNginx", "old", "controller")
    named, left = origins_of(PULL, (TARGET, old))
    assert (named.name, named.target, named.wanted) == ("public", TARGET, True)
    assert (left.target, left.wanted) == (old, False)
    assert str(old.name) in left.name


class ConfigMapOnly(Paged):
    """A cluster with one ConfigMap, no pods and no Ingresses; the list of pods can be held back.

    Its lists have no version after which a watch could begin, until they get one.
    """

    def __init__(self) -> None:
        self.config_map: dict[str, Any] = {
            "metadata": {"namespace": TARGET.namespace, "name": TARGET.name},
            "data": {},
        }
        self.taken_away: set[str] = set()
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.read: Counter[Kind] = Counter()
        self.pods_may_come = asyncio.Event()
        self.pods_may_come.set()
        self.version = ""
        self.shows: asyncio.Queue[WatchedChange] = asyncio.Queue()
        """What the watch of the pods shows."""

    async def each(
        self, *which: Any, version: Any = None, **how: Any
    ) -> AsyncIterator[dict[str, Any]]:
        async for one in super().each(*which, **how):
            yield one
        version(self.version)

    @asynccontextmanager
    async def watch(self, kind: Kind, *_: Any) -> AsyncIterator[AsyncIterator[WatchedChange]]:
        yield self._shown(self.shows if kind is Kind.POD else asyncio.Queue())

    async def _shown(self, shows: asyncio.Queue[WatchedChange]) -> AsyncIterator[WatchedChange]:
        while True:
            yield await shows.get()

    async def fetch(self, kind: Kind, *_: Any) -> dict[str, Any]:
        self.read[kind] += 1
        return self.config_map

    async def list(self, kind: Kind, *_: Any, **__: Any) -> list[dict[str, Any]]:
        self.read[kind] += 1
        if kind is Kind.EVENT:
            return self.events
        if kind is not Kind.POD:
            return []
        await self.pods_may_come.wait()
        return self.pods

    async def replace(self, _: Kind, __: ObjectKey, body: dict[str, Any]) -> dict[str, Any]:
        metadata = body["metadata"]
        kept = {
            name: value
            for name, value in metadata.get("annotations", {}).items()
            if name not in self.taken_away
        }
        self.config_map = {**body, "metadata": {**metadata, "annotations": kept}}
        return self.config_map


class RunsWhatIsPublished:
    """Every replica, as its check path tells it."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.cut_off: set[str] = set()
        """Addresses to which no way leads."""
        self.answers = asyncio.Event()
        """Set: they answer at once."""
        self.answers.set()
        self.reloading: set[str] = set()
        """Addresses of those that do not run yet what was published last."""

    async def ask(self, at: ReplicaAddress, question: Question, memory: ReplicaMemory) -> None:
        await self.answers.wait()
        if at.ip in self.cut_off:
            memory.fail(Failure(FailureKind.UNREACHABLE, "no route to host"), self.clock.now())
        elif at.ip not in self.reloading:
            memory.note(question.published, self.clock.now())


def controller(name: str, ip: str) -> dict[str, Any]:
    """A Ready pod that reads the ConfigMap."""
    return {
        "metadata": {"namespace": TARGET.namespace, "name": name, "uid": name},
        "spec": {"containers": [{"name": "controller", "args": [f"--configmap={TARGET.key}"]}]},
        "status": {
            "phase": "Running",
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


class Looking:
    """One keeper, asked as two objects that share its ConfigMap ask."""

    def __init__(self, *pods: str, **settings: Any) -> None:
        self.cluster, self.clock = ConfigMapOnly(), SetClock()
        self.cluster.pods = [controller(name, f"192.0.2.{n}") for n, name in enumerate(pods, 1)]
        self.replicas = RunsWhatIsPublished(self.clock)
        there = cast("Cluster", self.cluster)
        keepers = OriginKeepers(
            there,
            cast("ReplicaReader", self.replicas),
            Settings(**settings),
            self.clock,
            watching=True,
        )
        self.woken: list[frozenset[str]] = []
        keepers.begin(self.woken.append)
        self.keeper: OriginKeeper = keepers.of(TARGET)

    async def look(
        self, pull: AuthenticatedOriginPull, *, resting: bool = False, for_s: float = 60.0
    ) -> Any:
        (wanted, *_) = origins_of(pull, ())
        until_s = self.clock.monotonic_s() + for_s
        return await self.keeper.look(
            pull, wanted, {}, until_s=until_s, asking=True, resting=resting
        )

    async def publish(self, claim: Claim) -> None:
        await self.keeper.writer.publish(
            claim.uid, claim, spec=PULL.spec.origins[0].spec, gone=frozenset()
        )


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", [Mode.OFF, Mode.REQUIRE])
async def test_a_write_that_is_changed_before_it_is_stored_is_said_and_not_repeated(
    mode: Mode,
) -> None:
    """Seen with a policy that takes annotations away: ten writes a second, each of them a reload of every replica."""
    looking = Looking()
    looking.cluster.taken_away = {"aop-operator.dev/claims"}
    claim = replace(REQUIRING if mode is Mode.REQUIRE else OFF, uid=PULL.uid)
    for times in (1, 2, 3):
        looking.clock.pass_s(1.0)
        await looking.look(PULL)
        with pytest.raises(Blocked, match="admission webhook or policy") as caught:
            await looking.publish(claim)
        assert caught.value.reason is Reason.FOREIGN_CONFIGURATION
        looking.clock.pass_s(1.0)
        sites = await looking.look(PULL)
        assert (sites.overwritten is not None) is (times == 3)
        assert sites.configured.may_do == claim, "what was written may be in force"


async def taken_in() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_what_another_object_writes_while_the_pods_are_awaited_is_what_the_look_sees() -> (
    None
):
    """Seen with thirty objects on one ConfigMap: each took its neighbours' writes for somebody's who puts an older text back."""
    looking = Looking()
    await looking.look(PULL)
    await looking.publish(replace(OFF, uid=PULL.uid))
    seen = []
    for claim in (REQUIRING, OFF, REQUIRING, OFF):
        await looking.look(COLLEAGUE)
        looking.clock.pass_s(1.0)
        looking.cluster.pods_may_come.clear()
        looking.clock.pass_s(SHOWN_S)
        slow = asyncio.create_task(looking.look(PULL))
        await taken_in()
        await looking.publish(replace(claim, uid=COLLEAGUE.uid))
        looking.cluster.pods_may_come.set()
        seen.append(await slow)
    assert [one.overwritten for one in seen] == [None] * 4
    revisions = [one.configured.revision for one in seen]
    assert revisions == sorted(set(revisions)), "each look saw what was written meanwhile"


@pytest.mark.asyncio
async def test_while_nothing_is_awaited_the_pods_are_listed_every_few_seconds_and_else_at_once() -> (
    None
):
    looking = Looking("one", "two")

    async def reads_in_s(seconds: int) -> Counter[Kind]:
        before = looking.cluster.read.copy()
        for _ in range(seconds):
            looking.clock.pass_s(1.0)
            await looking.look(PULL)
            await looking.look(COLLEAGUE)
        return looking.cluster.read - before

    await looking.look(PULL)
    await looking.look(COLLEAGUE)
    await looking.publish(replace(OFF, uid=PULL.uid))
    assert (await reads_in_s(2))[Kind.POD] == 2, "the replicas are to take it in"
    calm = await reads_in_s(60)
    assert calm[Kind.POD] <= 60 / 5
    assert calm[Kind.CONFIG_MAP] <= 60 / 30 + 1
    looking.keeper.forget()
    assert (await reads_in_s(1))[Kind.CONFIG_MAP] == 1, "its watch has shown a change"
    await looking.publish(replace(REQUIRING, uid=PULL.uid))
    assert (await reads_in_s(1))[Kind.POD] == 1


@pytest.mark.asyncio
async def test_a_carrier_in_a_namespace_that_nobody_watches_is_read_every_few_seconds() -> None:
    """By default the operator watches the objects' namespace, and reads the controller's ConfigMap by its name."""
    looking = Looking("one", watch_namespaces=("edge",))
    await looking.look(PULL)
    await looking.publish(replace(OFF, uid=PULL.uid))
    for _ in range(3):
        looking.clock.pass_s(1.0)
        await looking.look(PULL)
    before = looking.cluster.read[Kind.CONFIG_MAP]
    for _ in range(60):
        looking.clock.pass_s(1.0)
        await looking.look(PULL)
    assert 60 / 6 <= looking.cluster.read[Kind.CONFIG_MAP] - before <= 60 / 5


@pytest.mark.asyncio
async def test_a_revision_is_everywhere_when_a_pod_that_is_cut_off_runs_it_too() -> None:
    """It is not Ready, and serves on: what it runs is in force."""
    looking = Looking("one", "cut-off")
    await looking.look(PULL)
    await looking.publish(replace(OFF, uid=PULL.uid))
    for _ in range(3):
        looking.clock.pass_s(1.0)
        await looking.look(PULL)
    assert looking.keeper.writer.seen_everywhere == 1
    cut_off = controller("cut-off", "192.0.2.2")
    cut_off["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    looking.cluster.pods = [looking.cluster.pods[0], cut_off]
    looking.replicas.cut_off.add("192.0.2.2")
    looking.clock.pass_s(6.0)
    await looking.look(PULL)
    assert looking.keeper.writer.seen_everywhere is None


@pytest.mark.asyncio
async def test_what_one_look_meets_wakes_the_others() -> None:
    """They rest for minutes where many share an origin."""
    looking = Looking("one")
    for one in (PULL, COLLEAGUE):
        await looking.look(one)
    assert looking.woken == []
    looking.cluster.pods = [controller(name, f"192.0.2.{n}") for n, name in enumerate("ab")]
    looking.clock.pass_s(60)
    await looking.look(PULL)
    assert looking.woken == [frozenset({COLLEAGUE.uid})]
    looking.clock.pass_s(60)
    for one in (PULL, COLLEAGUE):
        await looking.look(one)
    assert len(looking.woken) == 1, "it is told once"


@pytest.mark.asyncio
async def test_what_a_watch_shows_has_one_look_and_another_if_that_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its spec has become invalid since it looked last, or names another origin."""
    monkeypatch.setattr(stirred, "UNSEEN_S", 0.01)
    looking = Looking("one")
    looking.cluster.version = "10"
    for one in (PULL, COLLEAGUE):
        await looking.look(one)
    looking.cluster.shows.put_nowait(WatchedChange("11", controller("two", "192.0.2.2")))
    await eventually(lambda: len(looking.woken) == 2)
    assert looking.woken == [frozenset({COLLEAGUE.uid}), frozenset({PULL.uid})]
    assert len((await looking.look(PULL)).replicas) == 2
    looking.keeper.end()


@pytest.mark.asyncio
async def test_somebody_elses_text_wakes_the_others_and_ours_does_not() -> None:
    looking = Looking("one")
    for one in (PULL, COLLEAGUE):
        await looking.look(one)
    await looking.publish(replace(REQUIRING, uid=PULL.uid))
    looking.clock.pass_s(60)
    for one in (PULL, COLLEAGUE):
        await looking.look(one)
    assert looking.woken == []
    looking.cluster.config_map = {
        **looking.cluster.config_map,
        "metadata": {"namespace": TARGET.namespace, "name": TARGET.name, "resourceVersion": "9"},
        "data": {},
    }
    looking.clock.pass_s(60)
    await looking.look(COLLEAGUE)
    assert looking.woken == [frozenset({PULL.uid})]


@pytest.mark.asyncio
async def test_a_replica_that_cannot_be_asked_any_more_wakes_the_others() -> None:
    """Kubernetes may count it as Ready all the while, as behind a NetworkPolicy."""
    looking = Looking("one", "two")
    for one in (PULL, COLLEAGUE):
        await looking.look(one)
    assert looking.woken == []
    for cut_off in ({"192.0.2.1"}, set()):
        looking.replicas.cut_off = cut_off
        for one in (PULL, COLLEAGUE):
            await looking.look(one)
    assert looking.woken == [frozenset({COLLEAGUE.uid})] * 2


@pytest.mark.asyncio
async def test_who_has_nothing_there_yet_holds_up_nobody() -> None:
    """It looks no more until its turn, so that it would never be shown what others wait for it to see."""
    looking, third = Looking("one"), replace(PULL, uid="a-third-uid")
    await looking.look(PULL)
    await looking.publish(replace(OFF, uid=PULL.uid))
    for _ in range(2):
        looking.clock.pass_s(1.0)
        await looking.look(PULL, resting=True)
        for one in (COLLEAGUE, third):
            await looking.look(one)
    looking.clock.pass_s(MOST_S)
    assert looking.keeper.writer.next_at() is None


async def shown_twice(looking: Looking, *pulls: AuthenticatedOriginPull) -> None:
    """Each looks often enough to see what settles."""
    for one in pulls * 2:
        looking.clock.pass_s(1.0)
        await looking.look(one)


@pytest.mark.asyncio
async def test_of_those_who_wait_for_the_replicas_one_after_the_other_looks_for_all() -> None:
    looking = Looking("one", "two")
    await shown_twice(looking, PULL, COLLEAGUE)
    await looking.publish(replace(OFF, uid=PULL.uid))
    looking.replicas.reloading = {"192.0.2.2"}
    await shown_twice(looking, PULL, COLLEAGUE)
    assert all(looking.keeper.await_shown(one.uid) for one in (PULL, COLLEAGUE))
    await eventually(lambda: len(looking.woken) == 2)
    assert looking.woken == [frozenset({PULL.uid}), frozenset({COLLEAGUE.uid})]


@pytest.mark.asyncio
async def test_when_the_replicas_run_what_is_published_all_are_woken_who_waited_for_it() -> None:
    looking = Looking("one", "two")
    await shown_twice(looking, PULL, COLLEAGUE)
    await looking.publish(replace(OFF, uid=PULL.uid))
    looking.replicas.reloading = {"192.0.2.2"}
    await shown_twice(looking, PULL)
    assert looking.keeper.await_shown(PULL.uid)
    assert looking.keeper.await_shown(COLLEAGUE.uid)
    looking.replicas.reloading.clear()
    await shown_twice(looking, PULL)
    assert looking.woken == [frozenset({PULL.uid, COLLEAGUE.uid})]
    assert not looking.keeper.await_shown(PULL.uid), "what is left is for itself to see"


@pytest.mark.asyncio
async def test_who_has_asked_the_replicas_is_woken_when_they_have_answered() -> None:
    looking = Looking("one", "two")
    await shown_twice(looking, PULL)
    await looking.publish(replace(OFF, uid=PULL.uid))
    await shown_twice(looking, PULL)
    looking.replicas.answers.clear()
    await looking.look(PULL, for_s=0.0)
    assert looking.keeper.await_shown(PULL.uid)
    assert looking.woken == []
    looking.replicas.answers.set()
    await eventually(lambda: looking.woken == [frozenset({PULL.uid})])
    assert not looking.keeper.await_shown(PULL.uid)


@pytest.mark.asyncio
async def test_who_leaves_while_it_waits_for_the_replicas_leaves_the_look_to_another() -> None:
    looking = Looking("one")
    await shown_twice(looking, PULL, COLLEAGUE)
    await looking.publish(replace(OFF, uid=PULL.uid))
    looking.replicas.reloading = {"192.0.2.1"}
    await shown_twice(looking, PULL, COLLEAGUE)
    assert all(looking.keeper.await_shown(one.uid) for one in (PULL, COLLEAGUE))
    looking.keeper.drop(PULL.uid)
    await eventually(lambda: bool(looking.woken))
    assert looking.woken == [frozenset({COLLEAGUE.uid})]


@pytest.mark.asyncio
async def test_all_who_wait_for_a_turn_are_woken_at_once_and_not_before() -> None:
    looking = Looking("one")
    for one in (PULL, COLLEAGUE):
        await looking.look(one)
    await looking.publish(replace(OFF, uid=PULL.uid))
    for one in (PULL, COLLEAGUE) * 2:
        looking.clock.pass_s(1.0)
        await looking.look(one)
        looking.keeper.await_turn(one.uid)
    assert looking.keeper.writer.next_at() is not None, "one was not shown its hosts"
    assert looking.woken == []
    looking.clock.pass_s(SHOWN_S)
    await looking.look(PULL)
    assert looking.woken == [frozenset({PULL.uid, COLLEAGUE.uid})]


def rejection_of(variable: str, at: datetime) -> dict[str, Any]:
    """Nginx's own words about a line of ours, as the controller's Event has them."""
    return {
        "involvedObject": {"uid": "one"},
        "type": "Warning",
        "reason": "RELOAD",
        "message": f'Error: exit status 1\n2026/03/01 12:00:00 [emerg] 25#25: unknown "{variable}" variable',
        "lastTimestamp": at.isoformat(),
    }


@pytest.mark.asyncio
@pytest.mark.parametrize("whose", ["ours", "a colleague's"])
async def test_a_rejection_counts_once_the_carrier_was_read_after_it(whose: str) -> None:
    """A watch may show that a colleague's text is rejected before the text itself is read: it is none of ours."""
    looking = Looking("one")
    await looking.look(PULL)
    await looking.publish(REQUIRING)
    assert (await looking.look(PULL)).rejected is None
    looking.replicas.reloading.add("192.0.2.1")
    await looking.publish(replace(REQUIRING, pins=(NEXT,)))
    looking.clock.pass_s(2.0)
    variable = min(VARIABLES)
    looking.cluster.events = [rejection_of(variable, looking.clock.wall())]
    looking.woken.clear()
    assert (await looking.look(PULL)).rejected is None
    assert frozenset({UID}) in looking.woken
    if whose != "ours":
        body = looking.cluster.config_map
        theirs = {name: f"{text} #" for name, text in body["data"].items()}
        metadata = body["metadata"] | {"resourceVersion": "999"}
        looking.cluster.config_map = body | {"data": theirs, "metadata": metadata}
    again = await looking.look(PULL)
    assert (again.rejected is not None) is (whose == "ours")
