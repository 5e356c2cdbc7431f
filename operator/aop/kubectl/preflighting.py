"""`kubectl aop preflight`: findings as a person and as a program read them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aop.kubectl.discovering import not_known
from aop.kubectl.findings import Finding, Weight, enumerated
from aop.kubectl.wording import Colour, Paint, moment, paragraph
from aop.observed import Observed
from aop.plan.facts import in_scope

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
    scope = f"In scope: {enumerated(hosts)}." if hosts else "No host is in scope."
    if not_known(o):
        scope = f"{scope} The rules need more than could be seen from here, so more may stand in the way."
        if not counted:
            return scope
    if not counted:
        return f"{scope} Nothing stands in the way."
    return f"{scope} Findings: {', '.join(counted)}."


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
