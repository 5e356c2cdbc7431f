"""How each replica of one origin really behaves, host by host: asked once for all objects that share it.

What one host answers says nothing of another, nor of the replica: a replica runs the revision that any of its hosts tells. A revision
counts once it was seen again at least 0.5 s later, because an old worker accepts for another 0.1 s after a new one has answered
(reference: ingress-nginx, 4.5). What was seen of a host stands while its entry in the published text stays the same. What was seen
to be wrong is asked again first. A replica that hangs costs one deadline, whose outcome all objects share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aop.clock import Clock
from aop.observe.behaviour import behaviour_of, revision_told, told
from aop.observed import HostBehaviour, ObservedReplica
from aop.origins import Claim, Mode, ingress_nginx
from aop.probe import Answer, Asked, ClientIdentity, Failure, FailureKind, Paths, Presented, ReplicaAddress, ReplicaProbe

SETTLED_AFTER_S = 0.5
ROUND_S = 10.0
"""How long one round of questions to one replica may take; what is left is asked in the next."""
SHARED_FAILURE_S = 4.0
"""How long a replica's failure to answer is everybody's answer."""
SUSPECT_S = 10.0
"""How often what was seen to be wrong is asked again."""
MOST_AT_ONCE = 8
"""Hosts that are asked again in one round, and hosts that are tried for a first word."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one object wants to know of an origin's replicas."""

    hosts: tuple[str, ...]
    own: frozenset[str]
    """Those whose Ingress verifies client certificates by itself."""
    identities: Mapping[Presented, ClientIdentity]
    claim: Claim | None
    """What is expected to be seen; anything else is suspect."""
    since: Mapping[str, int]
    """By host, the revision since which its entry reads as it does; a host that is missing is asked again at each revision."""
    published: int | None
    """The revision that stands in the ConfigMap; None: nothing of ours does."""
    paths: Paths


@dataclass(slots=True)
class Seen:
    """What one replica last showed of one host."""

    behaviour: HostBehaviour
    revision: int | None
    at: datetime
    leaves: frozenset[str]
    """SHA-256 of the leaves that it was asked with; others ask again."""


