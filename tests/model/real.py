"""A observation as the real `Observed`, whose times stand for the thresholds, and the real step as one of the model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aop.api import Spec as RealSpec
from aop.errors import Reason
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Arrival,
    Baseline,
    CertificateState,
    Configured,
    Evidence,
    HoldOff,
    HostBehaviour,
    LeftOut,
    Limits,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedObject,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Overwritten,
    RejectedClaim,
    Rival,
    Unknown,
)
from aop.observed import Record as RealRecord
from aop.origins.sites import Rollout
from aop.plan.answers import flushes_of_the_hour
from aop.plan.claims import digest
from aop.plan.facts import configured, replicas
from aop.steps import (
    Block,
    Delete,
    Done,
    Issue,
    Note,
    Promote,
    Publish,
    RollOut,
    SetEnabled,
    Step,
    Upload,
    Wait,
    Withdraw,
)
from aop.terms import Claim as RealClaim
from aop.terms import Kind, Mode, ObjectKey, Pin, Target
from model.observation import Observation, SeenOrigin, SeenReplica, looked_at
from model.world import (
    BEGUN,
    FULL,
    NO_RUN,
    OURS,
    REJECTED,
    SPREAD,
    UNREADABLE,
    VALUES,
    Claim,
    F,
    N,
    R,
    Record,
    Rejected,
    Run,
    Spec,
    bits,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
ZONES = ("example.com", "example.net")
TARGETS = (
    Target("ingressNginx", "ingress-nginx", "public"),
    Target("ingressNginx", "ingress-nginx", "internal"),
)
ROLLOUT = Rollout(Kind.DEPLOYMENT, ObjectKey("web", "frontend"), {})
ORIGINS = ("public", "internal")
SHA = {v: f"{v:02x}" * 32 for v in VALUES}
WHO = {sha: v for v, sha in SHA.items()} | {NONE: N, OTHER: F, REFUSED: R}
REAL_STATES = (
    CertificateState.PENDING,
    CertificateState.ACTIVE,
    CertificateState.DELETING,
    CertificateState.FAILED,
)
WINDOW = timedelta(seconds=180)
REVISION = 7
OVERWRITTEN = Overwritten(
    "field manager helm", 3, NOW - timedelta(seconds=60), NOW + timedelta(seconds=60)
)
LIMITS = Limits(flushes_per_hour=1)
"""One flush stands for three: what comes after the last is a pause, however many there were."""


def host_name(z: int, host: int) -> str:
    """The concrete hosts of the model."""
    return f"{('www', 'shop')[host]}.{ZONES[z]}"


# --- to the real types -----------------------------------------------------------------------------------------------


def pin(v: int, expiring: int, expired: int) -> Pin:
    """The leaf behind one bit; its end says whether it is about to expire."""
    lasting = timedelta(hours=12) if v & expiring else timedelta(days=400)
    if v & expired:
        lasting = timedelta(hours=-1)
    return Pin(SHA[v], SHA[v][:40], NOW - timedelta(days=300), NOW + lasting)


def identifier(v: int) -> str:
    """The id of a certificate at Cloudflare."""
    return f"{v:032x}"


@cache
def real_spec(z: int, spec: Spec, hosts: tuple[str, ...], generate: bool) -> RealSpec:
    """The resource's own spec."""
    names = [host_name(z, h) for h in range(len(hosts))]
    listed = [i for i in range(len(TARGETS)) if spec.origins >> i & 1]
    return RealSpec.model_validate(
        {
            "zone": {"name": ZONES[z]},
            "credentials": {"apiTokenSecretRef": {"name": "cloudflare"}},
            "hostnames": names[:1] if spec.narrow else names,
            "certificate": {
                **(
                    {"generate": {"secretName": f"zone-{z}-aop"}}
                    if generate
                    else {"secretRef": {"name": f"zone-{z}"}}
                ),
                "replaceForeign": spec.replace_foreign,
            },
            "origins": [
                {
                    "name": ORIGINS[i],
                    "ingressNginx": {
                        "configMapRef": {"namespace": TARGETS[i].namespace, "name": TARGETS[i].name}
                    },
                }
                for i in listed
            ],
            "enforcement": ("Request", "Request", "Optional", "Require")[spec.mode],
            "verification": {"window": "180s"},
            "deletionPolicy": "Retain" if spec.retain else "Restore",
            "suspend": spec.suspend,
        }
    )


def scope(observation: Observation) -> tuple[int, ...]:
    """The hosts in scope."""
    if observation.ill == "no host is known":
        return ()
    hosts = (0,) if observation.spec.narrow else tuple(range(len(observation.hosts)))
    return tuple(host for host in hosts if host not in left_out(observation))


