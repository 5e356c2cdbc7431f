"""What the loops of the objects go by: what an object refers to, and who is woken by what."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aop.alerts import AlertsKeeper
from aop.api import AuthenticatedOriginPull, Status
from aop.api.manifest import is_edited, references
from aop.clock import Clock
from aop.cloudflare import Cloudflare
from aop.cluster import Cluster, Kind
from aop.health import OVERDUE_S, Health
from aop.loops import FIRSTS_AT_ONCE, Loops
from aop.metrics import MeasuredObject, Metrics, WaitingFigures
from aop.observe import Observer
from aop.observe.edge import EdgeReader
from aop.observe.memory import Memory
from aop.observe.origins import OriginKeepers
from aop.observe.replicas import ReplicaReader
from aop.observe.secrets import Secrets
from aop.observe.zone import ZoneReader
from aop.orphans import Orphans
from aop.perform import Performer
from aop.probe import EdgeProbe
from aop.reconcile import Reconciler, Visit
from aop.settings import Settings
from aop.terms import ObjectKey
from aop.terms.names import FINALIZER
from builders import KEY, NOW, TARGET
from builders import spec as parsed_spec
from clocks import SetClock
from paged import Paged

TOKEN = ObjectKey("edge", "cloudflare")
GENERATED = ObjectKey("edge", "example-com-aop")


def spec(**fields: Any) -> dict[str, Any]:
    """A raw spec, as an event brings it."""
    config_map = {"namespace": TARGET.namespace, "name": TARGET.name}
    return {
        "credentials": {"apiTokenSecretRef": {"name": "cloudflare", "key": "api-token"}},
        "origins": [{"name": "public", "ingressNginx": {"configMapRef": config_map}}],
        **fields,
    }


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (spec(), {TOKEN, GENERATED, TARGET.key}),
        (
            spec(certificate={"generate": {"secretName": "keys"}}),
            {TOKEN, ObjectKey("edge", "keys"), TARGET.key},
        ),
        (
            spec(certificate={"secretRef": {"name": "theirs"}}),
            {TOKEN, ObjectKey("edge", "theirs"), GENERATED, TARGET.key},
        ),
        (spec(origins=[]), {TOKEN, GENERATED}),
        (
            spec(
                origins=[
                    {"name": "public"},
                    {"name": "half", "ingressNginx": {"configMapRef": {"name": "x"}}},
                ]
            ),
            {TOKEN, GENERATED},
        ),
        (spec(credentials=None, certificate=None, origins=None), {GENERATED}),
        ({}, {GENERATED}),
    ],
)
def test_an_object_refers_to_what_its_spec_names_however_broken(
    raw: dict[str, Any], named: set[ObjectKey]
) -> None:
    assert references(KEY, raw) == named


# --- waking ----------------------------------------------------------------------------------------------------------------------


class Lists(Paged):
    """All of a cluster that is asked for here: it has nothing, and counts how often each kind was listed, and each Secret read."""

    def __init__(self) -> None:
        self.listed: Counter[Kind] = Counter()
        self.fetched: Counter[ObjectKey] = Counter()
        self.answer: list[dict[str, Any]] = []

    async def list(self, kind: Kind, _namespace: str | None = None) -> list[dict[str, Any]]:
        self.listed[kind] += 1
        return self.answer

    async def fetch(self, _: Kind, key: ObjectKey) -> None:
        self.fetched[key] += 1


UID, OTHER_UID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
MEASURED = MeasuredObject(UID, "edge", "example-com", "example.com")


class Visited:
    """Notes whose visit has begun; a visit ends when the test lets it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end, self._news = asyncio.Event(), asyncio.Event()

    async def until(self, begun: int) -> None:
        """Wait until so many visits have begun."""
        async with asyncio.timeout(5):
            while len(self.begun) < begun:
                self._news.clear()
                await self._news.wait()

    async def visit(self, key: ObjectKey, _: Memory) -> Visit:
        self.begun.append(key.name)
        self._news.set()
        await self.may_end.wait()
        return Visit(600.0)

    def drop(self, uid: str) -> None:
        """The loops tell of it."""


