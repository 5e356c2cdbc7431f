"""Ports behind which connections are carried somewhere: what a Service and a distance have in common."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from functools import partial
from typing import Generic, TypeVar

from sandbox.loops import LoopThread

ADDRESS = "127.0.0.1"
CHUNK = 65_536

T = TypeVar("T")


class Relays(ABC, Generic[T]):
    """Accepts connections on ports of its own, and carries each one to what its port stands for."""

    def __init__(self, name: str) -> None:
        self._loop = LoopThread(name)
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """End all relays, and break off what they carry."""
        if not self._loop.stopped:
            self._loop.call(self._end())
            self._loop.stop()

    async def listen(self, target: T) -> int:
        """The port of 127.0.0.1 that stands for `target`."""
        server = await asyncio.start_server(partial(self._accept, target), ADDRESS, 0, backlog=1024)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    @abstractmethod
    async def carry(
        self, target: T, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection, to its end."""

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def _accept(
        self, target: T, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.ensure_future(self.carry(target, reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
