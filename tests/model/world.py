"""The abstract world: what is, without anybody deciding anything.

Values are small tuples, so that millions of them fit.

Certificates are bits: three generations of ours, two of another zone on the same controller, and
one that is foreign everywhere. `None` as text means that the ConfigMap is missing; `None` as a
claim, that the zone has no claim in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

N, A, B, C, F, R, D, E = VALUES = (1, 2, 4, 8, 16, 32, 64, 128)
"""What a request comes with: nothing, generations A, B, C of the first zone, a foreign certificate,
(as the check path tells it) the origin's own refusal, and generations D, E of the second zone."""
NAMES = {
    0: "nothing",
    N: "none",
    A: "A",
    B: "B",
    C: "C",
    F: "foreign",
    R: "refused",
    D: "D",
    E: "E",
}
GENERATIONS: tuple[tuple[int, ...], ...] = ((A, B, C), (D, E))
OURS = (A | B | C, D | E)

OFF, REQUEST, OPTIONAL, REQUIRE = range(4)
MODES = ("Off", "Request", "Optional", "Require")
PENDING, ACTIVE, DELETING, FAILED = range(4)
STATES = ("pending", "active", "deleting", "timed out")
UNLISTED, LISTED, REMEMBERED = range(3)
"""Whether the list shows a certificate; REMEMBERED: not yet, but this process has its id from the
upload's answer."""
NO_RUN, BEGUN, SPREAD, FULL = range(4)
"""How long the answers have been the same: no answer, one answer, ten seconds, a whole window."""
UNDONE = 2
"""How often somebody's tool undoes what we write before that is noticed; stands for three."""
THERE, UNREADY, ELSEWHERE = range(3)
"""The pods of an origin: as they are one by one, none of them Ready for as long as nobody mends it,
or reading another ConfigMap."""
UNREADABLE = frozenset({"the ConfigMap cannot be read", "pods cannot be listed"})
"""What is wrong elsewhere that hides an origin as a whole from a process which has not seen it
before."""
WORKS, REJECTED, DOWN = range(3)
"""The token and the API: credentials refused, or no answer at all."""
WHOLE, HTTP_LOST, SERVER_LOST, BOTH_LOST, MARRED = range(5)
"""Our text: as rendered; one of its two keys reset by somebody, or both (the annotations with the
claims are still there); or not the one that was rendered and yet all of it in force (a marker lost,
pasted twice)."""
IN_FORCE = frozenset({WHOLE, MARRED})
"""The text does what its claims say."""
CURRENT, AROUND, BEHIND = range(3)
"""What a pod runs: what stands in the ConfigMap; the same revision of ours, around which somebody
has changed the text; an older one."""


class Spec(NamedTuple):
    """The fields of the spec that a rule reads."""

    mode: int = REQUIRE
    suspend: bool = False
    replace_foreign: bool = False
    retain: bool = False
    origins: int = 1
    """Mask of the origins that are listed."""
    narrow: bool = False
    """`hostnames` holds the first host only."""


class Claim(NamedTuple):
    """What one zone asks of one origin."""

    mode: int = OFF
    hosts: int = 0
    trust: int = 0
    narrow: bool = False


class Rejected(NamedTuple):
    """A claim that the controllers have rejected, among which text of somebody else; it is not to be tried again yet."""

    claim: Claim
    foreign: int


class Record(NamedTuple):
    """The annotation on the object."""

    baseline: bool | None = None
    foreign: int = 0
    uploaded: int = 0
    claimed: int = 0
    rejected: tuple[Rejected, ...] = ()
    hold_off: int = 0
    """Mask: bit 0 holds every host off, bit h + 1 host h."""
    flushed: bool = False
    """Old sessions were ended within the hour, as often as that is done."""
    rotated: bool = False


class Text(NamedTuple):
    """Our part of one ConfigMap."""

    claims: tuple[Claim | None, ...]
    accepted: tuple[Claim | None, ...]
    damage: int = WHOLE
    foreign: int = 0
    """Which text of somebody else stands around ours."""


class Loaded(NamedTuple):
    """What a worker process runs."""

    claims: tuple[Claim | None, ...]
    damage: int = WHOLE


ATTACHED, UNREADY_SERVING, UNREACHABLE = range(3)
"""Whether a pod is Ready and takes what is written; or is cut off and not Ready, takes nothing and
serves on, and can be asked or cannot."""


