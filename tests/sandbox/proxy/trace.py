"""What passed a proxy: the trace that tests read.

Bodies and headers are not in it, for they carry keys and tokens.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass
class Exchange:
    """One request and what became of it.

    A watch is in the trace from its beginning and is completed when it ends.

    `number` counts from 1 within one proxy. `upstream_status` is what the API answered, None while
    or where it was not asked or gave no answer. `status` is what the client was given, None where
    it got no answer. `effect` is the number of this change among all changes counted. `events`
    counts the watch events that were passed on. `duration_s` is None while it is still running.
    """

    number: int
    at: datetime
    method: str
    path: str
    query: str
    watch: bool
    user_agent: str
    fault: str | None = None
    upstream_status: int | None = None
    status: int | None = None
    effect: int | None = None
    events: int = 0
    duration_s: float | None = None

    @property
    def applied(self) -> bool:
        """Whether the API carried it out (answered 2xx), whatever the client has heard."""
        return self.upstream_status is not None and 200 <= self.upstream_status < 300

    def __str__(self) -> str:
        outcome = self.status if self.status is not None else "no answer"
        disturbed = f" [{self.fault}, API said {self.upstream_status}]" if self.fault else ""
        return f"{self.number:4d} {self.at:%H:%M:%S.%f} {self.method} {self.path}{'?' + self.query if self.query else ''} -> {outcome}{disturbed}"
