"""A Service: one address before all pods that are Ready; a connection that is open stays where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Self

from sandbox.loops import LoopThread

ADDRESS = "127.0.0.1"
CHUNK = 65_536


class Service:
    """Leads to the endpoints of the moment, in turn. A context manager."""

    def __init__(self, endpoints: Callable[[], Sequence[str]], ports: Sequence[int]) -> None:
        self._endpoints, self._targets = endpoints, tuple(ports)
        self._loop = LoopThread("service")
        self._turn = count()
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()
        self.ports: dict[int, int] = {}
        """By the pods' port, where it is reached."""

    def __enter__(self) -> Self:
        self._loop.start()
        for port in self._targets:
            self.ports[port] = self._loop.call(self._listen(port))
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call(self._end())
        self._loop.stop()

    async def _listen(self, port: int) -> int:
        server = await asyncio.start_server(partial(self._accept, port), ADDRESS, 0, backlog=1024)
        self._servers.append(server)
        found: int = server.sockets[0].getsockname()[1]
        return found

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def _accept(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.ensure_future(self._carry(port, reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        pods = self._endpoints()
        if not pods:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(pods[next(self._turn) % len(pods)], port)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_pass(reader, back), _pass(there, writer))
        finally:
            for end in (writer, back):
                end.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything, then the goodbye."""
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