class Replica(NamedTuple):
    """One pod."""

    runs: Loaded
    stale: int = CURRENT
    """Whether the ConfigMap has changed since, and whether by a write of ours."""
    old: Loaded | None = None
    """Workers of before the last reload that still accept."""
    lingering: tuple[int, ...] = ()
    """Per zone: what its live connections and resumable TLS sessions come with."""
    up: bool = True
    """It serves; a pod that does not loads what stands there before it does."""
    cut: int = ATTACHED
    odd: int = 0
    """Hosts at which a page of somebody's answers in place of our two paths; the rest of the host
    is as our text says."""


class Origin(NamedTuple):
    """One ConfigMap and the pods that read it."""

    text: Text | None
    replicas: tuple[Replica, ...]
    pods: int = THERE
    rejects: tuple[int, int] | None = None
    """(mask of zones, mode): the controllers reject a text in which one of these zones asks for at
    least this much."""
    stuck: bool = False
    """A line of somebody's, elsewhere, keeps the controllers from taking any text."""
    own: int = 0
    """Hosts of the first zone whose own server refuses whatever certificate of ours comes, and
    whatever comes without one."""
    hidden: int = 0
    """Of those, the ones at which no Ingress says so."""
    full: bool = False
    """The annotations of the ConfigMap hold as much as the API server takes: a write that makes
    them grow is refused."""
    tool: bool = False
    """Somebody's tool puts its text back whenever ours is written."""
    undone: int = 0
    """How often it has; from `UNDONE` on, ours is not written again before a pause is over."""
    rolls: bool = False
    """Its pods read our text only when they start."""
    due: bool = False
    """They were not replaced since the text was written."""


class Run(NamedTuple):
    """What the operator remembers of one host's answers through the edge."""

    presented: int = 0
    length: int = NO_RUN
    recent: int = 0
    """What the answers of the last ten seconds came with, if there were three; 0: there were not."""
    last_fresh: bool = True
    """The last answer came over a new connection."""
    fresh: int = 0
    """What the last new connection came with, since Cloudflare was seen to change."""
    old: bool = False
    """For a whole window nothing came over a new connection."""
    new: bool = False
    """The last answer came after the replicas had loaded what stands in the ConfigMap."""
    void: bool = False
    """In truth: Cloudflare was seen to change since the run began."""
    aged: bool = False
    """The last answer is older than a proof may be."""
    gap: bool = False
    """The run began a window ago, but for the silences in it."""
    share: int = 0
    """What the answers of half a minute came with in turn; 0: there were no such."""


class Read(NamedTuple):
    """What was last read of Cloudflare."""

    certificates: tuple[tuple[int, int, int], ...]
    enabled: bool
    ssl: bool


class Recalled(NamedTuple):
    """The ConfigMaps as they were last read or written."""

    texts: tuple[Text | None, ...]
    long: bool = False
    """That is longer ago than anything but protection may go on with."""


class Plan(NamedTuple):
    """A step that was decided and is not carried out yet, and what it was decided on."""

    step: tuple[Any, ...]
    basis: Any = None


class Zone(NamedTuple):
    """One object, its Cloudflare zone, and the operator's process as far as it works for it."""

    finalizer: bool = False
    deleting: bool = False
    gone: bool = False
    spec: Spec = Spec()
    rotate: bool = False
    record: Record = Record()
    leaf: int = 0
    next: int = 0
    used: int = 0
    due: bool = False
    certificates: tuple[tuple[int, int, int], ...] = ()
    """(who, state, listed) in order of upload."""
    enabled: bool = False
    ssl: bool = True
    access: int = WORKS
    given_up: bool = False
    """Credentials have been failing for as long as a removal is patient."""
    unread: Read | None = None
    """What was last read of Cloudflare, where somebody has changed it since."""
    edge: int = N
    """What the edge's locations present; several values while a change propagates."""
    expiring: int = 0
    expired: int = 0
    bare: int = 0
    """Hosts that arrive without a certificate by somebody's doing, although the zone presents one."""
    forged: bool = False
    """A tenant's own server answers for the first host as an old connection with somebody else's
    certificate would."""
    recalled: Recalled | None = None
    """What was last read of the ConfigMaps, where they cannot be read any more."""
    ill: str = ""
    """One thing that is wrong elsewhere; see `interference.ILLS`."""
    runs: tuple[Run, ...] = (Run(),)
    silent: bool = False
    noted: bool = False
    """That old sessions are ended was noted, and not done yet."""
    still: bool = False
    plan: Plan | None = None
    late: Plan | None = None
    """A request whose answer was lost, and which may still arrive."""
    zombie: Plan | None = None
    """What a process that was replaced, and does not know it, is about to do."""


