"""An origin's half of `Observed`: its ConfigMap, who reads it, and how each replica really behaves.

What a replica does is observed, never assumed (design, section 6). A revision counts only when it is seen again at least 0.5 s
after it was first seen, and every host is asked about only then, because an old worker accepts for another 0.1 s after a new one
has answered (reference: ingress-nginx, 4.5). All hosts once per revision and set of leaves, then one host every 30 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, Kind
from aop.observe.memory import Memory, OriginMemory, ReplicaMemory, Shelf
from aop.observed import NONE, Configured, HostBehaviour, ObservedOrigin, ObservedReplica, Unknown
from aop.origins import Mode, ObjectKey, ingress_nginx
from aop.origins.spec import ForeignText
from aop.probe import Answer, Asked, ClientIdentity, Failure, Paths, Presented, ReplicaAddress, ReplicaProbe
from aop.settings import Settings

SETTLED_AFTER_S = 0.5
INGRESSES_S = 15.0
"""How old the list of Ingresses may be, in seconds."""
EVENTS_AFTER_S = 1.0
"""When a revision that nobody shows is worth a look at the Events, in seconds."""
NO_TOKEN = "00000000"  # noqa: S105 - a path, no credential
"""Stands in for the secret part of the check path where none is known: the answer still shows who is refused."""


_NEVER = datetime.min.replace(tzinfo=UTC)

Listed = tuple[list[dict[str, Any]], list[dict[str, Any]] | None]
"""Ingresses, and IngressClasses where they may be listed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One origin of the spec, or one that the record says was claimed."""

    name: str
    target: ObjectKey
    wanted: bool
    foreign: ForeignText


def origins_of(pull: AuthenticatedOriginPull, claimed: tuple[ObjectKey, ...]) -> tuple[Wanted, ...]:
    """The spec's origins, then those that were claimed and have left it."""
    named = [Wanted(it.name, it.target, wanted=True, foreign=it.ingress_nginx.foreign_text) for it in pull.spec.origins if it.ingress_nginx]
    gone = [key for key in claimed if key not in {it.target for it in named}]
    return (*named, *(Wanted(f"{key.name} (dropped)", key, wanted=False, foreign=ForeignText.MERGE) for key in gone))


