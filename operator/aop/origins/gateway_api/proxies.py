"""Which pods serve a Gateway: Envoy Gateway labels them."""

from __future__ import annotations

from collections.abc import Iterable

from aop.origins.pods import has_ended, key_of
from aop.origins.sites import Json
from aop.terms import ObjectKey

OWNER = "gateway.envoyproxy.io/owning-gateway"
"""How the two labels begin (facts: envoy-gateway#labels-of-a-proxy)."""


def serving(pods: Iterable[Json], gateway: ObjectKey) -> tuple[Json, ...]:
    """Those of a Gateway's proxies that have not ended; sorted."""
    owner = {f"{OWNER}-namespace": gateway.namespace, f"{OWNER}-name": gateway.name}
    return tuple(
        sorted(
            (
                pod
                for pod in pods
                if owner.items() <= (pod["metadata"].get("labels") or {}).items()
                and not has_ended(pod)
            ),
            key=key_of,
        )
    )