class World(NamedTuple):
    """Everything."""

    zones: tuple[Zone, ...]
    origins: tuple[Origin, ...]
    trouble: int = 0
    """Adversary moves that are left."""


@dataclass(frozen=True)
class Setting:
    """One world to walk: where it begins and what may happen in it."""

    name: str
    start: tuple[World, ...]
    moves: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ("edge",)
    """Per host: `edge`, `direct` (DNS-only: visitors bypass Cloudflare) or `outranked` (a
    per-hostname certificate of somebody else)."""
    baseline: bool = False
    """In truth: the zone was enabled before us."""
    before: int = 0
    """In truth: certificates with leaves of ours that somebody had uploaded before us."""
    base: int = N
    """What the edge presents while zone-level AOP is off (F: the shared certificate of global AOP)."""
    generate: bool = True
    """False: the Secret is referenced, and filled by somebody else."""
    linger: bool = False
    """Old workers still accept for a moment after a reload."""
    pooled: bool = False
    """The edge asks over the connections it has, for as long as it has any."""
    together: bool = False
    """Hosts that fare alike are answered together: what one of them may meet alone is walked where
    something is the matter with it."""
    hidden: bool = False
    """SWITCH: a window may miss an edge location (docs/adr)."""
    lock: bool = True
    """Cluster writes carry the resourceVersion that was read (False: a mutant)."""
    flush: bool = True
    """A reload renames the session cache (False: a mutant)."""
    begin_again: bool = True
    """A change read at Cloudflare begins every run again (False: a mutant)."""
    patient: bool = True
    """The quiet period is longer than any request can stay under way (False: a mutant)."""
    fits: bool = True
    """A write that relaxes is taken also where the annotations are full (False: a mutant)."""
    tries_again: bool = True
    """What was rejected is tried again after a pause (False: a mutant)."""
    expected: frozenset[str] = frozenset()
    """Promises that this world is known to break, because no rule can see what breaks them; each
    has a page in docs/adr."""

    @property
    def quiet(self) -> bool:
        """Nobody interferes: not one request may fail."""
        return not any(world.trouble for world in self.start)


# --- facts -----------------------------------------------------------------------------------------------------------


def bits(mask: int) -> list[int]:
    """The single values of a set."""
    return [v for v in VALUES if v & mask]


def state_of(zone: Zone, who: int) -> int | None:
    """Cloudflare's state of one certificate."""
    return next((state for c, state, _ in zone.certificates if c == who), None)


def presented(zone: Zone, s: Setting) -> int:
    """What the API's state says that the edge presents, once it has propagated: the newest deployed one."""
    if not (zone.enabled and zone.ssl):
        return s.base if zone.ssl else N
    return next((who for who, state, _ in reversed(zone.certificates) if state == ACTIVE), s.base)


@cache
def asks(runs: Loaded) -> bool:
    """Whether a worker asks anybody for a certificate: one switch for the whole controller."""
    if runs.damage in {HTTP_LOST, BOTH_LOST}:
        return False
    return any(claim is not None and claim.mode >= REQUEST for claim in runs.claims)


@cache
def mode_at(runs: Loaded, z: int, host: int) -> int:
    """How strict a worker is to one host of one zone."""
    claim = runs.claims[z]
    if (
        runs.damage in IN_FORCE
        and claim is not None
        and claim.mode >= OPTIONAL
        and claim.trust
        and claim.hosts >> host & 1
        and not (host and claim.narrow)
    ):
        return claim.mode
    return REQUEST if asks(runs) else OFF


@cache
def refused(runs: Loaded, z: int, host: int, values: int, expired: int) -> int:
    """Those of `values` that a worker refuses in a new handshake; nginx refuses what has expired as soon as it asks."""
    mode, claim = mode_at(runs, z, host), runs.claims[z]
    bad = values & expired if mode >= REQUEST else 0
    if mode >= OPTIONAL and claim is not None:
        bad |= values & ~claim.trust & ~(N if mode == OPTIONAL else 0)
    return bad


@cache
def path(runs: Loaded) -> bool:
    """Whether the check path answers in full: one key without the other cannot tell a zone."""
    return runs.damage in IN_FORCE and any(claim is not None for claim in runs.claims)


