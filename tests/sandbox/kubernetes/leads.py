"""Who led when, and whether anybody else changed anything, by the API server's audit log.

Each process calls itself by a name of its own in `User-Agent`; who leads writes the Lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sandbox.kubernetes.audit import AuditEvent

WRITES = {"create", "update", "patch", "delete"}


@dataclass(frozen=True, slots=True)
class Write:
    """Something that was changed, or was to be, by whom and between which moments."""

    agent: str
    at: datetime
    answered: datetime
    what: str

    @classmethod
    def of(cls, event: AuditEvent) -> Write:
        """One at the API server."""
        answered = event.answered or event.at
        return cls(event.agent, event.at, answered, f"{event.verb} {event.uri}")


def of_the_lease(events: Iterable[AuditEvent]) -> list[Write]:
    """Each time that somebody has taken, renewed or released it."""
    return _in_order(
        Write.of(one)
        for one in events
        if (one.verb, one.resource, one.code) == ("update", "leases", 200)
    )


def of_all_else(events: Iterable[AuditEvent]) -> list[Write]:
    """Everything else that anybody has changed, or tried to."""
    return _in_order(
        Write.of(one) for one in events if one.verb in WRITES and one.resource != "leases"
    )


def second_writers(holding: Sequence[Write], changes: Iterable[Write]) -> list[str]:
    """Changes by somebody who had not written the Lease last, or that had not ended when another wrote it."""
    wrong = []
    for change in changes:
        before, after = _last(holding, change.at), _next(holding, change)
        if before is None or before.agent != change.agent:
            wrong.append(f"{change}, after {before}")
        elif after is not None and after.at < change.answered:
            wrong.append(f"{change}, beside {after}")
    return wrong


def handed_over_s(holding: Sequence[Write]) -> list[float]:
    """How long nobody led each time, in seconds: from the last write of the one to the first of the other."""
    return [
        (after.answered - before.answered).total_seconds()
        for before, after in pairwise(holding)
        if before.agent != after.agent
    ]


def _last(holding: Sequence[Write], moment: datetime) -> Write | None:
    return next((one for one in reversed(holding) if one.at <= moment), None)


def _next(holding: Sequence[Write], change: Write) -> Write | None:
    """When another than who has made the change has written the Lease after it."""
    return next((one for one in holding if one.at > change.at and one.agent != change.agent), None)


def _in_order(writes: Iterable[Write]) -> list[Write]:
    return sorted(writes, key=lambda it: it.at)
