"""One controller of the stand-in with a class and a namespace of its own, and whoever asks its replicas: for the tests of the stand-in on a real API server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from sandbox import direct
from sandbox.direct import Leaf
from sandbox.ingress_nginx.launcher import IngressNginx, ReplicaFacts
from sandbox.kubernetes.certificates import PemPair
from sandbox.kubernetes.plane import ControlPlane
from sandbox.served_nginx import ingress
from sandbox.waiting import until

CHECK = "/.well-known/0f1e2d3c/check"
IN_SCOPE = "www.example.com"
MERGE = {"Content-Type": "application/merge-patch+json"}
SEEN_WITHIN_S = 30
"""A second sync waits 3.3 s for its token, and so may a third one; the rest is for a machine that
has other things to do."""


def server_snippet(revision: int = 7) -> str:
    return f"""
if ($request_method = "") {{ set $aop_action ""; }}
if ($aop_action = "deny") {{ return 496; }}
if ($aop_action = "tls") {{ return 308 https://$host$request_uri; }}
location = {CHECK} {{
    access_log off;
    default_type text/plain;
    add_header Cache-Control "no-store" always;
    return 200 "rev={revision} verify=$ssl_client_verify\\n";
}}
"""


def marker(revision: int) -> dict[str, str]:
    """A ConfigMap that only shows its revision on the check path."""
    return {"server-snippet": server_snippet(revision)}


@dataclass
class Site:
    """A controller with a class of its own in a namespace of its own, and whoever visits it."""

    plane: ControlPlane
    namespace: str
    controller: IngressNginx

    def create(self, one: dict[str, Any]) -> None:
        """Create an Ingress of this controller's class."""
        one["spec"]["ingressClassName"] = self.namespace
        one["metadata"] = {key: one["metadata"][key] for key in ("name", "annotations")}
        self.plane.http.post(
            f"/apis/networking.k8s.io/v1/namespaces/{self.namespace}/ingresses", json=one
        ).raise_for_status()

    def label_ingress(self, name: str) -> None:
        """Change nothing about an Ingress but that it was changed."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{self.namespace}/ingresses/{name}"
        self.plane.http.patch(
            path, json={"metadata": {"labels": {"touched": "yes"}}}, headers=MERGE
        ).raise_for_status()

    def configure(self, data: dict[str, str]) -> None:
        """Replace the ConfigMap's data."""
        self.configmap("PUT", json={"metadata": {"name": "ingress-nginx-controller"}, "data": data})

    def configmap(self, method: str, **arguments: Any) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/ingress-nginx-controller"
        self.plane.http.request(method, path, **arguments).raise_for_status()

    def pod(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = (
            self.plane.http.get(f"/api/v1/namespaces/{self.namespace}/pods/{name}")
            .raise_for_status()
            .json()
        )
        return answer

    def events(self, pod: str, kind: str) -> list[str]:
        """Messages of RELOAD Events about a Pod."""
        answer = self.plane.http.get(
            f"/api/v1/namespaces/{self.namespace}/events",
            params={"fieldSelector": f"involvedObject.name={pod},type={kind}"},
        )
        return [
            event["message"]
            for event in answer.raise_for_status().json()["items"]
            if event["reason"] == "RELOAD"
        ]

    def await_event(self, replica: ReplicaFacts, kind: str) -> str:
        """The first RELOAD Event of a kind about a Pod."""
        return until(
            lambda: self.events(replica.pod, kind),
            within_s=SEEN_WITHIN_S,
            describe=f"a {kind} RELOAD Event",
        )[0]

    def is_ready(self, replica: ReplicaFacts) -> bool:
        """What the Pod's Ready condition says."""
        return any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in self.pod(replica.pod)["status"]["conditions"]
        )

    def ask(
        self,
        replica: ReplicaFacts,
        path: str,
        *,
        host: str = IN_SCOPE,
        sni: str | None = None,
        presenting: PemPair | None = None,
        **headers: str,
    ) -> httpx.Response:
        """One request over TLS on a connection of its own."""
        return direct.ask(
            replica.https,
            host,
            path,
            sni=sni,
            leaf=Leaf.of_pair(presenting) if presenting else None,
            ca_file=self.controller.announcement.ca_file,
            **headers,
        )

    def ask_plainly(
        self, replica: ReplicaFacts, path: str, *, host: str = IN_SCOPE, **headers: str
    ) -> httpx.Response:
        """One request over plaintext."""
        return direct.ask_plainly(replica.http, host, path, **headers)

    def revision(self, replica: ReplicaFacts) -> str:
        return self.ask_plainly(replica, CHECK).text.split(" ")[0]

    def await_revision(self, replica: ReplicaFacts, revision: int) -> None:
        until(
            lambda: self.revision(replica) == f"rev={revision}",
            within_s=SEEN_WITHIN_S,
            describe=f"rev={revision} on {replica.address}",
        )

    def await_sync(self, before: Sequence[ReplicaFacts]) -> None:
        """Each replica has synced since."""
        until(
            lambda: all(
                now.syncs > then.syncs
                for now, then in zip(self.controller.replicas(), before, strict=True)
            ),
            within_s=SEEN_WITHIN_S,
            describe="a sync of each replica",
        )

    def await_answer(
        self, replica: ReplicaFacts, host: str, status: int, *, presenting: PemPair | None = None
    ) -> None:
        """Workers of before a reload accept for a moment longer, so that a first answer of the new ones is not yet the only one."""
        until(
            lambda: self.ask(replica, "/", host=host, presenting=presenting).status_code == status,
            within_s=SEEN_WITHIN_S,
            describe=f"{status} from {host}",
        )


@contextmanager
def running_pair(plane: ControlPlane, name: str) -> Iterator[Site]:
    """Two replicas that show rev=1 and serve one host."""
    pair = site(plane, name, config=marker(1))
    pair.create(ingress("web", IN_SCOPE))
    with pair.controller:
        yield pair


def site(plane: ControlPlane, name: str, **arguments: Any) -> Site:
    namespace = plane.create_namespace(name)
    controller = IngressNginx(
        plane.admin_kubeconfig,
        namespace=namespace,
        ingress_class=namespace,
        controller_class=f"k8s.io/{namespace}",
        hosts=("example.com", "*.example.com", "*.example.org"),
        first_sync_pause_s=0.2,
        **arguments,
    )
    return Site(plane, namespace, controller)
