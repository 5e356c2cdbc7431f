"""How GET /zones selects and pages, and what zone settings take. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import idna

from sandbox.cloudflare import errors
from sandbox.cloudflare.knobs import Knobs
from sandbox.cloudflare.state import SSLMode, StoredZone, ZoneSetting

_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "equal": lambda name, wanted: name == wanted,
    "not_equal": lambda name, wanted: name != wanted,
    "starts_with": lambda name, wanted: name.startswith(wanted),
    "ends_with": lambda name, wanted: name.endswith(wanted),
    "contains": lambda name, wanted: wanted in name,
}

_FIELDS: dict[str, Callable[[StoredZone], str]] = {
    "name": lambda zone: zone.name,
    "status": lambda zone: zone.status,
    "account.id": lambda zone: zone.account_id,
    "account.name": lambda zone: zone.account_name,
}


@dataclass(frozen=True, slots=True)
class Query:
    """The query string of GET /zones (facts: cloudflare#zone-list)."""

    wanted: Mapping[str, str]
    page: int
    per_page: int
    order: str | None
    descending: bool
    match_any: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Query:
        """Read it.

        Raises:
            ApiError: a page size outside 5..50, a page below 1, or an unknown order.
        """
        number, size = paging(query, default=20, least=5, most=50)
        order = query.get("order")
        if order is not None and order not in _FIELDS:
            raise errors.ApiError(400, None, "Invalid value for order")
        wanted = {name: query[name] for name in _FIELDS if name in query}
        return cls(
            wanted,
            number,
            size,
            order,
            query.get("direction") == "desc",
            query.get("match") == "any",
        )

    def select(self, zones: Sequence[StoredZone]) -> list[StoredZone]:
        """The zones that match, in order."""
        agreed = any if self.match_any else all
        selected = [
            zone
            for zone in zones
            if not self.wanted
            or agreed(_agrees(zone, field, text) for field, text in self.wanted.items())
        ]
        if self.order:
            selected.sort(key=_FIELDS[self.order], reverse=self.descending)
        return selected

    def page_of(self, zones: Sequence[StoredZone]) -> Sequence[StoredZone]:
        """The page asked for."""
        return zones[(self.page - 1) * self.per_page : self.page * self.per_page]


def paging(query: Mapping[str, str], *, default: int, least: int, most: int) -> tuple[int, int]:
    """`page` and `per_page`.

    Raises:
        ApiError: not numbers, or out of bounds.
    """
    try:
        number, size = int(query.get("page", "1")), int(query.get("per_page", str(default)))
    except ValueError as error:
        raise errors.ApiError(400, None, "page and per_page must be numbers") from error
    if number < 1 or not least <= size <= most:
        raise errors.ApiError(
            400, None, f"per_page must be between {least} and {most}, page at least 1"
        )
    return number, size


def number_of(query: Mapping[str, str]) -> int:
    """`page`, where its size is not the caller's to choose.

    Raises:
        ApiError: no number from 1.
    """
    text = query.get("page", "1")
    if not text.isdecimal() or int(text) < 1:
        raise errors.ApiError(400, None, "page must be a number from 1")
    return int(text)


def settings(zone: StoredZone) -> dict[str, ZoneSetting]:
    """All of them by name."""
    return {"ssl": zone.ssl, "tls_client_auth": zone.global_aop, **zone.other_settings}


def setting(zone: StoredZone, name: str, path: str) -> ZoneSetting:
    """One of them.

    Raises:
        ApiError: another name (7003).
    """
    known = settings(zone).get(name)
    if known is None:
        raise errors.not_routable(path)
    return known


ON_OFF = {"on": ("on", "off"), "off": ("on", "off")}
"""What a setting that is one of the two may become."""


def change_setting(
    zone: StoredZone, name: str, value: Any, *, now: float, knobs: Knobs, path: str
) -> None:
    """Change one; `ssl` reaches the edge late.

    Raises:
        ApiError: another name (7003), or a value that it cannot have.
    """
    target = setting(zone, name, path)
    allowed = get_args(SSLMode) if name == "ssl" else ON_OFF.get(str(target.value))
    if not isinstance(value, str) or (allowed is not None and value not in allowed):
        raise errors.ApiError(400, None, f"Invalid value for zone setting {name}")
    target.change(value, now, knobs.ssl_s if name == "ssl" else 0)


def _agrees(zone: StoredZone, field: str, text: str) -> bool:
    has = _FIELDS[field](zone)
    operator, colon, rest = text.partition(":")
    if field == "name" and colon:
        exact = operator.removesuffix("_case_sensitive")
        if exact in _OPERATORS:
            return _OPERATORS[exact](has, rest if exact != operator else rest.lower())
    return has == (_in_ascii(text.lower()) if field == "name" else text)


def _in_ascii(name: str) -> str:
    """A query works with either form of an internationalised name."""
    return name if name.isascii() else idna.encode(name, uts46=True).decode()
