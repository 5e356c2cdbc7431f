"""All objects that are served, looked at once for all who ask.

Who else names a zone, and which claims have no object any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aop.api import AuthenticatedOriginPull, Status
from aop.clock import Clock
from aop.cluster import Cluster, Kind
from aop.observe.kept import is_news, resource_version
from aop.observe.origins import OriginKeepers
from aop.observe.source import Known, Source
from aop.observed import Rival, Unknown
from aop.schema import ascii_name
from aop.settings import Settings
from aop.terms import ObjectKey, Target

Manifest = dict[str, Any]

LISTED_S, LISTED_EACH_S = 60.0, 0.12
"""How old the list of all objects may be, beside what the watch shows, and how much each object
adds to it. A watch can hang silently, and nothing reports what went while it began anew."""
CLAIMED_S = 15.0
"""The same while there is a claim whose object is not known."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the others need to know of an object; the rest is in its own memory."""

    key: ObjectKey
    uid: str
    resource_version: str
    created: datetime
    deleting: bool
    zone: str
    """The zone that it names, as far as its raw spec tells, which may be invalid."""
    alerts: Any
    """`spec.alerts`, raw for the same reason."""
    zone_id: str | None
    """Of the zone that it went on with, by its status, which only we write."""
    account_id: str | None
    """Of the account that the zone is in, by its status."""

    @classmethod
    def of(cls, manifest: Manifest) -> Served:
        """The object in `manifest`."""
        metadata, spec = manifest["metadata"], manifest.get("spec") or {}
        status = Status.parse({"zone": (manifest.get("status") or {}).get("zone")})
        return cls(
            ObjectKey(metadata["namespace"], metadata["name"]),
            metadata["uid"],
            resource_version(manifest),
            datetime.fromisoformat(metadata["creationTimestamp"]),
            bool(metadata.get("deletionTimestamp")),
            ascii_name(str((spec.get("zone") or {}).get("name") or "")),
            spec.get("alerts"),
            zone_id_of(status),
            status.zone.account_id if status.zone else None,
        )


