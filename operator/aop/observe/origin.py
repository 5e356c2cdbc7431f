"""The keeper of an origin: one per ConfigMap, shared by all objects that name it.

It looks, it writes, and its memory is private.

What a replica does is observed, never assumed (docs/adr/0013). Every source fails alone
(`aop.observe.source`): the ConfigMap, the pods, the Ingresses, the IngressClasses, each replica. A
look has a deadline; what is not there by then goes on by itself and is seen by the next one, so
that no replica and no API server that hangs holds up what protects visitors.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster, Conflict, Kind
from aop.errors import Blocked, Reason, Transient
from aop.observe.disturbance import Disturbance
from aop.observe.replicas import ReplicaReader
from aop.observe.source import Known, Source
from aop.observe.views import Question, ReplicaMemory, may_serve, observed_replica
from aop.observed import Configured, LeftOut, ObservedOrigin, ObservedReplica, Unknown, Wildcard
from aop.origins import ingress_nginx
from aop.origins.spec import ForeignText
from aop.probe import ClientIdentity, Paths, Presented, ReplicaAddress
from aop.settings import Settings
from aop.terms import Claim, ObjectKey, is_host

Manifest = dict[str, Any]

CONFIG_MAP_S = 0.5
"""How old the ConfigMap and the pods may be: objects that look at the same moment share one
reading."""
INGRESSES_S = 15.0
"""How old the list of Ingresses may be."""
STALE_S = 30.0
"""How old what is known of a source that cannot be read may be before nothing but protection goes
on with it."""
EVENTS_AFTER_S = 1.0
"""When a revision that nobody shows is worth a look at the Events."""
ADMISSION = "an admission webhook or policy of the cluster"
"""Who else may change what a write of ours says: nobody else stands between it and what the API
server answers."""
NO_TOKEN = "00000000"  # noqa: S105 - a path, no credential
"""Stands in for the secret part of the check path where none is known: the answer still shows who
is refused."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One origin of the spec, or one that the record says was claimed."""

    name: str
    target: ObjectKey
    wanted: bool
    foreign: ForeignText


def origins_of(pull: AuthenticatedOriginPull, claimed: tuple[ObjectKey, ...]) -> tuple[Wanted, ...]:
    """The spec's origins, then those that were claimed and have left it."""
    named = [
        Wanted(it.name, it.target, wanted=True, foreign=it.ingress_nginx.foreign_text)
        for it in pull.spec.origins
        if it.ingress_nginx
    ]
    gone = [key for key in claimed if key not in {it.target for it in named}]
    return (
        *named,
        *(
            Wanted(f"{key.name} (dropped)", key, wanted=False, foreign=ForeignText.MERGE)
            for key in gone
        ),
    )


@dataclass(slots=True)
class Followed:
    """What is remembered of one object's claim."""

    claim: Claim | None = None
    since: int | None = None
    """The first revision that was read with it, and with nothing but whole texts since."""
    published_at: datetime | None = None
    """When this process first read or wrote it."""
    applied_at: datetime | None = None
    """When it was first seen, settled, on every replica; one that comes later has nothing old to
    keep."""
    decided_on: tuple[object, ...] = ()
    """What the ConfigMap said of it at the last look: what a write is decided on."""
    written: Claim | None = None
    """As it was last read: what the text may still do where somebody has taken the annotations and
    left the text."""


@dataclass(slots=True)
class OriginMemory:
    """What is remembered of one ConfigMap and its replicas."""

    stored: ingress_nginx.Stored = field(default_factory=ingress_nginx.Stored)
    path_token: str | None = None
    """The secret part of the check path, remembered beyond the ConfigMap's end: its replicas go on
    running the text."""
    text: bytes = b""
    """Digest of the keys that carry our text."""
    changed_at: datetime | None = None
    """When this process first saw or wrote the current text."""
    entries: dict[str, tuple[tuple[object, ...], int]] = field(default_factory=dict)
    """By host, what the published text says of it, and the first revision that says so."""
    followed: dict[str, Followed] = field(default_factory=dict)
    """By the uid of the object."""
    replicas: dict[str, ReplicaMemory] = field(default_factory=dict)
    """By pod uid."""
    rounds: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)
    """Questions under way, by pod and object."""
    disturbance: Disturbance = field(default_factory=Disturbance)


