"""Replicas are asked with every certificate, over real TLS to a real nginx, and whatever goes wrong is told apart."""

import asyncio
import os
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from pydantic import SecretBytes

from aop.pki import Algorithm, KeyedLeaf, Recipe, create_authority, issue_leaf, throwaway
from aop.probe import (
    Asked,
    ClientIdentity,
    FailureKind,
    Paths,
    Presented,
    ReplicaAddress,
    ReplicaProbe,
)
from identities import identity_of
from narrowed import answered, failed
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.pinned_nginx import CHECK, GATE, PinnedNginx
from sandbox.ports import free_port
from sandbox.waiting import until_async

HOST = "www.example.com"
UNREQUIRED = "elsewhere.example.net"
PATHS = Paths(check=CHECK, gate=GATE)
NOW = datetime.now(UTC)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def issued(
    now: datetime = NOW,
    algorithm: Algorithm = Algorithm.ECDSA,
    size: int = 256,
    lifetime: timedelta = timedelta(days=2),
) -> KeyedLeaf:
    recipe = Recipe(
        "example.com", "uid", ("example.com",), algorithm, size, lifetime, timedelta(days=30)
    )
    return issue_leaf(recipe, create_authority(recipe, now), now)


OURS, NEXT = issued(), issued(algorithm=Algorithm.RSA, size=2048)
EXPIRED = issued(NOW - timedelta(days=5))
EARLY = issued(NOW + timedelta(days=5))
PINS = {
    leaf.leaf.pin.sha1: name
    for leaf, name in ((OURS, "ours"), (NEXT, "next"), (EXPIRED, "expired"), (EARLY, "early"))
}
IDENTITIES = {
    Presented.OURS: identity_of(OURS),
    Presented.NEXT: identity_of(NEXT),
    Presented.FOREIGN: identity_of(throwaway(NOW)),
}


@pytest.fixture(scope="module", params=["TLSv1.2", "TLSv1.3"])
def nginx(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PinnedNginx]:
    with PinnedNginx(
        tmp_path_factory.mktemp("nginx"), PINS, [HOST], protocols=request.param
    ) as running:
        yield running


def address(nginx: PinnedNginx) -> ReplicaAddress:
    return ReplicaAddress(nginx.address, nginx.https_port, nginx.http_port, nginx.proxy_protocol)


def probe(timeout_s: float = 10, **more: int) -> ReplicaProbe:
    return ReplicaProbe(timeout_s=timeout_s, **more)


@asynccontextmanager
async def scripted(
    serve: Serve, tls: ssl.SSLContext | None = None, ip: str = "127.0.0.1"
) -> AsyncIterator[ReplicaAddress]:
    """A server on a free loopback port that does with each connection what `serve` does; http and https port are the same."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(served, ip, 0, ssl=tls)
    port: int = server.sockets[0].getsockname()[1]
    try:
        yield ReplicaAddress(ip, port, port)
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        *ClusterAuthority("origin")
        .serve(["origin.example.com"])
        .write(tmp_path_factory.mktemp("tls"), "server")
    )
    return context


async def alone(replica: ReplicaAddress, *, timeout_s: float = 10) -> Asked:
    """What a replica answers to nobody's certificate."""
    (asked,) = await probe(timeout_s).ask(replica, HOST, PATHS, {})
    return asked


# --- what nginx answers --------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_required_host_serves_our_leaves_and_refuses_nobodys_and_a_strangers(
    nginx: PinnedNginx,
) -> None:
    asked = await probe().ask(address(nginx), HOST, PATHS, IDENTITIES)
    answers = [
        (one.presented.value, answered(one.check).body.split()[1], answered(one.gate).status)
        for one in asked
    ]
    assert answers == [
        ("none", "presented=none", 400),
        ("ours", "presented=ours", 204),
        ("next", "presented=next", 204),
        ("foreign", "presented=other", 400),
    ]
    assert {answered(one.check).status for one in asked} == {200}


@pytest.mark.asyncio
async def test_a_host_that_is_not_required_refuses_nobody(nginx: PinnedNginx) -> None:
    asked = await probe().ask(address(nginx), UNREQUIRED, PATHS, IDENTITIES)
    assert [answered(one.gate).status for one in asked] == [204] * 4


@pytest.mark.asyncio
async def test_sni_and_host_are_both_the_host_that_is_asked_for(nginx: PinnedNginx) -> None:
    asked = await alone(address(nginx))
    assert f"host={HOST} sni={HOST} " in answered(asked.check).body


