"""Every Secret that an object names, read once for all of them, and when it may have changed.

A watch follows the Secrets that carry the watch label, and reports their changes. All others are
read again and again, more often while something waits for them. What is kept are the values of
`data` as they are stored (base64), which are never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aop.clock import Clock
from aop.cluster import Cluster
from aop.observe.kept import resource_version
from aop.observe.source import Known, Source
from aop.observed import Unknown
from aop.settings import Settings
from aop.terms import Kind, ObjectKey
from aop.terms.names import WATCH_LABEL

WATCHED_S = 600.0
"""How old what is known of a watched Secret may be at rest. A watch can hang silently, and nothing
reports a Secret that went while it began anew. While something waits for it, it is read as often as
an unwatched one at rest, because somebody may have corrected it."""
PER_MINUTE = 12.0
"""How many Secrets that no watch covers are read in a minute at rest, for all objects together. If
there are more of them, each is read less often."""
FORGOTTEN_S = 3600.0
"""When a Secret that no object names any more is forgotten: far longer than the rarest reading."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What was read of one Secret."""

    data: Mapping[str, str] | None
    """None: it does not exist."""
    version: str = ""
    """Its resourceVersion; empty: it does not exist."""
    watched: bool = False
    """Whether a watch reports its changes."""


@dataclass(slots=True)
class NamedSecret:
    """A Secret that some object names."""

    source: Source[Secret]
    looked_at_s: float
    """When it was last asked for (monotonic)."""


class Secrets:
    """All Secrets that objects name; built once per process."""

    def __init__(self, cluster: Cluster, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._named: dict[ObjectKey, NamedSecret] = {}
        self._unwatched: set[ObjectKey] = set()
        self._dropped_at_s = clock.monotonic_s()

    async def data(
        self, key: ObjectKey, *, awaited: bool, until_s: float, ours: bool = False
    ) -> Mapping[str, str] | Unknown | None:
        """`data` of a Secret as it is known at `until_s` (monotonic) at the latest.

        None: the Secret does not exist. `awaited` if the caller waits for a change; `ours` if this
        process makes the Secret, so that nobody waits for one that is not there yet.
        """
        now_s = self._clock.monotonic_s()
        named = self._named.get(key)
        if named is None:
            self._drop_unnamed(now_s)
            named = self._named[key] = NamedSecret(self._source(key), now_s)
        named.looked_at_s = now_s
        known = await named.source.look(
            within_s=self._age_s(named.source, awaited=awaited, ours=ours),
            patience_s=until_s - now_s,
        )
        return known if isinstance(known, Unknown) else known.value.data

    def knows(self, key: ObjectKey, version: str) -> bool:
        """Whether the Secret was read at that resourceVersion; empty: that there is none."""
        named = self._named.get(key)
        known = named.source.last if named else None
        return isinstance(known, Known) and known.value.version == version

    def forget(self, key: ObjectKey) -> None:
        """It has changed, or we have written it: the next look reads it and waits for that."""
        if named := self._named.get(key):
            named.source.forget()

    def _source(self, key: ObjectKey) -> Source[Secret]:
        async def read() -> Secret:
            manifest = await self._cluster.fetch(Kind.SECRET, key)
            labels = (manifest or {"metadata": {}})["metadata"].get("labels") or {}
            watched = self._settings.serves(key.namespace) and labels.get(WATCH_LABEL) == "true"
            if watched:
                self._unwatched.discard(key)
            else:
                self._unwatched.add(key)
            if manifest is None:
                return Secret(None)
            return Secret(manifest.get("data") or {}, resource_version(manifest), watched)

        return Source(f"Secret {key}", read, self._clock)

    def _age_s(self, source: Source[Secret], *, awaited: bool, ours: bool) -> float:
        """How old what is known of it may be."""
        known = source.last
        secret = known.value if isinstance(known, Known) else None
        if secret is not None and secret.watched:
            return self._settings.recheck_s if awaited else WATCHED_S
        if awaited:
            to_be_made = ours and secret is not None and secret.data is None
            return self._settings.recheck_s if to_be_made else self._settings.awaited_recheck_s
        return max(self._settings.recheck_s, 60.0 / PER_MINUTE * len(self._unwatched))

    def _drop_unnamed(self, now_s: float) -> None:
        if now_s - self._dropped_at_s < FORGOTTEN_S:
            return
        self._dropped_at_s = now_s
        self._named = {
            key: named
            for key, named in self._named.items()
            if now_s - named.looked_at_s < FORGOTTEN_S
        }
        self._unwatched &= self._named.keys()