def slots(
    cluster: Lists | None = None,
    metrics: Metrics | None = None,
    clock: Clock | None = None,
    reconciler: Visited | None = None,
) -> Loops:
    there, settings = cast("Cluster", cluster or Lists()), Settings()
    clock = clock or Clock()
    keepers = OriginKeepers(there, cast("ReplicaReader", None), settings, clock)
    secrets = Secrets(there, settings, clock)
    observer = Observer(
        there,
        cast("ZoneReader", None),
        keepers,
        EdgeReader(cast("EdgeProbe", None), 10.0, 20.0, clock),
        secrets,
        settings,
        clock,
    )
    alerts = AlertsKeeper(
        cast("Cloudflare", None), clock, lambda: None, 600.0, metrics or Metrics()
    )
    visiting = Reconciler(
        there, observer, cast("Performer", None), alerts, clock, metrics or Metrics()
    )
    return Loops(
        there,
        cast("Reconciler", reconciler) if reconciler else visiting,
        observer,
        keepers,
        secrets,
        cast("Orphans", None),
        clock,
        Health(clock, ()),
    )


def test_each_object_has_one_slot_until_it_is_gone() -> None:
    loops = slots()
    slot = loops.loop(UID, KEY)
    assert loops.loop(UID, KEY) is slot
    assert slot.memory.uid == UID
    loops.drop(UID)
    assert loops.loop(UID, KEY) is not slot
    loops.drop("never-heard-of")


def test_what_is_measured_of_an_object_goes_with_it() -> None:
    """Its finalizer may have been taken off by hand, so that no removal ends."""
    metrics = Metrics()
    metrics.tell(MEASURED, ready=True, stalled=False, reason="Ready")
    loops = slots(metrics=metrics)
    loops.loop(UID, KEY)
    assert metrics.shown
    loops.drop(UID)
    assert metrics.shown == ()


@pytest.mark.asyncio
async def test_a_lead_that_has_ended_leaves_nothing_to_be_measured_or_waited_for() -> None:
    """The process stands by, and says nothing of objects that another looks after."""
    metrics = Metrics()
    metrics.tell(MEASURED, ready=True, stalled=False, reason="Ready")
    loops = slots(metrics=metrics)
    loops.loop(UID, KEY)
    loops._health.expect(UID, -2 * OVERDUE_S)
    assert loops._health.stuck()
    await loops.end()
    assert loops._health.stuck() == ""
    assert metrics.shown == ()


def test_who_waits_for_a_look_has_waited_since_the_first_time_that_it_was_woken() -> None:
    """A second reason to look makes nobody wait anew."""
    clock = SetClock()
    loops = slots(clock=clock)
    loops.loop(UID, KEY)
    loops.loop(OTHER_UID, KEY)
    assert loops.waiting() == WaitingFigures(2, ())
    loops.wake(UID)
    clock.pass_s(5)
    loops.wake(UID)
    loops.wake(OTHER_UID)
    clock.pass_s(2)
    assert loops.waiting() == WaitingFigures(2, (7.0, 2.0))


def test_one_of_the_same_name_that_comes_after_it_has_a_slot_of_its_own() -> None:
    """The finalizer was taken off by hand, and the object applied again: what was known of the first is nothing to the second."""
    loops = slots()
    first, second = loops.loop(UID, KEY), loops.loop(OTHER_UID, KEY)
    assert first is not second
    loops.drop(UID)
    assert (first.memory.gone, second.memory.gone) == (True, False)
    assert first.wake.is_set(), "whoever sleeps over it ends"


@pytest.mark.asyncio
async def test_whoever_names_what_changed_is_woken_and_it_is_read_anew() -> None:
    cluster = Lists()
    loops = slots(cluster)
    mine, other = loops.loop(UID, KEY), loops.loop(OTHER_UID, KEY)
    mine.references, other.references = frozenset({TOKEN}), frozenset({TARGET.key})

    async def look() -> None:
        until_s = loops._clock.monotonic_s() + 60
        await loops._secrets.data(TOKEN, awaited=False, until_s=until_s)

    for _ in range(2):
        await look()
    loops.wake_referrers(TOKEN, "2")
    assert (mine.wake.is_set(), other.wake.is_set()) == (True, False)
    assert (mine.memory.urgent, other.memory.urgent) == (True, False)
    await look()
    assert cluster.fetched == {TOKEN: 2}


