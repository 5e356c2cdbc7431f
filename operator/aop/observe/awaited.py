"""Who waits until an origin's replicas run what is published: one of them looks for all.

A reload takes seconds. If each of a hundred objects kept looking meanwhile, the process would do
little else (docs/adr/0020).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOKS_EACH_S = 0.5
"""How often one of those who wait looks. A revision counts once it was seen twice, that far
apart."""
AT_LATEST_S = 5.0
"""When each of them looks by itself, even if it is not woken."""


class AwaitedRevision:
    """Those who wait for one origin's replicas, by uid; built once by its keeper."""

    def __init__(self, wake: Callable[[frozenset[str]], None]) -> None:
        self._wake = wake
        self._waiting: dict[str, None] = {}
        """Whoever has waited longest comes first."""
        self._timer: asyncio.TimerHandle | None = None
        self._revision: int | None = None
        """The revision that every replica was last seen to run, or a later one."""

    def wait(self, uid: str) -> None:
        """The object is woken when the replicas run another revision, or to look for all."""
        self._waiting[uid] = None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LOOKS_EACH_S, self._one_looks)

    def drop(self, uid: str) -> None:
        """An object is gone."""
        self._waiting.pop(uid, None)

    def run(self, revision: int | None) -> None:
        """Every replica was seen to run this revision at least; None: not all have shown one."""
        if revision == self._revision:
            return
        self._revision = revision
        if revision is not None and self._waiting:
            waiting, self._waiting = frozenset(self._waiting), {}
            self._wake(waiting)

    def _one_looks(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        first = next(iter(self._waiting))
        del self._waiting[first]
        self._wake(frozenset({first}))
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(LOOKS_EACH_S, self._one_looks)
