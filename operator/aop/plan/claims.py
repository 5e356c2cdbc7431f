"""An object's claim on an origin: what it should say, and whether the origin runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from hashlib import sha256

from aop.errors import Reason
from aop.observed import (
    Configured,
    Observed,
    ObservedOrigin,
    ObservedReplica,
    Unknown,
)
from aop.plan.facts import configured, oddity, replicas, with_leaves
from aop.steps import Wait
from aop.terms import Claim, Mode, Pin, covers

CUT_OFF = "Let the operator reach each pod that does not answer, or delete that pod"
"""What helps if a pod may serve visitors but cannot be asked."""
SOON_S = 2.0
"""When to look again at something that finishes within seconds."""


# --- whether it is run ----------------------------------------------------------------------------


def until_applied(origin: ObservedOrigin) -> Wait | None:
    """None once every replica was seen to do exactly what our published claim says."""
    published = origin.configured
    if isinstance(published, Unknown) or isinstance(origin.replicas, Unknown):
        source = published if isinstance(published, Unknown) else origin.replicas
        return Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"Origin {origin.name} cannot be read: {source.message}",  # type: ignore[union-attr]  # one of the two is Unknown
            SOON_S,
        )
    if not origin.replicas:
        return Wait(
            Reason.NO_REPLICAS,
            f"Origin {origin.name} has no Ready replica that could show what it does",
            SOON_S * 2,
        )
    claim = configured(origin).claim
    lagging = [
        f"pod {r.name} {trouble}"
        for r in origin.replicas
        if claim and (trouble := _not_yet(r, origin, claim))
    ]
    if not lagging:
        return None
    what = f"every replica runs revision {configured(origin).revision} of {origin.words.place}"
    remedy = CUT_OFF if any(r.error for r in origin.replicas) else ""
    if rollout := origin.next_rollout:
        what = f"{rollout.workload} has replaced its pods, so that {what}"
        remedy = remedy or f"If the rollout makes no progress, see {rollout.command}"
    return Wait(
        Reason.WAITING_FOR_REPLICAS,
        f"The operator waits until {what}: {'; '.join(lagging)}",
        SOON_S / 2,
        since=origin.published_at,
        remedy=remedy,
        shown=origin.target,
    )


def _not_yet(replica: ObservedReplica, origin: ObservedOrigin, claim: Claim) -> str:
    """Why this replica does not show the claim yet; empty if it does.

    A revision that others published on top of ours has our claim as well, so nobody waits until a
    replica runs theirs. A host at which somebody else answers, or decides, shows nothing of our
    claim, so nobody waits for that one either: it is named as unproven.
    """
    if replica.error:
        unready = "" if replica.ready else "is not Ready, may still serve, and "
        return f"{unready}does not answer the operator ({replica.error})"
    current = runs_our_claim(replica, configured(origin))
    if not current or not replica.settled:
        odd = next((f", as {b.host} answers {b.odd}" for b in replica.hosts if b.odd), "")
        shown = f"no revision{odd}" if replica.revision is None else f"revision {replica.revision}"
        return f"has shown {shown} only once so far" if current else f"shows {shown}"
    return _differs(replica, origin, claim)


def _differs(replica: ObservedReplica, origin: ObservedOrigin, claim: Claim) -> str:
    """At which host the replica does not do what the claim says, and how; empty if at none."""
    seen, pins = {b.host: b for b in replica.hosts}, {pin.sha256 for pin in claim.pins}
    for host in origin.hosts:
        if host not in seen:
            return f"has not been asked about {host}"
        if seen[host].odd or seen[host].own:
            continue
        # Where asking is one switch for all hosts, another zone's claim may ask although ours does
        # not. Somebody may also switch it off for their own hosts, which then stay unproven and
        # hold back no others.
        asked = not origin.capabilities.asks_per_host and {claim.at(host), seen[host].mode} == {
            Mode.OFF,
            Mode.REQUEST,
        }
        if seen[host].mode != claim.at(host) and not (asked and replica.strictest >= Mode.REQUEST):
            return f"shows {seen[host].mode.label} instead of {claim.at(host).label} for {host}"
        if refused := seen[host].refuses & pins:
            return f"refuses the operator's leaf {min(refused)[:8]} for {host}"
    return ""


def shows_otherwise(replica: ObservedReplica, origin: ObservedOrigin) -> bool:
    """Whether the replica has answered, and does not show the claim.

    What it was not asked yet shows nothing: the revision of a new pod, one that was seen only just
    now, a host whose turn is still to come. Nor does a question that it did not answer, or a
    revision later than the one that was read: while the replica was asked, somebody wrote.
    """
    published = configured(origin)
    claim = published.claim
    if claim is None or (replica.revision is None and not replica.settled):
        return False
    asked = replace(origin, hosts=tuple(host for host in origin.hosts if replica.seen(host)))
    if replica.revision is not None and replica.revision > published.revision:
        return bool(_differs(replica, asked, claim))
    return bool(_not_yet(replace(replica, settled=True, error=None), asked, claim))


def runs_our_claim(replica: ObservedReplica, published: Configured) -> bool:
    """Whether the replica shows a revision that has our claim as it is published now."""
    first = published.revision if published.claim_since is None else published.claim_since
    return replica.revision is not None and first <= replica.revision <= published.revision


def runs_everywhere(origin: ObservedOrigin, claim: Claim) -> bool:
    """Whether every replica runs what is published, and that is this claim."""
    published, asked = configured(origin), replicas(origin)
    same = published.claim is not None and digest(published.claim, "") == digest(claim, "")
    return same and bool(asked) and all(runs_our_claim(replica, published) for replica in asked)


# --- what it is to say ----------------------------------------------------------------------------


def claim_of(
    o: Observed,
    origin: ObservedOrigin,
    mode: Mode,
    enforced: Iterable[str] = (),
    pins: Iterable[Pin] | None = None,
) -> Claim:
    """A claim of this object, with the published pins unless others are given."""
    current = configured(origin).claim
    trusted = current.pins if current else ()
    enforced = tuple(sorted(enforced)) if mode >= Mode.OPTIONAL else ()
    return Claim(
        uid=o.object.uid,
        owner=str(o.object.key),
        zone=o.spec.zone.name,
        patterns=patterns_for(o, origin),
        mode=mode,
        enforced=enforced,
        excepted=_excepted(origin, enforced),
        pins=with_leaves(o, trusted if pins is None else pins),
        flush_count=current.flush_count if current else 0,
    )


def _excepted(origin: ObservedOrigin, enforced: Collection[str]) -> tuple[str, ...]:
    """The hosts that stay at Request although the server of an enforced wildcard serves them.

    Each of them waits for its own proof. While the Ingresses cannot be listed, nobody knows which
    wildcards are served, so whatever was excepted or required stays out.
    """
    known = {wildcard.host: wildcard.samples for wildcard in origin.wildcards}
    wildcards = [host for host in enforced if host.startswith("*.")]
    samples = {sample for host in wildcards for sample in known.get(host, ())}
    before, unknown_ones = (
        configured(origin).may_do,
        [host for host in wildcards if host not in known],
    )
    named = {*before.excepted, *before.required} if before else set()
    samples |= {host for host in named if any(covers(wildcard, host) for wildcard in unknown_ones)}
    return tuple(sorted(samples - set(enforced)))


def required_hosts(o: Observed) -> tuple[str, ...]:
    """The concrete hosts that any origin may require, by what may stand there; sorted."""
    claims = (configured(origin).may_do for origin in o.origins)
    return tuple(sorted({host for claim in claims if claim for host in claim.required}))


def to_be_proven(o: Observed) -> tuple[str, ...]:
    """The required hosts for whose proof a step waits that concerns all of them.

    Hosts at which somebody else answers do not count, unless all are such hosts.
    """
    hidden = {
        host for origin in o.origins for host in origin.hosts if oddity(origin, host) is not None
    }
    return tuple(host for host in required_hosts(o) if host not in hidden) or required_hosts(o)


def patterns_for(o: Observed, origin: ObservedOrigin) -> tuple[str, ...]:
    """`spec.hostnames` without the names that the origin's text cannot carry; sorted."""
    left_out = {one.host for one in origin.left_out}
    return tuple(sorted(set(o.spec.hostname_patterns) - left_out))


