"""Claims whose object is gone: somebody has taken its finalizer off by hand, so no removal ever ran and the origin still refuses.

Looked for at start, hourly, and soon after an object has vanished; found by the label on the
ConfigMaps, so also when no object is left. A orphaned claim is relaxed first and taken out a minute
later, when every replica has followed. What its zone holds at Cloudflare stays there: the token is
not known any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aop.api import CLAIMED_LABEL
from aop.cluster import Cluster, ClusterError, Kind
from aop.origins import ingress_nginx
from aop.perform import Performer
from aop.settings import Settings
from aop.terms import Claim, Mode, ObjectKey

log = logging.getLogger("aop")

HOURLY_S = 3600.0


class Orphans:
    """looks for orphaned claims; built once per process."""

    def __init__(self, cluster: Cluster, performer: Performer, settings: Settings) -> None:
        self._cluster = cluster
        self._performer = performer
        self._namespaces = settings.watch_namespaces
        self._config_maps = settings.ingress_config_maps
        self._again_s = settings.recheck_s
        """By then every replica that can follow has followed, and what could not be done is tried
        again."""
        self._wake = asyncio.Event()

    def look_soon(self) -> None:
        """An object has vanished."""
        self._wake.set()

    async def run(self) -> None:
        """Look again and again; ends only by cancellation."""
        while True:
            self._wake.clear()
            try:
                delay_s = self._again_s if await self.look() else HOURLY_S
            except ClusterError as error:
                log.warning("claims whose object is gone cannot be looked for: %s", error.message)
                delay_s = HOURLY_S if error.status == HTTPStatus.FORBIDDEN else self._again_s
            except Exception:
                log.exception("bug while looking for claims whose object is gone")
                delay_s = HOURLY_S
            try:
                await asyncio.wait_for(self._wake.wait(), delay_s)
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """One look: every orphaned claim is brought one step further. True while some are left.

        Raises `ClusterError`.
        """
        # ConfigMaps first: a claim that is written afterwards belongs to an object that the list of
        # objects then has.
        claimed = await self._claimed()
        namespaces = self._namespaces or (None,)
        living = {
            pull["metadata"]["uid"]
            for each in namespaces
            for pull in await self._cluster.list(Kind.AUTHENTICATED_ORIGIN_PULL, each)
        }
        found = False
        for config_map in claimed:
            for claim in orphaned_claims(config_map, living, self._namespaces):
                found = True
                log.warning(
                    "ConfigMap %s/%s has a claim of %s, which is gone: %s",
                    *(config_map["metadata"][part] for part in ("namespace", "name")),
                    claim.owner,
                    "it refuses nobody from now on" if claim.mode > Mode.OFF else "it is taken out",
                )
                await self._performer.relax_orphaned(config_map, claim)
                break  # the next one is written on top of this write, at the next look
        return found

    async def _claimed(self) -> list[dict[str, Any]]:
        """The ConfigMaps that carry claims, as far as we may look: by the label, or by name where only some are ours to write."""
        if not self._config_maps:
            return await self._cluster.list(Kind.CONFIG_MAP, labels=f"{CLAIMED_LABEL}=true")
        named = [ObjectKey(*name.split("/")) for name in self._config_maps]
        return [
            found for key in named if (found := await self._cluster.fetch(Kind.CONFIG_MAP, key))
        ]


def orphaned_claims(
    config_map: Mapping[str, Any], living: set[str], namespaces: Iterable[str] = ()
) -> list[Claim]:
    """The claims in `config_map` of objects that are not among `living` (uids), where we would know it. Pure."""
    served = set(namespaces)
    claims = ingress_nginx.read(config_map).claims
    return [
        claim
        for uid, claim in sorted(claims.items())
        if uid not in living and (not served or claim.owner.split("/")[0] in served)
    ]
