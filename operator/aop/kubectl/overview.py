"""`kubectl aop status` as lines: a table of many objects, or all of one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aop.api import OriginStatus
from aop.errors import plain
from aop.kubectl.summary import Summary, remedy_of
from aop.kubectl.wording import Colour, Paint, age, day, labelled, moment, paragraph, table

STATES = {"ready": Colour.GOOD, "waits": Colour.WAITS, "removing": Colour.WAITS}
STATES |= {"blocked": Colour.BAD, "unseen": Colour.BAD}
HEAD = ("NAME", "ZONE", "STATE", "MODE", "HOSTS", "REPLICAS", "EXPIRES", "REASON")
LEAF_DIGITS = 8
"""How many digits of a fingerprint are shown, as in all messages of the operator."""


# --- many -----------------------------------------------------------------------------------------


def listing(summaries: Sequence[Summary], paint: Paint, *, namespaces: bool) -> list[str]:
    """A table, and below it what each object that is not ready waits for."""
    rows = [(*((it.namespace,) if namespaces else ()), *_row(it)) for it in summaries]
    head = (*(("NAMESPACE",) if namespaces else ()), *HEAD)
    lines = table(head, rows, paint, ((head.index("STATE"), STATES),))
    for it in summaries:
        if it.state != "ready":
            name = f"{it.namespace}/{it.name}" if namespaces else it.name
            lines += ["", *paragraph(f"{name}: {it.message}", hanging="  ")]
            lines += labelled("to do", it.remedy, 7)
    return lines


def _row(it: Summary) -> tuple[str, ...]:
    hosts, certificate = it.status.hosts, it.status.certificate
    origins = it.status.origins
    replicas = f"{sum(o.applied for o in origins)}/{sum(o.replicas for o in origins)}"
    expiry = certificate.not_after if certificate else None
    return (
        it.name,
        it.zone,
        it.state,
        it.status.enforcement or "-",
        f"{hosts.proven}/{hosts.total}" if hosts else "-",
        replicas if origins else "-",
        f"{expiry:%Y-%m-%d}" if expiry else "-",
        it.ready.reason if it.ready and it.state != "ready" and not it.abandoned else "",
    )


# --- one ------------------------------------------------------------------------------------------


def details(it: Summary, now: datetime, paint: Paint) -> list[str]:
    """Everything for which a person looks first in one object."""
    title = paint(f"{it.namespace}/{it.name}", Colour.STRONG)
    has_reason = it.state not in {"ready", "unseen"} and not it.abandoned
    reason = f" ({it.ready.reason})" if it.ready and has_reason else ""
    lines = [f"{title} {paint(it.state, STATES[it.state])}{reason}"]
    lines += labelled("zone", _zone(it))
    lines += labelled("enforcement", _enforcement(it))
    lines += labelled("hosts", _hosts(it))
    lines += labelled("certificate", _certificate(it, now))
    certificate = it.status.certificate
    if certificate and certificate.renewal_time:
        lines += labelled("renewal", day(certificate.renewal_time, now))
    for origin in it.status.origins:
        lines += labelled("origin", _origin(it, origin))
    lines += ["", *paragraph(it.message, "  ")]
    if it.outdated:
        lines += paragraph(
            "The operator has not acted on the latest change of the spec yet. What is shown above is from before it.",
            "  ",
        )
    if it.ready is not None:
        since = it.ready.last_transition_time
        label = "ready" if it.ready.status == "True" else "not ready"
        lines += labelled(label, f"since {moment(since)} ({age(now - since)} ago)")
    lines += labelled("to do", it.remedy)
    return lines + _other_conditions(it, paint)


def _zone(it: Summary) -> str:
    zone = it.status.zone
    mode = f", SSL mode {plain(zone.ssl_mode)}" if zone and zone.ssl_mode else ""
    return f"{it.zone}{mode}"


def _enforcement(it: Summary) -> str:
    seen = it.status.enforcement
    if seen is None:
        return f"unknown at present; the spec asks for {it.goal}"
    return (
        f"{seen}, as the spec asks" if seen == it.goal else f"{seen}; the spec asks for {it.goal}"
    )


def _hosts(it: Summary) -> str:
    hosts, proof = it.status.hosts, it.status.proof
    if hosts is None:
        return "none looked at yet"
    since = f" since {moment(proof.since)}" if proof and proof.since else ""
    unproven = f"; not {', '.join(map(plain, hosts.unproven))}" if hosts.unproven else ""
    return f"{hosts.proven} of {hosts.total} proven{since}{unproven}"


def _certificate(it: Summary, now: datetime) -> str:
    certificate = it.status.certificate
    if certificate is None:
        return "none yet"
    parts = [plain(certificate.status or "not known to be at Cloudflare")]
    if certificate.fingerprint:
        parts.append(f"leaf {plain(certificate.fingerprint)[:LEAF_DIGITS]}")
    if certificate.not_after:
        verb = "expired" if certificate.not_after <= now else "expires"
        parts.append(f"{verb} {day(certificate.not_after, now)}")
    return ", ".join(parts)


def _origin(it: Summary, origin: OriginStatus) -> str:
    carrier = f" ({it.carriers[origin.name]})" if origin.name in it.carriers else ""
    mode = origin.mode or "mode unknown"
    return f"{plain(origin.name)}: {mode}, applied on {origin.applied} of {origin.replicas} replicas{carrier}"


def _other_conditions(it: Summary, paint: Paint) -> list[str]:
    """The other conditions that are not as they should be, and what helps."""
    lines = ["", "  Not True yet:"] if it.others else []
    for one in it.others:
        head = paint(one.type, Colour.FAINT)
        first, *rest = paragraph(
            f"{one.type} ({one.reason}): {plain(one.message, 2000)}", "    ", "      "
        )
        lines += [first.replace(one.type, head, 1), *rest]
        if remedy := remedy_of(one):
            lines += paragraph(f"to do: {remedy}", "      ", "        ")
    return lines
