"""`kubectl aop prove`: what replicas and edge answer at this moment, as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aop.kubectl.wording import Colour, Paint, age, paragraph, table
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Evidence,
    HostBehaviour,
    Observed,
    ObservedReplica,
    Unknown,
)
from aop.plan.facts import in_scope, wanted_leaf
from aop.terms import Mode

REPLICAS = ("REPLICA", "REVISION", "HOST", "STRANGERS", "THE LEAF", "NOTE")
EDGE = ("HOST", "COMES WITH", "AGE", "NOTE")
WORDS = {
    NONE: "no certificate",
    OTHER: "another certificate",
    REFUSED: "a certificate that the origin refuses",
}
COLOURS = {"refused": Colour.GOOD, "served": Colour.GOOD, "REFUSED": Colour.BAD}
ARRIVALS = {"the leaf in use": Colour.GOOD} | dict.fromkeys(WORDS.values(), Colour.BAD)


def answers(o: Observed, paint: Paint) -> list[str]:
    """Both tables, and their verdict."""
    lines = [paint(f"{o.object.key}: the replicas, asked directly", Colour.STRONG)]
    for origin in o.origins:
        if isinstance(origin.replicas, Unknown):
            lines += paragraph(f"Origin {origin.name}: {origin.replicas.message}.", "  ")
        elif not origin.replicas:
            lines += paragraph(f"Origin {origin.name} has no replica.", "  ")
    rows = list(_replica_rows(o))
    if rows:
        lines += table(REPLICAS, rows, paint, ((3, COLOURS), (4, COLOURS)))
    lines += ["", paint("The edge, asked as a visitor asks it", Colour.STRONG)]
    if not o.evidence:
        lines.append("  Nothing was asked: no host is known, or the check path is not published.")
    else:
        rows = [_edge_row(o, one) for one in o.evidence]
        lines += table(EDGE, rows, paint, ((1, ARRIVALS),))
    return [*lines, "", *paragraph(verdict(o))]


def _replica_rows(o: Observed) -> Iterator[tuple[str, ...]]:
    for origin in o.origins:
        if isinstance(origin.replicas, Unknown):
            continue
        for replica in origin.replicas:
            revision = "none" if replica.revision is None else str(replica.revision)
            if replica.error is not None or not replica.hosts:
                why = replica.error or "no answer yet"
                yield replica.name, "?", "?", "?", "?", f"not reached from here: {why}"
                continue
            for behaviour in replica.hosts:
                yield (replica.name, revision, behaviour.host, *_treatment(o, behaviour))


def _treatment(o: Observed, behaviour: HostBehaviour) -> tuple[str, str, str]:
    strangers = {Mode.OFF: "pass", Mode.REQUEST: "pass (asked)"}.get(behaviour.mode, "refused")
    leaf = wanted_leaf(o)
    ours = "not asked with it"
    if leaf is not None and leaf.sha256 in behaviour.accepts:
        ours = "served"
    elif leaf is not None and leaf.sha256 in behaviour.refuses:
        ours = "REFUSED"
    notes = [behaviour.odd or ""]
    if behaviour.mode is Mode.OPTIONAL:
        notes.append("without a certificate they pass")
    if behaviour.own:
        notes.append("an Ingress of its own verifies")
    if behaviour.believes:
        notes.append("it believes what a request says of itself")
    return strangers, ours, "; ".join(note for note in notes if note)


def _edge_row(o: Observed, one: Evidence) -> tuple[str, ...]:
    leaf = wanted_leaf(o)
    if one.presented is None:
        comes = "no usable answer"
    elif leaf is not None and one.presented == leaf.sha256:
        comes = "the leaf in use"
    else:
        comes = WORDS.get(one.presented, "a retired leaf")
    notes = [
        "bypasses Cloudflare (DNS-only?)" if one.direct else "",
        one.silence or "",
    ]
    last = age(o.now - one.last) if one.last else "-"
    return one.host, comes, last, "; ".join(note for note in notes if note)


# --- what it comes to -----------------------------------------------------------------------------


def as_asked(o: Observed) -> bool:
    """Every host comes with the leaf in use, and every replica goes as far as the spec asks."""
    hosts, replicas = in_scope(o), list(_replicas(o))
    arriving = bool(hosts) and all(_arrives(o, host) for host in hosts)
    unknown = any(isinstance(origin.replicas, Unknown) for origin in o.origins)
    return arriving and bool(replicas) and not unknown and all(_goes_far(o, it) for it in replicas)


def verdict(o: Observed) -> str:
    """Both tables in one sentence."""
    hosts, replicas = in_scope(o), list(_replicas(o))
    arriving = [host for host in hosts if _arrives(o, host)]
    far = [one for one in replicas if _goes_far(o, one)]
    goal = o.spec.enforcement_mode.label
    return (
        f"{len(arriving)} of {len(hosts)} hosts come through the edge with the leaf in use. {len(far)} of {len(replicas)} replicas serve it "
        f"and enforce {goal} at every host."
    )


def _replicas(o: Observed) -> Iterator[ObservedReplica]:
    for origin in o.origins:
        if not isinstance(origin.replicas, Unknown) and origin.wanted:
            yield from origin.replicas


def _arrives(o: Observed, host: str) -> bool:
    leaf, one = wanted_leaf(o), o.evidence_of(host)
    return leaf is not None and one.presented == leaf.sha256 and not one.direct


def _goes_far(o: Observed, replica: ObservedReplica) -> bool:
    goal, leaf = o.spec.enforcement_mode, wanted_leaf(o)
    return (
        replica.error is None
        and leaf is not None
        and bool(replica.hosts)
        and all(it.mode >= goal and leaf.sha256 in it.accepts for it in replica.hosts)
    )
