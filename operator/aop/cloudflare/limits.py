"""What Cloudflare says about its limits in every answer: how many calls are left, and until when.

Pure.

The headers are those of the IETF's draft-ietf-httpapi-ratelimit-headers: `Ratelimit:
"default";r=50;t=30` and `Ratelimit-Policy: "default";q=1200;w=300`
(facts: cloudflare#limit-headers).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r";\s*([a-z]+)\s*=\s*([0-9]{1,9})\s*(?=[;,]|$)")
LONGEST_S = 3600
"""No longer window, and no longer time to a reset, is believed."""
_MOST_CALLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """One limit, as one answer states it."""

    name: str
    left: int
    """How many calls may still be made until the reset, by all who share the limit with us."""
    reset_s: float
    """Seconds until then."""
    quota: int | None = None
    """Calls per `window_s`; None: not stated."""
    window_s: float | None = None


def read_allowances(headers: Mapping[str, str]) -> tuple[Allowance, ...]:
    """Every limit that the answer states; what cannot be read is no limit."""
    policies = dict(_policies(headers.get("ratelimit-policy", "")))
    allowances = []
    for name, numbers in _items(headers.get("ratelimit", "")):
        if "r" not in numbers:
            continue
        # Cloudflare's own example names the two differently; if there is only one policy, that is
        # meant.
        quota, window_s = policies.get(name) or (
            next(iter(policies.values())) if len(policies) == 1 else (None, None)
        )
        # No window ends later than after its whole length, whatever `t` says.
        longest_s = window_s or LONGEST_S
        reset_s = float(min(numbers.get("t", longest_s), longest_s))
        allowances.append(
            Allowance(
                name,
                numbers["r"],
                reset_s,
                quota if quota is None else max(quota, numbers["r"]),
                window_s,
            )
        )
    return tuple(allowances)


def _policies(header: str) -> Iterator[tuple[str, tuple[int, float]]]:
    for name, numbers in _items(header):
        quota, window_s = numbers.get("q", 0), numbers.get("w", 0)
        if 1 <= quota <= _MOST_CALLS and 1 <= window_s <= LONGEST_S:
            yield name, (quota, float(window_s))


def _items(header: str) -> Iterator[tuple[str, dict[str, int]]]:
    for item in header.split(","):
        name = item.partition(";")[0].strip().strip('"')
        if name:
            yield name, {key: int(value) for key, value in _NUMBER.findall(item)}
