"""`Ready`, in which everything comes together, and what kstatus wants beside it.

Its message alone says what is awaited, since when, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aop.api import (
    ConditionType,
)
from aop.errors import Reason, plain
from aop.observed import (
    LeftOut,
    Observed,
    ObservedOrigin,
    Unknown,
)
from aop.plan.claims import required_hosts, until_applied
from aop.plan.facts import (
    believed,
    believed_everywhere,
    configured,
    in_scope,
    oddity,
    proven,
)
from aop.plan.prove import why_unproven
from aop.reasons import NO_ACTION
from aop.status.assessment import LONGEST, Assessment
from aop.steps import Block, Done, Step, Wait
from aop.terms import Mode

MOST_NAMED = 8
"""How many hosts, and how many open names, one message names; status.hosts lists more."""
REPROVING = frozenset({Reason.WAITING_FOR_PROOF, Reason.EDGE_SILENT, Reason.EDGE_NOT_PROVEN})
"""Waits in which what is enforced stays enforced: for silence or a restart, not for a loss."""
PROVING_AGAIN = "The operator is proving this again through the edge."
SHOWN_BY_THE_EDGE = "Requests through the edge show it, although Cloudflare's API does not answer."


def summary(o: Observed, step: Step, findings: dict[ConditionType, Assessment]) -> Assessment:
    """Ready.

    Either the spec is fulfilled, or it says what is done, awaited or blocked, since when, and what
    to do.
    """
    if o.object.deleting:
        return Assessment(
            "False", Reason.REMOVING, f"The object is being removed. {sentence_of(o, step)}"
        )
    holding = all(
        findings[kind].truth == "True"
        for kind in (
            ConditionType.CERTIFICATE_DEPLOYED,
            ConditionType.ZONE_ENABLED,
            ConditionType.ENFORCED,
        )
    )
    if isinstance(step, Done) and findings[ConditionType.ENFORCED].truth == "False":
        return Assessment("False", Reason.FOREIGN_CONFIGURATION, fulfilled(o))
    if isinstance(step, Done):
        return Assessment("True", Reason.READY, fulfilled(o))
    if isinstance(step, Block):
        return Assessment("False", step.reason, sentence_of(o, step))
    if isinstance(step, Wait):
        step = with_remedy(o, step)
        if holding and step.reason in REPROVING:
            return Assessment(
                "True",
                Reason.READY,
                f"{fulfilled(o)} {PROVING_AGAIN} {sentence_of(o, step)}",
            )
        if findings[ConditionType.ENFORCED].truth == "True" and shown_by_the_edge(o):
            return Assessment(
                "True",
                Reason.READY,
                f"{fulfilled(o)} {SHOWN_BY_THE_EDGE} {sentence_of(o, step)}",
            )
        return Assessment("False", step.reason, sentence_of(o, step))
    return Assessment("False", Reason.PROGRESSING, sentence_of(o, step))


def with_remedy(o: Observed, wait: Wait) -> Wait:
    """The wait, with what somebody has to see to meanwhile.

    What is awaited first may pass by itself, as a pause of the calls to Cloudflare does, while a
    pod hangs that somebody has to let go, or a host gives no answer.
    """
    if (wait.remedy or wait.reason.remedy) != NO_ACTION or (trouble := in_trouble(o)) is None:
        return wait
    what, remedy = trouble
    return replace(wait, message=f"{wait.message.rstrip('.')}. Meanwhile: {what}", remedy=remedy)


def in_trouble(o: Observed) -> tuple[str, str] | None:
    """What an origin waits for, or who is silent at the edge, and what helps."""
    waits = [until_applied(origin) for origin in o.origins if origin.wanted]
    for wait in waits:
        if wait is not None and wait.remedy:
            return wait.message, wait.remedy
    silent = [one for host in required_hosts(o) if (one := o.evidence_of(host)).silence is not None]
    if not silent:
        return None
    named = "; ".join(why_unproven(o, one) for one in silent[:MOST_NAMED])
    return named, Reason.EDGE_SILENT.remedy


def shown_by_the_edge(o: Observed) -> bool:
    """Whether the edge shows the rest while the API cannot be read, by no fault of the user's.

    What the API would say is seen all the same: the edge presents the wanted leaf.
    """
    hosts = set(required_hosts(o)) or set(in_scope(o))
    return (
        isinstance(o.zone, Unknown)
        and o.zone.reason is None
        and bool(hosts)
        and all(proven(o, host) for host in hosts)
    )


def sentence_of(o: Observed, step: Step) -> str:
    """A step as a sentence that says what is awaited, since when, and what to do."""
    if isinstance(step, Wait):
        since = (
            f" The operator has waited since {o.shown(step.since):%Y-%m-%d %H:%M:%S} UTC."
            if step.since
            else ""
        )
        return f"{step.message.rstrip('.')}.{since} {step.remedy or step.reason.remedy}."
    if isinstance(step, Block):
        return f"{step.message.rstrip('.')}."
    if isinstance(step, Done):
        left = f", and leaves something behind: {step.left_behind}" if step.left_behind else ""
        return f"The operator has finished{left}."
    return f"The operator is about to {str(step).rstrip('.')}. {NO_ACTION}."


def fulfilled(o: Observed) -> str:
    """What is so, and what is not.

    It names the hosts that are left out, what stays open beside them, and what this version does
    not do.
    """
    hosts, left_out = in_scope(o), left_out_hosts(o)
    unproven = [host for host in hosts if not covered(o, host)]
    goal = {
        "Request": "Every replica asks for the certificate at {where}, and refuses nobody",
        "Optional": "Every replica refuses other certificates at {where}",
        "Require": "Every replica requires the certificate at {where}",
    }[o.spec.enforcement]
    total = len(hosts) + len(left_out)
    others = [why_unproven(o, o.evidence_of(host)) for host in unproven] + [
        f"{one.host}: {one.why}" for one in left_out
    ]
    if not others:
        holds = goal.format(where=all_of(hosts)) + "."
    else:
        named = "; ".join(others[:MOST_NAMED]) + (
            f"; and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        )
        proven_ones = f"{len(hosts) - len(unproven)} of {total} hosts"
        holds = f"{goal.format(where=proven_ones)}. The others refuse nobody: {named}."
    return holds + unseen(o) + worthless(o) + beside(o)


def still_tells(o: Observed, message: str) -> bool:
    """Whether the message of an object that was Ready tells what is fulfilled now.

    It may say besides what was looked at when it was written.
    """
    now = fulfilled(o)
    return message == plain(now, LONGEST) or any(
        message.startswith(plain(f"{now} {looked_at}", LONGEST))
        for looked_at in (PROVING_AGAIN, SHOWN_BY_THE_EDGE)
    )


def all_of(hosts: Sequence[str]) -> str:
    """All of them, as a person counts."""
    match len(hosts):
        case 1:
            return hosts[0]
        case 2:
            return "both hosts"
        case number:
            return f"all {number} hosts"


def unseen(o: Observed) -> str:
    """Hosts that are required and at which something else answers now.

    The text goes on requiring them; whether something else serves visitors there cannot be seen.
    """
    odd = of_required(o, oddity)
    return (
        f" The operator cannot check at present whether these hosts refuse strangers, and leaves them as it has set them: {'; '.join(odd[:MOST_NAMED])}."
        if odd
        else ""
    )


def worthless(o: Observed) -> str:
    """Hosts that are required, and where anybody who comes may pass for the edge."""
    why = of_required(o, believed)
    return (
        f" Whoever knows the leaf, which is no secret, passes for the edge at present: {'; '.join(why[:MOST_NAMED])}."
        if why
        else ""
    )


def unprotected(o: Observed) -> list[str]:
    """Hosts that are required, and where whoever comes passes for the edge at every replica."""
    return of_required(o, believed_everywhere)


def of_required(o: Observed, what: Callable[[ObservedOrigin, str], str | None]) -> list[str]:
    """What to say about hosts that are required, each with its name."""
    if o.spec.enforcement_mode <= Mode.REQUEST:
        return []
    return [
        f"{host}: {why}"
        for origin in o.origins
        if origin.wanted
        for host in origin.hosts
        if covered(o, host) and (why := what(origin, host)) is not None
    ]


def left_out_hosts(o: Observed) -> tuple[LeftOut, ...]:
    """The hosts that some origin cannot carry, each once."""
    return tuple(
        {one.host: one for origin in o.origins if origin.wanted for one in origin.left_out}.values()
    )


def beside(o: Observed) -> str:
    """What the object leaves open on the same controllers although every host is required.

    These are other names, and wildcards without a proven sample. Another object may protect such a
    name, and then that object says so.
    """
    if o.spec.enforcement_mode < Mode.REQUIRE:
        return ""
    wanted = [origin for origin in o.origins if origin.wanted]
    unsampled = [
        f"names under {wildcard.host} that no Ingress has, because the wildcard has no proven sample (spec.verification.samples can name one)"
        for origin in wanted
        for wildcard in origin.wildcards
        if (claim := configured(origin).claim) is None or wildcard.host not in claim.enforced
    ]
    sentences = [*unsampled, *(sentence for origin in wanted for sentence in origin.open)]
    more = f"; and {len(sentences) - MOST_NAMED} more" if len(sentences) > MOST_NAMED else ""
    return (
        f" This object leaves open: {'; '.join(sentences[:MOST_NAMED])}{more}." if sentences else ""
    )


def covered(o: Observed, host: str) -> bool:
    """Whether the host is enforced as far as the spec asks, wherever it is served."""
    goal = o.spec.enforcement_mode
    claims = [
        configured(origin).claim for origin in o.origins if origin.wanted and host in origin.hosts
    ]
    return all(claim is not None and claim.at(host) >= goal for claim in claims)


def kstatus(ready: Assessment, step: Step) -> dict[ConditionType, Assessment]:
    """Reconciling and Stalled.

    That pair is what kstatus, Flux and `helm --wait` understand.
    """
    stalled = isinstance(step, Block)
    busy = ready.truth != "True" and not stalled
    return {
        ConditionType.RECONCILING: Assessment(
            "True" if busy else "False",
            ready.reason if busy else Reason.AS_EXPECTED,
            ready.message if busy else "The operator has no change under way.",
        ),
        ConditionType.STALLED: Assessment(
            "True" if stalled else "False",
            ready.reason if stalled else Reason.AS_EXPECTED,
            ready.message if stalled else "The operator is not waiting for anybody to act.",
        ),
    }
