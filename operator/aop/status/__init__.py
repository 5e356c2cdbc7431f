"""What people and tools read, from the same `Observed` on which the rules decided. Pure.

Conditions are observations: no rule reads them. `Ready` sums up, and its message alone says what is
awaited, since when, and what to do. No message contains a counter that moves every second, so a
status is written only when something happened.
"""

from __future__ import annotations

from datetime import datetime

from aop.api import Condition, ConditionType, Status
from aop.errors import Reason, plain
from aop.observed import Observed, Record
from aop.record import dump
from aop.status.assessment import LONGEST, Assessment
from aop.status.changes import merge_patch, without_rays
from aop.status.parts import (
    alerts_status,
    certificate_status,
    enforcement_of,
    hosts_status,
    origin_status,
    proof_status,
    removing_since,
    telling,
    zone_status,
)
from aop.status.ready import REPROVING, kstatus, still_tells, summary
from aop.status.truths import (
    alerts_configured,
    certificate_deployed,
    certificate_ready,
    edge_verified,
    enforced,
    origins_trust,
    zone_enabled,
)
from aop.steps import Block, Step, Wait

__all__ = [
    "REPROVING",
    "certificate_deployed",
    "certificate_ready",
    "enforcement_of",
    "failed",
    "merge_patch",
    "status_of",
    "still_tells",
    "telling",
    "without_rays",
    "zone_enabled",
]


def status_of(o: Observed, step: Step, previous: Status) -> Status:
    """The whole status.

    `previous` provides the transition times, and what to say about the zone while that cannot be
    read.
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
    """The status when nothing was observed: an invalid spec, an outage, a bug.

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


def _sentence(text: str) -> str:
    """With a full stop: what a client raises has none, because others go on after it."""
    return text if not text or text[-1] in ".?!…" else f"{text}."


def conditions(
    findings: dict[ConditionType, Assessment], previous: Status, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Conditions with their transition times.

    These change only when the truth does (Kubernetes API conventions).
    """
    result = []
    for kind, finding in findings.items():
        before = previous.condition(kind)
        since = before.last_transition_time if before and before.status == finding.truth else now
        message = plain(_sentence(finding.message), LONGEST)
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
