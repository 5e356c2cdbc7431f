"""All objects that are served, looked at once for all who ask.

Who else names a zone, and whose claim has no object any more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aop.api import AuthenticatedOriginPull, Status
from aop.clock import Clock
from aop.cluster import Cluster, Kind
from aop.observe.origins import OriginKeepers
from aop.observe.source import Known, Source
from aop.observed import Rival, Unknown
from aop.schema import ascii_name
from aop.settings import Settings
from aop.terms import ObjectKey, Target

Manifest = dict[str, Any]

RIVALS_S = 15.0
"""How old the list may be by which the others are known; it is read anew when one comes, goes or
changes."""


class Objects:
    """The served objects; built once per process."""

    def __init__(
        self, cluster: Cluster, origins: OriginKeepers, settings: Settings, clock: Clock
    ) -> None:
        self._cluster = cluster
        self._origins = origins
        self._settings = settings
        self._clock = clock
        self._listed: Source[list[Manifest]] = Source(
            "the AuthenticatedOriginPulls", self._list, clock
        )
        self._shown: dict[str, tuple[str, bool]] = {}
        """By uid: the zone that an object's token has shown to this process, and whether the object
        has gone on with it."""

    def has_shown(self, pull: AuthenticatedOriginPull, zone_id: str) -> None:
        """The object's own token has shown that zone."""
        self._shown[pull.uid] = zone_id, zone_id == zone_id_of(pull.status)

    async def _list(self) -> list[Manifest]:
        namespaces = self._settings.watch_namespaces or (None,)
        lists = [
            await self._cluster.list(Kind.AUTHENTICATED_ORIGIN_PULL, namespace)
            for namespace in namespaces
        ]
        return [manifest for listed in lists for manifest in listed]

    async def rivals(
        self, pull: AuthenticatedOriginPull, until_s: float
    ) -> tuple[Rival, ...] | Unknown:
        """The others that name the zone, by a list that is a few seconds old.

        `until_s` is monotonic.
        """
        listed = await self._listed.look(
            within_s=RIVALS_S, patience_s=until_s - self._clock.monotonic_s()
        )
        if isinstance(listed, Unknown):
            return listed
        return tuple(
            self._rival(manifest)
            for manifest in listed.value
            if _names_the_same_zone(manifest, pull)
        )

    def _rival(self, manifest: Manifest) -> Rival:
        """Another object for the zone.

        What its status says was written by us; its annotations and its spec anybody may have
        written.
        """
        metadata, in_status = manifest["metadata"], zone_id_of(Status.parse(manifest.get("status")))
        zone_id, holds = self._shown.get(metadata["uid"], (in_status, in_status is not None))
        created = datetime.fromisoformat(metadata["creationTimestamp"])
        return Rival(
            ObjectKey(metadata["namespace"], metadata["name"]),
            metadata["uid"],
            created,
            zone_id,
            holds,
        )

    def gone(self, pull: AuthenticatedOriginPull, targets: list[Target]) -> frozenset[str]:
        """Claims of the zone whose object is surely gone.

        Another has its name now, or a list that is younger than the claim lacks it.
        """
        listed, served = self._listed.last, self._settings.watch_namespaces
        uids = (
            {manifest["metadata"]["uid"] for manifest in listed.value}
            if isinstance(listed, Known) and not listed.failure
            else None
        )
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
                    and (not served or ObjectKey.parse(owner).namespace in served)
                )
                if replaced or (missing and uid != pull.uid):
                    gone.add(uid)
        return frozenset(gone)

    def drop(self, uid: str) -> None:
        """An object is gone, and whatever it had."""
        self._shown.pop(uid, None)
        self.forget()

    def forget(self) -> None:
        """An object has come, gone or changed: list them again next time."""
        self._listed.forget()


def zone_id_of(status: Status) -> str | None:
    """Id of the zone that the object went on with."""
    return status.zone.id if status.zone else None


def _names_the_same_zone(manifest: Manifest, pull: AuthenticatedOriginPull) -> bool:
    """Whether another object names the zone, as far as its raw manifest tells.

    Its spec may be invalid.
    """
    zone = (manifest.get("spec") or {}).get("zone") or {}
    return (
        manifest["metadata"]["uid"] != pull.uid
        and ascii_name(str(zone.get("name") or "")) == pull.spec.zone.name
    )
