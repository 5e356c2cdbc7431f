"""One node: the scheduler that puts pods on it, and the kubelet that runs them.

What runs is what the API server holds. A pod's status is written as the kubelet does it: Ready when
its readiness probe succeeds, in `CrashLoopBackOff` with its container's last words where that ends
again and again, and gone when it was asked to end and has.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from sandbox.cluster import containers, volumes
from sandbox.envoy_gateway.confined import innermost
from sandbox.kubernetes.plane import ControlPlane
from sandbox.loops import Polling
from sandbox.operator import succeeds
from sandbox.ports import own_network
from sandbox.processes import Child

Json = Mapping[str, Any]

NAME = "sandbox"
EVERY_S = 0.1
SYNC_S = 1.0
"""How long a change of a mounted ConfigMap takes to reach the files; up to a minute in a real
cluster."""
BACK_OFF_S = 2.0
"""Between two attempts to start a container that ends; 10 s and more in a real cluster."""


@dataclass(slots=True)
class Running:
    """One pod on the node."""

    name: str
    uid: str
    address: str
    root: Path
    log: Path
    child: Child | None = None
    ended: dict[str, Any] | None = None
    """How its container ended last: the status's `terminated`."""
    again_at_s: float = 0.0
    restarts: int = 0
    synced_s: float = 0.0
    stop_at_s: float | None = None
    """When the container is told to end: the pod was deleted, and `preStop` has run by then."""
    told_to_end: bool = False
    hangs: bool = False
    reported: dict[str, Any] = field(default_factory=dict)
    """The status as it was last written."""


