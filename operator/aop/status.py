"""What people and tools read, from the same `Observed` that the rules decided on. Pure.

Conditions are observations: no rule reads them. `Ready` sums up; its message alone tells what is
awaited, since when, and what to do. The messages hold no counters that move every second, so that a
status is written only when something happened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from aop.api import (
    AlertsStatus,
    CertificateStatus,
    Condition,
    ConditionType,
    HostsStatus,
    OriginStatus,
    ProofStatus,
    Status,
    ZoneStatus,
)
from aop.errors import Reason, plain
from aop.observed import (
    CertificateState,
    LeftOut,
    Observed,
    ObservedAlerts,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Record,
    Unknown,
)
from aop.plan.claims import required_hosts, runs_our_claim, until_applied
from aop.plan.facts import (
    believed,
    certificate_with,
    configured,
    in_scope,
    leaf_of_record,
    oddity,
    presented_by_us,
    proven,
    replicas,
    running_hold_offs,
    verified,
    wanted_leaf,
)
from aop.plan.prove import why_unproven
from aop.plan.qualify import claimant
from aop.plan.remove import nobody_is_refused
from aop.reasons import NO_ACTION
from aop.record import dump
from aop.steps import Block, Done, Step, Wait
from aop.terms import Mode

Truth = Literal["True", "False", "Unknown"]

LONGEST = 2000
"""Characters of a message."""
MOST_NAMED = 8
"""Hosts, and open names, that one message tells of; status.hosts lists more."""
_RAY = re.compile(r",? ?cf-ray [0-9a-z-]+", re.IGNORECASE)
REPROVING = frozenset({Reason.WAITING_FOR_PROOF, Reason.EDGE_SILENT, Reason.EDGE_NOT_PROVEN})
"""Waits in which what is enforced stays enforced: silence or a restart, not loss."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """One condition's content."""

    truth: Truth
    reason: Reason
    message: str


def status_of(o: Observed, step: Step, previous: Status) -> Status:
    """The whole status.

    `previous` lends its transition times, and what it says of the zone while that cannot be read.
    """
    findings = {
        ConditionType.CERTIFICATE_READY: certificate_ready(o),
        ConditionType.CERTIFICATE_DEPLOYED: certificate_deployed(o),
        ConditionType.ZONE_ENABLED: zone_enabled(o),
        ConditionType.ORIGINS_TRUST: origins_trust(o),
        ConditionType.EDGE_VERIFIED: edge_verified(o),
        ConditionType.ENFORCED: enforced(o),
    }
    alerts = alerts_configured(o, previous)
    ready = summary(o, step, findings)
    findings = {ConditionType.READY: ready, **findings}
    if alerts is not None:
        findings[ConditionType.ALERTS_CONFIGURED] = alerts
    findings |= kstatus(ready, step)
    enforcement = enforcement_of(o)
    return Status(
        observed_generation=o.object.generation,
        enforcement=enforcement.label if enforcement is not None else None,
        zone=zone_status(o, previous),
        certificate=certificate_status(o, previous),
        origins=tuple(origin_status(origin) for origin in o.origins if origin.wanted),
        hosts=hosts_status(o),
        proof=proof_status(o, previous),
        alerts=alerts_status(o, previous),
        removing_since=removing_since(o, previous),
        record=dump(o.record) if o.record != Record() else None,
        conditions=conditions(findings, previous, o.object.generation, o.wall),
    )


