"""How each replica of one origin really behaves, host by host.

Replicas are asked once for all objects that share them. What one host answers says nothing about
another host, nor about the replica: a replica runs the revision that any of its hosts shows. A
revision counts once it was seen again at least 0.5 s later, because an old worker accepts
connections for another 0.1 s after a new one has answered (facts: ingress-nginx#old-workers).
Whatever was seen to be wrong is asked again first. A replica that hangs costs one deadline, whose
outcome all objects share. If only one host hangs, on a replica that otherwise answers, only that
host suffers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import timedelta

from aop.clock import Clock
from aop.observe.behaviour import behaviour_of, check_answer, revision_told
from aop.observe.views import Question, ReplicaMemory, SeenHost, View, is_suspect
from aop.observed import HostBehaviour
from aop.probe import (
    Answer,
    Asked,
    ClientIdentity,
    Failure,
    FailureKind,
    Presented,
    ReplicaAddress,
    ReplicaProbe,
)

ROUND_S = 12.0
"""How long one round of questions to one replica may take: as long as two requests that time out.
What is left is asked in the next round."""
SHARED_FAILURE_S = 4.0
"""For how long a replica's failure to answer is the answer to everybody."""
SUSPECT_S = 10.0
"""How often something that was seen to be wrong is asked again."""
MOST_AT_ONCE = 8
"""How many hosts are asked again in one round, and how many are tried for a first revision."""
MOST_NEW = 50
"""How many hosts are asked for the first time in one round; then another object has its turn."""
OF_THE_REPLICA = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE})
"""Failures to connect, which do not depend on the host."""

log = logging.getLogger("aop")


class NoAnswerError(Exception):
    """A host gives no answer in time, or nobody listens.

    Nothing more is asked of the replica in this round.
    """

    def __init__(self, failure: Failure, behaviour: HostBehaviour) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.behaviour = behaviour