@pytest.mark.parametrize(
    ("told_of", "edited"),
    [({}, False), ({"observedGeneration": 1}, True), ({"observedGeneration": 2}, False)],
)
def test_an_object_is_edited_whose_status_tells_of_another_spec(
    told_of: dict[str, Any], edited: bool
) -> None:
    """One that is new is not: a thousand that are applied at once hold up nobody's edit."""
    one = shown(UID, "example.com", generation=2) | {"status": told_of}
    assert is_edited(one) is edited


def shown(uid: str, zone: str, **metadata: Any) -> dict[str, Any]:
    """An object as a watch shows it, being deleted and not ours any more, so that it gets no loop."""
    named = {"namespace": KEY.namespace, "name": f"name-{uid[:8]}", "uid": uid}
    return {
        "metadata": {
            **named,
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **metadata,
        },
        "spec": {"zone": {"name": zone}},
    }


@pytest.mark.parametrize(("zone", "woken"), [("example.com", True), ("example.org", False)])
def test_when_an_object_is_gone_those_look_again_that_name_its_zone(zone: str, woken: bool) -> None:
    loops = slots()
    loops.loop(UID, KEY)
    other = loops.loop(OTHER_UID, KEY)
    loops._observer.objects.learn(shown(UID, "example.com"))
    loops._observer.objects.learn(shown(OTHER_UID, zone))
    loops._orphans = cast("Orphans", SimpleNamespace(look_soon=lambda: None))
    loops.lose(UID)
    assert other.wake.is_set() is woken


@pytest.mark.asyncio
async def test_an_object_that_comes_is_known_to_the_others_at_once() -> None:
    cluster = Lists()
    loops = slots(cluster)
    pull = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, parsed_spec(), Status())

    async def rivals() -> Any:
        return await loops._observer.objects.rivals(pull, loops._clock.monotonic_s() + 60)

    assert await rivals() == ()
    slot = loops.loop(UID, KEY)
    loops._observer.objects.learn(shown(UID, "example.com"))
    slot.wake.clear()
    created = {"creationTimestamp": "2026-01-30T12:00:00Z"}
    loops.see(shown(OTHER_UID, "example.com", **created))
    assert slot.wake.is_set()
    assert [one.uid for one in await rivals()] == [OTHER_UID]
    assert cluster.listed == {Kind.AUTHENTICATED_ORIGIN_PULL: 1}
    await loops.end()


@pytest.mark.asyncio
async def test_a_list_that_is_older_than_the_end_of_an_object_begins_no_loop_for_it() -> None:
    """Its loop would act on what is no more: set up again what a removal has just taken away."""
    cluster = Lists()
    loops = slots(cluster)
    cluster.answer = [shown(OTHER_UID, "example.org", creationTimestamp="2026-01-30T12:00:00Z")]
    pull = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, parsed_spec(), Status())
    await loops._observer.objects.rivals(pull, loops._clock.monotonic_s() + 60)
    assert loops._loops == {}


# --- after a start ---------------------------------------------------------------------------------------------------------------


def listed(name: str, *, ready: str | None = "True", generation: int = 1) -> dict[str, Any]:
    """An object of which the status tells of generation 1."""
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    return {
        "metadata": {
            "namespace": "edge",
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": [FINALIZER],
        },
        "spec": {"zone": {"name": name}},
        "status": {"observedGeneration": 1, "conditions": conditions} if ready else {},
    }


def crowded(visited: Visited) -> Loops:
    """As many settled objects as are visited at once; whoever comes then is queued."""
    loops = slots(reconciler=visited)
    for number in range(FIRSTS_AT_ONCE):
        loops.see(listed(f"settled-{number}"))
    return loops


@pytest.mark.asyncio
async def test_after_a_start_settled_objects_take_turns_and_all_others_go_before_them() -> None:
    visited = Visited()
    loops = slots(reconciler=visited)
    for number in range(2 * FIRSTS_AT_ONCE):
        loops.see(listed(f"settled-{number}"))
    others = {
        "edited": listed("edited", generation=2),
        "lost": listed("lost", ready="False"),
        "new": listed("new", ready=None),
    }
    for manifest in others.values():
        loops.see(manifest)
    await visited.until(FIRSTS_AT_ONCE + len(others))
    assert set(others) <= set(visited.begun)
    visited.may_end.set()
    await visited.until(2 * FIRSTS_AT_ONCE + len(others))
    await loops.end()


@pytest.mark.asyncio
async def test_an_object_leaves_the_queue_when_somebody_begins_to_wait_for_it() -> None:
    """It was edited, or deleted, or its Secret was changed, just after the start."""
    visited = Visited()
    loops = crowded(visited)
    queued = {name: listed(name) for name in ("edited", "deleted", "named", "gone", "waiting")}
    for manifest in queued.values():
        loops.see(manifest)
    await visited.until(FIRSTS_AT_ONCE)
    assert not set(queued) & set(visited.begun)
    loops.see(listed("edited", generation=2))
    deleted = listed("deleted")
    deleted["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    loops.see(deleted)
    loops.wake_referrers(ObjectKey("edge", "named-aop"), "2")
    loops.drop("gone")
    await visited.until(FIRSTS_AT_ONCE + 3)
    assert set(visited.begun) & set(queued) == {"edited", "deleted", "named"}
    visited.may_end.set()
    await visited.until(FIRSTS_AT_ONCE + 4)
    assert "waiting" in visited.begun
    assert "gone" not in visited.begun
    await loops.end()


@pytest.mark.asyncio
async def test_what_a_watch_lists_as_it_begins_is_no_news_to_who_has_not_looked_yet() -> None:
    """After a start it lists every Secret and ConfigMap, and all objects would leave the queue."""
    visited = Visited()
    loops = crowded(visited)
    loops.see(listed("queued"))
    loops.wake_referrers(ObjectKey("edge", "queued-aop"), "7", listed=True)
    await visited.until(FIRSTS_AT_ONCE)
    assert "queued" not in visited.begun
    loops.wake_referrers(ObjectKey("edge", "queued-aop"), "8")
    await visited.until(FIRSTS_AT_ONCE + 1)
    assert "queued" in visited.begun
    visited.may_end.set()
    await loops.end()


@pytest.mark.asyncio
async def test_what_a_list_shows_too_late_changes_nothing() -> None:
    """The list of all objects may be older than what the watch has shown since it was asked for."""
    loops = slots(reconciler=Visited())
    edited = listed("edited", generation=2)
    edited["metadata"]["resourceVersion"] = "2"
    loops.see(edited)
    loop = loops.loop("edited", ObjectKey("edge", "edited"))
    seen = loop.seen
    loops.see(listed("edited"))
    assert loop.seen == seen
    assert loop.memory.edited
    await loops.end()


@pytest.mark.asyncio
@pytest.mark.parametrize("moments", range(4))
async def test_a_lead_ends_although_an_object_is_woken_at_the_same_moment(moments: int) -> None:
    """In Python 3.11 `wait_for` forgets that it was cancelled then, and the end waited for ever."""
    visited = Visited()
    visited.may_end.set()
    loops = slots(reconciler=visited)
    loops.see(listed("resting", generation=2))
    await visited.until(1)
    await asyncio.sleep(0.01)
    loops.wake("resting")
    for _ in range(moments):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await loops.end()


@pytest.mark.asyncio
async def test_an_object_that_goes_before_its_first_visit_leaves_its_place_to_the_next() -> None:
    visited = Visited()
    loops = crowded(visited)
    loops.see(listed("next"))
    for number in range(FIRSTS_AT_ONCE):
        loops.drop(f"settled-{number}")
    await visited.until(1)
    assert visited.begun == ["next"]
    visited.may_end.set()
    await loops.end()
