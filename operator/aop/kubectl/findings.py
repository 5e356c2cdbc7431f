"""`kubectl aop preflight`: what stands in the way, what would break, and what stays as it is. Pure.

What keeps the operator from beginning is asked of its own rules, one after the other, each time as
if what was found before were mended. The rest is what no rule needs, and a person does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from aop.cloudflare.traffic import DnsRecord, LoadBalancer, Pool, TrafficRule
from aop.errors import Reason
from aop.kubectl.wording import Colour, Paint, moment, paragraph
from aop.observed import Observed, ObservedZone, Unknown
from aop.origins.sites import Remark
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

MOST_NAMED = 8
"""Hosts that one finding names."""
WRITES = (
    "Whether the token may also change certificates shows at the first upload: no read tells. It "
    "needs SSL and Certificates Write (Zone > SSL and Certificates > Edit)."
)


class Weight(StrEnum):
    """What comes of a finding if nobody does anything."""

    STOPS = "STOPS"
    """The operator begins nothing, or goes no further."""
    BREAKS = "BREAKS"
    """Something that works today fails once hosts are required."""
    LIMITS = "LIMITS"
    """Some hosts, or some requests, stay open."""
    NOTE = "NOTE"
    """Good to know."""


COLOURS = {Weight.STOPS: Colour.BAD, Weight.BREAKS: Colour.BAD, Weight.LIMITS: Colour.WAITS}
TOGETHER = {
    Weight.STOPS: "stop the operator",
    Weight.BREAKS: "would break something",
    Weight.LIMITS: "leave something open",
    Weight.NOTE: "are good to know",
}
"""What several findings of a weight do; of one, without the verb's plural, see `_summary`."""
ALONE = {
    Weight.STOPS: "stops the operator",
    Weight.BREAKS: "would break something",
    Weight.LIMITS: "leaves something open",
    Weight.NOTE: "is good to know",
}
HARMFUL = frozenset({Weight.STOPS, Weight.BREAKS})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, what comes of it, and what helps; sentences without their full stop."""

    weight: Weight
    what: str
    consequence: str
    remedy: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What is set beside the zone and the origins; what could not be looked at is empty."""

    records: tuple[DnsRecord, ...] | None = None
    """None: they could not be read."""
    origin_rules: tuple[TrafficRule, ...] = ()
    configuration_rules: tuple[TrafficRule, ...] = ()
    blind_monitors: tuple[tuple[LoadBalancer, Pool], ...] = ()
    unwarned: tuple[tuple[str, str], ...] = ()
    """Why Cloudflare would not warn whom `spec.alerts` names, and what helps."""
    remarks: tuple[Remark, ...] = ()
    """Of the origins."""
    direct: frozenset[str] = frozenset()
    """Hosts that answer, and not from Cloudflare's edge."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """Hosts that do not answer, and why."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at, and why, as whole sentences."""


def discovered(o: Observed, beside: Beside) -> tuple[Finding, ...]:
    """Everything, the weightiest first."""
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


def is_harmful(findings: Sequence[Finding]) -> bool:
    """Whether somebody has to act before hosts are required."""
    return any(one.weight in HARMFUL for one in findings)


def not_known(o: Observed) -> tuple[str, ...]:
    """What the rules would wait for, because it could not be looked at; whole sentences."""
    waits = [step for step in _asked(o) if isinstance(step, Wait)]
    return tuple(dict.fromkeys(f"{one.message.rstrip('.')}." for one in waits))


# --- what keeps the operator from beginning -------------------------------------------------------


def _blocks(o: Observed) -> Iterator[Finding]:
    for step in _asked(o):
        if isinstance(step, Block):
            remedy = step.reason.remedy if step.reason.remedy != NO_ACTION else ""
            yield Finding(
                Weight.STOPS,
                step.message.rstrip("."),
                "The operator changes nothing until that is mended",
                remedy,
                step.reason,
            )


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
    """Several origins have hosts together, so that none alone has to have any."""
    return isinstance(step, Block) and step.reason in {Reason.NO_HOSTS, Reason.HOSTNAME_TOO_LONG}


