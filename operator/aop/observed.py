"""Everything a decision may look at, as frozen values.

Every question about the outside world has three answers: the fact, `None` for "it is not there",
and `Unknown` for "it could not be looked up". Sources fail alone, so a rule that does not need an
unknown fact goes on (docs/architecture.md#sources-fail-alone). Nothing here decides, and nothing
here contains key bytes or tokens: whoever logs an `Observed` leaks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from aop.api import AlertsStatus, Spec
from aop.errors import Reason
from aop.origins.kind import Capabilities, Words
from aop.origins.sites import Rollout
from aop.terms import Claim, Mode, ObjectKey, Pin, Target

NONE = "none"
"""What an answer says about a request that came without a client certificate."""
OTHER = "other"
"""What an answer says about a request with a certificate that the origin does not pin."""
REFUSED = "refused"
"""Stands for nginx's own 400 (or 421) on the check path, which no claim of ours causes: it refused
the certificate itself."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It could not be looked up.

    With a `reason` the user must act; without one the operator tries it again by itself.
    """

    message: str
    reason: Reason | None = None
    retry_after_s: float | None = None
    postponed: bool = False
    """Nobody was asked yet, because the operator's own budget of calls left no room."""


# --- the object -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Baseline:
    """The zone as it was before our first effect."""

    enabled: bool
    foreign: tuple[str, ...] = ()
    """Ids of the certificates that were there and are not ours; sorted."""


@dataclass(frozen=True, slots=True)
class HoldOff:
    """A host was relaxed `times` times; it is not required again before `until`."""

    times: int
    since: datetime
    until: datetime
    host: str = ""
    """Empty: every host, because the zone's certificate itself was not presented."""

    def holds_at(self, wall: datetime) -> bool:
        """Whether it is still in force.

        One that begins in the future was noted before the clock was set right, and has no force.
        """
        return self.since <= wall < self.until


@dataclass(frozen=True, slots=True)
class RejectedClaim:
    """An origin has rejected a claim `times` times, in its own words.

    It is not tried again before `until`.
    """

    digest: str
    """`aop.plan.claims.digest` of the claim with the foreign text around it."""
    times: int
    since: datetime
    until: datetime

    def holds_at(self, wall: datetime) -> bool:
        """Whether it is too early to try again."""
        return self.since <= wall < self.until


@dataclass(frozen=True, slots=True)
class Record:
    """What the world will not show later.

    It is kept on the object, and written before the effect that makes it necessary.
    """

    zone_id: str | None = None
    baseline: Baseline | None = None
    uploaded: tuple[Pin, ...] = ()
    """Every leaf that Cloudflare may have because of us; sorted. A leaf enters before its upload,
    and leaves once it is surely gone."""
    claimed: tuple[Target, ...] = ()
    """Every origin that may carry our claim; sorted."""
    rejected: tuple[RejectedClaim, ...] = ()
    """Claims that an origin has rejected; each is tried again after a pause that grows."""
    hold_offs: tuple[HoldOff, ...] = ()
    """At most one per host, and one for all of them; sorted by host."""
    flushes: tuple[datetime, ...] = ()
    """When the same text was published again to end old TLS sessions, within about the last hour;
    the oldest first."""
    rotated: str | None = None
    """The last value of the rotate annotation on which the operator has acted."""
    edition: int = 0
    """The higher one is the newer of two copies."""

    @property
    def untouched(self) -> bool:
        """True until the first effect outside the object itself."""
        return not self.uploaded and not self.claimed


@dataclass(frozen=True, slots=True)
class ObservedObject:
    """The AuthenticatedOriginPull itself."""

    key: ObjectKey
    uid: str
    generation: int
    created: datetime
    spec: Spec
    record: Record = field(default_factory=Record)
    finalizer: bool = True
    deleting: bool = False
    rotate: str | None = None
    holds: str | None = None
    """Id of the zone with which it went on, by its status: its token has seen that zone, and no
    other object had it."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another object that names the same zone."""

    key: ObjectKey
    uid: str
    created: datetime
    zone_id: str | None
    """The zone that its own token has seen, by its status or in this process; None: none so far,
    and nobody has to give way to it."""
    holds: bool = False
    """Whether it went on with that zone, by its status."""


# --- Cloudflare -----------------------------------------------------------------------------------


class CertificateState(StrEnum):
    """Cloudflare's certificate statuses, as far as a rule distinguishes them.

    What each means: facts: cloudflare#certificate-statuses.
    """

    PENDING = "pending"
    """`initializing`, `pending_deployment` and anything unknown: not ready, and cannot be
    deleted."""
    ACTIVE = "active"
    DELETING = "deleting"
    FAILED = "failed"
    """`deployment_timed_out` or `deletion_timed_out`: only a deletion helps."""


