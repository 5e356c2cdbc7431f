"""The keeper of an origin: one per target, shared by all objects that name it.

It looks, it writes, and its memory is private. It knows no origin kind by name: what is read, who
serves it and what is to be written comes from the kind's driver (`aop.origins.kind`).

What a replica does is observed, never assumed (docs/adr/0013). Every source fails alone
(`aop.observe.source`). A look has a deadline; what is not there by then goes on by itself and is
seen by the next one, so that no replica and no API server that hangs holds up what protects
visitors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster
from aop.observe.awaited import AwaitedRevision
from aop.observe.published import Followed, PublishedMemory
from aop.observe.replicas import ReplicaReader
from aop.observe.rollouts import Rollouts
from aop.observe.source import Known, Source
from aop.observe.sources import KnownObjects, Pace, Sources
from aop.observe.views import Question, ReplicaMemory, may_serve, observed_replica
from aop.observe.writing import OriginWriter
from aop.observed import Configured, LeftOut, ObservedOrigin, ObservedReplica, Unknown, Wildcard
from aop.origins.check import check_path, gate_path
from aop.origins.kind import OriginKind, Site
from aop.origins.sites import Objects, Published, Read, Rejection, Replica, Scope
from aop.probe import ClientIdentity, Paths, Presented, ReplicaAddress
from aop.schema import Model
from aop.settings import Settings
from aop.terms import Kind, Target

Manifest = dict[str, Any]
Wake = Callable[[frozenset[str]], None]
"""Has the objects with these uids look."""

EVENTS_AFTER_S = 1.0
"""When a revision that nobody shows is worth a look at the Events."""
NO_TOKEN = "00000000"  # noqa: S105 - a path, no credential
"""Stands in for the secret part of the check path where none is known: the answer still shows who
is refused."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One origin of the spec, or one that the record says was claimed."""

    name: str
    target: Target
    spec: Model | None
    """What the user writes of it; None: it has left the spec."""

    @property
    def wanted(self) -> bool:
        """It is in the spec."""
        return self.spec is not None


