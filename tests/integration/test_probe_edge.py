"""Hosts are asked through the edge as a visitor would: verified, on a fresh connection, with a fresh nonce, wherever `connect_to` leads."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from aop.probe import Answer, AskedEdge, EdgeProbe, FailureKind
from aop.settings import ConnectTo
from narrowed import answered, failed
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.ports import free_port

HOST, OTHER = "www.example.com", "shop.example.com"
CHECK = "/.well-known/aop/check"

Respond = Callable[[web.Request], Awaitable[web.Response]]


@dataclass
class AnsweringLocation:
    """A location of the edge that answers with whatever `respond` says, and remembers who came."""

    ca_file: Path
    port: int = 0
    requests: list[str] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)
    resumed: int = 0

    def probe(self, *, timeout_s: float = 10) -> EdgeProbe:
        return EdgeProbe(
            timeout_s=timeout_s,
            connect_to=[ConnectTo(None, None, "127.0.0.1", self.port)],
            ca_file=self.ca_file,
        )


async def echo(request: web.Request) -> web.Response:
    headers = {"CF-RAY": "8f0c0ffee-TST", "Server": "cloudflare"}
    return web.Response(text=f"rev=3 presented=ours nonce={request.query['n']}\n", headers=headers)


Started = Callable[[Respond], AbstractAsyncContextManager[AnsweringLocation]]


@pytest.fixture
def edge(tmp_path: Path) -> Started:
    """Starts an edge whose certificate is valid for HOST, OTHER and localhost."""
    authority = ClusterAuthority("edge")
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.serve([HOST, OTHER, "localhost"]).write(tmp_path, "edge"))

    @asynccontextmanager
    async def start(respond: Respond) -> AsyncIterator[AnsweringLocation]:
        running = AnsweringLocation(ca_file)

        async def served(request: web.Request) -> web.Response:
            assert request.transport is not None
            running.requests.append(f"{request.host}{request.path_qs}")
            running.connections.add(request.transport.get_extra_info("peername")[1])
            running.resumed += request.transport.get_extra_info("ssl_object").session_reused
            return await respond(request)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", served)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        running.port = runner.addresses[0][1]
        try:
            yield running
        finally:
            await runner.cleanup()

    return start


def echoed(asked: AskedEdge) -> bool:
    """The body holds the nonce, so that it was made for this request and not taken from a cache or made up."""
    return isinstance(asked.answer, Answer) and asked.nonce in asked.answer.body


@pytest.mark.asyncio
async def test_an_answer_brings_back_the_nonce_and_the_ray(edge: Started) -> None:
    async with edge(echo) as running:
        asked = await running.probe().ask(HOST, CHECK)
    answer = answered(asked.answer)
    assert answer.body == f"rev=3 presented=ours nonce={asked.nonce}\n"
    assert (answer.status, answer.cf_ray) == (200, "8f0c0ffee-TST")
    assert running.requests == [f"{HOST}{CHECK}?n={asked.nonce}"]


@pytest.mark.asyncio
async def test_each_request_has_a_nonce_a_connection_and_a_full_handshake_of_its_own(
    edge: Started,
) -> None:
    async with edge(echo) as running:
        asking = running.probe()
        nonces = {(await asking.ask(HOST, CHECK)).nonce for _ in range(5)}
    assert len(nonces) == len(running.connections) == 5
    assert running.resumed == 0


@pytest.mark.asyncio
async def test_an_answer_from_a_cache_is_an_answer_that_echoes_nothing(edge: Started) -> None:
    async def stale(request: web.Request) -> web.Response:
        return web.Response(text="rev=3 presented=ours nonce=00000000000000000000000000000000\n")

    async with edge(stale) as running:
        asked = await running.probe().ask(HOST, CHECK)
    assert answered(asked.answer).status == 200
    assert not echoed(asked)


@pytest.mark.asyncio
async def test_a_redirect_is_told_and_not_followed(edge: Started) -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"https://{OTHER}/elsewhere")

    async with edge(redirect) as running:
        asked = await running.probe().ask(HOST, CHECK)
    assert (answered(asked.answer).status, answered(asked.answer).location) == (
        302,
        f"https://{OTHER}/elsewhere",
    )
    assert len(running.requests) == 1


@pytest.mark.asyncio
async def test_a_challenge_is_an_answer_that_says_so(edge: Started) -> None:
    async def challenge(request: web.Request) -> web.Response:
        return web.Response(
            status=403, text="<html>" + "x" * 100_000, headers={"cf-mitigated": "challenge"}
        )

    async with edge(challenge) as running:
        answer = answered((await running.probe().ask(HOST, CHECK)).answer)
    assert (answer.status, len(answer.body)) == (403, 4096)


@pytest.mark.asyncio
async def test_a_query_in_the_path_is_kept(edge: Started) -> None:
    async with edge(echo) as running:
        asked = await running.probe().ask(HOST, f"{CHECK}?a=b")
    assert running.requests == [f"{HOST}{CHECK}?a=b&n={asked.nonce}"]


# --- connect_to ----------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_first_mapping_that_matches_leads(edge: Started) -> None:
    async with edge(echo) as running, edge(echo) as elsewhere:
        mappings = [
            ConnectTo(OTHER, 443, "127.0.0.1", elsewhere.port),
            ConnectTo(None, 80, "127.0.0.1", free_port()),
            ConnectTo(None, None, "127.0.0.1", running.port),
        ]
        asking = EdgeProbe(timeout_s=10, connect_to=mappings, ca_file=running.ca_file)
        assert echoed(await asking.ask(HOST, CHECK))
        assert echoed(await asking.ask(OTHER, CHECK))
    assert [request.partition("/")[0] for request in running.requests] == [HOST]
    assert [request.partition("/")[0] for request in elsewhere.requests] == [OTHER]


@pytest.mark.asyncio
async def test_a_name_is_resolved_and_its_addresses_are_tried_in_turn(edge: Started) -> None:
    """`localhost` may be `::1` first, where nobody listens; also through a mapping that keeps the host."""
    async with edge(echo) as running:
        kept = EdgeProbe(
            timeout_s=10,
            connect_to=[ConnectTo("localhost", None, None, running.port)],
            ca_file=running.ca_file,
        )
        named = EdgeProbe(
            timeout_s=10,
            connect_to=[ConnectTo(None, None, "localhost", running.port)],
            ca_file=running.ca_file,
        )
        assert echoed(await kept.ask("localhost", CHECK))
        assert echoed(await named.ask(HOST, CHECK))


# --- failures ------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_certificate_of_an_unknown_authority_is_a_failure_and_nothing_is_asked(
    edge: Started,
) -> None:
    async with edge(echo) as running:
        systems_own = EdgeProbe(
            timeout_s=10, connect_to=[ConnectTo(None, None, "127.0.0.1", running.port)]
        )
        asked = await systems_own.ask(HOST, CHECK)
    assert failed(asked.answer).kind is FailureKind.TLS
    assert "does not verify" in failed(asked.answer).text
    assert not echoed(asked)
    assert running.requests == []


@pytest.mark.asyncio
async def test_a_certificate_for_another_name_is_a_failure_and_nothing_is_asked(
    edge: Started,
) -> None:
    async with edge(echo) as running:
        asked = await running.probe().ask("elsewhere.example.net", CHECK)
    assert failed(asked.answer).kind is FailureKind.TLS
    assert running.requests == []


@pytest.mark.asyncio
async def test_an_edge_that_does_not_answer_in_time_is_a_failure(edge: Started) -> None:
    enough = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await enough.wait()
        return await echo(request)

    async with edge(hang) as running:
        asked = await running.probe(timeout_s=0.5).ask(HOST, CHECK)
        enough.set()
    assert failed(asked.answer).kind is FailureKind.TIMEOUT
    assert f"127.0.0.1:{running.port} ({HOST}): waiting for the answer" in failed(asked.answer).text


@pytest.mark.asyncio
async def test_an_edge_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    asking = EdgeProbe(timeout_s=10, connect_to=[ConnectTo(None, None, "127.0.0.1", free_port())])
    assert failed((await asking.ask(HOST, CHECK)).answer).kind is FailureKind.REFUSED


@pytest.mark.asyncio
async def test_a_name_that_dns_cannot_carry_is_a_failure() -> None:
    asked = await EdgeProbe(timeout_s=10).ask(f"{'x' * 64}.example.com", CHECK)
    assert failed(asked.answer).kind is FailureKind.NAME


def test_a_ca_file_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    empty = tmp_path / "empty.crt"
    empty.touch()
    for file in (empty, tmp_path / "missing.crt"):
        with pytest.raises(OSError):
            EdgeProbe(timeout_s=10, ca_file=file)
