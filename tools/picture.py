"""The dashboard as a picture: what Grafana would show of the answers of a Prometheus, as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import cycle, pairwise

from dashboard import HEIGHT, ROWS, TITLE, WIDTH, Colour, Panel

COLUMN, GAP, MARGIN = 60, 8, 16
ROW_TITLE, PANEL_TALL, HEAD, LEGEND = 34, 30 * HEIGHT, 30, 20
COLOURS: Mapping[Colour, str] = {
    "green": "#4f9d45",
    "yellow": "#e0b400",
    "orange": "#e8710a",
    "red": "#d1303f",
    "blue": "#2f6fd0",
    "purple": "#8f4bb8",
    "text": "#b6bcc4",
}
PALETTE = ("#4f9d45", "#2f6fd0", "#e8710a", "#8f4bb8", "#d1303f", "#1a9aa8", "#a67c00", "#8a8f98")
OF_A_WORD: Mapping[str, Colour] = {
    "Require": "green",
    "Optional": "yellow",
    "Request": "orange",
    "Off": "text",
    "Unknown": "red",
    "loss": "red",
    "refusal": "purple",
    "expiry": "orange",
    "rejection": "blue",
    "spec": "text",
    "200": "green",
    "403": "red",
    "401": "red",
    "done": "green",
    "wait": "blue",
    "block": "orange",
    "blocked": "orange",
    "transient": "purple",
    "bug": "red",
    "origin": "orange",
    "zone": "blue",
    "certificate": "purple",
    "key_pair": "yellow",
}
"""Words that mean the same wherever they stand have one colour."""
DAY_S = 86400.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, and its values in the order of time."""

    name: str
    points: Sequence[Point]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


