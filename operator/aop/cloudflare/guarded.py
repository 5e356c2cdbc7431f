"""The one way in which other people's bytes reach a parser that we did not write.

The parsers are json, email, pydantic and cryptography. Each documents the exceptions that it
raises, and each raises others for inputs that nobody thought of: a date that leaves the calendar
when it is moved to UTC, a number with more digits than Python converts, a certificate of version 5.
An answer that ends a loop would end protection with it. So whatever is raised means the same: this
cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def guarded(read: Callable[[], T]) -> T | None:
    """What `read` returns; None if it raises anything.

    For pure parsers only, because it hides bugs as well.
    """
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - a panic of the Rust underneath pydantic and cryptography is no Exception
        return None
