"""TEARDOWN: removal in reverse, each step seen before the next (promise S7).

Without limit it waits only while a replica still refuses somebody. Once nobody is refused, Cloudflare gets ten minutes of failing
credentials; then the object is released and what stays there is named.
"""

from __future__ import annotations

from datetime import timedelta

from aop.errors import Reason
from aop.observed import CertificateState, Observed, ObservedOrigin, ObservedZone, Unknown
from aop.origins import Mode
from aop.plan.facts import claim_of, configured, ours_listed, replicas, unknown, until_applied, was_there_before
from aop.plan.prepare import put_back_by_others
from aop.steps import Block, Delete, Publish, SetEnabled, Step, Wait, Withdraw


def origins_refuse_nobody(o: Observed) -> Step | None:
    """Every claim is at Off, *seen* on every replica; a missing ConfigMap proves nothing.

    Off and not Request: what the zone presents once ours is gone may be expired, and asking alone refuses that.
    """
    for origin in o.origins:
        if step := refuses_nobody(o, origin):
            return step
    return None


def refuses_nobody(o: Observed, origin: ObservedOrigin) -> Step | None:
    """What is still to be done, or seen, before one origin refuses nobody."""
    if isinstance(origin.configured, Unknown):
        return Wait(Reason.REMOVING, f"ConfigMap {origin.target} cannot be read: {origin.configured.message}", 5.0)
    found, gone = configured(origin), nothing_of_ours_runs(origin)
    to_be_put_right = found.may_do is not None and (found.may_do.mode > Mode.OFF or not found.intact)
    if to_be_put_right and not gone:
        again_and_again = origin.overwritten if found.standing is None and not found.intact else None
        if again_and_again is not None and o.now < again_and_again.until:
            return Wait(
                Reason.REMOVING, f"it is waited for until no replica runs our text: {put_back_by_others(o, origin, again_and_again)}", 2.0
            )
        return Publish(origin.name, origin.target, claim_of(o, origin, Mode.OFF), "the object is being removed")
    if isinstance(origin.replicas, Unknown):
        return Wait(Reason.REMOVING, f"the replicas of origin {origin.name} cannot be listed: {origin.replicas.message}", 5.0)
    wait = until_applied(origin) if found.claim is not None and origin.replicas and not gone else None
    if wait and not strangers_pass(origin):
        return Wait(Reason.REMOVING, f"nobody must be refused before anything is taken away: {wait.message}", wait.seconds, wait.since)
    if silent := [r.name for r in origin.replicas if r.error] if origin.target in o.record.claimed else []:
        return Wait(
            Reason.REMOVING, f"pod {silent[0]} cannot be asked whether it still refuses anybody. Make it reachable, or delete it", 5.0
        )
    taken_away = found.claim is None and origin.target in o.record.claimed
    if hidden := [r.name for r in replicas(origin) if taken_away and not origin.hosts and r.revision not in {None, found.revision}]:
        return Wait(
            Reason.REMOVING,
            f"pod {hidden[0]} runs an older text of ConfigMap {origin.target}, and no host is known by which it could be asked whether it "
            "refuses anybody. It is waited for until it runs what is published; if the ConfigMap is gone, re-create it, or delete the pod",
            5.0,
        )
    if refusing := [r.name for r in replicas(origin) if taken_away and r.strictest >= Mode.OPTIONAL]:
        return Block(
            Reason.REMOVING,
            f"pod {refusing[0]} still refuses requests and reads no ConfigMap that could tell it otherwise. Re-create ConfigMap {origin.target}, or delete the pod",
        )
    return None


def nothing_of_ours_runs(origin: ObservedOrigin) -> bool:
    """Somebody has taken our text out, and every replica was seen to run what is there instead: nobody is refused by our doing.

    Putting it right first would never end where a tool puts the other text back within seconds.
    """
    found, asked = configured(origin), replicas(origin)
    reset = not found.intact and found.standing is None
    return reset and bool(asked) and all(not r.error and r.settled and r.revision is None and r.strictest < Mode.OPTIONAL for r in asked)


