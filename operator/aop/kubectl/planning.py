"""`kubectl aop plan`: what the operator would do next, and why, as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aop.cluster import Right
from aop.kubectl.foresight import Foreseen
from aop.kubectl.wording import Colour, Paint, moment, paragraph
from aop.observed import Observed, Unknown
from aop.steps import Block, Done, Wait
from aop.terms import Mode

HEADS = ("Next:", "Then, if each step has its effect:")
"""Above the first step, and above the second."""


def planned(
    o: Observed, steps: Sequence[Foreseen], sentences: Iterable[str], paint: Paint
) -> list[str]:
    """Every step with the truth that it establishes; then what is assumed or not known."""
    lines = [
        paint(f"{o.object.key}", Colour.STRONG) + f", as seen from here at {moment(o.wall)}",
        "",
    ]
    for n, one in enumerate(steps, 1):
        if n <= len(HEADS):
            lines += [*([""] if n > 1 else []), paint(HEADS[n - 1], Colour.STRONG)]
        again = n > 1 and one.rule is steps[n - 2].rule
        lines += _step(n, one, paint, deleting=o.object.deleting)
        lines += [] if again else [paint(line, Colour.FAINT) for line in _why(one)]
    if not isinstance(steps[-1].step, Block | Done):
        lines += paragraph("What comes after that depends on what is seen then.", "  ")
    for head, listed in (
        ("What stays open when the hosts are required:", _open(o)),
        ("Not seen from here:", [*_not_known(o), *sentences]),
    ):
        if listed:
            lines += ["", paint(head, Colour.STRONG)]
            lines += [line for one in listed for line in paragraph(one, "  - ", "    ")]
    return [*lines, "", "Nothing was written."]


def data(o: Observed, steps: Sequence[Foreseen], sentences: Iterable[str]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "namespace": o.object.key.namespace,
        "name": o.object.key.name,
        "steps": [
            {
                "step": type(one.step).__name__,
                "text": str(one),
                "rule": one.rule.__name__ if one.rule else None,
                "reason": one.step.reason if isinstance(one.step, Wait | Block) else None,
            }
            for one in steps
        ],
        "open": _open(o),
        "unseen": [*_not_known(o), *sentences],
    }


def lacking(missing: Sequence[Right]) -> list[str]:
    """The rights that a person needs to see all of it."""
    if not missing:
        return []
    return [
        "You lack rights, so this is not the whole picture. These are missing; each command shows whether you have one:",
        *(f"  {right!s:<64} {right.question}" for right in missing),
    ]


def _step(n: int, one: Foreseen, paint: Paint, *, deleting: bool) -> list[str]:
    text = _sentence(one, deleting=deleting)
    lines = paragraph(text, f"  {n:>2}. ", "      ")
    colour = _colour(one)
    if colour is not None:
        lines[0] = lines[0].replace(text.split()[0], paint(text.split()[0], colour), 1)
    return lines


def _why(one: Foreseen) -> list[str]:
    return paragraph(one.why, "      ") if one.why else []


def _sentence(one: Foreseen, *, deleting: bool) -> str:
    step = one.step
    if isinstance(step, Done) and deleting:
        return "Remove the finalizer: everything is as the operator found it."
    if isinstance(step, Done):
        return "Nothing more to do: everything is as the spec asks."
    text = str(one)
    if isinstance(step, Wait | Block):
        text = f"{text.rstrip('.')} ({step.reason}: kubectl aop explain {step.reason})"
    return f"{text[0].upper()}{text[1:]}"


def _colour(one: Foreseen) -> Colour | None:
    match one.step:
        case Done():
            return Colour.GOOD
        case Wait():
            return Colour.WAITS
        case Block():
            return Colour.BAD
    return None


def _open(o: Observed) -> list[str]:
    """What stays open to everybody, whatever is required."""
    if o.object.deleting or o.spec.enforcement_mode < Mode.REQUIRE:
        return []
    return [
        f"Origin {origin.name}: {sentence}."
        for origin in o.origins
        if origin.wanted
        for sentence in origin.open
    ]


def _not_known(o: Observed) -> list[str]:
    """Sources that could not be looked at."""
    unknown = [
        ("the zone at Cloudflare", o.zone),
        ("the key pair", o.key_pair),
        *((f"origin {one.name}", one.configured) for one in o.origins),
        *(
            (f"the replicas of origin {one.name}", one.replicas)
            for one in o.origins
            if one.replicas != one.configured
        ),
    ]
    return [
        f"{what[0].upper()}{what[1:]}: {value.message.rstrip('.')}."
        for what, value in unknown
        if isinstance(value, Unknown)
    ]
