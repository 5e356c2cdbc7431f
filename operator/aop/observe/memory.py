"""What the process remembers about one object between two looks: nothing that may not be lost.

One `Memory` per object, made by `aop.reconcile`, filled by `aop.observe`, and told by `aop.perform` what an effect has changed. A
restart loses it, which costs time, never safety: proofs and stillness begin again (design, section 3).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from aop.cloudflare import Access, Certificate
from aop.errors import Reason
from aop.observed import Evidence, HostBehaviour, ObservedZone, Rival, Unknown
from aop.origins import Claim, ObjectKey
from aop.probe import ClientIdentity

T = TypeVar("T")


@dataclass(slots=True)
class Reading(Generic[T]):
    """A value and when it was read."""

    value: T
    at: datetime


class Shelf(Generic[T]):
    """One remembered reading with an age limit."""

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
class ZoneSetup:
    """What changes rarely at Cloudflare: the zone itself, its SSL mode, the global level, the per-hostname level."""

    id: str
    name: str
    account_id: str
    active: bool
    ssl_mode: str
    global_on: bool
    outranked: tuple[str, ...]


@dataclass(slots=True)
class CloudflareMemory:
    """What was read of Cloudflare, and since when it has not changed."""

    setup: Shelf[ZoneSetup | None] = field(default_factory=Shelf)
    listed: Shelf[tuple[Certificate, ...]] = field(default_factory=Shelf)
    enabled: Shelf[bool] = field(default_factory=Shelf)
    known: dict[str, Certificate] = field(default_factory=dict)
    """Certificates whose id is known from an answer of ours and whose state is still moving: the list lags, GET by id does not."""
    polls: int = 0
    """How often in a row a moving certificate was asked for."""
    next_poll: datetime | None = None
    gone: set[str] = field(default_factory=set)
    """Ids that GET by id has shown to be deleted: the list lags here too."""
    seen: tuple[object, ...] = ()
    """What was read last, as far as its change matters."""
    changed_at: datetime | None = None
    """The last change that was seen or made; the process's start counts as one."""
    access: Access | None = None
    failure: Unknown | None = None
    failed_at: datetime | None = None
    retry_at: datetime | None = None
    failing_since: datetime | None = None
    """Since when the credentials are refused without a success in between."""

    def forget_all(self) -> None:
        """Read everything again next time (not the stillness, which only a change ends)."""
        for shelf in (self.setup, self.listed, self.enabled):
            shelf.forget()
        self.retry_at = None


@dataclass(slots=True)
class ReplicaMemory:
    """What one replica last showed."""

    revision: int | None = None
    revision_at: datetime | None = None
    """When this revision was first seen on it."""
    settled: bool = False
    behaviours: dict[str, HostBehaviour] = field(default_factory=dict)
    probed: dict[str, datetime] = field(default_factory=dict)
    """When each host was last asked about."""
    leaves: frozenset[str] = frozenset()
    """SHA-256 of the leaves it was asked with; others ask again."""
    error: str | None = None


@dataclass(slots=True)
class OriginMemory:
    """What is remembered of one origin."""

    manifest: dict[str, Any] | None = None
    """The ConfigMap that was observed last: a write goes out on it, with its resourceVersion."""
    path_token: str | None = None
    """The secret part of the check path, remembered beyond the ConfigMap's end: its replicas go on running the text."""

    revision: int = -1
    claim: Claim | None = None
    """Ours, as it was read last."""
    claim_since: int | None = None
    """The first revision that was read with it, and with nothing but whole texts since."""
    published_at: datetime | None = None
    """When this process first saw or wrote `revision`."""
    applied_at: datetime | None = None
    """When it was first seen, settled, on every Ready replica; one that comes later has nothing old to keep."""
    replicas: dict[str, ReplicaMemory] = field(default_factory=dict)
    """By pod uid."""

    def follow(self, claim: Claim | None, revision: int, *, intact: bool) -> None:
        """Note since which revision our claim reads as it does; a damaged text, or one that was put back, begins anew."""
        if claim != self.claim or self.claim_since is None or revision < self.claim_since or not intact:
            self.claim, self.claim_since = claim, revision if intact else None


@dataclass(slots=True)
class Memory:
    """Everything that is remembered about one object."""

    started_at: datetime
    cloudflare: CloudflareMemory = field(default_factory=CloudflareMemory)
    origins: dict[ObjectKey, OriginMemory] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    asked: dict[str, datetime] = field(default_factory=dict)
    """When each host was last asked about through the edge."""
    identities: dict[str, ClientIdentity] = field(default_factory=dict)
    """By SHA-256 of the leaf; the key is inside OpenSSL only."""
    secrets: dict[ObjectKey, Shelf[dict[str, str] | None]] = field(default_factory=dict)
    """`data` of the Secrets that the spec names. The values are base64 text, never shown."""
    rivals: Shelf[tuple[Rival, ...]] = field(default_factory=Shelf)
    zone: ObservedZone | Unknown | None = field(default_factory=lambda: Unknown("Cloudflare has not answered yet"))
    """What was last known of the zone: a Cloudflare that hangs holds nothing else up."""
    zone_task: asyncio.Task[ObservedZone | Unknown | None] | None = None
    errors: int = 0
    """Visits in a row that ended in an error."""
    awaiting: bool = True
    """The last step was not `Done`: what is referenced by name is read every few seconds instead of every minute."""
    awaits_stillness: bool = False
    """Something may be forgotten once Cloudflare is still: retired or deleted certificates."""
    blocked_on: Reason | None = None
    """Why the last step was a `Block`: that source is read again soon."""

    def origin(self, key: ObjectKey) -> OriginMemory:
        """What is remembered of the origin that is configured by `key`."""
        return self.origins.setdefault(key, OriginMemory())

    def forget_secrets(self) -> None:
        """Read every Secret again next time."""
        self.secrets.clear()

    def forget_rivals(self) -> None:
        """List the other objects again next time."""
        self.rivals.forget()
