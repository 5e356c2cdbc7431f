"""Everything outside, read into one frozen `Observed`: the cluster, Cloudflare, every replica, the edge.

`aop.reconcile` calls `Observer.observe` before each decision. Each source fails alone. A source that hangs holds the others up for a
few seconds at most: what protects visitors must not wait for an API (design, section 3).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import Access, Priority
from aop.cluster import Cluster, ClusterError, Kind
from aop.errors import Blocked, Reason
from aop.observe.edge import EdgeReader
from aop.observe.memory import Memory, Shelf
from aop.observe.origin import OriginReader, origins_of
from aop.observe.zone import ZoneReader, is_still
from aop.observed import Configured, Limits, Observed, ObservedKeyPair, ObservedObject, ObservedZone, Record, Rival, Unknown
from aop.origins import ObjectKey, Pin
from aop.origins.ingress_nginx import check_path
from aop.pki import Slot, read_key_pair, read_keyed_leaf, read_referenced
from aop.probe import ClientIdentity, Presented
from aop.record import load
from aop.settings import Settings

PATIENCE_S = 2.0
"""How long one look waits for Cloudflare before it goes on with what was known."""
RIVALS_S = 15.0


class Observer:
    """Looks at everything that concerns one object; built once per process."""

    def __init__(
        self, cluster: Cluster, zones: ZoneReader, origins: OriginReader, edge: EdgeReader, settings: Settings, clock: Clock
    ) -> None:
        self._cluster = cluster
        self._zones = zones
        self._origins = origins
        self._edge = edge
        self._settings = settings
        self._clock = clock

    async def observe(self, pull: AuthenticatedOriginPull, memory: Memory) -> Observed:
        """The world of one object now. Raises nothing for what lies outside; that becomes `Unknown`."""
        record = load(pull.record)
        key_pair, identities = await self._key_pair(pull, memory)
        zone_task = await self._zone_task(pull, record, key_pair, memory)
        origins = await asyncio.gather(*(self._origins.read(pull, one, identities, memory) for one in origins_of(pull, record.claimed)))
        asked = tuple(
            (origin, check_path(token))
            for origin in origins
            if origin.wanted
            and (token := memory.origin(origin.target).path_token)
            and isinstance(origin.configured, Configured)
            and origin.configured.claim
        )
        evidence = () if pull.deleting else await self._edge.read(asked, pull.spec.verification.window_duration, memory)
        await asyncio.wait({zone_task}, timeout=PATIENCE_S)
        if zone_task.done():
            memory.zone, memory.zone_task = zone_task.result(), None
            evidence = tuple(memory.evidence[host] for host in sorted(memory.evidence)) if evidence else evidence
        return Observed(
            now=self._clock.now(),
            object=_object(pull, record),
            zone=memory.zone,
            key_pair=key_pair,
            origins=tuple(origins),
            evidence=evidence,
            rivals=await self._rivals(pull, memory),
            still=is_still(memory, self._settings.stillness_s),
            cloudflare_failing_since=memory.cloudflare.failing_since,
            limits=Limits(
                teardown_patience_s=self._settings.teardown_patience_s, stale_after_s=max(30.0, self._settings.edge_cadence_s * 3)
            ),
        )

    def due_in_s(self, observed: Observed, memory: Memory) -> float:
        """Seconds until something is to be looked at again, whatever the rules wait for."""
        now = self._clock.now()
        hosts = [
            host
            for origin in observed.origins
            if origin.wanted and isinstance(origin.configured, Configured) and origin.configured.claim
            for host in origin.hosts
        ]
        edge = () if observed.object.deleting else (self._edge.due_at(host, observed.window, memory, now) for host in hosts)
        moments = [*edge, now + timedelta(seconds=self._settings.replica_recheck_s)]
        # What has arrived stays known until the list shows it, and is not asked for any more.
        if memory.cloudflare.next_poll and any(not c.active and not c.failed for c in memory.cloudflare.known.values()):
            moments.append(memory.cloudflare.next_poll)
        return max(0.05, float((min(moments) - now).total_seconds()))

    # --- the object's neighbours -------------------------------------------------------------------------------------

    async def _rivals(self, pull: AuthenticatedOriginPull, memory: Memory) -> tuple[Rival, ...] | Unknown:
        now = self._clock.now()
        if kept := memory.rivals.fresh(now, RIVALS_S):
            return kept.value
        try:
            namespaces = self._settings.watch_namespaces
            lists = [await self._cluster.list(Kind.AUTHENTICATED_ORIGIN_PULL, namespace) for namespace in namespaces or (None,)]
        except ClusterError as error:
            return Unknown(error.message, retry_after_s=error.retry_after_s)
        others = (_rival(manifest, pull) for found in lists for manifest in found)
        return memory.rivals.keep(tuple(rival for rival in others if rival), now)

    async def _secret(self, key: ObjectKey, memory: Memory) -> dict[str, str] | None:
        """`data` of a Secret, read by name: every minute, every few seconds while something is awaited, at once after a labelled one's event."""
        shelf = memory.secrets.setdefault(key, Shelf())
        within_s = self._settings.awaited_recheck_s if memory.awaiting else self._settings.recheck_s
        if kept := shelf.fresh(self._clock.now(), within_s):
            return kept.value
        manifest = await self._cluster.fetch(Kind.SECRET, key)
        return shelf.keep(manifest.get("data") or {} if manifest is not None else None, self._clock.now())

    # --- keys --------------------------------------------------------------------------------------------------------

    async def _key_pair(
        self, pull: AuthenticatedOriginPull, memory: Memory
    ) -> tuple[ObservedKeyPair | Unknown | None, Mapping[Presented, ClientIdentity]]:
        certificate = pull.spec.certificate
        name = certificate.secret_ref.name if certificate.secret_ref else certificate.generate.secret_name if certificate.generate else ""
        key = ObjectKey(pull.key.namespace, name)
        try:
            data = await self._secret(key, memory)
            if data is None and certificate.generate:
                return None, {}
            pair = (
                read_key_pair(key, data or {}, pull.spec.zone.name)
                if certificate.generate
                else read_referenced(key, data, self._clock.now())
            )
            held = [(Presented.OURS, Slot.CURRENT, pair.leaf), (Presented.NEXT, Slot.NEXT, pair.next)]
            # nginx refuses what has expired whatever is pinned, so that such an answer would tell nothing of our text.
            identities = {
                presented: self._identity(key, data or {}, slot, memory)
                for presented, slot, leaf in held
                if leaf is not None and leaf.pin.not_after > self._clock.now()
            }
        except ClusterError as error:
            return Unknown(error.message, retry_after_s=error.retry_after_s), {}
        except Blocked as error:
            return Unknown(error.message, error.reason), {}
        renewal = pair.leaf.renewal_at(certificate.generate.renew_ahead) if certificate.generate else None
        return ObservedKeyPair(pair.leaf.pin, pair.next.pin if pair.next else None, renewal), identities

    @staticmethod
    def _identity(key: ObjectKey, data: dict[str, str], slot: Slot, memory: Memory) -> ClientIdentity:
        leaf = read_keyed_leaf(key, data, slot)
        digest = leaf.leaf.pin.sha256
        if digest not in memory.identities:
            memory.identities[digest] = ClientIdentity(leaf.leaf.pem, leaf.key)
        return memory.identities[digest]

    # --- Cloudflare --------------------------------------------------------------------------------------------------

    async def _zone_task(
        self, pull: AuthenticatedOriginPull, record: Record, key_pair: ObservedKeyPair | Unknown | None, memory: Memory
    ) -> asyncio.Task[ObservedZone | Unknown | None]:
        if memory.zone_task is None:
            held = (key_pair.leaf, key_pair.next) if isinstance(key_pair, ObservedKeyPair) else ()
            ours: tuple[Pin, ...] = (*record.uploaded, *(pin for pin in held if pin))
            access = await self._access(pull, memory)
            reading = self._zones.read(pull, access, memory, self._clock.now(), ours, hurry=memory.awaiting)
            memory.zone_task = asyncio.create_task(reading)
        return memory.zone_task

    async def _access(self, pull: AuthenticatedOriginPull, memory: Memory) -> Access | Unknown:
        reference = pull.spec.credentials.api_token_secret_ref
        key = ObjectKey(pull.key.namespace, reference.name)
        source = f"Secret {key}, key {reference.key}"
        try:
            data = await self._secret(key, memory)
        except ClusterError as error:
            return Unknown(error.message, retry_after_s=error.retry_after_s)
        if data is None or reference.key not in data:
            what = f"Secret {key} does not exist" if data is None else f"Secret {key} has no key {reference.key}"
            remedy = f"kubectl -n {key.namespace} create secret generic {key.name} --from-literal={reference.key}=…"
            return Unknown(f"{what}. Create it with a Cloudflare API token: {remedy}", Reason.TOKEN_SECRET_NOT_FOUND)
        try:
            token = base64.b64decode(data[reference.key], validate=True).decode()
            return Access.of(token, Priority.ONBOARD, source=source)
        except (binascii.Error, UnicodeDecodeError):
            return Unknown(f"{source} is not text. Put a Cloudflare API token there", Reason.TOKEN_REJECTED)
        except Blocked as error:
            return Unknown(error.message, error.reason)


def _object(pull: AuthenticatedOriginPull, record: Record) -> ObservedObject:
    return ObservedObject(
        key=pull.key,
        uid=pull.uid,
        generation=pull.generation,
        created=pull.created_at,
        spec=pull.spec,
        record=record,
        finalizer=pull.has_finalizer,
        deleting=pull.deleting,
        rotate=pull.rotate,
    )


def _rival(manifest: dict[str, object], pull: AuthenticatedOriginPull) -> Rival | None:
    """Another object for the same zone, as far as its raw manifest tells; its spec may be invalid."""
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict) or metadata.get("uid") == pull.uid:
        return None
    zone = spec.get("zone") or {}
    record = load((metadata.get("annotations") or {}).get("aop-operator.dev/record"))
    ids = {zone.get("id"), pull.spec.zone.id} - {None}
    if zone.get("name") != pull.spec.zone.name or len(ids) > 1:
        return None
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    return Rival(ObjectKey(metadata["namespace"], metadata["name"]), metadata["uid"], created, zone.get("id") or record.zone_id)