@cache
def told_by(runs: Loaded, z: int, values: int, expired: int) -> int:
    """What the check path tells of requests that came with `values`; 0: nothing. nginx itself refuses what has expired."""
    own = values & expired if asks(runs) else 0
    if not path(runs):
        return R if own else 0
    if not asks(runs):
        return N if values else 0
    claim = runs.claims[z]
    known = N | (claim.trust if claim is not None and claim.mode >= REQUEST else 0)
    rest = values & ~own
    return (R if own else 0) | (rest & known) | (F if rest & ~known else 0)


def traffic(zone: Zone, host: int, kind: str) -> int:
    """What visitors' requests to a host of this kind come with."""
    if kind != "edge":
        return N if kind == "direct" else F
    return N if zone.bare >> host & 1 else zone.edge


def hurt(w: World, z: int, s: Setting, *, cut: bool = True) -> int:
    """What some replica refuses by our doing at this instant of the requests that arrive for one zone; without those that are `cut` off."""
    zone, bad = w.zones[z], 0
    for origin in w.origins:
        for replica in origin.replicas:
            if not replica.up or (replica.cut and not cut):
                continue
            for host, kind in enumerate(s.hosts):
                if z == 0 and origin.own >> host & 1:
                    continue  # refused there whatever our text says
                comes = traffic(zone, host, kind)
                bad |= refused(replica.runs, z, host, comes, zone.expired)
                if replica.old is not None:
                    bad |= refused(replica.old, z, host, comes, zone.expired)
                if kind == "edge" and replica.lingering[z] and not zone.bare >> host & 1:
                    bad |= refused(replica.runs, z, host, replica.lingering[z], 0)
    return bad


def will_hurt(w: World, z: int, s: Setting) -> int:
    """What will be refused when everything under way has happened."""
    zone, bad = w.zones[z], 0
    for origin in w.origins:
        coming = {replica.runs for replica in origin.replicas if replica.up}
        if (
            origin.text is not None
            and any(replica.stale for replica in origin.replicas)
            and not takes_nothing(origin)
        ):
            coming.add(Loaded(origin.text.claims, origin.text.damage))
        for runs in coming:
            for host, kind in enumerate(s.hosts):
                if z == 0 and origin.own >> host & 1:
                    continue
                edge = kind == "edge" and not zone.bare >> host & 1
                comes = zone.edge | presented(zone, s) if edge else traffic(zone, host, kind)
                bad |= refused(runs, z, host, comes, zone.expired)
    return bad


def takes_nothing(origin: Origin) -> bool:
    """In truth: whether the controllers load nothing of what stands in the ConfigMap, whoever is to blame."""
    return origin.stuck or rejected(origin)


def rejected(origin: Origin) -> bool:
    """In truth: whether the controllers reject the text that stands in the ConfigMap, for a line of ours."""
    if origin.text is None or origin.text.damage not in IN_FORCE:
        return False
    return any(rejects(origin, z, claim) for z, claim in enumerate(origin.text.claims))


def rejects(origin: Origin, z: int, claim: Claim | None) -> bool:
    """In truth: whether the controllers reject a text for the sake of this claim of zone `z`."""
    if origin.rejects is None or claim is None:
        return False
    zones, mode = origin.rejects
    return bool(zones >> z & 1) and claim.mode >= mode


def shown(origin: Origin) -> bool:
    """Whether a replica shows the revision that stands in the ConfigMap, so that nobody asks what the controllers say of it."""
    return any(r.up and r.stale != BEHIND and path(r.runs) for r in origin.replicas)


def troubled(w: World, z: int, host: int, s: Setting) -> bool:
    """Whether something of somebody's keeps one host from being proven."""
    zone = w.zones[z]
    origins = [origin for i, origin in enumerate(w.origins) if zone.spec.origins >> i & 1]
    odd = any(r.odd >> host & 1 for origin in origins for r in origin.replicas) or any(
        origin.own >> host & 1 for origin in origins
    )
    too_long = zone.ill == "a hostname is too long" and host == len(s.hosts) - 1
    return (
        s.hosts[host] != "edge"
        or bool(zone.bare >> host & 1)
        or (odd and z == 0)
        or (zone.forged and host == 0)
        or too_long
    )


def strictest(w: World, z: int, s: Setting) -> int:
    """The strictest that any replica, or what it will load, is to one zone."""
    modes = [OFF]
    for origin in w.origins:
        if (
            origin.text is not None
            and (claim := origin.text.claims[z]) is not None
            and origin.text.damage in IN_FORCE
        ):
            modes.append(claim.mode)
        modes += [
            mode_at(runs, z, host)
            for r in origin.replicas
            for runs in (r.runs, r.old)
            if runs is not None
            for host in range(len(s.hosts))
        ]
    return max(modes)
