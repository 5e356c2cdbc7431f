"""One site behind two kinds of origin at once: ingress-nginx, and another server in a Deployment, or a Gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox import direct
from sandbox.cluster import frontend
from sandbox.cluster.gateway_frontend import GatewayFrontend
from sandbox.composition import (
    CONFIG_MAP,
    CONTROLLER_NAMESPACE,
    HOSTS,
    Layout,
    ingress,
    manifests_for,
)
from sandbox.ingress_nginx import backend
from sandbox.ingress_nginx.launcher import IngressNginx
from sandbox.scene import Scene, origin, workload_origin
from sandbox.waiting import until

CONTROLLER: dict[str, Any] = origin(name="ingress")
_MAPS = f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP},{frontend.NAMESPACE}/{frontend.CONFIG_MAP}"


@dataclass(frozen=True, slots=True)
class TwoKinds:
    """The scene, whose operator runs, and both origins as the edge finds them."""

    scene: Scene
    server: str
    """Which one runs in the Deployment; `gateway`: those of a Gateway."""
    controller: IngressNginx
    at_the_controller: list[dict[str, Any]]
    at_the_deployment: list[dict[str, Any]]

    @property
    def origins(self) -> list[dict[str, Any]]:
        """Both, as a spec has them."""
        return [CONTROLLER, workload_origin(self.server)]

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Until the block ends the other one takes up no text: its new pods never become Ready, or nobody hands it to the proxies."""
        frontend = self.scene.sandbox.frontend
        if isinstance(frontend, GatewayFrontend):
            frontend.controller.stop()
        frontend.node.hangs = True
        try:
            yield
        finally:
            frontend.node.hangs = False
            if isinstance(frontend, GatewayFrontend):
                frontend.controller.run()

    def modes(self) -> dict[str, str]:
        """How strict the status says each origin is."""
        status = (self.scene.object() or {}).get("status", {})
        return {one["name"]: one.get("mode", "") for one in status.get("origins", [])}


@contextmanager
def two_kinds(server: str) -> Iterator[TwoKinds]:
    """Within the block the edge sends visitors to both in turn; the operator has every right."""
    with (
        Scene(
            Layout(workload="Deployment", server=server, manifests=manifests_for(server)),
            with_operator=False,
        ) as scene,
        IngressNginx(
            scene.plane.admin_kubeconfig,
            config={"use-forwarded-headers": "true", "ssl-redirect": "false"},
            hosts=list(HOSTS),
            first_address="127.0.0.31",
        ) as controller,
        scene.new_operator(
            AOP_KUBECONFIG=str(scene.plane.admin_kubeconfig),
            AOP_INGRESS_CONFIG_MAPS=_MAPS,
            AOP_LIST_ALL_INGRESSES="true",
        ) as scene.operator,
    ):
        scene.plane.apply([ingress(host) for host in HOSTS])
        ports = controller.announcement
        controllers = [
            {"address": one.address, "https_port": ports.https_port, "http_port": ports.http_port}
            for one in controller.replicas()
        ]
        until(
            lambda: all(
                direct.ask(one.https, host, ca_file=ports.ca_file).status_code == backend.STATUS
                for one in controller.replicas()
                for host in HOSTS
            ),
            within_s=30,
            describe="every replica of the controller to serve every host",
        )
        deployment: list[dict[str, Any]] = scene.control.zone()["origins"]
        scene.control.change_zone(origins=[*controllers, *deployment])
        yield TwoKinds(scene, server, controller, controllers, deployment)
