"""The vocabulary of disturbances: which requests (`Match`), what happens to them (the faults), and how often (`Rule`)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sandbox.proxy.trace import Exchange


@dataclass(frozen=True)
class Match:
    """Which requests are meant: all that fulfil everything given here.

    `method` is one or several separated by `|` (`"POST|PATCH"`). `path`, `except_path` and `query`
    are regular expressions searched in the decoded path without query, and in the raw query.
    `watch` is whether it is a Kubernetes watch.
    """

    method: str | None = None
    path: str | None = None
    query: str | None = None
    watch: bool | None = None
    except_path: str | None = None

    def __call__(self, exchange: Exchange) -> bool:
        """Whether this request is meant."""
        return (
            (self.method is None or exchange.method in self.method.split("|"))
            and (self.path is None or re.search(self.path, exchange.path) is not None)
            and (self.except_path is None or re.search(self.except_path, exchange.path) is None)
            and (self.query is None or re.search(self.query, exchange.query) is not None)
            and (self.watch is None or self.watch == exchange.watch)
        )


ANY = Match()


@dataclass(frozen=True)
class Answer:
    """The proxy answers itself; the API never hears of the request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, body: object, **headers: str) -> Self:
        """An answer with a JSON body."""
        return cls(
            status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
        )

    @classmethod
    def kubernetes(
        cls,
        status: int,
        reason: str,
        message: str = "disturbed by the fault proxy",
        *,
        retry_after_s: int | None = None,
    ) -> Self:
        """An error as the API server writes it, such as `Answer.kubernetes(409, "Conflict")`."""
        document: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
        }
        document |= {"message": message, "reason": reason, "code": status}
        answer = cls.json(status, document)
        return (
            answer
            if retry_after_s is None
            else cls(status, answer.body, {**answer.headers, "Retry-After": str(retry_after_s)})
        )

    @classmethod
    def too_many_requests(cls, retry_after: int | str) -> Self:
        """429 with `Retry-After` in seconds or as an HTTP date, and no more."""
        return cls(429, b"", {"Retry-After": str(retry_after)})

    @classmethod
    def html(cls, status: int) -> Self:
        """A page for people where JSON was expected, as something between client and API would answer."""
        page = (
            f"<html><head><title>{status}</title></head><body><h1>Error {status}</h1></body></html>"
        )
        return cls(status, page.encode(), {"Content-Type": "text/html; charset=UTF-8"})


@dataclass(frozen=True)
class Truncate:
    """The API's answer, cut to this share of its body; as an HTTP message it is complete, as JSON it is not."""

    keep: float = 0.5


@dataclass(frozen=True)
class Delay:
    """Slow: this long before the API is asked or, with `answer`, between its answer and the client."""

    seconds: float
    answer: bool = False


@dataclass(frozen=True)
class DropBefore:
    """The connection breaks and the API has never heard of the request."""


@dataclass(frozen=True)
class DropAfter:
    """The API carries it out, the answer is lost and the connection breaks: the ambiguous case."""


@dataclass(frozen=True)
class CutWatch:
    """A watch ends after so many events: with a broken connection or, `clean`, as the API server itself ends it at its timeout."""

    after_events: int = 0
    clean: bool = False


@dataclass(frozen=True)
class WatchError:
    """A watch is told an ERROR event after so many events, and ends. 410 Expired: the client has to list again."""

    after_events: int = 0
    code: int = 410
    reason: str = "Expired"

    @property
    def line(self) -> bytes:
        """The event as it stands in the stream."""
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": self.reason,
            "code": self.code,
        }
        return (
            json.dumps(
                {"type": "ERROR", "object": status | {"message": "too old resource version"}}
            ).encode()
            + b"\n"
        )


@dataclass(frozen=True)
class HideEvent:
    """The n-th event of a watch is swallowed; the client never hears of it."""

    nth: int = 1


@dataclass(frozen=True)
class Stale:
    """The first matching GET passes and its answer is kept; the following ones get that answer again, whatever has happened since."""


@dataclass(frozen=True)
class Altered:
    """The client is told something else than what stands there: `new` in place of each `old`, in an answer as in a watch, both as in JSON.

    JSON is what it gets, whatever it would rather have.
    """

    old: bytes
    new: bytes

    def changed(self, answer: bytes) -> bytes:
        """What becomes of an answer, or of one event."""
        return answer.replace(self.old, self.new)


Fault = (
    Answer
    | Truncate
    | Delay
    | DropBefore
    | DropAfter
    | CutWatch
    | WatchError
    | HideEvent
    | Stale
    | Altered
)


@dataclass(eq=False)
class Rule:
    """A fault for the matching requests number `skip + 1` to `skip + times`; `times=None` is for all that follow.

    `matched` and `fired` say how many requests were meant, and how many of them met the fault.
    """

    match: Match
    fault: Fault
    skip: int = 0
    times: int | None = 1
    matched: int = 0
    fired: int = 0

    def take(self, exchange: Exchange) -> bool:
        """Whether this request meets the fault; counts it."""
        if not self.match(exchange):
            return False
        self.matched += 1
        if self.matched <= self.skip or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True
