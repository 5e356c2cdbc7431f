"""A reverse proxy that stands before an HTTP API, counts what passes, and disturbs it on demand.

One proxy serves both APIs: Kubernetes (TLS in and out, tokens pass through) and Cloudflare (plain
HTTP or TLS in). There are no hooks in the product: a test that wants the operator killed exactly
after its third write has the proxy do it, between the API's answer and the operator.
"""

from sandbox.proxy.effects import Effects
from sandbox.proxy.faults import (
    Altered,
    Answer,
    CutWatch,
    Delay,
    DropAfter,
    DropBefore,
    Fault,
    HideEvent,
    Match,
    Rule,
    Stale,
    Truncate,
    WatchError,
)
from sandbox.proxy.server import FaultProxy
from sandbox.proxy.trace import Exchange

__all__ = [
    "Altered",
    "Answer",
    "CutWatch",
    "Delay",
    "DropAfter",
    "DropBefore",
    "Effects",
    "Exchange",
    "Fault",
    "FaultProxy",
    "HideEvent",
    "Match",
    "Rule",
    "Stale",
    "Truncate",
    "WatchError",
]