class Node:
    """Runs every pod of one namespace that its labels choose. A context manager."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        namespace: str,
        services: Mapping[int, str] | None = None,
        labels: str = "",
    ) -> None:
        """`services` are `ip:port` of this machine, by the port at which a pod finds them.

        `labels` is a selector; empty: all. Whom it does not choose stays Pending.
        """
        self._plane, self._folder, self._namespace = plane, folder, namespace
        self._services, self._labels = services or {}, labels
        self._network = own_network()
        self._addresses: Iterator[IPv4Address]
        self._pods: dict[str, Running] = {}
        self._lock = threading.Lock()
        self._polling = Polling("node", EVERY_S, self._sync_if_it_can)
        self._endpoints: tuple[str, ...] = ()
        self.sync_s = SYNC_S
        self.reloads = False
        """A sidecar of the user's reloads the server when its files change."""
        self.hangs = False
        """Pods that come now never become Ready, though their server runs."""

    def __enter__(self) -> Self:
        self._addresses = self._network.__enter__().hosts()
        self._plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}})
        # Until it is Ready a new node is tainted, and a DaemonSet has no pod there.
        self._plane.http.patch(
            f"/api/v1/nodes/{NAME}",
            json={"spec": {"taints": None}},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()
        self._polling.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._polling.stop()
        for one in self._pods.values():
            if one.child is not None:
                one.child.kill()
        self._network.__exit__(kind, error, trace)
        self._polling.raise_failure(instead_of=error)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Addresses of the pods that are Ready and not about to end: where a Service leads to."""
        if self._polling.failure is not None:
            raise RuntimeError("the node has broken down") from self._polling.failure
        return self._endpoints

    def process(self, pod: str) -> int:
        """What runs in the container of a pod that runs: the server itself, in its own network if it has one."""
        (child,) = (one.child for one in [*self._pods.values()] if one.name == pod)
        assert child is not None, f"{pod} does not run"
        return innermost(child.pid)

    def logs(self) -> str:
        """The last words of every container, for a failing test."""
        return "\n".join(
            f"{one.name}: {one.log.read_text()[-500:]}"
            for one in [*self._pods.values()]
            if one.log.exists()
        )

    def _sync_if_it_can(self) -> None:
        with contextlib.suppress(httpx.TransportError):
            self._sync()

    def _sync(self) -> None:
        answer = self._plane.http.get(self._path(), params={"labelSelector": self._labels})
        pods = answer.raise_for_status().json()["items"]
        alive = {pod["metadata"]["uid"] for pod in pods}
        for uid in self._pods.keys() - alive:
            if (child := self._pods.pop(uid).child) is not None:
                child.kill()
        ready = []
        for pod in pods:
            if not pod["spec"].get("nodeName"):
                self._bind(pod)
                continue
            running = self._pods.get(pod["metadata"]["uid"]) or self._admit(pod)
            if "deletionTimestamp" in pod["metadata"]:
                self._end(pod, running)
            else:
                self._keep(pod, running)
            if running.reported.get("ready"):
                ready.append(running.address)
        self._endpoints = tuple(sorted(ready))

    def _bind(self, pod: Json) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": NAME}
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": target,
        }
        self._plane.http.post(f"{self._path(pod)}/binding", json=body)

    def _admit(self, pod: Json) -> Running:
        uid, folder = pod["metadata"]["uid"], self._folder / pod["metadata"]["uid"]
        folder.mkdir(parents=True)
        address = str(next(self._addresses))
        running = Running(
            pod["metadata"]["name"], uid, address, folder / "root", folder / "container.log"
        )
        running.hangs = self.hangs
        running.root.mkdir()
        self._pods[uid] = running
        return running

    # --- while it runs ---------------------------------------------------------------------------------------------------

    def _keep(self, pod: Json, running: Running) -> None:
        container, now = pod["spec"]["containers"][0], time.monotonic()
        child = running.child
        if child is not None and not child.alive:
            self._has_ended(pod, running, child)
        if running.child is None and now >= running.again_at_s:
            self._start(pod, running, container)
        if running.child is not None and now - running.synced_s >= self.sync_s:
            running.synced_s = now
            changed = volumes.refresh(self._plane, self._namespace, pod, container, running.root)
            if changed and self.reloads:
                containers.of(container).reload(running.root, running.child)
        self._say(pod, running, self._status(pod, running, ready=self._ready(running, container)))

    def _start(self, pod: Json, running: Running, container: Json) -> None:
        try:
            volumes.mount(self._plane, self._namespace, pod, container, running.root)
            volumes.mount_account(self._plane, self._namespace, pod, running.root)
            volumes.tell(pod, container, self._services, running.root)
        except volumes.MissingError as error:
            running.again_at_s = time.monotonic() + BACK_OFF_S
            self._warn(pod, "FailedMount", str(error))
            return
        running.log.unlink(missing_ok=True)
        running.synced_s = time.monotonic()
        running.child = containers.of(container).start(running.root, running.address, running.log)

    def _has_ended(self, pod: Json, running: Running, child: Child) -> None:
        running.child, running.restarts = None, running.restarts + 1
        running.again_at_s = time.monotonic() + BACK_OFF_S
        log_end = running.log.read_text()[-2048:] if running.log.exists() else ""
        keeps = pod["spec"]["containers"][0].get("terminationMessagePolicy")
        termination = {"message": log_end} if keeps == "FallbackToLogsOnError" else {}
        code = {"exitCode": child.returncode or 0, "reason": "Error"}
        running.ended = {**code, **termination, "finishedAt": _now()}
        name = pod["spec"]["containers"][0]["name"]
        self._warn(
            pod, "BackOff", f"Back-off restarting failed container {name} in pod {running.name}"
        )

    def _ready(self, running: Running, container: Json) -> bool:
        if running.child is None or not running.child.alive:
            return False
        if running.hangs:
            return False
        probe = container.get("readinessProbe") or {}
        if (page := probe.get("httpGet")) is not None:
            return succeeds(_port(container, page["port"]), page["path"], running.address)
        listens = probe.get("tcpSocket")
        return listens is None or _listens(running.address, _port(container, listens["port"]))

    # --- at its end ------------------------------------------------------------------------------------------------------

    def _end(self, pod: Json, running: Running) -> None:
        now = time.monotonic()
        if running.stop_at_s is None:
            hook = (pod["spec"]["containers"][0].get("lifecycle") or {}).get("preStop") or {}
            running.stop_at_s = now + (hook.get("sleep") or {}).get("seconds", 0)
            self._say(pod, running, self._status(pod, running, ready=False))
        if now < running.stop_at_s:
            return
        child = running.child
        if child is not None and child.alive:
            deadline = running.stop_at_s + pod["metadata"].get("deletionGracePeriodSeconds", 30)
            if not running.told_to_end:
                running.told_to_end = True
                child.signal(containers.of(pod["spec"]["containers"][0]).stop)
            if now < deadline:
                return
            child.kill()
        self._plane.http.request("DELETE", self._path(pod), json={"gracePeriodSeconds": 0})

    # --- what it says ----------------------------------------------------------------------------------------------------

    def _status(self, pod: Json, running: Running, *, ready: bool) -> dict[str, Any]:
        container = pod["spec"]["containers"][0]
        state: dict[str, Any] = {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}}
        if running.child is None:
            waiting = "CrashLoopBackOff" if running.ended else "ContainerCreating"
            state = {"waiting": {"reason": waiting}}
        return {
            "ready": ready,
            "phase": "Pending" if running.child is None and not running.ended else "Running",
            "state": state,
            "container": container["name"],
            "restarts": running.restarts,
            "ended": running.ended,
        }

    def _say(self, pod: Json, running: Running, now: dict[str, Any]) -> None:
        if now == running.reported:
            return
        flag = "True" if now["ready"] else "False"
        kinds = {
            "PodScheduled": "True",
            "Initialized": "True",
            "ContainersReady": flag,
            "Ready": flag,
        }
        status = {
            "phase": now["phase"],
            "podIP": running.address,
            "podIPs": [{"ip": running.address}],
            "conditions": [
                {"type": kind, "status": value, "lastTransitionTime": _now()}
                for kind, value in kinds.items()
            ],
            "containerStatuses": [
                {
                    "name": now["container"],
                    "image": pod["spec"]["containers"][0]["image"],
                    "imageID": "",
                    "ready": now["ready"],
                    "restartCount": now["restarts"],
                    "containerID": f"sandbox://{running.uid}-{now['restarts']}",
                    "state": now["state"],
                    "lastState": {"terminated": now["ended"]} if now["ended"] else {},
                }
            ],
        }
        answer = self._plane.http.patch(
            f"{self._path(pod)}/status",
            json={"status": status},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        if answer.is_success:
            running.reported = now
        elif answer.status_code != 404:
            raise RuntimeError(answer.text)

    def _warn(self, pod: Json, reason: str, message: str) -> None:
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": self._namespace,
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        }
        now = _now()
        body = {
            "metadata": {"generateName": f"{pod['metadata']['name']}."},
            "involvedObject": about,
            "type": "Warning",
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": "kubelet"},
        }
        self._plane.http.post(f"/api/v1/namespaces/{self._namespace}/events", json=body)

    def _path(self, pod: Json | None = None) -> str:
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        return f"{path}/{pod['metadata']['name']}" if pod else path


def _listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _port(container: Json, named: str | int) -> int:
    ports: Iterator[int] = (
        one["containerPort"] for one in container.get("ports", ()) if one.get("name") == named
    )
    return named if isinstance(named, int) else next(ports)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
