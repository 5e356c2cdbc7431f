"""Counts what was really changed, and calls back at an exact point: between the API's answer and whoever asked.

One `Effects` may be shared by several proxies (`FaultProxy(..., effects=shared)`): then "the fourth
effect" is the fourth on either API.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.proxy.faults import Match
from sandbox.proxy.trace import Exchange

# What a client of Kubernetes writes without changing anything that a rollout is made of.
NOT_AN_EFFECT = r"/(events|leases|[a-z]+reviews)(/[^/]+)?$"

Callback = Callable[[Exchange], None]


@dataclass
class _Hook:
    nth: int
    match: Match
    delivered: bool
    callback: Callback
    seen: int = 0


class Effects:
    """Effects are POST, PUT, PATCH and DELETE that the API answered with 2xx, whether or not that answer reached anybody."""

    def __init__(self, counted: Match | None = None) -> None:
        self._counted = counted or Match(method="POST|PUT|PATCH|DELETE", except_path=NOT_AN_EFFECT)
        self._lock = threading.Lock()
        self._hooks: list[_Hook] = []
        self._exchanges: list[Exchange] = []
        self.errors: list[BaseException] = []

    @property
    def all(self) -> tuple[Exchange, ...]:
        """All effects so far, in the order in which the APIs answered."""
        with self._lock:
            return tuple(self._exchanges)

    def on(
        self, nth: int, callback: Callback, *, match: Match | None = None, delivered: bool = False
    ) -> None:
        """Call back once, at the n-th effect from now on (of those that match).

        Called in the proxy's own thread before one byte of the answer goes to the client, or,
        `delivered`, right after the last: then the client may have sent its next request already.
        What it raises is raised by `FaultProxy.stop`.
        """
        with self._lock:
            self._hooks.append(_Hook(nth, match or Match(), delivered, callback))

    def clear(self) -> None:
        """Forget the callbacks that were not called yet. What was counted stays counted."""
        with self._lock:
            self._hooks.clear()

    def note(self, exchange: Exchange) -> list[Callback]:
        """Count an answered request, call what is due before delivery, and return what is due after it. Called by the proxy alone."""
        with self._lock:
            if not (exchange.applied and self._counted(exchange)):
                return []
            self._exchanges.append(exchange)
            exchange.effect = len(self._exchanges)
            due = []
            for hook in list(self._hooks):
                if hook.match(exchange):
                    hook.seen += 1
                    if hook.seen == hook.nth:
                        self._hooks.remove(hook)
                        due.append(hook)
        self.call([hook.callback for hook in due if not hook.delivered], exchange)
        return [hook.callback for hook in due if hook.delivered]

    def call(self, callbacks: list[Callback], exchange: Exchange) -> None:
        """Call each, and keep what it raises."""
        for callback in callbacks:
            try:
                callback(exchange)
            except Exception as error:  # noqa: BLE001  # it belongs to the test, in another thread: `FaultProxy.stop` raises it there
                self.errors.append(error)
