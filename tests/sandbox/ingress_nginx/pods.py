"""The Pod objects of the replicas, with the status that a kubelet would write, and what the chart installs besides them.

There is no kubelet in the sandbox, so the Pod's status is written here: Running at once, Ready when
`/healthz` says so (facts: kubernetes#no-kubelet, ingress-nginx#pods-and-arguments).
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.ingress_nginx.api import ApiClient, ApiServerError, Json, Unreachable
from sandbox.ingress_nginx.store import Scope

NODE = "sandbox"
IMAGE = "ingress-nginx/controller:v1.15.1"
AGAIN_AFTER_S = 0.3


@dataclass(frozen=True, slots=True)
class ReplicaPorts:
    """The ports of all replicas; each replica has an address of its own."""

    http: int
    https: int
    healthz: int
    default_server: int
    status: int


@dataclass(frozen=True, slots=True)
class Installation:
    """One release of the chart: what `helm install` made, as far as anybody looks at it."""

    scope: Scope
    ports: ReplicaPorts
    release: str = "ingress-nginx"
    config: Mapping[str, str] = field(default_factory=dict)
    has_configmap: bool = True

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the controller's Pods."""
        return {
            "app.kubernetes.io/name": "ingress-nginx",
            "app.kubernetes.io/instance": self.release,
            "app.kubernetes.io/component": "controller",
        }

    def arguments(self) -> list[str]:
        """The container's arguments, as the chart writes them: `$(POD_NAMESPACE)` is for the kubelet, or for whoever reads the Pod, to expand."""
        return [
            "/nginx-ingress-controller",
            "--election-id=ingress-nginx-leader",
            f"--controller-class={self.scope.controller_class}",
            f"--ingress-class={self.scope.ingress_class}",
            f"--configmap=$(POD_NAMESPACE)/{self.scope.configmap}",
            f"--http-port={self.ports.http}",
            f"--https-port={self.ports.https}",
            f"--healthz-port={self.ports.healthz}",
        ]

    async def install(self, api: ApiClient) -> None:
        """Create namespace, IngressClass and, where wanted, the ConfigMap; whatever is there already stays as it is. Pods of an earlier run are deleted."""
        namespace = self.scope.namespace
        await _create(api, "/api/v1/namespaces", {"metadata": {"name": namespace}})
        ingress_class = {
            "metadata": {"name": self.scope.ingress_class},
            "spec": {"controller": self.scope.controller_class},
        }
        await _create(api, "/apis/networking.k8s.io/v1/ingressclasses", ingress_class)
        if self.has_configmap:
            configmap = {
                "metadata": {"name": self.scope.configmap, "labels": self.labels},
                "data": dict(self.config),
            }
            await _create(
                api, f"/api/v1/namespaces/{namespace}/configmaps?fieldManager=helm", configmap
            )
        selector = "%2C".join(f"{key}%3D{value}" for key, value in self.labels.items())
        stale = await api.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")
        for pod in stale["items"]:
            await api.delete(f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}")

    def pod(self) -> Json:
        """A new Pod, under a name that was never used."""
        field_of = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
        container = {
            "name": "controller",
            "image": IMAGE,
            "args": self.arguments(),
            "env": [
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                for name, path in field_of.items()
            ],
            "ports": [
                {"name": "http", "containerPort": self.ports.http, "protocol": "TCP"},
                {"name": "https", "containerPort": self.ports.https, "protocol": "TCP"},
            ],
            "readinessProbe": {
                "httpGet": {"path": "/healthz", "port": self.ports.healthz, "scheme": "HTTP"}
            },
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{self.release}-controller-{secrets.token_hex(4)}",
                "labels": self.labels,
            },
            "spec": {
                "nodeName": NODE,
                "terminationGracePeriodSeconds": 300,
                "containers": [container],
            },
        }


async def _create(api: ApiClient, path: str, body: Mapping[str, Any]) -> None:
    try:
        await api.create(path, body)
    except ApiServerError as error:
        if error.code != 409:
            raise


class ControllerPod:
    """One Pod object and the status written to it.

    `ready` may be set at any time; `run` brings it to the API server.
    """

    def __init__(self, api: ApiClient, installation: Installation, address: str) -> None:
        self._api = api
        self._collection = f"/api/v1/namespaces/{installation.scope.namespace}/pods"
        self._address = address
        self._manifest = installation.pod()
        self._ready = False
        self._since = self._started = _now()
        self._changed = asyncio.Event()
        self.name: str = self._manifest["metadata"]["name"]
        self.object: Json | None = None
        """As created, with its uid; None before that."""
        self.terminating = False

    @property
    def ready(self) -> bool:
        """What the Ready condition says, or will say in a moment."""
        return self._ready

    @ready.setter
    def ready(self, value: bool) -> None:
        if value != self._ready:
            self._ready, self._since = value, _now()
            self._changed.set()

    async def create(self) -> Json:
        """Create the object; tried again until the API server answers. Returns it, with its uid."""
        while self.object is None:
            try:
                self.object = await self._api.create(self._collection, self._manifest)
            except Unreachable:
                await asyncio.sleep(AGAIN_AFTER_S)
        self._changed.set()
        return self.object

    async def run(self) -> None:
        """Write the status whenever it has changed, until cancelled or until the Pod is gone."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._api.merge(
                    f"{self._collection}/{self.name}/status", {"status": self._status()}
                )
            except ApiServerError as error:
                if error.code == 404:
                    return
                await self._again()
            except Unreachable:
                await self._again()

    async def terminate(self, grace_s: int) -> None:
        """Ask for its deletion: with a grace period it stays, marked as terminating, until `delete`."""
        self.terminating = True
        await self._api.delete(f"{self._collection}/{self.name}", grace_s=grace_s)

    async def delete(self) -> None:
        """Remove the object at once, as the kubelet does when the containers have ended."""
        await self._api.delete(f"{self._collection}/{self.name}")

    async def _again(self) -> None:
        await asyncio.sleep(AGAIN_AFTER_S)
        self._changed.set()

    def _status(self) -> Json:
        ready = "True" if self._ready else "False"
        kinds = {
            "PodScheduled": "True",
            "Initialized": "True",
            "ContainersReady": ready,
            "Ready": ready,
        }
        container = {
            "name": "controller",
            "image": IMAGE,
            "imageID": IMAGE,
            "ready": self._ready,
            "started": True,
            "restartCount": 0,
        }
        return {
            "phase": "Running",
            "podIP": self._address,
            "podIPs": [{"ip": self._address}],
            "startTime": self._started,
            "conditions": [
                {"type": kind, "status": value, "lastTransitionTime": self._since}
                for kind, value in kinds.items()
            ],
            "containerStatuses": [
                {**container, "state": {"running": {"startedAt": self._started}}}
            ],
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
