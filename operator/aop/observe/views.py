"""What is remembered of each replica of an origin.

Which revision it runs, and what it showed of each host, to whom. What was seen of a host stands
while its entry in the published text stays the same, whatever others publish on top. What depends
on the leaf that was presented is kept for that leaf alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aop.observe.behaviour import Refuses
from aop.observed import HostBehaviour, ObservedReplica
from aop.origins.sites import Replica
from aop.probe import ClientIdentity, Failure, FailureKind, Paths, Presented
from aop.terms import Claim, Mode

SETTLED_AFTER_S = 0.5
TURN_S = 2.0
"""How often at most a replica is asked about a host of which nothing is suspected, for all objects
together (seconds)."""
SHARED_S = 0.25
"""For how long the revision that a replica has shown is the answer to all objects, so that the
replica is not asked more often the more objects there are."""
KEPT = timedelta(minutes=10)
"""How long a view is kept for which nobody asks: of leaves that were replaced, of objects that are
gone."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one object wants to know of an origin's replicas."""

    hosts: tuple[str, ...]
    own: frozenset[str]
    """The hosts at which somebody else verifies client certificates."""
    identities: Mapping[Presented, ClientIdentity]
    claim: Claim | None
    """What the replica should show; anything else is suspect."""
    since: Mapping[str, int]
    """By host, the revision since which its entry reads as it does. A host that is missing is asked
    about again at each revision."""
    claim_since: int | None
    """The revision since which the claim reads as it does; None: nobody knows."""
    published: int | None
    """The published revision; None: nothing of ours is published."""
    paths: Paths
    refuses_certificate: Refuses
    """Tells the server's own refusal."""
    told_by: tuple[str, ...] = ()
    """As `kind.Capabilities` says."""

    @property
    def leaves(self) -> frozenset[str]:
        """SHA-256 of the leaves with which it asks; what is seen depends on them."""
        return frozenset(identity.sha256 for identity in self.identities.values())


@dataclass(slots=True)
class SeenHost:
    """What one replica last showed of one host."""

    behaviour: HostBehaviour
    revision: int | None
    at: datetime


@dataclass(slots=True)
class View:
    """What one replica shows to whoever asks with certain leaves."""

    asked_at: datetime
    hosts: dict[str, SeenHost] = field(default_factory=dict)
    doubted: set[str] = field(default_factory=set)
    """Hosts that looked odd once. A lost connection looks the same, so it takes a second time to
    believe it."""
    bug: str | None = None
    """The bug of the operator that the last question met here."""


