"""What the drill found, for people and for programs. Both are made from shapes alone, so there is nothing in them to hide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from aop import __version__
from drill.comparison import Difference
from drill.transcript import Transcript

MORE = 40
"""Fields that only the real one has are listed up to so many."""


def as_json(
    double: Transcript, real: Transcript, differences: Sequence[Difference], ended: str
) -> str:
    """Everything, so that the double can be mended from it."""
    return json.dumps(
        {
            "version": __version__,
            "ended": ended,
            "differences": [asdict(one) for one in differences],
            **{name: _as_data(one) for name, one in (("double", double), ("real", real))},
        },
        indent=1,
    )


def _as_data(transcript: Transcript) -> dict[str, object]:
    return {
        "outcomes": transcript.outcomes,
        "presented": transcript.presented,
        "durations": transcript.durations,
        "exchanges": [asdict(one) for one in transcript.exchanges],
    }


def as_markdown(
    double: Transcript, real: Transcript, differences: Sequence[Difference], ended: str
) -> str:
    """For the issue that it is attached to."""
    matter = [one for one in differences if one.matters]
    more = [one for one in differences if not one.matters]
    parts = [
        f"# Drill of aop-operator {__version__} on a real zone\n",
        f"{ended}\n",
        f"{len(matter)} differences matter to the operator; {len(more)} do not (fields that it does not read).\n",
        "## What is otherwise than the double has it\n",
        _table(("step", "call", "what", "the double", "Cloudflare"), matter),
        "## How long it took\n",
        _rows(
            ("what", "the double", "Cloudflare"),
            [
                (what, _seconds(double, what), _seconds(real, what))
                for what in dict.fromkeys([*double.durations, *real.durations])
            ],
        ),
        "## How each step ended\n",
        _rows(
            ("step", "the double", "Cloudflare"),
            [
                (step, double.outcomes.get(step, "-"), real.outcomes.get(step, "-"))
                for step in dict.fromkeys([*double.outcomes, *real.outcomes])
            ],
        ),
        "## What the edge presented\n",
        _rows(
            ("step", "the double", "Cloudflare"),
            [
                (step, double.presented.get(step, "-"), real.presented.get(step, "-"))
                for step in dict.fromkeys([*double.presented, *real.presented])
            ],
        )
        if real.presented
        else "Not asked: there was no HOST.\n",
        "## What Cloudflare said to what it refused\n",
        _rows(
            ("step", "status and codes", "words"),
            list(
                dict.fromkeys(
                    (one.step, f"{one.status} {one.codes}", "; ".join(one.words))
                    for one in real.exchanges
                    if one.words
                )
            ),
        ),
        "## Fields that the operator does not read\n",
        _table(("step", "call", "what", "the double", "Cloudflare"), more[:MORE]),
    ]
    return "\n".join(parts)


def _seconds(transcript: Transcript, what: str) -> str:
    return f"{transcript.durations[what]:.1f} s" if what in transcript.durations else "-"


def _table(header: tuple[str, ...], differences: Sequence[Difference]) -> str:
    return _rows(
        header, [(one.step, one.call, one.what, one.double, one.real) for one in differences]
    )


def _rows(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of Markdown; a word where there is nothing to show."""
    if not rows:
        return "None.\n"
    lines = [header, ("---",) * len(header), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )
