"""Visitors' connections: HTTP/1.1 with keep-alive, one pool per route, and no retry that is not counted."""

import asyncio
import ssl
from contextlib import suppress

import h11

from sandbox.load.plan import Kind, Route
from sandbox.load.report import Counts

LARGEST_BODY = 256 * 1024


class ClosedBeforeAnswerError(Exception):
    """The other side closed the connection, and not one byte of an answer had come."""


class BrokenAnswerError(Exception):
    """What came is not a whole HTTP/1.1 answer."""


class LostError(Exception):
    """A reused connection closed, not one byte of an answer had come, and the request is one that must not be sent again."""


class ReceivedAnswer:
    """Status, body and Location of one answer."""

    __slots__ = ("body", "location", "status")

    def __init__(self, head: h11.Response, body: bytes) -> None:
        self.status = head.status_code
        self.body = body
        self.location = next(
            (value.decode("latin-1") for name, value in head.headers if name == b"location"), None
        )


class Connection:
    """One open connection of one visitor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT)
        self._heard = False
        self.requests = 0

    @property
    def open(self) -> bool:
        """Whether another request can be sent, as far as is known on this side."""
        idle = self.requests == 0 or (
            self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        )
        return idle and not self._reader.at_eof() and not self._writer.is_closing()

    async def ask(self, host: str, uri: str, body: bytes | None = None) -> ReceivedAnswer:
        """GET `uri`, or POST a body to it.

        Raises:
            ClosedBeforeAnswerError, BrokenAnswerError, ssl.SSLError: as they say.
        """
        if self.requests:
            self._http.start_next_cycle()
        self.requests += 1
        self._heard = False
        headers = [("Host", host), ("User-Agent", "visitor"), ("Accept", "*/*")]
        length = [] if body is None else [("Content-Length", str(len(body)))]
        request = h11.Request(
            method="GET" if body is None else "POST", target=uri, headers=headers + length
        )
        events = [request, *([] if body is None else [h11.Data(data=body)]), h11.EndOfMessage()]
        try:
            self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
            await self._writer.drain()
            return await self._answer()
        except (h11.RemoteProtocolError, ConnectionError, ssl.SSLEOFError) as error:
            if self._heard:
                raise BrokenAnswerError(
                    f"broken answer: {error or type(error).__name__}"
                ) from error
            raise ClosedBeforeAnswerError("the connection was closed before an answer") from error

    async def _answer(self) -> ReceivedAnswer:
        head: h11.Response | None = None
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                received = await self._reader.read(65536)
                self._heard = self._heard or bool(received)
                self._http.receive_data(received)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
                if len(body) > LARGEST_BODY:
                    raise BrokenAnswerError(f"a body of more than {LARGEST_BODY} bytes")
            elif isinstance(event, h11.EndOfMessage) and head:
                return ReceivedAnswer(head, body)

    async def close(self) -> None:
        """Let it go at once."""
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


class Pool:
    """The connections of one route: the one used last is used first, so that some live long and the others are found closed."""

    def __init__(
        self, route: Route, tls: ssl.SSLContext, counts: Counts, requests_per_connection: int
    ) -> None:
        self._route = route
        self._tls = None if route.kind is Kind.HTTP else tls
        self._counts = counts
        self._limit = requests_per_connection
        self._idle: list[Connection] = []

    async def ask(self, uri: str) -> ReceivedAnswer:
        """Ask over a kept connection, else over a fresh one.

        A kept one that closes before the first byte is replaced once, and counted.

        Raises:
            OSError, ClosedBeforeAnswerError, BrokenAnswerError: a fresh connection failed, or an answer broke off.
            LostError: a kept one closed under a POST.
        """
        if kept := await self._kept():
            try:
                return await self._ask(kept, uri)
            except ClosedBeforeAnswerError as error:
                if self._route.kind is Kind.POST:
                    raise LostError(str(error)) from error
                self._counts.retried += 1
        return await self._ask(await self._fresh(), uri)

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().close()

    async def _ask(self, connection: Connection, uri: str) -> ReceivedAnswer:
        body = f'{{"for": "{uri}"}}'.encode() if self._route.kind is Kind.POST else None
        try:
            answer = await connection.ask(self._route.host, uri, body)
        except BaseException:
            await connection.close()
            raise
        self._counts.busiest_connection = max(self._counts.busiest_connection, connection.requests)
        if connection.open and connection.requests < self._limit:
            self._idle.append(connection)
        else:
            await connection.close()
        return answer

    async def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
            await connection.close()
        return None

    async def _fresh(self) -> Connection:
        route = self._route
        name = route.host if self._tls else None
        reader, writer = await asyncio.open_connection(
            route.address, route.port, ssl=self._tls, server_hostname=name
        )
        self._counts.connections += 1
        return Connection(reader, writer)
