"""What the process remembers about one object between two looks: only what may be lost.

There is one `Memory` for each object. A restart loses it, which costs time but never safety: proofs
and the quiet period begin again (docs/adr/0007).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from aop.cloudflare import Access, Certificate, SSLMode, Zone
from aop.errors import Reason
from aop.observe.kept import KeptManifest
from aop.observed import (
    Evidence,
    ObservedAlerts,
    ObservedOrigin,
    ObservedZone,
    Record,
    Unknown,
    Unnoted,
)
from aop.probe import ClientIdentity, Presented
from aop.steps import Effect
from aop.terms import Target

T = TypeVar("T")


@dataclass(slots=True)
class Reading(Generic[T]):
    """A value and when it was read."""

    value: T
    at: datetime


class Cached(Generic[T]):
    """One remembered reading with an age limit."""

    __slots__ = ("_reading",)

    def __init__(self) -> None:
        self._reading: Reading[T] | None = None

    def fresh(self, now: datetime, within_s: float) -> Reading[T] | None:
        """The reading, unless it is older than that."""
        reading = self._reading
        return reading if reading and (now - reading.at).total_seconds() < within_s else None

    @property
    def last(self) -> Reading[T] | None:
        """The reading, however old."""
        return self._reading

    def keep(self, value: T, at: datetime) -> T:
        """Remember `value`."""
        self._reading = Reading(value, at)
        return value

    def forget(self) -> None:
        """Read it again next time."""
        self._reading = None


@dataclass(slots=True)
class CloudflareMemory:
    """What was read of Cloudflare, endpoint by endpoint, and since when it has not changed."""

    zone: Cached[Zone | None] = field(default_factory=Cached)
    ssl_mode: Cached[SSLMode] = field(default_factory=Cached)
    global_on: Cached[bool] = field(default_factory=Cached)
    outranked: Cached[tuple[str, ...]] = field(default_factory=Cached)
    listed: Cached[tuple[Certificate, ...]] = field(default_factory=Cached)
    enabled: Cached[bool] = field(default_factory=Cached)
    doubted_at: datetime | None = None
    """When requests through the edge last began to come in a way that an origin refuses. What was
    read before that may no longer be true, and may be the cause."""
    unseen: dict[str, str] = field(default_factory=dict)
    """What was looked up in vain, which the operator does without, and why."""
    known: dict[str, Certificate] = field(default_factory=dict)
    """Certificates of ours whose id is known and whose state still changes: the list lags, but GET
    by id does not."""
    moving: frozenset[str] = frozenset()
    """The ids of those that were last asked for."""
    polls: int = 0
    """How many times in a row these were asked for."""
    next_poll: datetime | None = None
    gone: dict[str, str] = field(default_factory=dict)
    """The ids that GET by id has shown to be deleted, with their fingerprints. The list lags for
    these too, and an id may come back to life."""
    seen: tuple[object, ...] = ()
    """What was read last, as far as a change of it matters."""
    changed_at: datetime | None = None
    """When a change was last seen or made; the start of the process counts as one."""
    access: Access | None = None
    blocked: tuple[Reason, datetime] | None = None
    """What at Cloudflare blocked the last visits, and since when."""
    failure: Unknown | None = None
    failed_at: datetime | None = None
    retry_at: datetime | None = None
    good: Access | None = None
    """The last token that has seen the zone. A removal uses it if its Secret went first, as in a
    namespace that is being deleted."""
    passed_over: str = ""
    """The digest of a token that came after the last good one and does not work. A removal then
    uses the good one."""
    refused: dict[str, str] = field(default_factory=dict)
    """Changes that were not carried out when they were last asked for, and why, by certificate id
    or ENABLED."""

    @property
    def complete(self) -> bool:
        """Whether every endpoint has been read, however long ago."""
        return (
            all(cached.last is not None for cached in self._endpoints)
            and self.zone.last is not None
            and self.zone.last.value is not None
        )

    @property
    def _endpoints(self) -> tuple[Cached[Any], ...]:
        kept = (getattr(self, each.name) for each in fields(self))
        return tuple(one for one in kept if isinstance(one, Cached))

    def forget_all(self) -> None:
        """Read everything again next time (not the quiet period, which only a change ends)."""
        for cached in self._endpoints:
            cached.forget()
        self.retry_at = None


@dataclass(frozen=True, slots=True)
class KeptNote:
    """Hold-offs and rejections that could not be written on the object.

    What protects goes on with them. Nothing else is added to the record from here.
    """

    record: Record
    unnoted: Unnoted

    def added_to(self, record: Record) -> Record:
        """The object's record with what is kept here."""
        edition = max(record.edition, self.record.edition)
        return replace(
            record, hold_offs=self.record.hold_offs, rejected=self.record.rejected, edition=edition
        )


