"""What a person should know about a workload before its pods are replaced. Pure.

Somebody who has only replaced pods by hand, at night, may not know what visitors lose meanwhile.
None of it keeps the operator from anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aop.origins.sites import Json, Remark
from aop.origins.workload.pods import servers_in
from aop.terms import Kind

_QUARTER = "25%"
"""The default of both numbers of a Deployment (facts: kubernetes#rollouts)."""


def remarks(kind: Kind, name: str, workload: Json, config_map: str) -> tuple[Remark, ...]:
    """The remarks about a workload, a Kubernetes JSON object that messages call `name`."""
    servers = servers_of(workload, config_map)
    return (*_of_all_pods(kind, name, workload), *_of_each_pod(name, servers))


def servers_of(workload: Json, config_map: str) -> tuple[Json, ...]:
    """The containers of a workload's pods that mount the ConfigMap."""
    template = (workload.get("spec") or {}).get("template") or {}
    spec = template.get("spec") or {}
    return tuple(
        one
        for part in ("initContainers", "containers")
        for one in spec.get(part) or ()
        if one.get("name") in servers_in(template, config_map)
    )


def _of_all_pods(kind: Kind, name: str, workload: Json) -> Iterator[Remark]:
    at_once, pods = _replaced_at_once(kind, workload)
    if pods and at_once >= pods:
        yield Remark(
            f"{name} ends {'its only pod' if pods == 1 else f'all of its {pods} pods'} before new ones are there, whenever its pods are replaced",
            "Nobody is served meanwhile. The operator has the pods replaced three times until hosts are required, and twice for each renewal of the certificate",
            "Use a Deployment with maxUnavailable: 0"
            if kind is Kind.DEPLOYMENT
            else "Have two pods or more, of which one is replaced at a time",
        )


def _replaced_at_once(kind: Kind, workload: Json) -> tuple[int, int]:
    """How many pods may be missing while pods are replaced, and how many there are."""
    spec: Mapping[str, Any] = workload.get("spec") or {}
    if kind is Kind.DAEMON_SET:
        pods = (workload.get("status") or {}).get("desiredNumberScheduled") or 0
        return _missing(spec.get("updateStrategy"), pods, surge=0, unavailable=1), pods
    pods = spec.get("replicas", 1)
    if kind is Kind.STATEFUL_SET:
        return _missing(spec.get("updateStrategy"), pods, surge=0, unavailable=1), pods
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        return pods, pods
    return _missing(spec.get("strategy"), pods, surge=_QUARTER, unavailable=_QUARTER), pods


def _missing(
    strategy: Mapping[str, Any] | None, pods: int, surge: int | str, unavailable: int | str
) -> int:
    """How many may be missing; if none may, and none are added, it is one.

    Kubernetes rounds the missing down and the added up (facts: kubernetes#rollouts).
    """
    rolling = (strategy or {}).get("rollingUpdate") or {}
    beside = _count(rolling.get("maxSurge", surge), pods, up=True)
    missing = _count(rolling.get("maxUnavailable", unavailable), pods, up=False)
    return missing or (0 if beside else 1)


def _count(written: object, pods: int, *, up: bool) -> int:
    """A number of pods, or a percentage of all."""
    if isinstance(written, int):
        return written
    share = str(written).removesuffix("%")
    whole = pods * int(share) if share.isdecimal() else 0
    return -(-whole // 100) if up else whole // 100


def _of_each_pod(name: str, servers: tuple[Json, ...]) -> Iterator[Remark]:
    for one in servers:
        container = f"Container {one.get('name')} of {name}"
        if not one.get("readinessProbe"):
            yield Remark(
                f"{container} has no readinessProbe",
                "Whenever its pods are replaced, new ones get visitors before the server listens",
                "Give it a readinessProbe on the port for TLS",
            )
        if not (one.get("lifecycle") or {}).get("preStop"):
            yield Remark(
                f"{container} has no preStop",
                "Whenever its pods are replaced, visitors are still sent to a pod whose server has stopped",
                "Give it a preStop that waits for some seconds, until nobody sends it new connections",
            )
        if one.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            yield Remark(
                f"{container} does not have terminationMessagePolicy FallbackToLogsOnError",
                "If the server does not start, nobody sees its last words, so the operator takes a mistake in your configuration for one in its own",
                "Set it",
            )
