"""A Gateway of a real Envoy Gateway, as deploy/examples has it, whose proxies the node runs, and an application behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sandbox.cluster.frontend import NAMESPACE, Frontend
from sandbox.envoy_gateway import controller
from sandbox.envoy_gateway.controller import XDS_PORT, EnvoyGateway
from sandbox.ingress_nginx import backend, programs
from sandbox.ports import free_port
from sandbox.waiting import until

APP_PORT = 8000
"""Where a proxy finds the application, in its own network."""
OWNED = "gateway.envoyproxy.io/owning-gateway-name=frontend"
MADE_WITHIN_S = 60.0


class GatewayFrontend(Frontend):
    """As `Frontend` says; it is the control plane that makes the Deployment of the proxies."""

    runs_in = controller.NAMESPACE
    labelled = OWNED
    https_port, http_port = 10443, 10080
    rolls_out = False
    config = controller.CONFIG
    """Envoy Gateway's own."""

    def deploy(self) -> Mapping[int, str]:
        self.controller = EnvoyGateway(self._plane, self._folder / "envoy-gateway", self.config)
        self._parts.enter_context(self.controller)
        self._plane.apply(self._certificate())
        address = f"127.0.0.1:{free_port()}"
        app = backend.start(
            programs.find(),
            self._folder / "app",
            address,
            user=programs.worker_user(),
            connections=1024,
        )
        self._parts.callback(app.kill)
        self._plane.apply(application())
        self._plane.apply([*yaml.safe_load_all((self._examples / "web.yaml").read_text())])
        until(
            lambda: bool(self._deployments()),
            within_s=MADE_WITHIN_S,
            every_s=0.2,
            describe=lambda: f"Envoy Gateway to make a Deployment\n{self.controller.last_words()}",
        )
        return {XDS_PORT: self.controller.xds, APP_PORT: address}

    @property
    def _path(self) -> str:
        (name,) = [one["metadata"]["name"] for one in self._deployments()]
        return f"/apis/apps/v1/namespaces/{self.runs_in}/deployments/{name}"

    def _deployments(self) -> list[dict[str, Any]]:
        path = f"/apis/apps/v1/namespaces/{self.runs_in}/deployments"
        answer = self._plane.http.get(path, params={"labelSelector": OWNED})
        deployments: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return deployments


class ProxiesBesideIt(GatewayFrontend):
    """The same where Envoy Gateway runs the proxies in the namespace of their Gateway."""

    runs_in = NAMESPACE
    config = controller.BESIDE


def application() -> list[dict[str, Any]]:
    """The Service `app`; it has an address of this machine alone, which no EndpointSlice may hold, so it holds a name."""
    port = {"name": "http", "port": 80, "targetPort": APP_PORT}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "app", "namespace": NAMESPACE},
            "spec": {"ports": [port]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "app",
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": "app"},
            },
            "addressType": "FQDN",
            "endpoints": [{"addresses": ["app.web.svc.cluster.local"]}],
            "ports": [{"name": "http", "port": APP_PORT}],
        },
    ]
