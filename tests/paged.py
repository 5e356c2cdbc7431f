"""What the doubles of a cluster share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any


class Paged:
    """Gives one after the other what `list` gives at once, as `Cluster.each` does."""

    async def each(
        self,
        *which: Any,
        version: object = None,  # noqa: ARG002 - nobody goes on from it
        **how: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        for manifest in await self.list(*which, **how):  # type: ignore[attr-defined]  # of the double
            yield manifest