def origins_of(pull: AuthenticatedOriginPull, claimed: tuple[Target, ...]) -> tuple[Wanted, ...]:
    """The spec's origins, then those that were claimed and have left it."""
    named = [Wanted(it.name, it.target, it.spec) for it in pull.spec.origins]
    gone = [target for target in claimed if target not in {it.target for it in named}]
    return (*named, *(Wanted(f"{target.name} (dropped)", target, None) for target in gone))


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
        """`wake` is told the uids of objects for which something has changed here."""
        self.kind = kind
        self.target = target
        self._words = kind.words(target)
        self._carrier = kind.carrier(target)
        scope = Scope(
            () if settings.list_all_ingresses else settings.watch_namespaces,
            cluster=settings.list_all_ingresses,
            routers=settings.list_ingress_routes,
            routes=settings.list_routes,
            proxies=settings.proxy_namespaces,
        )
        self._reads = kind.reads(target, scope)
        self._cluster = cluster
        self._reader = reader
        self._sources = sources
        self._settings = settings
        self._clock = clock
        self._wake = wake
        self._events: dict[str, Source[list[Manifest]]] = {}
        self._memory = PublishedMemory()
        self._calm = False
        """Every replica was seen to run what is published."""
        self._waiting: set[str] = set()
        """Objects that wait for something."""
        self._unseen: set[str] = set()
        """Those of them that were not yet shown what the published text does to their hosts."""
        self._read: tuple[Objects, Model | None, Site] | None = None
        """What was read last and for whom, and the origin that was made of it."""
        self._open: tuple[Site | None, dict[tuple[str, ...], tuple[str, ...]]] = None, {}
        """What the origin that was read last leaves open, by patterns."""
        self._replicas: dict[str, ReplicaMemory] = {}
        """By pod uid."""
        self._lowest: int | None = None
        """Every replica was seen to run this revision or a later one."""
        self._troubled: frozenset[str] = frozenset()
        """Uids of the pods that could not be asked."""
        self._rounds: dict[tuple[str, str], asyncio.Task[None]] = {}
        """Questions under way, by pod and object."""
        self._awaits_answers: set[str] = set()
        """Objects that are woken when theirs are answered."""
        self.awaited = AwaitedRevision(wake)
        self.rollouts = Rollouts(kind, target, self._reads, cluster, sources, clock)
        self.writer = OriginWriter(
            kind,
            target,
            cluster,
            sources.of(self._carrier),
            self._memory,
            self._notice,
            clock,
            wake,
        )

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

        Never raises. `asking` is False for an object whose zone is not known to be its own: nothing
        is asked for its sake unless its claim is there. An object is `resting` when it waits for
        nothing.
        """
        if resting:
            self._waiting.discard(pull.uid)
        else:
            self._waiting.add(pull.uid)
        self.writer.busy = len(self._waiting)
        reading = await self._sources.look(self._reads, until_s=until_s, pace=self._pace)
        if reading.lost is not None:
            return self._seen_as(wanted, reading.lost)
        site = self._noticed(reading, wanted.spec, pull.uid)
        followed, published = self._memory.follow(pull.uid), site.published
        configured = self._configured(pull.uid, site)
        hosts, left_out = self._hosts(pull, wanted, site, complete=reading.complete)
        verifiers = site.verifiers(hosts)
        question = self._question(
            pull, site, hosts or (pull.spec.zone.name,), frozenset(verifiers), identities, followed
        )
        asked = asking or question.claim is not None or not wanted.wanted or pull.deleting
        if asked:
            await self._ask(pull.uid, site, question, until_s)
            self._notice_trouble(pull.uid)
        replicas = self._observed(site, question, asked=asked)
        followed.notice_applied(published, replicas, self._clock.now())
        waits = asked and not resting and question.claim is not None
        self._note_unseen(pull.uid, replicas, hosts, waits=waits)
        self._note_progress(site, replicas)
        refusal = await self._refusal(site, replicas, until_s)
        rejected = refusal is not None and refusal.ours
        joint = rejected and self.writer.went_out_with_others(pull.uid)
        if joint:
            self.writer.try_each_alone()
        patterns = pull.spec.hostname_patterns
        return replace(
            self._seen_as(wanted, configured),
            words=replace(self._words, unread=site.unread() or self._words.unread),
            readers=len(site.replicas),
            replicas=replicas,
            hosts=hosts,
            wildcards=tuple(
                Wildcard(name, samples) for name, samples in site.wildcards(hosts, patterns).items()
            ),
            open=self._left_open(site, patterns),
            left_out=left_out,
            foreign=site.objection(wanted.spec) or self._taken_up_in_place(site)
            if wanted.wanted and configured
            else None,
            displaced=tuple(LeftOut(host, why) for host, why in sorted(verifiers.items())),
            unserved=tuple(
                LeftOut(host, why) for host, why in sorted(site.unserved(hosts).items())
            ),
            rejected=refusal.words if refusal and refusal.ours else None,
            stuck=self._stuck(refusal.words) if refusal and not refusal.ours else None,
            overwritten=self._memory.disturbance.overwritten,
            undone=self._memory.disturbance.times,
            rollout=self.rollouts.wanted(
                site, wanted.spec, taken_up=self.writer.seen_everywhere == published.revision
            ),
            next_rollout=site.next_rollout(wanted.spec),
            misplaced=site.misplaced(pull.uid, wanted.spec),
            stale=reading.stale,
            joint=joint,
            next_write_at=self.writer.next_at(),
            published_at=followed.published_at,
            applied_at=followed.applied_at,
        )

    def _note_progress(self, site: Site, replicas: tuple[ObservedReplica, ...]) -> None:
        """Note how far the replicas are with what is published, for all who share the origin."""
        self._notice_revisions(self._revisions(site))
        self.writer.turns.look_at_the_clock()
        published = site.published
        self._calm = published.intact and self.writer.seen_everywhere == published.revision
        if self._calm and all(one.ready for one in replicas):
            self.rollouts.note_in_force(published.revision)

    def _seen_as(self, wanted: Wanted, configured: Any) -> ObservedOrigin:
        """What is known of the origin before anybody is asked."""
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
        """Where this origin's check path is, if it is known."""
        return check_path(self._memory.path_token) if self._memory.path_token else None

    def knows(self, version: str) -> bool:
        """What carries our claims was read or written at that resourceVersion."""
        known = self._sources.of(self._carrier).last
        return isinstance(known, Known) and [version] == [
            one["metadata"].get("resourceVersion") for one in known.value
        ]

    def await_turn(self, uid: str) -> None:
        """The object is woken, with all others that wait, when the next write may go out."""
        self.writer.turns.wait(uid)

    def await_shown(self, uid: str) -> bool:
        """Whether the object is woken when more is known of what the replicas do.

        That is when they run its claim, and where they do, when they have answered what it has
        asked.
        """
        followed = self._memory.of(uid)
        since = (followed.since if followed else None) or self._memory.published.revision
        if self._lowest is None or self._lowest < since:
            self.awaited.wait(uid)
            return True
        if self._is_asking(uid):
            self._awaits_answers.add(uid)
            return True
        return False

    def _is_asking(self, uid: str) -> bool:
        """Some replica has not answered yet what the object has asked."""
        rounds = (self._rounds.get((replica, uid)) for replica in self._replicas)
        return any(one is not None and not one.done() for one in rounds)

    def _note_answers(self, uid: str) -> None:
        if uid in self._awaits_answers and not self._is_asking(uid):
            self._awaits_answers.remove(uid)
            self._wake(frozenset({uid}))

    def forget(self) -> None:
        """What carries our claims has changed: read it again at the next look."""
        self._sources.of(self._carrier).forget()

    def drop(self, uid: str) -> None:
        """An object is gone: what was remembered of its claim goes with it."""
        self._memory.drop(uid)
        self._waiting.discard(uid)
        self._unseen.discard(uid)
        self._awaits_answers.discard(uid)
        self.awaited.drop(uid)
        self.writer.drop(uid)

    def _configured(self, uid: str, site: Site) -> Configured | None:
        """What the carrier says of us; one that is ours to make says nothing before."""
        if site.exists:
            return self._memory.configured(uid)
        creates = self.kind.capabilities.creates_carrier
        return self._memory.configured(uid, runs_on=True) if creates else None

    def _noticed(self, reading: KnownObjects, spec: Model | None, uid: str) -> Site:
        """The origin as it was just read, noting what has changed.

        It is made once of the same objects and the same spec. Whoever shares the origin and rests
        is told of a change that one of them has met: what others do, not what we write.
        """
        read, changed_at = self._read, self._memory.changed_at
        others_moved = read is not None and not _same(read[0], reading.objects, self._carrier)
        if read is None or read[1] != spec or not _same(read[0], reading.objects):
            made = self.kind.site(self.target, reading.objects, spec)
            self._read = read = reading.objects, spec, made
        site = read[2]
        self._notice(site.published)
        if others_moved or (changed_at is not None and self._memory.changed_at != changed_at):
            self._wake_others(uid)
        return site

    def _wake_others(self, uid: str) -> None:
        self._wake(frozenset(self._memory.followers - {uid}))

    def _notice_trouble(self, uid: str) -> None:
        """That a replica cannot be asked any more, or can again, concerns all who share it."""
        troubled = frozenset(one for one, memory in self._replicas.items() if memory.error)
        if troubled != self._troubled:
            self._troubled = troubled
            self._wake_others(uid)

    def _notice(self, published: Published, ours: bool = False, by: str = "") -> None:
        if self._memory.notice(published, self._clock.now(), ours=ours, by=by):
            for replica in self._replicas.values():
                replica.forget_hosts()

    # --- hosts ------------------------------------------------------------------------------------

    @staticmethod
    def _hosts(
        pull: AuthenticatedOriginPull, wanted: Wanted, site: Site, *, complete: bool
    ) -> tuple[tuple[str, ...], tuple[LeftOut, ...]]:
        """The hosts in scope, and those that the text cannot carry.

        An origin that has left the spec is still to be seen refusing nobody, so its hosts are asked
        about all the same; so are those that are required while not everything can be listed: a
        list that is not there says that nothing has gone.
        """
        claim = site.published.standing.get(pull.uid)
        required = (
            (*claim.required, *claim.excepted) if claim and not (wanted.wanted and complete) else ()
        )
        served = site.hosts(
            pull.spec.zone.name,
            pull.spec.hostname_patterns,
            (*pull.spec.concrete_hosts, *required),
        )
        return served.hosts, tuple(
            LeftOut(host, why) for host, why in sorted(served.left_out.items())
        )

    # --- replicas ---------------------------------------------------------------------------------

    def _question(
        self,
        pull: AuthenticatedOriginPull,
        site: Site,
        hosts: tuple[str, ...],
        own: frozenset[str],
        identities: Mapping[Presented, ClientIdentity],
        followed: Followed,
    ) -> Question:
        token = self._memory.path_token or NO_TOKEN
        return Question(
            hosts=hosts,
            own=own,
            identities=identities,
            claim=site.published.standing.get(pull.uid),
            since=self._memory.entries_since(site, hosts),
            claim_since=followed.since,
            published=site.published.revision or None,
            paths=Paths(check_path(token), gate_path(token)),
            refuses_certificate=self.kind.refuses_certificate,
            told_by=self.kind.capabilities.told_by,
        )

    async def _ask(self, uid: str, site: Site, question: Question, until_s: float) -> None:
        """Ask every replica that may serve; a question that hangs goes on without this look."""
        self._replicas = {
            replica.uid: self._replicas.get(replica.uid) or ReplicaMemory()
            for replica in site.replicas
        }
        self._rounds = {key: task for key, task in self._rounds.items() if not task.done()}
        for replica in site.replicas:
            seen, key = self._replicas[replica.uid], (replica.uid, uid)
            seen.note_ready(now=replica.ready)
            seen.started = replica.started
            # Also one that is not Ready: whether it serves our text all the same can only be asked.
            # Nobody waits for its answer.
            if replica.ip and key not in self._rounds:
                address = ReplicaAddress(
                    replica.ip, replica.https_port, replica.http_port, site.proxy_protocol
                )
                asking = asyncio.create_task(self._reader.ask(address, question, seen))
                asking.add_done_callback(lambda _: self._note_answers(uid))
                self._rounds[key] = asking
        waiting = [
            self._rounds[key]
            for replica in site.replicas
            if replica.ready and (key := (replica.uid, uid)) in self._rounds
        ]
        if waiting:
            await asyncio.wait(waiting, timeout=max(0.0, until_s - self._clock.monotonic_s()))

    def _note_unseen(
        self,
        uid: str,
        replicas: Collection[ObservedReplica],
        hosts: Collection[str],
        *,
        waits: bool,
    ) -> None:
        """Note whether an object still waits to see its hosts as the published text has them.

        One of which nothing is published has nothing to wait for there.
        """
        if waits and any(one.ready and len(one.hosts) < len(hosts) for one in replicas):
            self._unseen.add(uid)
        else:
            self._unseen.discard(uid)
        self.writer.unseen = bool(self._unseen)

    def _observed(
        self, site: Site, question: Question, *, asked: bool
    ) -> tuple[ObservedReplica, ...]:
        """What is known of each that may serve.

        What another object was told long ago is no fact for one that does not ask.
        """
        seen = [
            (replica, self._replicas.get(replica.uid) or ReplicaMemory())
            for replica in site.replicas
        ]
        known = (
            observed_replica(replica, memory, question)
            for replica, memory in seen
            if may_serve(replica, memory)
        )
        return tuple(one if asked else replace(one, settled=False) for one in known)

    def _notice_revisions(self, revisions: set[int | None]) -> None:
        known = sorted(one for one in revisions if one is not None)
        everywhere = known if None not in revisions else []
        self._lowest = next(iter(everywhere), None)
        self.writer.seen_everywhere = self._lowest if len(everywhere) == 1 else None
        self.awaited.run(self._lowest)

    def _revisions(self, site: Site) -> set[int | None]:
        """What the replicas that may serve were seen to run.

        None stands for those that cannot be asked, or have not shown it for sure.
        """
        known = [(one, self._replicas.get(one.uid) or ReplicaMemory()) for one in site.replicas]
        return {
            memory.revision if memory.settled and not memory.error else None
            for replica, memory in known
            if may_serve(replica, memory)
        }

    def _left_open(self, site: Site, patterns: tuple[str, ...]) -> tuple[str, ...]:
        """Worked out once, because there may be thousands of routers to look at."""
        if self._open[0] is not site:
            self._open = site, {}
        known = self._open[1]
        if patterns not in known:
            known[patterns] = site.left_open(patterns)
        return known[patterns]

    def _taken_up_in_place(self, site: Site) -> str | None:
        """Which replica judges connections of before by what is published, where that matters."""
        if not self.kind.capabilities.keeps_connections:
            return None
        for replica in site.replicas:
            memory = self._replicas.get(replica.uid)
            if memory and memory.settled and replica.started and memory.in_place == replica.started:
                return (
                    f"pod {replica.name} took up revision {memory.revision} while it was running, so that connections which the edge made before it presented "
                    f"anything would be refused once a certificate is required. {self._words.in_place}"
                )
        return None

    # --- what the origin says of its text ---------------------------------------------------------

    async def _refusal(
        self, site: Site, replicas: tuple[ObservedReplica, ...], until_s: float
    ) -> Rejection | None:
        """The origin's own words about the current text, while no replica shows it.

        Or those of whoever has given up replacing the replicas, whatever some of them show.

        No word proves nothing, and no clock does either. A pod that starts on such a text never
        becomes Ready, but says why as well: where all have been replaced, nobody else does.
        """
        since, revision = self._memory.changed_at, site.published.revision
        if revision and since and (why := site.unfinished(since + self._clock.stepped())):
            return self.rollouts.judged(why, revision)
        if not revision or since is None:
            self._events.clear()
            return None
        if any(r.revision == revision for r in replicas):
            self._events.clear()
            return self._rejected_since(site, since + self._clock.stepped())
        if (self._clock.now() - since).total_seconds() < EVENTS_AFTER_S:
            return None
        for replica in site.replicas:
            source = self._events.setdefault(replica.name, self._events_of(replica))
            events = await source.look(
                within_s=EVENTS_AFTER_S, patience_s=until_s - self._clock.monotonic_s()
            )
            if isinstance(events, Known) and (
                refusal := site.rejection(events.value, replica, since + self._clock.stepped())
            ):
                words = f"pod {replica.name}: {refusal.words}"
                return self.rollouts.judged(replace(refusal, words=words), revision)
        return None

    def _rejected_since(self, site: Site, since: datetime) -> Rejection | None:
        """What is said without Events of a text that was in force, where that has an end by it."""
        if not self.kind.capabilities.fails_rejected:
            return None
        refusals = (site.rejection((), replica, since) for replica in site.replicas)
        return next((one for one in refusals if one is not None), None)

    def _events_of(self, replica: Replica) -> Source[list[Manifest]]:
        fields = f"involvedObject.name={replica.name}"
        return Source(
            f"the Events of pod {replica.key}",
            lambda: self._cluster.list(Kind.EVENT, replica.key.namespace, fields=fields),
            self._clock,
            needed=False,
        )

    def _stuck(self, words: str) -> str:
        return (
            f"The controller that reads {self._words.place} takes no change at present, because of something that the operator did not write: "
            f"{words}. Until that is corrected, the operator writes only what relaxes"
        )


def _same(before: Objects, now: Objects, but: Read | None = None) -> bool:
    """Whether these are the very objects of before, whatever has become of one reading."""
    return before.keys() == now.keys() and all(
        now[read] is before[read] for read in now if read != but
    )
