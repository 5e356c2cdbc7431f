"""Cloudflare's limit: 1,200 calls in 5 minutes per owner, and once it is passed no call at all for 5 minutes. Pure.

facts: cloudflare#calls-per-user, cloudflare#throttling-codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sandbox.cloudflare.knobs import Knobs


@dataclass(slots=True)
class _Owner:
    begun: float
    calls: int = 0
    blocked_until: float = -math.inf


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left for an owner after a call."""

    left: int
    reset_s: int
    blocked: bool

    def headers(self, knobs: Knobs) -> dict[str, str]:
        """As they come with every answer."""
        if not knobs.rate_headers:
            return {}
        policy = f'"default";q={knobs.rate_calls};w={knobs.rate_window_s:g}'
        return {
            "ratelimit": f'"default";r={self.left};t={self.reset_s}',
            "ratelimit-policy": policy,
        }


class Throttle:
    """All owners: users, and accounts with tokens of their own."""

    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}

    def count(self, owner: str, now: float, knobs: Knobs) -> Standing:
        """Count one call, which is refused if `blocked`."""
        known = self._owners.setdefault(owner, _Owner(now))
        if now < known.blocked_until:
            return Standing(0, math.ceil(known.blocked_until - now), blocked=True)
        if now >= known.begun + knobs.rate_window_s or known.blocked_until > known.begun:
            known = self._owners[owner] = _Owner(now)
        known.calls += 1
        if known.calls > knobs.rate_calls:
            known.blocked_until = now + knobs.rate_block_s
            return Standing(0, math.ceil(knobs.rate_block_s), blocked=True)
        return Standing(
            knobs.rate_calls - known.calls,
            math.ceil(known.begun + knobs.rate_window_s - now),
            blocked=False,
        )

    def use_up(self, owner: str, left: int, now: float, knobs: Knobs) -> None:
        """Somebody else's tools have made all calls but `left` within this window."""
        self._owners[owner] = _Owner(now, knobs.rate_calls - left)