class ReplicaReader:
    """Asks replicas; built once per process."""

    def __init__(
        self,
        probe: ReplicaProbe,
        stranger: ClientIdentity,
        clock: Clock,
        recheck_s: float,
        *,
        round_s: float = ROUND_S,
    ) -> None:
        self._probe = probe
        self._stranger = stranger
        self._clock = clock
        self._recheck_s = recheck_s
        self._round_s = round_s

    async def ask(self, address: ReplicaAddress, question: Question, memory: ReplicaMemory) -> None:
        """One round: which revision runs, then the hosts whose turn it is.

        Raises nothing except when it is cancelled.
        """
        async with memory.turn:
            began = self._clock.now()
            if memory.failed_at is not None and began - memory.failed_at < timedelta(
                seconds=SHARED_FAILURE_S
            ):
                return
            view = memory.view(question.leaves, began)
            try:
                async with asyncio.timeout(self._round_s):
                    await self._round(address, question, memory, view)
            except TimeoutError:
                if not any(seen.at >= began for seen in view.hosts.values()):
                    memory.fail(
                        Failure(FailureKind.TIMEOUT, f"no answers within {self._round_s:.0f} s"),
                        self._clock.now(),
                    )
            except Exception as error:
                log.exception("bug while asking %s", address.ip)
                view.bug = f"{type(error).__name__} in the operator; its log has the traceback"
            else:
                view.bug = None

    async def _round(
        self, address: ReplicaAddress, question: Question, memory: ReplicaMemory, view: View
    ) -> None:
        waits = not memory.settled or memory.error or memory.revision != question.published
        if waits and not memory.was_asked_just_before(self._clock.now()):
            memory.asked_at = self._clock.now()
            await self._revision(address, question, memory)
        # The first look shows a revision, and a later one settles it. Only then is it worth asking
        # about a host.
        if memory.error or not memory.settled:
            return
        unseen = [host for host in question.hosts if memory.stands(host, question) is None]
        if turn := unseen[:MOST_NEW] or self._due(question, memory, view):
            await self._hosts(address, turn, question, memory, view)

    # --- which revision ---------------------------------------------------------------------------

    async def _revision(
        self, address: ReplicaAddress, question: Question, memory: ReplicaMemory
    ) -> None:
        """The revision: one connection shows it, to any host at which our check path answers.

        A host at which it does not answer says nothing about the others.
        """
        failure: Failure | None = None
        answered = False
        for host in self._first_asked(question, memory)[:MOST_AT_ONCE]:
            (asked,) = await self._probe.ask(address, host, question.paths, {})
            if (answer := check_answer(asked.check)) is not None:
                self._hear(host, answer.revision, memory)
                return
            memory.mute.add(host)
            if isinstance(asked.check, Answer):
                answered = True
            elif (failure := asked.check).kind in {FailureKind.TIMEOUT, *OF_THE_REPLICA}:
                break
        if failure is not None and failure.kind in OF_THE_REPLICA:
            memory.fail(failure, self._clock.now())
            return
        # Any server answers plaintext before it redirects. So plaintext tells a host that hangs
        # from a replica that hangs.
        plaintext = await self._probe.ask_plaintext(
            address, self._first_asked(question, memory)[0], question.paths.check
        )
        if isinstance(plaintext, Answer):
            answer = check_answer(plaintext)
            memory.note(answer.revision if answer else None, self._clock.now())
        elif failure is not None and not answered:
            memory.fail(failure, self._clock.now())
        elif memory.mute.issuperset(question.hosts):
            memory.note(None, self._clock.now())

    @staticmethod
    def _first_asked(question: Question, memory: ReplicaMemory) -> list[str]:
        return sorted(
            question.hosts, key=lambda host: (host in memory.mute, host != memory.witness, host)
        )

    def _hear(self, host: str, revision: int, memory: ReplicaMemory) -> None:
        memory.witness = host
        memory.mute.discard(host)
        memory.note(revision, self._clock.now())

    # --- how it treats hosts ----------------------------------------------------------------------

    async def _hosts(
        self,
        address: ReplicaAddress,
        hosts: Collection[str],
        question: Question,
        memory: ReplicaMemory,
        view: View,
    ) -> None:
        silent: list[NoAnswerError] = []
        try:
            async with asyncio.TaskGroup() as group:
                for host in hosts:
                    group.create_task(self._host(address, host, question, memory, view))
        except* NoAnswerError as errors:
            silent += [error for error in errors.exceptions if isinstance(error, NoAnswerError)]
        if silent:
            await self._tell_apart(address, silent[0], question, memory, view)

    async def _tell_apart(
        self,
        address: ReplicaAddress,
        silent: NoAnswerError,
        question: Question,
        memory: ReplicaMemory,
        view: View,
    ) -> None:
        """Note whether one host of the replica hangs or all of it; plaintext tells which.

        One host hangs if its TLS is passed on to a backend that hangs.
        """
        host = silent.behaviour.host
        if silent.failure.kind is FailureKind.TIMEOUT and isinstance(
            await self._probe.ask_plaintext(address, host, question.paths.check), Answer
        ):
            self._keep(silent.behaviour, memory, view)
        else:
            memory.fail(silent.failure, self._clock.now())

    async def _host(
        self,
        address: ReplicaAddress,
        host: str,
        question: Question,
        memory: ReplicaMemory,
        view: View,
    ) -> None:
        identities = {**question.identities, Presented.FOREIGN: self._stranger}
        asked = await self._probe.ask(address, host, question.paths, identities, question.told_by)
        behaviour = behaviour_of(
            host,
            asked,
            question.identities,
            question.refuses_certificate,
            own=host in question.own,
            told_by=question.told_by,
        )
        if failure := nobody_there(asked):
            raise NoAnswerError(failure, behaviour)
        if (revision := revision_told(asked)) is not None:
            memory.witness = host
            if revision != memory.revision:
                self._hear(host, revision, memory)
            if not memory.settled:
                return  # a reload has come between: it is asked again once that has settled
        elif any(check_answer(one.check) is not None for one in asked):
            return  # a reload came while it was asked
        self._keep(behaviour, memory, view)

    def _keep(self, behaviour: HostBehaviour, memory: ReplicaMemory, view: View) -> None:
        host, before = behaviour.host, view.hosts.get(behaviour.host)
        known_to_be_odd = host in view.doubted or (
            before is not None and before.behaviour.odd is not None
        )
        if behaviour.odd is not None and not known_to_be_odd:
            view.doubted.add(host)
            return
        view.doubted.discard(host)
        view.hosts[host] = SeenHost(behaviour, memory.revision, self._clock.now())

    def _due(self, question: Question, memory: ReplicaMemory, view: View) -> list[str]:
        """The hosts that are asked again although nothing was published.

        A doubted one at once, suspects every few seconds, and of all the others one in turn, at a
        rate that does not grow with the number of objects.
        """
        now = self._clock.now()
        by_age = sorted(question.hosts, key=lambda host: view.hosts[host].at)
        suspects = [
            host for host in by_age if is_suspect(view.hosts[host].behaviour, question.claim)
        ]
        doubted = [host for host in by_age if host in view.doubted and host not in suspects]
        others = [host for host in by_age if host not in {*suspects, *doubted}]
        waiting = timedelta(seconds=min(SUSPECT_S, self._recheck_s))
        again = [*doubted, *(host for host in suspects if now - view.hosts[host].at >= waiting)]
        rested = bool(others) and now - view.hosts[others[-1]].at >= timedelta(
            seconds=self._recheck_s
        )
        turn = others[:1] if rested and memory.takes_a_turn(now) else []
        return [*again[:MOST_AT_ONCE], *turn]


def nobody_there(asked: tuple[Asked, ...]) -> Failure | None:
    """Whether it failed to connect, or to answer in time.

    The server itself answers both paths, before any application.
    """
    answers = [
        answer for one in asked for answer in (one.check, one.gate) if isinstance(answer, Failure)
    ]
    return next(
        (answer for answer in answers if answer.kind in {FailureKind.TIMEOUT, *OF_THE_REPLICA}),
        None,
    )
