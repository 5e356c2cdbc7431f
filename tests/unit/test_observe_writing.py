"""The writer of an origin's carrier: what can wait goes out together, what protects at once, and who breaks a text is tried alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from aop.cluster import Cluster, Conflict
from aop.errors import Blocked, Reason
from aop.observe.carrier import Carrier
from aop.observe.pauses import MOST_S, SHOWN_S, SYNC_S, pause_s
from aop.observe.published import PublishedMemory
from aop.observe.source import Source
from aop.observe.writing import OriginWriter
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.origins.sites import Json, Objects, Published
from aop.schema import Model
from aop.terms import Claim, Mode, Target
from builders import ASKING, OFF, REQUIRING, TARGET
from clocks import SetClock, eventually

SPEC = None
"""Beside others' text, as for an origin that has left the spec."""


class CountedClock(SetClock):
    """A clock that stands still, and how often it was looked at."""

    looks = 0

    def monotonic_s(self) -> float:
        self.looks += 1
        return super().monotonic_s()


class CountedKind:
    """ingress-nginx, and how often a text was made for somebody."""

    def __init__(self) -> None:
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(INGRESS_NGINX, name)

    def site(self, target: Target, objects: Objects, spec: Model | None = None) -> Any:
        return CountedSite(INGRESS_NGINX.site(target, objects, spec), self)


class CountedSite:
    """What the writer asks to make a text."""

    def __init__(self, site: Any, counted: CountedKind) -> None:
        self._site = site
        self._counted = counted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)

    def publish(self, *args: Any, **keywords: Any) -> Any:
        self._counted.tries += 1
        return self._site.publish(*args, **keywords)


class Carried:
    """One ConfigMap, its writer, and as many objects as are named."""

    def __init__(self, *uids: str) -> None:
        self.clock = CountedClock()
        self.kind = CountedKind()
        self.written: list[Json] = []
        self.woken: list[frozenset[str]] = []
        """Who was woken together, in order."""
        self.manifest: Json = {
            "metadata": {"namespace": TARGET.namespace, "name": TARGET.name},
            "data": {},
        }
        self.memory = PublishedMemory()
        self.source: Source[tuple[Json, ...]] = Source("the ConfigMap", self._read, self.clock)
        cluster = cast("Cluster", self)
        self.writer = OriginWriter(
            Carrier(self.kind, TARGET, cluster, self.source),
            self.memory,
            self._notice,
            self.clock,
            self.woken.append,
        )
        self.uids = uids
        self.writer.busy = len(uids)
        self.writing, self.may_write = asyncio.Event(), asyncio.Event()
        self.may_write.set()

    async def _read(self) -> tuple[Json, ...]:
        return (self.manifest,)

    async def replace(self, _kind: Any, _key: Any, body: dict[str, Any]) -> dict[str, Any]:
        self.writing.set()
        await self.may_write.wait()
        self.written.append(body)
        self.manifest = body
        return body

    def _notice(self, published: Published, ours: bool, by: str) -> None:
        self.memory.notice(published, self.clock.now(), ours=ours, by=by)

    async def look(self) -> None:
        """Everybody looks, and every replica was seen to run what is there."""
        self.writing.clear()
        await self.source.look(within_s=0, patience_s=1)
        published = INGRESS_NGINX.site(
            TARGET, {INGRESS_NGINX.carrier(TARGET): (self.manifest,)}
        ).published
        self._notice(published, False, "")
        for uid in self.uids:
            self.memory.follow(uid)
        self.writer.seen_everywhere = published.revision or None

    async def next_turn(self) -> None:
        """Everybody looks when the next write may go out."""
        self.clock.pass_s(MOST_S)
        await self.look()

    async def publish(self, *claims: Claim) -> list[BaseException | None]:
        """All at the same moment; what became of each."""
        wanted = (self.writer.publish(one.uid, one, spec=SPEC, gone=frozenset()) for one in claims)
        return list(await asyncio.gather(*wanted, return_exceptions=True))

    @property
    def claims(self) -> dict[str, Claim]:
        """What the carrier says."""
        return self.memory.published.claims


def of(uid: str, claim: Claim, zone: str = "") -> Claim:
    zone = zone or f"{uid}.example"
    hosts = (zone, f"www.{zone}")
    return replace(
        claim,
        uid=uid,
        owner=f"edge/{uid}",
        zone=zone,
        patterns=hosts,
        enforced=hosts if claim.mode >= Mode.OPTIONAL else (),
    )


@pytest.mark.asyncio
async def test_what_several_want_at_the_same_moment_goes_out_in_one_write() -> None:
    carried = Carried("a", "b", "c")
    await carried.look()
    wanted = [of(uid, ASKING) for uid in "abc"]
    assert await carried.publish(*wanted) == [None] * 3
    assert len(carried.written) == 1
    assert carried.claims == {one.uid: one for one in wanted}


@pytest.mark.asyncio
async def test_who_is_alone_waits_for_nobody() -> None:
    carried = Carried("a")
    await carried.look()
    await carried.publish(of("a", ASKING))
    await carried.look()
    assert carried.writer.next_at() is None


@pytest.mark.asyncio
async def test_who_changes_alone_waits_for_nobody_however_many_are_at_rest_there() -> None:
    carried = Carried(*(f"z{n}" for n in range(50)))
    carried.writer.busy = 1
    await carried.look()
    await carried.publish(of("z7", ASKING))
    carried.writer.seen_everywhere = None
    assert carried.writer.next_at() is None


@pytest.mark.asyncio
async def test_the_next_write_waits_until_the_last_is_seen_everywhere_and_not_for_ever() -> None:
    carried = Carried("a", "b")
    await carried.look()
    await carried.publish(of("a", ASKING))
    carried.writer.seen_everywhere = None
    written_at = carried.clock.now()
    waits = carried.writer.next_at()
    assert waits is not None
    assert (waits - written_at).total_seconds() == SYNC_S
    await carried.look()
    soon = carried.writer.next_at()
    assert soon is not None
    assert (soon - written_at).total_seconds() < MOST_S
    carried.clock.pass_s(MOST_S)
    assert carried.writer.next_at() is None


@pytest.mark.asyncio
async def test_the_next_write_waits_until_all_were_shown_what_the_last_does_to_their_hosts() -> (
    None
):
    """With many hosts that takes longer than the reload; a write each few seconds would hold it up for ever."""
    carried = Carried("a", "b")
    await carried.look()
    await carried.publish(of("a", ASKING))
    await carried.look()
    carried.writer.unseen = True
    carried.clock.pass_s(MOST_S)
    assert carried.writer.next_at() is not None
    carried.writer.unseen = False
    assert carried.writer.next_at() is None
    carried.writer.unseen = True
    carried.clock.pass_s(SHOWN_S - MOST_S)
    assert carried.writer.next_at() is None, "who is never shown anything holds nobody up for long"


@pytest.mark.asyncio
async def test_a_write_waits_for_all_who_were_woken_for_it_to_look() -> None:
    """However slow the machine is: else whoever looks late waits for a write of its own."""
    carried = Carried("a", "b", "c")
    await carried.look()
    for uid in carried.uids:
        carried.writer.turns.wait(uid)
    assert carried.woken == [frozenset({"a"}), frozenset({"b"}), frozenset({"c"})]
    first = asyncio.create_task(carried.publish(of("a", ASKING)))
    looks = carried.clock.looks
    await eventually(lambda: carried.clock.looks >= looks + 4)
    assert not carried.written, "it has looked around again and again"
    carried.writer.turns.has_looked("c")
    assert await carried.publish(of("b", ASKING)) == [None]
    assert await first == [None]
    assert len(carried.written) == 1
    assert carried.claims.keys() == {"a", "b"}


@pytest.mark.asyncio
async def test_what_protects_goes_at_once_and_takes_along_what_has_gathered() -> None:
    carried = Carried("a", "b")
    await carried.look()
    await carried.publish(of("a", REQUIRING), of("b", OFF))
    await carried.next_turn()
    carried.written.clear()
    gathering = asyncio.create_task(carried.publish(of("b", ASKING)))
    await asyncio.sleep(0)
    assert await carried.publish(of("a", ASKING)) == [None]
    assert carried.writer._gathering is not None
    assert await gathering == [None]
    assert len(carried.written) == 1
    assert {uid: one.mode for uid, one in carried.claims.items()} == {
        "a": Mode.REQUEST,
        "b": Mode.REQUEST,
    }


@pytest.mark.asyncio
async def test_who_has_decided_before_a_write_and_comes_after_it_waits_for_the_next_turn() -> None:
    """Else each write of hundreds was followed by another one within seconds, as was seen of a thousand."""
    carried = Carried("a", "b")
    await carried.look()
    assert await carried.publish(of("a", ASKING)) == [None]
    (late,) = await carried.publish(of("b", ASKING))
    assert isinstance(late, Conflict)
    assert len(carried.written) == 1
    await carried.next_turn()
    assert await carried.publish(of("b", ASKING)) == [None]


