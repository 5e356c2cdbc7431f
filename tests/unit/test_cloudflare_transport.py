"""Against a real server on loopback: what httpx really does when connections are refused, cut, slow or reused."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from aop.clock import Clock
from aop.cloudflare import Cloudflare, Unavailable
from aop.cloudflare.bodies import LARGEST_BODY
from aop.leading import Lead
from cloudflare_api import TOKEN, ZONE_ID, access
from sandbox.ports import free_port

EMPTY = b'{"success":true,"errors":[],"messages":[],"result":null}'
ENABLED = b'{"success":true,"errors":[],"messages":[],"result":{"enabled":true}}'

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


def answer(
    body: bytes, status: str = "200 OK", *, claim: int | None = None, packed: str = "identity"
) -> bytes:
    """An HTTP answer; `claim` lies about its length, `packed` is its content-encoding."""
    head = f"HTTP/1.1 {status}\r\ncf-ray: 8f1e-FRA\r\ncontent-type: application/json\r\ncontent-encoding: {packed}\r\n"
    return f"{head}content-length: {claim or len(body)}\r\n\r\n".encode() + body


@dataclass
class PlayedServer:
    """Speaks HTTP/1.1 by hand, one play per request; the last play stays."""

    plays: list[Play]
    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().splitlines()
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
                self.heads.append(head)
                await (self.plays.pop(0) if len(self.plays) > 1 else self.plays[0])(
                    reader, writer, head
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*plays: Play) -> AsyncIterator[PlayedServer]:
    server = PlayedServer(list(plays))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    server.url = f"http://{host}:{port}/client/v4"
    async with listener:
        yield server


@asynccontextmanager
async def asking(url: str, total_s: float = 5) -> AsyncIterator[Cloudflare]:
    async with Cloudflare(
        url, clock=Clock(), lead=Lead.alone(Clock()), total_s=total_s
    ) as cloudflare:
        yield cloudflare


def say(data: bytes) -> Play:
    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes) -> None:
        writer.write(data)
        await writer.drain()

    return play


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes) -> None:
    writer.close()
    raise ConnectionError


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: bytes) -> None:
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: bytes) -> None:
    """One byte at a time: no single read ever waits long."""
    while not reader.at_eof():
        writer.write(b"H")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_calls_reuse_one_connection_and_carry_the_token() -> None:
    async with serving(say(answer(EMPTY))) as server, asking(server.url) as cloudflare:
        for _ in range(3):
            assert await cloudflare.list_certificates(access(), ZONE_ID) == ()
    assert server.connections == 1
    assert all(
        f"authorization: bearer {TOKEN}".lower().encode() in head.lower() for head in server.heads
    )
    assert server.heads[0].startswith(
        f"GET /client/v4/zones/{ZONE_ID}/origin_tls_client_auth HTTP/1.1".encode()
    )


@pytest.mark.asyncio
async def test_a_read_survives_a_connection_that_the_server_closed() -> None:
    async with (
        serving(say(answer(EMPTY)), hang_up, say(answer(EMPTY))) as server,
        asking(server.url) as cloudflare,
    ):
        await cloudflare.list_certificates(access(), ZONE_ID)
        assert await cloudflare.list_certificates(access(), ZONE_ID) == ()
    assert len(server.heads) == 3


@pytest.mark.asyncio
async def test_a_mutation_on_a_connection_that_the_server_closes_is_sent_once_and_its_outcome_is_unknown() -> (
    None
):
    async with serving(hang_up) as server, asking(server.url) as cloudflare:
        with pytest.raises(Unavailable, match="does not know whether"):
            await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)
    assert len(server.heads) == 1


@pytest.mark.asyncio
async def test_nobody_listening_is_unavailable() -> None:
    async with asking(f"http://127.0.0.1:{free_port()}/client/v4") as cloudflare:
        with pytest.raises(Unavailable, match="cannot connect") as caught:
            await cloudflare.list_certificates(access(), ZONE_ID)
    assert caught.value.status is None


@pytest.mark.parametrize("play", [hang, drip], ids=["silent", "one byte at a time"])
@pytest.mark.asyncio
async def test_the_whole_request_has_one_time_limit(play: Play) -> None:
    async with serving(play) as server, asking(server.url, total_s=0.3) as cloudflare:
        async with asyncio.timeout(4):
            with pytest.raises(Unavailable, match="in time"):
                await cloudflare.list_certificates(access(), ZONE_ID)
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "data",
    [
        answer(EMPTY[:20]),
        answer(EMPTY[:20], claim=len(EMPTY)),
        answer(b""),
        answer(b"<html>no</html>", "502 Bad Gateway"),
        answer(b"", "520 Web Server Returned an Unknown Error"),
        answer(b"", "301 Moved Permanently"),
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
    ],
    ids=["truncated", "cut off", "empty", "html", "520", "redirect", "not HTTP", "not gzip"],
)
@pytest.mark.asyncio
async def test_whatever_is_not_an_answer_is_unavailable(data: bytes) -> None:
    async def say_and_close(
        _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes
    ) -> None:
        writer.write(data)
        await writer.drain()
        raise ConnectionError

    async with serving(say_and_close) as server, asking(server.url) as cloudflare:
        with pytest.raises(Unavailable):
            await cloudflare.list_certificates(access(), ZONE_ID)


def padded(size: int) -> bytes:
    """An answer of so many bytes that says the zone has no certificates."""
    body = EMPTY[:-1] + b',"padding":""}'
    return body[:-2] + b" " * (size - len(body)) + body[-2:]


@pytest.mark.parametrize("packed", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.asyncio
async def test_an_answer_may_come_packed(packed: str) -> None:
    async with (
        serving(say(answer(gzip.compress(EMPTY), packed=packed))) as server,
        asking(server.url) as cloudflare,
    ):
        assert await cloudflare.list_certificates(access(), ZONE_ID) == ()
    assert b"accept-encoding: gzip\r\n" in server.heads[0].lower()


@pytest.mark.parametrize("packed", ["br", "zstd", "deflate", "gzip, gzip", "?"])
@pytest.mark.asyncio
async def test_an_answer_that_comes_packed_otherwise_is_no_answer(packed: str) -> None:
    async with (
        serving(say(answer(EMPTY, packed=packed))) as server,
        asking(server.url) as cloudflare,
    ):
        with pytest.raises(Unavailable):
            await cloudflare.list_certificates(access(), ZONE_ID)


@pytest.mark.asyncio
async def test_as_much_is_read_as_anybody_needs() -> None:
    async with (
        serving(say(answer(padded(LARGEST_BODY)))) as server,
        asking(server.url) as cloudflare,
    ):
        assert await cloudflare.list_certificates(access(), ZONE_ID) == ()


def packed_spaces(mebibytes: int) -> bytes:
    packer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(mebibytes)) + packer.flush()


SPACES = packed_spaces(200)
BOMBS = {
    "one byte too many": answer(padded(LARGEST_BODY + 1)),
    "200 MiB in 199 KiB": answer(SPACES, packed="gzip"),
    "200 MiB that are claimed": answer(b" " * (4 << 20), claim=200 << 20),
    "gzip in gzip": answer(gzip.compress(SPACES), packed="gzip"),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.asyncio
async def test_no_answer_costs_more_memory_than_a_pod_has(bomb: bytes) -> None:
    async def say_and_close(
        _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes
    ) -> None:
        writer.write(bomb)
        with suppress(ConnectionError):
            await writer.drain()
        raise ConnectionError

    tracemalloc.start()
    try:
        async with serving(say_and_close) as server, asking(server.url) as cloudflare:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            with pytest.raises(Unavailable):
                await cloudflare.list_certificates(access(), ZONE_ID)
            grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert grown < 24 << 20, f"{grown >> 20} MiB"
    assert len(server.heads) <= 2


@pytest.mark.asyncio
async def test_the_densest_answer_that_is_read_fits_too() -> None:
    """What is small in JSON and large in Python."""
    dense = (
        b'{"success":true,"errors":[],"messages":[],"result":['
        + b"{}," * ((LARGEST_BODY - 100) // 3)
        + b"{}]}"
    )
    tracemalloc.start()
    try:
        async with (
            serving(say(answer(gzip.compress(dense), packed="gzip"))) as server,
            asking(server.url) as cloudflare,
        ):
            with pytest.raises(Unavailable, match="cannot be understood"):
                await cloudflare.list_certificates(access(), ZONE_ID)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 96 << 20, f"{peak >> 20} MiB"


@pytest.mark.asyncio
async def test_a_mutation_that_is_cancelled_lets_the_next_one_through() -> None:
    async with serving(hang, say(answer(ENABLED))) as server, asking(server.url) as cloudflare:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)
        assert (await cloudflare.set_enablement(access(), ZONE_ID, enabled=True)).enabled
    assert len(server.heads) == 2
