"""Whether the last status still stands, because nothing was seen that says otherwise. Pure.

After a restart the operator has seen nothing yet, and of a new pod nothing either. To report that
Ready is gone, for the second that a look takes, would wake people for nothing. What would be unsafe
to keep claiming is reported at once all the same: an answer, a text or a replica that shows
anything else is a fact.
"""

from __future__ import annotations

from datetime import timedelta

from aop.api import ConditionType, Status
from aop.errors import Reason
from aop.observed import Configured, Observed, ObservedKeyPair, ObservedOrigin, Unknown
from aop.plan.claims import shows_otherwise
from aop.plan.facts import configured, in_scope, proven, renewal_is_due, replicas, wanted_leaf
from aop.status import (
    REPROVING,
    certificate_deployed,
    certificate_ready,
    still_tells,
    zone_enabled,
)
from aop.steps import Done, Step, Wait

LOOKING = REPROVING | {
    Reason.WAITING_FOR_CLOUDFLARE,
    Reason.WAITING_FOR_REPLICAS,
    Reason.ORIGIN_UNREACHABLE,
}
"""Waits during which a look may still be to come, as after a restart or at a new pod."""
NO_ANSWER_S = 30.0
"""For how long an answer that has not come may still be to come."""


def yet_to_be_seen(o: Observed, step: Step, previous: Status) -> bool:
    """Whether the object was Ready, part of that was not seen again, and nothing contradicts it.

    Then the last status stands: a fact ends Ready, and never a look that is still to come.
    """
    ready = previous.condition(ConditionType.READY)
    if (
        ready is None
        or ready.status != "True"
        or previous.observed_generation != o.object.generation
        or o.object.deleting
    ):
        return False
    hosts = set(in_scope(o)) - set(previous.hosts.unproven if previous.hosts else ())
    coming = (isinstance(step, Wait) and step.reason in LOOKING) or (
        isinstance(step, Done) and not all(proven(o, host) for host in hosts)
    )
    return coming and not any(
        (
            is_otherwise_at_cloudflare(o),
            any(arrives_otherwise(o, host) for host in hosts),
            any(is_otherwise_at(o, origin) for origin in o.origins),
            all(isinstance(origin.configured, Configured) for origin in o.origins)
            and not still_tells(o, ready.message),
        )
    )


def stands_for(o: Observed, step: Step) -> timedelta:
    """How long the last status stands: until every object has had its turn to be looked at.

    An object that was asked about and gave no answer has had it.
    """
    in_vain = asked_in_vain(o)
    patience = timedelta(seconds=NO_ANSWER_S if in_vain else o.limits.looks_to_come_s)
    if not isinstance(step, Wait) or step.reason in REPROVING:
        patience += 2 * o.window
    return patience


def asked_in_vain(o: Observed) -> bool:
    """Whether Cloudflare, the API server or a replica was asked and gave no answer."""
    return (isinstance(o.zone, Unknown) and not o.zone.postponed) or any(
        isinstance(origin.replicas, Unknown) or any(one.error for one in origin.replicas)
        for origin in o.origins
    )


def is_only_postponed(o: Observed) -> bool:
    """Whether all that is missing is a look at Cloudflare, which is asked about others first.

    That is no failure, and takes as long as the budget of calls makes it take. Whatever was asked
    and does not answer is named all the same.
    """
    return isinstance(o.zone, Unknown) and o.zone.postponed and not asked_in_vain(o)


def rests_meanwhile(o: Observed, step: Step, previous: Status) -> bool:
    """Whether the object waits for nothing but its turn at Cloudflare, while the status stands.

    With ten thousand zones of one user the last turn comes after hours, and nothing that the object
    could look at meanwhile brings it nearer.
    """
    return (
        is_only_postponed(o)
        and yet_to_be_seen(o, step, previous)
        and not is_to_be_renewed(o)
        and all(
            replica.settled and len(replica.hosts) >= len(origin.hosts)
            for origin in o.origins
            for replica in replicas(origin)
            if replica.ready
        )
    )


def is_to_be_renewed(o: Observed) -> bool:
    """Whether the Secret contains what is not at Cloudflare yet, or is to get a successor now."""
    keys, unnoted = o.key_pair, o.object.rotate != o.record.rotated
    if not isinstance(keys, ObservedKeyPair):
        return unnoted
    new = {pin for pin in (keys.leaf, keys.next) if pin} - {*o.record.uploaded}
    return unnoted or bool(new) or renewal_is_due(o, keys)


def is_otherwise_at_cloudflare(o: Observed) -> bool:
    """Whether Cloudflare, or the Secret, was seen and contradicts Ready."""
    findings = certificate_ready(o), certificate_deployed(o), zone_enabled(o)
    return any(finding.truth == "False" for finding in findings)


def arrives_otherwise(o: Observed, host: str) -> bool:
    """Whether the host's requests come without our certificate, or for a while none comes.

    If it was not asked yet, that is neither, and a single request without an answer is not enough
    either.
    """
    evidence, wanted = o.evidence_of(host), wanted_leaf(o)
    ours = {None, wanted.sha256} if wanted else {None}
    since = evidence.silent_since
    silent = since is not None and o.now - since >= timedelta(seconds=NO_ANSWER_S)
    return evidence.direct or silent or evidence.presented not in ours


def is_otherwise_at(o: Observed, origin: ObservedOrigin) -> bool:
    """Whether the origin's text, or a replica that was asked, does not do what the spec asks."""
    if isinstance(origin.configured, Unknown) or not origin.wanted:
        return False
    claim = configured(origin).claim
    return (
        claim is None
        or claim.mode < o.spec.enforcement_mode
        or not origin.replicas
        or any(shows_otherwise(replica, origin) for replica in replicas(origin))
    )
