"""One edge location: what it knows of the API's state, and its connections and TLS sessions with origins."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from OpenSSL import SSL

from sandbox.cloudflare.counters import Counters
from sandbox.cloudflare.knobs import LocationKnobs, OriginListener
from sandbox.cloudflare.origin import OriginConnection, OriginError, Target
from sandbox.cloudflare.presented import NOTHING, Presented, presented
from sandbox.cloudflare.state import State, StoredZone
from sandbox.cloudflare.timeline import Lag
from sandbox.cloudflare.tls import Version, context

_chooser = random.SystemRandom()

# Hostname, address, port, version, and whether the server's certificate was judged: a session made
# in Full is not resumed in Full (strict).
_SessionKey = tuple[str, str, int, Version, bool]


class Location:
    """A data centre of the edge, by its code (`FRA`). `clock` gives unix seconds."""

    def __init__(
        self,
        code: str,
        knobs: LocationKnobs,
        state: State,
        clock: Callable[[], float],
        origin_ca_file: Path | None,
    ) -> None:
        self.code = code
        self.knobs = knobs
        self.counters = Counters()
        self.https_port = 0
        self.http_port = 0
        self._lag = Lag(knobs.propagation_s)
        self._state = state
        self._clock = clock
        self._idle: defaultdict[
            tuple[str, bool], list[tuple[OriginConnection, asyncio.TimerHandle]]
        ] = defaultdict(list)
        self._sessions: dict[_SessionKey, SSL.Session] = {}
        self._contexts: dict[Version, SSL.Context] = {
            "1.2": context("1.2", origin_ca_file),
            "1.3": context("1.3", origin_ca_file),
        }

    def turn(self, knobs: LocationKnobs) -> None:
        """From now on behave like this."""
        self._lag.set_delay(knobs.propagation_s, now=self._clock())
        self.knobs = knobs

    def presents(self, zone: StoredZone, hostname: str) -> Presented:
        """What a new TLS connection to the origin presents here and now."""
        override = self.knobs.presents.get(hostname, self.knobs.presents.get("*"))
        if override == "nothing":
            return NOTHING
        if override is not None:
            return Presented(
                "override", self._state.foreign if override == "foreign" else self._state.shared
            )
        return presented(self._state, zone, hostname, self._lag.seen(self._clock()))

    def speaks_plain(self, zone: StoredZone, scheme: str) -> bool:
        """Whether the origin is asked on port 80."""
        mode = self._mode(zone)
        return mode in {"off", "flexible"} or (scheme == "http" and mode != "origin_pull")

    def take_idle(self, hostname: str, *, plain: bool) -> OriginConnection | None:
        """A kept-alive connection, the last used first.

        It goes on with the certificate that it was opened with.
        """
        pool = self._idle[hostname, plain]
        while pool:
            connection, timer = pool.pop()
            timer.cancel()
            if not connection.closed:
                return connection
        return None

    async def open(self, zone: StoredZone, hostname: str, *, plain: bool) -> OriginConnection:
        """A new connection to a replica chosen at random.

        Raises:
            OriginError: there is none (530), it cannot be reached (521 to 523), the handshake failed (525), or the server's
                certificate does not do in Full (strict) (526).
        """
        replicas = zone.replicas(hostname)
        if not replicas:
            raise OriginError(530, f"{hostname} has no origin")
        target = self._target(zone, hostname, _chooser.choice(replicas), plain=plain)
        try:
            connection = await OriginConnection.open(target, self.knobs.connect_timeout_s)
        except OriginError as error:
            self.counters.failed_handshakes += error.status == 525
            raise
        self._count(connection)
        if target.strict and connection.tls and (doubts := connection.tls.doubts):
            connection.close()
            raise OriginError(526, "; ".join(doubts))
        return connection

    def keep(self, connection: OriginConnection) -> None:
        """An exchange is over: keep the connection for the next, if it allows that."""
        stream = connection.stream
        worn = (
            self.knobs.requests_per_connection is not None
            and connection.requests >= self.knobs.requests_per_connection
        )
        if connection.closed or not stream.reusable or worn or not self.knobs.idle_s:
            connection.close()
            return
        stream.h11.start_next_cycle()
        timer = asyncio.get_running_loop().call_later(self.knobs.idle_s, connection.close)
        self._idle[connection.target.hostname, connection.tls is None].append((connection, timer))

    def close_idle(self) -> None:
        """Let go of all kept-alive connections, and of the timers that hold them."""
        for pool in self._idle.values():
            while pool:
                connection, timer = pool.pop()
                timer.cancel()
                connection.close()

    def _mode(self, zone: StoredZone) -> str:
        return zone.ssl.effective.at(self._lag.seen(self._clock()))

    def _target(
        self, zone: StoredZone, hostname: str, replica: OriginListener, *, plain: bool
    ) -> Target:
        if plain:
            return Target(hostname, replica.address, replica.http_port, None)
        version, strict = self.knobs.tls, self._mode(zone) in {"strict", "origin_pull"}
        key = (hostname, replica.address, replica.https_port, version, strict)
        session = self._sessions.get(key) if self.knobs.resume else None
        pair = self.presents(zone, hostname).pair
        return Target(
            hostname,
            replica.address,
            replica.https_port,
            self._contexts[version],
            pair,
            session,
            strict=strict,
        )

    def remember(self, connection: OriginConnection) -> None:
        """An answer has begun: with the first one of a connection its TLS session is good for the next connection."""
        if connection.requests != 1:
            return
        target = connection.target
        session = connection.tls.session if connection.tls else None
        if session is not None:
            version: Version = next(
                version for version, made in self._contexts.items() if made is target.tls
            )
            self._sessions[target.hostname, target.address, target.port, version, target.strict] = (
                session
            )

    def _count(self, connection: OriginConnection) -> None:
        counters = self.counters
        counters.connections += 1
        counters.open_connections += 1
        connection.when_closed = partial(self._count_closed, connection)
        if connection.closed:
            self._count_closed(connection)
        if connection.tls:
            handshakes = (
                counters.resumed_handshakes if connection.tls.resumed else counters.full_handshakes
            )
            handshakes[
                "TLSv1.2" if connection.target.tls is self._contexts["1.2"] else "TLSv1.3"
            ] += 1
            pair = connection.target.present
            counters.presented[pair.sha256 if pair else "none"] += 1

    def _count_closed(self, connection: OriginConnection) -> None:
        self.counters.open_connections -= 1
        self.counters.finished_connections[connection.requests] += 1
