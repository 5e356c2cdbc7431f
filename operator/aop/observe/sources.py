"""What drivers read of Kubernetes, each reading made once for all origins that want it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from aop.clock import Clock
from aop.cluster import Cluster
from aop.observe.kept import unless_changed
from aop.observe.listing import Listing
from aop.observe.source import Known, Source
from aop.observe.stirred import Stirred
from aop.observed import Unknown
from aop.origins.sites import Json, Need, Objects, Read, Scope
from aop.settings import Settings
from aop.terms import Kind, ObjectKey


class Pace(Enum):
    """How soon something that was read is read again, in seconds.

    Objects that look at the same moment share one reading in any case. What a watch shows is read
    seldom, because a watch can hang.
    """

    BUSY = (0.5, 0.5, 15.0, 15.0, 60.0)
    """Replicas do not run yet what is published."""
    CALM = (30.0, 5.0, 15.0, 30.0, 60.0)
    """They do, and some object waits for something else."""
    REST = (60.0, 15.0, 60.0, 60.0, 300.0)
    """No object waits for anything."""

    def __init__(
        self,
        carrier_s: float,
        essential_s: float,
        others_s: float,
        watched_essential_s: float,
        watched_others_s: float,
    ) -> None:
        self.carrier_s = carrier_s
        """For the carrier where a watch shows it: by its label, in a namespace that is served."""
        self.essential_s = essential_s
        """For what nothing is known without, which are the replicas, and for what has to be known
        promptly."""
        self.others_s = others_s
        """Anything else."""
        self.watched_essential_s = watched_essential_s
        """As `essential_s`, while a watch shows it."""
        self.watched_others_s = watched_others_s
        """As `others_s`, while a watch shows it."""


Place = tuple[Kind, str | None]
"""A kind and a namespace (None: all)."""
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

    def __init__(
        self, cluster: Cluster, settings: Settings, clock: Clock, *, watching: bool = False
    ) -> None:
        """`watching` if what is listed is also to be watched."""
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._watching = watching
        self._sources: dict[Read, Source[tuple[Json, ...]]] = {}
        self._listings: dict[Place, Listing] = {}
        self._listeners: defaultdict[Place, list[Stirred]] = defaultdict(list)
        """Who is told that a watch has shown a change there."""

    def of(self, read: Read) -> Source[tuple[Json, ...]]:
        """The one source of a reading, made at its first mention."""
        if read not in self._sources:
            self._sources[read] = Source(
                str(read), self._reader(read), self._clock, needed=read.need is not Need.OPTIONAL
            )
        return self._sources[read]

    def tell(self, reads: tuple[Read, ...], origin: Stirred) -> None:
        """Have the origin notice whenever a watch shows a change of what one of these lists."""
        for read in reads:
            self._listeners[_place_of(read)].append(origin)

    def end(self) -> None:
        """Watch nothing any more."""
        for listing in self._listings.values():
            listing.end()

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
            if read.need is not Need.ESSENTIAL and not self._is_watched(read):
                source.forget()

    def _age_s(self, read: Read, pace: Pace) -> float:
        """How old the last reading may be.

        Where the last one failed, what is known counts as stale until there is a list again. A
        watch alone does not show that.
        """
        watched = self._is_watched(read) and not self._has_failed(read)
        if read.need is not Need.ESSENTIAL and not read.prompt:
            return pace.watched_others_s if watched else pace.others_s
        if read.name is not None and self._settings.serves(read.namespace):
            return pace.carrier_s
        return pace.watched_essential_s if watched else pace.essential_s

    def _is_watched(self, read: Read) -> bool:
        """Whether a watch shows each change of what is listed."""
        listing = self._listings.get(_place_of(read)) if read.name is None else None
        return listing is not None and listing.followed

    def _has_failed(self, read: Read) -> bool:
        """Whether the last reading did."""
        last = self.of(read).last
        return isinstance(last, Known) and last.failure is not None

    def _reader(self, read: Read) -> Callable[[], Awaitable[tuple[Json, ...]]]:
        if read.name is None:
            return self._listing(read).list

        async def one() -> tuple[Json, ...]:
            assert read.namespace is not None  # noqa: S101 - what has a name has a namespace; this tells mypy
            assert read.name is not None  # noqa: S101 - the same
            manifest = await self._cluster.fetch(read.kind, ObjectKey(read.namespace, read.name))
            last = self.of(read).last
            # Of one alone the driver wants to know who has written what.
            return unless_changed(
                last.value if isinstance(last, Known) else (),
                () if manifest is None else (manifest,),
            )

        return one

    def _listing(self, read: Read) -> Listing:
        """The one of that kind there, however urgently each driver needs it."""
        place = _place_of(read)
        if place not in self._listings:
            shown = self._shown_to(place) if self._watching else None
            self._listings[place] = Listing(read, self._cluster, self._clock, shown)
        return self._listings[place]

    def _shown_to(self, place: Place) -> Callable[[tuple[Json, ...]], None]:
        def show(objects: tuple[Json, ...]) -> None:
            for read, source in self._sources.items():
                if read.name is None and _place_of(read) == place:
                    source.show(objects)
            concerned = sum(origin.concerned for origin in self._listeners[place])
            for origin in self._listeners[place]:
                origin.notice(concerned)

        return show

    def _stale(self, needed: list[Known[tuple[Json, ...]] | Unknown]) -> str | None:
        now = self._clock.now()
        for source in needed:
            if isinstance(source, Unknown):
                return source.message
            if source.failure and now - source.read_at > timedelta(seconds=STALE_S):
                return f"{source.failure}; what was known at {source.read_at + self._clock.stepped():%H:%M:%S} UTC stands meanwhile"
        return None


def _place_of(read: Read) -> Place:
    return read.kind, read.namespace


def scope_of(settings: Settings) -> Scope:
    """What the settings let drivers look at."""
    return Scope(
        () if settings.list_all_ingresses else settings.watch_namespaces,
        cluster=settings.list_all_ingresses,
        routers=settings.list_ingress_routes,
        routes=settings.list_routes,
        proxies=settings.proxy_namespaces,
    )
