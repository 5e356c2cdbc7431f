"""Whether the text that others put into a snippet can stand next to ours; looked at before it is merged.

Called by `foreign`. It reads nginx's syntax just far enough to see where a statement ends: text that is cut off, or that leaves a
brace or a quote open, would turn our block into something else, and then `nginx -t` fails for everybody on the controller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_CONFLICTING = frozenset({"ssl_client_certificate", "ssl_verify_client", "ssl_verify_depth", "ssl_crl"})
_OURS = ("$aop_", "${aop_", "aop-operator")


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive: its words, how many braces deep it stands, and the line (from 1) it begins in."""

    words: tuple[str, ...]
    depth: int
    line: int


class UnreadableError(ValueError):
    """The text is not complete nginx configuration; the message says in which line and why."""


def objection(text: str) -> str | None:
    """Why `text` must not be merged, as the end of a sentence ("line 3 sets …"); None when it may.

    At the level of the snippet itself nobody else may set client certificate verification: a second directive is a duplicate, and in
    `server{}` it clashes with hosts that verify by themselves (reference: ingress-nginx, 1.3). Inside a `server{}` of its own it may.
    """
    for name in _OURS:
        if name in text:
            line = text[: text.index(name)].count("\n") + 1
            return f"line {line} contains {name!r}, a name that is ours: remove what is left of an older block or rename it"
    try:
        for statement in statements(text):
            if statement.depth == 0 and statement.words[0] in _CONFLICTING:
                return f"line {statement.line} sets {statement.words[0]}, which contradicts ours: remove it"
    except UnreadableError as error:
        return str(error)
    return None


def statements(text: str) -> Iterator[Statement]:
    """The directives of `text`, in order, each before those inside it.

    Raises:
        UnreadableError: a brace, quote or statement is left open, or it holds Lua, whose quotes and braces are not nginx's.
    """
    words: list[str] = []
    depth, began = 0, 1
    for sign, word, line in _tokens(text):
        if not sign:
            began = began if words else line
            words.append(word)
        elif word == "}":
            if words or depth == 0:
                raise UnreadableError(f"line {line} closes a brace that {'follows an unfinished statement' if words else 'was not opened'}")
            depth -= 1
        else:
            if not words:
                raise UnreadableError(f"line {line} has a {word!r} without a directive before it")
            if words[0].endswith("_by_lua_block"):
                raise UnreadableError(f"line {began} holds Lua ({words[0]}), which cannot be checked: move it into a file")
            yield Statement(tuple(words), depth, began)
            words, depth = [], depth + (word == "{")
    if words:
        raise UnreadableError(f"the statement that begins in line {began} is not finished")
    if depth:
        raise UnreadableError("a brace is not closed")


def _tokens(text: str) -> Iterator[tuple[bool, str, int]]:
    """Each sign (`;`, `{`, `}`) and each word without its quotes: whether it is a sign, the characters, the line."""
    at, line = 0, 1
    while at < len(text):
        if text[at].isspace():
            line += text[at] == "\n"
            at += 1
        elif text[at] == "#":
            at = end if (end := text.find("\n", at)) >= 0 else len(text)
        elif text[at] in ";{}":
            yield True, text[at], line
            at += 1
        else:
            quoted = text[at] in "\"'"
            end = _end_of_quoted(text, at, line) if quoted else _end_of_plain(text, at)
            yield False, text[at + 1 : end - 1] if quoted else text[at:end], line
            line += text.count("\n", at, end)
            at = end


def _end_of_quoted(text: str, at: int, line: int) -> int:
    end = at + 1
    while end < len(text) and text[end] != text[at]:
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise UnreadableError(f"the quote that opens in line {line} is not closed")
    return end + 1


def _end_of_plain(text: str, at: int) -> int:
    end = at
    while end < len(text) and not (text[end].isspace() or text[end] == ";" or (text[end] == "{" and text[end - 1 : end] != "$")):
        end += 2 if text[end] == "\\" else 1
    return min(end, len(text))