@dataclass(slots=True)
class ReplicaMemory:
    """What one replica last showed."""

    revision: int | None = None
    revision_at: datetime | None = None
    """When this revision was first seen on it."""
    asked_at: datetime | None = None
    """When it was last asked which revision it runs."""
    turn_at: datetime | None = None
    """When it was last asked about a host of which nothing is suspected."""
    settled: bool = False
    settled_revision: int | None = None
    """The last revision that had settled on it, if it could be asked ever since."""
    views: dict[frozenset[str], View] = field(default_factory=dict)
    """By the leaves that are presented; objects that share a host ask with their own leaves."""
    witness: str | None = None
    """The host that last showed a revision; it is asked first for the next one."""
    mute: set[str] = field(default_factory=set)
    """Hosts that showed no revision when they were last asked for one; they are asked last for the
    next one."""
    error: str | None = None
    started: str = ""
    """As `Replica.started` was when it was last asked."""
    told_in: str = ""
    """In which start of its container it showed its revision."""
    in_place: str = ""
    """A start of its container in which it showed one revision and then another."""
    gone: bool = False
    """Nobody listens there any more."""
    failed_at: datetime | None = None
    ready: bool = False
    """Kubernetes counted it as Ready when it was last asked."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One round at a time: what the first learns, the others need not ask."""

    @property
    def runs_ours(self) -> bool:
        """Whether it ran our text when it last answered.

        Then it may go on serving it although it is not Ready any more.
        """
        return self.revision is not None and not self.gone

    def view(self, leaves: frozenset[str], now: datetime) -> View:
        """What it shows to these leaves; forgets views for which nobody asks any more."""
        self.views = {
            of: view
            for of, view in self.views.items()
            if of == leaves or now - view.asked_at < KEPT
        }
        view = self.views.setdefault(leaves, View(now))
        view.asked_at = now
        return view

    def stands(self, host: str, question: Question) -> SeenHost | None:
        """What was seen of a host, if that still holds for what the replica runs."""
        view = self.views.get(question.leaves)
        seen = view.hosts.get(host) if view else None
        if seen is None or seen.behaviour.own is not (host in question.own):
            return None
        first = question.since.get(host)
        unchanged = (
            first is not None
            and seen.revision is not None
            and self.revision is not None
            and first <= seen.revision <= self.revision
        )
        return seen if unchanged or seen.revision == self.revision else None

    def note(self, revision: int | None, now: datetime) -> None:
        """It showed a revision, or that it runs none of ours."""
        self.error, self.gone, self.failed_at = None, False, None
        changed = None not in (revision, self.revision) and revision != self.revision
        if changed and self.told_in == self.started:
            self.in_place = self.started
        self.told_in = self.started
        if revision != self.revision or self.revision_at is None:
            self.revision, self.revision_at, self.settled = revision, now, False
        elif not self.settled and now - self.revision_at >= timedelta(seconds=SETTLED_AFTER_S):
            self.settled, self.settled_revision = True, revision

    def was_asked_just_before(self, now: datetime) -> bool:
        """Whether anybody has just asked for its revision, unless asking again would settle it."""
        if self.asked_at is None or now - self.asked_at >= timedelta(seconds=SHARED_S):
            return False
        settles_at = (self.revision_at or now) + timedelta(seconds=SETTLED_AFTER_S)
        return self.settled or not self.asked_at < settles_at <= now

    def takes_a_turn(self, now: datetime) -> bool:
        """Take a turn: whether it may now be asked about a host of which nothing is suspected."""
        if self.turn_at is not None and now - self.turn_at < timedelta(seconds=TURN_S):
            return False
        self.turn_at = now
        return True

    def settled_for(self, question: Question) -> bool:
        """Whether what it runs has settled, or an earlier revision with the same claim had."""
        if self.settled or question.claim_since is None or question.published is None:
            return self.settled
        return (
            self.settled_revision is not None
            and self.revision is not None
            and question.claim_since <= self.settled_revision <= self.revision <= question.published
        )

    def fail(self, failure: Failure, now: datetime) -> None:
        """It could not be asked at all."""
        self.error, self.settled, self.failed_at = str(failure), False, now
        self.settled_revision = None
        self.gone = failure.kind is FailureKind.REFUSED

    def note_ready(self, *, now: bool) -> None:
        """Note whether Kubernetes counts it as Ready.

        Once it is Ready, it no longer matters that it could not be asked while it started.
        """
        if now and not self.ready:
            self.error, self.gone, self.failed_at = None, False, None
        self.ready = now

    def forget_hosts(self) -> None:
        """Nobody knows any more what its text says: ask about everything anew."""
        self.settled, self.settled_revision = False, None
        self.views.clear()


def is_suspect(behaviour: HostBehaviour, claim: Claim | None) -> bool:
    """Whether it did not do what the claim says when it was last asked."""
    at = claim.at(behaviour.host) if claim else Mode.OFF
    expected = (
        {at, Mode.REQUEST} if at is Mode.OFF else {at}
    )  # another zone's claim may ask although ours does not
    return (
        behaviour.odd is not None
        or behaviour.own
        or bool(behaviour.believes)
        or bool(behaviour.refuses)
        or behaviour.mode not in expected
    )


def observed_replica(
    replica: Replica, memory: ReplicaMemory, question: Question
) -> ObservedReplica:
    """What is known of one replica, for the object that asks."""
    seen = (memory.stands(host, question) for host in question.hosts)
    view = memory.views.get(question.leaves)
    return ObservedReplica(
        name=replica.name,
        revision=memory.revision,
        settled=memory.settled_for(question),
        hosts=tuple(one.behaviour for one in seen if one is not None),
        error=memory.error or (view.bug if view else None),
        ready=replica.ready,
    )


def may_serve(replica: Replica, memory: ReplicaMemory) -> bool:
    """Whether it is Ready, or may serve our text although it is not.

    Kubernetes cannot tell, and its visitors are refused like others. A replica that cannot be asked
    may have run our text before this process began: it counts until it answers, or until nobody
    listens there.
    """
    unheard = bool(replica.ip) and (memory.revision_at is None or memory.error is not None)
    return replica.ready or memory.runs_ours or (unheard and not memory.gone)
