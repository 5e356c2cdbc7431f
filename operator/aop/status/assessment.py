"""What one condition says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aop.errors import Reason

Truth = Literal["True", "False", "Unknown"]

LONGEST = 2000
"""How many characters a message may have."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """One condition's content."""

    truth: Truth
    reason: Reason
    message: str