class OriginKeeper:
    """One origin; built once per ConfigMap by `OriginKeepers`."""

    def __init__(
        self,
        target: ObjectKey,
        cluster: Cluster,
        reader: ReplicaReader,
        listed: Mapping[Kind, Source[list[Manifest]]],
        settings: Settings,
        clock: Clock,
    ) -> None:
        self.target = target
        self._cluster = cluster
        self._reader = reader
        self._listed = listed
        self._settings = settings
        self._clock = clock
        self._config_map: Source[Manifest | None] = Source(
            f"ConfigMap {target}", lambda: cluster.fetch(Kind.CONFIG_MAP, target), clock
        )
        self._pods: Source[list[Manifest]] = Source(
            f"the pods of namespace {target.namespace}",
            lambda: cluster.list(Kind.POD, target.namespace),
            clock,
        )
        self._events: dict[str, Source[list[Manifest]]] = {}
        self._memory = OriginMemory()
        self._writing = asyncio.Lock()

    # --- looking -----------------------------------------------------------------------------------------------------

    async def look(
        self,
        pull: AuthenticatedOriginPull,
        wanted: Wanted,
        identities: Mapping[Presented, ClientIdentity],
        *,
        until_s: float,
        asking: bool,
    ) -> ObservedOrigin:
        """The origin for one object, with what is known of its replicas at `until_s` (monotonic) at the latest. Never raises.

        `asking` is False for an object whose zone is not known to be its own: nothing is asked for
        its sake unless its claim is there.
        """
        allowed = (
            not self._settings.ingress_config_maps
            or str(self.target) in self._settings.ingress_config_maps
        )
        config_map, pods, ingresses, classes = await self._sources(until_s)
        if isinstance(config_map, Unknown) or isinstance(pods, Unknown):
            lost = config_map if isinstance(config_map, Unknown) else pods
            assert isinstance(lost, Unknown)  # noqa: S101 - one of the two is; this tells mypy
            return ObservedOrigin(
                wanted.name, self.target, lost, wanted=wanted.wanted, allowed=allowed, replicas=lost
            )
        manifest, stored = config_map.value, self._follow(config_map.value)
        followed = self._followed(pull.uid, stored)
        readers = ingress_nginx.readers(pods.value, self.target)
        served = ingress_nginx.served_by(
            ingresses.value if isinstance(ingresses, Known) else (),
            readers,
            classes.value if isinstance(classes, Known) else None,
        )
        hosts, left_out = self._hosts(
            pull, wanted, stored, served, readers, complete=isinstance(ingresses, Known)
        )
        verifiers = {
            host: said
            for host in hosts
            if (said := ingress_nginx.verifier_of(host, served, readers))
        }
        question = self._question(
            pull, stored, hosts or (pull.spec.zone.name,), frozenset(verifiers), identities
        )
        asked = asking or question.claim is not None or not wanted.wanted or pull.deleting
        if asked:
            await self._ask(pull.uid, manifest, readers, question, until_s)
        seen = [
            (replica, self._memory.replicas.get(replica.uid) or ReplicaMemory())
            for replica in readers
        ]
        known = (
            observed_replica(replica, memory, question)
            for replica, memory in seen
            if may_serve(replica, memory)
        )
        # What another object was told long ago is no fact for one that does not ask.
        replicas = tuple(one if asked else replace(one, settled=False) for one in known)
        patterns = pull.spec.hostname_patterns
        self._notice_applied(followed, stored, replicas)
        refusal = await self._refusal(readers, replicas, stored, until_s)
        return ObservedOrigin(
            name=wanted.name,
            target=self.target,
            configured=self._configured(stored, pull.uid, followed)
            if manifest is not None
            else None,
            wanted=wanted.wanted,
            allowed=allowed,
            readers=len(readers),
            replicas=replicas,
            hosts=hosts,
            wildcards=wildcards_of(hosts, patterns, served, readers),
            open=ingress_nginx.left_open(served, patterns, readers),
            left_out=left_out,
            foreign=self._foreign(manifest, stored, wanted, readers),
            displaced=tuple(LeftOut(host, said) for host, said in sorted(verifiers.items())),
            rejected=refusal.words if refusal and refusal.ours else None,
            stuck=self._stuck(refusal.words) if refusal and not refusal.ours else None,
            overwritten=self._memory.disturbance.overwritten,
            stale=self._stale(config_map, pods, ingresses),
            published_at=followed.published_at,
            applied_at=followed.applied_at,
        )

    def claimants(self, zone: str) -> dict[str, str]:
        """The owners (`namespace/name`) of the claims of a zone, by uid, as they were read or written last."""
        return {
            uid: claim.owner
            for uid, claim in self._memory.stored.claims.items()
            if claim.zone == zone
        }

    @property
    def changed_at(self) -> datetime | None:
        """When this process first saw or wrote the current text."""
        return self._memory.changed_at

    def check_path(self) -> str | None:
        """Where this origin's check path is, if it is known."""
        return (
            ingress_nginx.check_path(self._memory.path_token) if self._memory.path_token else None
        )

    def forget(self) -> None:
        """The ConfigMap has changed: read it again at the next look."""
        self._config_map.forget()

    def drop(self, uid: str) -> None:
        """An object is gone: what was remembered of its claim goes with it."""
        self._memory.followed.pop(uid, None)

    async def _sources(
        self, until_s: float
    ) -> tuple[
        Known[Manifest | None] | Unknown,
        Known[list[Manifest]] | Unknown,
        Known[list[Manifest]] | Unknown,
        Known[list[Manifest]] | Unknown,
    ]:
        """What is known of each when the last one is there: another object may have written the ConfigMap while the pods were awaited."""
        patience_s = until_s - self._clock.monotonic_s()
        ingresses, classes = self._listed[Kind.INGRESS], self._listed[Kind.INGRESS_CLASS]
        await asyncio.gather(
            self._config_map.look(within_s=CONFIG_MAP_S, patience_s=patience_s),
            self._pods.look(within_s=CONFIG_MAP_S, patience_s=patience_s),
            ingresses.look(within_s=INGRESSES_S, patience_s=patience_s),
            classes.look(within_s=INGRESSES_S, patience_s=patience_s),
        )
        return self._config_map.last, self._pods.last, ingresses.last, classes.last

    def _stale(self, *sources: Known[Any] | Unknown) -> str | None:
        """The first source that has not been read for a while, in words; the last one may never have been read at all."""
        now = self._clock.now()
        for source in sources:
            if isinstance(source, Unknown):
                return source.message
            if source.failure and now - source.read_at > timedelta(seconds=STALE_S):
                return f"{source.failure}; what was known at {source.read_at + self._clock.stepped():%H:%M:%S} UTC stands meanwhile"
        return None

    # --- the ConfigMap -----------------------------------------------------------------------------------------------

    def _follow(
        self, manifest: Manifest | None, *, ours: bool = False, by: str = ""
    ) -> ingress_nginx.Stored:
        """What the ConfigMap says now; notes what has changed since it was read or written last, by us if it is `ours`, else by somebody."""
        memory, data = self._memory, (manifest or {}).get("data") or {}
        text = sha256("\0".join(str(data.get(key)) for key in ingress_nginx.KEYS).encode()).digest()
        stored = ingress_nginx.read(manifest)
        if text != memory.text or (stored.revision, stored.intact) != (
            memory.stored.revision,
            memory.stored.intact,
        ):
            memory.text, memory.changed_at = text, self._clock.now()
            memory.disturbance.notice(memory.stored, stored, self._clock.now(), ours=ours, by=by)
            if not stored.intact:
                memory.entries.clear()
                for replica in memory.replicas.values():
                    replica.forget_hosts()
        memory.stored = stored
        memory.path_token = stored.path_token or memory.path_token
        return stored

    def _followed(self, uid: str, stored: ingress_nginx.Stored) -> Followed:
        """Since which revision an object's claim reads as it does; a damaged text, or one that was put back, begins anew."""
        followed = self._memory.followed.setdefault(uid, Followed())
        entry = stored.entries.get(uid)
        claim = entry.claim if entry else None
        mended_or_damaged = (followed.since is None) is stored.intact
        if claim != followed.claim or mended_or_damaged or (followed.since or 0) > stored.revision:
            followed.claim, followed.since = claim, stored.revision if stored.intact else None
            followed.published_at, followed.applied_at = self._memory.changed_at, None
        followed.decided_on = stored.as_seen_by(uid)
        return followed

    @staticmethod
    def _standing(stored: ingress_nginx.Stored, uid: str, followed: Followed) -> Claim | None:
        """The strictest that the text may still do to an object's hosts, as long as something of ours stands there."""
        followed.written = stored.standing.get(uid) or followed.written
        if not stored.residue:
            return None
        return stored.standing.get(uid) if stored.intact else followed.written

    def _configured(self, stored: ingress_nginx.Stored, uid: str, followed: Followed) -> Configured:
        entry = stored.entries.get(uid)
        return Configured(
            revision=stored.revision,
            claim_since=followed.since,
            claim=entry.claim if entry else None,
            standing=self._standing(stored, uid, followed),
            accepted=entry.accepted if entry else None,
            intact=stored.intact and not stored.misplaced,
            others_changed=stored.others_changed(uid),
            foreign_digest=stored.foreign_digest,
        )

    def _foreign(
        self,
        manifest: Manifest | None,
        stored: ingress_nginx.Stored,
        wanted: Wanted,
        readers: tuple[ingress_nginx.Replica, ...],
    ) -> str | None:
        if manifest is None or not wanted.wanted:
            return None
        if text := ingress_nginx.objections(manifest, stored.snippets, wanted.foreign):
            return text
        unread = [
            replica.name for replica in readers if ingress_nginx.unwatched(replica, self.target)
        ]
        if not unread:
            return None
        return f"pod {unread[0]} watches another namespace and never sees a change of ConfigMap {self.target}. Move the ConfigMap, or widen --watch-namespace"

    # --- hosts -------------------------------------------------------------------------------------------------------

    def _hosts(
        self,
        pull: AuthenticatedOriginPull,
        wanted: Wanted,
        stored: ingress_nginx.Stored,
        served: tuple[Mapping[str, Any], ...],
        readers: tuple[ingress_nginx.Replica, ...],
        *,
        complete: bool,
    ) -> tuple[tuple[str, ...], tuple[LeftOut, ...]]:
        """The hosts in scope, and those that the text cannot carry.

        An origin that has left the spec is still to be seen refusing nobody, so its hosts are asked
        about all the same; so are those that are required while the Ingresses cannot be listed: a
        list that is not there says that nothing has gone.
        """
        claim = stored.standing.get(pull.uid)
        required = (
            (*claim.required, *claim.excepted) if claim and not (wanted.wanted and complete) else ()
        )
        under = ingress_nginx.hosts_under(served, pull.spec.hostname_patterns, readers)
        named = ingress_nginx.hosts_of_zone(
            {*pull.spec.concrete_hosts, *under, *required},
            pull.spec.zone.name,
            stored.standing.values(),
        )
        config_map = self._config_map.last
        bucket = ingress_nginx.Options.read(
            config_map.value if isinstance(config_map, Known) else None
        ).map_hash_bucket_size
        patterns = [pattern for pattern in pull.spec.hostname_patterns if pattern.startswith("*.")]
        why = f"the name does not fit map-hash-bucket-size in ConfigMap {self.target}. Set it there to 128 or more"
        long = dict.fromkeys(ingress_nginx.too_long((*named, *patterns), bucket), why)
        impossible = {
            host: "no DNS name has a label of more than 63 characters, so that no visitor can ask for it"
            for host in named
            if not is_host(host)
        }
        left_out = tuple(LeftOut(host, why) for host, why in sorted({**long, **impossible}.items()))
        return tuple(sorted(named - long.keys() - impossible.keys())), left_out

    # --- replicas ----------------------------------------------------------------------------------------------------

    def _question(
        self,
        pull: AuthenticatedOriginPull,
        stored: ingress_nginx.Stored,
        hosts: tuple[str, ...],
        own: frozenset[str],
        identities: Mapping[Presented, ClientIdentity],
    ) -> Question:
        token = self._memory.path_token or NO_TOKEN
        return Question(
            hosts=hosts,
            own=own,
            identities=identities,
            claim=stored.standing.get(pull.uid),
            since=self._entries_since(stored, hosts),
            published=stored.revision or None,
            paths=Paths(ingress_nginx.check_path(token), ingress_nginx.gate_path(token)),
        )

    def _entries_since(
        self, stored: ingress_nginx.Stored, hosts: tuple[str, ...]
    ) -> dict[str, int]:
        """By host, the revision since which the published text says the same of it."""
        if not stored.intact:
            return {}
        kept = self._memory.entries
        for host, entry in ingress_nginx.entries(hosts, stored.claims.values()).items():
            if host not in kept or kept[host][0] != entry or kept[host][1] > stored.revision:
                kept[host] = (entry, stored.revision)
        return {host: kept[host][1] for host in hosts}

    async def _ask(
        self,
        uid: str,
        manifest: Manifest | None,
        readers: tuple[ingress_nginx.Replica, ...],
        question: Question,
        until_s: float,
    ) -> None:
        """Ask every replica that may serve; who hangs goes on hanging by itself."""
        memory, proxy = self._memory, ingress_nginx.Options.read(manifest).proxy_protocol
        memory.replicas = {
            replica.uid: memory.replicas.get(replica.uid) or ReplicaMemory() for replica in readers
        }
        memory.rounds = {key: task for key, task in memory.rounds.items() if not task.done()}
        for replica in readers:
            seen, key = memory.replicas[replica.uid], (replica.uid, uid)
            # Also one that is not Ready: whether it serves our text all the same can only be asked.
            # Nobody waits for its answer.
            if replica.ip and key not in memory.rounds:
                address = ReplicaAddress(replica.ip, replica.https_port, replica.http_port, proxy)
                memory.rounds[key] = asyncio.create_task(self._reader.ask(address, question, seen))
        waiting = [
            memory.rounds[key]
            for replica in readers
            if replica.ready and (key := (replica.uid, uid)) in memory.rounds
        ]
        if waiting:
            await asyncio.wait(waiting, timeout=max(0.0, until_s - self._clock.monotonic_s()))

    def _notice_applied(
        self,
        followed: Followed,
        stored: ingress_nginx.Stored,
        replicas: tuple[ObservedReplica, ...],
    ) -> None:
        first = stored.revision if followed.since is None else followed.since
        running = [
            r.settled and r.revision is not None and first <= r.revision <= stored.revision
            for r in replicas
        ]
        if followed.applied_at is None and running and all(running):
            followed.applied_at = self._clock.now()

    # --- what the controller says ------------------------------------------------------------------------------------

    async def _refusal(
        self,
        readers: tuple[ingress_nginx.Replica, ...],
        replicas: tuple[ObservedReplica, ...],
        stored: ingress_nginx.Stored,
        until_s: float,
    ) -> ingress_nginx.Rejection | None:
        """Nginx's own words about the current text, while no replica shows it; no word proves nothing, and no clock does either.

        A pod that starts on such a text never becomes Ready, but says why as well: where all have
        been replaced, nobody else does.
        """
        since = self._memory.changed_at
        if (
            not stored.revision
            or since is None
            or any(r.revision == stored.revision for r in replicas)
        ):
            self._events.clear()
            return None
        if (self._clock.now() - since).total_seconds() < EVENTS_AFTER_S:
            return None
        for replica in readers:
            source = self._events.setdefault(replica.name, self._events_of(replica))
            events = await source.look(
                within_s=EVENTS_AFTER_S, patience_s=until_s - self._clock.monotonic_s()
            )
            if isinstance(events, Known) and (
                refusal := ingress_nginx.rejected_by(
                    events.value, replica, since=since + self._clock.stepped(), stored=stored
                )
            ):
                return ingress_nginx.Rejection(
                    f"pod {replica.name}: {refusal.words}", ours=refusal.ours
                )
        return None

    def _events_of(self, replica: ingress_nginx.Replica) -> Source[list[Manifest]]:
        fields = f"involvedObject.name={replica.name}"
        return Source(
            f"the Events of pod {replica.key}",
            lambda: self._cluster.list(Kind.EVENT, replica.key.namespace, fields=fields),
            self._clock,
            needed=False,
        )

    def _stuck(self, words: str) -> str:
        return (
            f"the controller of ConfigMap {self.target} takes no change at present, because of something that is not ours: {words}. Mend that; "
            "until then nothing of ours is written but what relaxes"
        )

    # --- writing -----------------------------------------------------------------------------------------------------

    async def publish(
        self,
        uid: str,
        claim: Claim,
        *,
        foreign: ForeignText,
        replicas: tuple[ObservedReplica, ...],
        gone: frozenset[str],
    ) -> None:
        """Write a claim that was decided on the last look.

        Raises `Conflict` when what it was decided on has changed since.

        Of the objects that share the ConfigMap one writes at a time, so that they do not refuse
        each other; what others have claimed meanwhile does not bear on a decision about this one.
        """
        async with self._writing:
            manifest = self._current(uid)
            if manifest is None:
                raise Transient(f"ConfigMap {self.target} does not exist any more")
            body = ingress_nginx.publish(
                manifest,
                claim,
                foreign=foreign,
                token_if_new=secrets.token_hex(8),
                seen_everywhere=seen_everywhere(replicas),
                gone=gone,
            )
            await self._write(manifest, body, uid, claim)

    async def withdraw(self, uid: str) -> None:
        """Take an object's claim out.

        Raises `Conflict` when what that was decided on has changed since.
        """
        async with self._writing:
            manifest = self._current(uid)
            if manifest is not None:
                await self._write(manifest, ingress_nginx.withdraw(manifest, uid), uid)
            if (followed := self._memory.followed.get(uid)) is not None:
                followed.written = None

    def _current(self, uid: str) -> Manifest | None:
        """The ConfigMap as it was read or written last: the API server refuses what goes out on an older one."""
        known = self._config_map.last
        if isinstance(known, Unknown):
            raise Transient(known.message)
        followed = self._memory.followed.get(uid)
        if (
            followed is None
            or ingress_nginx.read(known.value).as_seen_by(uid) != followed.decided_on
        ):
            raise Conflict(f"ConfigMap {self.target} has changed since it was looked at")
        return known.value

    async def _write(
        self, manifest: Manifest, body: Manifest, uid: str, claim: Claim | None = None
    ) -> None:
        """Write; raises `Blocked` where what comes back is not what was sent, because each time costs every replica a reload."""
        if body == manifest:
            return
        try:
            written = await self._cluster.replace(Kind.CONFIG_MAP, self.target, body)
        except BaseException:
            self._config_map.forget()
            raise
        self._config_map.put(written)
        if _says(written) == _says(body):
            self._follow(written, ours=True)
            return
        self._follow(body, ours=True)
        self._follow(written, by=ADMISSION)
        if claim is not None and (followed := self._memory.followed.get(uid)) is not None:
            followed.written = (
                claim  # as far as anybody knows: whether the text says it is asked of the replicas
            )
        raise Blocked(
            Reason.FOREIGN_CONFIGURATION,
            f"what the operator writes into ConfigMap {self.target} is changed by {ADMISSION} before it is stored. Let it leave the operator's "
            f"annotations and the keys {' and '.join(ingress_nginx.KEYS)} alone there",
        )