@dataclass(frozen=True, slots=True)
class ObservedCertificate:
    """One zone-level certificate that Cloudflare has."""

    id: str
    pin: Pin
    state: CertificateState
    uploaded_at: datetime
    ours: bool
    """Whether it is ours, by its issuer's name, the record or the Secret."""
    status: str = ""
    """Cloudflare's own word; for people, no rule reads it."""
    serial_number: str = ""
    """Decimal, as Cloudflare writes it; for people."""


@dataclass(frozen=True, slots=True)
class ObservedZone:
    """The zone as Cloudflare's API shows it."""

    id: str
    name: str
    account_id: str
    active: bool
    """Active at Cloudflare and not paused."""
    ssl_mode: str
    global_on: bool
    enabled: bool
    certificates: tuple[ObservedCertificate, ...] = ()
    """Everything listed and not deleted, oldest upload first."""
    outranked: tuple[str, ...] = ()
    """Hosts with a per-hostname association, which outranks or suppresses the zone's certificate;
    sorted."""
    unseen: tuple[str, ...] = ()
    """What could not be looked up and the operator does without, in sentences; for people, no rule
    reads it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that Cloudflare did not carry out."""

    what: str
    """Id of the certificate that should have been deleted, or ENABLED."""
    why: str


ENABLED = "enabled"
"""The `what` of a `Refusal` that concerns the zone's setting."""


# --- keys -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObservedKeyPair:
    """The leaf in use and, during a rotation, the one that comes next."""

    leaf: Pin
    next: Pin | None = None
    renewal_at: datetime | None = None
    """When a successor of `leaf` is due; None for a referenced Secret, which somebody else
    renews."""


# --- origins --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HostBehaviour:
    """How one replica really treated one host at the last probe."""

    host: str
    mode: Mode
    accepts: frozenset[str] = frozenset()
    """SHA-256 of those of our leaves that it served."""
    refuses: frozenset[str] = frozenset()
    """SHA-256 of those of our leaves that it refused."""
    odd: str | None = None
    """What answers there instead of our check path and gate, in words. Then nothing can be proven
    for this host on this replica."""
    own: bool = False
    """Somebody's Ingress verifies client certificates for this host by itself, so we are not the
    cause of who is refused there."""
    believes: tuple[str, ...] = ()
    """Headers by which a request without a certificate passed for one with another, so that whoever
    knows our leaf may pass for the edge."""


@dataclass(frozen=True, slots=True)
class ObservedReplica:
    """One replica of an origin, as its own answers show it.

    These are all that are Ready, and any other that may still serve our text.
    """

    name: str
    revision: int | None = None
    """The newest revision that the check path of any host shows; None: none of our check paths
    answers there."""
    settled: bool = False
    """The revision, or an earlier one with the same claim of ours, was seen again at least 0.5 s
    later: an old worker accepts connections for another 0.1 s
    (facts: ingress-nginx#old-workers)."""
    hosts: tuple[HostBehaviour, ...] = ()
    """In-scope hosts, each seen since its entry in the published text reads as it does; what others
    have published on top changes none of them."""
    error: str | None = None
    """Why it could not be asked; then everything else is what was last seen."""
    ready: bool = True
    """False: Kubernetes does not count it as Ready, or it is being deleted, and yet it may serve,
    as on a node that is cut off."""

    @property
    def strictest(self) -> Mode:
        """The strictest mode that it showed to any in-scope host because of us.

        If nothing of ours is seen and nobody passes, others refuse.
        """
        return max(
            (b.mode for b in self.hosts if not b.own and (b.accepts or not b.odd)), default=Mode.OFF
        )

    def seen(self, host: str) -> HostBehaviour | None:
        """How it treated `host`.

        None: it was not seen since the host's entry reads as it does.
        """
        return next((behaviour for behaviour in self.hosts if behaviour.host == host), None)