def failed(
    generation: int, now: datetime, reason: Reason, message: str, previous: Status, *, stalled: bool
) -> Status:
    """The status when there is nothing observed to speak of: an invalid spec, an outage, a bug.

    What was seen before stays.
    """
    ready = Assessment("False" if stalled else "Unknown", reason, message)
    findings = {
        ConditionType.READY: ready,
        **kstatus(ready, Block(reason, message) if stalled else Wait(reason, message, 0)),
    }
    kept = {c.type: c for c in previous.conditions if c.type not in findings}
    fresh = conditions(findings, previous, generation, now)
    missing = {
        kind: Assessment("Unknown", Reason.INITIALIZING, "The operator has not looked at this yet.")
        for kind in ConditionType
        if kind not in {*findings, *kept, ConditionType.ALERTS_CONFIGURED}
    }
    rest = (*kept.values(), *conditions(missing, previous, generation, now))
    return previous.model_copy(
        update={
            "observed_generation": generation,
            "conditions": tuple(
                sorted(
                    (*fresh, *rest), key=lambda c: list(ConditionType).index(ConditionType(c.type))
                )
            ),
        }
    )


def conditions(
    findings: dict[ConditionType, Assessment], previous: Status, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Conditions with their transition times.

    They move only when the truth moves (Kubernetes API conventions).
    """
    result = []
    for kind, finding in findings.items():
        before = previous.condition(kind)
        since = before.last_transition_time if before and before.status == finding.truth else now
        message = plain(finding.message, LONGEST)
        if (
            before is not None
            and before.message != message
            and without_rays(before.message) == without_rays(message)
        ):
            message = before.message  # nobody acts on the id of another such request
        result.append(
            Condition(
                type=kind,
                status=finding.truth,
                observed_generation=generation,
                last_transition_time=since.replace(microsecond=0),
                reason=finding.reason,
                message=message,
            )
        )
    return tuple(result)


# --- the summary ----------------------------------------------------------------------------------


def summary(o: Observed, step: Step, findings: dict[ConditionType, Assessment]) -> Assessment:
    """Ready.

    The spec is fulfilled, or what is done, awaited or blocked, since when, and what to do.
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
    if isinstance(step, Done):
        return Assessment("True", Reason.READY, fulfilled(o))
    if isinstance(step, Block):
        return Assessment("False", step.reason, step.message)
    if isinstance(step, Wait):
        if holding and step.reason in REPROVING:
            return Assessment(
                "True",
                Reason.READY,
                f"{fulfilled(o)} The operator is proving this again through the edge. {sentence_of(o, step)}",
            )
        if findings[ConditionType.ENFORCED].truth == "True" and shown_by_the_edge(o):
            return Assessment(
                "True",
                Reason.READY,
                f"{fulfilled(o)} Requests through the edge show it, although Cloudflare's API does not answer. {sentence_of(o, step)}",
            )
        return Assessment("False", step.reason, sentence_of(o, step))
    return Assessment("False", Reason.PROGRESSING, sentence_of(o, step))


def shown_by_the_edge(o: Observed) -> bool:
    """The API cannot be read, for no fault of the user's, and the edge shows the rest.

    What the API would tell is seen all the same: the edge presents the wanted leaf.
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
    """What holds, and what does not.

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


def all_of(hosts: Sequence[str]) -> str:
    """Every one of them, as a person counts."""
    match len(hosts):
        case 1:
            return hosts[0]
        case 2:
            return "both hosts"
        case number:
            return f"all {number} hosts"


def unseen(o: Observed) -> str:
    """Hosts that are required and at which something else answers now.

    They stay required, and nobody can see it at present.
    """
    odd = [
        f"{host}: {why}"
        for origin in o.origins
        if origin.wanted
        for host in origin.hosts
        if covered(o, host)
        and o.spec.enforcement_mode > Mode.REQUEST
        and (why := oddity(origin, host)) is not None
    ]
    return (
        f" Some hosts stay required although the operator cannot check them at present: {'; '.join(odd[:MOST_NAMED])}."
        if odd
        else ""
    )


def worthless(o: Observed) -> str:
    """Hosts that are required, and where whoever comes may pass for the edge."""
    why = [
        f"{host}: {why}"
        for origin in o.origins
        if origin.wanted
        for host in origin.hosts
        if covered(o, host)
        and o.spec.enforcement_mode > Mode.REQUEST
        and (why := believed(origin, host)) is not None
    ]
    return (
        f" Whoever knows our leaf, which is no secret, passes for the edge at present: {'; '.join(why[:MOST_NAMED])}."
        if why
        else ""
    )


def left_out_hosts(o: Observed) -> tuple[LeftOut, ...]:
    """The hosts that some origin cannot carry, each once."""
    return tuple(
        {one.host: one for origin in o.origins if origin.wanted for one in origin.left_out}.values()
    )


def beside(o: Observed) -> str:
    """What the object leaves open on the same controllers although every host is required.

    That is other names, and wildcards without a proven sample. Another object may protect such a
    name; that is told by that object.
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
    """The host is enforced as far as the spec asks, wherever it is served."""
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
            ready.message if stalled else "Nothing waits for a person.",
        ),
    }


# --- the single truths ----------------------------------------------------------------------------


def certificate_ready(o: Observed) -> Assessment:
    """The key pair exists and is valid."""
    if isinstance(o.key_pair, Unknown):
        return Assessment(
            "False" if o.key_pair.reason else "Unknown",
            o.key_pair.reason or Reason.TRANSIENT_ERROR,
            o.key_pair.message,
        )
    if o.key_pair is None:
        return Assessment(
            "False",
            Reason.PROGRESSING,
            "There is no key pair yet. The operator generates one when Cloudflare and the origins are ready for it.",
        )
    leaf, following = o.key_pair.leaf, o.key_pair.next
    renewal = (
        f" The operator generates a successor on {o.key_pair.renewal_at:%Y-%m-%d}."
        if o.key_pair.renewal_at and not o.object.deleting
        else ""
    )
    coming = f" Leaf {following.short} comes next." if following else ""
    return Assessment(
        "True",
        Reason.AS_EXPECTED,
        f"Leaf {leaf.short} is valid until {leaf.not_after:%Y-%m-%d}.{renewal}{coming}",
    )


def certificate_deployed(o: Observed) -> Assessment:
    """Cloudflare holds the wanted leaf and says that it is active."""
    if (lost := zone_unknown(o)) is not None:
        return lost
    leaf = leaf_of_record(o)
    certificate = (
        certificate_with(o.zone, leaf) if isinstance(o.zone, ObservedZone) and leaf else None
    )
    if certificate is None:
        return (
            Assessment("False", Reason.REMOVING, "The certificate is gone from Cloudflare.")
            if o.object.deleting
            else Assessment(
                "False",
                Reason.PROGRESSING,
                "The operator has not uploaded the certificate to Cloudflare yet.",
            )
        )
    if certificate.state is CertificateState.ACTIVE:
        return Assessment(
            "True",
            Reason.AS_EXPECTED,
            f"Certificate {certificate.id} (leaf {certificate.pin.short}) is active at Cloudflare.",
        )
    uploaded = f"{certificate.uploaded_at:%Y-%m-%d %H:%M:%S} UTC"
    return Assessment(
        "False",
        Reason.REMOVING if o.object.deleting else Reason.WAITING_FOR_CLOUDFLARE,
        f"Cloudflare reports certificate {certificate.id}, uploaded at {uploaded}, as {certificate.status or certificate.state}.",
    )


def zone_enabled(o: Observed) -> Assessment:
    """Authenticated Origin Pulls are on for the zone."""
    if (lost := zone_unknown(o)) is not None:
        return lost
    if isinstance(o.zone, ObservedZone) and o.zone.enabled:
        return Assessment(
            "True",
            Reason.AS_EXPECTED,
            ". ".join((f"Authenticated Origin Pulls are on for zone {o.zone.name}", *o.zone.unseen))
            + ".",
        )
    reason = Reason.REMOVING if o.object.deleting else Reason.PROGRESSING
    return Assessment(
        "False", reason, f"Authenticated Origin Pulls are off for zone {o.spec.zone.name}."
    )


def zone_unknown(o: Observed) -> Assessment | None:
    """What to say of Cloudflare when it could not be looked at."""
    if isinstance(o.zone, Unknown):
        return Assessment("Unknown", o.zone.reason or Reason.WAITING_FOR_CLOUDFLARE, o.zone.message)
    return (
        Assessment("Unknown", Reason.ZONE_NOT_FOUND, f"The token sees no zone {o.spec.zone.name}.")
        if o.zone is None
        else None
    )


def origins_trust(o: Observed) -> Assessment:
    """Every replica of every origin was seen to accept what Cloudflare presents now and next."""
    wanted = leaf_of_record(o)
    if o.object.deleting:
        return Assessment(
            "False",
            Reason.REMOVING,
            "The origins accept the certificate until Cloudflare no longer presents it. The operator removes it from the origins last.",
        )
    for origin in o.origins:
        claim = configured(origin).claim
        if not origin.wanted:
            continue
        if wanted is None or claim is None or claim.mode < Mode.REQUEST or wanted not in claim.pins:
            return Assessment(
                "False",
                Reason.PROGRESSING,
                f"Origin {origin.name} does not trust the certificate yet.",
            )
        if wait := until_applied(origin):
            return Assessment("False", wait.reason, sentence_of(o, wait))
    return Assessment(
        "True", Reason.AS_EXPECTED, f"Every replica accepts leaf {wanted.short if wanted else ''}."
    )


def edge_verified(o: Observed) -> Assessment:
    """Every in-scope host was seen to come with what the zone presents, for a whole window."""
    hosts = in_scope(o)
    if o.object.deleting:
        return Assessment(
            "Unknown",
            Reason.REMOVING,
            "The operator sends no more requests through the edge, because the object is being removed.",
        )
    unproven = [host for host in hosts if not verified(o, host)]
    if hosts and not unproven:
        return Assessment(
            "True",
            Reason.AS_EXPECTED,
            f"Requests to {all_of(hosts)} come through the edge with the certificate.",
        )
    seen = [o.evidence_of(host) for host in unproven]
    if not hosts or all(e.last is None and e.silence is None and not e.direct for e in seen):
        return Assessment(
            "Unknown", Reason.PROGRESSING, "The operator has sent no request through the edge yet."
        )
    why = "; ".join(why_unproven(o, e) for e in seen[:5])
    message = f"{len(hosts) - len(unproven)} of {len(hosts)} hosts are proven: {why}."
    if (missing := not_yet_to_be_seen(o)) is not None:
        return Assessment("False", Reason.PROGRESSING, f"{missing} {message}")
    if all(e.silence is not None for e in seen):
        return Assessment("Unknown", Reason.EDGE_SILENT, message)
    wanted = wanted_leaf(o)
    coming = wanted is not None and any(e.presented == wanted.sha256 and not e.direct for e in seen)
    return Assessment(
        "False", Reason.WAITING_FOR_PROOF if coming else Reason.EDGE_NOT_PROVEN, message
    )


def not_yet_to_be_seen(o: Observed) -> str | None:
    """What must come first, before any request could arrive with the certificate.

    None once Cloudflare presents it and an origin asks for it: what arrives otherwise is a fault.
    """
    if isinstance(o.zone, ObservedZone) and presented_by_us(o) is None:
        return "Cloudflare does not present the certificate yet."
    claims = [configured(origin).claim for origin in o.origins if origin.wanted]
    if not any(claim is not None and claim.mode >= Mode.REQUEST for claim in claims):
        return "No origin asks for the certificate yet."
    return None


def enforced(o: Observed) -> Assessment:
    """Every replica was seen to go as far as the spec asks, for every host that is required."""
    goal = o.spec.enforcement_mode
    for origin in o.origins:
        claim = configured(origin).claim
        if not origin.wanted:
            continue
        if o.object.deleting and (claim is None or claim.mode <= Mode.OFF):
            wait = until_applied(origin) if claim else None
            return Assessment(
                "False",
                Reason.REMOVING,
                sentence_of(o, wait)
                if wait
                else f"Origin {origin.name} refuses no visitors any more.",
            )
        if claim is None or claim.mode < goal:
            held_off = bool(running_hold_offs(o))
            reason = Reason.HOLD_OFF if held_off else Reason.PROGRESSING
            return Assessment(
                "False",
                reason,
                f"Origin {origin.name} is configured with mode {(claim.mode if claim else Mode.OFF).label}; spec.enforcement asks for {goal.label}.",
            )
        if wait := until_applied(origin):
            return Assessment("False", wait.reason, sentence_of(o, wait))
    hosts = sorted(
        {h for origin in o.origins if (claim := configured(origin).claim) for h in claim.enforced}
    )
    return Assessment(
        "True",
        Reason.AS_EXPECTED,
        f"Every replica is in mode {goal.label}{' for ' + ', '.join(hosts[:5]) if hosts else ''}.",
    )


def alerts_configured(o: Observed, previous: Status) -> Assessment | None:
    """Cloudflare warns whom the spec names; None where nobody is named, and nothing is left of it.

    What was told stands for the first look after a restart, while the spec is as it was.
    """
    if isinstance(o.alerts, ObservedAlerts):
        truth: Truth = "True" if o.alerts.holds else "False"
        finding = Assessment(truth, o.alerts.reason, o.alerts.message)
        return finding if o.alerts.message else None
    if isinstance(o.alerts, Unknown):
        reason = o.alerts.reason or Reason.TRANSIENT_ERROR
        return Assessment("False" if o.alerts.reason else "Unknown", reason, o.alerts.message)
    if o.spec.alerts is None and previous.alerts is None:
        return None
    before = previous.condition(ConditionType.ALERTS_CONFIGURED)
    same = before is not None and before.observed_generation == o.object.generation
    if before is not None and same and before.reason in {*Reason}:
        return Assessment(before.status, Reason(before.reason), before.message)
    return zone_unknown(o) or Assessment(
        "Unknown",
        Reason.WAITING_FOR_CLOUDFLARE,
        "The operator has not looked at the notification policies of the account yet.",
    )


# --- the parts ------------------------------------------------------------------------------------


def removing_since(o: Observed, previous: Status) -> datetime | None:
    """Since when a removal refuses nobody.

    Written anew where the wall clock was set meanwhile, else it would count what was never waited.
    """
    if o.removing_since is None:
        return previous.removing_since or (
            o.wall.replace(microsecond=0) if nobody_is_refused(o) else None
        )
    shown, before = o.shown(o.removing_since).replace(microsecond=0), previous.removing_since
    return before if before is not None and abs(shown - before) <= timedelta(seconds=2) else shown


def alerts_status(o: Observed, previous: Status) -> AlertsStatus | None:
    """What was done about `spec.alerts`; what was last told of it while it cannot be looked at."""
    return o.alerts.status if isinstance(o.alerts, ObservedAlerts) else previous.alerts


def zone_status(o: Observed, previous: Status) -> ZoneStatus | None:
    """The zone as Cloudflare last showed it.

    None where another object has it, because by this one tells whose it is.
    """
    if claimant(o) is not None:
        return None
    if not isinstance(o.zone, ObservedZone) or isinstance(o.rivals, Unknown):
        return previous.zone
    return ZoneStatus(id=o.zone.id, account_id=o.zone.account_id, ssl_mode=o.zone.ssl_mode)


def certificate_status(o: Observed, previous: Status) -> CertificateStatus | None:
    """The certificate that the zone presents; where it presents none of ours, the one to come.

    A renewal that is stuck shows in what is presented alone. While Cloudflare cannot be read, what
    it last showed stands.
    """
    if claimant(o) is not None:
        return None
    if isinstance(o.zone, Unknown) and previous.certificate is not None:
        return previous.certificate
    wanted = wanted_leaf(o)
    certificate = presented_by_us(o)
    if certificate is None and wanted is not None and isinstance(o.zone, ObservedZone):
        certificate = certificate_with(o.zone, wanted)
    pin = certificate.pin if certificate else wanted
    if pin is None:
        return None
    in_use = o.key_pair if isinstance(o.key_pair, ObservedKeyPair) else None
    return CertificateStatus(
        id=certificate.id if certificate else None,
        fingerprint=pin.sha256,
        serial_number=certificate.serial_number or None if certificate else None,
        status=certificate.status or None if certificate else None,
        not_after=pin.not_after,
        renewal_time=in_use.renewal_at if in_use and pin in {in_use.leaf, in_use.next} else None,
    )


def enforcement_of(o: Observed) -> Mode | None:
    """How far all origins go; None while one of them does not answer.

    None also where another object has the zone: what they do there is its doing.
    """
    if claimant(o) is not None:
        return None
    modes = [mode_of(origin) for origin in o.origins if origin.wanted]
    if None in modes:
        return None
    return min((mode for mode in modes if mode is not None), default=Mode.OFF)


def mode_of(origin: ObservedOrigin) -> Mode | None:
    """How far an origin goes.

    It is the least strict mode of any replica towards the hosts that it is strictest with; None
    while none tells.
    """
    return min((r.strictest for r in telling(origin)), default=None)


def telling(origin: ObservedOrigin) -> tuple[ObservedReplica, ...]:
    """The replicas that tell what they do.

    None where somebody has changed our text: what was seen of them before is no protection now.
    """
    if not configured(origin).intact:
        return ()
    return tuple(r for r in replicas(origin) if not r.error and r.hosts)


def origin_status(origin: ObservedOrigin) -> OriginStatus:
    """What was seen on one origin."""
    seen = telling(origin)
    applied = 0 if until_applied(origin) else len(seen)
    applied = applied or sum(1 for r in seen if runs_our_claim(r, configured(origin)) and r.settled)
    mode = mode_of(origin)
    return OriginStatus(
        name=origin.name,
        mode=mode.label if mode is not None else None,
        replicas=len(replicas(origin)),
        applied=applied,
    )


def hosts_status(o: Observed) -> HostsStatus:
    """How many in-scope hosts are proven."""
    hosts, left_out = in_scope(o), tuple(one.host for one in left_out_hosts(o))
    unproven = (*(host for host in hosts if not verified(o, host)), *left_out)
    total = len(hosts) + len(left_out)
    return HostsStatus(proven=total - len(unproven), total=total, unproven=unproven[:50])


def proof_status(o: Observed, previous: Status) -> ProofStatus | None:
    """Since when every proven host presents our certificate.

    A restart looks anew and begins no proof anew for whoever reads this: what was told stands while
    the same hosts are proven.
    """
    runs = [e for host in in_scope(o) if verified(o, host) and (e := o.evidence_of(host)).since]
    if not runs:
        return None
    if previous.proof is not None and previous.hosts == hosts_status(o):
        return previous.proof
    since = o.shown(max(e.since for e in runs if e.since))
    return ProofStatus(since=since.replace(microsecond=0))


# --- whether there is anything to tell ------------------------------------------------------------


def without_rays(text: str) -> str:
    """The text without the ids of requests at Cloudflare, each of which is another one."""
    return _RAY.sub("", text)


def merge_patch(shown: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What makes `wanted` of `shown` as a JSON merge patch: what is gone is null at every depth."""
    patch: dict[str, Any] = dict.fromkeys(shown.keys() - wanted.keys())
    for name, value in wanted.items():
        before = shown.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            patch[name] = merge_patch(before, value)
        else:
            patch[name] = value
    return patch
