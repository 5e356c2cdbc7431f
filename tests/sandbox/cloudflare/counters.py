"""What one edge location has counted."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counters:
    """All of it since the start, or since somebody reset it."""

    full_handshakes: Counter[str] = field(default_factory=Counter)
    """With origins, by TLS version."""
    resumed_handshakes: Counter[str] = field(default_factory=Counter)
    failed_handshakes: int = 0
    connections: int = 0
    """Opened to origins, plain ones included."""
    open_connections: int = 0
    finished_connections: Counter[int] = field(default_factory=Counter)
    """Requests that a connection to an origin had carried when it was closed, and how many had
    carried as many."""
    origin_requests: int = 0
    retries_on_reused: int = 0
    """Requests sent a second time because a reused connection closed before the first byte of the
    answer."""
    answers: Counter[str] = field(default_factory=Counter)
    """To visitors, as `https 200` or `http 308`; what the edge itself answers included."""
    presented: Counter[str] = field(default_factory=Counter)
    """By new connections to origins: `none`, or the SHA-256 of the certificate."""
    problems: deque[str] = field(default_factory=lambda: deque(maxlen=50))
    """The last reasons why the edge answered for an origin."""

    def as_json(self) -> dict[str, Any]:
        """For the control API."""
        return {
            "handshakes": {
                "full": self.full_handshakes.total(),
                "resumed": self.resumed_handshakes.total(),
                "failed": self.failed_handshakes,
                "by_version": {
                    version: {
                        "full": self.full_handshakes[version],
                        "resumed": self.resumed_handshakes[version],
                    }
                    for version in sorted({*self.full_handshakes, *self.resumed_handshakes})
                },
            },
            "connections": self.connections,
            "open_connections": self.open_connections,
            "origin_requests": self.origin_requests,
            "requests_per_finished_connection": {
                str(carried): many for carried, many in sorted(self.finished_connections.items())
            },
            "retries_on_reused": self.retries_on_reused,
            "answers": dict(sorted(self.answers.items())),
            "presented": dict(self.presented),
            "problems": list(self.problems),
        }
