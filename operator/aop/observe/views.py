"""What is remembered of each replica of an origin.

Which revision it runs, and what it showed of each host, to whom. What was seen of a host stands
while its entry in the published text stays the same, whatever others publish on top; what depends
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
together."""
SHARED_S = 0.25
"""How long the revision that a replica has told is the answer to all objects, so that their number
costs it nothing."""
KEPT = timedelta(minutes=10)
"""How long a view is kept that nobody asks for: leaves that were replaced, objects that are
gone."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one object wants to know of an origin's replicas."""

    hosts: tuple[str, ...]
    own: frozenset[str]
    """Those at which somebody else verifies client certificates."""
    identities: Mapping[Presented, ClientIdentity]
    claim: Claim | None
    """What is expected to be seen; anything else is suspect."""
    since: Mapping[str, int]
    """By host, the revision since which its entry reads as it does; a host that is missing is asked
    again at each revision."""
    claim_since: int | None
    """The revision since which the claim reads as it does; None: nobody knows."""
    published: int | None
    """The revision that is published; None: nothing of ours does."""
    paths: Paths
    refuses_certificate: Refuses
    """How the server's own refusal is told."""
    told_by: tuple[str, ...] = ()
    """As `kind.Capabilities` says."""

    @property
    def leaves(self) -> frozenset[str]:
        """SHA-256 of the leaves that it asks with: what is seen depends on them."""
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
    """Hosts that were seen to be odd once: a connection that got lost looks the same, so it takes a
    second time to believe it."""
    bug: str | None = None
    """What went wrong here, in the operator, when it was last asked for."""


@dataclass(slots=True)
class ReplicaMemory:
    """What one replica last showed."""

    revision: int | None = None
    revision_at: datetime | None = None
    """When this revision was first seen on it."""
    asked_at: datetime | None = None
    """When it was last asked which one it runs."""
    turn_at: datetime | None = None
    """When it was last asked about a host of which nothing is suspected."""
    settled: bool = False
    settled_revision: int | None = None
    """The last revision that had settled on it, unless it could not be asked since."""
    views: dict[frozenset[str], View] = field(default_factory=dict)
    """By the leaves that are presented: objects that share a host ask with leaves of their own."""
    witness: str | None = None
    """The host that told a revision last: the first to be asked for the next."""
    mute: set[str] = field(default_factory=set)
    """Hosts that told no revision when they were last asked for one: the last to be asked for the
    next."""
    error: str | None = None
    started: str = ""
    """As `Replica.started` was when it was last asked."""
    told_in: str = ""
    """In which start it told its revision."""
    in_place: str = ""
    """A start in which it told one revision and then another."""
    gone: bool = False
    """Nobody listens there any more."""
    failed_at: datetime | None = None
    ready: bool = False
    """Kubernetes counted it as Ready when it was last asked."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One round at a time: what the first learns, the others need not ask."""

    @property
    def runs_ours(self) -> bool:
        """It ran our text when it was last heard of.

        So it may go on serving it although it is not Ready any more.
        """
        return self.revision is not None and not self.gone

    def view(self, leaves: frozenset[str], now: datetime) -> View:
        """What is shown to these leaves; forgets what nobody asks for any more."""
        self.views = {
            of: view
            for of, view in self.views.items()
            if of == leaves or now - view.asked_at < KEPT
        }
        view = self.views.setdefault(leaves, View(now))
        view.asked_at = now
        return view

    def stands(self, host: str, question: Question) -> SeenHost | None:
        """What was seen of a host, if it still holds for what the replica runs."""
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
        """A revision was told, or that there is none of ours."""
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
        """For its revision, by anybody, unless asking once more would settle it."""
        if self.asked_at is None or now - self.asked_at >= timedelta(seconds=SHARED_S):
            return False
        settles_at = (self.revision_at or now) + timedelta(seconds=SETTLED_AFTER_S)
        return self.settled or not self.asked_at < settles_at <= now

    def takes_a_turn(self, now: datetime) -> bool:
        """Whether it may be asked about a host of which nothing is suspected; that is its turn."""
        if self.turn_at is not None and now - self.turn_at < timedelta(seconds=TURN_S):
            return False
        self.turn_at = now
        return True

    def settled_for(self, question: Question) -> bool:
        """What it runs has settled, or an earlier revision has in which the claim is the same."""
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
        """Kubernetes counts it as Ready now, or does not.

        Once it is, it does not matter any more that it could not be asked while it started.
        """
        if now and not self.ready:
            self.error, self.gone, self.failed_at = None, False, None
        self.ready = now

    def forget_hosts(self) -> None:
        """Nobody knows any more what its text says: everything is asked anew."""
        self.settled, self.settled_revision = False, None
        self.views.clear()


def is_suspect(behaviour: HostBehaviour, claim: Claim | None) -> bool:
    """It did not do what the claim says when it was last asked."""
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
    """It is Ready, or it is not and may serve our text all the same.

    Kubernetes cannot tell, and its visitors are refused like others. One that cannot be asked may
    have run our text before this process began: it counts until it answers, or nobody listens
    there.
    """
    unheard = bool(replica.ip) and (memory.revision_at is None or memory.error is not None)
    return replica.ready or memory.runs_ours or (unheard and not memory.gone)
