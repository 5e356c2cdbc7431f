"""The gate before every change: it refuses what might end when somebody else leads, and what comes out of a long sleep."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio
from aiohttp import TraceConfig, web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration
from pydantic import SecretBytes

from aop.cloudflare import Cloudflare, Priority, Withheld
from aop.cluster import Cluster, ClusterError, Kind
from aop.cluster.client import SENDING, last_check
from aop.leading import CLOCKS_DIFFER_BY, LEAST_SHARE, Lead, NotLeading
from builders import TARGET
from clocks import SetClock
from cloudflare_api import CERTIFICATE_ID, ZONE_ID, access

LEASE_S = 15.0
SURELY_S = LEASE_S * (1 - CLOCKS_DIFFER_BY)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def lead(clock: SetClock) -> Lead:
    """Taken just now."""
    return Lead(clock, LEASE_S, clock.monotonic_s())


# --- how long -------------------------------------------------------------------------------------


def test_a_change_may_take_what_it_asks_for_and_never_longer_than_nobody_else_can_lead(
    lead: Lead, clock: SetClock
) -> None:
    with lead.change(10) as permit:
        assert permit.limit_s == 10
    clock.pass_s(6)
    with lead.change(10) as permit:
        assert permit.limit_s == pytest.approx(SURELY_S - 6)


def test_it_is_counted_from_when_the_renewal_was_sent(lead: Lead, clock: SetClock) -> None:
    clock.pass_s(5)
    sent_s = clock.monotonic_s()
    clock.pass_s(4)
    lead.renewed(sent_s)
    assert lead.left_s == pytest.approx(SURELY_S - 4)


def test_a_renewal_whose_answer_comes_late_takes_nothing_away(lead: Lead, clock: SetClock) -> None:
    sent_s = clock.monotonic_s()
    clock.pass_s(5)
    lead.renewed(clock.monotonic_s())
    lead.renewed(sent_s)
    assert lead.left_s == pytest.approx(SURELY_S)


def test_it_is_over_before_a_rival_may_take_the_lease_whose_clock_is_faster(
    lead: Lead, clock: SetClock
) -> None:
    """One in a hundred each way: the rival has waited for the whole Lease by its own clock."""
    clock.pass_s(LEASE_S / 1.01 * 0.99)
    assert lead.left_s == 0


def test_nothing_is_begun_when_little_is_left(lead: Lead, clock: SetClock) -> None:
    clock.pass_s(SURELY_S - LEASE_S * LEAST_SHARE - 0.001)
    with lead.change(10):
        pass
    clock.pass_s(0.002)
    with pytest.raises(NotLeading), lead.change(0.1):
        pytest.fail("it has begun")


def test_a_lead_that_has_ended_never_begins_again(lead: Lead, clock: SetClock) -> None:
    lead.end()
    lead.renewed(clock.monotonic_s())
    assert lead.left_s == 0
    assert lead.ended.is_set()
    with pytest.raises(NotLeading), lead.change(1):
        pytest.fail("it has begun")


def test_what_is_under_way_outlives_no_lead(lead: Lead, clock: SetClock) -> None:
    """SIGSTOP between a permit and the first byte: the clock has gone on."""
    with lead.change(10) as permit:
        clock.pass_s(9.9)
        permit.check()
        clock.pass_s(0.2)
        with pytest.raises(NotLeading):
            permit.check()


def test_when_another_has_the_lease_already_what_has_not_gone_out_stays(lead: Lead) -> None:
    """Somebody has taken it away by hand."""
    with lead.change(10) as permit:
        permit.check()
        lead.lose()
        with pytest.raises(NotLeading):
            permit.check()


@pytest.mark.asyncio
async def test_at_the_end_what_is_under_way_is_waited_for(lead: Lead) -> None:
    with lead.change(10), lead.change(10) as permit:
        settling = asyncio.create_task(lead.settle())
        await lead.ended.wait()
        assert not settling.done()
        permit.check()
    await settling


def test_alone_there_is_no_end_and_who_only_reads_changes_nothing(clock: SetClock) -> None:
    alone, none = Lead.alone(clock), Lead.none(clock)
    clock.pass_s(1e9)
    with alone.change(30) as permit:
        assert (permit.limit_s, alone.left_s) == (30, math.inf)
    with pytest.raises(NotLeading), none.change(30):
        pytest.fail("it has begun")


# --- in the two clients ---------------------------------------------------------------------------


class CountingApi:
    """Takes everything, and counts it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests.append((request.method, request.query.get("timeout", "")))
        return web.json_response({"metadata": {}, "items": [], "success": True, "result": None})


