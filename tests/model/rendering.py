"""Worlds, values and steps in plain words, for traces."""

from __future__ import annotations

from typing import Any

from model.world import (
    LISTED,
    MODES,
    NAMES,
    NO_RUN,
    STATES,
    VALUES,
    Claim,
    Loaded,
    Origin,
    Record,
    World,
    Zone,
)


def names(mask: int) -> str:
    """A set of values."""
    return ",".join(NAMES[v] for v in VALUES if v & mask) or "nothing"


def claimed(claim: Claim | None) -> str:
    """A claim."""
    if claim is None:
        return "no claim"
    return (
        MODES[claim.mode]
        + (f"/{claim.hosts:b}" if claim.hosts else "")
        + " trusting "
        + names(claim.trust)
    )


def running(runs: Loaded) -> str:
    """What a worker runs."""
    lost = ("", ", http-snippet lost", ", server-snippet lost", ", both snippets lost", ", marred")[
        runs.damage
    ]
    return " + ".join(map(claimed, runs.claims)) + lost


def in_words(step: tuple[Any, ...]) -> str:
    """A step."""
    match step:
        case ("Publish", i, Claim() as claim, _):
            return f"Publish({claimed(claim)}) to origin {i + 1}"
        case ("Withdraw", i):
            return f"Withdraw from origin {i + 1}"
        case ("RollOut", i):
            return f"RollOut: replace the pods of origin {i + 1}"
        case ("Note", Record() as record):
            return f"Note({noted(record)})"
        case ("Done", _):
            return "releases the object"
        case (kind, int() as who) if kind in {"Upload", "Delete", "Promote"}:
            return f"{kind}({NAMES[who]})"
        case (kind, *rest):
            return f"{kind}({', '.join(map(str, rest))})"
    raise AssertionError(step)


def noted(record: Record) -> str:
    """What is noted on the object."""
    parts = [
        f"found {record.baseline}",
        f"uploaded {names(record.uploaded)}",
        f"claimed {record.claimed:b}",
    ]
    parts += [f"hold-off {record.hold_off:b}"] if record.hold_off else []
    parts += ["flushed"] if record.flushed else []
    parts += [f"rejected {claimed(one.claim)}" for one in record.rejected]
    return ", ".join(parts)


def described(w: World) -> str:
    """The world in one readable paragraph."""
    return ". ".join([*map(zone_in_words, w.zones), *map(origin_in_words, w.origins)])


def zone_in_words(zone: Zone) -> str:
    """One object, its zone and what the operator remembers."""
    certificates = ", ".join(
        f"{NAMES[c]} {STATES[state]}{'' if listed == LISTED else ' (not listed)'}"
        for c, state, listed in zone.certificates
    )
    answers = "; ".join(
        f"{NAMES[r.presented]} {('', 'begun', 'for 10 s', 'for a window')[r.length]}"
        for r in zone.runs
        if r.length != NO_RUN
    )
    parts = [
        "Cloudflare "
        + ("enabled" if zone.enabled else "disabled")
        + ("" if zone.ssl else ", Flexible")
        + ("", ", token rejected", ", down")[zone.access]
        + (", changed since it was read" if zone.unread else ""),
        f"certificates {certificates or 'none'}, the edge presents {names(zone.edge)}",
        f"Secret {names(zone.leaf)}{' next ' + names(zone.next) if zone.next else ''}",
        f"spec {MODES[zone.spec.mode]}{', being deleted' if zone.deleting else ''}{', gone' if zone.gone else ''}",
        f"record: {noted(zone.record)}",
        f"answers: {answers or 'none'}",
    ]
    parts += [
        f"{what} {names(mask)}"
        for what, mask in (("expiring", zone.expiring), ("expired", zone.expired))
        if mask
    ]
    parts += [
        f"under way: {in_words(plan.step)}" for plan in (zone.plan, zone.late, zone.zombie) if plan
    ]
    parts += ["still"] if zone.still else []
    return "; ".join([*parts, zone.ill] if zone.ill else parts)


def origin_in_words(origin: Origin) -> str:
    """One ConfigMap and its pods."""
    text = (
        "missing"
        if origin.text is None
        else running(Loaded(origin.text.claims, origin.text.damage))
    )
    pods = ", ".join(
        f"[{running(r.runs)}{'' if r.up else ', not Ready'}{('', ', text changed around', ', behind')[r.stale]}{', old workers' if r.old else ''}]"
        for r in origin.replicas
    )
    return f"ConfigMap {text}; replicas run {pods}"
