"""The two impurities that decisions need, in one place, so that they can be passed in.

Built once in `aop.__main__`; `observe`, `reconcile` and the clients read it, pure floors never do.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime


class Clock:
    """Wall time, monotonic time, and jitter."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        return time.monotonic()

    def jitter(self, limit: float) -> float:
        """A number from 0 to `limit`, evenly spread: full jitter for backoffs."""
        return random.uniform(0, limit)  # noqa: S311 - spreads load, guards nothing