@pytest.mark.asyncio
@pytest.mark.parametrize("leaf", [EXPIRED, EARLY], ids=["expired", "not-yet-valid"])
async def test_what_nginx_refuses_by_itself_is_refused_on_the_check_path_too_and_does_not_hide_the_gate(
    nginx: PinnedNginx, leaf: KeyedLeaf
) -> None:
    asked = await probe().ask(
        address(nginx), UNREQUIRED, PATHS, {Presented.OURS: identity_of(leaf)}
    )
    check, gate = answered(asked[1].check), answered(asked[1].gate)
    assert (check.status, gate.status) == (400, 400)
    assert "The SSL certificate error" in check.body
    assert "The SSL certificate error" in gate.body


@pytest.mark.asyncio
async def test_check_and_gate_share_a_connection_only_where_the_check_is_served(
    nginx: PinnedNginx,
) -> None:
    paths = Paths(check=f"{CHECK}?shared", gate=f"{GATE}?shared")

    def requests() -> list[tuple[str, int, str, int]]:
        return [request for request in nginx.asked() if request[2] in {paths.check, paths.gate}]

    await probe().ask(address(nginx), HOST, paths, {Presented.OURS: identity_of(EXPIRED)})
    await until_async(
        lambda: len(requests()) >= 4, within_s=10, describe="four requests in nginx's log"
    )
    served = next(connection for connection, _, _, status in requests() if status == 200)
    assert [(nth, uri) for connection, nth, uri, _ in requests() if connection == served] == [
        (1, paths.check),
        (2, paths.gate),
    ]
    assert len({connection for connection, _, _, _ in requests()}) == 3


@pytest.mark.asyncio
async def test_no_session_is_ever_resumed(nginx: PinnedNginx) -> None:
    """Nginx keeps a session cache and sends tickets, and the same TLS context is used again and again."""
    asking = probe()
    for _ in range(3):
        asked = await asking.ask(address(nginx), HOST, PATHS, IDENTITIES)
        assert [answered(one.check).body.split()[5] for one in asked] == ["session=."] * 4


@pytest.mark.asyncio
async def test_an_origin_that_does_not_ask_sees_no_certificate(tmp_path: Path) -> None:
    with PinnedNginx(tmp_path, PINS, verify="off") as nginx:
        asked = await probe().ask(address(nginx), HOST, PATHS, IDENTITIES)
    assert {answered(one.check).body.split()[1] for one in asked} == {"presented=none"}


@pytest.mark.asyncio
async def test_plaintext_answers_the_check_path_and_redirects_the_gate(nginx: PinnedNginx) -> None:
    check = answered(await probe().ask_plaintext(address(nginx), HOST, CHECK))
    assert (check.status, check.body.split()[:2]) == (200, ["rev=7", "presented=none"])
    gate = answered(await probe().ask_plaintext(address(nginx), HOST, GATE))
    assert (gate.status, gate.location) == (308, f"https://{HOST}{GATE}")


@pytest.mark.asyncio
async def test_https_spoken_to_the_plaintext_port_is_a_tls_failure_and_no_answer(
    nginx: PinnedNginx,
) -> None:
    swapped = ReplicaAddress(nginx.address, nginx.http_port, nginx.https_port)
    asked = await alone(swapped)
    assert failed(asked.check).kind is FailureKind.TLS
    assert failed(asked.gate).kind is FailureKind.TLS
    assert answered(await probe().ask_plaintext(swapped, HOST, CHECK)).status == 400


# --- the PROXY protocol --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PinnedNginx]:
    with PinnedNginx(
        tmp_path_factory.mktemp("proxied"), PINS, [HOST], proxy_protocol=True
    ) as running:
        yield running


@pytest.mark.asyncio
async def test_a_proxy_header_comes_before_tls_and_tells_the_truth(proxied: PinnedNginx) -> None:
    asked = await probe().ask(address(proxied), HOST, PATHS, IDENTITIES)
    assert [answered(one.gate).status for one in asked] == [400, 204, 204, 400]
    assert {answered(one.check).body.split()[6] for one in asked} == {
        f"proxy=127.0.0.1,{proxied.https_port}"
    }


@pytest.mark.asyncio
async def test_a_proxy_header_comes_before_plaintext_too(proxied: PinnedNginx) -> None:
    check = answered(await probe().ask_plaintext(address(proxied), HOST, CHECK))
    assert check.body.split()[6] == f"proxy=127.0.0.1,{proxied.http_port}"


