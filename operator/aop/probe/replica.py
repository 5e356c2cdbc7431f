"""Ask one replica of an origin how it treats one host.

Without a certificate, with ours, with the next one, with a stranger's. The origin kind's pure
parser says what the answers mean (`Mode`, accepted leaves, the revision in force).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakValueDictionary

from aop.probe.answers import Answer, Failure, FailureKind
from aop.probe.connection import Connection, Route, Stage
from aop.probe.identity import ClientIdentity, unverified_context

CLAIMED = "claimed"
"""The value of a header that is sent without a certificate: any value passes for another
certificate."""
MOST_CONTEXTS = 512
"""How many TLS contexts are kept, each of 20 KB."""


class Presented(StrEnum):
    """What a connection to a replica presents when it is asked for a certificate."""

    NONE = "none"
    OURS = "ours"
    NEXT = "next"
    FOREIGN = "foreign"
    """A throw-away certificate that nobody pins or signs."""


@dataclass(frozen=True, slots=True)
class ReplicaAddress:
    """Where one replica listens. With `proxy_protocol` both ports demand a PROXY header."""

    ip: str
    https_port: int = 443
    http_port: int = 80
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class Paths:
    """The two exact paths that are ours on every host; queries may be part of them."""

    check: str
    """Exempt from refusal: shows the revision and what was presented."""
    gate: str
    """Not exempt: 204, or the origin's refusal."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one replica answered to one host with one certificate.

    Both answers come over one connection if the replica keeps it open after the first, so that the
    gate's answer belongs to the revision that the check showed. Otherwise (a refused check closes
    it) the gate was asked over another connection.
    """

    host: str
    presented: Presented
    check: Answer | Failure
    gate: Answer | Failure


class ReplicaProbe:
    """Asks replicas; built once per process.

    `timeout_s` bounds each answer including the connection that it needs; at most three of them
    bound one certificate's turn. At most `connections_per_replica` connections to one replica are
    open at a time, and waiting for a turn does not count.
    """

    def __init__(self, *, timeout_s: float, connections_per_replica: int = 4) -> None:
        self._timeout_s = timeout_s
        self._per_replica = connections_per_replica
        self._anonymous = unverified_context()
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        """By the leaf that is presented, the last used at the end."""
        self._turns: WeakValueDictionary[ReplicaAddress, asyncio.Semaphore] = WeakValueDictionary()

    async def ask(
        self,
        replica: ReplicaAddress,
        host: str,
        paths: Paths,
        identities: Mapping[Presented, ClientIdentity],
        told_by: Collection[str] = (),
    ) -> tuple[Asked, ...]:
        """Ask for `host` without a certificate and with each of `identities`.

        The request without one claims in the headers `told_by` that it has one.

        Returns the answers in the order of `Presented`. Each uses a fresh connection with a full
        TLS handshake, SNI and Host both `host`.
        """
        contexts = {Presented.NONE: self._anonymous} | {
            presented: await self._context(identity) for presented, identity in identities.items()
        }
        return tuple(
            await asyncio.gather(
                *(
                    self._ask_with(
                        replica,
                        host,
                        paths,
                        presented,
                        contexts[presented],
                        dict.fromkeys(told_by, CLAIMED) if presented is Presented.NONE else {},
                    )
                    for presented in Presented
                    if presented in contexts
                )
            )
        )

    async def _context(self, identity: ClientIdentity) -> ssl.SSLContext:
        """The context of this identity, made anew if it was not used for long."""
        known = self._contexts.get(identity.sha256)
        if known is None:
            known = self._contexts[identity.sha256] = await asyncio.to_thread(identity.context)
        self._contexts.move_to_end(identity.sha256)
        if len(self._contexts) > MOST_CONTEXTS:
            self._contexts.popitem(last=False)
        return known

    async def ask_plaintext(
        self, replica: ReplicaAddress, host: str, path: str
    ) -> Answer | Failure:
        """Ask for `path` over http://."""
        async with self._turn(replica), Connection(_route(replica, host, None)) as connection:
            return await connection.ask(path, timeout_s=self._timeout_s)

    async def _ask_with(
        self,
        replica: ReplicaAddress,
        host: str,
        paths: Paths,
        presented: Presented,
        tls: ssl.SSLContext,
        headers: Mapping[str, str],
    ) -> Asked:
        route = _route(replica, host, tls)
        async with self._turn(replica):
            async with Connection(route) as connection:
                check = await connection.ask(
                    paths.check, timeout_s=self._timeout_s, headers=headers
                )
                if isinstance(check, Failure) and connection.stage is not Stage.ANSWER:
                    return Asked(host, presented, check, check)
                gate = (
                    await connection.ask(paths.gate, timeout_s=self._timeout_s)
                    if connection.reusable
                    else None
                )
            # A connection that is closed while it is being reused says nothing about the gate (RFC
            # 9110, 9.2.2).
            if gate is None or (isinstance(gate, Failure) and gate.kind is FailureKind.RESET):
                async with Connection(route) as connection:
                    gate = await connection.ask(paths.gate, timeout_s=self._timeout_s)
        return Asked(host, presented, check, gate)

    def _turn(self, replica: ReplicaAddress) -> asyncio.Semaphore:
        return self._turns.setdefault(replica, asyncio.Semaphore(self._per_replica))


def _route(replica: ReplicaAddress, host: str, tls: ssl.SSLContext | None) -> Route:
    return Route(
        host=host,
        address=replica.ip,
        port=replica.https_port if tls else replica.http_port,
        tls=tls,
        proxy_protocol=replica.proxy_protocol,
    )
