"""What one answer through the edge is: an arrival, if it was made for this very request; silence, if it could be anybody's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from aop.observe.edge import AskedOrigin, EdgeReader
from aop.observe.memory import Memory
from aop.observed import NONE, OTHER, REFUSED, Evidence
from aop.origins import Claim
from aop.probe import Answer, AskedEdge, EdgeProbe, Failure, FailureKind
from builders import APEX, HOSTS, LEAF, NEXT, NOW, WWW, claim, origin
from clocks import SetClock

NONCE = "n0nce"
WINDOW = timedelta(seconds=180)
CADENCE_S = 10.0


def line(presented: str = LEAF.short, *, https: str = "on", conn: str = "1.", nonce: str = NONCE) -> str:
    return f"aop rev=7 zone=zabcd presented={presented} https={https} conn={conn} nonce={nonce}\n"


def answer(body: str | None = None, status: int = 200, cf_ray: str | None = "8f0a-FRA") -> Answer:
    return Answer(status, line() if body is None else body, cf_ray=cf_ray)


class Edge:
    """Gives each host the answer that stands in `says`, and notes who was asked for what."""

    def __init__(self, default: Answer | Failure | None = None) -> None:
        self.default = default or answer()
        self.says: dict[str, Answer | Failure] = {}
        self.asked: list[tuple[str, str]] = []

    async def ask(self, host: str, path: str) -> AskedEdge:
        self.asked.append((host, path))
        return AskedEdge(host, NONCE, self.says.get(host, self.default))


class Reading:
    """A reader over a stand-in of the edge."""

    def __init__(self, default: Answer | Failure | None = None, said: Claim | None = None) -> None:
        self.edge, self.clock, self.memory = Edge(default), SetClock(), Memory(NOW)
        self.origins: tuple[AskedOrigin, ...] = (AskedOrigin(origin(said or claim(pins=(LEAF, NEXT))), "/check"),)
        self._reader = EdgeReader(cast("EdgeProbe", self.edge), CADENCE_S, 1000.0, self.clock)

    async def read(self, after_s: float = 0, window: timedelta = WINDOW) -> dict[str, Evidence]:
        self.clock.pass_s(after_s)
        self.edge.asked.clear()
        found = await self._reader.read(self.origins, window, self.memory, until_s=self.clock.monotonic_s() + 2)
        return {one.host: one for one in found}


async def seen(given: Answer | Failure) -> Evidence:
    return (await Reading(given).read())[APEX]


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
    ids=["ours", "next", "none", "other", "pinned for another zone", "in plain text", "nginx's 400", "its other 400", "421"],
)
async def test_what_a_request_came_with(given: Answer, presented: str) -> None:
    found = await seen(given)
    assert (found.presented, found.count, found.since, found.silence) == (presented, 1, NOW, None)


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
    found = await seen(given)
    assert (found.presented, found.count, found.last, found.silent_since) == (None, 0, None, NOW)
    assert found.silence


@pytest.mark.asyncio
async def test_silence_carries_status_and_cf_ray() -> None:
    assert (await seen(answer("", 403))).silence == "HTTP 403 instead of the check path's answer, cf-ray 8f0a-FRA"
    assert (await seen(answer("", 403, None))).silence == "HTTP 403 instead of the check path's answer"


@pytest.mark.asyncio
async def test_an_answer_past_the_edge_is_told_as_such() -> None:
    assert (await seen(answer(cf_ray=None))).direct
    assert not (await seen(answer())).direct


@pytest.mark.asyncio
@pytest.mark.parametrize(("conn", "fresh"), [("1.", True), ("2.", False), ("1r", False)])
async def test_a_new_handshake_is_told_from_an_old_session(conn: str, fresh: bool) -> None:
    found = await seen(answer(line(conn=conn)))
    assert found.recent[-1].fresh is fresh
    assert (found.fresh is not None) is fresh


@pytest.mark.asyncio
async def test_without_a_readable_claim_no_leaf_is_recognised() -> None:
    reading = Reading()
    reading.origins = (AskedOrigin(origin(configured=None), "/check"),)
    assert (await reading.read())[APEX].presented == OTHER


# --- whose turn it is ----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_every_host_is_asked_on_its_origins_path_once_per_cadence() -> None:
    reading = Reading()
    await reading.read()
    assert reading.edge.asked == [(host, "/check") for host in HOSTS]
    await reading.read(after_s=9.9)
    assert reading.edge.asked == []
    found = await reading.read(after_s=0.1)
    assert len(reading.edge.asked) == len(HOSTS)
    assert found[APEX].count == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("bad", [answer(line(NONE)), answer(line(OTHER)), answer("", 421)])
async def test_a_host_that_arrives_with_something_else_is_asked_twice_as_often(bad: Answer) -> None:
    """So that three losing answers span ten seconds, and a loss is met within fifteen."""
    reading = Reading()
    reading.edge.says = {WWW: bad}
    await reading.read()
    await reading.read(after_s=5)
    assert reading.edge.asked == [(WWW, "/check")]


@pytest.mark.asyncio
async def test_silence_is_not_asked_more_often() -> None:
    """It cannot become a loss, and whoever rate-limits us is not to be provoked."""
    reading = Reading(answer("", 429))
    await reading.read()
    await reading.read(after_s=5)
    assert reading.edge.asked == []


@pytest.mark.asyncio
@pytest.mark.parametrize(("window_s", "every_s"), [(10, 10 / 15), (150, 10), (86400, 10)])
async def test_a_short_window_is_asked_often_enough_to_be_filled(window_s: float, every_s: float) -> None:
    reading = Reading()
    window = timedelta(seconds=window_s)
    await reading.read(window=window)
    await reading.read(after_s=every_s - 0.01, window=window)
    assert reading.edge.asked == []
    await reading.read(after_s=0.01, window=window)
    assert len(reading.edge.asked) == len(HOSTS)


@pytest.mark.asyncio
async def test_a_host_out_of_scope_is_forgotten_and_a_new_one_asked_at_once() -> None:
    reading = Reading()
    await reading.read()
    reading.origins = (AskedOrigin(origin(hosts=(APEX, "new.example.com")), "/check"),)
    found: dict[str, Any] = await reading.read(after_s=1)
    assert reading.edge.asked == [("new.example.com", "/check")]
    assert set(found) == {APEX, "new.example.com"}


@pytest.mark.asyncio
async def test_of_two_origins_with_one_host_the_first_is_asked_about() -> None:
    reading = Reading()
    reading.origins = (AskedOrigin(origin(), "/first"), AskedOrigin(origin(name="shop", hosts=(WWW, "b.example.com")), "/second"))
    await reading.read()
    assert dict(reading.edge.asked) == {APEX: "/first", WWW: "/first", "b.example.com": "/second"}