class OriginReader:
    """Reads origins; built once per process."""

    def __init__(self, cluster: Cluster, probe: ReplicaProbe, stranger: ClientIdentity, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._probe = probe
        self._stranger = stranger
        self._settings = settings
        self._clock = clock
        self._ingresses: dict[str, Shelf[Listed]] = {}

    async def read(
        self, pull: AuthenticatedOriginPull, wanted: Wanted, identities: Mapping[Presented, ClientIdentity], memory: Memory
    ) -> ObservedOrigin:
        """One origin, with every replica that could be asked. Never raises for what lies outside."""
        held, now = memory.origin(wanted.target), self._clock.now()
        allowed = not self._settings.ingress_config_maps or str(wanted.target) in self._settings.ingress_config_maps
        try:
            held.manifest = await self._cluster.fetch(Kind.CONFIG_MAP, wanted.target)
            pods = await self._cluster.list(Kind.POD, wanted.target.namespace)
            ingresses, classes = await self._listed(now, wanted.target, memory.started_at)
        except ClusterError as error:
            lost = Unknown(error.message, retry_after_s=error.retry_after_s)
            return ObservedOrigin(wanted.name, wanted.target, lost, wanted=wanted.wanted, allowed=allowed, replicas=lost)
        stored = ingress_nginx.read(held.manifest)
        held.path_token = stored.path_token or held.path_token
        if held.revision != stored.revision:
            held.revision, held.published_at, held.applied_at = stored.revision, now, None
        held.follow(entry.claim if (entry := stored.entries.get(pull.uid)) else None, stored.revision, intact=stored.intact)
        readers = ingress_nginx.readers(pods, wanted.target)
        served = ingress_nginx.served_by(ingresses, readers, classes)
        under = ingress_nginx.hosts_under(served, pull.spec.hostname_patterns, readers)
        # An origin that has left the spec is still to be seen refusing nobody, so its hosts are asked about all the same.
        claimed = () if wanted.wanted else self._claimed_hosts(stored, pull.uid)
        hosts = tuple(sorted({*pull.spec.concrete_hosts, *under, *claimed}))
        proxy = ingress_nginx.Options.read(held.manifest).proxy_protocol
        ready = [replica for replica in readers if replica.ready]
        asked = hosts or (pull.spec.zone.name,)  # with no host in scope the revision is still to be seen
        replicas = await asyncio.gather(*(self._replica(replica, asked, proxy, identities, held, stored.revision) for replica in ready))
        held.replicas = {replica.uid: held.replicas[replica.uid] for replica in ready}
        if held.applied_at is None and replicas and all(r.settled and r.revision == stored.revision for r in replicas):
            held.applied_at = self._clock.now()
        return ObservedOrigin(
            name=wanted.name,
            target=wanted.target,
            configured=_configured(stored, pull.uid, held.claim_since) if held.manifest is not None else None,
            wanted=wanted.wanted,
            allowed=allowed,
            readers=len(readers),
            replicas=tuple(replicas),
            hosts=hosts,
            foreign=_foreign(held.manifest, stored, wanted, served, pull.spec.zone.name, readers),
            too_long=ingress_nginx.too_long(
                (*hosts, *pull.spec.hostname_patterns), ingress_nginx.Options.read(held.manifest).map_hash_bucket_size
            ),
            rejected=await self._rejected(readers, tuple(replicas), stored.revision, held),
            published_at=held.published_at,
            applied_at=held.applied_at,
        )

    async def _listed(self, now: datetime, target: ObjectKey, since: datetime) -> Listed:
        """Shared by all objects, but no list from before `since`, when an object came: its Ingresses may have come just before it."""
        namespaces = self._settings.watch_namespaces
        shelf = self._ingresses.setdefault(target.namespace if namespaces else "", Shelf())
        if (kept := shelf.fresh(now, INGRESSES_S)) and kept.at >= since:
            return kept.value
        if namespaces:
            found = [i for ns in {*namespaces, target.namespace} for i in await self._cluster.list(Kind.INGRESS, ns)]
        else:
            found = await self._cluster.list(Kind.INGRESS)
        classes = await self._cluster.list(Kind.INGRESS_CLASS) if self._settings.list_ingress_classes else None
        return shelf.keep((found, classes), now)

    @staticmethod
    def _claimed_hosts(stored: ingress_nginx.Stored, uid: str) -> tuple[str, ...]:
        entry = stored.entries.get(uid)
        return entry.claim.enforced if entry else ()

    # --- replicas ----------------------------------------------------------------------------------------------------

    async def _replica(
        self,
        replica: ingress_nginx.Replica,
        hosts: tuple[str, ...],
        proxy: bool,
        identities: Mapping[Presented, ClientIdentity],
        held: OriginMemory,
        published: int,
    ) -> ObservedReplica:
        seen = held.replicas.setdefault(replica.uid, ReplicaMemory())
        leaves = frozenset(identity.sha256 for identity in identities.values())
        if leaves != seen.leaves:
            seen.leaves = leaves
            seen.probed.clear()
        address = ReplicaAddress(replica.ip, replica.https_port, replica.http_port, proxy)
        token = held.path_token or NO_TOKEN
        paths = Paths(ingress_nginx.check_path(token), ingress_nginx.gate_path(token))
        if seen.revision_at is None or seen.error:
            await self._ask(address, hosts[0], paths, identities, seen)
        elif not seen.settled or seen.revision != published:
            # Only its revision is awaited: a single connection tells it, and nothing else is worth asking about before.
            _look(seen, await self._probe.ask(address, hosts[0], paths, {}), self._clock.now())
        elif self._is_late(seen):
            await self._ask(address, min(hosts, key=lambda host: seen.probed.get(host, _NEVER)), paths, identities, seen)
        # The first look shows a revision, the second one settles it; only then is every host worth asking about.
        if not seen.error and seen.settled and (rest := [host for host in hosts if host not in seen.probed]):
            await asyncio.gather(*(self._ask(address, host, paths, identities, seen) for host in rest))
        behaviours = tuple(seen.behaviours[host] for host in hosts if host in seen.behaviours and host in seen.probed)
        return ObservedReplica(replica.name, seen.revision, seen.settled, behaviours, seen.error)

    def _is_late(self, seen: ReplicaMemory) -> bool:
        last = max(seen.probed.values(), default=None)
        return last is None or self._clock.now() - last >= timedelta(seconds=self._settings.replica_recheck_s)

    async def _ask(
        self, address: ReplicaAddress, host: str, paths: Paths, identities: Mapping[Presented, ClientIdentity], seen: ReplicaMemory
    ) -> None:
        asked = await self._probe.ask(address, host, paths, {**identities, Presented.FOREIGN: self._stranger})
        now = self._clock.now()
        if not _look(seen, asked, now):
            return
        seen.behaviours[host] = _behaviour(host, asked, identities)
        if seen.settled:
            seen.probed[host] = now

    async def _rejected(
        self, readers: tuple[ingress_nginx.Replica, ...], replicas: tuple[ObservedReplica, ...], revision: int, held: OriginMemory
    ) -> str | None:
        """The current text is rejected: no Ready replica shows it, and nginx said why, or its time is over.

        A pod that starts on such a text never becomes Ready, but says why as well: where all have been replaced, nobody else does.
        """
        if not revision or any(r.revision == revision for r in replicas) or held.published_at is None:
            return None
        waited_s = (self._clock.now() - held.published_at).total_seconds()
        if waited_s < EVENTS_AFTER_S:
            return None
        for replica in readers:
            try:
                events = await self._cluster.list(Kind.EVENT, replica.key.namespace, fields=f"involvedObject.name={replica.name}")
            except ClusterError:
                continue
            if words := ingress_nginx.rejected_by(events, replica, since=held.published_at):
                return f"pod {replica.name}: {words}"
        late = waited_s >= self._settings.rejection_after_s and any(not r.error for r in replicas)
        return f"no replica shows revision {revision} after {self._settings.rejection_after_s:.0f} s" if late else None


def _look(seen: ReplicaMemory, asked: tuple[Asked, ...], now: datetime) -> bool:
    """Note which revision the answers show, or why there are none; whether there are any."""
    failures = [str(answer) for one in asked for answer in (one.check, one.gate) if isinstance(answer, Failure)]
    if failures:
        seen.error, seen.settled = failures[0], False
        return False
    seen.error = None
    revision = _revision(asked)
    if revision != seen.revision or seen.revision_at is None:
        seen.revision, seen.revision_at, seen.settled = revision, now, False
        seen.probed.clear()
    elif not seen.settled and now - seen.revision_at >= timedelta(seconds=SETTLED_AFTER_S):
        seen.settled = True
    return True


def _revision(asked: tuple[Asked, ...]) -> int | None:
    """The one revision that all answers tell; None where they differ, or where the check path is not ours."""
    told = {answer.revision if (answer := _told(one.check)) else None for one in asked}
    return told.pop() if len(told) == 1 else None


def _told(answer: Answer | Failure) -> ingress_nginx.Answer | None:
    return ingress_nginx.parse(answer.body) if isinstance(answer, Answer) and answer.status == 200 else None


def _refused(answer: Answer | Failure) -> bool:
    return isinstance(answer, Answer) and answer.status == 400


def _served(answer: Answer | Failure) -> bool:
    """The gate lets it through; a 5xx or a page of somebody else's says neither that nor the opposite."""
    return isinstance(answer, Answer) and answer.status == 204


def _behaviour(host: str, asked: tuple[Asked, ...], identities: Mapping[Presented, ClientIdentity]) -> HostBehaviour:
    """What one round of answers shows: who is refused at the gate, and whether anybody is asked at all."""
    by = {one.presented: one for one in asked}
    stranger = _told(by[Presented.FOREIGN].check)
    asks = _refused(by[Presented.FOREIGN].check) or (stranger is not None and stranger.presented != NONE)
    if _refused(by[Presented.NONE].gate):
        mode = Mode.REQUIRE
    elif _refused(by[Presented.FOREIGN].gate):
        mode = Mode.OPTIONAL
    else:
        mode = Mode.REQUEST if asks else Mode.OFF
    refuses = frozenset(identity.sha256 for presented, identity in identities.items() if _refused(by[presented].gate))
    accepts = frozenset(identity.sha256 for presented, identity in identities.items() if _served(by[presented].gate))
    return HostBehaviour(host, mode, accepts, refuses)


def _configured(stored: ingress_nginx.Stored, uid: str, claim_since: int | None) -> Configured:
    entry = stored.entries.get(uid)
    return Configured(
        revision=stored.revision,
        claim_since=claim_since,
        claim=entry.claim if entry else None,
        accepted=entry.accepted if entry else None,
        intact=stored.intact and not stored.misplaced,
        others_changed=stored.others_changed(uid),
        foreign_digest=stored.foreign_digest,
    )


def _foreign(
    manifest: dict[str, Any] | None,
    stored: ingress_nginx.Stored,
    wanted: Wanted,
    served: tuple[Mapping[str, Any], ...],
    zone: str,
    readers: tuple[ingress_nginx.Replica, ...],
) -> str | None:
    if manifest is None or not wanted.wanted:
        return None
    if text := ingress_nginx.objections(manifest, stored.snippets, wanted.foreign):
        return text
    if unread := [replica.name for replica in readers if ingress_nginx.unwatched(replica, wanted.target)]:
        return f"pod {unread[0]} watches another namespace and never sees a change of ConfigMap {wanted.target}. Move the ConfigMap, or widen --watch-namespace"
    return ingress_nginx.refusing(served, zone, readers)