@pytest.mark.asyncio
async def test_who_comes_while_others_are_written_looks_again_unless_it_protects() -> None:
    carried = Carried("a", "b", "c")
    await carried.look()
    await carried.publish(of("c", REQUIRING))
    await carried.next_turn()
    carried.written.clear()
    carried.may_write.clear()
    first = asyncio.create_task(carried.publish(of("a", ASKING)))
    await carried.writing.wait()
    late = asyncio.create_task(carried.publish(of("b", ASKING)))
    protecting = asyncio.create_task(carried.publish(of("c", ASKING)))
    await asyncio.sleep(0)
    carried.may_write.set()
    assert await first == [None]
    assert isinstance((await late)[0], Conflict)
    assert await protecting == [None]
    assert len(carried.written) == 2
    assert carried.claims.keys() == {"a", "c"}


@pytest.mark.asyncio
async def test_what_a_neighbour_decided_on_may_have_changed_and_costs_the_others_nothing() -> None:
    carried = Carried("a", "b")
    await carried.look()
    followed = carried.memory.of("b")
    assert followed is not None
    followed.decided_on = ("something else",)
    ours, theirs = await carried.publish(of("a", ASKING), of("b", ASKING))
    assert ours is None
    assert isinstance(theirs, Conflict)
    assert list(carried.claims) == ["a"]


@pytest.mark.asyncio
async def test_what_cannot_be_written_is_left_out_and_says_so() -> None:
    """Nobody may claim more beside text that our lines must not be combined with; whoever relaxes may."""
    carried = Carried("a", "b")
    await carried.look()
    await carried.publish(of("a", REQUIRING))
    body = {**carried.manifest, "data": {**carried.manifest["data"]}}
    body["data"]["ssl-session-tickets"] = "true"
    body["data"]["ssl-session-ticket-key"] = "somebodys"
    carried.manifest = body
    await carried.next_turn()
    ours, theirs = await carried.publish(of("b", ASKING), of("a", ASKING))
    assert isinstance(ours, Blocked)
    assert ours.reason is Reason.FOREIGN_CONFIGURATION
    assert theirs is None
    assert carried.claims["a"].mode is Mode.REQUEST


@pytest.mark.asyncio
async def test_of_a_joint_write_that_is_rejected_each_is_tried_alone() -> None:
    carried = Carried("a", "b", "c")
    await carried.look()
    wanted = [of(uid, ASKING) for uid in "abc"]
    await carried.publish(*wanted)
    assert carried.writer.went_out_with_others("a")
    carried.writer.try_each_alone()
    await carried.next_turn()
    await carried.publish(*(of(uid, OFF) for uid in "abc"))
    await carried.next_turn()
    carried.written.clear()
    ends = await carried.publish(*wanted)
    assert [type(one).__name__ for one in ends].count("NoneType") == 1
    assert len(carried.written) == 1
    (alone,) = (uid for uid, one in carried.claims.items() if one.mode is Mode.REQUEST)
    assert not carried.writer.went_out_with_others(alone)
    for times in (2, 3):
        await carried.next_turn()
        await carried.publish(*(one for one in wanted if carried.claims[one.uid] != one))
        assert len(carried.written) == times
    assert carried.claims == {one.uid: one for one in wanted}


@pytest.mark.asyncio
async def test_whoever_is_cancelled_while_it_waits_is_not_written() -> None:
    carried = Carried("a", "b")
    await carried.look()
    leaving = asyncio.create_task(carried.publish(of("b", ASKING)))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await carried.publish(of("a", ASKING)) == [None]
    assert list(carried.claims) == ["a"]


@pytest.mark.asyncio
async def test_whoever_leaves_in_the_middle_of_a_write_ends_no_neighbours_visit() -> None:
    """An object is deleted, and its visit cancelled, while what it protects takes a neighbour's change along."""
    carried = Carried("a", "b")
    await carried.look()
    await carried.publish(of("a", REQUIRING), of("b", OFF))
    await carried.next_turn()
    carried.may_write.clear()
    neighbour = asyncio.create_task(carried.publish(of("b", ASKING)))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(carried.publish(of("a", ASKING)))
    await carried.writing.wait()
    leaving.cancel()
    carried.may_write.set()
    assert await neighbour == [None]
    assert carried.claims["b"].mode is Mode.REQUEST


@pytest.mark.asyncio
async def test_a_claim_that_no_text_can_hold_keeps_no_neighbours_back() -> None:
    carried = Carried("a", "b")
    await carried.look()
    hostile = replace(of("b", ASKING), patterns=("example.com; return 200",))
    ours, theirs = await carried.publish(of("a", ASKING), hostile)
    assert ours is None
    assert isinstance(theirs, ValueError)
    assert list(carried.claims) == ["a"]


