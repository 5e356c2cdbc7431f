"""What an answer of Cloudflare looks like, without what it says: no name, id, digest or token is in a shape. Pure.

A shape is flat: from `result.certificate` to `certificate in PEM`. Of a list, all items together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Shape = Mapping[str, str]
"""From where a value stands to what kind it is; several kinds are parted by ` or `."""

KEPT = frozenset({"success", "enabled", "status", "paused", "editable"})
"""Fields of which the value itself is told: words of Cloudflare's own."""
WORD = re.compile(r"[a-z_]{1,40}")
KINDS = {
    "id of 32 hexadecimal digits": r"[0-9a-f]{32}",
    "id with dashes": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "time with fractions": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)",
    "decimal digits": r"\d+",
    "certificate in PEM": r"(?s)-----BEGIN CERTIFICATE-----.*",
    "distinguished name": r"(?s)[A-Z]{1,2}=.*",
    "signature algorithm": r"[A-Za-z0-9]*(SHA|RSA|ECDSA)[A-Za-z0-9-]*",
}
PLACEHOLDERS = (
    ("PEM", r"(?s)-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----"),
    ("ADDRESS", r"[\w.+-]+@[\w-]+\.[\w.]+"),
    ("ID", r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    ("ID", r"\b[0-9A-Fa-f]{32,64}\b"),
    ("ADDRESS", r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
)


def shape(answer: Any) -> dict[str, str]:
    """Of a decoded answer."""
    by_place: dict[str, set[str]] = {}
    for place, kind in _walked(answer, ""):
        by_place.setdefault(place, set()).add(kind)
    return {place: " or ".join(sorted(kinds)) for place, kinds in sorted(by_place.items())}


def _walked(value: Any, place: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, inner in value.items():
                yield from _walked(inner, f"{place}.{name}".lstrip("."))
        case list():
            yield place, "list" if value else "empty list"
            for item in value:
                yield from _walked(item, f"{place}[]")
        case _:
            yield place, kind(value, place.rpartition(".")[2])


def kind(value: Any, field: str) -> str:
    """What sort of thing a value is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower() if field in KEPT else "boolean"
    if isinstance(value, int | float):
        return str(value) if field == "code" else "number"
    if field in KEPT and WORD.fullmatch(value):
        return str(value)
    return next((name for name, form in KINDS.items() if re.fullmatch(form, value)), "text")


def texts(value: Any) -> Iterator[str]:
    """Every string of an answer that is not a word of Cloudflare's own: what must not be told."""
    match value:
        case dict():
            for name, inner in value.items():
                if name not in {*KEPT, "message", "value", "type"}:
                    yield from texts(inner)
        case list():
            for item in value:
                yield from texts(item)
        case str() if len(value) > 5:
            yield value


def scrubbed(words: str, names: Mapping[str, str], seen: Iterable[str] = ()) -> str:
    """Words of Cloudflare with placeholders for what is of this zone.

    `names` goes from what is known (the zone, the host, the token) to its placeholder; `seen` are
    strings that answers have held.
    """
    for text, placeholder in names.items():
        words = re.sub(re.escape(text), placeholder, words, flags=re.IGNORECASE)
    for text in sorted(seen, key=len, reverse=True):
        words = words.replace(text, "TEXT")
    for placeholder, form in PLACEHOLDERS:
        words = re.sub(form, placeholder, words)
    return words
