"""What came of the requests: counted while the load runs, and read at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.load.plan import Kind, Route

FIRST_FAILURES = 20
EXCERPT = 200


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """One request that did not get the answer it should have got."""

    at: datetime
    """When it was known, UTC."""
    route: Route
    uri: str
    status: int | None
    """None: no answer at all."""
    what: str
    """The beginning of the body, or what happened to the connection."""

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S.%f} {self.route}, {self.uri}: {self.status or 'no answer'}: {self.what}"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests got the backend's own answer, an allowed redirect, or neither; of the last, POSTs that a closing connection took are apart."""

    ok: int = 0
    redirected: int = 0
    failed: int = 0
    lost: int = 0

    @property
    def requests(self) -> int:
        """All of them."""
        return self.ok + self.redirected + self.failed + self.lost

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.ok + other.ok,
            self.redirected + other.redirected,
            self.failed + other.failed,
            self.lost + other.lost,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """All that was counted so far. Requests still in flight are in no count."""

    routes: Mapping[Route, Tally]
    failures: tuple[FailedRequest, ...]
    """The first 20."""
    losses: tuple[FailedRequest, ...]
    """The first 20 POSTs that were lost: their origin, or the edge, closed a reused connection and
    nobody may send them again.

    It happens at every reload, whoever's it is (facts: ingress-nginx#connections-at-a-reload), so
    that it says nothing about what is configured.
    """
    duration_s: float
    """How long requests have been sent."""
    connections: int
    """Opened by visitors."""
    busiest_connection: int
    """The most requests that one connection carried."""
    retried: int
    """Requests sent again, once, because a *reused* connection closed before the first byte of an
    answer (RFC 9110, 9.2.2)."""
    unsent: int
    """Not sent because too many were in flight: where nothing failed, the machine was too busy for
    the load."""
    worst_lag_s: float
    """How late a request was sent at worst: large when the machine was too busy, and the load then
    less steady than it claims."""

    def tally(self, kind: Kind) -> Tally:
        """All requests of one kind."""
        return sum((tally for route, tally in self.routes.items() if route.kind is kind), Tally())

    @property
    def edge(self) -> Tally:
        """https:// through the edge."""
        return self.tally(Kind.HTTPS)

    @property
    def http(self) -> Tally:
        """http:// through the edge."""
        return self.tally(Kind.HTTP)

    @property
    def direct(self) -> Tally:
        """DNS-only hosts."""
        return self.tally(Kind.DIRECT)

    @property
    def post(self) -> Tally:
        """POSTs through the edge."""
        return self.tally(Kind.POST)

    @property
    def total(self) -> Tally:
        """Everything."""
        return sum(self.routes.values(), Tally())

    @property
    def rate_per_s(self) -> float:
        """Finished requests per second, of all kinds."""
        return self.total.requests / self.duration_s if self.duration_s else 0.0

    @property
    def requests_per_connection(self) -> float:
        """The mean over all connections of visitors."""
        return self.total.requests / self.connections if self.connections else 0.0

    @property
    def unfailing(self) -> bool:
        """Nothing failed, save POSTs that were lost, and every route was really used: a load that asks nobody proves nothing."""
        return (
            self.total.failed == 0
            and bool(self.routes)
            and all(tally.requests > 0 for tally in self.routes.values())
        )

    @property
    def flawless(self) -> bool:
        """The same, and no POST was lost either."""
        return self.unfailing and self.total.lost == 0

    def __str__(self) -> str:
        counts = ", ".join(
            f"{kind} {tally.ok} ok{f', {tally.redirected} redirected' if tally.redirected else ''}, {tally.failed} failed"
            f"{f', {tally.lost} lost on reused connections' if tally.lost else ''}"
            for kind in Kind
            if (tally := self.tally(kind)).requests
        )
        unused = [str(route) for route, tally in self.routes.items() if not tally.requests]
        lines = [
            f"{counts or 'no requests'} in {self.duration_s:.1f} s ({self.rate_per_s:.0f}/s, {self.requests_per_connection:.0f} per connection)"
        ]
        lost = [f"lost: {one}" for one in self.losses]
        lines += [f"not sent, with too many in flight: {self.unsent}"] if self.unsent else []
        return "\n".join(
            [
                *lines,
                *(f"never asked: {route}" for route in unused),
                *map(str, self.failures),
                *lost,
            ]
        )


@dataclass(slots=True)
class Counts:
    """The same while it grows; only touched by the generator's event loop."""

    tallies: dict[Route, Tally]
    failures: list[FailedRequest] = field(default_factory=list)
    losses: list[FailedRequest] = field(default_factory=list)
    connections: int = 0
    busiest_connection: int = 0
    retried: int = 0
    unsent: int = 0
    worst_lag_s: float = 0.0

    def succeed(self, route: Route, *, redirected: bool) -> None:
        """An answer as it should be."""
        self.tallies[route] += Tally(redirected=1) if redirected else Tally(ok=1)

    def fail(self, route: Route, uri: str, status: int | None, what: str) -> None:
        """Any other answer, or none."""
        self.tallies[route] += Tally(failed=1)
        if len(self.failures) < FIRST_FAILURES:
            self.failures.append(
                FailedRequest(datetime.now(UTC), route, uri, status, what[:EXCERPT])
            )

    def lose(self, route: Route, uri: str, status: int | None, what: str) -> None:
        """A POST that a closing connection took."""
        self.tallies[route] += Tally(lost=1)
        if len(self.losses) < FIRST_FAILURES:
            self.losses.append(FailedRequest(datetime.now(UTC), route, uri, status, what[:EXCERPT]))

    def report(self, duration_s: float) -> Report:
        """A copy that no longer changes."""
        return Report(
            routes=dict(self.tallies),
            failures=tuple(self.failures),
            losses=tuple(self.losses),
            duration_s=duration_s,
            connections=self.connections,
            busiest_connection=self.busiest_connection,
            retried=self.retried,
            unsent=self.unsent,
            worst_lag_s=self.worst_lag_s,
        )