@pytest.mark.asyncio
async def test_without_the_proxy_header_that_it_demands_a_replica_does_not_answer(
    proxied: PinnedNginx,
) -> None:
    asked = await alone(ReplicaAddress("127.0.0.1", proxied.https_port, proxied.http_port))
    assert failed(asked.check).kind is FailureKind.RESET
    assert "TLS handshake" in failed(asked.check).text


@pytest.mark.asyncio
async def test_an_ipv6_replica_is_asked_with_an_ipv6_proxy_header() -> None:
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(await reader.readline())

    try:
        async with scripted(note, ip="::1") as replica:
            await probe().ask_plaintext(replace(replica, proxy_protocol=True), HOST, CHECK)
    except OSError:
        pytest.skip("no IPv6 on loopback here")
    words = (await seen).split()
    assert words[:4] == [b"PROXY", b"TCP6", b"::1", b"::1"]
    assert words[5] == str(replica.http_port).encode()


# --- what goes wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_port_where_nobody_listens_is_refused() -> None:
    port = free_port()
    asked = await alone(ReplicaAddress("127.0.0.1", port, port))
    assert failed(asked.check).kind is FailureKind.REFUSED
    assert failed(asked.gate).kind is FailureKind.REFUSED
    assert f"127.0.0.1:{port} ({HOST}): connecting" in failed(asked.check).text


@pytest.mark.asyncio
async def test_a_server_that_never_speaks_times_out_in_the_handshake_and_costs_one_timeout_only() -> (
    None
):
    waiting = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.wait()

    async with scripted(silent) as replica:
        started = asyncio.get_running_loop().time()
        asked = await alone(replica, timeout_s=0.3)
        took_s = asyncio.get_running_loop().time() - started
        plain = await probe(0.3).ask_plaintext(replica, HOST, CHECK)
        waiting.set()
    assert failed(asked.check) == failed(asked.gate)
    assert failed(asked.check).kind is FailureKind.TIMEOUT
    assert "the TLS handshake: nothing within 0.3 s" in failed(asked.check).text
    assert 0.3 <= took_s < 3
    assert "waiting for the answer: nothing within 0.3 s" in failed(plain).text


@pytest.mark.asyncio
async def test_a_server_that_answers_drop_by_drop_times_out(server_tls: ssl.SSLContext) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with scripted(trickle, server_tls) as replica:
        asked = await alone(replica, timeout_s=0.5)
    assert failed(asked.check).kind is FailureKind.TIMEOUT


@pytest.mark.asyncio
async def test_a_connection_that_is_closed_at_once_is_a_reset() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with scripted(close) as replica:
        assert failed((await alone(replica)).check).kind is FailureKind.RESET
        assert failed(await probe().ask_plaintext(replica, HOST, CHECK)).kind is FailureKind.RESET


@pytest.mark.asyncio
async def test_a_connection_that_is_closed_after_the_handshake_is_a_reset_and_the_gate_is_asked_all_the_same(
    server_tls: ssl.SSLContext,
) -> None:
    paths: list[str] = []

    async def only_the_gate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        paths.append(request.split()[1].decode())
        if paths[-1] == GATE:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

    async with scripted(only_the_gate, server_tls) as replica:
        asked = await alone(replica)
    assert failed(asked.check).kind is FailureKind.RESET
    assert answered(asked.gate).status == 204
    assert paths == [CHECK, GATE]


@pytest.mark.asyncio
async def test_a_kept_connection_that_closes_under_the_gate_is_replaced_by_a_fresh_one(
    server_tls: ssl.SSLContext,
) -> None:
    """A reload closes idle connections; that must not look like a refusal of the gate."""
    connections = 0

    async def one_answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            if CHECK.encode() in request
            else b"HTTP/1.1 204 No Content\r\n\r\n"
        )
        await writer.drain()
        if CHECK.encode() in request:
            await reader.readuntil(b"\r\n\r\n")

    async with scripted(one_answer_each, server_tls) as replica:
        asked = await alone(replica)
    assert (answered(asked.check).status, answered(asked.gate).status, connections) == (200, 204, 2)


