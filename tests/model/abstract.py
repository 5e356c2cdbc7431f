"""A real `Observed` as the model's observation: the way back from recorded runs.

Leaves are named in the order in which they are met (A, B, C), whatever their fingerprints; what is
neither ours nor known is foreign.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    CertificateState,
    Configured,
    Evidence,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Unknown,
)
from aop.observed import Record as RealRecord
from aop.plan.answers import flushes_of_the_hour
from aop.plan.claims import runs_our_claim
from aop.plan.facts import is_fresh, whole_window
from aop.plan.qualify import claimant
from aop.plan.remove import given_up
from aop.terms import Claim as RealClaim
from aop.terms import Pin
from model.observation import Observation, SeenOrigin, SeenReplica
from model.real import held_off_mask
from model.world import (
    BEGUN,
    DOWN,
    FULL,
    GENERATIONS,
    NO_RUN,
    REJECTED,
    SPREAD,
    WORKS,
    Claim,
    F,
    N,
    R,
    Record,
    Run,
    Spec,
)

STATES = tuple(CertificateState)


class OutOfModel(Exception):
    """The run holds something that the model has no word for."""


@dataclass
class Generations:
    """Which generation each real leaf is."""

    known: dict[str, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    """Whose each certificate is, as it was seen at Cloudflare."""

    def of(self, sha256: str) -> int:
        """The bit of a leaf of ours; a new one gets the next."""
        if sha256 not in self.known:
            if len(self.known) == len(GENERATIONS[0]):
                raise OutOfModel("more than three generations of ours")
            self.known[sha256] = GENERATIONS[0][len(self.known)]
        return self.known[sha256]

    def mask(self, pins: tuple[Pin, ...]) -> int:
        """Several leaves."""
        return sum({self.of(pin.sha256) for pin in pins})

    def value(self, presented: str) -> int:
        """What a request came with."""
        return {NONE: N, OTHER: F, REFUSED: R}.get(presented) or self.of(presented)


def observation_of(o: Observed, names: Generations, only: str | None = None) -> Observation:
    """What the operator knew, in the model's words, of all hosts or of one. Raises `OutOfModel`."""
    pair = o.key_pair if isinstance(o.key_pair, ObservedKeyPair) else None
    leaf = names.of(pair.leaf.sha256) if pair else 0
    following = names.of(pair.next.sha256) if pair and pair.next else 0
    zone = o.zone if isinstance(o.zone, ObservedZone) else None
    refused = isinstance(o.zone, Unknown) and o.zone.reason is not None
    hosts = (
        tuple(sorted({host for origin in o.origins for host in origin.hosts}))
        if only is None
        else (only,)
    )
    runs = tuple(run_of(o, o.evidence_of(host), names) for host in hosts)
    certificates = (
        None
        if zone is None
        else tuple((who(c, names), STATES.index(c.state)) for c in zone.certificates)
    )
    failing = REJECTED if refused else DOWN
    return Observation(
        zone_index=0,
        hosts=tuple("direct" if o.evidence_of(host).direct else "edge" for host in hosts),
        generate=o.spec.certificate.generate is not None,
        finalizer=o.object.finalizer,
        deleting=o.object.deleting,
        spec=Spec(
            mode=int(o.spec.enforcement_mode),
            suspend=o.spec.suspend,
            replace_foreign=o.spec.certificate.replace_foreign,
            retain=o.spec.deletion_policy == "Retain",
            origins=sum(1 << i for i, origin in enumerate(o.origins) if origin.wanted),
        ),
        rotate=o.object.rotate is not None,
        record=record_of(o.record, o, hosts, names),
        certificates=certificates,
        enabled=zone is not None and zone.enabled,
        ssl=zone is not None and zone.ssl_mode in {"full", "strict", "origin_pull"},
        access=WORKS if zone is not None else failing,
        given_up=given_up(o),
        leaf=leaf,
        next=following,
        due=pair is not None and pair.renewal_at is not None and o.wall >= pair.renewal_at,
        origins=tuple(origin_of(origin, hosts, names) for origin in o.origins),
        runs=runs,
        noted=any(noted(o, origin) for origin in o.origins),
        silent=any(e.silence is not None for e in o.evidence),
        still=o.still,
        expiring=0,
        expired=0,
        ill=ill_of(o),
    )


def noted(o: Observed, origin: ObservedOrigin) -> bool:
    """Whether a flush of this origin was noted that is still to be done."""
    last = o.record.flushes[-1] if o.record.flushes else None
    return last is not None and origin.applied_at is not None and o.steady(last) > origin.applied_at


