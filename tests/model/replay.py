"""Recorded runs against the promises: each line of `AOP_TRACE_FILE` is one look of the real operator and the step that it led to.

`violations` takes the lines of a trace. It asks four things of each run:

- the rules are pure: the observation leads to the recorded step again;
- no effect contradicts what was observed (`contradictions`), judged here by facts and not by the rules' own questions;
- what two looks in a row differ in is something that the model has a move for (`leaps`), as far as it can be told from both;
- the whole run is a path of the model (`model.path`): some world agrees with each look, and its rules take each step.

What `OutOfModel` names has no observation in the model and is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from aop.observed import CertificateState, Configured, Observed, ObservedOrigin, ObservedZone
from aop.plan import next_step
from aop.reconcile import TRACE, Pass
from aop.steps import Delete, Done, Publish, SetEnabled, Step, Upload, Withdraw
from aop.terms import Claim, Mode
from model.abstract import Generations, OutOfModel, observation_of
from model.observation import Observation
from model.path import untraceable
from model.world import ACTIVE, DELETING, FAILED, PENDING, F

NEXT_STATES = {
    PENDING: {PENDING, ACTIVE, FAILED, DELETING},
    ACTIVE: {ACTIVE, DELETING},
    DELETING: {DELETING, FAILED},
    FAILED: {FAILED, DELETING},
}
"""Where a certificate can be found at the next look."""


def violations(lines: Iterable[str], moves: str = "", *, in_model: bool = True) -> list[str]:
    """What a recorded run did that no path of the model does, one sentence each; empty when all is well.

    `moves` are what others did meanwhile, in the words of `model.settings` (and of
    `model.path.untraceable`). Without `in_model` the first two are asked only: the model has two
    replicas that reload, and none that are replaced by others.
    """
    complaints: list[str] = []
    names: dict[str, Generations] = {}
    before: dict[str, Observation] = {}
    runs: dict[str, list[tuple[int, Observed, Step]]] = {}
    for number, line in enumerate((line for line in lines if line.strip()), 1):
        try:
            seen: Pass = TRACE.validate_json(line)
        except ValidationError:
            continue  # a process that was killed while it wrote
        runs.setdefault(seen.observed.object.uid, []).append((number, seen.observed, seen.step))
        again = next_step(seen.observed)
        if again != seen.step:
            complaints.append(f"line {number}: the rules say {again}, the run did {seen.step}")
        complaints += [
            f"line {number}: {seen.step}: {what}"
            for what in contradictions(seen.observed, seen.step)
        ]
        if not in_model:
            continue
        uid = seen.observed.object.uid
        try:
            observation = observation_of(seen.observed, names.setdefault(uid, Generations()))
        except OutOfModel:
            before.pop(uid, None)
            continue
        if uid in before:
            complaints += [f"line {number}: {what}" for what in leaps(before[uid], observation)]
        before[uid] = observation
    paths = runs.values() if in_model else ()
    return complaints + [what for run in paths for what in untraceable(run, moves)]


def contradictions(o: Observed, step: Step) -> Iterator[str]:  # noqa: C901, PLR0912 - a list of independent cases
    """What the step does although the observation forbids it."""
    match step:
        case Upload(pin=pin):
            if pin not in o.record.uploaded:
                yield "uploads what no record names"
            for origin in o.origins:
                if strictest(origin) >= Mode.OPTIONAL and not accepts(origin, pin.sha256):
                    yield f"uploads before every replica of origin {origin.name} was seen to accept it"
            if (
                isinstance(o.zone, ObservedZone)
                and sum(
                    c.ours and c.state is not CertificateState.DELETING for c in o.zone.certificates
                )
                > 1
            ):
                yield "uploads a third certificate of ours"
        case Delete(certificate_id=id_) if isinstance(o.zone, ObservedZone):
            if not any(c.id == id_ and c.ours for c in o.zone.certificates):
                yield "deletes what is not ours"
            yield from stripped(o) if o.object.deleting else ()
        case SetEnabled(enabled=False):
            yield from stripped(o)
        case Publish(target=target, claim=claim):
            yield from tightened(
                o, next(origin for origin in o.origins if origin.target == target), claim
            )
        case Withdraw(target=target):
            # A rejected text is taken out while its predecessor still runs: that refuses nobody more.
            left = [it for it in o.origins if it.target == target and not it.rejected]
            yield from stripped(o, *left) if left else ()
        case Done() if o.object.deleting:
            for origin in o.origins:
                if (
                    isinstance(origin.configured, Configured)
                    and origin.configured.claim is not None
                ):
                    yield f"released with its claim in origin {origin.name}"


def stripped(o: Observed, *origins: ObservedOrigin) -> Iterator[str]:
    """Nobody may be refused when something is taken away."""
    yield from (
        f"origin {it.name} still refuses somebody"
        for it in origins or o.origins
        if strictest(it) >= Mode.OPTIONAL
    )


def tightened(o: Observed, origin: ObservedOrigin, claim: Claim) -> Iterator[str]:
    """Each host that becomes required has a whole window of its own behind it, with a leaf that is trusted."""
    now = origin.configured.may_do if isinstance(origin.configured, Configured) else None
    trusted = {pin.sha256 for pin in claim.pins}
    for host in claim.enforced:
        if now is not None and now.at(host) >= claim.at(host):
            continue  # what a damaged text may still do is not made stricter by putting it back
        evidence = o.evidence_of(host)
        if (
            evidence.covered < o.window
            or evidence.count < o.limits.proof_answers
            or evidence.direct
        ):
            yield f"requires {host} without a whole window"
        elif evidence.presented not in trusted:
            yield f"requires {host} although what was proven is not trusted"


def strictest(origin: ObservedOrigin) -> Mode:
    """The strictest that any replica was seen."""
    replicas = origin.replicas if isinstance(origin.replicas, tuple) else ()
    return max(
        (behaviour.mode for replica in replicas for behaviour in replica.hosts), default=Mode.OFF
    )


def accepts(origin: ObservedOrigin, leaf: str) -> bool:
    """Every replica that refuses somebody was seen to serve this leaf to that host."""
    replicas = origin.replicas if isinstance(origin.replicas, tuple) else ()
    return all(
        leaf in b.accepts for replica in replicas for b in replica.hosts if b.mode >= Mode.OPTIONAL
    )


def leaps(before: Observation, after: Observation) -> Iterator[str]:
    """What changed between two looks by no move of the model."""
    if before.deleting and not after.deleting:
        yield "an object that was being deleted is not any more"
    if before.finalizer and not after.finalizer and not before.deleting:
        yield "the finalizer has gone from an object that is not being deleted"
    if before.certificates is not None and after.certificates is not None:
        was = dict(before.certificates)
        for certificate, state in after.certificates:
            if (
                certificate in was
                and certificate != F
                and state not in NEXT_STATES[was[certificate]]
            ):
                yield f"a certificate went from state {was[certificate]} to {state}"
    lost = before.record.uploaded & ~after.record.uploaded
    if (
        lost
        and after.certificates is not None
        and any(certificate & lost for certificate, _ in after.certificates)
    ):
        yield "the record has forgotten a leaf that Cloudflare still lists"