@pytest.mark.asyncio
async def test_garbage_instead_of_tls_is_a_tls_failure() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read(1000)

    async with scripted(shout) as replica:
        asked = await alone(replica)
    assert failed(asked.check).kind is FailureKind.TLS


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("spoken", "kind"),
    [
        (b"220 mail.example.com ESMTP\r\n", FailureKind.PROTOCOL),
        (b"\x15\x03\x01\x00\x02\x02\x46", FailureKind.PROTOCOL),
        (b"HTTP/1.1 abc\r\n\r\n", FailureKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", FailureKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-", FailureKind.RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", FailureKind.RESET),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", FailureKind.PROTOCOL),
    ],
    ids=[
        "a-banner",
        "an-alert",
        "a-bad-status-line",
        "an-endless-head",
        "half-a-head",
        "half-a-body",
        "a-bad-chunk",
    ],
)
async def test_what_is_not_a_whole_http_answer_is_a_failure(
    spoken: bytes, kind: FailureKind, server_tls: ssl.SSLContext
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(spoken)
        writer.write_eof() if writer.can_write_eof() else writer.close()
        await reader.read()

    for tls in (None, server_tls):
        async with scripted(speak, tls) as replica:
            answer = (
                (await alone(replica)).gate
                if tls
                else await probe().ask_plaintext(replica, HOST, CHECK)
            )
        assert failed(answer).kind is kind


@pytest.mark.asyncio
async def test_a_body_is_cut_at_4_kib_and_an_answer_without_length_ends_with_the_connection() -> (
    None
):
    async def much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\n\r\n"
            + (b"x" * 1_000_000 if b"/much" in request else b"\xff little")
        )
        await writer.drain()
        writer.write_eof()

    async with scripted(much) as replica:
        assert answered(await probe().ask_plaintext(replica, HOST, "/much")).body == "x" * 4096
        assert (
            answered(await probe().ask_plaintext(replica, HOST, "/little")).body == "\ufffd little"
        )


@pytest.mark.asyncio
async def test_informational_answers_are_passed_over() -> None:
    async def hint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\nServer: test\r\n\r\n"
        )
        await writer.drain()

    async with scripted(hint) as replica:
        answer = answered(await probe().ask_plaintext(replica, HOST, CHECK))
    assert answer.status == 204


