"""What can go wrong, as two exceptions; everything else is a bug.

The tree is the contract between the floors: each class stands for one reaction of the loop::

    AopError
    ├── Blocked      the user must act: a condition tells why, rechecks are slow, a change wakes it
    └── Transient    tried again by itself, after `retry_after_s` where it is named, else a backoff

`Blocked` names a `Reason`, of which `aop.reasons` has the table.
"""

from __future__ import annotations

from aop.reasons import Reason

__all__ = ["AopError", "Blocked", "Reason", "Transient", "plain"]


class AopError(Exception):
    """Something to which a person or the loop has to react.

    `message` says what, to which object, and what to do next.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Blocked(AopError):
    """The user must act. Never retried fast; woken by any change."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Transient(AopError):
    """Tried again by itself; `retry_after_s` (seconds) when the other side named a time."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def plain(text: str, longest: int = 1000) -> str:
    """Text from outside as one printable line of at most `longest` characters.

    No escape sequence reaches a terminal, and no line can be forged.
    """
    line = " ".join(
        "".join(sign if sign.isprintable() else " " for sign in text[: longest * 4]).split()
    )
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
