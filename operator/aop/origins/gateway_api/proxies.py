"""Which pods serve a Gateway: Envoy Gateway labels them."""

from __future__ import annotations

from collections.abc import Iterable

from aop.origins.pods import has_ended, key_of
from aop.origins.sites import Json
from aop.terms import ObjectKey

OWNER = "gateway.envoyproxy.io/owning-gateway"
"""How the labels begin (facts: envoy-gateway#labels-of-a-proxy)."""


def serving(pods: Iterable[Json], gateway: ObjectKey) -> tuple[Json, ...]:
    """A Gateway's proxies that have not ended; sorted."""
    return _labelled(pods, {f"{OWNER}-namespace": gateway.namespace, f"{OWNER}-name": gateway.name})


def serving_a_class(pods: Iterable[Json], gateway_class: str) -> tuple[Json, ...]:
    """The proxies of a class whose Gateways are merged; sorted."""
    return _labelled(pods, {f"{OWNER}class": gateway_class})


def _labelled(pods: Iterable[Json], labels: dict[str, str]) -> tuple[Json, ...]:
    return tuple(
        sorted(
            (
                pod
                for pod in pods
                if labels.items() <= (pod["metadata"].get("labels") or {}).items()
                and not has_ended(pod)
            ),
            key=key_of,
        )
    )
