"""The one way in which somebody else's bytes meet a parser that we did not write.

The parsers are json, email, pydantic and cryptography. Each documents the exceptions that it
raises, and each raises others for inputs that nobody thought of: a date that leaves the calendar
when it is moved to UTC, a number of more digits than Python converts, a certificate of version 5.
An answer that ends a loop would take protection with it, so whatever is raised means one thing:
this cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def guarded(read: Callable[[], T]) -> T | None:
    """What `read` returns; None if it raises, whatever that is.

    For pure parsers only: it hides bugs as well.
    """
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - a panic of the Rust underneath pydantic and cryptography is no Exception
        return None
