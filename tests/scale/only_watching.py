"""The least that a Kopf operator can hold: it has every AuthenticatedOriginPull told by one `on.event` handler and does nothing.

`KUBECONFIG=... python -m scale.only_watching`: a line with the number of objects for each hundred
that it was told of. What the operator takes in memory is compared with this process.
"""

from __future__ import annotations

import asyncio
from typing import Any

import kopf

from aop.api import GROUP

SAID_EVERY = 100


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
        if len(seen) % SAID_EVERY == 0:
            print(len(seen), flush=True)

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    await kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True)


if __name__ == "__main__":
    main()
