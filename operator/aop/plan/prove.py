"""The RULES from asking to refusing, which make an origin stricter.

Asking refuses nobody. A host is required only after a whole window of its own through the edge, all
with the wanted leaf, while all replicas were seen to accept that leaf (promise S1).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from aop.errors import Reason
from aop.observed import (
    CertificateState,
    Evidence,
    Observed,
    ObservedOrigin,
    ObservedZone,
)
from aop.plan.answers import (
    flush,
    flushes_of_the_hour,
    flushes_used_up,
    old_sessions_hold_back,
    publish,
)
from aop.plan.claims import claim_of, until_applied, with_wildcards
from aop.plan.facts import (
    accepted_everywhere,
    believed,
    configured,
    expires_within,
    held_off_until,
    in_scope,
    in_words,
    newest_active,
    oddity,
    our_pins,
    ours_listed,
    proven,
    running_hold_offs,
    wanted_leaf,
)
from aop.steps import Delete, Note, Step, Wait
from aop.terms import Mode, Pin

ARRIVALS_S = 10.0
"""How long a wait for arrivals rests at most; each answer that brings something new ends it."""


def origins_ask(o: Observed) -> Step | None:
    """Every origin asks for a certificate and refuses no visitors."""
    for origin in o.origins:
        claim = configured(origin).claim
        if not origin.wanted or claim is None:
            continue
        if claim.mode is Mode.OFF:
            expired = [
                pin
                for pin in o.record.uploaded
                if expires_within(pin, o.wall, o.limits.asking_margin_s)
            ]
            if expired and origin.capabilities.refuses_expired:
                return _until_never_presented(o, expired[0])
            if (until := held_off_until(o, "")) is not None:
                return _held_off_hosts(o, dict.fromkeys(origin.hosts, until))
            return publish(
                o,
                origin,
                claim_of(o, origin, Mode.REQUEST, (), our_pins(o)),
                "the zone presents the certificate",
            )
        if wait := until_applied(origin):
            return wait
    return None


def _until_never_presented(o: Observed, leaf: Pin) -> Step:
    """What has expired leaves Cloudflare, and then the record, before anybody is asked.

    Nobody is asked now, so nobody can miss it.
    """
    zone, wanted = o.zone, wanted_leaf(o)
    if (
        isinstance(zone, ObservedZone)
        and (newest := newest_active(zone)) is not None
        and newest.pin == wanted
        and leaf != wanted
    ):
        certificate = next((c for c in ours_listed(o) if c.pin == leaf), None)
        if certificate is not None and certificate.state in {
            CertificateState.ACTIVE,
            CertificateState.FAILED,
        }:
            return Delete(
                zone.id, certificate.id, leaf, "it has expired, and a newer leaf has taken over"
            )
        if certificate is None and o.still:
            left = tuple(pin for pin in o.record.uploaded if pin != leaf)
            return Note(
                o.noting(uploaded=left),
                f"leaf {leaf.short}, which has expired, is gone from Cloudflare",
            )
    return Wait(
        Reason.WAITING_FOR_CLOUDFLARE,
        f"Leaf {leaf.short} has expired and Cloudflare may still present it. The origins would refuse it as soon as they ask for a certificate, so the "
        "operator waits until it is gone",
        5.0,
    )


def hosts_are_proven(o: Observed) -> Step | None:
    """At least one host has presented the leaf for a whole window.

    Each host is proven by itself. The rule waits only while none is.
    """
    hosts, wanted = in_scope(o), wanted_leaf(o)
    if wanted is None or any(
        _requirable(o, origin, wanted) for origin in o.origins if origin.wanted
    ):
        return None
    return flush(o, wanted) or waiting_for_proof(o, hosts, wanted.sha256)


def _requirable(o: Observed, origin: ObservedOrigin, wanted: Pin) -> set[str]:
    """The hosts that are proven through the edge.

    All replicas were seen to accept what arrives.
    """
    return {
        host
        for host in origin.hosts
        if proven(o, host)
        and accepted_everywhere(origin, host, wanted)
        and believed(origin, host) is None
    }


def waiting_for_proof(o: Observed, hosts: tuple[str, ...], wanted: str) -> Step:
    """What the proof waits for, host by host, in words."""
    seen = [o.evidence_of(host) for host in hosts]
    arriving = [
        e
        for e in seen
        if e.presented == wanted
        and not e.direct
        and e.silence is None
        and _hidden(o, e.host) is None
    ]
    if arriving:
        best = arriving[0]
        since = min(e.since or o.now for e in arriving)
        return Wait(
            Reason.WAITING_FOR_PROOF,
            f"The operator's requests to {best.host} through the edge present leaf {wanted[:8]}. The host is proven when all of them have done so "
            f"for {o.window.total_seconds():.0f} s{_sessions_go_on(o, wanted)}",
            ARRIVALS_S,
            since=since,
        )
    what = "; ".join(why_unproven(o, evidence) for evidence in seen[:5])
    silent = all(
        _hidden(o, e.host) is None and (e.silence is not None or e.last is None)
        for e in seen
        if not e.direct
    )
    begun = [at for e in seen if (at := e.silent_since if silent else e.since)]
    reason = Reason.EDGE_SILENT if silent else Reason.EDGE_NOT_PROVEN
    return Wait(
        reason,
        f"The edge has not presented leaf {wanted[:8]} for a whole window at any host yet. {what}{_sessions_go_on(o, wanted)}",
        ARRIVALS_S,
        since=min(begun, default=None),
    )


def _sessions_go_on(o: Observed, wanted: str) -> str:
    """What to add if old sessions hold hosts back.

    They have been ended as often as an hour allows.
    """
    held_back = {
        host
        for it in o.origins
        if it.wanted
        for host in it.hosts
        if old_sessions_hold_back(o, it, host, wanted)
    }
    if not held_back or not flushes_used_up(o):
        return ""
    again = min(flushes_of_the_hour(o)) + timedelta(hours=1)
    return (
        f". Cloudflare still uses TLS sessions from before for {', '.join(sorted(held_back)[:5])}. The operator has ended such sessions "
        f"{o.limits.flushes_per_hour} times within the hour, and does so again at {again:%H:%M} UTC, unless they end by themselves before that"
    )


def _hidden(o: Observed, host: str) -> str | None:
    """Why our text cannot be seen at the host on some origin, or is worth nothing there.

    In that case no window of requests proves the host.
    """
    return next(
        (
            why
            for origin in o.origins
            if host in origin.hosts
            and (why := oddity(origin, host) or believed(origin, host)) is not None
        ),
        None,
    )


def why_unproven(o: Observed, evidence: Evidence) -> str:
    """One host's missing proof in words, for the condition."""
    host, outranked = evidence.host, getattr(o.zone, "outranked", ())
    if (odd := _hidden(o, host)) is not None:
        return f"{host}: {odd}"
    if evidence.direct:
        return f"{host} bypasses Cloudflare (is its DNS record DNS-only?)"
    if host in outranked:
        return f"{host} has a per-hostname association that outranks the zone's certificate"
    if evidence.silence is not None:
        return f"{host} gives no usable answer ({evidence.silence})"
    if evidence.presented is None:
        return f"the operator has not asked {host} yet"
    return f"requests to {host} present {in_words(evidence.presented)}"