def left_out(observation: Observation) -> tuple[int, ...]:
    """The hosts that no text can carry: the last one."""
    return (len(observation.hosts) - 1,) if observation.ill == "a hostname is too long" else ()


def real_claim(claim: Claim | None, observation: Observation) -> RealClaim | None:
    """A claim on the project's types."""
    if claim is None:
        return None
    z = observation.zone_index
    names = tuple(host_name(z, h) for h in range(len(observation.hosts)))
    return RealClaim(
        uid=f"uid-{z}",
        owner=f"edge/zone-{z}",
        zone=ZONES[z],
        patterns=names[:1] if claim.narrow else names,
        mode=Mode(claim.mode),
        enforced=tuple(sorted(names[h] for h in range(len(names)) if claim.hosts >> h & 1)),
        pins=tuple(
            sorted(pin(v, observation.expiring, observation.expired) for v in bits(claim.trust))
        ),
    )


def digest_of(claim: Claim, foreign: int, observation: Observation) -> str:
    """The digest of a claim among some foreign text; its pins' ends do not count."""
    real = real_claim(claim, observation)
    assert real is not None
    return digest(real, str(foreign))


def real_rejection(one: Rejected, observation: Observation) -> RejectedClaim:
    """A rejected claim, whose pause is not over."""
    return RejectedClaim(
        digest_of(one.claim, one.foreign, observation),
        1,
        NOW - timedelta(seconds=60),
        NOW + timedelta(seconds=60),
    )


def real_hold_offs(mask: int, observation: Observation) -> tuple[HoldOff, ...]:
    """Whoever is held off, sorted as the record has them."""
    held_off = [
        ("" if not bit else host_name(observation.zone_index, bit - 1))
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    ]
    return tuple(
        HoldOff(1, NOW - timedelta(seconds=5), NOW + timedelta(seconds=55), host)
        for host in sorted(held_off)
    )


def held_off_mask(record: RealRecord, hosts: Sequence[str], wall: datetime) -> int:
    """Whoever is held off, as bits; hosts that are not asked about are left out."""
    running = {one.host for one in record.hold_offs if one.holds_at(wall)}
    return sum(1 << bit for bit, host in enumerate(("", *hosts)) if host in running)


def real_record(observation: Observation) -> RealRecord:
    """The record on the project's types."""
    r = observation.record
    last_flush_s = 2 if observation.noted else 1200
    return RealRecord(
        zone_id="0" * 32,
        baseline=None
        if r.baseline is None
        else Baseline(r.baseline, tuple(sorted(map(identifier, bits(r.foreign))))),
        uploaded=tuple(
            sorted(pin(v, observation.expiring, observation.expired) for v in bits(r.uploaded))
        ),
        claimed=tuple(sorted(TARGETS[i] for i in range(len(TARGETS)) if r.claimed >> i & 1)),
        rejected=tuple(real_rejection(one, observation) for one in r.rejected),
        hold_offs=real_hold_offs(r.hold_off, observation),
        flushes=(NOW - timedelta(seconds=last_flush_s),) if r.flushed else (),
        rotated="again" if r.rotated else None,
    )


def real_zone(observation: Observation) -> ObservedZone | Unknown | None:
    """Cloudflare's half."""
    if observation.ill == "the zone does not exist":
        return None
    if observation.certificates is None:
        rejected_token = Reason.TOKEN_REJECTED if observation.access == REJECTED else None
        return Unknown(
            "Cloudflare does not know the token" if rejected_token else "no answer", rejected_token
        )
    return ObservedZone(
        id="0" * 32,
        name=ZONES[observation.zone_index],
        account_id="1" * 32,
        active=observation.ill != "the zone is paused",
        ssl_mode="full" if observation.ssl else "flexible",
        global_on=observation.ill == "global AOP is on",
        enabled=observation.enabled,
        certificates=tuple(
            ObservedCertificate(
                id=identifier(c),
                pin=pin(c, observation.expiring, observation.expired),
                state=REAL_STATES[state],
                uploaded_at=NOW - timedelta(hours=1) + timedelta(seconds=n),
                ours=bool(c & OURS[observation.zone_index])
                and (
                    observation.generate
                    or bool(c & (observation.leaf | observation.next | observation.record.uploaded))
                ),
            )
            for n, (c, state) in enumerate(observation.certificates)
        ),
        outranked=tuple(host_name(observation.zone_index, h) for h in scope(observation))
        if observation.ill == "every host has an association"
        else (),
    )


