"""Claims whose object is gone.

Somebody has taken its finalizer off by hand, so no removal ever ran and the origin still refuses.
The operator looks for such claims at its start, hourly, and soon after an object has vanished. It
finds them by the label of the carriers, so even when no object is left. An orphaned claim is
relaxed first, and taken out a minute later, when every replica has followed. What its zone has at
Cloudflare stays there, because the token is no longer known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aop.api import CLAIMED_LABEL
from aop.cluster import Cluster, ClusterError
from aop.errors import AopError
from aop.metrics import Metrics
from aop.observe.origins import OriginKeepers
from aop.origins.kind import OriginKind
from aop.settings import Settings
from aop.terms import Claim, Kind, Mode, ObjectKey, Target

log = logging.getLogger("aop")
Manifest = dict[str, Any]

HOURLY_S = 3600.0


class Orphans:
    """Looks for orphaned claims; built once per process."""

    def __init__(
        self, cluster: Cluster, origins: OriginKeepers, settings: Settings, metrics: Metrics
    ) -> None:
        self._cluster = cluster
        self._origins = origins
        self._namespaces = settings.watch_namespaces
        self._config_maps = settings.ingress_config_maps
        self._again_s = settings.recheck_s
        """When to look again: by then every replica that can follow has followed, and what could
        not be done is tried again."""
        self._metrics = metrics
        self._orphaned = 0
        """The orphaned claims of the look that is under way."""
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
                delay_s = HOURLY_S if is_forbidden(error) else self._again_s
            except Exception:
                log.exception("bug while looking for claims whose object is gone")
                delay_s = HOURLY_S
            try:
                async with asyncio.timeout(delay_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """One look, which takes every orphaned claim one step further. True while some are left.

        Raises `ClusterError`.
        """
        # The claims first: if one is written afterwards, the list of objects contains its object.
        claimed = [
            (kind, carrier)
            for kind in self._origins.kinds.values()
            for carrier in await self._carriers(kind)
        ]
        namespaces = self._namespaces or (None,)
        living = {
            pull["metadata"]["uid"]
            for each in namespaces
            async for pull in self._cluster.each(Kind.AUTHENTICATED_ORIGIN_PULL, each)
        }
        self._orphaned = 0
        left = [await self._relax_alone(kind, carrier, living) for kind, carrier in claimed]
        self._metrics.found_orphaned(self._orphaned)
        return any(left)

    async def _relax_alone(self, kind: OriginKind, carrier: Manifest, living: set[str]) -> bool:
        """As `_relax_one`; a carrier that refuses it holds up no other, and is tried again."""
        try:
            return await self._relax_one(kind, carrier, living)
        except AopError as error:
            log.warning("a claim whose object is gone stays: %s", error.message)
            return not is_forbidden(error)
        except Exception:
            log.exception("bug while a claim whose object is gone is relaxed")
        return True

    async def _relax_one(self, kind: OriginKind, carrier: Manifest, living: set[str]) -> bool:
        """Take one claim a step further, whether there are more or not.

        The next one is written on top of that, at the next look.
        """
        metadata = carrier["metadata"]
        target = Target(kind.name, metadata["namespace"], metadata["name"])
        claims = orphaned_claims(kind, target, carrier, living, self._namespaces)
        self._orphaned += len(claims)
        for claim in claims[:1]:
            log.warning(
                "%s has a claim of %s, which is gone: %s",
                kind.words(target).place,
                claim.owner,
                "it refuses nobody from now on" if claim.mode > Mode.OFF else "it is taken out",
            )
            keeper = self._origins.of(target)
            await keeper.writer.relax_orphaned(carrier, claim)
            await keeper.rollouts.begin_orphaned()
        return bool(claims)

    async def _carriers(self, kind: OriginKind) -> list[Manifest]:
        """The carriers of a kind, as far as we may look.

        By the label, or by name if only some are ours to write.
        """
        label = f"{CLAIMED_LABEL}={kind.name}"
        if not self._config_maps or kind.carried_by is not Kind.CONFIG_MAP:
            return await self._cluster.list(kind.carried_by, labels=label)
        named = [ObjectKey(*name.split("/")) for name in self._config_maps]
        read = [await self._read_alone(kind, key) for key in named]
        return [
            one
            for one in read
            if one and (one["metadata"].get("labels") or {}).get(CLAIMED_LABEL) in {None, kind.name}
        ]

    async def _read_alone(self, kind: OriginKind, key: ObjectKey) -> Manifest | None:
        """One carrier; None if there is none, or if it cannot be read now."""
        try:
            return await self._cluster.fetch(kind.carried_by, key)
        except ClusterError as error:
            log.warning("claims whose object is gone are not looked for there: %s", error.message)
            return None


def is_forbidden(error: AopError) -> bool:
    """Whether only a person can correct it."""
    return isinstance(error, ClusterError) and error.status == HTTPStatus.FORBIDDEN


def orphaned_claims(
    kind: OriginKind,
    target: Target,
    carrier: Mapping[str, Any],
    living: set[str],
    namespaces: Iterable[str] = (),
) -> list[Claim]:
    """The claims in `carrier` of objects that are not among `living` (uids). Pure.

    Only those whose object we would know.
    """
    served = set(namespaces)
    claims = kind.site(target, {kind.carrier(target): (carrier,)}).published.claims
    return [
        claim
        for uid, claim in sorted(claims.items())
        if uid not in living and (not served or claim.owner.split("/")[0] in served)
    ]
