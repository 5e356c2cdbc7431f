"""The visitors miss nothing: a server that misbehaves in one way at a time is told apart from one that does not, request by request."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.ingress_nginx import backend, programs
from sandbox.load import Destination, Load, LoadPlan, LoadThread, Report
from sandbox.ports import free_port
from sandbox.waiting import until, until_async

HOST, OTHER = "www.example.com", "api.example.com"
AUTHORITY = Authority.new("Sites")
CLOSE, HANG, CUT = "close", "hang", "cut"
Answer = bytes | str
RIGHT: Mapping[str, Any] = MappingProxyType(
    {"rate_per_s": 100.0, "longest_s": 0.2, "timeout_s": 5.0}
)
SENT = 20
"""Requests of a plan with `RIGHT`."""


def http_answer(status: int, body: bytes, **headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} X",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def right(host: str, uri: str) -> bytes:
    return http_answer(200, backend.expected(host, uri))


class LoadServer:
    """Answers as `answer(host, uri, nth on this connection)` says: bytes, or one of CLOSE, HANG, CUT."""

    def __init__(self, answer: Callable[[str, str, int], Answer], *, delay_s: float = 0.0) -> None:
        self.answer, self.delay_s = answer, delay_s
        self.uris: list[str] = []
        self.posted: list[str] = []
        """Those that came with a body, which is read before the answer."""
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                nth = 0
                while await self._one(reader, writer, nth := nth + 1):
                    pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, nth: int
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        uri = head[0].split()[1]
        host = next(line.partition(": ")[2] for line in head if line.lower().startswith("host:"))
        self.uris.append(uri)
        if head[0].startswith("POST"):
            length = next(
                int(line.partition(": ")[2])
                for line in head
                if line.lower().startswith("content-length:")
            )
            assert uri.encode() in await reader.readexactly(length)
            self.posted.append(uri)
        await asyncio.sleep(self.delay_s)
        answer = self.answer(host, uri, nth)
        if answer == HANG:
            await reader.read()
        if isinstance(answer, bytes) or answer == CUT:
            writer.write(answer if isinstance(answer, bytes) else right(host, uri)[:-3])
            await writer.drain()
        return isinstance(answer, bytes)

    async def end(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sites") / "ca.pem"
    file.write_text(AUTHORITY.pem)
    return file


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    leaf = AUTHORITY.server([HOST, OTHER])
    file = tmp_path_factory.mktemp("server") / "server.pem"
    file.write_text(leaf.key_pem + leaf.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def running(server: LoadServer, tls: ssl.SSLContext) -> AsyncIterator[Destination]:
    """The server as a location, for https:// and http://."""
    secure = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    plain = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        ports = [one.sockets[0].getsockname()[1] for one in (secure, plain)]
        yield Destination("HERE", f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}")
    finally:
        secure.close()
        plain.close()
        await server.end()


async def visited(plan: LoadPlan, *, redirects_allowed: bool = False) -> Report:
    """The report of a load that ran to its own end."""
    async with Load(plan) as load:
        load.redirects_allowed = redirects_allowed
        await until_async(lambda: load.finished, within_s=20, describe="the load to end by itself")
        return await load.stop()


def plan_of(*locations: Destination, ca_file: Path, **more: Any) -> LoadPlan:
    return LoadPlan(
        **{
            "hosts": [HOST],
            "locations": locations,
            "expected": backend.expected,
            "ca_files": [ca_file],
            **RIGHT,
            **more,
        }
    )


