"""Every origin's keeper, and what they share."""

from __future__ import annotations

from collections.abc import Mapping

from aop.clock import Clock
from aop.cluster import Cluster
from aop.observe.origin import OriginKeeper, Wake
from aop.observe.replicas import ReplicaReader
from aop.observe.sources import Sources
from aop.origins.kind import OriginKind
from aop.origins.kinds import KINDS
from aop.settings import Settings
from aop.terms import ObjectKey, Target


class OriginKeepers:
    """The keepers, each made at the first mention of its target; built once per process."""

    def __init__(
        self,
        cluster: Cluster,
        reader: ReplicaReader,
        settings: Settings,
        clock: Clock,
        kinds: Mapping[str, OriginKind] = KINDS,
        *,
        watching: bool = False,
    ) -> None:
        """`watching` if changes of what the drivers list are to be shown by watches."""
        self._cluster = cluster
        self._reader = reader
        self._settings = settings
        self._clock = clock
        self.kinds = kinds
        self._wake: Wake = _nobody
        self._sources = Sources(cluster, settings, clock, watching=watching)
        self._keepers: dict[Target, OriginKeeper] = {}

    def begin(self, wake: Wake) -> None:
        """From now on `wake` gets the uids of objects that are to look."""
        self._wake = wake

    def end(self) -> None:
        """Nobody looks any more."""
        self._sources.end()
        for keeper in self._keepers.values():
            keeper.end()

    def _look_again(self, uids: frozenset[str]) -> None:
        self._wake(uids)

    def of(self, target: Target) -> OriginKeeper:
        """The keeper of one origin."""
        if target not in self._keepers:
            self._keepers[target] = OriginKeeper(
                self.kinds[target.kind],
                target,
                self._cluster,
                self._reader,
                self._sources,
                self._settings,
                self._clock,
                self._look_again,
            )
        return self._keepers[target]

    def knows(self, key: ObjectKey, version: str) -> bool:
        """Whether the carrier is known at that resourceVersion, because we wrote it ourselves."""
        return any(
            target.key == key and keeper.knows(version) for target, keeper in self._keepers.items()
        )

    def forget(self, key: ObjectKey) -> None:
        """A carrier has changed, whatever its kind."""
        for target, keeper in self._keepers.items():
            if target.key == key:
                keeper.forget()

    def drop(self, uid: str) -> None:
        """An object is gone."""
        for keeper in self._keepers.values():
            keeper.drop(uid)

    def forget_what_is_served(self) -> None:
        """An object has come, and its Ingresses may have come just before it: list them again."""
        self._sources.forget_others()


def _nobody(_: frozenset[str]) -> None:
    """Wakes nothing, for whoever looks only once."""
