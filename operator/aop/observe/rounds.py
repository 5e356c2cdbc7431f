"""What an origin's replicas have shown, and the questions that are under way to them.

Each replica is asked once at a time for each object. A look waits for the answers until its
deadline; a question that hangs goes on by itself, and a later look sees its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from aop.clock import Clock
from aop.observe.replicas import ReplicaReader
from aop.observe.views import Question, ReplicaMemory, may_serve, observed_replica
from aop.observed import ObservedReplica
from aop.origins.kind import Site
from aop.origins.sites import Replica
from aop.probe import ReplicaAddress


class Rounds:
    """The replicas of one origin; built once by its keeper."""

    def __init__(
        self, reader: ReplicaReader, clock: Clock, wake: Callable[[frozenset[str]], None]
    ) -> None:
        """`wake` has the objects with these uids look."""
        self._reader = reader
        self._clock = clock
        self._wake = wake
        self._known: dict[str, ReplicaMemory] = {}
        """By pod uid."""
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By pod and object."""
        self._awaiting: set[str] = set()
        """Objects that are woken when what they have asked is answered."""

    @property
    def troubled(self) -> frozenset[str]:
        """Uids of the pods that could not be asked."""
        return frozenset(uid for uid, memory in self._known.items() if memory.error)

    async def ask(self, uid: str, site: Site, question: Question, until_s: float) -> None:
        """Ask every replica that may serve, and wait for those that are Ready until `until_s`.

        A replica that is not Ready may serve our text all the same, which only its answer shows;
        but nobody waits for it.
        """
        self._known = {one.uid: self._memory(one) for one in site.replicas}
        self._under_way = {key: task for key, task in self._under_way.items() if not task.done()}
        for replica in site.replicas:
            seen = self._known[replica.uid]
            seen.note_ready(now=replica.ready)
            seen.started = replica.started
            if replica.ip and (replica.uid, uid) not in self._under_way:
                self._begin(uid, replica, site, question, seen)
        awaited = [
            self._under_way[key]
            for replica in site.replicas
            if replica.ready and (key := (replica.uid, uid)) in self._under_way
        ]
        if awaited:
            await asyncio.wait(awaited, timeout=max(0.0, until_s - self._clock.monotonic_s()))

    def _begin(
        self, uid: str, replica: Replica, site: Site, question: Question, seen: ReplicaMemory
    ) -> None:
        address = ReplicaAddress(
            replica.ip, replica.https_port, replica.http_port, site.proxy_protocol
        )
        asking = asyncio.create_task(self._reader.ask(address, question, seen))
        asking.add_done_callback(lambda _: self._note_answers(uid))
        self._under_way[replica.uid, uid] = asking

    def await_answers(self, uid: str) -> bool:
        """Whether the object is woken once every replica has answered what it has asked.

        False if all have answered already.
        """
        if self._is_asking(uid):
            self._awaiting.add(uid)
            return True
        return False

    def _is_asking(self, uid: str) -> bool:
        """Some replica has not answered yet what the object has asked."""
        rounds = (self._under_way.get((replica, uid)) for replica in self._known)
        return any(one is not None and not one.done() for one in rounds)

    def _note_answers(self, uid: str) -> None:
        if uid in self._awaiting and not self._is_asking(uid):
            self._awaiting.remove(uid)
            self._wake(frozenset({uid}))

    def drop(self, uid: str) -> None:
        """An object is gone: nobody wakes it."""
        self._awaiting.discard(uid)

    def forget_hosts(self) -> None:
        """Nobody knows any more what the text says of a host: ask about all of them anew."""
        for memory in self._known.values():
            memory.forget_hosts()

    def observed(
        self, site: Site, question: Question, *, asked: bool
    ) -> tuple[ObservedReplica, ...]:
        """What is known of each replica that may serve.

        What a replica answered to another object long ago is no fact for one that has not `asked`:
        for that one nothing counts as settled.
        """
        known = (observed_replica(*one, question) for one in self._serving(site))
        return tuple(one if asked else replace(one, settled=False) for one in known)

    def revisions(self, site: Site) -> set[int | None]:
        """The revisions that the replicas which may serve were seen to run.

        None stands for those that cannot be asked, or have not shown it for certain.
        """
        return {
            memory.revision if memory.settled and not memory.error else None
            for _, memory in self._serving(site)
        }

    def taken_up_in_place(self, site: Site) -> tuple[Replica, int | None] | None:
        """The first replica that took up a revision while it was running, and that revision."""
        for replica in site.replicas:
            memory = self._memory(replica)
            if memory.settled and replica.started and memory.in_place == replica.started:
                return replica, memory.revision
        return None

    def _serving(self, site: Site) -> list[tuple[Replica, ReplicaMemory]]:
        known = ((replica, self._memory(replica)) for replica in site.replicas)
        return [(replica, memory) for replica, memory in known if may_serve(replica, memory)]

    def _memory(self, replica: Replica) -> ReplicaMemory:
        return self._known.get(replica.uid) or ReplicaMemory()