class Objects:
    """The served objects; built once per process.

    What the watch shows, and what is listed now and then, make one index.
    """

    def __init__(
        self, cluster: Cluster, origins: OriginKeepers, settings: Settings, clock: Clock
    ) -> None:
        self._cluster = cluster
        self._origins = origins
        self._settings = settings
        self._clock = clock
        self._list: Source[frozenset[str]] = Source(
            "the AuthenticatedOriginPulls", self._list_all, clock
        )
        self._served: dict[str, Served] = {}
        self._by_zone: defaultdict[str, set[str]] = defaultdict(set)
        """The uids of the objects that name a zone."""
        self._shown: dict[str, tuple[str, bool]] = {}
        """By uid: the zone that an object's token has seen in this process, and whether the object
        has gone on with it."""
        self._tell: Callable[[Manifest], object] = lambda _: None

    def begin(self, tell: Callable[[Manifest], object]) -> None:
        """From now on hand each object that is listed to `tell`."""
        self._tell = tell

    # --- what there is ----------------------------------------------------------------------------

    def learn(self, manifest: Manifest) -> frozenset[str]:
        """Learn an object as it is now, unless something newer is known.

        Returns the uids of the objects for which it is news that it names their zone, or no longer
        does.
        """
        uid = manifest["metadata"]["uid"]
        before = self._served.get(uid)
        if before is not None and not is_news(resource_version(manifest), before.resource_version):
            return frozenset()
        now = Served.of(manifest)
        if before is not None and before.zone == now.zone:
            self._served[uid] = now
            return frozenset()
        left = self._leave(uid)
        self._served[uid] = now
        if not now.zone:
            return left
        self._by_zone[now.zone].add(uid)
        return left | (self._by_zone[now.zone] - {uid})

    def drop(self, uid: str) -> frozenset[str]:
        """An object is gone, with everything that it had.

        Returns the uids of the others that name its zone.
        """
        self._shown.pop(uid, None)
        return self._leave(uid)

    def _leave(self, uid: str) -> frozenset[str]:
        before = self._served.pop(uid, None)
        if before is None or not before.zone:
            return frozenset()
        others = self._by_zone[before.zone]
        others.discard(uid)
        if not others:
            del self._by_zone[before.zone]
        return frozenset(others)

    def has_shown(self, pull: AuthenticatedOriginPull, zone_id: str) -> None:
        """The object's own token has seen that zone."""
        self._shown[pull.uid] = zone_id, zone_id == zone_id_of(pull.status)

    async def _list_all(self) -> frozenset[str]:
        """All uids. An object that was known before and is not listed any more is forgotten."""
        before, listed = frozenset(self._served), set[str]()
        for namespace in self._settings.watch_namespaces or (None,):
            async for manifest in self._cluster.each(Kind.AUTHENTICATED_ORIGIN_PULL, namespace):
                listed.add(manifest["metadata"]["uid"])
                self._tell(manifest)
                self.learn(manifest)
        for uid in before - listed:
            self.drop(uid)
        return frozenset(listed)

    @property
    def count(self) -> int:
        """How many objects are known."""
        return len(self._served)

    @property
    def served(self) -> tuple[Served, ...] | None:
        """Every object as it is known; None until a list has shown that these are all."""
        listed = isinstance(self._list.last, Known)
        return tuple(self._served.values()) if listed else None

    @property
    def _listed_s(self) -> float:
        return max(LISTED_S, LISTED_EACH_S * self.count)

    @property
    def stale_after_s(self) -> float:
        """How old may be what is known of an object: two lists would have shown it by then."""
        return 2 * self._listed_s

    # --- who else names a zone --------------------------------------------------------------------

    async def rivals(
        self, pull: AuthenticatedOriginPull, until_s: float, claimants: Collection[str] = ()
    ) -> tuple[Rival, ...] | Unknown:
        """The others that name the zone, in the order of their uids.

        `until_s` is monotonic; `claimants` are the uids of all who have a claim of the zone.
        """
        within_s = self._listed_s
        if any(uid not in self._served for uid in claimants):
            within_s = CLAIMED_S
        listed = await self._list.look(
            within_s=within_s, patience_s=until_s - self._clock.monotonic_s()
        )
        if isinstance(listed, Unknown):
            return listed
        uids = self._by_zone.get(pull.spec.zone.name, set())
        return tuple(self._rival(self._served[uid]) for uid in sorted(uids - {pull.uid}))

    def _rival(self, other: Served) -> Rival:
        """Another object for the zone.

        The operator wrote what its status says; anybody may have written its spec.
        """
        in_status = other.zone_id, other.zone_id is not None
        zone_id, holds = self._shown.get(other.uid, in_status)
        return Rival(other.key, other.uid, other.created, zone_id, holds)

    def gone(self, pull: AuthenticatedOriginPull, targets: list[Target]) -> frozenset[str]:
        """The claims of the zone whose object is surely gone.

        Another object has its name now, or a list that is younger than the claim does not contain
        it.
        """
        listed = self._list.last
        uids = listed.value if isinstance(listed, Known) and not listed.failure else None
        gone = set()
        for target in targets:
            keeper = self._origins.of(target)
            younger = (
                isinstance(listed, Known)
                and keeper.changed_at is not None
                and listed.read_at > keeper.changed_at
            )
            for uid, owner in keeper.claimants(pull.spec.zone.name).items():
                replaced = uid != pull.uid and owner == str(pull.key)
                missing = (
                    uids is not None
                    and younger
                    and uid not in uids
                    and uid not in self._served
                    and self._settings.serves(ObjectKey.parse(owner).namespace)
                )
                if replaced or (missing and uid != pull.uid):
                    gone.add(uid)
        return frozenset(gone)


def zone_id_of(status: Status) -> str | None:
    """The id of the zone with which the object went on."""
    return status.zone.id if status.zone else None
