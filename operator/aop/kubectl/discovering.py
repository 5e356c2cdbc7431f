"""`kubectl aop preflight`: what stands in the way, what would break, and what stays as it is. Pure.

The operator's own rules say what keeps it from beginning: they are asked one after the other, each
time as if what was found before were corrected. The rest is what no rule needs, but a person does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from aop.cloudflare.traffic import DnsRecord
from aop.errors import Reason
from aop.kubectl.findings import Beside, Finding, Weight, enumerated
from aop.observed import Observed, ObservedZone
from aop.plan.facts import in_scope
from aop.plan.qualify import (
    origins_are_eligible,
    spec_is_acceptable,
    zone_is_eligible,
    zone_is_ours,
)
from aop.reasons import NO_ACTION
from aop.steps import Block, Step, Wait
from aop.terms.ssl_modes import PRESENTING_SSL_MODES


def discovered(o: Observed, beside: Beside) -> tuple[Finding, ...]:
    """All findings, the most serious first."""
    order = list(Weight)
    every = [
        *_blocks(o),
        *_left_out(o),
        *_of_hosts(o, beside),
        *_of_rules(beside),
        *_of_alerts(beside),
        *_of_origins(o, beside),
    ]
    return tuple(sorted(dict.fromkeys(every), key=lambda one: order.index(one.weight)))


def not_known(o: Observed) -> tuple[str, ...]:
    """What the rules would wait for, because it could not be looked up, in whole sentences."""
    waits = [step for step in _asked(o) if not _stops(step)]
    return tuple(
        dict.fromkeys(f"{one.message.rstrip('.')}." for one in waits if isinstance(one, Wait))
    )


# --- what keeps the operator from beginning -------------------------------------------------------


def _blocks(o: Observed) -> Iterator[Finding]:
    for step in _asked(o):
        if isinstance(step, Block | Wait) and _stops(step):
            remedy = step.reason.remedy if step.reason.remedy != NO_ACTION else ""
            yield Finding(
                Weight.STOPS,
                step.message.rstrip("."),
                "The operator changes nothing until somebody corrects that",
                remedy,
                step.reason,
            )


def _stops(step: Step) -> bool:
    """Whether somebody has to end it; otherwise the rules would look at it again."""
    somebodys = isinstance(step, Wait) and step.reason.remedy != NO_ACTION
    return isinstance(step, Block) or somebodys


def _asked(o: Observed) -> Iterator[Step]:
    """What each rule says that has to be content before anything is changed."""
    for rule in (spec_is_acceptable, zone_is_ours):
        if step := rule(o):
            yield step
    yield from _zone(o)
    wanted = [origin for origin in o.origins if origin.wanted]
    alone = [origins_are_eligible(replace(o, origins=(origin,))) for origin in wanted]
    of_one = [step for step in alone if step is not None and not _is_about_hosts(step)]
    yield from of_one
    if not of_one and (step := origins_are_eligible(o)):
        yield step


def _is_about_hosts(step: Step) -> bool:
    """Whether it is about hosts: several origins together have them, so none alone has to."""
    return isinstance(step, Block) and step.reason in {Reason.NO_HOSTS, Reason.HOSTNAME_TOO_LONG}


def _zone(o: Observed) -> Iterator[Step]:
    """What the rules say about the zone, each time as if what was said before were corrected."""
    while step := zone_is_eligible(o):
        yield step
        if not isinstance(o.zone, ObservedZone) or not isinstance(step, Block):
            return
        mended = _mended(o.zone, step.reason)
        if mended == o.zone:
            return
        o = replace(o, zone=mended)


def _mended(zone: ObservedZone, reason: Reason) -> ObservedZone:
    match reason:
        case Reason.ZONE_NOT_ACTIVE:
            return replace(zone, active=True)
        case Reason.SSL_MODE_TOO_LOW:
            return replace(zone, ssl_mode="full")
        case Reason.HOSTS_SUPPRESSED:
            return replace(zone, outranked=())
    return zone


# --- hosts ----------------------------------------------------------------------------------------


def _left_out(o: Observed) -> Iterator[Finding]:
    for origin in o.origins:
        for one in origin.left_out if origin.wanted else ():
            what, _, remedy = one.why.partition(". ")
            yield Finding(
                Weight.LIMITS,
                f"Origin {origin.name} cannot take {one.host}: {what}",
                "The host is left out, and stays open to whoever bypasses the edge",
                remedy or "Take the host out of spec.hostnames",
            )
    outranked = (
        sorted({*o.zone.outranked} & {*in_scope(o)}) if isinstance(o.zone, ObservedZone) else []
    )
    if outranked and len(outranked) < len(in_scope(o)):
        yield Finding(
            Weight.LIMITS,
            f"At Cloudflare, {enumerated(outranked)} {_have(outranked)} a per-hostname association, which outranks the zone's certificate",
            "The edge presents something else there, so the operator never requires the certificate",
            "Remove the associations",
        )


def _of_hosts(o: Observed, beside: Beside) -> Iterator[Finding]:
    hosts = in_scope(o)
    answering = {host: _records_of(host, beside.records or ()) for host in hosts}
    tunnelled = [h for h, records in answering.items() if any(one.is_tunnel for one in records)]
    grey = [
        h
        for h, records in answering.items()
        if (records and not any(one.proxied for one in records)) or h in beside.direct
    ]
    if tunnelled:
        yield Finding(
            Weight.LIMITS,
            f"Requests for {enumerated(tunnelled)} go through a Cloudflare Tunnel",
            "Authenticated Origin Pulls have no effect there, so the operator never requires the certificate",
            "Take these hosts out of spec.hostnames, or publish them without the tunnel",
        )
    if grey:
        yield Finding(
            Weight.LIMITS,
            f"The DNS {_records(grey)} of {enumerated(grey)} {_are(grey)} not proxied (DNS-only)",
            "Visitors bypass the edge and have no certificate. The operator leaves these hosts at Request",
            "Proxy the records, or take the hosts out of spec.hostnames",
        )
    unanswered = {host: why for host, why in beside.silent.items() if host in hosts}
    if unanswered:
        first, why = next(iter(sorted(unanswered.items())))
        yield Finding(
            Weight.LIMITS,
            f"Through the edge, nothing comes back for {enumerated(sorted(unanswered))} ({first}: {why})",
            "While that lasts nothing can be proven for these hosts, so the operator requires nothing new there",
            "Let each host answer through the edge, or take it out of spec.hostnames",
        )


def _records_of(host: str, records: Sequence[DnsRecord]) -> list[DnsRecord]:
    """The records of a host: one of exactly that name hides the wildcards."""
    every = [one for one in records if one.answers(host)]
    return [one for one in every if one.name.casefold() == host] or every


# --- rules and monitors at Cloudflare -------------------------------------------------------------


def _of_rules(beside: Beside) -> Iterator[Finding]:
    for rule in beside.configuration_rules:
        if rule.ssl_mode is not None and rule.ssl_mode not in PRESENTING_SSL_MODES:
            yield Finding(
                Weight.BREAKS,
                f"A Configuration Rule sets the SSL/TLS mode to {rule.ssl_mode!r} for requests that match {rule.expression}",
                "For these requests the edge speaks plaintext to the origin and presents no certificate. Once their host is required, the origin redirects them in a loop",
                "Let the rule set Full or Full (strict)",
            )
    for rule in beside.origin_rules:
        if rule.names is not None:
            yield Finding(
                Weight.BREAKS,
                f"An Origin Rule sets {rule.names} for requests that match {rule.expression}",
                "As soon as an origin asks for certificates, nginx answers 421 where SNI and Host name different servers. If the edge meets that on a host in "
                "scope, the operator stops asking for certificates there",
                "Let the rule set both to the same name, or neither",
            )
        if rule.elsewhere is not None:
            yield Finding(
                Weight.NOTE,
                f"An Origin Rule sends requests that match {rule.expression} elsewhere ({rule.elsewhere})",
                "The operator does not look at that origin. It gets the certificate too, and may ignore it",
                "List that origin in spec.origins if it is one of yours in this cluster",
            )
    for balancer, pool in beside.blind_monitors:
        yield Finding(
            Weight.BREAKS,
            f"The monitor of pool {pool.name or pool.id} of load balancer {balancer.name} probes without the zone's certificate",
            "Once the origin requires it, the probes fail, and Cloudflare takes the pool out of service",
            "Set Simulate Zone (probe_zone) of the monitor to the zone",
        )


def _of_alerts(beside: Beside) -> Iterator[Finding]:
    for what, remedy in beside.unwarned:
        yield Finding(
            Weight.NOTE,
            what,
            "Cloudflare does not warn them before the certificate expires. Nothing else is held up by that",
            remedy,
        )


# --- origins --------------------------------------------------------------------------------------


def _of_origins(o: Observed, beside: Beside) -> Iterator[Finding]:
    for remark in beside.remarks:
        yield Finding(Weight.NOTE, remark.what, remark.consequence, remark.remedy)
    for origin in o.origins:
        if origin.wanted and origin.open:
            yield Finding(
                Weight.NOTE,
                f"Origin {origin.name}: {enumerated(origin.open, '; ')}",
                "These ways stay open when the hosts are required",
                "Bring them into scope, or close them by other means",
            )
    unreached = beside.unreached
    if unreached:
        yield Finding(
            Weight.NOTE,
            f"From here, {len(unreached)} {'replica' if len(unreached) == 1 else 'replicas'} cannot be reached: {enumerated(unreached)}",
            "The operator has to reach each one, on the ports for http and https; it requires nothing before it has asked all of them",
            "Run this command where the operator runs, or check that no NetworkPolicy keeps the operator's pod from the replicas",
        )


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _records(names: Sequence[str]) -> str:
    return "record" if len(names) == 1 else "records"
