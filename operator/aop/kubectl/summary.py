"""`kubectl aop status`: an object and its status as a person wants to know them. Pure.

Read leniently, because another version may have written what is there, and somebody else anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aop.api import Condition, ConditionType, OriginStatus, Status
from aop.errors import plain
from aop.kubectl.wording import (
    Colour,
    Paint,
    age,
    day,
    labelled,
    moment,
    paragraph,
    table,
)
from aop.reasons import NO_ACTION, Reason

SUMMED_UP = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED}
"""Conditions that say what the others come to."""
STATES = {"ready": Colour.GOOD, "waits": Colour.WAITS, "removing": Colour.WAITS}
STATES |= {"blocked": Colour.BAD, "unseen": Colour.BAD}
HEAD = ("NAME", "ZONE", "STATE", "MODE", "HOSTS", "REPLICAS", "EXPIRES", "REASON")
LEAF_DIGITS = 8
"""Of a fingerprint, as all messages of the operator name a leaf."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One AuthenticatedOriginPull."""

    namespace: str
    name: str
    zone: str
    goal: str
    """spec.enforcement."""
    generation: int
    deleting: bool
    carriers: Mapping[str, str]
    """What each origin is configured by, by the origin's name."""
    status: Status

    @property
    def ready(self) -> Condition | None:
        """The condition Ready, once anybody has looked."""
        looked = (self.status.observed_generation or -1) >= 0
        return self.status.condition(ConditionType.READY) if looked else None

    @property
    def state(self) -> str:
        """In one word: ready, waits, blocked, removing; unseen, where no operator has looked."""
        if self.ready is None:
            return "unseen"
        if self.deleting:
            return "removing"
        stalled = self.status.condition(ConditionType.STALLED)
        if stalled is not None and stalled.status == "True":
            return "blocked"
        return "ready" if self.ready.status == "True" else "waits"

    @property
    def outdated(self) -> bool:
        """The operator has not seen the last change of the spec."""
        return self.ready is not None and self.status.observed_generation != self.generation

    @property
    def reason(self) -> Reason | None:
        """Why Ready is as it is; None where another version gave another reason."""
        known = {reason.value: reason for reason in Reason}
        return known.get(self.ready.reason) if self.ready else None

    @property
    def remedy(self) -> str:
        """What to do, as a sentence."""
        if self.ready is None:
            return (
                "See that the operator runs and serves this namespace: kubectl get pods -A "
                "-l app.kubernetes.io/name=aop-operator."
            )
        if self.state == "ready" or self.reason is None or self.reason.remedy == NO_ACTION:
            return "Nothing: it goes on by itself." if self.state != "ready" else "Nothing."
        return f"{self.reason.remedy}."

    @property
    def message(self) -> str:
        """What is awaited or holds, without the remedy that it may end with."""
        if self.ready is None:
            return "No operator has looked at this object yet."
        text = plain(self.ready.message, 2000).removesuffix(
            f"{self.reason.remedy}." if self.reason else ""
        )
        return f"{text.strip().rstrip('.')}."


def summary_of(manifest: Mapping[str, Any]) -> Summary:
    """The summary of an object, as the API server gave it."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    return Summary(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata["name"]),
        zone=plain(str((spec.get("zone") or {}).get("name", "?"))),
        goal=plain(str(spec.get("enforcement") or "Require")),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        carriers=dict(_carriers(spec)),
        status=Status.parse(manifest.get("status")),
    )


def _carriers(spec: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """What each origin names, whatever its kind: the one reference in its kind's field."""
    pairs = []
    for origin in spec.get("origins") or ():
        references = [
            (field, reference)
            for kind in origin.values()
            if isinstance(kind, dict)
            for field, reference in kind.items()
            if field.endswith("Ref") and isinstance(reference, dict)
        ]
        for field, reference in references[:1]:
            title = f"{field[0].upper()}{field[1:]}".removesuffix("Ref")
            key = f"{reference.get('namespace', '')}/{reference.get('name', '')}"
            pairs.append((plain(str(origin.get("name"))), plain(f"{title} {key.lstrip('/')}")))
    return pairs


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
        it.ready.reason if it.ready and it.state != "ready" else "",
    )


# --- one ------------------------------------------------------------------------------------------


def details(it: Summary, now: datetime, paint: Paint) -> list[str]:
    """Everything about one object that a person looks for first."""
    title = paint(f"{it.namespace}/{it.name}", Colour.STRONG)
    reason = f" ({it.ready.reason})" if it.ready and it.state not in {"ready", "unseen"} else ""
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
            "The operator has not looked at the last change of the spec yet: the above is what was before it.",
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
    """Those that do not hold and say something that Ready does not."""
    if it.ready is None:
        return []
    others = [
        one
        for one in it.status.conditions
        if one.type not in SUMMED_UP and one.status != "True" and one.message != it.ready.message
    ]
    lines = ["", "  Not so yet:"] if others else []
    for one in others:
        head = paint(one.type, Colour.FAINT)
        first, *rest = paragraph(
            f"{one.type} ({one.reason}): {plain(one.message, 2000)}", "    ", "      "
        )
        lines += [first.replace(one.type, head, 1), *rest]
    return lines


# --- for programs ---------------------------------------------------------------------------------


def data(it: Summary) -> dict[str, Any]:
    """The summary for programs; the object's own status is under `status`, without the record."""
    return {
        "namespace": it.namespace,
        "name": it.name,
        "zone": it.zone,
        "state": it.state,
        "reason": it.ready.reason if it.ready else None,
        "message": it.message,
        "remedy": it.remedy,
        "enforcement": {"wanted": it.goal, "seen": it.status.enforcement},
        "outdated": it.outdated,
        "status": {key: value for key, value in it.status.manifest().items() if key != "record"},
    }
