"""What drivers read of Kubernetes, each reading made once for all origins that want it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from aop.clock import Clock
from aop.cluster import Cluster, lean
from aop.observe.source import Known, Source
from aop.observed import Unknown
from aop.origins.sites import Json, Need, Objects, Read, Scope
from aop.settings import Settings
from aop.terms import ObjectKey

Manifest = dict[str, Any]


class Pace(Enum):
    """How soon something that was read is read again, in seconds.

    Objects that look at the same moment share one reading in any case.
    """

    BUSY = (0.5, 0.5, 15.0)
    """Replicas do not run yet what is published."""
    CALM = (30.0, 5.0, 15.0)
    """They do, and some object waits for something else."""
    REST = (60.0, 15.0, 60.0)
    """No object waits for anything."""

    def __init__(self, watched_s: float, essential_s: float, others_s: float) -> None:
        self.watched_s = watched_s
        """For what is essential and also watched, so that a change is reported: the carrier, by its
        label, in a namespace that is served."""
        self.essential_s = essential_s
        """For what nothing is known without, which are the replicas, and for what has to be known
        promptly."""
        self.others_s = others_s
        """Anything else."""


STALE_S = 30.0
"""How old what is known of a source that cannot be read may be; after that, only what protects goes
on with it."""


@dataclass(frozen=True, slots=True)
class KnownObjects:
    """All that one driver wanted to know, as far as it is known."""

    objects: Objects
    lost: Unknown | None
    """The essential source that was never read, if any."""
    complete: bool
    """Whether everything that is not optional was read, however long ago."""
    stale: str | None
    """The first of these that has not been read for a while, in words."""


class Sources:
    """Every reading that any driver has asked for; built once per process."""

    def __init__(self, cluster: Cluster, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._sources: dict[Read, Source[tuple[Json, ...]]] = {}

    def of(self, read: Read) -> Source[tuple[Json, ...]]:
        """The one source of a reading, made at its first mention."""
        if read not in self._sources:
            self._sources[read] = Source(
                str(read), self._reader(read), self._clock, needed=read.need is not Need.OPTIONAL
            )
        return self._sources[read]

    async def look(self, reads: tuple[Read, ...], *, until_s: float, pace: Pace) -> KnownObjects:
        """What is known of each when the last one has arrived, or at `until_s` (monotonic).

        One may have changed while another was awaited.
        """
        patience_s = until_s - self._clock.monotonic_s()
        await asyncio.gather(
            *(
                self.of(read).look(
                    within_s=self._age_s(read, pace),
                    patience_s=patience_s,
                )
                for read in reads
            )
        )
        known = {read: self.of(read).last for read in reads}
        lost = [
            one
            for read, one in known.items()
            if isinstance(one, Unknown) and read.need is Need.ESSENTIAL
        ]
        needed = [one for read, one in known.items() if read.need is not Need.OPTIONAL]
        return KnownObjects(
            objects={
                read: one.value if isinstance(one, Known) else None for read, one in known.items()
            },
            lost=lost[0] if lost else None,
            complete=not any(isinstance(one, Unknown) for one in needed),
            stale=self._stale(needed),
        )

    def forget_others(self) -> None:
        """An object has come: read again what is not essential.

        It may have come just before the object, after it was last read.
        """
        for read, source in self._sources.items():
            if read.need is not Need.ESSENTIAL:
                source.forget()

    def _age_s(self, read: Read, pace: Pace) -> float:
        """How old the last reading may be."""
        if read.need is not Need.ESSENTIAL and not read.prompt:
            return pace.others_s
        watched = read.name is not None and self._settings.serves(read.namespace)
        return pace.watched_s if watched else pace.essential_s

    def _reader(self, read: Read) -> Callable[[], Awaitable[tuple[Json, ...]]]:
        async def one() -> tuple[Json, ...]:
            assert read.namespace is not None  # noqa: S101 - what has a name has a namespace; this tells mypy
            assert read.name is not None  # noqa: S101 - the same
            manifest = await self._cluster.fetch(read.kind, ObjectKey(read.namespace, read.name))
            return self._kept(read, () if manifest is None else (manifest,))

        async def all_of_them() -> tuple[Json, ...]:
            return self._kept(read, await self._cluster.list(read.kind, read.namespace))

        return all_of_them if read.name is None else one

    def _kept(self, read: Read, manifests: Sequence[Manifest]) -> tuple[Json, ...]:
        """The same tuple as before if nothing in it has changed.

        Then whoever has made something of it need not do so again.
        """
        known = self.of(read).last
        if isinstance(known, Known) and _versions(known.value) == _versions(manifests):
            return known.value
        # The driver wants to know who has written what only of a single object.
        return tuple(one if read.name is not None else lean(one) for one in manifests)

    def _stale(self, needed: list[Known[tuple[Json, ...]] | Unknown]) -> str | None:
        now = self._clock.now()
        for source in needed:
            if isinstance(source, Unknown):
                return source.message
            if source.failure and now - source.read_at > timedelta(seconds=STALE_S):
                return f"{source.failure}; what was known at {source.read_at + self._clock.stepped():%H:%M:%S} UTC stands meanwhile"
        return None


def _versions(manifests: Sequence[Json]) -> list[object]:
    """What shows whether any of them has changed."""
    return [
        (one["metadata"].get("uid"), one["metadata"].get("resourceVersion") or one)
        for one in manifests
    ]


def scope_of(settings: Settings) -> Scope:
    """What the settings let drivers look at."""
    return Scope(
        () if settings.list_all_ingresses else settings.watch_namespaces,
        cluster=settings.list_all_ingresses,
        routers=settings.list_ingress_routes,
        routes=settings.list_routes,
        proxies=settings.proxy_namespaces,
    )