class RefusingServer(threading.Thread):
    """Demands a client certificate in the handshake, as Go's servers and Envoy do.

    A thread, because asyncio drops the alert that it should send.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(daemon=True)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self._listener.close()

    def _serve(self, accepted: socket.socket) -> None:
        with (
            accepted,
            suppress(OSError),
            self._context.wrap_socket(accepted, server_side=True) as tls,
        ):
            while tls.recv(65536):
                tls.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.asyncio
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_refuses_in_the_handshake_gives_a_failure_and_never_an_answer(
    version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """With TLS 1.3 the alert comes after our side of the handshake is done, and can lose the race against our request."""
    authority = ClusterAuthority("clients")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        *ClusterAuthority("origin").serve(["origin.example.com"]).write(tmp_path, "server")
    )
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem.decode())
    trusted = authority.client("edge")
    identities = {
        Presented.OURS: ClientIdentity(trusted.certificate.decode(), SecretBytes(trusted.key)),
        Presented.FOREIGN: IDENTITIES[Presented.FOREIGN],
    }
    server = RefusingServer(context)
    server.start()
    try:
        nobody, ours, foreign = await probe().ask(
            ReplicaAddress("127.0.0.1", server.port), HOST, PATHS, identities
        )
    finally:
        server.stop()
    assert answered(ours.gate).status == 204
    expected = (
        {FailureKind.TLS}
        if version is ssl.TLSVersion.TLSv1_2
        else {FailureKind.TLS, FailureKind.RESET}
    )
    assert {
        failed(one).kind for one in (nobody.check, nobody.gate, foreign.check, foreign.gate)
    } <= expected


@pytest.mark.asyncio
async def test_a_host_that_no_handshake_can_carry_is_a_failure(nginx: PinnedNginx) -> None:
    """Kubernetes allows labels of more than 63 characters in an Ingress."""
    (asked,) = await probe().ask(address(nginx), f"{'x' * 64}.example.com", PATHS, {})
    assert failed(asked.check).kind is FailureKind.NAME


@pytest.mark.asyncio
async def test_an_origin_with_a_small_old_key_is_asked_all_the_same(tmp_path: Path) -> None:
    """Behind an edge nobody looks at the origin's own certificate for years; OpenSSL's default level refuses 1024 bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - its weakness is the point
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "origin")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
    )
    certificate = (
        builder.not_valid_before(NOW - timedelta(days=2))
        .not_valid_after(NOW - timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(pem)

    async def ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

    async with scripted(ok, context) as replica:
        assert answered((await alone(replica)).gate).status == 204


# --- order and bounds ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_at_most_so_many_connections_are_open_to_one_replica(
    server_tls: ssl.SSLContext,
) -> None:
    now_open = most = 0
    full = asyncio.Event()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now_open, most
        now_open += 1
        most = max(most, now_open)
        if now_open == 3:
            full.set()
        try:
            await full.wait()
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        finally:
            now_open -= 1

    async with scripted(count, server_tls) as replica:
        asking = probe(connections_per_replica=3)
        hosts = [f"h{number}.example.com" for number in range(8)]
        every = await asyncio.gather(
            *(asking.ask(replica, host, PATHS, IDENTITIES) for host in hosts)
        )
    assert {answered(one.gate).status for asked in every for one in asked} == {204}
    assert most == 3


@pytest.mark.asyncio
async def test_waiting_for_a_turn_is_not_counted_as_the_replicas_time() -> None:
    """The third has waited twice as long as one may take when its turn comes."""
    connections = 0

    async def silent_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if connections <= 2:
            await reader.read()  # until whoever asked has gone
            return
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with scripted(silent_twice) as replica:
        asking = probe(timeout_s=1.5, connections_per_replica=1)
        first, second, third = await asyncio.gather(
            *(asking.ask_plaintext(replica, HOST, CHECK) for _ in range(3))
        )
    assert [failed(each).kind for each in (first, second)] == [FailureKind.TIMEOUT] * 2
    assert answered(third).status == 204


@pytest.mark.asyncio
async def test_a_cancelled_question_leaves_no_socket_behind() -> None:
    hold, arrived = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        hold.set()

    async with scripted(silent) as replica:
        asking = asyncio.create_task(probe().ask_plaintext(replica, HOST, CHECK))
        async with asyncio.timeout(10):
            await arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(10):
            await hold.wait()


# --- keys ----------------------------------------------------------------------------------------------------------------

_opened: list[str] = []
_watching = False


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event == "open" and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_audit)


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_key_reaches_tls_through_memory_and_leaves_no_file_and_no_descriptor() -> None:
    global _watching  # noqa: PLW0603 - an audit hook cannot be taken off
    before = descriptors()
    _watching = True
    try:
        identity = identity_of(OURS)
    finally:
        _watching = False
    assert identity.sha256 == OURS.leaf.pin.sha256
    assert _opened == []
    assert descriptors() <= before


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("leaf", "presented"), [(OURS, "ours"), (NEXT, "next")], ids=["ecdsa", "rsa"]
)
async def test_where_there_is_no_memfd_a_pipe_does(
    nginx: PinnedNginx, leaf: KeyedLeaf, presented: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS: `os` without memfd_create."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    identity = identity_of(leaf)
    asked = await probe().ask(address(nginx), HOST, PATHS, {Presented.OURS: identity})
    assert f"presented={presented}" in answered(asked[1].check).body


def test_an_identity_never_shows_its_key() -> None:
    identity = identity_of(OURS)
    secret = OURS.key.get_secret_value().decode().splitlines()[1]
    assert not hasattr(identity, "__dict__")
    for shown in (repr(identity), str(identity), f"{identity}", repr({Presented.OURS: identity})):
        assert secret not in shown
        assert "PRIVATE" not in shown


@pytest.mark.parametrize("case", ["of-another-leaf", "encrypted", "broken", "no-pem"])
def test_a_key_that_cannot_be_used_is_told_without_being_shown(case: str) -> None:
    """And an encrypted one asks nobody for a password."""
    pem = OURS.key.get_secret_value()
    key = {
        "of-another-leaf": NEXT.key.get_secret_value(),
        "encrypted": load_pem_private_key(pem, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
        "broken": pem[:60] + b"!" + pem[61:],
        "no-pem": b"hunter2hunter2hunter2",
    }[case]
    try:
        ClientIdentity(OURS.leaf.pem, SecretBytes(key))
    except ValueError as error:
        printed = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    else:
        pytest.fail("the key was accepted")
    assert OURS.leaf.pin.short in printed
    # The names of the test's own variables are in its frame; only the frames below it count.
    below = printed[printed.index("__init__") :]
    assert not [
        line for line in key.decode().splitlines() if not line.startswith("-----") and line in below
    ]


def test_a_certificate_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="certificate"):
        ClientIdentity("", OURS.key)


def test_identities_are_equal_when_their_leaves_are() -> None:
    assert identity_of(OURS) == identity_of(OURS)
    assert identity_of(OURS) != identity_of(NEXT)
    assert len({identity_of(OURS), identity_of(OURS)}) == 1
