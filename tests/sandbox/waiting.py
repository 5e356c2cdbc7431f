"""Waiting for a condition with a deadline: the only kind of waiting in tests and in the sandbox.

Whoever waits says what for, so that a deadline that passes tells a person what did not happen, and
what was seen instead.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """The condition did not come true before its deadline.

    An assertion, because in a test that is what has failed.
    """


def until(
    condition: Callable[[], T],
    *,
    within_s: float,
    describe: str | Callable[[], str],
    every_s: float = 0.05,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """Ask `condition` again and again until its answer is truthy, and return that answer.

    `describe` ends the sentence "waited N s for ..."; as a function it is asked once, after the
    deadline, and may tell what the world looks like. Exceptions of the classes in `ignoring` count
    as "not yet". At least one attempt is made, and one begun before the deadline counts.

    Raises:
        NotInTimeError: the deadline passed. The last answer, or the last ignored exception, is in the message.
    """
    deadline = time.monotonic() + within_s
    while True:
        seen: object
        try:
            answer = condition()
        except ignoring as error:
            seen = error
        else:
            if answer:
                return answer
            seen = answer
        if time.monotonic() >= deadline:
            raise _not_in_time(within_s, describe, seen)
        time.sleep(every_s)


async def until_async(
    condition: Callable[[], Awaitable[T] | T],
    *,
    within_s: float,
    describe: str | Callable[[], str],
    every_s: float = 0.05,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """`until` for coroutines: `condition` may be a plain or an async function; the event loop runs on between attempts.

    A single attempt that hangs is cut at the deadline as well.

    Raises:
        NotInTimeError: as `until`.
    """
    deadline = time.monotonic() + within_s
    seen: object = None
    while True:
        try:
            answer = condition()
            if isinstance(answer, Awaitable):
                async with asyncio.timeout(max(deadline - time.monotonic(), every_s)):
                    answer = await answer
        except ignoring as error:
            seen = error
        except TimeoutError:
            if time.monotonic() < deadline:
                raise
            seen = "an attempt that was still running"
        else:
            if answer:
                return answer
            seen = answer
        if time.monotonic() >= deadline:
            raise _not_in_time(within_s, describe, seen)
        await asyncio.sleep(every_s)


def _not_in_time(
    within_s: float, describe: str | Callable[[], str], seen: object
) -> NotInTimeError:
    what = describe if isinstance(describe, str) else describe()
    return NotInTimeError(f"waited {within_s:g} s for {what}; the last attempt gave {seen!r}")
