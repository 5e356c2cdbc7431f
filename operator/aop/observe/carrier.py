"""The object that carries an origin's claims: as it was last known, and how it is replaced."""

from __future__ import annotations

from typing import Any

from aop.cluster import Cluster
from aop.errors import Transient
from aop.observe.source import Known, Source
from aop.observed import Unknown
from aop.origins.kind import OriginKind, Site
from aop.origins.sites import Json, Published
from aop.terms import Target


class Carrier:
    """One origin's carrier; built once by its keeper."""

    def __init__(
        self,
        kind: OriginKind,
        target: Target,
        cluster: Cluster,
        source: Source[tuple[Json, ...]],
    ) -> None:
        self.read = kind.carrier(target)
        self.creates = kind.capabilities.creates_carrier
        """Whether the first claim creates it."""
        self.words = kind.words(target)
        self._kind = kind
        self._target = target
        self._cluster = cluster
        self._source = source
        self._current: tuple[tuple[Json, ...], Site] | None = None
        self._writing = False
        self._shown: set[str] = set()
        """The resourceVersions that its watch has shown while it is being written."""

    def current(self) -> tuple[Json | None, Site]:
        """The carrier as it was last read or written; the same site as long as that is the same.

        The API server refuses a write that is based on an older one. Raises `Transient` if it was
        never read.
        """
        known = self._source.last
        if isinstance(known, Unknown):
            raise Transient(known.message)
        if self._current is None or self._current[0] is not known.value:
            self._current = known.value, self.site(known.value)
        return next(iter(known.value), None), self._current[1]

    def site(self, manifests: tuple[Json, ...]) -> Site:
        """The origin, as far as its carrier shows it; empty: there is none."""
        return self._kind.site(self._target, {self.read: manifests})

    def knows(self, version: str) -> bool:
        """Whether it was read or written at that resourceVersion.

        The watch may show what we write before the write is answered, so nothing is news meanwhile;
        what turns out to be somebody else's is read once the answer is there.
        """
        if self._writing:
            self._shown.add(version)
            return True
        known = self._source.last
        return isinstance(known, Known) and [version] == [
            one["metadata"].get("resourceVersion") for one in known.value
        ]

    @property
    def known(self) -> Known[tuple[Json, ...]] | Unknown:
        """What its last reading or writing has shown: another value after each of them."""
        return self._source.last

    def forget(self) -> None:
        """It has changed: the next look reads it."""
        self._source.forget()

    async def put(
        self, manifest: Json | None, body: dict[str, Any] | None
    ) -> tuple[Published, Published]:
        """Put the body in its place; returns what was sent, and what is there then.

        Either may be None: there is no carrier yet, or there should be none. Raises `ClusterError`.
        """
        self._writing, self._shown = True, set()
        try:
            written = await self.replace(manifest, body)
        except BaseException:
            self._source.forget()
            raise
        finally:
            self._writing = False
        self._source.put(written)
        if not all(self.knows(version) for version in self._shown):
            self._source.forget()
        return self.site((body,) if body else ()).published, self.site(written).published

    async def replace(self, manifest: Json | None, body: dict[str, Any] | None) -> tuple[Json, ...]:
        """As `put`, and what is known stays as it is."""
        kind, key = self.read.kind, self._target.key
        if body is None:
            await self._cluster.delete(kind, key, dict(manifest or {}))
            return ()
        if manifest is None:
            return (await self._cluster.create(kind, key.namespace, body),)
        return (await self._cluster.replace(kind, key, body),)
