"""A site of somebody's in a workload, as deploy/examples has it for each server, with a node that runs it and a Service before it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import yaml

from sandbox.cluster import traefik_objects
from sandbox.cluster.node import Node
from sandbox.cluster.service import Service
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.kubernetes.plane import ControlPlane
from sandbox.relays import ADDRESS
from sandbox.waiting import until

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
NAMESPACE, NAME, CONFIG_MAP = "web", "frontend", "frontend-aop"
HTTPS, HTTP = 8443, 8080
_RULE = "a431b128267aabc954fd"
"""What Traefik makes of the rule of the two routers."""
MORE_OF: dict[str, dict[str, Any]] = {
    "traefik": {
        "routers": {
            "https": f"{NAMESPACE}-aop-{_RULE}@kubernetescrd",
            "http": f"{NAMESPACE}-aop-plain-{_RULE}@kubernetescrd",
        }
    }
}
"""What an origin of a kind names besides."""
READY_WITHIN_S = 30.0
OWN_REFUSALS = {"nginx": 400}
"""What a server that has words of its own for it answers to a stranger; others 403."""


def as_kind(deployment: dict[str, Any], kind: str) -> dict[str, Any]:
    """A Deployment written as a workload of another kind."""
    spec = {key: value for key, value in deployment["spec"].items() if key != "strategy"}
    match kind:
        case "StatefulSet":
            return deployment | {"kind": kind, "spec": spec | {"serviceName": NAME}}
        case "DaemonSet":
            del spec["replicas"]  # one on each node, of which there is one
            return deployment | {"kind": kind, "spec": spec}
    return deployment


@dataclass(frozen=True, slots=True)
class FrontendPod:
    """A pod that is Ready; `https` and `http` are `ip:port`."""

    pod: str
    address: str
    https: str
    http: str


class Frontend:
    """Runs within the block, its pods made by the real controllers.

    `plane` must be one with the controllers of workloads.
    """

    runs_in = NAMESPACE
    """Namespace of the pods."""
    labelled = ""
    """By which labels they are known there; empty: they are all that there are."""
    https_port, http_port = HTTPS, HTTP
    """Of each pod."""
    rolls_out = True
    """A change takes effect with new pods."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        hosts: Sequence[str],
        kind: str = "Deployment",
        server: str = "nginx",
    ) -> None:
        self._plane, self._folder, self._hosts, self._kind = plane, folder, tuple(hosts), kind
        self._server, self._examples = server, EXAMPLES / server
        self.refusal = OWN_REFUSALS.get(server, 403)
        self._parts = ExitStack()
        self.ca_file = folder / "ca.crt"

    def start(self) -> Self:
        """Apply it, and wait until every pod is Ready."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._plane.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        )
        services = self.deploy()
        node = Node(self._plane, self._folder / "node", self.runs_in, services, self.labelled)
        self.node = self._parts.enter_context(node)
        self.service = self._parts.enter_context(
            Service(lambda: self.node.endpoints, (self.https_port, self.http_port))
        )
        self.until_rolled_out()
        return self

    def deploy(self) -> Mapping[int, str]:
        """Apply what its owner has written; what the pods reach at which port."""
        self._plane.apply(self._certificate())
        if self._server == "traefik":
            traefik_objects.define(self._plane)
            app = traefik_objects.start_application(self._plane, self._folder / "app", NAMESPACE)
            self._parts.callback(app.kill)
        conf, *more, workload = yaml.safe_load_all((self._examples / "web.yaml").read_text())
        self._conf = conf["metadata"]["name"]
        self._plane.apply([conf, *more, as_kind(workload, self._kind)])
        return {}

    def stop(self) -> None:
        """End everything that was started here."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def place(self) -> tuple[str, int, int]:
        """Where the Service is: address, https, http."""
        return ADDRESS, self.service.ports[self.https_port], self.service.ports[self.http_port]

    def replicas(self) -> list[FrontendPod]:
        """The pods that are Ready and stay, by address."""
        ready = set(self.node.endpoints)
        names = [
            FrontendPod(
                one["metadata"]["name"], ip, f"{ip}:{self.https_port}", f"{ip}:{self.http_port}"
            )
            for one in self.pods()
            if (ip := one["status"].get("podIP")) in ready
        ]
        return sorted(names, key=lambda one: one.address)

    def pods(self) -> list[dict[str, Any]]:
        """Every pod of it, whatever it does."""
        path = f"/api/v1/namespaces/{self.runs_in}/pods"
        answer = self._plane.http.get(path, params={"labelSelector": self.labelled})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    def deployment(self) -> dict[str, Any]:
        """The workload as it is now."""
        manifest: dict[str, Any] = self._plane.http.get(self._path).raise_for_status().json()
        return manifest

    def change(self, body: dict[str, Any]) -> None:
        """Merge into the workload, as its owner."""
        self._plane.http.patch(
            self._path, json=body, headers={"Content-Type": "application/merge-patch+json"}
        ).raise_for_status()

    def conf(self) -> dict[str, str]:
        """The server's configuration as its owner has it, by file."""
        answer = self._plane.http.get(self._conf_path)
        data: dict[str, str] = answer.raise_for_status().json()["data"]
        return data

    def change_conf(self, change: Callable[[str], str]) -> None:
        """Change the server's configuration as its owner does, who then has the pods replaced."""
        changed = {key: change(text) for key, text in self.conf().items()}
        self._plane.http.patch(
            self._conf_path,
            json={"data": changed},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()
        digest = {"conf": sha256(str(changed).encode()).hexdigest()}
        self.change({"spec": {"template": {"metadata": {"annotations": digest}}}})

    def config_map(self) -> dict[str, Any] | None:
        """The operator's ConfigMap; None: there is none."""
        answer = self._plane.http.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{CONFIG_MAP}")
        manifest: dict[str, Any] | None = (
            None if answer.status_code == 404 else answer.raise_for_status().json()
        )
        return manifest

    def standing(self) -> dict[str, Any] | None:
        """What stands in the operator's ConfigMap, and its labels and annotations; None: there is none."""
        config_map = self.config_map()
        if config_map is None:
            return None
        metadata = {key: config_map["metadata"].get(key) for key in ("labels", "annotations")}
        return {"data": config_map.get("data"), **metadata}

    def until_rolled_out(self, within_s: float = READY_WITHIN_S) -> None:
        """Wait until all pods have been replaced, and none of before is left."""

        def rolled_out() -> bool:
            now = self.deployment()
            status, wanted = now.get("status", {}), now["spec"].get("replicas", 1)
            current = status.get("observedGeneration") == now["metadata"]["generation"]
            updated = status.get("updatedReplicas", status.get("updatedNumberScheduled"))
            available = status.get("availableReplicas", status.get("numberAvailable"))
            new = updated == available == wanted
            return bool(current and new and len(self.pods()) == wanted == len(self.replicas()))

        until(
            rolled_out,
            within_s=within_s,
            every_s=0.1,
            describe=lambda: f"the workload to be rolled out\n{self.node.logs()}",
        )

    @property
    def _path(self) -> str:
        return f"/apis/apps/v1/namespaces/{NAMESPACE}/{self._kind.lower()}s/{NAME}"

    @property
    def _conf_path(self) -> str:
        return f"/api/v1/namespaces/{NAMESPACE}/configmaps/{self._conf}"

    def _certificate(self) -> dict[str, Any]:
        authority = ClusterAuthority("frontend")
        self.ca_file.write_bytes(authority.pem)
        pair = authority.serve([*self._hosts])
        data = {"tls.crt": pair.certificate, "tls.key": pair.key}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "frontend-tls", "namespace": NAMESPACE},
            "data": {name: base64.b64encode(pem).decode() for name, pem in data.items()},
        }
