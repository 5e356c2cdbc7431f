"""What a watch of the API server says, line by line.

The official client has a reader of its own. It makes a second client for each watch, with its own
store of authorities, and waits without end for a connection over which nothing comes any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

Manifest = dict[str, Any]

WATCH_S = 600.0
"""After this time the API server ends a watch, and the next one begins where it ended."""
SILENT_S = 100.0
"""When a watch over which nothing came is given up. The API server sends a bookmark about every
minute (facts: kubernetes#bookmarks)."""


class WatchEnded(Exception):
    """The watch shows no more changes; a list has to come before the next one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class WatchedChange:
    """One object as it is after a change."""

    version: str
    """The resourceVersion up to which the watch has shown everything."""
    manifest: Manifest | None
    """None: nothing has changed up to there."""
    gone: bool = False
    """Whether `manifest` is the last form of an object that was deleted."""


def watching(since: str) -> dict[str, str]:
    """The query of a watch that begins after the resourceVersion `since`."""
    return {
        "watch": "true",
        "resourceVersion": since,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": f"{WATCH_S:.0f}",
    }


class Lines(Protocol):
    """The body of an answer."""

    async def readline(self) -> bytes:
        """The next line, empty at the end."""


async def changes(lines: Lines, *, silent_s: float = SILENT_S) -> AsyncIterator[WatchedChange]:
    """What the answer to a watch says, until it ends.

    Raises `WatchEnded` for an error that the API server reports, for a line that is none of its
    own, and after `silent_s` without any line.
    """
    while True:
        try:
            # Not `wait_for`: in Python 3.11 it forgets that it was cancelled if a line comes at the
            # same moment, and the watch of a lead that has ended would go on.
            async with asyncio.timeout(silent_s):
                line = await lines.readline()
        except TimeoutError:
            raise WatchEnded(f"nothing was heard for {silent_s:.0f} s") from None
        if not line:
            return
        yield _change(line)


def _change(line: bytes) -> WatchedChange:
    try:
        event = json.loads(line)
        kind, manifest = event["type"], event["object"]
        if kind == "ERROR":
            raise WatchEnded(str(manifest.get("message", ""))[:300], manifest.get("code"))
        version = str(manifest["metadata"]["resourceVersion"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WatchEnded("the answer is no watch event, or was cut short") from None
    return WatchedChange(version, None if kind == "BOOKMARK" else manifest, gone=kind == "DELETED")