@pytest.fixture
def api() -> CountingApi:
    return CountingApi()


@pytest_asyncio.fixture
async def url(api: CountingApi) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def kubernetes(url: str, *more: TraceConfig) -> AsyncIterator[ApiClient]:
    """The official client as `connect` builds it."""
    client = ApiClient(Configuration(host=url, trace_configs=[last_check(), *more]))
    yield client
    await client.close()


Change = Callable[[Cluster], Awaitable[object]]
WRITES: dict[str, Change] = {
    "create": lambda it: it.create(Kind.EVENT, "edge", {"metadata": {"name": "x"}}),
    "replace": lambda it: it.replace(
        Kind.SECRET, TARGET.key, {"metadata": {"resourceVersion": "1"}}
    ),
    "merge": lambda it: it.merge(Kind.AUTHENTICATED_ORIGIN_PULL, TARGET.key, {}),
    "status": lambda it: it.merge(Kind.AUTHENTICATED_ORIGIN_PULL, TARGET.key, {}, "status"),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@pytest.mark.asyncio
@each_write
async def test_who_does_not_lead_reads_in_the_cluster_and_writes_nothing(
    write: Change, url: str, api: CountingApi, clock: SetClock
) -> None:
    async with kubernetes(url) as client:
        standby = Cluster(client, Lead.none(clock))
        await standby.list(Kind.SECRET)
        with pytest.raises(ClusterError, match="another process may lead"):
            await write(standby)
    assert api.requests == [("GET", "")]


@pytest.mark.asyncio
@each_write
async def test_the_api_server_too_gives_a_write_up_before_another_may_lead(
    write: Change, url: str, api: CountingApi, clock: SetClock, lead: Lead
) -> None:
    clock.pass_s(5)
    async with kubernetes(url) as client:
        await write(Cluster(client, lead))
    ((_, timeout),) = api.requests
    assert timeout == f"{int((SURELY_S - 5) * (1 - SENDING) * 1000)}ms"


@pytest.mark.asyncio
@pytest.mark.parametrize("moment", ["connection_create_end", "request_headers_sent"])
@each_write
async def test_a_write_that_was_held_back_before_its_first_byte_is_not_sent(
    write: Change, moment: str, url: str, api: CountingApi, clock: SetClock, lead: Lead
) -> None:
    """The process stands still for longer than the Lease when it has its permit already."""

    async def stand_still(*_: object) -> None:
        clock.pass_s(LEASE_S)

    asleep = TraceConfig()
    getattr(asleep, f"on_{moment}").append(stand_still)
    async with kubernetes(url, asleep) as client:
        with pytest.raises(ClusterError):
            await write(Cluster(client, lead))
    assert api.requests == []


CALLS: dict[str, Callable[[Cloudflare], Awaitable[object]]] = {
    "upload": lambda it: it.upload_certificate(access(), ZONE_ID, "leaf", SecretBytes(b"key")),
    "delete": lambda it: it.delete_certificate(access(), ZONE_ID, CERTIFICATE_ID),
    "enable": lambda it: it.set_enablement(access(), ZONE_ID, enabled=True),
    "disable": lambda it: it.set_enablement(access(Priority.PROTECT), ZONE_ID, enabled=False),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class HeldTransport(httpx.AsyncHTTPTransport):
    """The process stands still when it has its permit already, and no connection yet."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__()
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            self._clock.pass_s(LEASE_S)
        return await super().handle_async_request(request)


@pytest.mark.asyncio
@each_call
async def test_a_change_that_was_held_back_is_not_sent_to_cloudflare(
    call: Callable[[Cloudflare], Awaitable[object]],
    url: str,
    api: CountingApi,
    clock: SetClock,
    lead: Lead,
) -> None:
    async with Cloudflare(
        url, clock=clock, lead=lead, transport=HeldTransport(clock)
    ) as cloudflare:
        with pytest.raises(Withheld) as raised:
            await call(cloudflare)
    assert api.requests == []
    assert not raised.value.may_have_changed


@pytest.mark.asyncio
@each_call
async def test_who_does_not_lead_sends_nothing_to_cloudflare_and_remembers_no_refusal(
    call: Callable[[Cloudflare], Awaitable[object]], clock: SetClock, lead: Lead
) -> None:
    lead.end()
    async with Cloudflare("https://api.example", clock=clock, lead=lead) as cloudflare:
        for _ in range(2):
            with pytest.raises(Withheld, match="another process may lead") as raised:
                await call(cloudflare)
            assert raised.value.pause_s is None