@dataclass(slots=True)
class ReplicaMemory:
    """What one replica last showed."""

    revision: int | None = None
    revision_at: datetime | None = None
    """When this revision was first seen on it."""
    settled: bool = False
    hosts: dict[str, Seen] = field(default_factory=dict)
    witness: str | None = None
    """The host that told a revision last: the first to be asked for the next."""
    ran_ours: bool = False
    """It was seen to run our text, so that it may go on serving it although it is not Ready any more."""
    error: str | None = None
    gone: bool = False
    """Nobody listens there any more."""
    failed_at: datetime | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One round at a time: what the first learns, the others need not ask."""

    def stands(self, host: str, question: Question) -> Seen | None:
        """What was seen of a host, if it still holds for what the replica runs."""
        seen = self.hosts.get(host)
        if seen is None or seen.behaviour.own is not (host in question.own):
            return None
        first = question.since.get(host)
        unchanged = (
            first is not None and seen.revision is not None and self.revision is not None and first <= seen.revision <= self.revision
        )
        same_leaves = seen.leaves == leaves_of(question.identities)
        return seen if same_leaves and (unchanged or seen.revision == self.revision) else None

    def note(self, revision: int | None, now: datetime) -> None:
        """A revision was told, or that there is none of ours."""
        self.error, self.gone, self.failed_at = None, False, None
        self.ran_ours = self.ran_ours or revision is not None
        if revision != self.revision or self.revision_at is None:
            self.revision, self.revision_at, self.settled = revision, now, False
        elif not self.settled and now - self.revision_at >= timedelta(seconds=SETTLED_AFTER_S):
            self.settled = True

    def fail(self, failure: Failure, now: datetime) -> None:
        """It could not be asked at all."""
        self.error, self.settled, self.failed_at = str(failure), False, now
        self.gone = failure.kind is FailureKind.REFUSED


def leaves_of(identities: Mapping[Presented, ClientIdentity]) -> frozenset[str]:
    """SHA-256 of the leaves that somebody asks with."""
    return frozenset(identity.sha256 for identity in identities.values())


class HungError(Exception):
    """The replica does not answer in time: nothing more is asked of it in this round."""


class ReplicaReader:
    """Asks replicas; built once per process."""

    def __init__(self, probe: ReplicaProbe, stranger: ClientIdentity, clock: Clock, recheck_s: float) -> None:
        self._probe = probe
        self._stranger = stranger
        self._clock = clock
        self._recheck_s = recheck_s

    async def ask(self, address: ReplicaAddress, question: Question, memory: ReplicaMemory) -> None:
        """One round: which revision runs, then the hosts whose turn it is. Raises nothing for what the replica does."""
        async with memory.turn:
            if memory.failed_at is not None and self._clock.now() - memory.failed_at < timedelta(seconds=SHARED_FAILURE_S):
                return
            before = len(memory.hosts)
            try:
                async with asyncio.timeout(ROUND_S):
                    await self._round(address, question, memory)
            except HungError:
                return
            except TimeoutError:
                if len(memory.hosts) == before:
                    memory.fail(Failure(FailureKind.TIMEOUT, f"no answers within {ROUND_S:.0f} s"), self._clock.now())

    async def _round(self, address: ReplicaAddress, question: Question, memory: ReplicaMemory) -> None:
        if not memory.settled or memory.error or memory.revision != question.published:
            await self._revision(address, question, memory)
        # The first look shows a revision, a later one settles it; only then is a host worth asking about.
        if memory.error or not memory.settled:
            return
        unseen = [host for host in question.hosts if memory.stands(host, question) is None]
        if unseen:
            await self._hosts(address, unseen, question, memory)
        elif due := self._due(question, memory):
            await self._hosts(address, due, question, memory)

    # --- which revision ----------------------------------------------------------------------------------------------

    async def _revision(self, address: ReplicaAddress, question: Question, memory: ReplicaMemory) -> None:
        """One connection tells it, to any host at which our check path answers; a host at which it does not tells nothing of the others."""
        first = [memory.witness] if memory.witness in question.hosts else []
        rest = sorted(set(question.hosts) - set(first), key=lambda host: (self._is_odd(host, memory), host))
        failure: Failure | None = None
        answered = False
        for host in [*first, *rest][:MOST_AT_ONCE]:
            (asked,) = await self._probe.ask(address, host, question.paths, {})
            if isinstance(asked.check, Failure):
                failure = failure or asked.check
                if asked.check.kind in {FailureKind.TIMEOUT, FailureKind.REFUSED}:
                    break  # the replica's own failure, whatever the host
                continue
            answered = True
            if (answer := told(asked.check)) is not None:
                memory.witness = host
                memory.note(answer.revision, self._clock.now())
                return
        # Whatever server takes it, plaintext is answered before any redirect.
        if failure is None or failure.kind not in {FailureKind.TIMEOUT, FailureKind.REFUSED}:
            plaintext = await self._probe.ask_plaintext(address, question.hosts[0], question.paths.check)
            if (answer := told(plaintext)) is not None:
                memory.note(answer.revision, self._clock.now())
                return
            answered = answered or isinstance(plaintext, Answer)
        if answered or failure is None:
            memory.note(None, self._clock.now())
        else:
            memory.fail(failure, self._clock.now())

    @staticmethod
    def _is_odd(host: str, memory: ReplicaMemory) -> bool:
        return host in memory.hosts and memory.hosts[host].behaviour.odd is not None

    # --- how it treats hosts -----------------------------------------------------------------------------------------

    async def _hosts(self, address: ReplicaAddress, hosts: Collection[str], question: Question, memory: ReplicaMemory) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for host in hosts:
                    group.create_task(self._host(address, host, question, memory))
        except* HungError as hung:
            raise HungError from hung

    async def _host(self, address: ReplicaAddress, host: str, question: Question, memory: ReplicaMemory) -> None:
        identities = {**question.identities, Presented.FOREIGN: self._stranger}
        asked = await self._probe.ask(address, host, question.paths, identities)
        now = self._clock.now()
        if hung := timeout_among(asked):
            memory.fail(hung, now)
            raise HungError
        if (revision := revision_told(asked)) is not None:
            memory.witness = host
            if revision != memory.revision:
                memory.note(revision, now)
                return  # a reload has come between: it is asked again once that has settled
        elif any(told(one.check) is not None for one in asked):
            return  # a reload came while it was asked
        behaviour = behaviour_of(host, asked, question.identities, own=host in question.own)
        memory.hosts[host] = Seen(behaviour, memory.revision, now, leaves_of(question.identities))

    def _due(self, question: Question, memory: ReplicaMemory) -> list[str]:
        """What is asked again although nothing was published: suspects every few seconds, and of all hosts one in turn."""
        now = self._clock.now()
        by_age = sorted(question.hosts, key=lambda host: memory.hosts[host].at)
        waiting = timedelta(seconds=min(SUSPECT_S, self._recheck_s))
        suspects = [
            host for host in by_age if now - memory.hosts[host].at >= waiting and is_suspect(memory.hosts[host].behaviour, question.claim)
        ]
        newest = memory.hosts[by_age[-1]].at
        turn = by_age[:1] if now - newest >= timedelta(seconds=self._recheck_s) else []
        return list(dict.fromkeys([*suspects[:MOST_AT_ONCE], *turn]))


def timeout_among(asked: tuple[Asked, ...]) -> Failure | None:
    """Nothing came in time: both paths are answered by the server itself, so that this is the replica's failure and no host's."""
    answers = (answer for one in asked for answer in (one.check, one.gate))
    return next((answer for answer in answers if isinstance(answer, Failure) and answer.kind is FailureKind.TIMEOUT), None)


def is_suspect(behaviour: HostBehaviour, claim: Claim | None) -> bool:
    """It did not do what the claim says when it was last asked."""
    expected = max(claim.at(behaviour.host) if claim else Mode.OFF, Mode.REQUEST)  # another zone's claim may ask although ours does not
    return behaviour.odd is not None or behaviour.own or bool(behaviour.refuses) or max(behaviour.mode, Mode.REQUEST) != expected


def observed_replica(replica: ingress_nginx.Replica, memory: ReplicaMemory, question: Question) -> ObservedReplica:
    """What is known of one replica, for the object that asks."""
    seen = (memory.stands(host, question) for host in question.hosts)
    return ObservedReplica(
        name=replica.name,
        revision=memory.revision,
        settled=memory.settled,
        hosts=tuple(one.behaviour for one in seen if one is not None),
        error=memory.error,
        ready=replica.ready,
    )


def may_serve(replica: ingress_nginx.Replica, memory: ReplicaMemory) -> bool:
    """It is Ready, or it is not and may serve our text all the same: Kubernetes cannot tell, and its visitors are refused like others."""
    return replica.ready or (memory.ran_ours and not memory.gone)
