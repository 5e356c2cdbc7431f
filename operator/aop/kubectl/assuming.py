"""What is assumed where a person cannot see as far as the operator does. Pure.

A pod's address can seldom be reached from a desk, and a proof takes a window for which nobody wants
to wait here. Each assumption is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from aop.api import Status
from aop.kubectl.foresight import runs
from aop.observed import Configured, Evidence, Observed, ObservedOrigin, ObservedZone, Unknown
from aop.plan.facts import in_scope, proven, wanted_leaf

NO_ANSWER = "no answer yet"


@dataclass(frozen=True, slots=True)
class Assumed:
    """A world, and what in it was assumed, in sentences."""

    observed: Observed
    sentences: tuple[str, ...]


def assumed(o: Observed, status: Status) -> Assumed:
    """What was seen, and what the operator says where that cannot be seen from here."""
    if not o.object.finalizer:
        o = replace(o, object=replace(o.object, finalizer=True))
    o, rivals = _without_unseen_rivals(o)
    asked = isinstance(o.zone, ObservedZone)
    reached = [_reached(origin) if asked else (origin, ()) for origin in o.origins]
    o = replace(o, origins=tuple(origin for origin, _ in reached))
    o, taken = _with_the_proofs_of(o, status)
    return Assumed(o, (*rivals, *(one for _, sentences in reached for one in sentences), *taken))


def _without_unseen_rivals(o: Observed) -> tuple[Observed, tuple[str, ...]]:
    if not isinstance(o.rivals, Unknown):
        return o, ()
    sentence = f"Whether another object manages the zone is not known ({o.rivals.message}): assumed that none does."
    return replace(o, rivals=()), (sentence,)


def _reached(origin: ObservedOrigin) -> tuple[ObservedOrigin, tuple[str, ...]]:
    """Replicas that cannot be reached from here are assumed to do what is published to them.

    None is asked before the zone is known.
    """
    if isinstance(origin.replicas, Unknown) or isinstance(origin.configured, Unknown):
        return origin, ()
    published = origin.configured or Configured()
    replicas, sentences = [], []
    for replica in origin.replicas:
        if replica.error is None and replica.hosts:
            replicas.append(replica)
            continue
        replicas.append(runs(replica, published, origin.hosts))
        sentences.append(
            f"Replica {replica.name} of origin {origin.name} cannot be reached from here ({replica.error or NO_ANSWER}): assumed that the operator reaches it, "
            "and that it does what is published."
        )
    return replace(origin, replicas=tuple(replicas)), tuple(sentences)


def _with_the_proofs_of(o: Observed, status: Status) -> tuple[Observed, tuple[str, ...]]:
    """Take over the operator's proofs, unless what arrives here contradicts them."""
    leaf = wanted_leaf(o)
    if leaf is None or status.hosts is None or not status.hosts.proven:
        return o, ()
    if status.certificate is None or status.certificate.fingerprint != leaf.sha256:
        return o, ()
    taken = [
        host
        for host in in_scope(o)
        if host not in status.hosts.unproven
        and not proven(o, host)
        and o.evidence_of(host).presented in {None, leaf.sha256}
        and not o.evidence_of(host).direct
    ]
    if not taken:
        return o, ()
    whole = {host: _whole(o, host, leaf.sha256) for host in taken}
    evidence = {one.host: one for one in o.evidence} | whole
    sentence = f"A proof takes {o.spec.verification.window}: that of {', '.join(taken)} is taken from the operator's status."
    return replace(o, evidence=tuple(evidence[host] for host in sorted(evidence))), (sentence,)


def _whole(o: Observed, host: str, presented: str) -> Evidence:
    """A whole window of arrivals, the last one now."""
    window: timedelta = o.window
    return replace(
        o.evidence_of(host),
        presented=presented,
        count=o.limits.proof_answers,
        since=o.now - window,
        covered=window,
        last=o.now,
        silence=None,
        silent_since=None,
    )
