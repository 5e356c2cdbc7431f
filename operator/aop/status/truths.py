"""The conditions beside `Ready`, each of which says one thing."""

from __future__ import annotations

from aop.api import (
    ConditionType,
    Status,
)
from aop.errors import Reason
from aop.observed import (
    CertificateState,
    Observed,
    ObservedAlerts,
    ObservedZone,
    Unknown,
)
from aop.plan.claims import until_applied
from aop.plan.facts import (
    certificate_with,
    configured,
    in_scope,
    leaf_of_record,
    presented_by_us,
    running_hold_offs,
    verified,
    wanted_leaf,
)
from aop.plan.prove import why_unproven
from aop.status.assessment import Assessment, Truth
from aop.status.ready import MOST_NAMED, all_of, sentence_of, unprotected
from aop.terms import Mode


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
    """Cloudflare has the wanted leaf and says that it is active."""
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
    """What to say about Cloudflare if it could not be looked at."""
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
    """What must come first, before any request can arrive with the certificate.

    None once Cloudflare presents it and an origin asks for it: from then on, other arrivals are a
    fault.
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
    if why := unprotected(o):
        return Assessment(
            "False",
            Reason.FOREIGN_CONFIGURATION,
            f"Whoever knows the leaf, which is no secret, passes for the edge: {'; '.join(why[:MOST_NAMED])}.",
        )
    hosts = sorted(
        {h for origin in o.origins if (claim := configured(origin).claim) for h in claim.enforced}
    )
    return Assessment(
        "True",
        Reason.AS_EXPECTED,
        f"Every replica is in mode {goal.label}{' for ' + ', '.join(hosts[:5]) if hosts else ''}.",
    )


def alerts_configured(o: Observed, previous: Status) -> Assessment | None:
    """Cloudflare warns all whom the spec names; None if it names nobody and nothing is left of it.

    The last status stands for the first look after a restart, as long as the spec is as it was.
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