@dataclass(frozen=True, slots=True)
class Configured:
    """What an origin's carrier says of us."""

    revision: int = 0
    claim_since: int | None = None
    """The revision since which our claim reads as it does; later ones changed only others'. None:
    nobody knows, so the current one counts."""
    claim: Claim | None = None
    """Our claim as the text in force says it; OFF if the text is not the one that was rendered."""
    standing: Claim | None = None
    """The strictest that a damaged text of ours may still do: our claim as it was written. None:
    the same as `claim`."""
    accepted: Claim | None = None
    """Our claim as it was last seen applied on every replica."""
    intact: bool = True
    """Whether the text tells the origin what the claims render to."""
    others_changed: bool = False
    """Whether another object's claim differs from its last accepted form."""
    foreign_digest: str = ""
    """Digest of the foreign text around our block."""

    @property
    def may_do(self) -> Claim | None:
        """The strictest that the text may do to our hosts, intact or not.

        The rules that protect look at this.
        """
        return self.standing or self.claim


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A host that the operator leaves out, and why; the others go on."""

    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A wildcard with its own server, which serves every name under it that has none."""

    host: str
    """`*.` and a name."""
    samples: tuple[str, ...] = ()
    """In-scope hosts whose requests that server serves, by which the wildcard is proven; sorted."""


@dataclass(frozen=True, slots=True)
class Overwritten:
    """Somebody keeps putting their text back over ours.

    Ours is not written again before `until`.
    """

    by: str
    """The field manager, as the API server names it."""
    times: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ObservedOrigin:
    """One origin of the spec, or one that was claimed and has left the spec.

    `wanted` is False for the latter.
    """

    name: str
    target: Target
    configured: Configured | Unknown | None
    """None: the object that carries our claims does not exist."""
    wanted: bool = True
    words: Words = field(default_factory=Words)
    """The words by which messages name it."""
    capabilities: Capabilities = field(default_factory=Capabilities)
    allowed: bool = True
    """Whether the operator's allow-list contains that object."""
    readers: int = 0
    """Pods that read it, Ready or not."""
    replicas: tuple[ObservedReplica, ...] | Unknown = ()
    hosts: tuple[str, ...] = ()
    """In-scope hosts that it serves; sorted."""
    wildcards: tuple[Wildcard, ...] = ()
    """Wildcards in scope that it serves; sorted."""
    open: tuple[str, ...] = ()
    """By which names that are not in scope the same Services can be reached on this origin, in
    sentences."""
    left_out: tuple[LeftOut, ...] = ()
    """Hosts that its text cannot carry, or that no client can ask for; sorted."""
    foreign: str | None = None
    """A sentence about somebody else's configuration with which ours must not be combined."""
    displaced: tuple[LeftOut, ...] = ()
    """Hosts at which requests succeed today and would be refused as soon as the zone presents our
    certificate."""
    unserved: tuple[LeftOut, ...] = ()
    """Hosts that nothing there serves, as far as Kubernetes shows; sorted."""
    rejected: str | None = None
    """The origin's own words about the current text, which name a line of ours."""
    stuck: str | None = None
    """The origin's own words, if it takes no text at present because of something that is not ours.
    An origin that is only slow is not stuck."""
    overwritten: Overwritten | None = None
    undone: int = 0
    """How often others have undone what this process had written; counted anew once our text has
    stood for an hour."""
    rollout: Rollout | None = None
    """What makes the replicas be replaced, so that they take up what is published; None if that was
    done, or they take it up by themselves."""
    next_rollout: Rollout | None = None
    """What will make the replicas be replaced when something else is published, for messages; no
    rule depends on it."""
    stale: str | None = None
    """A source that cannot be read at present, since when, and why; then everything here is what
    was last known."""
    misplaced: bool = False
    """Our text takes effect elsewhere in the server than this object says, and this object decides
    that."""
    joint: bool = False
    """Our claim went out in one write with those of others, and the origin rejects that text."""
    next_write_at: datetime | None = None
    """Until when nothing of ours is written except what protects, because what others want to
    publish goes out together with it. None: it may be now."""
    published_at: datetime | None = None
    """When this process first saw or wrote the current revision."""
    applied_at: datetime | None = None
    """When this process first saw every replica run the current revision; None while one does
    not."""


# --- the edge -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrival:
    """One answer of the check path through the edge."""

    at: datetime
    presented: str
    """SHA-256 of a pinned leaf, or NONE, OTHER, REFUSED."""
    fresh: bool = True
    """Whether it came over a connection and a TLS session that were new at the origin."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one host's requests through the edge came with. Silence is no arrival."""

    host: str
    presented: str | None = None
    """What the last arrivals in a row came with; None: none yet."""
    count: int = 0
    since: datetime | None = None
    """The first arrival of that run, but not before the last change at Cloudflare that was read."""
    covered: timedelta = timedelta()
    """The length of that run without its silences: gaps of more than three cadences do not
    count."""
    last: datetime | None = None
    recent: tuple[Arrival, ...] = ()
    """The arrivals of about the last minute, oldest first."""
    fresh: Arrival | None = None
    """The last arrival over a new connection and session, since the last change at Cloudflare that
    was read."""
    old_since: datetime | None = None
    """Since when every arrival came over an old connection or TLS session, but not before the last
    change at Cloudflare that was read."""
    direct: bool = False
    """Whether the host bypasses the edge (DNS-only), so that no proof can come from it."""
    silence: str | None = None
    """Why the last request gave no usable answer; None: it gave one."""
    silent_since: datetime | None = None


