"""The lines of a watch, as an API server and what stands before it may send them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from aop.cluster.changes import WatchedChange, WatchEnded, changes

POD = {"metadata": {"name": "a", "resourceVersion": "7"}}


def event(kind: str, manifest: Any) -> bytes:
    """A line of the API server."""
    return json.dumps({"type": kind, "object": manifest}).encode() + b"\n"


async def read(*lines: bytes, ends: bool = True, silent_s: float = 60.0) -> list[WatchedChange]:
    """What they say."""
    stream = asyncio.StreamReader()
    for line in lines:
        stream.feed_data(line)
    if ends:
        stream.feed_eof()
    return [one async for one in changes(stream, silent_s=silent_s)]


@pytest.mark.asyncio
async def test_each_change_is_told_with_its_version() -> None:
    bookmark = {"kind": "Pod", "metadata": {"resourceVersion": "9"}}
    assert await read(
        event("ADDED", POD),
        event("MODIFIED", POD),
        event("BOOKMARK", bookmark),
        event("DELETED", POD),
    ) == [
        WatchedChange("7", POD),
        WatchedChange("7", POD),
        WatchedChange("9", None),
        WatchedChange("7", POD, gone=True),
    ]


@pytest.mark.asyncio
async def test_an_error_of_the_api_server_ends_it_with_its_status() -> None:
    gone = {"kind": "Status", "code": 410, "message": "too old resource version: 1 (9)"}
    with pytest.raises(WatchEnded, match="too old") as ended:
        await read(event("ADDED", POD), event("ERROR", gone))
    assert ended.value.status == 410


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "ADDED", "object": {"metad',
        b"<html>502 Bad Gateway</html>\n",
        b"[]\n",
        b'"ADDED"\n',
        b"null\n",
        event("ADDED", None),
        event("ADDED", []),
        event("ADDED", {"metadata": {}}),
        event("ADDED", {"metadata": None}),
        event("ERROR", None),
        b'{"object": {"metadata": {"resourceVersion": "7"}}}\n',
        b"\xff\xfe\n",
    ],
)
async def test_whatever_is_no_event_ends_it(line: bytes) -> None:
    """So that the next list shows what there is."""
    with pytest.raises(WatchEnded):
        await read(event("ADDED", POD), line)


@pytest.mark.asyncio
async def test_silence_ends_it() -> None:
    with pytest.raises(WatchEnded, match="nothing was heard"):
        await read(event("ADDED", POD), ends=False, silent_s=0.01)


@pytest.mark.asyncio
@pytest.mark.parametrize("moments", range(4))
async def test_whoever_is_cancelled_while_a_line_comes_reads_no_further(moments: int) -> None:
    stream = asyncio.StreamReader()

    async def follow() -> None:
        async for _ in changes(stream):
            pass

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)
    stream.feed_data(event("ADDED", POD))
    for _ in range(moments):
        await asyncio.sleep(0)
    following.cancel()
    _, going_on = await asyncio.wait({following}, timeout=0.1)
    following.cancel()
    assert not going_on
