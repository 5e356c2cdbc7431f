"""What the status shows beside its conditions: zone, certificate, origins, hosts, proof."""

from __future__ import annotations

from datetime import datetime, timedelta

from aop.api import (
    AlertsStatus,
    CertificateStatus,
    HostsStatus,
    OriginStatus,
    ProofStatus,
    Status,
    ZoneStatus,
)
from aop.observed import (
    Observed,
    ObservedAlerts,
    ObservedKeyPair,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Unknown,
)
from aop.plan.claims import runs_our_claim, until_applied
from aop.plan.facts import (
    certificate_with,
    configured,
    in_scope,
    presented_by_us,
    replicas,
    verified,
    wanted_leaf,
)
from aop.plan.qualify import claimant
from aop.plan.remove import nobody_is_refused
from aop.status.ready import left_out_hosts
from aop.terms import Mode


def removing_since(o: Observed, previous: Status) -> datetime | None:
    """Since when a removal refuses nobody.

    It is written anew if the wall clock was set meanwhile; otherwise it would count time that
    nobody has waited.
    """
    if o.removing_since is None:
        return previous.removing_since or (
            o.wall.replace(microsecond=0) if nobody_is_refused(o) else None
        )
    shown, before = o.shown(o.removing_since).replace(microsecond=0), previous.removing_since
    return before if before is not None and abs(shown - before) <= timedelta(seconds=2) else shown


def alerts_status(o: Observed, previous: Status) -> AlertsStatus | None:
    """What was done about `spec.alerts`, or the last status of it while it cannot be looked at."""
    return o.alerts.status if isinstance(o.alerts, ObservedAlerts) else previous.alerts


def zone_status(o: Observed, previous: Status) -> ZoneStatus | None:
    """The zone as Cloudflare last showed it.

    None if another object has it, because this field shows whose it is.
    """
    if claimant(o) is not None:
        return None
    if not isinstance(o.zone, ObservedZone) or isinstance(o.rivals, Unknown):
        return previous.zone
    return ZoneStatus(id=o.zone.id, account_id=o.zone.account_id, ssl_mode=o.zone.ssl_mode)


def certificate_status(o: Observed, previous: Status) -> CertificateStatus | None:
    """The certificate that the zone presents; if that is none of ours, the one to come.

    So a renewal that is stuck shows only in the certificate that is presented. While Cloudflare
    cannot be read, what it last showed stands.
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

    None also if another object has the zone: then that object decides what they do.
    """
    if claimant(o) is not None:
        return None
    modes = [mode_of(origin) for origin in o.origins if origin.wanted]
    if None in modes:
        return None
    return min((mode for mode in modes if mode is not None), default=Mode.OFF)


def mode_of(origin: ObservedOrigin) -> Mode | None:
    """How far an origin goes.

    It is the least strict mode of any replica towards the hosts with which it is strictest; None
    while no replica shows one.
    """
    return min((r.strictest for r in telling(origin)), default=None)


def telling(origin: ObservedOrigin) -> tuple[ObservedReplica, ...]:
    """The replicas that show what they do.

    None of them if somebody has changed our text: what was seen of them before is no protection
    now.
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

    After a restart the operator looks anew, but for readers no proof begins anew: the last status
    stands while the same hosts are proven.
    """
    runs = [e for host in in_scope(o) if verified(o, host) and (e := o.evidence_of(host)).since]
    if not runs:
        return None
    if previous.proof is not None and previous.hosts == hosts_status(o):
        return previous.proof
    since = o.shown(max(e.since for e in runs if e.since))
    return ProofStatus(since=since.replace(microsecond=0))