def probed_hosts(seen: SeenOrigin, observation: Observation) -> tuple[int, ...]:
    """The hosts that an origin's replicas are asked about: those in scope, and at one that has left the spec also those still claimed."""
    if observation.ill in UNREADABLE:
        return ()
    claimed = seen.claim.hosts if seen.claim is not None and not seen.wanted else 0
    return tuple(
        h for h in range(len(observation.hosts)) if h in scope(observation) or claimed >> h & 1
    )


def real_replica(
    n: int, seen: SeenReplica, hosts: tuple[int, ...], observation: Observation
) -> ObservedReplica:
    """One replica."""
    known = REVISION if seen.current else REVISION - 1
    revision = known if seen.path else None
    if seen.error:
        return ObservedReplica(f"controller-{n}", revision, error="timed out", ready=seen.ready)
    probed = (
        (observation.leaf | observation.next) & OURS[observation.zone_index] & ~observation.expired
    )
    return ObservedReplica(
        name=f"controller-{n}",
        revision=revision,
        settled=seen.settled,
        hosts=tuple(
            HostBehaviour(
                host_name(observation.zone_index, h),
                Mode(seen.modes[h]),
                accepts=frozenset(
                    SHA[v] for v in bits(probed & ~seen.refuses[h] if not seen.odd >> h & 1 else 0)
                ),
                refuses=frozenset(SHA[v] for v in bits(seen.refuses[h])),
                odd="HTTP 301 instead of the operator's check path" if seen.odd >> h & 1 else None,
                own=bool(seen.own >> h & 1),
            )
            for h in hosts
            if seen.settled
        ),
        ready=seen.ready,
    )


def applied(observation: Observation) -> datetime:
    """When every replica was first seen to run what stands in the ConfigMap: before the last answer, or after it.

    Half a minute's answers in turn have come since then, and so has a removal's patience.
    """
    long_ago = (
        observation.runs[0].old
        or observation.given_up
        or any(run.share for run in observation.runs)
    )
    return NOW - timedelta(seconds=600 if long_ago else 5)


def real_origin(i: int, seen: SeenOrigin, observation: Observation) -> ObservedOrigin:
    """One origin."""
    hosts = probed_hosts(seen, observation)
    unreadable = Unknown("HTTP 500") if observation.ill in UNREADABLE else None
    configured = Configured(
        revision=REVISION,
        claim_since=REVISION if seen.intact else None,
        claim=real_claim(seen.claim, observation),
        standing=real_claim(seen.standing, observation) if not seen.intact else None,
        accepted=real_claim(seen.accepted, observation),
        intact=seen.intact,
        others_changed=seen.others_changed,
        foreign_digest=str(seen.foreign),
    )
    replicas = tuple(real_replica(n, r, hosts, observation) for n, r in enumerate(seen.replicas))
    return ObservedOrigin(
        name=ORIGINS[i],
        target=TARGETS[i],
        configured=unreadable or (None if seen.missing else configured),
        wanted=seen.wanted,
        allowed=observation.ill != "the ConfigMap is not allowed",
        readers=0 if unreadable or not seen.readers else 2,
        replicas=unreadable or replicas,
        hosts=tuple(host_name(observation.zone_index, h) for h in hosts),
        left_out=tuple(
            LeftOut(host_name(observation.zone_index, h), "the name is too long")
            for h in left_out(observation)
        ),
        foreign="the text of others ends within a block"
        if observation.ill == "the text of others must not stand beside ours"
        else None,
        displaced=tuple(
            LeftOut(host_name(observation.zone_index, h), "its Ingress verifies by itself")
            for h in hosts
            if seen.displaced >> h & 1
        ),
        rejected="nginx -t failed" if seen.rejected and not unreadable else None,
        stuck="a line of somebody's" if seen.stuck and not unreadable else None,
        overwritten=OVERWRITTEN if seen.overwritten else None,
        stale="the Ingresses have not been read for a while" if seen.stale else None,
        rollout=replace(ROLLOUT, leaving=seen.leaving) if seen.rollout else None,
        published_at=NOW - timedelta(seconds=600),
        applied_at=applied(observation)
        if seen.replicas
        and all(r.current and r.path and (r.settled or r.error) for r in seen.replicas)
        else None,
    )


REAL_VALUES = {v: {N: NONE, F: OTHER, R: REFUSED}.get(v) or SHA[v] for v in VALUES}
LENGTHS = {BEGUN: timedelta(0), SPREAD: timedelta(seconds=12), FULL: WINDOW + timedelta(seconds=12)}
COUNTS = {BEGUN: 1, SPREAD: 40, FULL: 40}
"""Enough answers without enough time are no proof."""


