"""Connections from one edge location to origins: opened, pooled, resumed.

A connection is read all the time, also while it idles in the pool, so that an origin's goodbye is
noticed as soon as it arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import h11
from OpenSSL import SSL

from sandbox.cloudflare.certificates import KeyPair
from sandbox.cloudflare.http1 import Stream
from sandbox.cloudflare.tls import HandshakeError, OriginTLS

_HIGH_WATER = 1 << 18


class OriginError(Exception):
    """Why the edge answers for the origin: Cloudflare's status, and words for the record."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status


class ClosedError(Exception):
    """The origin closed before the first byte of its answer."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where one connection goes. `tls` None: plain HTTP."""

    hostname: str
    address: str
    port: int
    tls: SSL.Context | None
    present: KeyPair | None = None
    session: SSL.Session | None = None
    strict: bool = False
    """Whether the server's certificate has to do."""


class OriginConnection(asyncio.Protocol):
    """One TCP connection with or without TLS, as an h11 client stream."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.stream = Stream(h11.CLIENT, self._read, self._write)
        self.requests = 0
        self.silent = True
        """Not a byte of an answer has come since the last request began."""
        self.closed = False
        self.tls = (
            OriginTLS(target.tls, target.hostname, target.present, target.session)
            if target.tls is not None
            else None
        )
        self.when_closed: Callable[[], None] = lambda: None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, target: Target, timeout_s: float) -> OriginConnection:
        """Connect, and shake hands where that is asked for.

        Raises:
            OriginError: refused (521), too slow (522), unreachable (523), or a handshake that failed (525).
        """
        made: OriginConnection | None = None
        try:
            async with asyncio.timeout(timeout_s):
                _, made = await asyncio.get_running_loop().create_connection(
                    lambda: cls(target), target.address, target.port
                )
                await made._ready
        except TimeoutError as error:
            if made is None:
                raise OriginError(
                    522, f"{target.address}:{target.port} did not accept a connection"
                ) from error
            made.close()
            raise OriginError(
                525, f"{target.address}:{target.port} did not finish the handshake"
            ) from error
        except HandshakeError as error:
            raise OriginError(525, f"{target.address}:{target.port}: {error}") from error
        except ConnectionRefusedError as error:
            raise OriginError(521, f"{target.address}:{target.port} refuses connections") from error
        except OSError as error:
            raise OriginError(523, f"{target.address}:{target.port}: {error}") from error
        return made

    def begin(self) -> None:
        """The next request is about to be sent."""
        self.requests += 1
        self.silent = True

    def close(self) -> None:
        """Break off at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _read(self) -> bytes:
        while not self._received and not self.closed:
            self._arrived.clear()
            await self._arrived.wait()
        taken = bytes(self._received)
        self._received.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        return taken

    async def _write(self, data: bytes) -> None:
        if self._transport is None or self.closed:
            return  # the reader finds out what came of it
        if self.tls is None:
            self._transport.write(data)
        else:
            self.tls.encrypt(data)
            self._flush()
        await self._writable.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self.tls is None:
            self._ready.set_result(None)
        else:
            self._take(b"")

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.tls is not None:
            self.tls.end()
        self._end(f"the connection was lost: {exc}" if exc else "the origin closed the connection")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _take(self, data: bytes) -> None:
        try:
            plaintext = self.tls.feed(data) if self.tls else data
        except HandshakeError as error:
            self._flush()  # the alert that says why
            if not self._ready.done():
                self._ready.set_exception(error)
            self.close()
            return
        if self.tls:
            self._flush()
            if self.tls.established and not self._ready.done():
                self._ready.set_result(None)
        if plaintext:
            self.silent = False
            self._received += plaintext
            self._arrived.set()
            if len(self._received) > _HIGH_WATER and self._transport is not None:
                self._transport.pause_reading()
        if self.tls and self.tls.closed:
            self._end("the origin closed the TLS connection")
            self.close()

    def _flush(self) -> None:
        if self.tls and self._transport is not None and (waiting := self.tls.outgoing()):
            self._transport.write(waiting)

    def _end(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        self._arrived.set()
        self._writable.set()
        if not self._ready.done():
            self._ready.set_exception(HandshakeError(reason))
        self.when_closed()
