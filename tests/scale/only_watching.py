"""A Kopf operator with Kopf's own defaults that has every AuthenticatedOriginPull told by one `on.event` handler, and does nothing.

`KUBECONFIG=... python tests/scale/only_watching.py` prints at each event how many objects it was told of.
What the operator takes in memory is compared with this process.
"""

from __future__ import annotations

import asyncio
from typing import Any

import kopf

from aop.api import GROUP


def main() -> None:
    """Watch until somebody ends the process."""
    asyncio.run(_watch())


async def _watch() -> None:
    registry, seen = kopf.OperatorRegistry(), set[str]()

    @kopf.on.login(registry=registry)
    async def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, "v1alpha1", "authenticatedoriginpulls", registry=registry)
    async def _event(uid: str | None, **_: Any) -> None:
        seen.add(uid or "")
        print(len(seen), flush=True)

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    await kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True)


if __name__ == "__main__":
    main()