Answers = Mapping[str, Sequence[Series]]
"""What each panel has been told, by its title."""


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the picture, in pixels."""

    x: float
    y: float
    wide: float
    tall: float

    def inner(self, left: float, top: float, right: float, bottom: float) -> Box:
        """What is left of it."""
        return Box(self.x + left, self.y + top, self.wide - left - right, self.tall - top - bottom)


def picture(answers: Answers, since: float, until: float, caption: str) -> str:
    """All rows, from one moment to another (seconds since 1970)."""
    wide = WIDTH * COLUMN + 2 * MARGIN
    parts, top = [], MARGIN + 44.0
    parts.append(words(MARGIN, MARGIN + 18, TITLE, size=19, weight=600))
    parts.append(words(MARGIN, MARGIN + 36, caption, size=12.5, fill="#5b6470"))
    for row in ROWS:
        parts.append(words(MARGIN + 2, top + 21, f"⌄  {row.question}", size=14.5, weight=600))
        top += ROW_TITLE
        left = float(MARGIN)
        for panel in row.panels:
            box = Box(left, top, panel.width * COLUMN - GAP, PANEL_TALL)
            parts += framed(panel, answers.get(panel.title, ()), box, (since, until))
            left += panel.width * COLUMN
        top += PANEL_TALL + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {top:.0f}" font-family="Inter, Helvetica, Arial, sans-serif">'
        f'<rect width="{wide}" height="{top:.0f}" fill="#eef0f3"/>{"".join(parts)}</svg>\n'
    )


def framed(
    panel: Panel, series: Sequence[Series], box: Box, time: tuple[float, float]
) -> Iterator[str]:
    """One panel with its frame and title."""
    yield f'<rect x="{box.x}" y="{box.y}" width="{box.wide}" height="{box.tall}" rx="4" fill="#fff" stroke="#d5d9df"/>'
    yield words(box.x + 10, box.y + 20, panel.title, size=12.5, weight=600)
    if not series:
        yield words(
            box.x + box.wide / 2,
            box.y + box.tall / 2 + 8,
            "No data",
            fill="#8a8f98",
            anchor="middle",
        )
        return
    match panel.kind:
        case "stat":
            yield from stat(panel, series, box)
        case "table":
            yield from table(series, box)
        case "state-timeline":
            yield from timeline(panel, series, box, time)
        case _:
            yield from graph(panel, series, box, time)


# --- kinds of panels --------------------------------------------------------------------------------


def stat(panel: Panel, series: Sequence[Series], box: Box) -> Iterator[str]:
    """One number on its colour."""
    value = series[0].last
    colour = [colour for limit, colour in panel.limits if value >= limit][-1]
    area = box.inner(8, HEAD, 8, 8)
    yield f'<rect x="{area.x}" y="{area.y}" width="{area.wide}" height="{area.tall}" rx="3" fill="{COLOURS[colour]}"/>'
    yield words(
        area.x + area.wide / 2,
        area.y + area.tall / 2 + 18,
        f"{value:g}",
        size=52,
        weight=600,
        fill="#fff",
        anchor="middle",
    )


def table(series: Sequence[Series], box: Box) -> Iterator[str]:
    """What was the matter, the latest first: a picture of a whole run has no one moment."""
    area, line = box.inner(12, HEAD + 6, 12, 8), 19
    latest = sorted(series, key=lambda one: one.points[-1][0], reverse=True)
    for n, one in enumerate(latest[: int(area.tall // line)]):
        who, _, why = one.name.partition(": ")
        at = datetime.fromtimestamp(one.points[-1][0], UTC).strftime("%H:%M:%S")
        y = area.y + 12 + n * line
        yield words(area.x, y, at, size=11.5, fill="#8a8f98")
        yield words(area.x + 62, y, who, size=11.5)
        yield words(area.x + area.wide * 0.58, y, why, size=11.5, weight=600)


def timeline(
    panel: Panel, series: Sequence[Series], box: Box, time: tuple[float, float]
) -> Iterator[str]:
    """One lane for each series, coloured by what it was."""
    shown = sorted(series, key=lambda one: one.name)[:6]
    names = max(len(one.name) for one in shown) * 6.8 + 20
    area = box.inner(min(names, box.wide * 0.4), HEAD + 4, 12, LEGEND + 22)
    tall = area.tall / len(shown)
    since, until = time
    for n, one in enumerate(shown):
        y, high = area.y + n * tall + tall * 0.12, tall * 0.76
        yield words(area.x - 8, y + high / 2 + 4, one.name, size=11, anchor="end")
        for begins, ends, value in runs(one.points):
            word, colour = panel.words.get(value, (f"{value:g}", "text"))
            x = place(begins, since, until, area.x, area.wide)
            wide = max(1.5, place(ends, since, until, area.x, area.wide) - x)
            yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{COLOURS[colour]}"/>'
            if wide > 7.0 * len(word) + 8:
                yield words(
                    x + wide / 2, y + high / 2 + 4, word, size=11, fill="#fff", anchor="middle"
                )
    yield from hours(area, time)
    yield from legend([(word, COLOURS[colour]) for word, colour in panel.words.values()], box)


def runs(points: Sequence[Point]) -> Iterator[tuple[float, float, float]]:
    """From when to when a value was the same; a gap is no value."""
    step = min((later - earlier for (earlier, _), (later, _) in pairwise(points)), default=1.0)
    begins, ends, value = points[0][0], points[0][0] + step, points[0][1]
    for at, now in points[1:]:
        if now == value and at <= ends + 0.5 * step:
            ends = at + step
        else:
            yield begins, min(ends, at), value
            begins, ends, value = at, at + step, now
    yield begins, ends, value


def graph(
    panel: Panel, series: Sequence[Series], box: Box, time: tuple[float, float]
) -> Iterator[str]:
    """Lines, areas on top of each other, or bars."""
    stacked = panel.stacked or panel.kind == "bars"
    if stacked:
        series = [one for one in series if any(value for _, value in one.points)] or series[:1]
    entries = list(
        zip([one.name for one in series], colours([one.name for one in series]), strict=True)
    )
    area = box.inner(54, HEAD + 4, 14, LEGEND + 22 + 15 * (len(arranged(entries, box)) - 1))
    layers = (
        stack(series) if stacked else [(one, [(at, 0.0) for at, _ in one.points]) for one in series]
    )
    tops = [
        value + below
        for one, base in layers
        for (_, value), (_, below) in zip(one.points, base, strict=True)
    ]
    bottom, top, ticks = scale([*tops, 0.0] if panel.from_zero else tops, panel)
    since, until = time

    def at(moment: float, value: float) -> tuple[float, float]:
        x = place(moment, since, until, area.x, area.wide)
        return x, area.y + area.tall - place(value, bottom, top, 0, area.tall)

    for tick in ticks:
        _, y = at(since, tick)
        yield f'<line x1="{area.x}" x2="{area.x + area.wide}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e6ea"/>'
        yield words(
            area.x - 6, y + 4, shown_as(tick, panel.unit), size=10.5, fill="#5b6470", anchor="end"
        )
    yield from hours(area, time)
    for (one, base), (_, colour) in zip(layers, entries, strict=True):
        upper = [
            at(moment, value + below)
            for (moment, value), (_, below) in zip(one.points, base, strict=True)
        ]
        lower = [at(moment, below) for moment, below in base]
        if panel.kind == "bars":
            yield from bars(upper, lower, colour)
        elif stacked:
            yield area_of(upper, lower, colour)
        else:
            yield from lines(upper, colour)
    yield from legend(entries, box)


def stack(series: Sequence[Series]) -> list[tuple[Series, list[Point]]]:
    """Each with what it stands on."""
    below: dict[float, float] = {}
    layers = []
    for one in series:
        layers.append((one, [(at, below.get(at, 0.0)) for at, _ in one.points]))
        for at, value in one.points:
            below[at] = below.get(at, 0.0) + value
    return layers


def area_of(upper: Sequence[Point], lower: Sequence[Point], colour: str) -> str:
    """What lies between two lines."""
    outline = written([*plain(upper), *reversed(plain(lower))])
    return f'<polygon points="{outline}" fill="{colour}" fill-opacity="0.7"/>'


def lines(points: Sequence[Point], colour: str) -> Iterator[str]:
    """A line, with its gaps."""
    for piece in unbroken(points):
        yield f'<polyline points="{written(plain(piece))}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>'


def plain(points: Sequence[Point]) -> list[Point]:
    """Without what lies on a level between two others."""
    kept = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [points[0], *kept, *points[-1:]]


def written(points: Sequence[Point]) -> str:
    """As SVG has them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def unbroken(points: Sequence[Point]) -> Iterator[list[Point]]:
    """A line for each piece without a gap."""
    step = min((b - a for (a, _), (b, _) in pairwise(points)), default=1.0)
    piece = [points[0]]
    for point in points[1:]:
        if point[0] - piece[-1][0] > 2.5 * step:
            yield piece
            piece = []
        piece.append(point)
    yield piece