def with_wildcards(origin: ObservedOrigin, hosts: Iterable[str]) -> set[str]:
    """The hosts, and each wildcard of which one of them is a sample.

    Whatever the wildcard's server serves is required as that sample is.
    """
    concrete = {host for host in hosts if not host.startswith("*.")}
    return concrete | {
        wildcard.host for wildcard in origin.wildcards if not concrete.isdisjoint(wildcard.samples)
    }


def claim_without(o: Observed, origin: ObservedOrigin, claim: Claim, hosts: Iterable[str]) -> Claim:
    """The claim with some of its hosts back at Request."""
    left = set(claim.required) - set(hosts)
    unlisted = (
        set(claim.enforced) - set(claim.required) - {wildcard.host for wildcard in origin.wildcards}
    )
    enforced = with_wildcards(origin, left) & set(claim.enforced) | {
        wildcard for wildcard in unlisted if any(covers(wildcard, host) for host in left)
    }
    return claim_of(o, origin, claim.mode if left else min(claim.mode, Mode.REQUEST), enforced)


# --- what became of it ----------------------------------------------------------------------------


def digest(claim: Claim, foreign_digest: str) -> str:
    """Identifies a claim with the foreign text around it, in the record of rejected ones."""
    text = repr(
        (
            claim.patterns,
            int(claim.mode),
            claim.enforced,
            claim.excepted,
            [pin.sha256 for pin in claim.pins],
            foreign_digest,
        )
    )
    return sha256(text.encode()).hexdigest()[:16]


def was_rejected(o: Observed, origin: ObservedOrigin, claim: Claim) -> bool:
    """Whether an origin has rejected exactly this claim among exactly this foreign text.

    True as long as it is too early to try it again.
    """
    name = digest(claim, configured(origin).foreign_digest)
    return any(one.digest == name and one.holds_at(o.wall) for one in o.record.rejected)
