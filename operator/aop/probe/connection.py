"""One fresh connection, and HTTP/1.1 GETs over it.

Whatever goes wrong becomes a `Failure`. This is the only place that opens sockets towards origins
and the edge. A `Route` says where to, and with which TLS context.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType, TracebackType
from typing import Any, Self

import h11

from aop.probe.answers import Answer, Failure, FailureKind

BODY_LIMIT = 4096
"""How many bytes of a body are kept; a check answer has about 100."""
HEAD_LIMIT = 16 * 1024
"""How many bytes a status line with its headers may have; more is a `PROTOCOL` failure."""
USER_AGENT = "aop-operator"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Route:
    """How a connection is made."""

    host: str
    """Host header and, over TLS, SNI."""
    address: str
    """The IP address or DNS name to connect to."""
    port: int
    tls: ssl.SSLContext | None = None
    """None: plaintext."""
    proxy_protocol: bool = False
    """Begin with a PROXY v1 header, which a server that expects it demands before anything else."""

    def __str__(self) -> str:
        return f"{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"


class Stage(StrEnum):
    """How far a connection has got; the words go into the text of a failure."""

    CONNECTING = "connecting"
    HANDSHAKE = "the TLS handshake"
    ANSWER = "waiting for the answer"


class Connection:
    """A connection that is opened by its first `ask` and closed with the block.

    Never shared between tasks.

    With TLS no earlier session is offered: what a server answers here it answers on a full
    handshake.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._streams: Streams | None = None
        self._ended = False
        self.stage = Stage.CONNECTING
        self.reusable = False
        """Whether the last answer is complete and the other side keeps the connection open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._streams:
            _, writer = self._streams
            # Not `close`, which waits up to 30 s for the other side's close_notify.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def ask(
        self, target: str, *, timeout_s: float, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Answer | Failure:
        """GET `target` (path and query), with `headers` besides our own.

        `timeout_s` covers all of it, from the first SYN to the last byte. Whatever the network or
        the other side does is a `Failure`, never an exception.
        """
        self.reusable = False
        try:
            async with asyncio.timeout(timeout_s):
                self._streams = self._streams or await self._open(timeout_s)
                return await self._get(*self._streams, target, headers)
        except (OSError, UnicodeError, h11.ProtocolError) as error:
            return self._failure(error, timeout_s)

    async def _open(self, timeout_s: float) -> Streams:
        route = self._route
        # A label of more than 63 characters, which Kubernetes allows in an Ingress: reported here,
        # because otherwise the event loop logs it as a bug.
        route.host.encode("idna")
        connected = await self._connect(timeout_s)
        self.stage = Stage.HANDSHAKE
        if route.proxy_protocol:
            try:
                await asyncio.get_running_loop().sock_sendall(connected, _proxy_header(connected))
            except BaseException:
                connected.close()
                raise
        # From here on the transport owns the socket and closes it, whatever happens.
        return await asyncio.open_connection(
            sock=connected, ssl=route.tls, server_hostname=route.host if route.tls else None
        )

    async def _connect(self, timeout_s: float) -> socket.socket:
        """A connected socket.

        The addresses of a name are tried in turn, each for an equal share of the time.
        """
        route = self._route
        addresses = await _resolve(route.address, route.port)
        failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        for family, address in addresses:
            connecting = socket.socket(family, socket.SOCK_STREAM)
            try:
                connecting.setblocking(False)
                async with asyncio.timeout(timeout_s / len(addresses)):
                    await asyncio.get_running_loop().sock_connect(connecting, address)
            except OSError as error:
                connecting.close()
                failure = error
            except BaseException:
                connecting.close()
                raise
            else:
                return connecting
        raise failure

    async def _get(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: str,
        more: Mapping[str, str],
    ) -> Answer:
        self.stage = Stage.ANSWER
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        headers = [
            ("Host", self._route.host),
            ("User-Agent", USER_AGENT),
            ("Accept", "*/*"),
            ("Cache-Control", "no-store"),
            *more.items(),
        ]
        request = self._http.send(h11.Request(method="GET", target=target, headers=headers)) or b""
        writer.write(request + (self._http.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        head = await self._event(reader)
        while isinstance(head, h11.InformationalResponse):
            head = await self._event(reader)
        body = b""
        while len(body) < BODY_LIMIT and isinstance(event := await self._event(reader), h11.Data):
            body += bytes(event.data)
        self.reusable = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        return _answer(head, body[:BODY_LIMIT])

    async def _event(self, reader: asyncio.StreamReader) -> Any:
        """The next event of HTTP; h11 has made sure that it is one that may come now."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            received = await reader.read(BODY_LIMIT)
            self._ended = not received
            self._http.receive_data(received)
        return event

    def _failure(self, error: Exception, timeout_s: float) -> Failure:
        kind, what = self._kind(error)
        if kind is FailureKind.TIMEOUT:
            what = f"nothing within {timeout_s:g} s"
        return Failure(kind, f"{self._route} ({self._route.host}): {self.stage}: {what}")

    def _kind(self, error: Exception) -> tuple[FailureKind, str]:
        match error:
            case TimeoutError():
                return FailureKind.TIMEOUT, ""
            case UnicodeError():
                return FailureKind.NAME, "not a name that DNS or TLS can carry"
            case socket.gaierror():
                return FailureKind.NAME, error.strerror or "the name cannot be resolved"
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return FailureKind.RESET, "the connection was closed"
            case ssl.SSLCertVerificationError():
                return FailureKind.TLS, f"the certificate does not verify: {error.verify_message}"
            case ssl.SSLError():
                return FailureKind.TLS, (error.reason or "failed").lower().replace("_", " ")
            case OSError():
                nobody = (
                    FailureKind.REFUSED
                    if isinstance(error, ConnectionRefusedError)
                    else FailureKind.UNREACHABLE
                )
                return (
                    nobody if self.stage is Stage.CONNECTING else FailureKind.RESET,
                    error.strerror or "the connection was closed",
                )
        if not self._ended:
            return FailureKind.PROTOCOL, f"this is not HTTP/1.1: {error}"
        received, _ = self._http.trailing_data
        if not received or received.startswith(b"HTTP/"):
            return FailureKind.RESET, "the connection was closed before the answer was complete"
        return FailureKind.PROTOCOL, "this is not HTTP/1.1, and then the connection was closed"


async def _resolve(address: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Addresses to connect to; raises socket.gaierror.

    An IP address needs no thread: slow DNS must not delay asking replicas.
    """
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        addresses = await asyncio.get_running_loop().getaddrinfo(
            address, port, type=socket.SOCK_STREAM
        )
        return [(family, where) for family, _, _, _, where in addresses]
    return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (address, port))]


def _proxy_header(connected: socket.socket) -> bytes:
    """PROXY v1 that tells the truth: our own address and the port that was really reached."""
    source, destination = connected.getsockname(), connected.getpeername()
    family = "TCP6" if connected.family == socket.AF_INET6 else "TCP4"
    return f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode(
        "ascii"
    )


def _answer(head: h11.Response, body: bytes) -> Answer:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    return Answer(
        status=head.status_code,
        body=body.decode("utf-8", errors="replace"),
        location=headers.get("location"),
        cf_ray=headers.get("cf-ray"),
    )
