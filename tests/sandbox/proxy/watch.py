"""Relays one Kubernetes watch, event by event, with whatever is to happen to it."""

import asyncio

import aiohttp
from aiohttp import web

from sandbox.proxy.faults import Altered, CutWatch, Fault, HideEvent, WatchError
from sandbox.proxy.trace import Exchange

_LOOK_FOR_CLIENT_EVERY_S = 0.2


async def relay(
    request: web.Request,
    response: web.StreamResponse,
    answer: aiohttp.ClientResponse,
    exchange: Exchange,
    fault: Fault | None,
) -> bool:
    """Pass events on until either side ends or the fault says so.

    Returns whether the stream may be ended properly; False means that the connection has to break.
    """
    seen = 0
    ending = _ending(fault, seen)
    buffered = b""
    while ending is None:
        chunk = await _next(request, answer)
        if chunk is None:
            return True
        *lines, buffered = (buffered + chunk).split(b"\n")
        for line in lines:
            seen += 1
            if not (isinstance(fault, HideEvent) and fault.nth == seen):
                # Before the first byte: whoever has the event must find it in the trace.
                exchange.events += 1
                line_sent = fault.changed(line) if isinstance(fault, Altered) else line
                await response.write(line_sent + b"\n")
            ending = _ending(fault, seen)
            if ending is not None:
                break
    if isinstance(ending, WatchError):
        await response.write(ending.line)
        return True
    return ending.clean


def _ending(fault: Fault | None, seen: int) -> CutWatch | WatchError | None:
    return (
        fault if isinstance(fault, CutWatch | WatchError) and seen >= fault.after_events else None
    )


async def _next(request: web.Request, answer: aiohttp.ClientResponse) -> bytes | None:
    """The next bytes of the stream; None when it has ended, or nobody listens any more (which a silent watch does not notice by itself)."""
    reading = asyncio.ensure_future(answer.content.readany())
    try:
        while not reading.done():
            await asyncio.wait({reading}, timeout=_LOOK_FOR_CLIENT_EVERY_S)
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client of this watch is gone")
        return reading.result() or None
    finally:
        reading.cancel()
