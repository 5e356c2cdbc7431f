"""What in the text of a key is ours, whatever has happened to it.

Reformatted, pasted twice, cut off, or without its markers. A write puts our block in place of all
of it. Three things make text ours:

- it stands between two markers of ours, as the first of them announces;
- it names us (`NAMES`), in whole statements: of a block of somebody else's only the statements
  inside that do;
- it stands next to such text, no marker between them, and is one of our few statements that do not
  name us, or a piece of one of ours.

Everything else is somebody else's, also right behind a block whose end marker was lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from aop.origins.check import OUR_PATHS
from aop.origins.ingress_nginx.syntax import BLANKS, Statement, read
from aop.origins.ingress_nginx.text import END

NAMES = re.compile(rf"\$\{{?aop_|shared:AOP_[0-9]|{re.escape(OUR_PATHS)}")
"""The words that only our statements contain: our variables, our session cache, our two paths."""
_MARKER = re.compile(r"#+[ \t]*(?P<which>BEGIN|END) aop-operator\b")
_LAST_COMMENT = re.compile(r"#[^\n]*\Z")
_REVISION = re.compile(r"(?:BEGIN aop-operator revision |shared:AOP_|aop rev=)([0-9]{1,15})\b")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the text, `text[start:end]`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Residue:
    """What is ours in a text."""

    spans: tuple[Span, ...] = ()
    """In order, each with its line end and blank lines; between two there is always more than
    blanks."""
    block: str | None = None
    """The block, if exactly one is there and nothing else of ours; else None."""
    revision: int = 0
    """The highest revision that any of it names."""


def find(text: str, expected: str) -> Residue:
    """What of ours is in `text`.

    `expected` is a block as we would write it: pieces of its statements are known by it.
    """
    markers = list(_MARKER.finditer(text))
    blocks = [
        Span(begin.start(), _end_of(text, end, following))
        for begin, end, following in zip(markers, markers[1:], [*markers[2:], None], strict=False)
        if (begin["which"], end["which"]) == ("BEGIN", "END")
    ]
    known = _Known(expected)
    edges = [0, *(edge for block in blocks for edge in (block.start, block.end)), len(text)]
    loose = [
        span
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        for span in _loose(text, start, end, known)
    ]
    spans = sorted([*blocks, *loose], key=lambda span: span.start)
    revisions = [
        int(number) for span in spans for number in _REVISION.findall(text, span.start, span.end)
    ]
    return Residue(
        tuple(_joined(text, [_whole_lines(text, span) for span in spans])),
        text[blocks[0].start : blocks[0].end] if len(spans) == len(blocks) == 1 else None,
        max(revisions, default=0),
    )


def same_to_nginx(block: str, other: str) -> bool:
    """Whether two texts differ in nothing that nginx sees.

    That is, only in line ends, blank lines, and blanks at the ends of lines.
    """
    one, two = (
        [line for each in text.split("\n") if (line := each.strip(BLANKS))]
        for text in (block, other)
    )
    return one == two


def _end_of(text: str, marker: re.Match[str], following: re.Match[str] | None) -> int:
    """Where a block ends.

    The line of its marker belongs to it, unless complete statements of somebody else have come to
    be on that line.
    """
    line_end = text.find("\n", marker.end())
    stop = min(
        len(text) if line_end < 0 else line_end, following.start() if following else len(text)
    )
    rest = read(text[marker.end() : stop])
    return marker.end() if rest.statements and not rest.fault else stop


class _Known:
    """The statements of a block of ours.

    The remains of one are recognised by its beginning or its end.
    """

    def __init__(self, block: str) -> None:
        self._block = block

    @cached_property
    def _statements(self) -> list[str]:
        return [_normal(self._block[one.start : one.end]) for one in read(self._block).statements]

    def begins_with(self, piece: str) -> bool:
        """One of the statements, or our last marker."""
        return END.startswith(piece) or any(
            statement.startswith(piece) for statement in self._statements
        )

    def ends_with(self, piece: str) -> bool:
        """One of the statements."""
        return any(statement.endswith(piece) for statement in self._statements)

    def hold(self, piece: str) -> bool:
        """Anywhere, also in the middle of one."""
        return any(piece in statement for statement in self._statements)


@dataclass(slots=True)
class _Piece:
    """A statement, a marker without its counterpart, or the comment that ends the text.

    And whether it is ours.
    """

    start: int
    end: int
    ours: bool
    joins_before: bool = True
    joins_after: bool = True
    """Whether what is next to it may be judged by it."""


def _loose(text: str, start: int, end: int, known: _Known) -> Iterator[Span]:
    """What is ours in a part of the text that is not a whole block.

    A marker separates statements: no brace or quote reaches across it.
    """
    pieces: list[_Piece] = []
    for marker in (*_MARKER.finditer(text, start, end), None):
        stop = marker.start() if marker else end
        for one in read(text[start:stop]).statements:
            pieces.append(_Piece(start + one.start, start + one.end, _names_us(one)))
            if not pieces[-1].ours:
                yield from (Span(start + inner.start, start + inner.end) for inner in _inside(one))
        if marker:
            line_end = text.find("\n", marker.end(), end)
            start, opens = line_end if line_end >= 0 else end, marker["which"] == "BEGIN"
            pieces.append(
                _Piece(marker.start(), start, True, joins_before=not opens, joins_after=opens)
            )
    if end == len(text) and (
        last := _LAST_COMMENT.search(text, pieces[-1].end if pieces else start)
    ):
        pieces.append(_Piece(last.start(), last.end(), False))
    _spread(text, pieces, known)
    yield from (Span(piece.start, piece.end) for piece in pieces if piece.ours)


def _spread(text: str, pieces: Sequence[_Piece], known: _Known) -> None:
    """What is next to ours is ours if it is a whole statement of ours, or the remains of one."""
    for before, piece in pairwise(pieces):
        piece.ours |= (
            before.ours
            and before.joins_after
            and known.begins_with(_normal(text[piece.start : piece.end]))
        )
    within = False  # the braces of a block of which the beginning is lost
    for piece, after in zip(pieces[-2::-1], pieces[:0:-1], strict=False):
        normal = _normal(text[piece.start : piece.end])
        if not piece.ours and after.ours and after.joins_before:
            piece.ours = known.hold(normal) if within else known.ends_with(normal)
        within = piece.ours and (normal == "}" or (within and normal.endswith(";")))


def _names_us(statement: Statement) -> bool:
    """Whether its own words name us, or everything in its braces does."""
    if any(NAMES.search(word) for word in statement.words):
        return True
    return bool(statement.body) and all(_names_us(one) for one in statement.body or ())


def _inside(statement: Statement) -> Iterator[Statement]:
    """The statements that are ours inside one that is not."""
    for one in statement.body or ():
        if _names_us(one):
            yield one
        else:
            yield from _inside(one)


def _normal(text: str) -> str:
    return " ".join(text.split())


def _whole_lines(text: str, span: Span) -> Span:
    """The span with its indentation and its line end, if nothing else is on its lines."""
    start, end = span.start, span.end
    while start > 0 and text[start - 1] in " \t":
        start -= 1
    while end < len(text) and text[end] in " \t\r":
        end += 1
    if (start == 0 or text[start - 1] in "\r\n") and (end == len(text) or text[end] == "\n"):
        return Span(start, min(end + 1, len(text)))
    return span


def _joined(text: str, spans: Sequence[Span]) -> Iterator[Span]:
    """The spans, joined where there is nothing but blanks between two."""
    current: Span | None = None
    for span in spans:
        if current is not None and not text[current.end : span.start].strip(BLANKS):
            current = Span(current.start, max(current.end, span.end))
        else:
            if current is not None:
                yield current
            current = span
    if current is not None:
        yield current
