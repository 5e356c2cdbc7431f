"""Whether a list goes on after a page, and how to ask for the rest. Pure.

Cloudflare counts in several ways: `total_pages`, or `total_count` with `per_page`; a cursor, in one
of two places; or not at all, so that another page follows a full one. Numbers also come as strings
(facts: cloudflare#paging, cloudflare#loose-shapes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Following:
    """There is more, or may be."""

    query: dict[str, str]
    """What is to be added to the query."""
    certain: bool
    """False: the page was full, and nothing says how many there are."""


def next_page(info: Mapping[str, Any], page: int, *, count: int, seen: int) -> Following | None:
    """What follows page number `page` (from 1), which has `count` items.

    `seen` are the items of all pages so far. None: there is nothing more. `info` is `result_info`,
    in which everything may be missing or meaningless.
    """
    if cursor := _cursor(info):
        return Following({"cursor": cursor}, certain=True)
    numbered = {"page": str(page + 1)}
    pages, total, size = (
        _number(info.get(name)) for name in ("total_pages", "total_count", "per_page")
    )
    if (pages or 0) > page or (total or 0) > seen:
        return Following(numbered, certain=True)
    if pages is None and total is None and size and count >= size:
        return Following(numbered, certain=False)
    return None


def _cursor(info: Mapping[str, Any]) -> str:
    cursors = info.get("cursors")
    cursor = info.get("cursor") or (cursors.get("after") if isinstance(cursors, dict) else None)
    return cursor if isinstance(cursor, str) else ""


def _number(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
