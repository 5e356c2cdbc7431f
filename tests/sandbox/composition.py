"""All real parts and doubles together: Kubernetes, two ingress-nginx replicas, Cloudflare, and what a platform team installs.

The operator is not part of it: it runs as its own process, with the token of the ServiceAccount
that `deploy/manifests/` ships (`sandbox.operator`).
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from sandbox import direct, relays
from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.cluster.frontend import Frontend, FrontendPod
from sandbox.cluster.gateway_frontend import GatewayFrontend, ProxiesBesideIt
from sandbox.distance import Distance
from sandbox.ingress_nginx import backend
from sandbox.ingress_nginx.facts import ReplicaFacts
from sandbox.ingress_nginx.launcher import IngressNginx
from sandbox.kubernetes.plane import ControlPlane
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "manifests"
CLUSTER_WIDE = MANIFESTS / "cluster-wide"
WORKLOADS = MANIFESTS / "workloads"
TRAEFIK = MANIFESTS / "traefik"
GATEWAYS = MANIFESTS / "gateways"
SCOPE = (
    "AOP_WATCH_NAMESPACES",
    "AOP_INGRESS_CONFIG_MAPS",
    "AOP_LIST_ALL_INGRESSES",
    "AOP_LIST_INGRESS_ROUTES",
    "AOP_LIST_ROUTES",
    "AOP_PROXY_NAMESPACES",
)
"""The settings of the shipped Deployment that go with its permissions."""
OPERATOR_NAMESPACE, OPERATOR_ACCOUNT = "aop-system", "aop-operator"
CONTROLLER_NAMESPACE, CONFIG_MAP = "ingress-nginx", "ingress-nginx-controller"
HOSTS = ("example.com", "www.example.com")
EDGE_ROUND_TRIP_S = 0.02
"""From a data centre to an origin and back: what a scenario has that is not about something else."""


def manifests_for(server: str) -> Path:
    """The manifests for a Deployment of that server, or for a Gateway."""
    return {"traefik": TRAEFIK, "gateway": GATEWAYS}.get(server, WORKLOADS)


@dataclass(frozen=True, slots=True)
class Layout:
    """What differs from one sandbox to the next."""

    hosts: Sequence[str] = HOSTS
    """Hosts that an Ingress each brings to the controller."""
    zones: Sequence[str] = ("example.com",)
    locations: Mapping[str, float] = field(
        default_factory=lambda: {"FRA": 0.0, "AMS": 0.0, "IAD": 0.0}
    )
    """Edge locations and their propagation delays in seconds; the operator's probes meet the first."""
    config: Mapping[str, str] = field(
        default_factory=lambda: {"use-forwarded-headers": "true", "ssl-redirect": "false"}
    )
    """The controller's ConfigMap as it is found. Forwarded headers are usual behind Cloudflare, and
    the way to the X-Forwarded-Proto bypass; without the redirect of its own, http:// shows what we
    do to it."""
    dns_only: Sequence[str] = ()
    """Hosts whose DNS record is not proxied: visitors and probes go straight to a replica."""
    round_trip_s: float = 0.0
    """Between edge and origins; see `EDGE_ROUND_TRIP_S`. None by default, so that scenarios from
    before it are what they were."""
    first_address: str = "127.0.0.11"
    workload: str = ""
    """Of which kind the workload is that serves the hosts, and not ingress-nginx; with the
    manifests that `manifests_for` names, which are for a Deployment."""
    server: str = "nginx"
    """The server that runs in that workload, by the name of its origin kind; `gateway`: a Gateway of
    Envoy Gateway, which makes the Deployment."""
    proxies_beside: bool = False
    """It makes it in the namespace of the Gateway."""
    manifests: Path | None = CLUSTER_WIDE
    """Whose permissions and scope the operator has: CLUSTER_WIDE, so that a test may use any
    namespace and any controller; MANIFESTS, which serve namespace `edge` and one controller; or
    None: the tests of the chart install with Helm."""