@pytest.mark.asyncio
async def test_of_many_that_go_out_together_a_few_that_no_text_can_hold_cost_few_tries() -> None:
    """Each try goes through all claims: among hundreds, one after the other would hold up everybody for minutes."""
    uids = [f"z{n:02}" for n in range(64)]
    carried = Carried(*uids)
    await carried.look()
    hostile = dict.fromkeys(("z07", "z40"), ("example.com; return 200",))
    wanted = [of(uid, ASKING) for uid in uids]
    wanted = [replace(one, patterns=hostile.get(one.uid, one.patterns)) for one in wanted]
    ends = dict(zip(uids, await carried.publish(*wanted), strict=True))
    assert {uid for uid, end in ends.items() if isinstance(end, ValueError)} == hostile.keys()
    assert carried.claims.keys() == set(uids) - hostile.keys()
    assert len(carried.written) == 1
    assert carried.kind.tries < 32


@pytest.mark.asyncio
async def test_what_could_not_be_written_is_not_tried_again_on_the_same_carrier() -> None:
    carried = Carried("a", "b")
    await carried.look()
    hostile = replace(of("b", ASKING), patterns=("example.com; return 200",))
    for _ in range(3):
        (end,) = await carried.publish(hostile)
        assert isinstance(end, ValueError)
    assert carried.kind.tries == 1
    assert await carried.publish(of("b", ASKING)) == [None], "another claim is another matter"
    await carried.look()
    tries = carried.kind.tries
    (end,) = await carried.publish(hostile)
    assert isinstance(end, ValueError)
    assert carried.kind.tries == tries + 1, "the carrier has changed"


@pytest.mark.asyncio
async def test_what_was_decided_on_a_damaged_text_is_decided_again_once_that_is_mended() -> None:
    """Which a neighbour's relaxation does that goes out before."""
    carried = Carried("a", "b", "c")
    await carried.look()
    await carried.publish(of("a", REQUIRING), of("c", ASKING))
    data = {key: text + text for key, text in carried.manifest["data"].items()}
    carried.manifest = {**carried.manifest, "data": data}
    await carried.look()
    hostile = replace(of("b", ASKING), patterns=("example.com; return 200",))
    ends = await carried.publish(hostile, of("c", REQUIRING), of("a", ASKING))
    assert [type(end) for end in ends] == [Conflict, Conflict, type(None)]
    assert carried.claims["c"].mode < Mode.REQUIRE


@pytest.mark.asyncio
async def test_what_protects_goes_before_what_cannot_be_written_beside_it() -> None:
    carried = Carried("a", "b", "c")
    await carried.look()
    await carried.publish(of("a", REQUIRING))
    await carried.next_turn()
    carried.written.clear()
    hostile = replace(of("b", ASKING), patterns=("example.com; return 200",))
    ends = await carried.publish(hostile, of("c", ASKING), of("a", ASKING))
    assert [type(end) for end in ends] == [ValueError, type(None), type(None)]
    first, second = (
        INGRESS_NGINX.site(TARGET, {INGRESS_NGINX.carrier(TARGET): (one,)}).published.claims
        for one in carried.written
    )
    assert first.keys() == {"a"}
    assert first["a"].mode is Mode.REQUEST
    assert second.keys() == {"a", "c"}


def test_the_pause_between_two_writes_grows_with_those_who_wait() -> None:
    def least_s(waiting: int) -> float:
        return pause_s(waiting, applied=True, unseen=False)

    assert least_s(2) < 1
    assert least_s(20) == least_s(100) == MOST_S
    assert least_s(200) > MOST_S
    assert 60 < least_s(1000) < 120
    for waiting in (2, 20, 100):
        assert pause_s(waiting, applied=False, unseen=False) == SYNC_S
        assert pause_s(waiting, applied=True, unseen=True) == SHOWN_S


@pytest.mark.asyncio
async def test_what_relaxes_a_damaged_text_waits_for_nobody() -> None:
    """It reads as if it refused nobody, and may refuse as before."""
    carried = Carried("a", "b")
    await carried.look()
    await carried.publish(of("a", REQUIRING), of("b", OFF))
    data = {key: text + text for key, text in carried.manifest["data"].items()}
    carried.manifest = {**carried.manifest, "data": data}
    await carried.look()
    gathered_before = carried.writer._gathering
    assert await carried.publish(of("a", ASKING)) == [None]
    assert carried.writer._gathering is gathered_before
