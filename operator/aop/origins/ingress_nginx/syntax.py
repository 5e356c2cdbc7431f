"""nginx's syntax, just far enough to see where each statement begins and ends.

It works even in damaged text. `lint` asks whether the text of others is complete, and `residue`
asks what in a text is ours. Neither can ask nginx itself, because the operator has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

BLANKS = " \t\r\n"
"""What nginx itself takes for blank."""


@dataclass(slots=True)
class Statement:
    """One directive.

    `text[start:end]` is all of it, with the contents of its braces and without what surrounds it.
    """

    start: int
    line: int
    """Where it begins, from 1."""
    words: list[str] = field(default_factory=list)
    """Without their quotes; only `}` if a brace closes something that was not opened."""
    body: list[Statement] | None = None
    """The contents of its braces; None if it has none."""
    end: int = 0


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A text, read to its end whatever is in it."""

    statements: tuple[Statement, ...]
    fault: str | None = None
    """The first thing that nginx could not read either, or that cannot be read here, as the end of
    a sentence."""


def read(text: str) -> ParsedText:
    """The statements of `text`. What is left open at its end counts as ending there."""
    reader = _Reader()
    for token in _tokens(text):
        if not token.sign:
            reader.word(token)
        elif token.word == "}":
            reader.closing(token)
        else:
            reader.ending(token)
    return reader.finished(len(text))


class _Reader:
    """The statements so far, the blocks that are open, and the statement that is being read."""

    def __init__(self) -> None:
        self._top_level: list[Statement] = []
        self._open: list[Statement] = []
        self._current: Statement | None = None
        self._fault: str | None = None

    def word(self, token: _Token) -> None:
        if not token.complete:
            self._wrong(f"the quote that opens in line {token.line} is not closed")
        statement = self._statement(token)
        statement.words.append(token.word)
        statement.end = token.end

    def ending(self, token: _Token) -> None:
        """`;`, or the `{` that opens a block."""
        if self._current is None:
            self._wrong(f"line {token.line} has a {token.word!r} without a directive before it")
        statement = self._statement(token)
        if statement.words and statement.words[0].endswith("_by_lua_block"):
            self._wrong(
                f"line {statement.line} holds Lua ({statement.words[0][:40]!r}), which cannot be checked: move it into a file"
            )
        statement.end, self._current = token.end, None
        if token.word == "{":
            statement.body = []
            self._open.append(statement)

    def closing(self, token: _Token) -> None:
        if self._current is not None or not self._open:
            self._wrong(
                f"line {token.line} closes a brace that {'follows an unfinished statement' if self._current else 'was not opened'}"
            )
        self._current = None
        if self._open:
            self._open.pop().end = token.end
        else:
            self._top_level.append(Statement(token.start, token.line, ["}"], end=token.end))

    def finished(self, length: int) -> ParsedText:
        if self._current is not None:
            self._wrong(f"the statement that begins in line {self._current.line} is not finished")
        if self._open:
            self._wrong("a brace is not closed")
        for block in self._open:
            block.end = length
        return ParsedText(tuple(self._top_level), self._fault)

    def _statement(self, token: _Token) -> Statement:
        if self._current is None:
            self._current = Statement(token.start, token.line)
            inside = self._open[-1].body if self._open else self._top_level
            (self._top_level if inside is None else inside).append(self._current)
        return self._current

    def _wrong(self, fault: str) -> None:
        self._fault = self._fault or fault


class _Token(NamedTuple):
    """A sign (`;`, `{`, `}`), or a word without its quotes."""

    sign: bool
    word: str
    start: int
    end: int
    line: int
    complete: bool


_TOKEN = re.compile(
    r"""
    (?P<blank> [ \t\r\n]+ | \#[^\n]* )
    | (?P<sign> [;{}] )
    | (?P<quoted> "(?:\\.|[^"\\])*(?:"|\\?\Z) | '(?:\\.|[^'\\])*(?:'|\\?\Z) )
    | (?P<plain> (?: \\(?:.|\Z) | \$\{ | [^ \t\r\n;{\\] )+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    for match in _TOKEN.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        if match.lastgroup == "quoted":
            complete = _QUOTED.fullmatch(match[0]) is not None
            yield _Token(
                False, match[0][1 : -1 if complete else None], at, match.end(), line, complete
            )
        elif match.lastgroup != "blank":
            yield _Token(match.lastgroup == "sign", match[0], at, match.end(), line, True)


_QUOTED = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\])*\1""", re.DOTALL)
