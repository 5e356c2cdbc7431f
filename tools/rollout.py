"""The rollout as pictures, drawn by asking the rules: docs/images/rollout*.svg.

What is drawn is what `kubectl aop plan` foresees of one zone with two hosts and one controller, so
a rule that is added, renamed or moved changes the pictures (`tools/generate.py` compares them).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from aop.kubectl.foresight import NEW_LEAF, Foreseen, after, foreseen
from aop.observed import Observed, ObservedZone
from aop.plan.facts import newest_active
from aop.steps import Delete, Done, Issue, Note, Promote, SetEnabled, Upload, Wait
from aop.terms import Mode
from builders import LEAF, NEVER_SEEN, observed

PICTURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "rollout": ("How a zone gets there", NEVER_SEEN),
    "rollout-renewal": ("How the certificate is renewed", {"object": {"rotate": "now"}}),
    "rollout-removal": ("How all of it is taken back", {"object": {"deleting": True}}),
}
"""By name: what each tells, and how its world differs from one that is as the spec asks."""
LANES = ("the object and its Secrets", "Cloudflare", "every replica")
MARGIN, WIDTH, GAP, LETTERS = 16, 262, 14, 39
LINE, TOP = 16, 74
BAR = 146
BARS = MARGIN + 3 * (WIDTH + GAP) + 8
ALL_WIDTH = BARS + 2 * BAR + MARGIN
FONT = "font-family='system-ui, sans-serif'"
INK, PALE, BLUE, AMBER, RED, GREEN = (
    "#24292f",
    "#f6f8fa",
    "#1f5f8b",
    "#9a6700",
    "#b42318",
    "#1a7f37",
)


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One step, and what is so once it is done."""

    lane: int
    text: str
    rule: str
    presented: str
    """What the edge presents."""
    strangers: str
    """What somebody gets who bypasses the edge."""
    waits: bool


def pictures() -> dict[str, str]:
    """Each picture, by its name."""
    return {name: picture(title, rows(world)) for name, (title, world) in PICTURES.items()}


def rows(world: Mapping[str, Any]) -> list[TimelineRow]:
    """What is foreseen in such a world, to its end."""
    seen = observed(**world)
    foreseen_rows: list[TimelineRow] = []
    for one in foreseen(seen):
        seen = after(seen, one.step)
        foreseen_rows.append(
            TimelineRow(
                lane(one),
                sentence(one, removing=seen.object.deleting),
                one.rule.__name__ if one.rule else "",
                presented(seen),
                strangers(seen),
                isinstance(one.step, Wait),
            )
        )
    return foreseen_rows


def lane(one: Foreseen) -> int:
    """Where the step has its effect."""
    match one.step:
        case Note() | Issue() | Promote() | Done():
            return 0
        case Upload() | Delete() | SetEnabled() | Wait():
            return 1
    return 2


def sentence(one: Foreseen, *, removing: bool) -> str:
    """The step in its own words, without this world's names."""
    if isinstance(one.step, Done):
        return "The object goes." if removing else "The world is as the spec asks."
    text = str(one).replace(f"leaf {LEAF.short}", "the old leaf").replace(LEAF.short, "the old one")
    text = text.removeprefix("waits: ").replace(" public", "")
    return f"{text[0].upper()}{text[1:]}".rstrip(".") + "."


def presented(seen: Observed) -> str:
    """What Cloudflare presents now."""
    newest = newest_active(seen.zone) if isinstance(seen.zone, ObservedZone) else None
    if not isinstance(seen.zone, ObservedZone) or not seen.zone.enabled or newest is None:
        return "nothing"
    return "the new leaf" if newest.pin.sha256 == NEW_LEAF else "the old leaf"


def strangers(seen: Observed) -> str:
    """What a visitor gets who bypasses the edge."""
    modes = [
        claim.mode
        for origin in seen.origins
        for claim in [getattr(origin.configured, "claim", None)]
        if claim is not None
    ]
    return "400" if Mode.REQUIRE in modes else "the page"


def picture(title: str, steps: list[TimelineRow]) -> str:
    """The rows from top to bottom, each in its lane, and beside them what is so."""
    boxes: list[str] = []
    bars: list[str] = []
    at = TOP
    for number, row in enumerate(steps, 1):
        lines = textwrap.wrap(f"{number}. {row.text}", LETTERS)
        height = LINE * (len(lines) + bool(row.rule)) + 14
        boxes += box(row, lines, at, height)
        bars += [
            bar(BARS, at, height, row.presented, {"nothing": AMBER}.get(row.presented, BLUE)),
            bar(BARS + BAR, at, height, row.strangers, {"400": RED}.get(row.strangers, GREEN)),
        ]
        at += height + 10
    heads = [
        text(MARGIN, 24, title, size=17, weight="bold"),
        *(
            text(MARGIN + number * (WIDTH + GAP), TOP - 14, name, weight="bold")
            for number, name in enumerate(LANES)
        ),
        text(BARS, TOP - 14, "the edge presents", weight="bold"),
        text(BARS + BAR, TOP - 14, "a stranger gets", weight="bold"),
    ]
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {ALL_WIDTH} {at + 6}' {FONT} role='img'>",
            f"<title>{escape(title)}</title>",
            f"<rect width='{ALL_WIDTH}' height='{at + 6}' fill='white'/>",
            *heads,
            *boxes,
            *bars,
            "</svg>\n",
        ]
    )


def box(row: TimelineRow, lines: list[str], at: int, height: int) -> Iterator[str]:
    """A step: what is done, and below it the rule that asks for it."""
    left = MARGIN + row.lane * (WIDTH + GAP)
    dashed = " stroke-dasharray='4 3'" if row.waits else ""
    yield f"<rect x='{left}' y='{at}' width='{WIDTH}' height='{height}' rx='5' fill='{PALE}' stroke='{BLUE}'{dashed}/>"
    for number, line in enumerate(lines, 1):
        yield text(left + 8, at + 3 + LINE * number, line)
    if row.rule:
        yield text(left + 8, at + 3 + LINE * (len(lines) + 1), row.rule, size=11, colour=BLUE)


def bar(left: int, at: int, height: int, what: str, colour: str) -> str:
    """What is so from this step on."""
    return (
        f"<rect x='{left}' y='{at}' width='5' height='{height + 10}' fill='{colour}'/>\n"
        f"{text(left + 12, at + LINE + 3, what, colour=colour)}"
    )


def text(
    left: int, at: int, what: str, *, size: int = 12, weight: str = "normal", colour: str = INK
) -> str:
    """One line of words."""
    return f"<text x='{left}' y='{at}' font-size='{size}' font-weight='{weight}' fill='{colour}'>{escape(what)}</text>"