def ill_of(o: Observed) -> str:
    """The one thing that is wrong elsewhere, in the words of `interference.ILLS`; the first of them where there are several."""
    zone = o.zone
    ills = {
        "the zone does not exist": zone is None,
        "the zone is paused": isinstance(zone, ObservedZone) and not zone.active,
        "global AOP is on": isinstance(zone, ObservedZone) and zone.global_on,
        "every host has an association": isinstance(zone, ObservedZone) and bool(zone.outranked),
        "an older object names the zone": claimant(o) is not None,
        "the other objects cannot be listed": isinstance(o.rivals, Unknown),
        "the text of others must not stand beside ours": any(
            origin.foreign for origin in o.origins
        ),
        "a hostname is too long": any(origin.left_out for origin in o.origins),
        "the ConfigMap is not allowed": any(not origin.allowed for origin in o.origins),
        "the key does not match": isinstance(o.key_pair, Unknown) and o.key_pair.reason is not None,
        "the Secret cannot be read": isinstance(o.key_pair, Unknown) and o.key_pair.reason is None,
    }
    return next((ill for ill, there in ills.items() if there), "")


def who(certificate: ObservedCertificate, names: Generations) -> int:
    """Whose certificate it is."""
    names.ids[certificate.id] = names.of(certificate.pin.sha256) if certificate.ours else F
    return names.ids[certificate.id]


def record_of(
    record: RealRecord, o: Observed, hosts: tuple[str, ...], names: Generations
) -> Record:
    """What is noted on the object, of some hosts; digests of rejected claims have no way back."""
    if any(one.holds_at(o.wall) for one in record.rejected):
        raise OutOfModel("a rejected claim: its digest has no way back")
    targets = [origin.target for origin in o.origins]
    return Record(
        baseline=record.baseline.enabled if record.baseline else None,
        foreign=sum({names.ids.get(one, F) for one in record.baseline.foreign})
        if record.baseline
        else 0,
        uploaded=names.mask(record.uploaded),
        claimed=sum(1 << i for i, target in enumerate(targets) if target in record.claimed),
        hold_off=held_off_mask(record, hosts, o.wall),
        flushed=bool(flushes_of_the_hour(o)),
        rotated=record.rotated is not None,
    )


def claim_of(claim: RealClaim | None, hosts: tuple[str, ...], names: Generations) -> Claim | None:
    """What is claimed."""
    if claim is None:
        return None
    return Claim(
        int(claim.mode),
        sum(1 << h for h, host in enumerate(hosts) if host in claim.enforced),
        names.mask(claim.pins),
    )


def origin_of(origin: ObservedOrigin, hosts: tuple[str, ...], names: Generations) -> SeenOrigin:
    """One origin."""
    if origin.displaced:
        raise OutOfModel("an Ingress verifies by itself")
    if isinstance(origin.configured, Unknown) or isinstance(origin.replicas, Unknown):
        raise OutOfModel(f"origin {origin.name} could not be looked at")
    published = origin.configured or Configured()
    return SeenOrigin(
        wanted=origin.wanted,
        missing=origin.configured is None,
        claim=claim_of(published.claim, hosts, names),
        standing=claim_of(published.may_do, hosts, names),
        accepted=claim_of(published.accepted, hosts, names),
        intact=published.intact,
        others_changed=published.others_changed,
        foreign=0,
        rejected=origin.rejected is not None,
        replicas=tuple(
            sorted(replica_of(replica, published, hosts, names) for replica in origin.replicas)
        ),
        readers=origin.readers > 0,
    )


def replica_of(
    replica: ObservedReplica, published: Configured, hosts: tuple[str, ...], names: Generations
) -> SeenReplica:
    """One replica; where nothing of ours is claimed, nothing is there to be shown."""
    seen = {b.host: b for b in replica.hosts}
    known = replica.settled and all(host in seen for host in hosts)
    return SeenReplica(
        current=runs_our_claim(replica, published)
        or (replica.revision is None and published.claim is None),
        path=replica.revision is not None,
        settled=replica.settled,
        modes=tuple(int(seen[host].mode) for host in hosts) if known else (),
        refuses=tuple(sum(names.of(leaf) for leaf in seen[host].refuses) for host in hosts)
        if known
        else (),
        error=replica.error is not None,
    )


def run_of(o: Observed, e: Evidence, names: Generations) -> Run:
    """What a host's answers came with."""
    length = NO_RUN
    if e.presented == REFUSED or any(arrival.presented == REFUSED for arrival in e.recent):
        raise OutOfModel("an Ingress that verifies by itself refuses what arrives")
    if e.presented is not None and e.since is not None and e.last is not None:
        lasted = e.last - e.since
        length = SPREAD if lasted >= timedelta(seconds=o.limits.loss_spread_s) else BEGUN
        if whole_window(o, e):
            length = FULL
    applied = [origin.applied_at for origin in o.origins if origin.applied_at]
    return Run(
        presented=names.value(e.presented) if e.presented is not None else 0,
        length=length,
        last_fresh=e.old_since is None,
        fresh=names.value(e.fresh.presented) if e.fresh else 0,
        new=bool(applied) and e.last is not None and e.last > max(applied),
        old=e.old_since is not None and o.now - e.old_since >= o.window,
        aged=e.last is not None and not is_fresh(o, e),
    )
