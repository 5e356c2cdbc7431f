"""The keeper of an origin: one per target, shared by all objects that name it.

It looks, it writes, and its memory is private. It knows no origin kind by name: the kind's driver
says what to read, who serves it and what to write (`aop.origins.kind`).

What a replica does is observed, never assumed (docs/adr/0013). Every source fails alone
(`aop.observe.source`). A look has a deadline; what has not arrived by then goes on by itself, and a
later look sees it, so that no replica and no API server that hangs delays what protects visitors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster
from aop.observe.awaited import AwaitedRevision
from aop.observe.carrier import Carrier
from aop.observe.published import Followed, PublishedMemory
from aop.observe.refusals import Refusals
from aop.observe.replicas import ReplicaReader
from aop.observe.rollouts import Rollouts
from aop.observe.rounds import Rounds
from aop.observe.source import Known
from aop.observe.sources import KnownObjects, Pace, Sources, scope_of
from aop.observe.stirred import Stirred
from aop.observe.views import Question
from aop.observe.wanted import Wanted, hosts_of
from aop.observe.writing import OriginWriter
from aop.observed import Configured, LeftOut, ObservedOrigin, ObservedReplica, Unknown, Wildcard
from aop.origins.check import check_path, gate_path
from aop.origins.kind import OriginKind, Site
from aop.origins.sites import Objects, Published, Read, Rejection
from aop.probe import ClientIdentity, Paths, Presented
from aop.schema import Model
from aop.settings import Settings
from aop.terms import Target

Wake = Callable[[frozenset[str]], None]
"""Has the objects with these uids look."""

NO_TOKEN = "00000000"  # noqa: S105 - a path, no credential
"""Stands in for the secret part of the check path where none is known: the answer still shows who
is refused."""


class OriginKeeper:
    """One origin; built once per target by `OriginKeepers`."""

    def __init__(
        self,
        kind: OriginKind,
        target: Target,
        cluster: Cluster,
        reader: ReplicaReader,
        sources: Sources,
        settings: Settings,
        clock: Clock,
        wake: Wake,
    ) -> None:
        """`wake` gets the uids of objects for which something has changed here."""
        self.kind = kind
        self.target = target
        self._words = kind.words(target)
        self._carrier = Carrier(kind, target, cluster, sources.of(kind.carrier(target)))
        self._reads = kind.reads(target, scope_of(settings))
        self._sources = sources
        self._settings = settings
        self._clock = clock
        self._wake = wake
        self._memory = PublishedMemory()
        self._calm = False
        """Every replica was seen to run what is published."""
        self._waiting: set[str] = set()
        """Objects that wait for something."""
        self._doubted: tuple[tuple[int, str], object] | None = None
        """The refusal of our text that was met last, by revision and words, and what was known of
        the carrier then."""
        self._unseen: set[str] = set()
        """Those of them that have not yet seen what the published text does to their hosts."""
        self._read: tuple[Objects, Model | None, Site] | None = None
        """What was read last and for whom, and the site that was made of it."""
        self._open: tuple[Site | None, dict[tuple[str, ...], tuple[str, ...]]] = None, {}
        """What the site that was read last leaves open, by patterns."""
        self._lowest: int | None = None
        """The revision that every replica was seen to run, or a later one."""
        self._troubled: frozenset[str] = frozenset()
        """Uids of the pods that could not be asked at the last look."""
        self._stirred = Stirred(clock, lambda: self._memory.followers, wake)
        sources.tell(self._reads, self._stirred)
        self._rounds = Rounds(reader, clock, wake)
        self.awaited = AwaitedRevision(wake)
        self.rollouts = Rollouts(kind, target, self._reads, cluster, sources, clock)
        self._refusals = Refusals(cluster, self._memory, self.rollouts, clock, kind.capabilities)
        self.writer = OriginWriter(self._carrier, self._memory, self._notice, clock, wake)

    # --- looking ----------------------------------------------------------------------------------

    async def look(
        self,
        pull: AuthenticatedOriginPull,
        wanted: Wanted,
        identities: Mapping[Presented, ClientIdentity],
        *,
        until_s: float,
        asking: bool,
        resting: bool = False,
    ) -> ObservedOrigin:
        """The origin for one object, as it is known at `until_s` (monotonic) at the latest.

        Never raises. `asking` is False for an object whose zone is not known to be its own: then no
        replica is asked, unless the object has a claim there. An object that waits for nothing is
        `resting`.
        """
        self._note_waiting(pull.uid, resting=resting)
        reading = await self._sources.look(self._reads, until_s=until_s, pace=self._pace)
        if reading.lost is not None:
            return self._unread(wanted, reading.lost)
        site = self._noticed(reading, wanted.spec, pull.uid)
        self._stirred.note_look(pull.uid)
        followed = self._memory.follow(pull.uid)
        origin = self._as_read(pull, wanted, site, complete=reading.complete)
        question = self._question(pull, site, origin, identities, followed)
        asked = asking or question.claim is not None or not wanted.wanted or pull.deleting
        if asked:
            await self._rounds.ask(pull.uid, site, question, until_s)
            self._notice_trouble(pull.uid)
        replicas = self._rounds.observed(site, question, asked=asked)
        followed.notice_applied(site.published, replicas, self._clock.now())
        waits = asked and not resting and question.claim is not None
        self._note_unseen(pull.uid, replicas, origin.hosts, waits=waits)
        self._note_progress(site, replicas)
        refusal = await self._refusals.look(site, replicas, until_s)
        origin = self._refused(origin, refusal, pull.uid)
        return replace(
            origin,
            replicas=replicas,
            foreign=origin.foreign or self._keeps_connections(site, origin),
            rollout=self.rollouts.wanted(
                site, wanted.spec, taken_up=self.writer.seen_everywhere == site.published.revision
            ),
            overwritten=self._memory.disturbance.overwritten,
            undone=self._memory.disturbance.times,
            stale=reading.stale,
            next_write_at=self.writer.next_at(),
            published_at=followed.published_at,
            applied_at=followed.applied_at,
        )

    def _unread(self, wanted: Wanted, configured: Any) -> ObservedOrigin:
        """What is known of the origin before its objects are."""
        allowed = self._settings.ingress_config_maps
        return ObservedOrigin(
            wanted.name,
            self.target,
            configured,
            wanted=wanted.wanted,
            words=self._words,
            capabilities=self.kind.capabilities,
            allowed=not allowed or str(self.target.key) in allowed,
            replicas=configured if isinstance(configured, Unknown) else (),
        )

    def _as_read(
        self, pull: AuthenticatedOriginPull, wanted: Wanted, site: Site, *, complete: bool
    ) -> ObservedOrigin:
        """What the objects say of the origin, before any replica is asked.

        `complete`: everything could be listed.
        """
        configured, patterns = self._configured(pull.uid, site), pull.spec.hostname_patterns
        served = hosts_of(pull, wanted, site, complete=complete)
        hosts, wildcards = served.hosts, site.wildcards(served.hosts, patterns)
        return replace(
            self._unread(wanted, configured),
            words=replace(self._words, unread=site.unread() or self._words.unread),
            readers=len(site.replicas),
            hosts=hosts,
            wildcards=tuple(Wildcard(name, samples) for name, samples in wildcards.items()),
            open=self._left_open(site, patterns),
            left_out=_left_out(served.left_out),
            foreign=site.objection(wanted.spec) if wanted.wanted and configured else None,
            displaced=_left_out(site.verifiers(hosts)),
            unserved=_left_out(site.unserved(hosts)),
            next_rollout=site.next_rollout(wanted.spec),
            misplaced=site.misplaced(pull.uid, wanted.spec),
        )

    def _refused(
        self, origin: ObservedOrigin, refusal: Rejection | None, uid: str
    ) -> ObservedOrigin:
        """The same, with what the origin says of the current text.

        After a joint write was rejected, each of its claims is tried alone.
        """
        if refusal is None:
            self._doubted = None
            return origin
        if not refusal.ours:
            return replace(origin, stuck=self._stuck(refusal.words))
        if not self._is_of_our_text(refusal, uid):
            return origin
        joint = self.writer.went_out_with_others(uid)
        if joint:
            self.writer.try_each_alone()
        return replace(origin, rejected=refusal.words, joint=joint)

    def _is_of_our_text(self, refusal: Rejection, uid: str) -> bool:
        """Whether the carrier was read, and has our text, since the refusal was first met.

        Until then somebody may have written another text there, whose refusal a watch has shown
        before the text itself.
        """
        met, known = (self._memory.published.revision, refusal.words), self._carrier.known
        if self._doubted is None or self._doubted[0] != met:
            self._doubted = met, known
            self._carrier.forget()
            self._wake(frozenset({uid}))
            return False
        return isinstance(known, Known) and known.failure is None and known is not self._doubted[1]

    def _note_waiting(self, uid: str, *, resting: bool) -> None:
        if resting:
            self._waiting.discard(uid)
        else:
            self._waiting.add(uid)
        self.writer.busy = len(self._waiting)

    def _note_progress(self, site: Site, replicas: tuple[ObservedReplica, ...]) -> None:
        """Note how far the replicas are with what is published, for all who share the origin."""
        self._notice_revisions(self._rounds.revisions(site))
        self.writer.turns.look_at_the_clock()
        published = site.published
        self._calm = published.intact and self.writer.seen_everywhere == published.revision
        if self._calm and all(one.ready for one in replicas):
            self.rollouts.note_in_force(published.revision)

    @property
    def _pace(self) -> Pace:
        """How soon what is read is read again."""
        if not self._calm:
            return Pace.BUSY
        return Pace.CALM if self._waiting else Pace.REST

    @property
    def sharers(self) -> int:
        """How many objects look at this origin."""
        return len(self._memory.followers)

    @property
    def site(self) -> Site | None:
        """The origin as it was read last; None: it was not read yet."""
        return self._read[2] if self._read is not None else None

    def claimants(self, zone: str) -> Mapping[str, str]:
        """The owners (`namespace/name`) of the claims of a zone, by uid.

        They are as they were read or written last.
        """
        return self._memory.claimants(zone)

    @property
    def changed_at(self) -> datetime | None:
        """When this process first saw or wrote the current text."""
        return self._memory.changed_at

    def check_path(self) -> str | None:
        """Where this origin's check path is, if that is known."""
        return check_path(self._memory.path_token) if self._memory.path_token else None

    def knows(self, version: str) -> bool:
        """Whether the carrier was read or written at that resourceVersion."""
        return self._carrier.knows(version)

    def await_turn(self, uid: str) -> None:
        """Have the object woken, with all others that wait, when the next write may go out."""
        self.writer.turns.wait(uid)

    def await_shown(self, uid: str) -> bool:
        """Whether the object is woken when more is known of what the replicas do.

        That is when they run its claim. If they do already, it is when they have answered what it
        has asked.
        """
        followed = self._memory.of(uid)
        since = (followed.since if followed else None) or self._memory.published.revision
        if self._lowest is None or self._lowest < since:
            self.awaited.wait(uid)
            return True
        return self._rounds.await_answers(uid)

    def forget(self) -> None:
        """The carrier has changed: read it again at the next look."""
        self._carrier.forget()

    def end(self) -> None:
        """Nobody looks any more."""
        self._stirred.end()

    def drop(self, uid: str) -> None:
        """An object is gone: forget what was remembered of its claim."""
        self._memory.drop(uid)
        self._waiting.discard(uid)
        self._unseen.discard(uid)
        self._rounds.drop(uid)
        self.awaited.drop(uid)
        self.writer.drop(uid)

    def _configured(self, uid: str, site: Site) -> Configured | None:
        """What the carrier says of us; None: there is none, and it is not ours to make."""
        if site.exists:
            return self._memory.configured(uid)
        creates = self.kind.capabilities.creates_carrier
        return self._memory.configured(uid, runs_on=True) if creates else None

    def _noticed(self, reading: KnownObjects, spec: Model | None, uid: str) -> Site:
        """The site as it was just read. Notes what has changed.

        It is made once of the same objects and the same spec. If one of the objects that share the
        origin meets a change that others made, those that rest are woken; they are not for a write
        of ours.
        """
        read, changed_at = self._read, self._memory.changed_at
        others_moved = read is not None and not _same(read[0], reading.objects, self._carrier.read)
        if read is None or read[1] != spec or not _same(read[0], reading.objects):
            made = self.kind.site(self.target, reading.objects, spec)
            self._read = read = reading.objects, spec, made
        site = read[2]
        self._notice(site.published)
        if changed_at is not None and self._memory.changed_at != changed_at:
            self._wake_others(uid)
        elif others_moved:
            self._stirred.meet(uid)
        return site

    def _wake_others(self, uid: str) -> None:
        self._wake(frozenset(self._memory.followers - {uid}))

    def _notice_trouble(self, uid: str) -> None:
        """Wake all who share the origin when a replica cannot be asked any more, or can again."""
        troubled = self._rounds.troubled
        if troubled != self._troubled:
            self._troubled = troubled
            self._wake_others(uid)

    def _notice(self, published: Published, ours: bool = False, by: str = "") -> None:
        if self._memory.notice(published, self._clock.now(), ours=ours, by=by):
            self._rounds.forget_hosts()

    # --- replicas ---------------------------------------------------------------------------------

    def _question(
        self,
        pull: AuthenticatedOriginPull,
        site: Site,
        origin: ObservedOrigin,
        identities: Mapping[Presented, ClientIdentity],
        followed: Followed,
    ) -> Question:
        """What the object wants to know of each replica."""
        token, hosts = self._memory.path_token or NO_TOKEN, origin.hosts or (pull.spec.zone.name,)
        return Question(
            hosts=hosts,
            own=frozenset(one.host for one in origin.displaced),
            identities=identities,
            claim=site.published.standing.get(pull.uid),
            since=self._memory.entries_since(site, hosts),
            claim_since=followed.since,
            published=site.published.revision or None,
            paths=Paths(check_path(token), gate_path(token)),
            refuses_certificate=self.kind.refuses_certificate,
            told_by=self.kind.capabilities.told_by,
        )

    def _note_unseen(
        self,
        uid: str,
        replicas: Collection[ObservedReplica],
        hosts: Collection[str],
        *,
        waits: bool,
    ) -> None:
        """Note whether an object still waits to see its hosts as the published text has them.

        An object of which nothing is published has nothing to wait for.
        """
        if waits and any(one.ready and len(one.hosts) < len(hosts) for one in replicas):
            self._unseen.add(uid)
        else:
            self._unseen.discard(uid)
        self.writer.unseen = bool(self._unseen)

    def _notice_revisions(self, revisions: set[int | None]) -> None:
        known = sorted(one for one in revisions if one is not None)
        everywhere = known if None not in revisions else []
        self._lowest = next(iter(everywhere), None)
        self.writer.seen_everywhere = self._lowest if len(everywhere) == 1 else None
        self.awaited.run(self._lowest)

    def _left_open(self, site: Site, patterns: tuple[str, ...]) -> tuple[str, ...]:
        """What stays open; worked out once, as there may be thousands of routers to look at."""
        if self._open[0] is not site:
            self._open = site, {}
        known = self._open[1]
        if patterns not in known:
            known[patterns] = site.left_open(patterns)
        return known[patterns]

    def _keeps_connections(self, site: Site, origin: ObservedOrigin) -> str | None:
        """Which replica judges old connections by the new text, where that matters."""
        if not (self.kind.capabilities.keeps_connections and origin.wanted and origin.configured):
            return None
        taken_up = self._rounds.taken_up_in_place(site)
        if taken_up is None:
            return None
        replica, revision = taken_up
        return (
            f"pod {replica.name} took up revision {revision} while it was running, so that connections which the edge made before it presented "
            f"anything would be refused once a certificate is required. {self._words.in_place}"
        )

    def _stuck(self, words: str) -> str:
        return (
            f"The controller that reads {self._words.place} applies no change at present, because of something that the operator did not write: "
            f"{words}. Until that is corrected, the operator writes only what relaxes"
        )


def _same(before: Objects, now: Objects, but: Read | None = None) -> bool:
    """Whether these are the same objects as before, apart from one reading."""
    return before.keys() == now.keys() and all(
        now[read] is before[read] for read in now if read != but
    )


def _left_out(whys: Mapping[str, str]) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(host, why) for host, why in sorted(whys.items()))
