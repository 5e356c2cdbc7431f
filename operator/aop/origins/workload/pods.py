"""Which pods read our ConfigMap, and whose they are.

Not only those that mount it: while a workload's pods are replaced by pods that do, the old ones
serve the same hosts and cannot refuse anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from aop.origins.pods import has_ended, ip_of, is_ready, key_of
from aop.origins.sites import Json, Replica
from aop.origins.workload.spec import Ports


class Owner(NamedTuple):
    """What keeps a pod running, as far as the pod shows; prints as people write it."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def owner_of(pod: Json) -> Owner | None:
    """The workload of a pod; None: nobody's.

    Between a Deployment and its pods stands a ReplicaSet, named after the Deployment and the hash
    of the template (facts: kubernetes#replica-sets).
    """
    metadata = pod["metadata"]
    for reference in metadata.get("ownerReferences") or ():
        if not reference.get("controller"):
            continue
        kind, name = str(reference.get("kind")), str(reference.get("name"))
        template = (metadata.get("labels") or {}).get("pod-template-hash")
        if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
            return Owner("Deployment", name.removesuffix(f"-{template}"))
        return Owner(kind, name)
    return None


def volumes_of(spec: Json, config_map: str) -> dict[str, bool]:
    """The volumes of a pod's spec with the ConfigMap, and whether each may be without it."""
    return {
        str(volume.get("name")): all(source.get("optional") is True for source in sources)
        for volume in spec.get("volumes") or ()
        if (sources := [one for one in _sources(volume) if one.get("name") == config_map])
    }


def has_sub_paths(spec: Json, volumes: Collection[str]) -> bool:
    """Whether some container mounts a part of one of these volumes.

    A part that is not there when it starts is an empty folder in the container, and a part that is
    there never changes (facts: kubernetes#mounted-config-maps).
    """
    return any(
        mount.get("name") in volumes and (mount.get("subPath") or mount.get("subPathExpr"))
        for part in ("initContainers", "containers")
        for container in spec.get(part) or ()
        for mount in container.get("volumeMounts") or ()
    )


def _sources(volume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield volume.get("configMap") or {}
    for one in (volume.get("projected") or {}).get("sources") or ():
        yield one.get("configMap") or {}


def servers_in(pod: Json, config_map: str) -> set[str]:
    """The containers of a pod that mount the ConfigMap and run as long as the pod.

    An init container does so if its `restartPolicy` is Always (facts: kubernetes#sidecars).
    """
    spec = pod.get("spec") or {}
    lasting = [one for one in spec.get("initContainers") or () if _lasts(one)]
    return _mounting(spec, (*lasting, *(spec.get("containers") or ())), config_map)


def readers_in(pod: Json, config_map: str) -> set[str]:
    """The servers, and init containers that mount the ConfigMap, such as one that tests it."""
    spec = pod.get("spec") or {}
    parts = (spec.get("initContainers") or (), spec.get("containers") or ())
    return _mounting(spec, [one for part in parts for one in part], config_map)


def statuses_in(pod: Json) -> Iterator[Mapping[str, Any]]:
    """What the kubelet says about each container of a pod, init containers first."""
    status: Mapping[str, Any] = pod.get("status") or {}
    for part in ("initContainerStatuses", "containerStatuses"):
        yield from status.get(part) or ()


def _lasts(init_container: Mapping[str, Any]) -> bool:
    return init_container.get("restartPolicy") == "Always"


def _mounting(spec: Json, containers: Iterable[Json], config_map: str) -> set[str]:
    volumes = volumes_of(spec, config_map)
    return {
        str(container.get("name"))
        for container in containers
        if any(mount.get("name") in volumes for mount in container.get("volumeMounts") or ())
    }


def serving(pods: Iterable[Json], config_map: str) -> tuple[Json, ...]:
    """The pods that read the ConfigMap, and those of the same workloads; none, if nobody reads it.

    Sorted; without those that have ended.
    """
    alive = sorted((pod for pod in pods if not has_ended(pod)), key=key_of)
    reading = [pod for pod in alive if servers_in(pod, config_map)]
    owners = {owner_of(pod) for pod in reading} - {None}
    return tuple(pod for pod in alive if pod in reading or owner_of(pod) in owners)


def replica_of(pod: Json, ports: Ports, config_map: str) -> Replica:
    """The pod, where it listens, and since which start its servers read the ConfigMap."""
    servers = servers_in(pod, config_map)
    started = [
        str(one.get("containerID") or "") for one in statuses_in(pod) if one.get("name") in servers
    ]
    return Replica(
        key=key_of(pod),
        uid=pod["metadata"].get("uid", ""),
        ready=is_ready(pod),
        ip=ip_of(pod),
        http_port=ports.http,
        https_port=ports.https,
        started=" ".join(sorted(started)),
    )
