"""What each ServiceAccount asked the API server for, and what it was answered: read from the server's own audit log.

It proves least privilege (nothing denied, nothing granted that is unused), and that no Secret was
read which need not be.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

# `Metadata` has no bodies in it. Only ServiceAccounts: an admin's requests are the test's own.
# Watches count when they begin.
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: None
"""


@dataclass(frozen=True)
class AuditEvent:
    """One request.

    `code` is None while a watch is still running; `allowed` is None where no authorizer was asked.
    `agent` is what the client calls itself, `answered` when it was logged last.
    """

    at: datetime
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uri: str
    allowed: bool | None
    code: int | None
    answered: datetime | None = None
    agent: str = ""


def read(log: Path, user: str | None = None) -> tuple[AuditEvent, ...]:
    """All requests in the log in the order in which they were first logged, or those of one user.

    A request is logged when it has been answered, so a line may come some milliseconds after its
    answer: wait for what is expected. A line that is being written right now is left for the next
    reading.
    """
    if not log.exists():
        return ()
    events: dict[str, AuditEvent] = {}
    for line in log.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        raw = json.loads(line)
        if user is None or raw["user"]["username"] == user:
            events[raw["auditID"]] = _event(raw)
    return tuple(events.values())


def _event(raw: dict[str, Any]) -> AuditEvent:
    target = raw.get("objectRef", {})
    decision = raw.get("annotations", {}).get("authorization.k8s.io/decision")
    return AuditEvent(
        at=datetime.fromisoformat(raw["requestReceivedTimestamp"]),
        user=raw["user"]["username"],
        verb=raw["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        uri=raw["requestURI"],
        allowed=None if decision is None else decision == "allow",
        code=raw.get("responseStatus", {}).get("code")
        if raw["stage"] != "ResponseStarted"
        else None,
        answered=datetime.fromisoformat(raw["stageTimestamp"]),
        agent=raw.get("userAgent", ""),
    )