def _says(manifest: Manifest) -> tuple[object, ...]:
    """What a ConfigMap says of us, as far as a write decides it."""
    stored = ingress_nginx.read(manifest)
    return stored.entries, stored.intact, stored.residue, stored.revision, stored.path_token


def wildcards_of(
    hosts: tuple[str, ...],
    patterns: tuple[str, ...],
    served: tuple[Mapping[str, Any], ...],
    readers: tuple[ingress_nginx.Replica, ...],
) -> tuple[Wildcard, ...]:
    """The wildcards that have a server of their own, each with the hosts in scope that it takes."""
    prefixes = {replica.annotations_prefix for replica in readers}
    servers = {host: ingress_nginx.server_of(host, served, prefixes) for host in hosts}
    found = ingress_nginx.wildcards_under(served, patterns)
    return tuple(
        Wildcard(name, tuple(host for host, server in servers.items() if server == name))
        for name in found
    )


def seen_everywhere(replicas: tuple[ObservedReplica, ...]) -> int | None:
    """The revision that every replica was seen to run; None if they differ, or cannot all be asked."""
    revisions = {
        replica.revision if replica.settled and not replica.error else None for replica in replicas
    }
    return revisions.pop() if len(revisions) == 1 else None


class OriginKeepers:
    """Every origin's keeper, made at its first mention; built once per process."""

    def __init__(
        self, cluster: Cluster, reader: ReplicaReader, settings: Settings, clock: Clock
    ) -> None:
        self._cluster = cluster
        self._reader = reader
        self._settings = settings
        self._clock = clock
        self._keepers: dict[ObjectKey, OriginKeeper] = {}
        self._listed: dict[str, dict[Kind, Source[list[Manifest]]]] = {}

    def of(self, target: ObjectKey) -> OriginKeeper:
        """The keeper of one origin."""
        if target not in self._keepers:
            self._keepers[target] = OriginKeeper(
                target,
                self._cluster,
                self._reader,
                self._lists(target),
                self._settings,
                self._clock,
            )
        return self._keepers[target]

    def forget(self, target: ObjectKey) -> None:
        """A ConfigMap has changed."""
        if target in self._keepers:
            self._keepers[target].forget()

    def drop(self, uid: str) -> None:
        """An object is gone."""
        for keeper in self._keepers.values():
            keeper.drop(uid)

    def forget_ingresses(self) -> None:
        """An object has come: its Ingresses may have come just before it."""
        for lists in self._listed.values():
            lists[Kind.INGRESS].forget()

    def _lists(self, target: ObjectKey) -> Mapping[Kind, Source[list[Manifest]]]:
        """Ingresses and their classes, which every origin in the same scope shares."""
        namespaces = () if self._settings.list_all_ingresses else self._settings.watch_namespaces
        scope = target.namespace if namespaces else ""
        if scope not in self._listed:
            self._listed[scope] = {
                Kind.INGRESS: Source(
                    "Ingresses",
                    lambda: self._ingresses((*namespaces, scope) if scope else ()),
                    self._clock,
                ),
                Kind.INGRESS_CLASS: Source(
                    "IngressClasses", self._classes, self._clock, needed=False
                ),
            }
        return self._listed[scope]

    async def _ingresses(self, namespaces: tuple[str, ...]) -> list[Manifest]:
        lists = [
            await self._cluster.list(Kind.INGRESS, namespace)
            for namespace in dict.fromkeys(namespaces)
        ]
        return (
            [one for found in lists for one in found]
            if namespaces
            else await self._cluster.list(Kind.INGRESS)
        )

    async def _classes(self) -> list[Manifest]:
        if not self._settings.list_all_ingresses:
            raise Transient("IngressClasses are not listed, by AOP_LIST_ALL_INGRESSES")
        return await self._cluster.list(Kind.INGRESS_CLASS)
