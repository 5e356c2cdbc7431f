"""The control plane of Envoy Gateway, as its chart runs it, on an API server of the sandbox."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from sandbox.envoy_gateway import programs
from sandbox.envoy_gateway.confined import Confinement
from sandbox.kubernetes.plane import ControlPlane
from sandbox.ports import free_port
from sandbox.processes import Child

NAMESPACE = "envoy-gateway-system"
XDS_PORT = 18000
"""Where its proxies find it."""
CONFIG: Mapping[str, Any] = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "EnvoyGateway",
    "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
    # There is no webhook here that tells a proxy its zone.
    "provider": {"type": "Kubernetes", "kubernetes": {"proxyTopologyInjector": {"disable": True}}},
    "extensionApis": {"enableLua": True},
}
BESIDE: Mapping[str, Any] = {
    **CONFIG,
    "provider": {
        "type": "Kubernetes",
        "kubernetes": {
            **CONFIG["provider"]["kubernetes"],
            "deploy": {"type": "GatewayNamespace"},
        },
    },
}
"""It runs the proxies in the namespace of their Gateway."""
IN_CLUSTER = "/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds the token of its ServiceAccount: it looks nowhere else to check a proxy's."""


class EnvoyGateway:
    """Runs within the block. Its definitions and its namespace stay."""

    def __init__(
        self, plane: ControlPlane, folder: Path, config: Mapping[str, Any] = CONFIG
    ) -> None:
        self._plane, self._folder, self._config = plane, folder, config
        self._programs = programs.find(say=lambda _: None)
        self.xds = f"127.0.0.1:{free_port()}"
        """Where it is, out of its own network."""
        self._child: Child | None = None

    def start(self) -> Self:
        """Start it; it answers a little later."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._plane.apply(self._programs.definitions, server_side=True)
        self._plane.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        )
        # The Job of its chart.
        subprocess.run(
            [self._programs.envoy_gateway, "certgen", "--disable-topology-injector"],
            env=self._environment(self._plane.admin_kubeconfig),
            check=True,
            capture_output=True,
        )
        self.run()
        return self

    def run(
        self,
        *,
        kubeconfig: Path | None = None,
        api_server: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Run it; in place of the one that runs, if one does.

        It reaches the API server at the address that the kubeconfig names, `https://ip:port`.
        """
        if self._child is not None:
            self._child.kill()
        (self._folder / "envoy-gateway.yaml").write_text(
            yaml.safe_dump({**(config or self._config)})
        )
        address = (api_server or self._plane.url).removeprefix("https://")
        confinement = Confinement(
            str(self._folder / "confined"),
            listens={self.xds: XDS_PORT},
            reaches={address.rpartition(":")[2]: address},
            binds={"/certs": str(self._certificates()), IN_CLUSTER: str(self._account())},
        )
        host, _, port = address.rpartition(":")
        environment = {
            **self._environment(kubeconfig or self._plane.admin_kubeconfig),
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        }
        config_file = self._folder / "envoy-gateway.yaml"
        command: list[str | Path] = [
            self._programs.envoy_gateway,
            "server",
            "--config-path",
            config_file,
        ]
        self._child = Child(
            confinement.command(command), log=self._folder / "envoy-gateway.log", env=environment
        )

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.kill()

    def last_words(self) -> str:
        """The end of its log."""
        return self._child.last_words() if self._child is not None else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def _environment(kubeconfig: Path) -> dict[str, str]:
        return {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "ENVOY_GATEWAY_NAMESPACE": NAMESPACE,
            "KUBERNETES_CLUSTER_DOMAIN": "cluster.local",
        }

    def _account(self) -> Path:
        """The files of its ServiceAccount, which may have the API server check a token."""
        account = {"kind": "ServiceAccount", "name": "envoy-gateway", "namespace": NAMESPACE}
        group, role = "rbac.authorization.k8s.io", "system:auth-delegator"
        metadata = {"name": account["name"]}
        self._plane.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {**metadata, "namespace": NAMESPACE},
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": [account],
            },
        )
        folder = self._folder / "account"
        folder.mkdir(exist_ok=True)
        token = self._plane.service_account_token(NAMESPACE, account["name"])
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(self._plane.ca_file.read_bytes())
        return folder

    def _certificates(self) -> Path:
        """The files of the Secret that its pod mounts."""
        answer = self._plane.http.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/envoy-gateway")
        folder = self._folder / "certs"
        folder.mkdir(exist_ok=True)
        for name, value in answer.raise_for_status().json()["data"].items():
            (folder / name).write_bytes(base64.b64decode(value))
        return folder
