"""The way between the edge and the origins: everything takes its time, in both directions, and arrives in order.

On loopback an origin's goodbye arrives before anybody could ask once more; from a data centre it is
on its way for milliseconds, and what is sent meanwhile on the same connection is lost
(facts: ingress-nginx#connections-at-a-reload). Only what is carried is delayed: that a connection
is made costs nothing, and one that the origin refuses is made all the same and then broken off.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

from sandbox.relays import CHUNK, Relays

Parcel = bytes | None
"""What arrived from one side: bytes, or None when it breaks off. No bytes are its goodbye."""


class Distance(Relays[tuple[str, int]]):
    """Relays to any number of targets; a context manager, and the relays end with it.

    `round_trip_s` is what both ways take together.
    """

    def __init__(self, round_trip_s: float) -> None:
        super().__init__("distance")
        self._one_way_s = round_trip_s / 2

    def start(self) -> Self:
        """Begin."""
        self._loop.start()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def to(self, address: str, port: int) -> int:
        """The port of 127.0.0.1 behind which `address:port` is, so far away."""
        return self._loop.call(self.listen((address, port)))

    async def carry(
        self, target: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """To the target and back, delayed."""
        try:
            far_reader, far_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._one_direction(reader, far_writer))
                both.create_task(self._one_direction(far_reader, writer))
        finally:
            for end in (writer, far_writer):
                end.transport.abort()

    async def _one_direction(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Until one side says goodbye, or breaks off."""
        under_way: asyncio.Queue[tuple[float, Parcel]] = asyncio.Queue()
        sending = asyncio.create_task(self._deliver(under_way, writer))
        clock = asyncio.get_running_loop().time
        parcel: Parcel = b"-"
        while parcel:
            try:
                parcel = await reader.read(CHUNK)
            except OSError:
                parcel = None
            under_way.put_nowait((clock() + self._one_way_s, parcel))
        await sending

    @staticmethod
    async def _deliver(
        under_way: asyncio.Queue[tuple[float, Parcel]], writer: asyncio.StreamWriter
    ) -> None:
        clock = asyncio.get_running_loop().time
        parcel: Parcel = b"-"
        while parcel:
            due_s, parcel = await under_way.get()
            await asyncio.sleep(due_s - clock())
            with suppress(OSError):
                if parcel:
                    writer.write(parcel)
                    await writer.drain()
                elif parcel is None:
                    writer.transport.abort()
                else:
                    writer.write_eof()
