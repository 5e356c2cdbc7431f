"""HTTP/1.1 over any pair of read and write functions (h11 decides what is legal).

Used on both sides of the edge.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress

import h11

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

Headers = list[tuple[bytes, bytes]]


class Stream:
    """One side of a connection. `read` answers b"" at the end of the stream."""

    def __init__(
        self,
        role: type[h11.CLIENT | h11.SERVER],
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.h11 = h11.Connection(role)
        self._read = read
        self._write = write

    async def send(self, *events: h11.Event) -> None:
        """Send events in one write."""
        await self._write(b"".join(self.h11.send(event) or b"" for event in events))

    async def next_event(self) -> type[h11.PAUSED | h11.NEED_DATA] | h11.Event:
        """What comes next, `h11.ConnectionClosed` included.

        Raises:
            h11.RemoteProtocolError: the peer does not speak HTTP/1.1, or broke off.
        """
        while True:
            event = self.h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            self.h11.receive_data(await self._read())

    async def body(self) -> AsyncIterator[bytes]:
        """The body of the message whose head was read, chunk by chunk.

        Raises:
            h11.RemoteProtocolError: the peer broke off.
        """
        while True:
            event = await self.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    async def wait_for_goodbye(self, at_most_s: float) -> None:
        """Read and drop until the peer leaves or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                while await self._read():
                    pass

    @property
    def reusable(self) -> bool:
        """Whether one exchange is complete and another may follow."""
        return self.h11.our_state is h11.DONE and self.h11.their_state is h11.DONE


def end_to_end(
    headers: Iterable[tuple[bytes, bytes]], *, but: frozenset[bytes] = frozenset()
) -> Headers:
    """The headers that a proxy passes on. Names are lower-case, as h11 gives them.

    `transfer-encoding: chunked` is kept by `framing`.
    """
    named = {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }
    drop = _HOP_BY_HOP | named | but
    return [(name, value) for name, value in headers if name not in drop]


def framing(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """How a request's body is framed when it is not by `content-length`."""
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    return [(b"transfer-encoding", b"chunked")] if chunked else []


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request announces a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )


def value_of(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    """The first header of that name, or nothing."""
    return next((value.decode("latin-1") for name, value in headers if name == wanted), "")
