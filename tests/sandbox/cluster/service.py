"""A Service: one address before all pods that are Ready; a connection that is open stays where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Self

from sandbox.relays import CHUNK, Relays


class Service(Relays[int]):
    """Leads to the endpoints of the moment, in turn. A context manager."""

    def __init__(self, endpoints: Callable[[], Sequence[str]], ports: Sequence[int]) -> None:
        super().__init__("service")
        self._endpoints, self._targets = endpoints, tuple(ports)
        self._turn = count()
        self.ports: dict[int, int] = {}
        """By the pods' port, where it is reached."""

    def __enter__(self) -> Self:
        self._loop.start()
        for port in self._targets:
            self.ports[port] = self._loop.call(self.listen(port))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def carry(
        self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """To that port of the pod whose turn it is."""
        pods = self._endpoints()
        if not pods:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(pods[next(self._turn) % len(pods)], target)
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
