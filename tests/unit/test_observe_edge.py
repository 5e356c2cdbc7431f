"""What one answer through the edge is: an arrival, if it was made for this very request; silence, if it could be anybody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar, cast

import pytest
import pytest_asyncio

from aop.clock import Clock
from aop.observe.edge import AskedOrigin, EdgeReader
from aop.observe.memory import Memory
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Evidence,
    Limits,
    ObservedOrigin,
    Unknown,
)
from aop.probe import Answer, AskedEdge, EdgeProbe, Failure, FailureKind
from aop.terms import Claim, Mode
from builders import APEX, HOSTS, LEAF, NEXT, NOW, WWW, asked_at, claim, evidence, origin
from clocks import SetClock, eventually

NONCE = "n0nce"
WINDOW = timedelta(seconds=180)
CADENCE_S = 10.0


def line(
    presented: str = LEAF.short, *, https: str = "on", conn: str = "1.", nonce: str = NONCE
) -> str:
    return f"aop rev=7 zone=zabcd presented={presented} https={https} conn={conn} nonce={nonce}\n"


def answer(body: str | None = None, status: int = 200, cf_ray: str | None = "8f0a-FRA") -> Answer:
    return Answer(status, line() if body is None else body, cf_ray=cf_ray)


class ScriptedEdge:
    """Gives each host the answer that stands in `says`, and notes who was asked for what."""

    def __init__(self, default: Answer | Failure | None = None) -> None:
        self.default = default or answer()
        self.says: dict[str, Answer | Failure] = {}
        self.asked: list[tuple[str, str]] = []
        self.hanging: dict[str, asyncio.Event] = {}
        self.bug: Exception | None = None

    async def ask(self, host: str, path: str) -> AskedEdge:
        self.asked.append((host, path))
        if host in self.hanging:
            await self.hanging[host].wait()
        if self.bug:
            raise self.bug
        return AskedEdge(host, NONCE, self.says.get(host, self.default))


class EdgeReading:
    """A reader over a stand-in of the edge."""

    def __init__(
        self,
        default: Answer | Failure | None = None,
        published: Claim | None = None,
        *,
        per_second: float = 1000.0,
    ) -> None:
        self.edge, self.clock, self.memory = ScriptedEdge(default), SetClock(), Memory()
        self.origins: tuple[AskedOrigin, ...] = (
            asked_at(origin(published or claim(pins=(LEAF, NEXT))), "/check"),
        )
        self._reader = EdgeReader(cast("EdgeProbe", self.edge), CADENCE_S, per_second, self.clock)

    async def read(
        self, after_s: float = 0, window: timedelta = WINDOW, *, within_s: float = 60.0
    ) -> dict[str, Evidence]:
        """One look, which waits for answers so long (in real seconds; nothing here takes any)."""
        self.clock.pass_s(after_s)
        self.edge.asked.clear()
        by_host = await self._reader.read(
            self.origins, window, self.memory, until_s=self.clock.monotonic_s() + within_s
        )
        return {one.host: one for one in by_host}


async def seen(given: Answer | Failure) -> Evidence:
    return (await EdgeReading(given).read())[APEX]


# --- arrivals ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("given", "presented"),
    [
        (answer(), LEAF.sha256),
        (answer(line(NEXT.short)), NEXT.sha256),
        (answer(line(NONE)), NONE),
        (answer(line(OTHER)), OTHER),
        (answer(line("0123abcd")), OTHER),
        (answer(line(https="")), NONE),
        (answer("<center>The SSL certificate error</center>", 400), REFUSED),
        (answer("<center>No required SSL certificate was sent</center>", 400), REFUSED),
        (answer("misdirected", 421), REFUSED),
    ],
    ids=[
        "ours",
        "next",
        "none",
        "other",
        "pinned for another zone",
        "in plain text",
        "nginx's 400",
        "its other 400",
        "421",
    ],
)
async def test_what_a_request_came_with(given: Answer, presented: str) -> None:
    arrivals = await seen(given)
    assert (arrivals.presented, arrivals.count, arrivals.since, arrivals.silence) == (
        presented,
        1,
        NOW,
        None,
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "given",
    [
        answer(line(nonce="another")),
        answer(line(nonce="")),
        answer(line() + "<html>"),
        answer(status=404),
        answer("", 403),
        answer("The SSL certificate error", 403),
        answer("Bad Request", 400),
        answer("<h1>Invalid SSL certificate</h1>", 526),
        answer("error code: 520", 520),
        answer("slow down", 429),
        Failure(FailureKind.TIMEOUT, "no answer within 5 s"),
        Failure(FailureKind.TLS, "certificate verify failed"),
    ],
)
async def test_anything_else_is_silence(given: Answer | Failure) -> None:
    """Cached, made up, challenged, broken: whoever disturbs the edge could send it, so it proves nothing and relaxes nothing."""
    evidence = await seen(given)
    assert (evidence.presented, evidence.count, evidence.last, evidence.silent_since) == (
        None,
        0,
        None,
        NOW,
    )
    assert evidence.silence


@pytest.mark.asyncio
async def test_silence_carries_status_and_cf_ray() -> None:
    assert (
        await seen(answer("", 403))
    ).silence == "HTTP 403 instead of the check path's answer, cf-ray 8f0a-FRA"
    assert (
        await seen(answer("", 403, None))
    ).silence == "HTTP 403 instead of the check path's answer"


@pytest.mark.asyncio
async def test_an_answer_past_the_edge_is_told_as_such() -> None:
    assert (await seen(answer(cf_ray=None))).direct
    assert not (await seen(answer())).direct


@pytest.mark.asyncio
@pytest.mark.parametrize(("conn", "fresh"), [("1.", True), ("2.", False), ("1r", False)])
async def test_a_new_handshake_is_told_from_an_old_session(conn: str, fresh: bool) -> None:
    arrivals = await seen(answer(line(conn=conn)))
    assert arrivals.recent[-1].fresh is fresh
    assert (arrivals.fresh is not None) is fresh


@pytest.mark.asyncio
async def test_without_a_readable_claim_no_leaf_is_recognised() -> None:
    reading = EdgeReading()
    reading.origins = (asked_at(origin(configured=None), "/check"),)
    assert (await reading.read())[APEX].presented == OTHER


# --- whose turn it is ----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_every_host_is_asked_on_its_origins_path_once_per_cadence() -> None:
    reading = EdgeReading()
    await reading.read()
    assert reading.edge.asked == [(host, "/check") for host in HOSTS]
    await reading.read(after_s=9.9)
    assert reading.edge.asked == []
    by_host = await reading.read(after_s=0.1)
    assert len(reading.edge.asked) == len(HOSTS)
    assert by_host[APEX].count == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("bad", [answer(line(NONE)), answer(line(OTHER)), answer("", 421)])
async def test_a_host_that_arrives_with_something_else_is_asked_twice_as_often(bad: Answer) -> None:
    """So that three losing answers span ten seconds, and a loss is met within fifteen."""
    reading = EdgeReading()
    reading.edge.says = {WWW: bad}
    await reading.read()
    await reading.read(after_s=5)
    assert reading.edge.asked == [(WWW, "/check")]


@pytest.mark.asyncio
async def test_silence_is_not_asked_more_often() -> None:
    """It cannot become a loss, and whoever rate-limits us is not to be provoked."""
    reading = EdgeReading(answer("", 429))
    await reading.read()
    await reading.read(after_s=5)
    assert reading.edge.asked == []


@pytest.mark.asyncio
@pytest.mark.parametrize(("window_s", "every_s"), [(10, 10 / 15), (150, 10), (86400, 10)])
async def test_a_short_window_is_asked_often_enough_to_be_filled(
    window_s: float, every_s: float
) -> None:
    reading = EdgeReading()
    window = timedelta(seconds=window_s)
    await reading.read(window=window)
    await reading.read(after_s=every_s - 0.01, window=window)
    assert reading.edge.asked == []
    await reading.read(after_s=0.01, window=window)
    assert len(reading.edge.asked) == len(HOSTS)


@pytest.mark.asyncio
async def test_a_host_out_of_scope_is_forgotten_and_a_new_one_asked_at_once() -> None:
    reading = EdgeReading()
    await reading.read()
    reading.origins = (asked_at(origin(hosts=(APEX, "new.example.com")), "/check"),)
    by_host: dict[str, Any] = await reading.read(after_s=1)
    assert reading.edge.asked == [("new.example.com", "/check")]
    assert set(by_host) == {APEX, "new.example.com"}


@pytest.mark.asyncio
async def test_of_two_origins_with_one_host_the_first_is_asked_about() -> None:
    reading = EdgeReading()
    reading.origins = (
        asked_at(origin(), "/first"),
        asked_at(origin(name="shop", hosts=(WWW, "b.example.com")), "/second"),
    )
    await reading.read()
    assert dict(reading.edge.asked) == {APEX: "/first", WWW: "/first", "b.example.com": "/second"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("published", "bad"),
    [
        (claim(Mode.REQUEST, ()), answer(line(NONE))),
        (claim(Mode.REQUEST, ()), answer(line(OTHER))),
        (claim(Mode.OPTIONAL), answer(line(NONE))),
        (claim(Mode.OFF, ()), answer("", 421)),
    ],
)
async def test_where_nobody_is_refused_for_it_nothing_is_suspicious(
    published: Claim, bad: Answer
) -> None:
    """Before the zone is enabled every host comes without a certificate: six hundred of them are not to be asked twice as often for that."""
    reading = EdgeReading(bad, published)
    await reading.read()
    await reading.read(after_s=5)
    assert reading.edge.asked == [] or published.mode is Mode.OFF


@pytest.mark.asyncio
async def test_a_host_is_suspicious_until_two_answers_are_right_again() -> None:
    reading = EdgeReading()
    reading.edge.says = {WWW: answer(line(NONE))}
    await reading.read()
    reading.edge.says = {}
    asked = []
    for _ in range(5):
        await reading.read(after_s=4.9)
        asked.append([host for host, _ in reading.edge.asked])
    assert [WWW in hosts for hosts in asked] == [True, True, False, False, True], (
        "twice at 4.9 s, then after 10 s"
    )


MANY = tuple(f"h{n:03}.example.com" for n in range(100))


def many(per_second: float) -> EdgeReading:
    reading = EdgeReading(per_second=per_second)
    reading.origins = (asked_at(origin(claim(pins=(LEAF,)), hosts=MANY), "/check"),)
    return reading


@pytest.mark.asyncio
async def test_more_hosts_than_the_budget_has_room_for_are_each_asked_less_often_and_some_at_any_time() -> (
    None
):
    """Else nobody would be asked for twenty seconds, in which the zone loses unseen."""
    reading, asked = many(5.0), []
    for _ in range(21):
        await reading.read(after_s=1)
        asked.append([host for host, _ in reading.edge.asked])
    assert {len(hosts) for hosts in asked} == {5}
    assert sorted(host for hosts in asked[:20] for host in hosts) == sorted(MANY)
    assert asked[20] == asked[0]


@pytest.mark.asyncio
async def test_whoever_has_few_hosts_is_asked_as_often_beside_whoever_has_many() -> None:
    reading, other, third = many(5.0), Memory(), Memory()
    await reading.read()
    for memory, hosts in ((other, (APEX,)), (third, MANY)):
        asked = (asked_at(origin(hosts=hosts), "/check"),)
        await reading._reader.read(asked, WINDOW, memory, until_s=reading.clock.monotonic_s() + 60)
    cadences = [reading._reader.cadence_s(memory) for memory in (reading.memory, other, third)]
    assert cadences == [pytest.approx(100 / 2.45), CADENCE_S, pytest.approx(100 / 2.45)]
    reading._reader.drop(third)
    assert reading._reader.cadence_s(reading.memory) == pytest.approx(100 / 4.9), (
        "an object that is gone takes nothing"
    )


@pytest.mark.asyncio
async def test_no_more_suspicious_hosts_than_the_budget_has_room_for_are_asked_more_often() -> None:
    reading = many(5.0)
    reading.origins = (asked_at(origin(claim(enforced=MANY), hosts=MANY), "/check"),)
    reading.edge.default = answer(line(NONE))
    for _ in range(20):
        await reading.read(after_s=1)
    assert len(reading.memory.suspects) == len(MANY)
    doubted_at = reading.memory.cloudflare.doubted_at
    assert doubted_at is not None
    assert reading.clock.now() - doubted_at > timedelta(seconds=10), "noted once, by the first"
    first = [*reading.memory.suspects][:24]
    asked: list[str] = []
    for _ in range(5):
        await reading.read(after_s=1)
        asked += [host for host, _ in reading.edge.asked]
    assert set(first) <= set(asked)
    assert len(asked) <= 2 * 5 * 5


@pytest.mark.asyncio
async def test_hosts_that_hang_hold_up_none_that_answers() -> None:
    """A hundred names that lead nowhere, beside one that loses."""
    reading = many(1000.0)
    reading.memory.evidence = {MANY[-1]: evidence(MANY[-1])}
    reading.edge.hanging = {host: asyncio.Event() for host in MANY[:-1]}
    by_host = await reading.read(within_s=0.05)
    assert by_host[MANY[-1]].last == reading.clock.now()
    for task in reading.memory.asking.values():
        task.cancel()


# --- between the looks -------------------------------------------------------------------------------------------------------------


class Begun(EdgeReading):
    """A reader that asks by itself, in real time, and whom it has woken."""

    made: ClassVar[list[Begun]] = []
    """Those of the test that runs."""

    def __init__(
        self, default: Answer | Failure | None = None, published: Claim | None = None
    ) -> None:
        super().__init__(default, published)
        self.clock = cast("Any", Clock())
        self._reader = EdgeReader(cast("EdgeProbe", self.edge), 0.02, 1000.0, self.clock)
        self.memory.uid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
        self.woken: list[str] = []
        self._reader.begin(self.woken.append)
        self.made.append(self)

    async def look(self) -> dict[str, Evidence]:
        by_host = await self._reader.read(
            self.origins, WINDOW, self.memory, until_s=self.clock.monotonic_s() + 60, proving=False
        )
        return {one.host: one for one in by_host}

    async def asked_again(self, times: int) -> None:
        """Each host, so many times."""
        asked = len(self.edge.asked)
        await eventually(lambda: len(self.edge.asked) >= asked + times * len(HOSTS))


@pytest_asyncio.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    """No test leaves a reader behind that begins to ask while its loop is closed."""
    yield
    for begun in Begun.made:
        begun._reader.drop(begun.memory)
        await asyncio.gather(*begun.memory.asking.values(), return_exceptions=True)
    Begun.made.clear()


@pytest.mark.asyncio
async def test_hosts_are_asked_between_the_looks_and_nobody_is_woken_by_what_only_goes_on() -> None:
    begun = Begun()
    first = await begun.look()
    begun.woken.clear()
    await begun.asked_again(5)
    assert begun.woken == []
    later = await begun.look()
    assert later[APEX].count >= first[APEX].count + 4


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "other",
    [answer(line(NONE)), answer(line(NEXT.short)), answer("", 403), answer(cf_ray=None)],
    ids=["nothing arrives", "another leaf", "silence", "bypassing the edge"],
)
async def test_an_answer_that_tells_something_new_wakes_its_object(other: Answer) -> None:
    begun = Begun()
    await begun.look()
    await begun.asked_again(2)
    begun.woken.clear()
    begun.edge.default = other
    await begun.asked_again(2)
    assert begun.woken
    assert set(begun.woken) == {begun.memory.uid}


@pytest.mark.asyncio
async def test_each_answer_of_a_host_that_loses_wakes_its_object() -> None:
    """A loss is so many answers in a row, and is acted on with the last of them."""
    begun = Begun(answer(line(NONE)))
    await begun.look()
    begun.woken.clear()
    await begun.asked_again(3)
    assert len(begun.woken) >= 3
    assert begun.memory.urgent, "and looks at once, whoever else waits for a look"


@pytest.mark.asyncio
async def test_a_proof_that_becomes_whole_wakes_its_object() -> None:
    begun, window = Begun(), timedelta(seconds=0.3)
    await begun._reader.read(
        begun.origins, window, begun.memory, until_s=begun.clock.monotonic_s() + 60
    )
    begun.woken.clear()
    await eventually(lambda: bool(begun.woken))
    whole = [one for one in begun.memory.evidence.values() if one.covered >= window]
    assert whole
    assert whole[0].count >= Limits().proof_answers


@pytest.mark.asyncio
async def test_whoever_is_gone_is_not_asked_for_any_more() -> None:
    begun = Begun()
    await begun.look()
    await begun.asked_again(2)
    begun._reader.drop(begun.memory)
    await asyncio.gather(*begun.memory.asking.values())
    begun.edge.asked.clear()
    other = Begun()
    await other.look()
    await other.asked_again(5)
    assert begun.edge.asked == []


# --- what fails or hangs -----------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_host_whose_edge_hangs_holds_up_no_look_and_its_answer_is_in_a_later_one() -> None:
    reading = EdgeReading()
    reading.edge.hanging[WWW] = asyncio.Event()
    by_host = await reading.read(within_s=0)
    while APEX not in by_host:
        await asyncio.sleep(0)
        by_host = await reading.read(within_s=0)
    assert WWW not in by_host
    await reading.read(after_s=20, within_s=0)
    assert WWW not in dict(reading.edge.asked), "it is being asked still"
    reading.edge.hanging.pop(WWW).set()
    await asyncio.gather(*reading.memory.asking.values())
    by_host = await reading.read(within_s=0)
    assert by_host[WWW].last == reading.clock.now()


@pytest.mark.asyncio
async def test_a_bug_is_a_silence_that_says_so_and_the_next_request_is_made() -> None:
    reading = EdgeReading()
    await reading.read()
    reading.edge.bug = ZeroDivisionError("a secret value")
    by_host = await reading.read(after_s=10)
    assert (by_host[APEX].silence, by_host[APEX].count) == (
        "ZeroDivisionError in the operator; its log has the traceback",
        1,
    )
    reading.edge.bug = None
    by_host = await reading.read(after_s=10)
    assert (by_host[APEX].silence, by_host[APEX].count) == (None, 2)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "other",
    [
        origin(configured=Unknown("HTTP 500"), hosts=()),
        origin(stale="cannot list ingresses: HTTP 403", hosts=(APEX,)),
    ],
    ids=["the ConfigMap cannot be read", "what is known is old"],
)
async def test_a_source_that_cannot_be_read_takes_no_evidence_away(other: ObservedOrigin) -> None:
    """One such failure a day made a proof of a whole day impossible."""
    reading = EdgeReading()
    await reading.read()
    reading.origins = (asked_at(other, None),)
    assert set(await reading.read(after_s=1)) == set(HOSTS)
    reading.origins = (asked_at(origin(hosts=(APEX,)), "/check"),)
    assert set(await reading.read(after_s=1)) == {APEX}, "it has really left"


@pytest.mark.asyncio
async def test_where_the_check_path_is_not_known_nobody_is_asked() -> None:
    reading = EdgeReading()
    reading.origins = (asked_at(origin(), None),)
    assert await reading.read() == {}
    assert reading.edge.asked == []


@pytest.mark.asyncio
async def test_before_it_is_published_only_those_are_asked_about_whom_it_concerns() -> None:
    reading = EdgeReading(answer("Not Found", status=404))
    reading.origins = (asked_at(origin(None), "/check", frozenset({WWW})),)
    assert set(await reading.read()) == {WWW}
    assert reading.edge.asked == [(WWW, "/check")]


@pytest.mark.asyncio
@pytest.mark.parametrize(("ray", "direct"), [(None, True), ("8f2-FRA", False)])
async def test_any_answer_tells_whether_a_host_meets_the_edge_where_nothing_has_arrived_yet(
    ray: str | None, direct: bool
) -> None:
    """A DNS-only host whose application answers on every path, as one with client certificates of its own does."""
    evidence = await seen(answer("Not Found", status=404, cf_ray=ray))
    assert evidence.direct is direct
    assert evidence.silence is not None


@pytest.mark.asyncio
async def test_an_answer_that_is_none_of_ours_ends_no_run() -> None:
    """A page that something in between gives in the edge's place says nothing of where the host's requests go."""
    reading = EdgeReading()
    await reading.read()
    reading.edge.default = answer("blocked", status=403, cf_ray=None)
    evidence = (await reading.read(after_s=30))[APEX]
    assert (evidence.direct, evidence.count, evidence.silence) == (
        False,
        1,
        "HTTP 403 instead of the check path's answer",
    )


# --- when a proof begins anew ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "published", [claim(Mode.OFF, ()), None], ids=["at Off", "without a claim"]
)
async def test_where_no_text_asks_a_proof_begins_anew_and_a_loss_is_not_forgotten(
    published: Claim | None,
) -> None:
    reading = EdgeReading()
    reading.edge.says = {WWW: answer(line(NONE))}
    await reading.read()
    reading.origins = (asked_at(origin(published), None),)
    by_host = await reading.read(after_s=1)
    assert (by_host[APEX].count, by_host[APEX].presented, len(by_host[APEX].recent)) == (0, None, 1)
    assert by_host[WWW].count == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "other",
    [
        origin(claim(Mode.OFF, ())),
        origin(configured=Unknown("HTTP 500")),
        origin(configured={"intact": False, "standing": claim()}),
    ],
    ids=["at Off, on another origin", "cannot be read", "damaged, and it may go on asking"],
)
async def test_where_some_text_may_ask_it_goes_on(other: ObservedOrigin) -> None:
    reading = EdgeReading()
    await reading.read()
    asking = (
        ()
        if isinstance(other.configured, Unknown) or other.configured.standing  # type: ignore[union-attr]  # none is None
        else reading.origins
    )
    reading.origins = (*asking, asked_at(other, None))
    assert (await reading.read(after_s=1))[APEX].count == 1