@pytest.mark.asyncio
async def test_a_server_that_is_right_is_flawless_and_each_request_is_sent_once(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(lambda host, uri, _: right(host, uri))
    async with running(server, server_tls) as here:
        report = await visited(
            plan_of(here, ca_file=ca_file, hosts=[HOST, OTHER], http_rate_per_s=50.0)
        )
    assert report.flawless, str(report)
    assert (report.edge.ok, report.http.ok, report.total.requests) == (
        SENT,
        SENT // 2,
        SENT + SENT // 2,
    )
    assert len(server.uris) == len(set(server.uris)) == report.total.requests
    assert {tally.ok for route, tally in report.routes.items() if route.kind == "https"} == {
        SENT // 2
    }, "each host gets its share"


WRONG: dict[str, Callable[[str, str, int], Answer]] = {
    "400 of nginx to our certificate": lambda _h, _u, _n: http_answer(
        400, b"<h1>400 The SSL certificate error</h1>"
    ),
    "421 where another host was asked": lambda _h, _u, _n: http_answer(421, b"misdirected"),
    "520 of the edge": lambda _h, _u, _n: http_answer(520, b"origin error"),
    "the right status and another body": lambda _h, _u, _n: http_answer(200, b"hello"),
    "the right body and another status": lambda host, uri, _n: http_answer(
        203, backend.expected(host, uri)
    ),
    "the answer to another request": lambda host, _u, _n: right(host, "/visit/0"),
    "the answer of another host": lambda _h, uri, _n: right(OTHER, uri),
    "a body that breaks off": lambda _h, _u, _n: CUT,
    "a closed connection": lambda _h, _u, _n: CLOSE,
    "what is not HTTP": lambda _h, _u, _n: b"SSH-2.0-OpenSSH\r\n\r\n",
    "a redirect": lambda host, uri, _n: http_answer(308, b"", location=f"https://{host}{uri}"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
async def test_every_wrong_answer_is_counted(
    answer: Callable[[str, str, int], Answer], server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(answer)
    async with running(server, server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file), redirects_allowed=True)
    assert (report.edge.failed, report.edge.ok) == (SENT, 0), str(report)
    assert not report.flawless
    assert len(report.failures) == 20
    assert len(set(server.uris)) == len(server.uris), (
        "what failed on a fresh connection is not tried again"
    )


@pytest.mark.asyncio
async def test_one_wrong_answer_among_right_ones_is_found_and_named(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(
        lambda host, uri, _: (
            http_answer(502, b"bad gateway") if uri == "/visit/7" else right(host, uri)
        )
    )
    async with running(server, server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file))
    assert (report.edge.failed, report.edge.ok) == (1, SENT - 1)
    failure = report.failures[0]
    assert (failure.uri, failure.status, failure.what, failure.route.host) == (
        "/visit/7",
        502,
        "bad gateway",
        HOST,
    )
    assert "502: bad gateway" in str(report)


@pytest.mark.asyncio
async def test_no_answer_in_time_fails_and_holds_back_nobody_else(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(
        lambda host, uri, _: HANG if int(uri.rpartition("/")[2]) % 2 else right(host, uri)
    )
    async with running(server, server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file, timeout_s=1.0))
    assert (report.edge.failed, report.edge.ok) == (SENT // 2, SENT // 2), str(report)
    assert all(failure.status is None for failure in report.failures)


@pytest.mark.asyncio
async def test_slow_answers_do_not_slow_down_the_visitors(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """An open loop: all requests are on their way before the first is answered, each on a connection of its own."""
    server = LoadServer(lambda host, uri, _: right(host, uri), delay_s=1.5)
    async with running(server, server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file))
    assert report.flawless, str(report)
    assert (report.edge.ok, report.connections, report.busiest_connection) == (SENT, SENT, 1)


@pytest.mark.asyncio
async def test_a_kept_connection_that_is_closed_unanswered_is_tried_again_once_and_counted(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """RFC 9110, 9.2.2: what every browser does, so it is no failure; a test that allows none looks at the count."""
    server = LoadServer(lambda host, uri, nth: right(host, uri) if nth == 1 else CLOSE)
    async with running(server, server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file, rate_per_s=20.0, longest_s=0.5))
    assert report.flawless, str(report)
    assert report.retried > 0
    assert len(server.uris) == report.edge.ok + report.retried


@pytest.mark.asyncio
async def test_the_second_attempt_is_the_last(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    """Every other visit is closed unanswered; some of these are sent over a connection that another has kept."""
    server = LoadServer(
        lambda host, uri, _: CLOSE if int(uri.rpartition("/")[2]) % 2 == 0 else right(host, uri)
    )
    async with running(server, server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file, rate_per_s=20.0, longest_s=2.0))
    attempts = Counter(server.uris)
    closed = [count for uri, count in attempts.items() if int(uri.rpartition("/")[2]) % 2 == 0]
    assert report.edge.failed == len(closed), str(report)
    assert max(closed) == 2
    assert report.retried == attempts.total() - len(attempts)


@pytest.mark.asyncio
async def test_nobody_listening_and_a_server_that_cannot_be_trusted_are_failures(
    server_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_text(Authority.new("Stranger").pem)
    async with running(LoadServer(lambda host, uri, _: right(host, uri)), server_tls) as here:
        gone = Destination("GONE", f"127.0.0.1:{free_port()}")
        report = await visited(plan_of(here, gone, ca_file=stranger))
    assert {route.location: tally.failed for route, tally in report.routes.items()} == {
        "HERE": SENT // 2,
        "GONE": SENT // 2,
    }


@pytest.mark.asyncio
async def test_posts_come_in_addition_and_are_counted_apart(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(lambda host, uri, _: right(host, uri))
    async with running(server, server_tls) as here:
        report = await visited(
            plan_of(here, ca_file=ca_file, hosts=[HOST, OTHER], post_rate_per_s=50.0)
        )
    assert report.flawless, str(report)
    assert (report.edge.ok, report.post.ok, report.total.requests) == (
        SENT,
        SENT // 2,
        SENT + SENT // 2,
    )
    assert len(server.posted) == SENT // 2
    assert {tally.ok for route, tally in report.routes.items() if route.kind == "post"} == {
        SENT // 4
    }, "each host gets its share"


@pytest.mark.asyncio
async def test_a_post_on_a_kept_connection_that_is_closed_unanswered_is_lost_and_not_sent_again(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """RFC 9110, 9.2.2: nobody knows whether it was acted upon.

    The GETs beside it are tried once more.
    """
    server = LoadServer(lambda host, uri, nth: right(host, uri) if nth == 1 else CLOSE)
    async with running(server, server_tls) as here:
        report = await visited(
            plan_of(here, ca_file=ca_file, rate_per_s=20.0, post_rate_per_s=20.0, longest_s=0.5)
        )
    assert report.unfailing, str(report)
    assert not report.flawless
    assert report.post.lost > 0
    assert (report.post.failed, report.edge.failed, report.edge.lost) == (0, 0, 0)
    assert len(server.posted) == len(set(server.posted)) == report.post.requests
    assert len(report.losses) == report.post.lost
    assert report.failures == ()
    assert "lost on reused connections" in str(report)
    assert str(report.losses[0]) in str(report)


NOT_LOST: dict[str, Callable[[str, str, int], Answer]] = {
    "a closed connection that was fresh": lambda _h, _u, _n: CLOSE,
    "502": lambda _h, _u, _n: http_answer(502, b"bad gateway"),
    "a body that breaks off": lambda _h, _u, _n: CUT,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", NOT_LOST.values(), ids=NOT_LOST.keys())
async def test_a_post_that_fails_in_another_way_has_failed(
    answer: Callable[[str, str, int], Answer], server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with running(LoadServer(answer), server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file, post_rate_per_s=100.0))
    assert (report.post.failed, report.post.lost, report.edge.failed) == (SENT, 0, SENT), str(
        report
    )


@pytest.mark.asyncio
async def test_what_the_edge_could_not_repeat_is_lost_for_a_post_and_has_failed_for_a_get(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with running(
        LoadServer(lambda _h, _u, _n: http_answer(520, b"origin closed")), server_tls
    ) as here:
        report = await visited(plan_of(here, ca_file=ca_file, post_rate_per_s=100.0))
    assert (report.post.lost, report.post.failed, report.edge.failed, report.edge.lost) == (
        SENT,
        0,
        SENT,
        0,
    ), str(report)
    assert len(report.losses) == len(report.failures) == 20


def https(host: str, uri: str) -> str:
    return f"https://{host}{uri}"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("allowed", "status", "where", "ok"),
    [
        (True, 308, https, True),
        (False, 308, https, False),
        (True, 301, https, True),
        (True, 302, https, False),
        (True, 308, lambda _, uri: https(OTHER, uri), False),
    ],
    ids=["allowed", "not allowed", "in the older way", "not for good", "to another host"],
)
async def test_plaintext_may_be_redirected_only_when_told_so_and_only_to_itself(
    server_tls: ssl.SSLContext,
    ca_file: Path,
    *,
    allowed: bool,
    status: int,
    where: Callable[[str, str], str],
    ok: bool,
) -> None:
    async with running(
        LoadServer(lambda host, uri, _: http_answer(status, b"", location=where(host, uri))),
        server_tls,
    ) as here:
        report = await visited(
            plan_of(here, ca_file=ca_file, http_rate_per_s=100.0), redirects_allowed=allowed
        )
    assert (report.http.redirected, report.http.failed) == ((SENT, 0) if ok else (0, SENT)), str(
        report
    )
    assert report.edge.failed == SENT, "https:// never"


@pytest.mark.asyncio
async def test_a_redirect_is_forgiven_if_it_became_allowed_while_the_answer_was_on_its_way(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(
        lambda host, uri, _: http_answer(308, b"", location=https(host, uri)), delay_s=0.5
    )
    async with (
        running(server, server_tls) as here,
        Load(plan_of(here, ca_file=ca_file, http_rate_per_s=100.0)) as load,
    ):
        await until_async(
            lambda: len(server.uris) > 2, within_s=10, describe="requests to be on their way"
        )
        load.redirects_allowed = True
        report = await load.stop()
    assert report.http.failed == 0
    assert report.http.redirected > 0


@pytest.mark.asyncio
async def test_a_host_past_the_edge_is_counted_apart(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(
        lambda host, uri, _: (
            right(host, uri) if host == HOST else http_answer(400, b"no certificate")
        )
    )
    async with running(server, server_tls) as here:
        replica = replace(here, name="replica")
        report = await visited(plan_of(here, ca_file=ca_file, direct={OTHER: [replica]}))
    assert (report.edge.ok, report.edge.failed, report.direct.ok, report.direct.failed) == (
        SENT // 2,
        0,
        0,
        SENT // 2,
    )


@pytest.mark.asyncio
async def test_where_too_many_are_in_flight_no_more_are_sent_and_those_that_hang_fail(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    server = LoadServer(lambda _h, _u, _n: HANG)
    async with running(server, server_tls) as here:
        report = await visited(plan_of(here, ca_file=ca_file, most_in_flight=3, timeout_s=1.5))
    assert (report.edge.failed, report.unsent, report.flawless) == (3, SENT - 3, False)
    assert len(server.uris) == 3
    assert f"not sent, with too many in flight: {SENT - 3}" in str(report)


@pytest.mark.asyncio
async def test_a_route_that_was_never_asked_is_not_flawless(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with running(LoadServer(lambda host, uri, _: right(host, uri)), server_tls) as here:
        report = await visited(
            plan_of(here, ca_file=ca_file, hosts=[HOST, OTHER], rate_per_s=10.0, longest_s=0.1)
        )
    assert report.total == report.edge
    assert (report.total.ok, report.total.failed, report.flawless) == (1, 0, False)
    assert f"never asked: https: {OTHER}" in str(report)


@pytest.mark.asyncio
async def test_a_visitor_leaves_after_so_many_requests(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    async with running(LoadServer(lambda host, uri, _: right(host, uri)), server_tls) as here:
        report = await visited(
            plan_of(
                here, ca_file=ca_file, rate_per_s=50.0, longest_s=0.4, requests_per_connection=4
            )
        )
    assert report.flawless
    assert report.busiest_connection <= 4
    assert report.connections >= SENT // 4


@pytest.mark.asyncio
async def test_a_mistake_in_the_expectation_is_raised_and_not_counted(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    def unexpected(_host: str, _uri: str) -> bytes:
        raise LookupError

    async with running(LoadServer(lambda host, uri, _: right(host, uri)), server_tls) as here:
        with pytest.raises(LookupError):
            await visited(plan_of(here, ca_file=ca_file, expected=unexpected))


@pytest.mark.parametrize(
    "missing",
    [
        {"hosts": []},
        {"locations": []},
        {"http_rate_per_s": 1.0},
        {"hosts": [], "post_rate_per_s": 1.0},
    ],
    ids=",".join,
)
def test_a_plan_that_asks_nobody_is_refused(missing: dict[str, Any], ca_file: Path) -> None:
    plan = plan_of(Destination("HERE", "127.0.0.1:1"), ca_file=ca_file)
    with pytest.raises(ValueError, match="hosts and locations"):
        Load(replace(plan, **missing))


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudflareDouble]:
    """The double's edge in front of the sandbox's own application."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    application = backend.start(
        programs.find(), tmp_path_factory.mktemp("backend"), address, user=None, connections=256
    )
    try:
        with CloudflareDouble(
            tmp_path_factory.mktemp("cloudflare"), [("127.0.0.1", port, port)]
        ) as running_double:
            running_double.control.change_zone(ssl="flexible")
            yield running_double
    finally:
        application.kill()


def test_the_double_s_edge_is_visited_at_every_location_while_the_test_blocks(
    double: CloudflareDouble,
) -> None:
    heard: list[Report] = []
    plan = LoadPlan(
        hosts=[HOST, OTHER],
        locations=[Destination(one.code, one.https, one.http) for one in double.locations],
        expected=backend.expected,
        ca_files=[double.edge_ca_file],
        rate_per_s=120.0,
        http_rate_per_s=30.0,
        post_rate_per_s=30.0,
        longest_s=60.0,
    )
    with LoadThread(plan, on_progress=heard.append, progress_every_s=0.1) as load:
        until(
            lambda: load.report().edge.ok > 150 and load.report().busiest_connection >= 20,
            within_s=40,
            describe=lambda: f"visits, many of them on one connection; {load.report()}",
        )
        double.control.break_edge(location="AMS", host=HOST, answer=521, count=3)
        until(
            lambda: load.report().total.failed == 3,
            within_s=20,
            describe=lambda: f"three failures; {load.report()}",
        )
        report = load.stop()
    assert {
        (failure.route.location, failure.route.host, failure.status) for failure in report.failures
    } == {("AMS", HOST, 521)}
    assert (report.total.failed, report.total.lost) == (3, 0)
    assert len(report.routes) == 3 * 2 * len(double.locations)
    assert all(tally.ok for tally in report.routes.values())
    assert load.stop() is report is load.report(), "it stays what it was"
    assert len(heard) > 3
    assert [one.total.ok for one in heard] == sorted(one.total.ok for one in heard)