# --- notifications --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObservedAlerts:
    """What came of `spec.alerts` at Cloudflare. No rule reads it."""

    holds: bool
    """Whether all whom the object names are warned."""
    reason: Reason
    message: str
    status: AlertsStatus | None
    """None: nothing is kept there for the object any more."""


# --- all of it ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that decisions depend on; all in seconds."""

    loss_spread_s: float = 10.0
    """Losing answers in a row must span this long."""
    loss_answers: int = 3
    proof_answers: int = 12
    loss_share: float = 0.25
    """The share of losing answers that is a loss although others arrive well, once there are
    `loss_share_answers` over `loss_share_s`."""
    loss_share_answers: int = 5
    loss_share_s: float = 30.0
    stale_after_s: float = 30.0
    """A proof whose last arrival is older than this is not fresh."""
    looks_to_come_s: float = 30.0
    """How long the last status stands while looks are still to come; a proof has twice its window
    more."""
    flushes_per_hour: int = 3
    rejection_pause_s: float = 120.0
    """The first pause before a rejected claim is tried again; each further one doubles, up to an
    hour."""
    failing_pause_s: float = 3600.0
    """The same if a further try means that the origin serves nobody for a moment; up to a day."""
    expiry_margin_s: float = 24 * 3600.0
    asking_margin_s: float = 3600.0
    """An origin that refuses expired certificates stops asking this long before ours expires,
    because until then every replica may have to be replaced."""
    teardown_patience_s: float = 600.0
    hold_off_s: float = 60.0
    """The first hold-off; each further one doubles, up to a day."""


@dataclass(frozen=True, slots=True)
class Unnoted:
    """What protects could not be noted on the object.

    Only this process remembers it, and the status if that can be written.
    """

    why: str
    again: datetime
    """When the operator tries it again; steady."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The whole world of one object at one moment."""

    now: datetime
    """Steady time, by which every "how old" and "when next" is decided (`aop.clock`)."""
    object: ObservedObject
    zone: ObservedZone | Unknown | None
    """None: no such zone."""
    key_pair: ObservedKeyPair | Unknown | None
    """None: the Secret does not exist."""
    origins: tuple[ObservedOrigin, ...]
    evidence: tuple[Evidence, ...] = ()
    rivals: tuple[Rival, ...] | Unknown = ()
    gone: frozenset[str] = frozenset()
    """Uids of claims of this zone, on its origins, whose object is surely gone; they leave with the
    next write."""
    still: bool = False
    """Cloudflare was seen unchanged for longer than list lag, request timeout and propagation
    together."""
    removing_since: datetime | None = None
    """Since when this removal refuses nobody, by its status. From then on it waits for
    Cloudflare."""
    refusals: tuple[Refusal, ...] = ()
    """The changes that Cloudflare did not carry out when they were last asked for."""
    alerts: ObservedAlerts | Unknown | None = None
    """None: not looked at yet, or nobody asks for any."""
    unnoted: Unnoted | None = None
    """The record contains something that the object does not."""
    limits: Limits = field(default_factory=Limits)
    stepped: timedelta = timedelta()
    """How far the wall clock has stepped from `now` since the process began."""

    @property
    def wall(self) -> datetime:
        """Wall time.

        It is for the validity of certificates, for what is kept across restarts, and for what
        people read.
        """
        return self.now + self.stepped

    @property
    def spec(self) -> Spec:
        """What the user asks for."""
        return self.object.spec

    @property
    def record(self) -> Record:
        """What was noted on the object."""
        return self.object.record

    @property
    def window(self) -> timedelta:
        """How long a proof must last."""
        return self.spec.verification.window_duration

    def shown(self, moment: datetime) -> datetime:
        """A steady moment as people read it."""
        return moment + self.stepped

    def steady(self, moment: datetime) -> datetime:
        """A moment of the wall clock's, such as Cloudflare's or the record's, as `now` counts."""
        return moment - self.stepped

    def evidence_of(self, host: str) -> Evidence:
        """The evidence about `host`; empty if there is none."""
        return next(
            (evidence for evidence in self.evidence if evidence.host == host), Evidence(host)
        )

    def noting(self, **changes: Any) -> Record:
        """The record with some of its fields changed."""
        return replace(self.record, edition=self.record.edition + 1, **changes)