def _zone(o: Observed) -> Iterator[Step]:
    """Each time as if what was said before were mended."""
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
                "The host is left out, and stays open to whoever comes past the edge",
                remedy or "Take the host out of spec.hostnames",
            )
    outranked = (
        sorted({*o.zone.outranked} & {*in_scope(o)}) if isinstance(o.zone, ObservedZone) else []
    )
    if outranked and len(outranked) < len(in_scope(o)):
        yield Finding(
            Weight.LIMITS,
            f"At Cloudflare, {_names(outranked)} {_have(outranked)} a per-hostname association, which outranks the zone's certificate",
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
            f"Requests for {_names(tunnelled)} go through a Cloudflare Tunnel",
            "Authenticated Origin Pulls have no effect there, so the operator never requires the certificate",
            "Take these hosts out of spec.hostnames, or publish them without the tunnel",
        )
    if grey:
        yield Finding(
            Weight.LIMITS,
            f"The DNS {_records(grey)} of {_names(grey)} {_are(grey)} not proxied (DNS-only)",
            "Visitors come past the edge and have no certificate. The operator leaves these hosts at Request",
            "Proxy the records, or take the hosts out of spec.hostnames",
        )
    unanswered = {host: why for host, why in beside.silent.items() if host in hosts}
    if unanswered:
        first, why = next(iter(sorted(unanswered.items())))
        yield Finding(
            Weight.LIMITS,
            f"Through the edge, nothing comes back for {_names(sorted(unanswered))} ({first}: {why})",
            "Nothing can be proven for these hosts, so the operator never requires the certificate",
            "Let each host answer through the edge, or take it out of spec.hostnames",
        )


def _records_of(host: str, records: Sequence[DnsRecord]) -> list[DnsRecord]:
    """A record of the very name hides the wildcards."""
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
        for sentence in origin.open if origin.wanted else ():
            yield Finding(
                Weight.NOTE,
                f"Origin {origin.name}: {sentence}",
                "These ways stay open when the hosts are required",
                "Bring them into scope, or close them by other means",
            )
    unreached = sorted(
        f"{replica.name} ({replica.error})"
        for origin in o.origins
        if origin.wanted and not isinstance(origin.replicas, Unknown)
        for replica in origin.replicas
        if replica.error
    )
    if unreached:
        yield Finding(
            Weight.NOTE,
            f"From here, {len(unreached)} {'replica' if len(unreached) == 1 else 'replicas'} cannot be reached: {_names(unreached)}",
            "The operator has to reach each one, on the ports for http and https; it requires nothing before it has asked all of them",
            "Run this command where the operator runs, or check that no NetworkPolicy keeps the operator's pod from the replicas",
        )


# --- as a person and as a program read it ---------------------------------------------------------


def lines(
    o: Observed, findings: Sequence[Finding], unseen: Sequence[str], paint: Paint
) -> list[str]:
    """For a terminal."""
    head = paint(f"{o.object.key}", Colour.STRONG) + f", as seen from here at {moment(o.wall)}"
    return [
        head,
        *(line for one in findings for line in ["", *_finding(one, paint)]),
        *(["", paint("Not seen from here:", Colour.STRONG)] if unseen else []),
        *(line for one in unseen for line in paragraph(one, "  - ", "    ")),
        "",
        *paragraph(_summary(o, findings)),
    ]


def _finding(one: Finding, paint: Paint) -> list[str]:
    indent = " " * 8
    first, *more = paragraph(f"{one.what}.", f"{one.weight:<8}", indent)
    colour = COLOURS.get(one.weight)
    if colour is not None:
        first = first.replace(one.weight, paint(one.weight, colour), 1)
    advised = one.remedy and not one.reason  # what the rules say ends with what helps
    reason = f" ({one.reason}: kubectl aop explain {one.reason})" if one.reason else ""
    return [
        first,
        *more,
        *paragraph(f"{one.consequence}{reason}.", f"{indent}so: ", f"{indent}    "),
        *(paragraph(f"{one.remedy}.", f"{indent}do: ", f"{indent}    ") if advised else []),
    ]


def _summary(o: Observed, findings: Sequence[Finding]) -> str:
    counts = {weight: sum(one.weight is weight for one in findings) for weight in Weight}
    counted = [
        f"{count} {(ALONE if count == 1 else TOGETHER)[weight]}"
        for weight, count in counts.items()
        if count
    ]
    hosts = in_scope(o)
    scope = f"In scope: {_names(hosts)}." if hosts else "No host is in scope."
    if not counted:
        return f"{scope} Nothing stands in the way."
    return f"{scope} Of what was found, {', '.join(counted)}."


def data(o: Observed, findings: Sequence[Finding], unseen: Sequence[str]) -> dict[str, Any]:
    """For programs."""
    return {
        "namespace": o.object.key.namespace,
        "name": o.object.key.name,
        "hosts": list(in_scope(o)),
        "findings": [
            {
                "weight": str(one.weight),
                "what": f"{one.what}.",
                "consequence": f"{one.consequence}.",
                "remedy": f"{one.remedy}." if one.remedy else None,
                "reason": one.reason,
            }
            for one in findings
        ],
        "unseen": list(unseen),
    }


def _names(names: Sequence[str]) -> str:
    shown, left = names[:MOST_NAMED], len(names) - MOST_NAMED
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _records(names: Sequence[str]) -> str:
    return "record" if len(names) == 1 else "records"