@dataclass(slots=True)
class Mention:
    """An Event that was written, and how often it would have been written since."""

    at: datetime
    count: int = 0


@dataclass(slots=True, eq=False, weakref_slot=True)
class Memory:
    """Everything that is remembered about one object."""

    cloudflare: CloudflareMemory = field(default_factory=CloudflareMemory)
    uid: str = ""
    """The object's uid. An object of the same name that comes after it has its own memory. Empty:
    not known yet."""
    kept: KeptManifest = field(default_factory=KeptManifest)
    """The object as it is known."""
    shown_s: float = float("-inf")
    """When `manifest` was last read or shown (monotonic)."""
    kept_note: KeptNote | None = None
    """What protects but could not be written on the object."""
    gone: bool = False
    """Whether the watch has shown that the object is gone, or its removal is finished."""
    origins: dict[Target, ObservedOrigin] = field(default_factory=dict)
    """What was last seen of each origin, so that a bug in looking does not blind what protects."""
    evidence: dict[str, Evidence] = field(default_factory=dict)
    asked: dict[str, datetime] = field(default_factory=dict)
    """When each host was last asked about through the edge."""
    waits_since_s: float | None = None
    """Since when the object waits to be looked at (monotonic); None: it does not, or the look has
    begun."""
    urgent: bool = False
    """Something was seen that may refuse visitors, so the next look waits for no other object's."""
    edited: bool = False
    """Somebody has changed the spec, or deleted the object, and waits until the operator looks at
    it."""
    suspects: dict[str, None] = field(default_factory=dict)
    """Hosts whose visitors are refused, by their last answers through the edge. They are asked
    about more often. The order is that in which they began."""
    asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Requests through the edge that are under way, by host."""
    presenting: Mapping[Presented, ClientIdentity] = field(default_factory=dict)
    """The certificates with which replicas are asked: the last that could be read, because
    protection does not end with a Secret."""
    zone: ObservedZone | Unknown | None = field(
        default_factory=lambda: Unknown("Cloudflare has not answered yet")
    )
    """What was last known of the zone, so that a Cloudflare that hangs delays nothing else."""
    zone_task: asyncio.Task[ObservedZone | Unknown | None] | None = None
    alerts: ObservedAlerts | Unknown | None = None
    """What came of `spec.alerts` at the last look at the account's notifications."""
    removing_since: datetime | None = None
    """Since when a removal refuses nobody, counted steadily from what the status said when it was
    first read here."""
    telling: asyncio.Task[object] | None = None
    """The last write of the status. While one hangs, no newer one is sent."""
    mentions: dict[tuple[str, str, str], Mention] = field(default_factory=dict)
    """Events of the last hour, by type, reason and message."""
    standing_since: datetime | None = None
    """Since when the last status stands although looks are still to come."""
    refused: Effect | None = None
    """The last effect, if it was not carried out."""
    errors: int = 0
    """How many visits in a row ended in an error."""
    awaiting: bool = True
    """Whether the last step was not `Done`. Then what is referenced by name is read every few
    seconds instead of every minute."""
    awaits_quiet_period: bool = False
    """Whether something may be forgotten once Cloudflare is still: retired or deleted
    certificates."""
    blocked_on: Reason | None = None
    """Why the last step was a `Block`; that source is read again soon."""

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The object as its watch or our own last write has shown it; None: it is to be read."""
        return self.kept.whole

    def learn(self, manifest: dict[str, Any], now_s: float) -> bool:
        """The object as a watch or a write has shown it, unless something newer is known.

        `now_s` is monotonic. Returns whether nothing newer is known.
        """
        current = self.kept.keep(manifest)
        if current:
            self.shown_s = now_s
        return current
