"""The edge: a TLS reverse proxy in several locations, which presents to origins what the API's state says (as far as it got there).

One visitor connection is one task; requests on it are answered one after the other.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import h11

from sandbox.cloudflare import pages
from sandbox.cloudflare.faults import EdgeFault, Faults
from sandbox.cloudflare.gate import new_ray
from sandbox.cloudflare.http1 import Headers, Stream, end_to_end, framing, has_body, value_of
from sandbox.cloudflare.location import Location
from sandbox.cloudflare.origin import ClosedError, OriginConnection, OriginError
from sandbox.cloudflare.state import State, StoredZone

_PATIENCE_S = 120
"""How long a visitor of a location that answers nothing is held."""

_OF_THE_EDGE = frozenset(
    {
        b"host",
        b"expect",
        b"cf-ray",
        b"cf-connecting-ip",
        b"cf-visitor",
        b"x-forwarded-proto",
        b"x-forwarded-for",
        b"cdn-loop",
    }
)


class BrokenError(Exception):
    """An answer that had begun cannot be finished: the visitor's connection is broken off."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a visitor."""

    location: Location
    scheme: str
    address: str
    stream: Stream
    request: h11.Request
    ray: str

    @property
    def host(self) -> str:
        """The name asked for, without a port."""
        return value_of(self.request.headers, b"host").partition(":")[0].lower()

    @property
    def path(self) -> str:
        """Without the query."""
        return self.request.target.decode("latin-1").partition("?")[0]

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent to an origin twice: nothing but a GET or a HEAD without a body (RFC 9110, 9.2.2)."""
        return self.request.method in {b"GET", b"HEAD"} and not has_body(self.request.headers)


class Edge:
    """All locations. `tls` answers visitors with a certificate for the name they ask for."""

    def __init__(
        self,
        state: State,
        locations: Mapping[str, Location],
        faults: Faults[EdgeFault],
        tls: ssl.SSLContext,
    ) -> None:
        self.locations = locations
        self._state = state
        self._faults = faults
        self._tls = tls
        self._servers: list[asyncio.Server] = []

    async def start(self, address: str) -> None:
        """Listen on two free ports per location."""
        for location in self.locations.values():
            for scheme, tls in (("https", self._tls), ("http", None)):
                server = await asyncio.start_server(
                    partial(self._visit, location, scheme), address, 0, ssl=tls, backlog=1024
                )
                self._servers.append(server)
                setattr(location, f"{scheme}_port", server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more and let go of the origins."""
        for server in self._servers:
            server.close()
        for location in self.locations.values():
            location.close_idle()

    async def _visit(
        self,
        location: Location,
        scheme: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        stream = Stream(h11.SERVER, partial(reader.read, 1 << 16), write)
        address: str = writer.get_extra_info("peername")[0]
        try:
            while isinstance(request := await stream.next_event(), h11.Request):
                await self._answer(
                    Visit(location, scheme, address, stream, request, new_ray(location.code))
                )
                if not stream.reusable:
                    break
                stream.h11.start_next_cycle()
        except (BrokenError, ConnectionError):
            writer.transport.abort()
        except h11.RemoteProtocolError:
            await _refuse(stream)
        finally:
            writer.close()

    async def _answer(self, visit: Visit) -> None:
        if not has_body(visit.request.headers):
            await visit.stream.next_event()  # the end of the message
        rules = self._faults.rules
        fault = self._faults.strike(
            [
                rule
                for rule in rules
                if rule.matches(visit.location.code, visit.scheme, visit.host, visit.path)
            ]
        )
        if fault is not None:
            await self._misbehave(visit, fault)
            return
        zone = self._state.zone_of(visit.host)
        if zone is None or not zone.serves(visit.host):
            await _own_answer(
                visit, 409, b"error code: 1001", [(b"content-type", b"text/plain; charset=UTF-8")]
            )
            return
        try:
            connection, response = await self._ask(visit, zone)
        except OriginError as error:
            visit.location.counters.problems.append(
                f"{visit.ray} {visit.scheme}://{visit.host}{visit.path} {error}"
            )
            await _own_answer(visit, error.status, pages.page(error.status, visit.host, visit.ray))
            return
        await _relay(visit, connection, response)

    async def _misbehave(self, visit: Visit, fault: EdgeFault) -> None:
        if fault.answer == "timeout":
            await visit.stream.wait_for_goodbye(_PATIENCE_S)
            raise BrokenError
        extra = [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
        if fault.answer == "challenge":
            await _own_answer(
                visit,
                403,
                pages.challenge(visit.host, visit.ray),
                [(b"cf-mitigated", b"challenge"), *extra],
            )
        else:
            page = (
                pages.page(fault.answer, visit.host, visit.ray)
                if fault.body is None
                else fault.body.encode()
            )
            await _own_answer(visit, fault.answer, page, extra)

    async def _ask(self, visit: Visit, zone: StoredZone) -> tuple[OriginConnection, h11.Response]:
        """The head of the origin's answer, and the connection that its body comes on."""
        location = visit.location
        plain = location.speaks_plain(zone, visit.scheme)
        reused = location.take_idle(visit.host, plain=plain)
        if reused is not None:
            try:
                return reused, await _exchange(visit, reused)
            except ClosedError as error:
                if not visit.repeatable:
                    raise OriginError(
                        520, f"{error}, and {visit.request.method.decode()} is not repeated"
                    ) from error
                location.counters.retries_on_reused += 1
        fresh = await location.open(zone, visit.host, plain=plain)
        try:
            return fresh, await _exchange(visit, fresh)
        except ClosedError as error:
            raise OriginError(520, str(error)) from error


async def _exchange(visit: Visit, connection: OriginConnection) -> h11.Response:
    """Send the request and read the head of the answer. On any failure the connection is closed."""
    try:
        async with asyncio.timeout(visit.location.knobs.response_timeout_s):
            await _send(visit, connection)
            return await _head(connection)
    except TimeoutError as error:
        connection.close()
        raise OriginError(
            524, f"{connection.target.address}:{connection.target.port} did not answer in time"
        ) from error
    except BaseException:
        connection.close()
        raise


async def _send(visit: Visit, connection: OriginConnection) -> None:
    connection.begin()
    visit.location.counters.origin_requests += 1
    request = h11.Request(
        method=visit.request.method, target=visit.request.target, headers=_for_origin(visit)
    )
    if not has_body(visit.request.headers):
        await connection.stream.send(request, h11.EndOfMessage())
        return
    await connection.stream.send(request)
    if visit.stream.h11.they_are_waiting_for_100_continue:
        await visit.stream.send(h11.InformationalResponse(status_code=100, headers=[]))
    async for chunk in visit.stream.body():
        await connection.stream.send(h11.Data(data=chunk))
    await connection.stream.send(h11.EndOfMessage())


async def _head(connection: OriginConnection) -> h11.Response:
    where = f"{connection.target.address}:{connection.target.port}"
    try:
        event = await connection.stream.next_event()
        while isinstance(event, h11.InformationalResponse):
            event = await connection.stream.next_event()
    except h11.RemoteProtocolError as error:
        if connection.silent:
            raise ClosedError(f"{where} closed without an answer") from error
        raise OriginError(520, f"{where}: {error}") from error
    if not isinstance(event, h11.Response):
        raise ClosedError(f"{where} closed without an answer")
    return event


async def _relay(visit: Visit, connection: OriginConnection, response: h11.Response) -> None:
    """Pass the answer on, chunk by chunk, and keep the connection for the next request.

    The session is remembered before: whoever has the answer may come again before this returns.
    """
    visit.location.remember(connection)
    headers = [*end_to_end(response.headers, but=frozenset({b"server"})), *_by_the_edge(visit.ray)]
    waiting: list[h11.Event] = [
        h11.Response(status_code=response.status_code, reason=response.reason, headers=headers)
    ]
    visit.location.counters.answers[f"{visit.scheme} {response.status_code}"] += 1
    try:
        async for chunk in connection.stream.body():
            await visit.stream.send(*waiting, h11.Data(data=chunk))
            waiting.clear()
        await visit.stream.send(*waiting, h11.EndOfMessage())
    except h11.ProtocolError as error:
        connection.close()
        raise BrokenError from error
    except BaseException:
        connection.close()
        raise
    visit.location.keep(connection)


async def _own_answer(
    visit: Visit, status: int, body: bytes, headers: Headers | None = None
) -> None:
    sent = dict(headers or [])
    sent.setdefault(b"content-type", b"text/html; charset=UTF-8")
    all_headers = [
        *sent.items(),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *_by_the_edge(visit.ray),
    ]
    visit.location.counters.answers[f"{visit.scheme} {status}"] += 1
    shown = b"" if visit.request.method == b"HEAD" else body
    await visit.stream.send(
        h11.Response(status_code=status, headers=all_headers),
        h11.Data(data=shown),
        h11.EndOfMessage(),
    )


async def _refuse(stream: Stream) -> None:
    if stream.h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
        await stream.send(
            h11.Response(
                status_code=400, headers=[(b"content-length", b"0"), (b"connection", b"close")]
            ),
            h11.EndOfMessage(),
        )


def _by_the_edge(ray: str) -> Headers:
    return [(b"server", b"cloudflare"), (b"cf-ray", ray.encode()), (b"cf-cache-status", b"DYNAMIC")]


def _for_origin(visit: Visit) -> Headers:
    headers = visit.request.headers
    forwarded = value_of(headers, b"x-forwarded-for")
    chain = f"{forwarded}, {visit.address}" if forwarded else visit.address
    return [
        (b"host", visit.host.encode()),
        *end_to_end(headers, but=_OF_THE_EDGE),
        *framing(headers),
        (b"x-forwarded-for", chain.encode()),
        (b"x-forwarded-proto", visit.scheme.encode()),
        (b"cf-visitor", json.dumps({"scheme": visit.scheme}).encode()),
        (b"cf-connecting-ip", visit.address.encode()),
        (b"cf-ray", visit.ray.encode()),
        (b"cdn-loop", b"cloudflare; loops=1"),
    ]
