"""One key of the ConfigMap taken apart: our block, and the text of others around it, which is kept byte for byte.

`stored` reads and writes through this. Where our block goes is part of its meaning: behind the others' text in `http{}`, because of
several `ssl_session_cache` the last one counts, and before it in `server{}`, where a `break` or `rewrite … last` of theirs would
skip our refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aop.origins.ingress_nginx.text import BEGIN, END, HTTP, KEYS

FIELD_MANAGER = "aop-operator"
"""The field manager that our writes must name, so that `owners` can tell ours from others'."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """What stands in one key."""

    text: str | None
    """All of it; None when the key is absent."""
    foreign: str = ""
    """It without our block: the bytes that somebody else put there."""
    intact: bool = False
    """Our block stands in it exactly as expected, once, at the start of a line."""
    marked: bool = False
    """A block of ours stands in it, though perhaps damaged or of another revision."""
    misplaced: bool = False
    """Others' text has come to stand on the wrong side of our block; the next write puts it right."""
    revision: int = 0
    """The revision that the marker of that block names; 0 without one."""
    owners: tuple[str, ...] = ()
    """Field managers other than ours that own the key; sorted."""

    @property
    def overwritten(self) -> bool:
        """Somebody else owns the key, and nothing in it is ours: they will not expect our text there, not even where it is empty."""
        return bool(self.owners) and not self.marked


def take_apart(config_map: Mapping[str, Any], blocks: Mapping[str, str], *, newline_added: bool) -> dict[str, Snippet]:
    """Every key of `KEYS`. `blocks` is what is expected there; `newline_added` tells that the newline before our block is ours."""
    data: Mapping[str, str] = config_map.get("data") or {}
    return {key: _snippet(key, data.get(key), blocks.get(key), _owners(config_map, key), newline_added=newline_added) for key in KEYS}


def put_together(key: str, foreign: str, block: str) -> str:
    """The whole text of a key: the others' text and our block in their places."""
    if key != HTTP:
        return block + foreign
    return foreign + ("\n" if needs_newline(foreign) else "") + block


def needs_newline(foreign: str) -> bool:
    """Whether the others' text ends within a line: a comment there would swallow the first line of ours."""
    return bool(foreign) and not foreign.endswith("\n")


def _snippet(key: str, text: str | None, block: str | None, owners: tuple[str, ...], *, newline_added: bool) -> Snippet:
    if text is None:
        return Snippet(None, owners=owners)
    begins = list(BEGIN.finditer(text))
    start, end = (begins[0].start(), text.find(END, begins[0].end())) if len(begins) == 1 else (-1, -1)
    if end < 0 or text.count(END) != 1:
        return Snippet(text, foreign=text, owners=owners)  # no block, or none that can be told from what is theirs
    end += len(END)
    before, after = text[:start], text[end:]
    if key == HTTP and newline_added and not after:
        before = before.removesuffix("\n")
    return Snippet(
        text,
        foreign=before + after,
        intact=text[start:end] == block,
        marked=True,
        misplaced=bool(after if key == HTTP else before),
        revision=int(begins[0]["revision"]),
        owners=owners,
    )


def _owners(config_map: Mapping[str, Any], key: str) -> tuple[str, ...]:
    entries = (config_map.get("metadata") or {}).get("managedFields") or ()
    owning = {entry.get("manager", "") for entry in entries if f"f:{key}" in ((entry.get("fieldsV1") or {}).get("f:data") or {})}
    return tuple(sorted(owning - {FIELD_MANAGER, ""}))