def strangers_pass(origin: ObservedOrigin) -> bool:
    """Every replica was asked about every host and refuses nobody: where pages of somebody's hide which text it runs, that is all to see."""
    asked = [(replica, replica.seen(host)) for replica in replicas(origin) for host in origin.hosts]
    return bool(asked) and all(r.settled and not r.error and b is not None and b.odd and b.mode < Mode.OPTIONAL for r, b in asked)


def given_up(o: Observed) -> bool:
    """Cloudflare has refused our credentials for as long as a removal is patient, counted from when nobody is refused any more."""
    if not isinstance(o.zone, Unknown) or o.zone.reason is None or o.cloudflare_failing_since is None:
        return False
    harmless = [it.applied_at for it in o.origins if it.applied_at and configured(it).claim is not None]
    return o.now - max([o.cloudflare_failing_since, *harmless]) >= timedelta(seconds=o.limits.teardown_patience_s)


def may_hold_ours(o: Observed) -> bool:
    """Cloudflare may hold something that we brought there."""
    return bool(o.record.uploaded) or bool(ours_listed(o))


def cloudflare_is_left_alone(o: Observed) -> bool:
    """Nothing is to be put back at Cloudflare: by wish, because nothing was done there, or because it cannot be."""
    return o.spec.deletion_policy == "Retain" or not may_hold_ours(o) or o.zone is None or given_up(o)


def zone_is_as_found(o: Observed) -> Step | None:
    """The recorded enabled flag; somebody else's certificate that came since keeps it on."""
    if cloudflare_is_left_alone(o):
        return None
    if not isinstance(o.zone, ObservedZone):
        assert isinstance(o.zone, Unknown)  # noqa: S101 - None was answered above; this tells mypy
        answer = unknown(f"zone {o.spec.zone.name} cannot be read", o.zone, Reason.REMOVING)
        return Wait(
            Reason.REMOVING, f"{answer.message}. Nobody is refused any more; Cloudflare gets 10 minutes", 10.0, o.cloudflare_failing_since
        )
    found = o.record.found
    if found is None or found.enabled == o.zone.enabled or (o.zone.enabled and used_by_others(o, o.zone)):
        return None
    return SetEnabled(o.zone.id, enabled=found.enabled, why="as it was found")


def used_by_others(o: Observed, zone: ObservedZone) -> bool:
    """Somebody else's certificate was deployed on the zone since it was found."""
    return any(not c.ours and not was_there_before(o, c) and c.state is CertificateState.ACTIVE for c in zone.certificates)


def our_certificates_are_gone(o: Observed) -> Step | None:
    """And Cloudflare still: an upload whose answer was lost may arrive late."""
    if cloudflare_is_left_alone(o) or not isinstance(o.zone, ObservedZone):
        return None
    for certificate in ours_listed(o):
        if certificate.state in {CertificateState.ACTIVE, CertificateState.FAILED}:
            return Delete(o.zone.id, certificate.id, certificate.pin, "the object is being removed")
        return Wait(Reason.REMOVING, f"certificate {certificate.id} is {certificate.state} at Cloudflare", 1.0)
    return (
        None
        if o.still
        else Wait(Reason.REMOVING, "all our certificates are gone from Cloudflare's list; it is watched a little longer, as it lags", 2.0)
    )


def origins_are_as_found(o: Observed) -> Step | None:
    """Our claim out of every ConfigMap; the last claim takes the block out."""
    return next((Withdraw(origin.name, origin.target) for origin in o.origins if configured(origin).claim is not None), None)


def what_is_left_behind(o: Observed) -> str:
    """What a finished removal leaves at Cloudflare against its wish, in words; empty if nothing."""
    if not given_up(o) or o.spec.deletion_policy == "Retain" or not o.record.uploaded:
        return ""
    leaves = ", ".join(pin.short for pin in o.record.uploaded)
    reason = o.zone.message if isinstance(o.zone, Unknown) else ""
    return f"zone {o.spec.zone.name} keeps certificates with leaf {leaves} and its enabled flag: {reason}"
