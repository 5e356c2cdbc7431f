"""Stand-ins for what turns workloads into processes: the Deployment's, the Job's controller and the kubelet, as far as the chart needs them.

What runs is what the API server holds: arguments, environment, ports and probes come from the
installed objects and are never written again in a test. The container's image is this environment's
own `aop-operator`, and a pod's way to the API server (the mounted token of its ServiceAccount) is a
kubeconfig with such a token.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import Any, Self

from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.kubernetes.plane import ControlPlane
from sandbox.loops import Polling
from sandbox.operator import succeeds
from sandbox.processes import Child
from sandbox.waiting import until

Json = Mapping[str, Any]

NODE = "sandbox"
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
PROGRAM = Path(sys.executable).with_name("aop-operator")
"""What the image has as its entry point."""


def start_container(
    plane: ControlPlane, namespace: str, pod: Json, log: Path, **more: str
) -> Child:
    """The first container of a pod's spec as a process; `more` is environment that wins.

    Raises:
        ValueError: it has an environment that only a cluster could fill.
    """
    container = pod["containers"][0]
    if strange := [one["name"] for one in container.get("env", []) if "valueFrom" in one]:
        raise ValueError(
            f"variables {strange} come from elsewhere, which this stand-in does not follow"
        )
    own = {one["name"]: one.get("value", "") for one in container.get("env", [])}
    kubeconfig = plane.service_account_kubeconfig(namespace, pod["serviceAccountName"])
    return Child(
        [PROGRAM, *container.get("args", [])],
        log=log,
        env={**own, "AOP_KUBECONFIG": str(kubeconfig), **more},
    )


@dataclass(frozen=True, slots=True)
class Pod:
    """One of the Deployment's: its process, its address, and what it was made from."""

    template: Json
    child: Child
    address: str

    @property
    def ready(self) -> bool:
        """What its readiness probe says now. Raises RuntimeError where it has ended."""
        if not self.child.alive:
            raise RuntimeError(f"the operator ended:\n{self.child.last_words()}")
        container = self.template["spec"]["containers"][0]
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        probe = container["readinessProbe"]["httpGet"]
        return succeeds(ports[probe["port"]], probe["path"], self.address)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when the grace period is over."""
        grace_s = self.template["spec"]["terminationGracePeriodSeconds"]
        self.child.kill(SIGTERM, within_s=grace_s)


class DeployedOperator:
    """The pods of the operator's Deployment: started, probed, replaced and stopped as its controller and a kubelet would.

    A context manager. Each pod has an address of its own, here on loopback.
    """

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        *,
        namespace: str = "aop-system",
        name: str = "aop-operator",
    ) -> None:
        self._plane, self._namespace, self._name = plane, namespace, name
        self._folder = folder
        self._pods: list[Pod] = []
        self._numbers = count(1)

    def start(self) -> Self:
        """Start what the Deployment says now, and wait until every readiness probe succeeds."""
        spec = self._spec()
        self._pods = [self._pod(spec["template"]) for _ in range(spec["replicas"])]
        for pod in self._pods:
            self._until_ready(pod)
        return self

    def replace(self) -> None:
        """What a rolling update does when the template has changed: a new pod is Ready before an old one is told to stop.

        Raises ValueError for another strategy.
        """
        spec = self._spec()
        if spec["strategy"] != ROLLING:
            raise ValueError(f"this stand-in knows {ROLLING} alone, and not {spec['strategy']}")
        for old in list(self._pods):
            new = self._pod(spec["template"])
            self._pods.append(new)
            self._until_ready(new)
            self._pods.remove(old)
            old.stop()

    def stop(self) -> None:
        """All of them, one after the other."""
        for pod in self._pods:
            pod.stop()
        self._pods.clear()

    def last_words(self) -> str:
        """The ends of their logs."""
        return "\n\n".join(pod.child.last_words() for pod in self._pods)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spec(self) -> Json:
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{self._name}"
        spec: Json = self._plane.http.get(path).raise_for_status().json()["spec"]
        return spec

    def _pod(self, template: Json) -> Pod:
        number = next(self._numbers)
        log, address = self._folder / f"{self._name}-{number}.log", f"127.0.7.{number}"
        own = {"AOP_LISTEN_ADDRESS": address}
        child = start_container(self._plane, self._namespace, template["spec"], log, **own)
        return Pod(template, child, address)

    @staticmethod
    def _until_ready(pod: Pod) -> None:
        until(
            lambda: pod.ready,
            within_s=60,
            describe=lambda: f"the operator to be ready:\n{pod.child.last_words()}",
        )


class JobRunner:
    """Runs every Job of one namespace, once, as a process; keeps its pod and serves its log to the API server. A context manager.

    The log is what `kubectl logs` and Helm show: the API server fetches it from the pod's node,
    which is this.
    """

    def __init__(self, plane: ControlPlane, folder: Path, namespace: str = "aop-system") -> None:
        self._plane, self._folder, self._namespace = plane, folder, namespace
        self._polling = Polling("jobs", 0.1, self._run_new_jobs)
        self._ran: set[str] = set()
        self._logs: dict[str, Path] = {}

    def __enter__(self) -> Self:
        self._kubelet = self._serve_logs()
        self._plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        node = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._kubelet.server_port}},
        }
        self._patch(f"/api/v1/nodes/{NODE}/status", {"status": node})
        self._polling.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._polling.stop()
        self._kubelet.shutdown()
        self._kubelet.server_close()
        self._polling.raise_failure(instead_of=error)

    def _run_new_jobs(self) -> None:
        path = f"/apis/batch/v1/namespaces/{self._namespace}/jobs"
        for job in self._plane.http.get(path).raise_for_status().json()["items"]:
            if job["metadata"]["uid"] not in self._ran and not job["status"].get("conditions"):
                self._ran.add(job["metadata"]["uid"])
                self._run_job(job)

    def _run_job(self, job: Json) -> None:
        name, started = job["metadata"]["name"], _now()
        pod, template = f"{name}-{job['metadata']['uid'][:5]}", job["spec"]["template"]
        self._logs[pod] = log = self._folder / f"{pod}.log"
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": pod,
                "labels": template["metadata"]["labels"],
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": name,
                        "uid": job["metadata"]["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": {**template["spec"], "nodeName": NODE},
        }
        self._plane.http.post(
            f"/api/v1/namespaces/{self._namespace}/pods", json=body
        ).raise_for_status()
        child = start_container(self._plane, self._namespace, template["spec"], log)
        until(
            lambda: not child.alive,
            within_s=job["spec"]["activeDeadlineSeconds"],
            describe=lambda: f"{name} to end:\n{child.last_words()}",
        )
        succeeded = child.returncode == 0
        self._patch(
            f"/api/v1/namespaces/{self._namespace}/pods/{pod}/status",
            {"status": {"phase": "Succeeded" if succeeded else "Failed"}},
        )
        path = f"/apis/batch/v1/namespaces/{self._namespace}/jobs/{name}/status"
        before, after = (
            ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
        )
        reason = "CompletionsReached" if succeeded else "BackoffLimitExceeded"
        conditions = [
            {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": _now()}
            for kind in (before, after)
        ]
        counted = {"succeeded": 1, "completionTime": _now()} if succeeded else {"failed": 1}
        status = {
            "startTime": started,
            "ready": 0,
            "terminating": 0,
            "uncountedTerminatedPods": {},
            **counted,
        }
        self._patch(path, {"status": {**status, "conditions": conditions}})

    def _patch(self, path: str, body: Json) -> None:
        answer = self._plane.http.patch(
            path, json=body, headers={"Content-Type": "application/merge-patch+json"}
        )
        if not answer.is_success:
            raise RuntimeError(f"{path}: {answer.text}")

    def _serve_logs(self) -> ThreadingHTTPServer:
        logs = self._logs

        class Kubelet(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """/containerLogs/<namespace>/<pod>/<container>."""
                words = self.path.partition("?")[0].split("/")
                body = logs[words[3]].read_bytes() if len(words) == 5 and words[3] in logs else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Kubelet)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            *ClusterAuthority("kubelet").serve(["127.0.0.1"]).write(self._folder, "kubelet")
        )
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=_serve, args=(server,), name="kubelet", daemon=True).start()
        return server


def _serve(server: ThreadingHTTPServer) -> None:
    with contextlib.suppress(OSError):
        server.serve_forever(0.05)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