class Sandbox:
    """The running parts. A context manager; `plane` may be one that runs already."""

    def __init__(self, layout: Layout | None = None, plane: ControlPlane | None = None) -> None:
        self.layout = layout or Layout()
        self._own_plane = plane is None
        self.plane = plane or ControlPlane(workloads=bool(self.layout.workload))
        self.folder = Path(tempfile.mkdtemp(prefix="aop-sandbox-"))
        self.ingress_nginx: IngressNginx
        self.frontend: Frontend
        self.cloudflare: CloudflareDouble
        self._distance: Distance | None = None

    def start(self) -> Self:
        """Start everything and install CRD, manifests and Ingresses; returns when all of it answers."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        if self._own_plane:
            self.plane.start()
        if self.layout.workload:
            self._start_frontend()
        else:
            self._start_ingress_nginx()
        until(self._served, within_s=30, every_s=0.1, describe="every replica to serve every host")
        self.cloudflare = CloudflareDouble(
            self.folder / "cloudflare",
            self._origins_of_the_edge(),
            zones=self.layout.zones,
            locations=dict(self.layout.locations),
        )
        if self.layout.dns_only:
            self.cloudflare.control.change_zone(
                self.layout.zones[0], dns_only=list(self.layout.dns_only)
            )

    def _start_frontend(self) -> None:
        of_gateways = ProxiesBesideIt if self.layout.proxies_beside else GatewayFrontend
        kind = of_gateways if self.layout.server == "gateway" else Frontend
        self.frontend = kind(
            self.plane,
            self.folder / "frontend",
            self.layout.hosts,
            self.layout.workload,
            self.layout.server,
        ).start()
        self._install()

    def _install(self) -> None:
        if self.layout.manifests:
            self.plane.apply(ROOT / "crds")
            self.plane.apply(MANIFESTS / "00-namespace.yaml")
            self.plane.apply(self.layout.manifests)

    def _start_ingress_nginx(self) -> None:
        config = dict(self.layout.config)
        controller = IngressNginx(
            self.plane.admin_kubeconfig,
            config=config,
            hosts=[*self.layout.hosts, "*.example.com"],
            first_address=self.layout.first_address,
        )
        self.ingress_nginx = controller.start()
        self._install()  # after the controller: a Role stands in its namespace
        self.plane.apply([ingress(host) for host in self.layout.hosts])

    def _origins_of_the_edge(self) -> list[tuple[str, int, int]]:
        """Where the edge finds the replicas: address, port 443, port 80.

        A replica that comes to the same address later is found there as well.
        """
        if self.layout.workload:
            return [self.frontend.place]
        ports = self.ingress_nginx.announcement
        addresses = [one.address for one in self.ingress_nginx.replicas()]
        if not self.layout.round_trip_s:
            return [(address, ports.https_port, ports.http_port) for address in addresses]
        self._distance = away = Distance(self.layout.round_trip_s).start()
        return [
            (
                relays.ADDRESS,
                away.to(address, ports.https_port),
                away.to(address, ports.http_port),
            )
            for address in addresses
        ]

    def _served(self) -> bool:
        """Every Ingress has reached every replica; until then a visitor gets 404."""
        ca_file = self.origin_ca_file
        return all(
            direct.ask(one, host, ca_file=ca_file).status_code == backend.STATUS
            for host in self.layout.hosts
            for one in self.origins
        )

    def stop(self) -> None:
        """End everything that was started here."""
        for part in ("cloudflare", "ingress_nginx", "frontend"):
            if part in self.__dict__:
                self.__dict__[part].stop()
        if self._distance is not None:
            self._distance.stop()
        if self._own_plane:
            self.plane.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- for whoever uses it -----------------------------------------------------------------------------------------

    @property
    def origins(self) -> list[str]:
        """`ip:port` of every replica, https."""
        return [one.https for one in self.replicas()]

    def replicas(self) -> Sequence[ReplicaFacts] | Sequence[FrontendPod]:
        """Every replica that serves."""
        return self.frontend.replicas() if self.layout.workload else self.ingress_nginx.replicas()

    @property
    def refusal(self) -> int:
        """What a stranger gets where a certificate is required."""
        return self.frontend.refusal if self.layout.workload else 400

    @property
    def origin_ca_file(self) -> str:
        """By which the certificates of the replicas are verified."""
        if self.layout.workload:
            return str(self.frontend.ca_file)
        return self.ingress_nginx.announcement.ca_file

    @property
    def origins_http(self) -> list[str]:
        """`ip:port` of every replica, http."""
        return [one.http for one in self.replicas()]

    @property
    def connect_to(self) -> str:
        """Where the edge is reached, in the syntax of AOP_EDGE_CONNECT_TO: the first location, and for DNS-only hosts a replica."""
        direct = [f"{host}:443:{self.origins[0]}" for host in self.layout.dns_only]
        return ",".join([*direct, f":443:{self.cloudflare.locations[0].https}"])

    def operator_environment(self, **more: str) -> dict[str, str]:
        """The settings of an operator that is to work in this sandbox."""
        kubeconfig = self.plane.service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
        return {
            **self._scope(),
            "AOP_KUBECONFIG": str(kubeconfig),
            "AOP_NAMESPACE": OPERATOR_NAMESPACE,
            # One process, but for the tests of what two do.
            "AOP_ELECTION": "false",
            "AOP_CLOUDFLARE_BASE_URL": self.cloudflare.base_url,
            "AOP_EDGE_CONNECT_TO": self.connect_to,
            "AOP_EDGE_CA_FILE": str(self._what_visitors_trust()),
            "AOP_LISTEN_ADDRESS": "127.0.0.1",
            **more,
        }

    def _what_visitors_trust(self) -> Path:
        """The edge's authority; with DNS-only hosts the replicas' as well, because visitors meet their certificates there."""
        if not self.layout.dns_only:
            return self.cloudflare.edge_ca_file
        bundle = self.folder / "visitors-trust.pem"
        bundle.write_text(
            self.cloudflare.edge_ca_file.read_text() + Path(self.origin_ca_file).read_text()
        )
        return bundle

    def _scope(self) -> dict[str, str]:
        """What the operator serves, as the manifests' own Deployment says it."""
        if self.layout.manifests is None:
            return {}
        deployment = yaml.safe_load((self.layout.manifests / "30-deployment.yaml").read_text())
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return {one["name"]: one["value"] for one in container["env"] if one["name"] in SCOPE}

    def write_environment(self, file: Path) -> None:
        """`export` lines for a shell: the operator's settings, an admin's kubeconfig, and where everything is."""
        variables = {
            # The double lags by knobs, not by minutes: a removal need not watch it for five
            # minutes.
            **self.operator_environment(AOP_QUIET_PERIOD_S="10"),
            "KUBECONFIG": str(self.plane.admin_kubeconfig),
            "CLOUDFLARE_API_TOKEN": self.cloudflare.token,
            "SANDBOX_EDGE_LOCATIONS": ",".join(one.https for one in self.cloudflare.locations),
            "SANDBOX_EDGE_LOCATIONS_HTTP": ",".join(one.http for one in self.cloudflare.locations),
            "SANDBOX_ORIGINS": ",".join(f"https://{one}" for one in self.origins),
            "SANDBOX_ORIGINS_HTTP": ",".join(f"http://{one}" for one in self.origins_http),
            "SANDBOX_CONTROL_URL": self.cloudflare.control_url,
            "SANDBOX_INGRESS_CONTROL_URL": self.ingress_nginx.announcement.control,
        }
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())
        )
        # kubectl, and `aop-operator` of this very environment.
        lines += f'export PATH={shlex.quote(str(self.plane.programs.kubectl.parent))}:{shlex.quote(str(Path(sys.prefix) / "bin"))}:"$PATH"\n'
        partial = file.with_suffix(".new")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(lines)
        partial.replace(file)

    def secret(self, namespace: str, name: str = "cloudflare", token: str | None = None) -> None:
        """Create or replace the Secret with the API token."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {"api-token": token or self.cloudflare.token},
        }
        self.plane.apply(body)

    def config_map(self) -> dict[str, Any]:
        """The controller's ConfigMap, as it is now."""
        path = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
        manifest: dict[str, Any] = self.plane.http.get(path).raise_for_status().json()
        return manifest


def ingress(host: str, namespace: str = "default", **annotations: str) -> dict[str, Any]:
    """An Ingress of the sandbox's controller for one host."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": host.replace("*", "wildcard"),
            "namespace": namespace,
            "annotations": annotations,
        },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host]}],
            "rules": [
                {
                    "host": host,
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "shop", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        },
    }
