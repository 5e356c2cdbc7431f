"""The record of every call that the API received: what, when, by which token, and how it was answered. No bodies, no tokens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `at` is unix seconds; `path` is below `/client/v4` and without the query."""

    number: int
    at: float
    method: str
    path: str
    query: str
    zone: str | None
    """Id of the zone in the path."""
    token: str | None
    """Id of the token, never its value."""
    cookie: bool
    """It came with a cookie, which none of ours should."""
    status: int | None
    """None: the connection was closed without an answer."""
    code: int | None
    """Of the first error."""
    ray: str
    duration_s: float


class Calls:
    """The last 100,000 calls, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=100_000)
        self._made = 0

    def next_number(self) -> int:
        """Of the call that has just arrived: 1, 2, 3 ..."""
        self._made += 1
        return self._made

    def add(self, call: Call) -> None:
        """Keep it, once it is answered."""
        self._calls.append(call)

    def forget(self) -> None:
        """Begin an empty record; numbers go on."""
        self._calls.clear()

    def matching(
        self, method: str = "*", path: str = "*", since: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Calls with a number above `since`, method and path matched as globs; a method of `!GET` means all but GET."""
        but, wanted = method.startswith("!"), method.removeprefix("!").upper()
        for call in self._calls:
            if (
                call.number > since
                and fnmatchcase(call.method, wanted) is not but
                and fnmatchcase(call.path, path)
            ):
                yield asdict(call)
