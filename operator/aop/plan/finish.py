"""The last RULES: what is no longer needed goes, in an order in which nobody can miss it.

`retired_certificates_are_gone` is the only rule that shrinks trust: Cloudflare first, then (once it
is still) the record, then trust.
"""

from __future__ import annotations

from aop.errors import Reason
from aop.observed import CertificateState, Observed, ObservedKeyPair, ObservedZone
from aop.plan.answers import publish
from aop.plan.claims import claim_of, to_be_proven, until_applied
from aop.plan.facts import configured, our_pins, ours_listed, proven, wanted_leaf, working_on
from aop.plan.prove import waiting_for_proof
from aop.steps import Delete, Note, Promote, Step, Wait, Withdraw
from aop.terms import Mode, Pin


def retired_certificates_are_gone(o: Observed) -> Step | None:
    """The next leaf is in use, and the old one is gone.

    First the next leaf becomes the one in use. Then its predecessor leaves Cloudflare, then the
    record, and last the origins' trust.
    """
    wanted = wanted_leaf(o)
    if (
        wanted is None
        or not isinstance(o.key_pair, ObservedKeyPair)
        or not isinstance(o.zone, ObservedZone)
    ):
        return None
    retired = [pin for pin in our_pins(o) if pin != wanted]
    trusted = {
        pin
        for origin in o.origins
        if origin.wanted and (claim := configured(origin).claim)
        for pin in claim.pins
    }
    if not retired and trusted <= {wanted}:
        return None
    required = to_be_proven(o)
    if not all(proven(o, host) for host in required):
        return waiting_for_proof(o, required, wanted.sha256)
    if o.key_pair.next is not None:
        return Promote(o.key_pair.next)
    return _others_leave_cloudflare(o, o.zone, wanted) or _trust_is_shrunk(o, wanted)


def _others_leave_cloudflare(o: Observed, zone: ObservedZone, wanted: Pin) -> Step | None:
    """Of our leaves, Cloudflare and the record have only the wanted one."""
    for certificate in ours_listed(o):
        if certificate.pin != wanted:
            if certificate.state in {CertificateState.ACTIVE, CertificateState.FAILED}:
                return Delete(
                    zone.id,
                    certificate.id,
                    certificate.pin,
                    f"leaf {wanted.short} has taken over everywhere",
                )
            return Wait(
                Reason.WAITING_FOR_CLOUDFLARE,
                f"Cloudflare is still {working_on(certificate)} certificate {certificate.id}",
                2.0,
                o.steady(certificate.uploaded_at),
            )
    if o.record.uploaded != (wanted,):
        if not o.still:
            return Wait(
                Reason.WAITING_FOR_CLOUDFLARE,
                "Cloudflare may still present or list a deleted certificate for a while, and the operator waits for that to end",
                5.0,
            )
        return Note(o.noting(uploaded=(wanted,)), f"only leaf {wanted.short} is left at Cloudflare")
    return None


def _trust_is_shrunk(o: Observed, wanted: Pin) -> Step | None:
    """Every origin trusts only the wanted leaf."""
    for origin in o.origins:
        claim = configured(origin).claim
        if not origin.wanted or claim is None:
            continue
        if set(claim.pins) > {wanted}:
            return publish(
                o,
                origin,
                claim_of(o, origin, claim.mode, claim.enforced, (wanted,)),
                "the retired leaves are gone from Cloudflare",
            )
        if wait := until_applied(origin):
            return wait
    return None


def dropped_origins_are_as_found(o: Observed) -> Step | None:
    """Origins that have left the spec have none of the operator's configuration.

    Before that they were seen to refuse nobody, which PROTECT has brought about.
    """
    for origin in o.origins:
        if origin.wanted:
            continue
        claim = configured(origin).claim
        if claim is not None:
            if claim.mode is Mode.OFF and origin.readers and (wait := until_applied(origin)):
                return wait
            return Withdraw(origin.name, origin.target)
        if origin.target in o.record.claimed:
            return Note(
                o.noting(claimed=tuple(k for k in o.record.claimed if k != origin.target)),
                f"{origin.words.place} is as the operator found it",
            )
    return None