def real_evidence(run: Run, host: int, observation: Observation) -> Evidence:
    """What a host's answers came with; the times stand for the thresholds."""
    name, kind = host_name(observation.zone_index, host), observation.hosts[host]
    if kind != "edge":
        value, last = NONE if kind == "direct" else OTHER, NOW - timedelta(seconds=1)
        recent = tuple(Arrival(last - timedelta(seconds=ago), value) for ago in (12, 6, 0))
        return Evidence(
            name,
            value,
            20,
            last - WINDOW,
            WINDOW,
            last,
            recent,
            recent[-1],
            direct=kind == "direct",
        )
    heard = run.length != NO_RUN or bool(run.recent)
    silence = "HTTP 403" if observation.silent or run.aged or not heard else None
    silent_since = NOW - timedelta(seconds=30) if silence else None
    if not heard:
        return Evidence(name, silence=silence, silent_since=silent_since)
    last = NOW - timedelta(seconds=1 if run.new else 9)
    if run.aged:
        last = NOW - timedelta(seconds=600)
    old_for = WINDOW + timedelta(seconds=12) if run.old else timedelta(seconds=6)
    recent = recently(run, last)
    if run.length == NO_RUN:
        return Evidence(name, last=last, recent=recent, silence=silence, silent_since=silent_since)
    return Evidence(
        host=name,
        presented=REAL_VALUES[run.presented],
        count=COUNTS[run.length],
        since=last - LENGTHS[FULL if run.gap else run.length],
        covered=LENGTHS[run.length],
        last=last,
        recent=recent,
        fresh=Arrival(last - timedelta(seconds=20), REAL_VALUES[run.fresh]) if run.fresh else None,
        old_since=None if run.last_fresh else last - old_for,
        silence=silence,
        silent_since=silent_since,
    )


def recently(run: Run, last: datetime) -> tuple[Arrival, ...]:
    """The arrivals of the last minute: several things in turn, the last of them what is presented."""
    if not run.recent:
        return (Arrival(last, REAL_VALUES[run.presented], run.last_fresh),) if run.presented else ()
    if run.share:
        return shared(run, last)
    turns = [v for v in bits(run.recent) if v != run.presented] + (
        [run.presented] if run.presented & run.recent else []
    )
    ago = range(6 * max(len(turns) - 1, 2), -1, -6)
    came = [*[turns[0]] * (len(ago) - len(turns)), *turns]
    return tuple(
        Arrival(last - timedelta(seconds=s), REAL_VALUES[v], run.last_fresh)
        for s, v in zip(ago, came, strict=True)
    )


def shared(run: Run, last: datetime) -> tuple[Arrival, ...]:
    """What came in turn for half a minute, each often enough to be a share; at the end three of a kind where the run is of one."""
    turns = [v for v in bits(run.share) if v != run.presented] + (
        [run.presented] if run.presented & run.share else []
    )
    came = turns * 6
    at = [last - timedelta(seconds=3 * ago) for ago in range(len(came) - 1, -1, -1)]
    if run.recent & (run.recent - 1) == 0:
        at = [moment - timedelta(seconds=18) for moment in at] + [
            last - timedelta(seconds=ago) for ago in (12, 6, 0)
        ]
        came = [*came, *[run.recent] * 3]
    return tuple(
        Arrival(moment, REAL_VALUES[v], run.last_fresh) for moment, v in zip(at, came, strict=True)
    )


def realise(observation: Observation) -> Observed:
    """The `Observed` that the rules read."""
    z = observation.zone_index
    key = ObjectKey("edge", f"zone-{z}")
    removing_for = timedelta(seconds=900 if observation.given_up else 30)
    return Observed(
        now=NOW,
        object=ObservedObject(
            key=key,
            uid=f"uid-{z}",
            generation=1,
            created=NOW - timedelta(days=1),
            spec=real_spec(z, observation.spec, observation.hosts, observation.generate),
            record=real_record(observation),
            finalizer=observation.finalizer,
            deleting=observation.deleting,
            rotate="again" if observation.rotate else None,
        ),
        zone=real_zone(observation),
        key_pair=real_key_pair(observation),
        origins=tuple(
            real_origin(i, seen, observation)
            for i, seen in zip(looked_at(observation), observation.origins, strict=True)
        ),
        evidence=tuple(
            real_evidence(observation.runs[h], h, observation) for h in scope(observation)
        ),
        rivals=real_rivals(observation),
        still=observation.still,
        limits=LIMITS,
        removing_since=NOW - removing_for if observation.deleting else None,
    )


