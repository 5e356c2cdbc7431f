"""What is asked, where, how often, and what the right answer is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

LOST_STATUS = 520
"""What Cloudflare answers when the origin closed and no answer had come. On a reused connection it
sends a GET once more, and a POST never; that it was a reused one the visitor cannot see, but where
it was not, GETs of the same host fail as well."""


class Kind(StrEnum):
    """How a request travels; each is counted apart. All but one are GETs."""

    HTTPS = "https"
    """Through an edge location, over TLS."""
    HTTP = "http"
    """Through an edge location, http://: the only kind that may be answered by a redirect, and only
    while `Load.redirects_allowed`."""
    DIRECT = "direct"
    """Past the edge, over TLS: a DNS-only host."""
    POST = "post"
    """As HTTPS, but a request that nobody may send a second time: on a reused connection that
    closes, it is lost (RFC 9110, 9.2.2)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests can be sent: an edge location, or a replica for a DNS-only host.

    Addresses are `ip:port`.
    """

    name: str
    https: str
    http: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One host asked at one place in one way; it has a pool of connections of its own."""

    kind: Kind
    host: str
    location: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.host} at {self.location}"


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What visitors do. `expected(host, uri)` is the backend's own body for a request."""

    hosts: Sequence[str]
    locations: Sequence[Destination]
    expected: Callable[[str, str], bytes]
    status: int = 200
    """The backend's own status."""
    direct: Mapping[str, Sequence[Destination]] = field(default_factory=dict)
    """DNS-only hosts, and the replicas that their visitors go to."""
    ca_files: Sequence[Path] = ()
    """By which server certificates are verified; none: they are not."""
    rate_per_s: float = 60.0
    """Requests over TLS, through the edge and direct together."""
    http_rate_per_s: float = 0.0
    """Requests over http://, in addition."""
    post_rate_per_s: float = 0.0
    """POSTs over TLS through the edge, in addition."""
    path: str = "/visit"
    """Every request appends a number of its own, so that no answer can pass for another's."""
    timeout_s: float = 30.0
    """For one request, connecting included. Longer is a failure."""
    requests_per_connection: int = 200
    """After so many a visitor leaves, so that new visitors keep coming."""
    longest_s: float = 600.0
    """It ends by itself after this time."""
    most_in_flight: int = 200
    """A request that would be one more is not sent, and counted apart: those in flight tell what is
    wrong, or that the machine is busy."""

    def secure_routes(self) -> list[Route]:
        """The routes of `rate_per_s`."""
        edge = [
            _route(Kind.HTTPS, host, place.name, place.https)
            for host in self.hosts
            for place in self.locations
        ]
        return edge + [
            _route(Kind.DIRECT, host, place.name, place.https)
            for host, places in self.direct.items()
            for place in places
        ]

    def post_routes(self) -> list[Route]:
        """The routes of `post_rate_per_s`."""
        return [
            _route(Kind.POST, host, place.name, place.https)
            for host in self.hosts
            for place in self.locations
        ]

    def plaintext_routes(self) -> list[Route]:
        """The routes of `http_rate_per_s`."""
        return [
            _route(Kind.HTTP, host, place.name, place.http)
            for host in self.hosts
            for place in self.locations
            if place.http
        ]


def _route(kind: Kind, host: str, location: str, address: str) -> Route:
    ip, _, port = address.rpartition(":")
    return Route(kind, host, location, ip.strip("[]"), int(port))
