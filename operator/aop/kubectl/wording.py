"""Lines for a terminal: colour, columns, paragraphs, ages. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from aop.errors import plain

WIDTH = 100
"""The width of a line where possible; a word is never broken."""


LONGEST = 4000
"""How many characters a paragraph may have."""


class Colour(Enum):
    """What a colour stands for, as its code in ECMA-48 (Select Graphic Rendition)."""

    GOOD = 32
    WAITS = 33
    BAD = 31
    STRONG = 1
    FAINT = 2


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours words, or leaves them as they are."""

    on: bool = False

    def __call__(self, text: str, colour: Colour) -> str:
        """`text` in a colour."""
        return f"\x1b[{colour.value}m{text}\x1b[0m" if self.on else text


def paragraph(text: str, indent: str = "", hanging: str | None = None) -> list[str]:
    """Lines of at most `WIDTH` columns; those after the first begin with `hanging`.

    `text` may come from anywhere: no escape sequence in it reaches the terminal.
    """
    return textwrap.wrap(
        plain(text, LONGEST),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def labelled(label: str, text: str, width: int = 14, indent: str = "  ") -> list[str]:
    """A label and its value, in columns."""
    return paragraph(text, f"{indent}{label:<{width}}", " " * (len(indent) + width))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    paint: Paint,
    colours: Sequence[tuple[int, dict[str, Colour]]] = (),
) -> list[str]:
    """Rows in columns, as kubectl prints them.

    `colours` says, by the number of a column, in which colour each of its words is printed.
    """
    every = [head, *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in every) for n in range(len(head))]
    coloured = dict(colours)

    def cell(n: int, text: str, *, first: bool) -> str:
        padded = text if n == len(head) - 1 else f"{text:<{widths[n]}}"
        colour = None if first else coloured.get(n, {}).get(text)
        return padded if colour is None else paint(text, colour) + padded[len(text) :]

    return [
        "   ".join(cell(n, text, first=row is head) for n, text in enumerate(row)).rstrip()
        for row in every
    ]


def age(past: timedelta) -> str:
    """How long something is ago, in its largest unit; never negative."""
    seconds = max(0, int(past.total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def moment(at: datetime) -> str:
    """A moment as messages write it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def day(at: datetime, now: datetime) -> str:
    """A date, and how far it is away."""
    if at <= now:
        return f"{at:%Y-%m-%d} ({age(now - at)} ago)"
    return f"{at:%Y-%m-%d} (in {age(at - now)})"
