"""No bug of ours in looking at one thing ends the look: what was last known of it is what protection goes on with."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Condition, ConditionType, Status
from aop.clock import Clock
from aop.cloudflare import Access, Priority
from aop.cluster import Cluster
from aop.errors import Reason, Transient
from aop.observe import LOOKS_AT_ONCE, RESYNCS_AT_ONCE, Observer
from aop.observe.edge import AskedOrigin, EdgeReader
from aop.observe.memory import KeptNote, Memory
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.observe.zone import ZoneReader
from aop.observed import NONE, HoldOff, ObservedOrigin, Record, Unknown, Unnoted
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.settings import Settings
from builders import (
    HOSTS,
    KEY,
    LEAF,
    NOW,
    REQUIRING,
    TARGET,
    UID,
    at,
    evidence,
    origin,
    spec,
    zone,
)
from clocks import SetClock
from cloudflare_api import StoppedClock
from paged import Paged

PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
READY = Status(
    observed_generation=1,
    conditions=(
        Condition(
            type=ConditionType.READY,
            status="True",
            last_transition_time=NOW,
            reason="Ready",
            message="",
        ),
    ),
)


class Failing(Paged):
    """Every counterpart at once: an API that refuses, a zone that is not known, an edge that says what it said, and an origin that may be a bug."""

    kind = INGRESS_NGINX

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
    sharers = 1


class FailingEdge(Failing):
    """What arrives."""

    proving: bool | None = None

    async def read(self, *_: Any, proving: bool, **__: Any) -> Any:
        self.proving = proving
        return (evidence(),)

    def cadence_s(self, *_: Any) -> float:
        return 10.0

    def drop(self, *_: Any) -> None:
        """Nothing is remembered here."""


def observer_of(
    world: Failing, clock: Clock | None = None, *, edge: FailingEdge | None = None
) -> Observer:
    """An observer of that world; where nothing else is said, of an edge that answers and in no time."""
    return Observer(
        cast("Cluster", world),
        cast("ZoneReader", world),
        cast("OriginKeepers", world),
        cast("EdgeReader", edge or FailingEdge()),
        Secrets(cast("Cluster", world), Settings(), clock or StoppedClock()),
        Settings(),
        clock or StoppedClock(),
    )


class HeldUp(Failing):
    """Whoever looks is held up until all may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on, self.looking, self.most_looking = asyncio.Event(), 0, 0

    async def look(self, *_: Any, **__: Any) -> ObservedOrigin:
        self.looking += 1
        self.most_looking = max(self.looking, self.most_looking)
        await self.may_go_on.wait()
        self.looking -= 1
        return self.seen


async def turns() -> None:
    """Everybody who can go on does."""
    for _ in range(20 * LOOKS_AT_ONCE):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_as_many_look_at_once_as_the_process_is_good_for() -> None:
    """Whoever may refuse visitors waits for nobody, and what somebody has edited only for what was edited too."""
    world, most = HeldUp(), LOOKS_AT_ONCE
    observer = observer_of(world)
    looks: list[asyncio.Task[Any]] = []

    async def begin(*memories: Memory) -> int:
        looks.extend(asyncio.create_task(observer.observe(PULL, memory)) for memory in memories)
        await turns()
        return world.looking

    memories = [Memory(uid=UID, waits_since_s=1.0) for _ in range(most + 5)]
    assert await begin(*memories) == most
    waiting = [memory for memory in memories if memory.waits_since_s is not None]
    assert len(waiting) == 5, "a look that has begun ends the wait for it"
    assert await begin(Memory(uid=UID, urgent=True)) == most + 1
    edited = [Memory(uid=UID, edited=True) for _ in range(most + 5)]
    assert await begin(*edited) == 2 * most + 1
    world.may_go_on.set()
    await asyncio.gather(*looks)
    assert world.most_looking == 2 * most + 1
    assert not any(memory.edited for memory in edited)


