"""An Event as the API server takes it.

What `kubectl get events` shows beside the object that it is about. Kubernetes forgets Events after
an hour, so nothing of the operator's depends on one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from aop.errors import plain
from aop.terms import ObjectKey

EventType: TypeAlias = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an Event is about; the Event stands in its namespace."""

    api_version: str
    kind: str
    key: ObjectKey
    uid: str = ""


def event(
    subject: Subject, kind: EventType, reason: str, message: str, now: datetime, count: int = 1
) -> dict[str, Any]:
    """The manifest of one Event, counted `count` times; `now` is wall time, aware."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    involved = {
        "apiVersion": subject.api_version,
        "kind": subject.kind,
        "name": subject.key.name,
        "namespace": subject.key.namespace,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{subject.key.name[:200]}.{int(now.timestamp() * 1e6):x}",
            "namespace": subject.key.namespace,
        },
        "involvedObject": {**involved, **({"uid": subject.uid} if subject.uid else {})},
        "type": kind,
        "reason": reason,
        "message": plain(message),
        "source": {"component": "aop-operator"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": count,
    }