def bars(upper: Sequence[Point], lower: Sequence[Point], colour: str) -> Iterator[str]:
    """What is more than nothing."""
    for (x, y), (_, base) in zip(upper, lower, strict=True):
        if base - y > 0.5:
            yield f'<rect x="{x - 3:.1f}" y="{y:.1f}" width="6" height="{base - y:.1f}" fill="{colour}"/>'


# --- around them ------------------------------------------------------------------------------------


def place(value: float, least: float, most: float, start: float, wide: float) -> float:
    """Where a value stands between two others."""
    return start + (min(max(value, least), most) - least) / (most - least or 1.0) * wide


def scale(values: Sequence[float], panel: Panel) -> tuple[float, float, list[float]]:
    """The least and the greatest value of an axis, and what is written at it."""
    least, most = min(values), max(values)
    if most - least < 1e-9:
        most = least + (1.0 if panel.unit != "s" or abs(least) < DAY_S else DAY_S)
    unit = DAY_S if panel.unit == "s" and max(abs(least), abs(most)) > 3 * DAY_S else 1.0
    rough = (most - least) / 4 / unit
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough) * unit
    first, final = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    ticks = [n * step for n in range(first, max(final, first + 1) + 1)]
    return ticks[0], ticks[-1], ticks


def shown_as(value: float, unit: str) -> str:
    """A value with its unit."""
    if unit == "s":
        for size, name in ((DAY_S, "d"), (3600.0, "h"), (60.0, "min")):
            if abs(value) >= 2 * size:
                return f"{value / size:.4g} {name}"
        return f"{value:.3g} s"
    return f"{value:,.10g}{'/s' if unit in {'reqps', 'ops'} else ''}"


def hours(area: Box, time: tuple[float, float]) -> Iterator[str]:
    """The time below."""
    since, until = time
    for n in range(1, 5):
        moment = since + (until - since) * n / 5
        x = place(moment, since, until, area.x, area.wide)
        label = datetime.fromtimestamp(moment, UTC).strftime("%H:%M")
        yield words(x, area.y + area.tall + 15, label, size=10.5, fill="#5b6470", anchor="middle")


def arranged(entries: Sequence[tuple[str, str]], box: Box) -> list[list[tuple[str, str]]]:
    """The names line by line, as they fit."""
    rows: list[list[tuple[str, str]]] = [[]]
    room = box.wide - 24
    for name, colour in entries:
        wide = 6.2 * len(name) + 30
        if rows[-1] and wide > room:
            rows.append([])
            room = box.wide - 24
        rows[-1].append((name, colour))
        room -= wide
    return rows


def legend(entries: Sequence[tuple[str, str]], box: Box) -> Iterator[str]:
    """Names and their colours."""
    rows = arranged(entries, box)
    for n, row in enumerate(rows):
        x, y = box.x + 12, box.y + box.tall - 9 - 15 * (len(rows) - 1 - n)
        for name, colour in row:
            yield f'<rect x="{x:.1f}" y="{y - 5:.1f}" width="12" height="3.5" fill="{colour}"/>'
            yield words(x + 17, y, name, size=11, fill="#3b424b")
            x += 6.2 * len(name) + 30


def colours(names: Sequence[str]) -> Iterator[str]:
    """Of each series: what its name means, or the next of the palette."""
    others = cycle(PALETTE)
    return (COLOURS[OF_A_WORD[name]] if name in OF_A_WORD else next(others) for name in names)


def words(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12,
    weight: int = 400,
    fill: str = "#22272e",
    anchor: str = "start",
) -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">{escape(text)}</text>'