def real_rivals(observation: Observation) -> tuple[Rival, ...] | Unknown:
    """The other objects that name the zone."""
    other, older, younger = (
        ObjectKey("edge", "other"),
        NOW - timedelta(days=2),
        NOW - timedelta(hours=1),
    )
    match observation.ill:
        case "the other objects cannot be listed":
            return Unknown("forbidden")
        case "an older object names the zone":
            return (Rival(other, "a", older, "0" * 32),)
        case "a younger object names the zone":
            return (Rival(other, "a", younger, "0" * 32),)
        case "an older object names another zone of that name":
            return (Rival(other, "a", older, "f" * 32),)
    return ()


def real_key_pair(observation: Observation) -> ObservedKeyPair | Unknown | None:
    """The Secret."""
    if observation.ill == "the key does not match":
        return Unknown("tls.key does not belong to tls.crt", Reason.KEY_PAIR_INVALID)
    if observation.ill == "the Secret cannot be read":
        return Unknown("HTTP 500")
    if not observation.leaf:
        return None
    leaf = pin(observation.leaf, observation.expiring, observation.expired)
    if not observation.generate and observation.leaf & observation.expired:
        return Unknown("tls.crt has expired", Reason.KEY_PAIR_INVALID)
    renewal_at = NOW - timedelta(hours=1) if observation.due else NOW + timedelta(days=300)
    return ObservedKeyPair(
        leaf,
        pin(observation.next, observation.expiring, observation.expired)
        if observation.next
        else None,
        renewal_at if observation.generate else None,
    )


# --- and back --------------------------------------------------------------------------------------------------------


def mask(pins: tuple[Pin, ...]) -> int:
    """Pins as bits."""
    return sum(WHO[p.sha256] for p in pins)


def abstract_claim(claim: RealClaim, z: int, hosts: int) -> Claim:
    """A real claim as the model's."""
    return Claim(
        int(claim.mode),
        sum(1 << h for h in range(hosts) if host_name(z, h) in claim.enforced),
        mask(claim.pins),
        hosts > 1 and len(claim.patterns) == 1,
    )


def abstract_step(step: Step, observation: Observation, o: Observed) -> tuple[Any, ...]:  # noqa: C901, PLR0912 - a list of independent cases
    """A real step as the model's; the last element is the plain line."""
    z, hosts = observation.zone_index, len(observation.hosts)
    match step:
        case Note(record=record):
            known = {
                digest_of(one.claim, one.foreign, observation): (one.claim, one.foreign)
                for one in observation.record.rejected
            }
            for seen in observation.origins:
                for claim in (seen.claim, seen.accepted):
                    if claim is not None:
                        known[digest_of(claim, seen.foreign, observation)] = (claim, seen.foreign)
            return (
                "Note",
                Record(
                    None if record.baseline is None else record.baseline.enabled,
                    sum(
                        v
                        for v in VALUES
                        if record.baseline is not None and identifier(v) in record.baseline.foreign
                    ),
                    mask(record.uploaded),
                    sum(1 << i for i in range(len(TARGETS)) if TARGETS[i] in record.claimed),
                    tuple(Rejected(*known[one.digest]) for one in record.rejected),
                    held_off_mask(record, [host_name(z, h) for h in range(hosts)], o.wall),
                    bool(flushes_of_the_hour(replace(o, object=replace(o.object, record=record)))),
                    record.rotated is not None,
                ),
            )
        case Issue(slot=slot):
            return ("Issue", slot)
        case Promote(pin=p):
            return ("Promote", WHO[p.sha256])
        case Publish(target=target, claim=claim):
            origin = next(origin for origin in o.origins if origin.target == target)
            return (
                "Publish",
                TARGETS.index(target),
                abstract_claim(claim, z, hosts),
                seen_everywhere(replicas(origin), configured(origin).revision),
            )
        case Withdraw(target=target):
            return ("Withdraw", TARGETS.index(target))
        case RollOut(target=target):
            return ("RollOut", TARGETS.index(target))
        case Upload(pin=p):
            return ("Upload", WHO[p.sha256])
        case Delete(pin=p):
            return ("Delete", WHO[p.sha256])
        case SetEnabled(enabled=enabled):
            return ("SetEnabled", enabled)
        case Wait(reason=reason):
            return ("Wait", reason)
        case Block(reason=reason):
            return ("Block", reason)
        case Done(left_behind=left):
            return ("Done", bool(left))


def seen_everywhere(asked: tuple[ObservedReplica, ...], revision: int) -> bool:
    """Whether every replica was seen to run what is published: its claims are then noted as accepted."""
    return bool(asked) and all(
        one.settled and not one.error and one.revision == revision for one in asked
    )
