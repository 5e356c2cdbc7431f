"""Calls that Cloudflare has refused, or accepted in vain, and how long each is left alone.

Pure: time is passed in.

The loop looks at the world every few seconds, and each time decides that a certificate is missing.
That must not send the private key every few seconds to a server that has refused it, or has named a
time to come back. A call that is held ends with the exception of before. A hold belongs to the
token, the call and what was sent: a corrected token, another zone or a new leaf is tried at once.

A yes that changes nothing is no better: a change that was accepted a few times and is wanted again
and again is left alone in the same way.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from aop.cloudflare.errors import (
    AlreadyDeleted,
    AlreadyExists,
    ApiFailure,
    CannotDeleteYet,
    ChangeUnderWay,
    CloudflareError,
    Ineffective,
    NotFound,
    RateLimited,
    TokenDoubted,
    Unavailable,
)

LONGEST_S = 300.0
"""After a person has corrected something at Cloudflare, the operator acts within a resync (promise
L3)."""
LONGEST_PROTECTING_S = 60.0
"""The same for a call on which visitors depend."""
_FIRST_S: dict[type[CloudflareError], float] = {
    ChangeUnderWay: 5.0,
    CannotDeleteYet: 5.0,
    AlreadyExists: 5.0,
    Unavailable: 5.0,
    TokenDoubted: 10.0,
    Ineffective: 5.0,
}
_FIRST_REFUSAL_S = 30.0
"""For what only a person can end: a permission, a quota, a plan."""
_NOT_HELD = (RateLimited, NotFound, AlreadyDeleted)
"""The budget pauses for the first; the other two are what was wanted."""
ACCEPTED_FREELY = 5
"""How often a change may be accepted before it counts as having no effect: a person who tries
something out repeats it as well."""
RECENT_S = 600.0
"""Acceptances that are further apart than this are unrelated; it is longer than the longest
pause."""
_FORGET_S = 3600.0


@dataclass(slots=True)
class Hold:
    """One call that was refused."""

    error: CloudflareError
    until_s: float
    times: int
    """How often in a row for this reason."""
    since_s: float
    """When the first of them was."""


class Holds:
    """All calls that are held.

    A call is whatever can be told apart: its key consists of token, endpoint, ids and what was
    sent.
    """

    def __init__(self) -> None:
        self._holds: dict[Hashable, Hold] = {}
        self._accepted: dict[Hashable, tuple[int, float, float]] = {}
        """How often each mutation was accepted, each time shortly after the last; when first, and
        when last."""

    def refusal(self, call: Hashable, now_s: float) -> CloudflareError | None:
        """The exception to raise instead of making the call; None if it may be made."""
        hold = self._holds.get(call)
        return hold.error.again(hold.until_s - now_s) if hold and hold.until_s > now_s else None

    def has_been_refused(self, call: Hashable) -> bool:
        """Whether the call was refused when it was last made, and is now tried again."""
        return call in self._holds

    def postponed(self, call: Hashable, wait_s: float) -> CloudflareError | None:
        """The exception of before, for a call that is due again and has to wait its turn.

        None if there is none.
        """
        hold = self._holds.get(call)
        return hold.error.again(wait_s) if hold else None

    def refused(
        self,
        call: Hashable,
        error: CloudflareError,
        now_s: float,
        *,
        mutates: bool,
        protects: bool = False,
    ) -> None:
        """Note that the call ended in `error`, which then says how long it is left alone.

        A read is held only for the time that the answer named: how often it is made is up to the
        reader. A mutation is held longer each time.
        """
        named_s = error.failure.retry_after_s or 0.0 if error.failure else 0.0
        if isinstance(error, _NOT_HELD) or not (mutates or named_s):
            return
        self._forget(now_s)
        before = self._holds.get(call)
        goes_on = before is not None and type(before.error) is type(error)
        times, since_s = (
            (before.times + 1, before.since_s) if before is not None and goes_on else (1, now_s)
        )
        longest_s = LONGEST_PROTECTING_S if protects else LONGEST_S
        pause_s = max(
            named_s, min(_first_s(error) * 2 ** min(times - 1, 20), longest_s) if mutates else 0.0
        )
        error.hold(pause_s)
        error.lasting_s = now_s - since_s
        self._holds[call] = Hold(error.again(pause_s), now_s + pause_s, times, since_s)

    def succeeded(self, call: Hashable) -> None:
        """The call succeeded: the next refusal counts as the first one."""
        self._holds.pop(call, None)

    def accepted(
        self, call: Hashable, failure: ApiFailure, now_s: float, *, protects: bool = False
    ) -> None:
        """A mutation succeeded, or was done already; `failure` says which.

        One that is wanted over and over is held longer each time.
        """
        self._accepted = {
            key: known for key, known in self._accepted.items() if now_s - known[2] < RECENT_S
        }
        before, since_s, _ = self._accepted.get(call, (0, now_s, now_s))
        times = before + 1
        self._accepted[call] = times, since_s, now_s
        if times < ACCEPTED_FREELY:
            return
        longest_s = LONGEST_PROTECTING_S if protects else LONGEST_S
        error = Ineffective(
            f"Cloudflare has accepted this change {times} times within {now_s - since_s:.0f} s, and it does not last: it has no effect, or "
            "somebody undoes it each time. See in the dashboard's audit log (Manage Account > Audit Log) who changes the zone.",
            failure,
        )
        pause_s = min(_first_s(error) * 2 ** min(times - ACCEPTED_FREELY, 20), longest_s)
        error.hold(pause_s)
        self._holds[call] = Hold(error, now_s + pause_s, times, since_s)

    def _forget(self, now_s: float) -> None:
        self._holds = {
            call: hold for call, hold in self._holds.items() if now_s - hold.until_s < _FORGET_S
        }


def _first_s(error: CloudflareError) -> float:
    return next(
        (first_s for kind, first_s in _FIRST_S.items() if isinstance(error, kind)), _FIRST_REFUSAL_S
    )
