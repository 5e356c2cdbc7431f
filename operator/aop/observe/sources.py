"""What drivers read of Kubernetes, each reading made once for all origins that want it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from aop.clock import Clock
from aop.cluster import Cluster, lean
from aop.observe.source import Known, Source
from aop.observed import Unknown
from aop.origins.sites import Json, Need, Objects, Read, Scope
from aop.settings import Settings
from aop.terms import ObjectKey


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
            # Of one alone the driver wants to know who has written what.
            return self._kept(read, () if manifest is None else (manifest,))

        async def all_of_them() -> tuple[Json, ...]:
            known = {_version(each): each for each in self._known(read)}
            listed = self._cluster.each(read.kind, read.namespace)
            # What is as before is the same object, and of the others each is made lean at once.
            manifests = [known.get(_version(each)) or lean(each) async for each in listed]
            return self._kept(read, tuple(manifests))

        return all_of_them if read.name is None else one

    def _known(self, read: Read) -> tuple[Json, ...]:
        last = self.of(read).last
        return last.value if isinstance(last, Known) else ()

    def _kept(self, read: Read, manifests: tuple[Json, ...]) -> tuple[Json, ...]:
        """The very tuple of before where nothing in it has changed.

        Whoever has made something of it need not do so again.
        """
        known = self._known(read)
        unchanged = [_version(each) for each in known] == [_version(each) for each in manifests]
        return known if unchanged else manifests

    def _stale(self, needed: list[Known[tuple[Json, ...]] | Unknown]) -> str | None:
        now = self._clock.now()
        for source in needed:
            if isinstance(source, Unknown):
                return source.message
            if source.failure and now - source.read_at > timedelta(seconds=STALE_S):
                return f"{source.failure}; what was known at {source.read_at + self._clock.stepped():%H:%M:%S} UTC stands meanwhile"
        return None


def _version(one: Json) -> tuple[object, object]:
    """What tells whether it has changed."""
    return one["metadata"].get("uid"), one["metadata"].get("resourceVersion") or repr(one)


def scope_of(settings: Settings) -> Scope:
    """What the settings let drivers look at."""
    return Scope(
        () if settings.list_all_ingresses else settings.watch_namespaces,
        cluster=settings.list_all_ingresses,
        routers=settings.list_ingress_routes,
        routes=settings.list_routes,
        proxies=settings.proxy_namespaces,
    )