class CloudflareHangs(Failing):
    """Which costs nobody else a look."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.answers = asyncio.Event()

    async def read(self, *_: Any, **__: Any) -> Any:
        await self.answers.wait()
        return Unknown("Cloudflare has answered that it cannot")

    async def look(self, *_: Any, **__: Any) -> ObservedOrigin:
        self.looks += 1
        return self.seen


@pytest.mark.asyncio
async def test_who_waits_for_cloudflare_holds_up_nobodys_look() -> None:
    world = CloudflareHangs()
    observer = observer_of(world, SetClock())
    memories = [Memory(uid=UID) for _ in range(3 * LOOKS_AT_ONCE)]
    looks = [asyncio.create_task(observer.observe(PULL, memory)) for memory in memories]
    await turns()
    assert world.looks == len(memories)
    world.answers.set()
    await asyncio.gather(*looks)


class SlowCloudflare(CloudflareHangs):
    """Counts whose zones are being read."""

    def __init__(self) -> None:
        super().__init__()
        self.reading: list[AuthenticatedOriginPull] = []

    async def read(self, *asked: Any, **how: Any) -> Any:
        self.reading.append(asked[0])
        return await super().read(*asked, **how)


@pytest.mark.asyncio
async def test_of_the_zones_for_which_nobody_waits_only_some_are_read_at_once() -> None:
    """So some of hundreds are known soon, and not all of them at the end. Who waits, waits for none of these."""
    world = SlowCloudflare()
    observer = observer_of(world, SetClock())
    rests = replace(PULL, status=READY)
    looks = [
        asyncio.create_task(observer.observe(pull, Memory(uid=UID)))
        for pull in (*[rests] * (3 * RESYNCS_AT_ONCE), PULL)
    ]
    await turns()
    assert world.reading.count(rests) == RESYNCS_AT_ONCE
    assert world.reading.count(PULL) == 1
    world.answers.set()
    await asyncio.gather(*looks)
    assert len(world.reading) == len(looks)


@pytest.mark.asyncio
async def test_a_bug_in_looking_at_an_origin_leaves_what_was_last_seen_of_it() -> None:
    world, memory = Failing(), Memory(uid=UID)
    observer = observer_of(world)
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
    observer = observer_of(world)
    (origin_seen,) = (await observer.observe(PULL, Memory(uid=UID))).origins
    assert isinstance(origin_seen.configured, Unknown)
    assert origin_seen.target == TARGET


class Listening(FailingEdge):
    """Remembers what is asked about."""

    asked: tuple[AskedOrigin, ...] = ()

    async def read(self, *asked: Any, **_: Any) -> Any:
        self.asked = asked[0]
        return ()


@pytest.mark.asyncio
async def test_hosts_are_asked_about_for_as_long_as_the_text_may_be_in_force() -> None:
    """Somebody has taken the annotations and left the text: who is not asked about is not relaxed."""
    world, edge = Failing(), Listening()
    world.seen = origin(configured={"claim": None, "standing": REQUIRING, "intact": False})
    await observer_of(world, edge=edge).observe(PULL, Memory(uid=UID))
    assert [(one.path, one.hosts) for one in edge.asked] == [("/check", HOSTS)]


@pytest.mark.asyncio
async def test_what_could_not_be_noted_is_known_all_the_same() -> None:
    memory, kept = (
        Memory(uid=UID),
        Record(hold_offs=(HoldOff(1, NOW, at(60)),), uploaded=(LEAF,), edition=4),
    )
    memory.kept_note = KeptNote(kept, Unnoted("HTTP 403", at(10)))
    world = await observer_of(Failing()).observe(PULL, memory)
    assert world.record == Record(hold_offs=kept.hold_offs, edition=4)
    assert world.unnoted == memory.kept_note.unnoted


# --- when something is looked at again ---------------------------------------------------------------------------------------------


class Latest(SetClock):
    """What is spread comes as late as it may."""

    def jitter(self, limit: float) -> float:
        return limit


@pytest.mark.parametrize(
    ("sharers", "awaiting", "read_ago_s", "due_s"),
    [
        (1, False, 0, 30),
        (15, False, 0, 30),
        (100, False, 0, 200),
        (100, True, 0, 30),
        (1000, False, 0, 300),
        (1000, False, 100, 200),
        (1000, False, 290, 30),
        (1000, False, 4000, 300),
        (10, False, 4000, 30),
    ],
)
def test_who_shares_an_origin_with_many_and_waits_for_nothing_is_looked_at_less_often(
    sharers: int, awaiting: bool, read_ago_s: float, due_s: float
) -> None:
    """Each has its turn at the replicas then; Cloudflare is read in time all the same, and a call that is put off is not asked for all the time."""
    world, clock, memory = Failing(), Latest(), Memory(uid=UID)
    world.sharers = sharers
    memory.origins[TARGET] = world.seen
    memory.awaiting = awaiting
    memory.cloudflare.listed.keep((), clock.now() - timedelta(seconds=read_ago_s))
    assert observer_of(world, clock).due_in_s(memory) == due_s


@pytest.mark.parametrize(
    ("objects", "read_ago_s", "due_s"),
    [(75, 0, 30), (500, 0, 200), (5000, 0, 2000), (5000, 600, 1400), (5000, 2100, 2000)],
)
def test_the_more_objects_there_are_on_however_many_origins_the_less_often_each_is_looked_at(
    objects: int, read_ago_s: float, due_s: float
) -> None:
    """Ten thousand on twenty controllers were looked at as often as five hundred on one, twenty times."""
    world, clock, memory = Failing(), Latest(), Memory(uid=UID)
    memory.origins[TARGET] = world.seen
    memory.awaiting = False
    memory.cloudflare.listed.keep((), clock.now() - timedelta(seconds=read_ago_s))
    observer = observer_of(world, clock)
    for number in range(objects):
        metadata = {
            "namespace": KEY.namespace,
            "name": f"zone-{number}",
            "uid": f"uid-{number}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        observer.objects.learn({"metadata": metadata, "spec": {}})
    assert observer.due_in_s(memory) == due_s


def test_those_who_came_to_rest_together_are_not_looked_at_together() -> None:
    """As after a restart: what one look meets is told to all, so that some look is always soon."""
    world, clock, memory = Failing(), SetClock(), Memory(uid=UID)
    world.sharers = 100
    memory.origins[TARGET] = world.seen
    memory.awaiting = False
    memory.cloudflare.listed.keep((), clock.now())
    observer = observer_of(world, clock)
    due = sorted(observer.due_in_s(memory) for _ in range(1000))
    assert due[0] >= 30
    assert due[-1] <= 200
    assert max(later - earlier for earlier, later in pairwise(due)) < 10


# --- what a removal goes by ----------------------------------------------------------------------------------------------------


def removing(**status: Any) -> AuthenticatedOriginPull:
    """The object while it is being deleted."""
    return replace(PULL, deleted_at=NOW, status=Status(**status))


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [timedelta(minutes=-50), timedelta(minutes=50)])
async def test_how_long_a_removal_has_waited_is_counted_whoever_sets_the_clock(
    step: timedelta,
) -> None:
    clock, memory = SetClock(), Memory(uid=UID)
    clock.pass_s(100)
    observer = observer_of(Failing(), clock)
    pull = removing(removing_since=at(40))
    assert (await observer.observe(pull, memory)).removing_since == at(40)
    clock.set_by(step)
    clock.pass_s(30)
    world = await observer.observe(pull, memory)
    assert world.removing_since == at(40)
    assert world.now - at(40) == timedelta(seconds=90)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("noted", "waited_s"),
    [(at(-500), 600.0), (at(5000), 0.0)],
    ids=["a restart does not begin it again", "a clock that was ahead then"],
)
async def test_a_process_counts_on_from_what_the_one_before_it_has_noted(
    noted: datetime, waited_s: float
) -> None:
    clock = SetClock()
    clock.pass_s(100)
    world = await observer_of(Failing(), clock).observe(
        removing(removing_since=noted), Memory(uid=UID)
    )
    assert world.removing_since is not None
    assert (world.now - world.removing_since).total_seconds() == waited_s


@pytest.mark.asyncio
async def test_an_object_that_is_not_being_deleted_waits_for_nothing_of_that_kind() -> None:
    pull = replace(PULL, status=Status(removing_since=NOW))
    assert (
        await observer_of(Failing(), SetClock()).observe(pull, Memory(uid=UID))
    ).removing_since is None


class SecretHolds(Failing):
    """The API server answers with this Secret, or with none; Cloudflare is asked with what is left."""

    def __init__(self, data: dict[str, str] | None = None) -> None:
        super().__init__()
        self.data = data
        self.asked_with: list[Access | Unknown] = []

    async def fetch(self, *_: Any) -> Any:
        return (
            None
            if self.data is None
            else {"metadata": {"name": "cloudflare", "resourceVersion": "1"}, "data": self.data}
        )

    async def read(self, _: Any, access: Access | Unknown, *__: Any, **___: Any) -> Any:
        self.asked_with.append(access)
        return Unknown("Cloudflare has not answered yet")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("deleting", "known", "asks"), [(True, True, True), (False, True, False), (True, False, False)]
)
async def test_only_a_removal_goes_on_with_the_last_token_that_has_shown_the_zone(
    deleting: bool, known: bool, asks: bool
) -> None:
    world, memory = SecretHolds(), Memory(uid=UID)
    last = Access.of("the-last-token-that-has-shown-the-zone", Priority.ONBOARD)
    memory.cloudflare.good = last if known else None
    await observer_of(world, SetClock()).observe(removing() if deleting else PULL, memory)
    (used,) = world.asked_with
    if asks:
        assert used == last
    else:
        assert isinstance(used, Unknown)
        assert used.reason is Reason.TOKEN_SECRET_NOT_FOUND


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["api-token", "another-key"])
@pytest.mark.parametrize(
    "written", [b"", b"\n", b"two words", b"\xff\xfe", b"cfk_" + b"a" * 48, b"x" * 2000]
)
async def test_whatever_stands_in_the_secret_instead_of_a_token_a_removal_goes_on_with_the_last_one(
    written: bytes, key: str
) -> None:
    """A Secret that is emptied, or rewritten, goes no other way than one that is deleted with its namespace."""
    world, memory = SecretHolds({key: base64.b64encode(written).decode()}), Memory(uid=UID)
    last = Access.of("the-last-token-that-has-shown-the-zone", Priority.ONBOARD)
    memory.cloudflare.good = last
    await observer_of(world, SetClock()).observe(removing(), memory)
    await observer_of(world, SetClock()).observe(PULL, Memory(uid=UID))
    removal, otherwise = world.asked_with
    assert removal == last
    assert isinstance(otherwise, Unknown)
    assert otherwise.reason in {Reason.TOKEN_REJECTED, Reason.TOKEN_SECRET_NOT_FOUND}


# --- what is being proven ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("awaiting", "arrived", "proving"),
    [
        (True, evidence(), True),
        (False, evidence(), False),
        (False, evidence(count=3), True),
        (False, evidence(lasting_s=5), True),
        (False, evidence(count=3, silence="timed out"), False),
        (False, evidence(count=3, direct=True), False),
        (False, evidence(presented=NONE, count=3), False),
    ],
)
async def test_a_host_that_comes_to_those_that_are_required_is_proven_as_fast_as_they_were(
    awaiting: bool, arrived: Any, proving: bool
) -> None:
    """The object waits for nothing meanwhile: only that host's requests tell when it may be required."""
    edge, memory = FailingEdge(), Memory(uid=UID)
    memory.zone, memory.awaiting = zone(), awaiting
    memory.evidence = {arrived.host: arrived}
    await observer_of(Failing(), SetClock(), edge=edge).observe(PULL, memory)
    assert edge.proving is proving