def origins_require(o: Observed) -> Step | None:
    """Every origin requires the leaf at each proven host, as far as the spec asks.

    Whatever is required already stays so.
    """
    goal, wanted = o.spec.enforcement_mode, wanted_leaf(o)
    if goal < Mode.OPTIONAL or wanted is None:
        return None
    steps = [
        step
        for origin in o.origins
        if origin.wanted and (step := _requires(o, origin, goal, wanted))
    ]
    # What one origin waits for (a hold-off may last a day) delays no other.
    step = next((step for step in steps if not isinstance(step, Wait)), next(iter(steps), None))
    # Old sessions may hold back a host beside those that are required, and nothing else would ever
    # end them.
    return step or flush(o, wanted)


def _requires(o: Observed, origin: ObservedOrigin, goal: Mode, wanted: Pin) -> Step | None:
    """What there is to do, or to wait for, before one origin requires what is proven."""
    claim = configured(origin).claim
    if claim is None:
        return None
    fit, required = _requirable(o, origin, wanted), set(claim.required)
    held_off = {
        host: until for host in fit | required if (until := held_off_until(o, host)) is not None
    }
    # From Optional to Require is stricter even for hosts that are enforced already: they too need a
    # fresh proof, and no hold-off.
    kept_back = {
        host: until for host, until in held_off.items() if host in required and claim.mode < goal
    }
    mode = claim.mode if kept_back else goal
    if claim.mode < mode and not required <= fit:
        return waiting_for_proof(o, claim.required, wanted.sha256)
    hosts = required | (fit - held_off.keys())
    if not hosts:
        return _held_off_hosts(o, held_off) if held_off else None
    stricter = claim_of(o, origin, mode, with_wildcards(origin, hosts))
    if (claim.mode, claim.enforced, claim.excepted) == (mode, stricter.enforced, stricter.excepted):
        return _held_off_hosts(o, kept_back) if kept_back else None
    if nearly := _nearly_proven(o, origin, hosts, wanted.sha256):
        return Wait(
            Reason.WAITING_FOR_PROOF,
            f"The operator waits a few seconds until {', '.join(nearly)} is proven too, so that one write can require all hosts",
            1.0,
        )
    return publish(o, origin, stricter, f"{len(hosts)} of {len(origin.hosts)} hosts are proven")


def _held_off_hosts(o: Observed, held_off: Mapping[str, datetime]) -> Wait:
    """Hosts that were relaxed a short time ago are not required again yet."""
    until, hosts = min(held_off.values()), sorted(held_off)
    times, since = max(
        (one.times, one.since) for one in running_hold_offs(o) if one.host in {"", *hosts}
    )
    return Wait(
        Reason.HOLD_OFF,
        f"The operator has relaxed {', '.join(hosts[:5])} {times} time{'s' if times > 1 else ''}, last at {since:%H:%M:%S} UTC, because requests were refused. "
        f"It tries nothing stricter before {until:%H:%M:%S} UTC",
        min((until - o.wall).total_seconds(), 10.0),
        since=o.steady(since),
    )


def _nearly_proven(
    o: Observed, origin: ObservedOrigin, enforced: set[str], wanted: str
) -> list[str]:
    """The hosts whose proof will be complete within a few seconds.

    A write costs every replica a reload, so they share one.
    """
    soon = timedelta(seconds=5.0)
    return [
        host
        for host in origin.hosts
        if host not in enforced
        and (e := o.evidence_of(host)).presented == wanted
        and not e.direct
        and e.since
        and e.last
        and o.now - e.last < soon
        and o.window - soon <= e.covered < o.window + soon
        and held_off_until(o, host) is None
        and oddity(origin, host) is None
        and believed(origin, host) is None
    ]


def strangers_are_refused(o: Observed) -> Step | None:
    """Every replica serves the leaf and refuses everybody else.

    `origins_answer` has already asked the same of the published text, so this never waits for
    anything. It states what is true here.
    """
    return next(
        (wait for origin in o.origins if origin.wanted and (wait := until_applied(origin))), None
    )
