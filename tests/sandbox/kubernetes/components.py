"""The command lines of etcd, kube-apiserver and kube-controller-manager, and the files that they read.

Why each unusual flag stands there is said beside it; the rest is what every cluster has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.kubernetes import audit, kubeconfig
from sandbox.kubernetes.binaries import Binaries
from sandbox.kubernetes.certificates import ClusterAuthority, PemPair, signing_keys
from sandbox.ports import free_port

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class PlanePorts:
    """Free ports of one control plane; they stay the same when a part is restarted."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int

    @staticmethod
    def choose() -> "PlanePorts":
        """Four ports that are free now."""
        return PlanePorts(free_port(), free_port(), free_port(), free_port())


@dataclass(frozen=True)
class Files:
    """Certificates and configuration of one control plane, written below `folder`."""

    folder: Path
    server_ca: ClusterAuthority
    client_ca: ClusterAuthority
    admin: PemPair

    @staticmethod
    def write(folder: Path) -> "Files":
        """Generate and write all (10 ms)."""
        server_ca, client_ca = (
            ClusterAuthority("sandbox-server-ca"),
            ClusterAuthority("sandbox-client-ca"),
        )
        (folder / "ca.crt").write_bytes(server_ca.pem)
        (folder / "client-ca.crt").write_bytes(client_ca.pem)
        server_ca.serve(["localhost", LOOPBACK, "kubernetes.default.svc"]).write(
            folder, "apiserver"
        )
        signing_keys(folder, "service-account")
        admin = client_ca.client("admin", ["system:masters"])
        admin.write(folder, "admin")
        (folder / "audit-policy.yaml").write_text(audit.POLICY)
        return Files(folder, server_ca, client_ca, admin)


def etcd(binaries: Binaries, folder: Path, ports: PlanePorts) -> list[str | Path]:
    """Etcd, which may lose its data when the machine does: it is temporary."""
    client, peer = f"http://{LOOPBACK}:{ports.etcd}", f"http://{LOOPBACK}:{ports.etcd_peer}"
    return [
        binaries.etcd,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=error",
    ]


def apiserver(
    binaries: Binaries, folder: Path, ports: PlanePorts, extra: Sequence[str]
) -> list[str | Path]:
    """kube-apiserver with RBAC, client certificates, ServiceAccount tokens and an audit log; `extra` flags come last and win."""
    return [
        binaries.kube_apiserver,
        f"--etcd-servers=http://{LOOPBACK}:{ports.etcd}",
        f"--secure-port={ports.apiserver}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--cert-dir={folder}",
        f"--tls-cert-file={folder / 'apiserver.crt'}",
        f"--tls-private-key-file={folder / 'apiserver.key'}",
        f"--client-ca-file={folder / 'client-ca.crt'}",
        "--authorization-mode=RBAC",
        # A loopback address is no valid endpoint of the `kubernetes` Service: without this the
        # server tries for ever and says so.
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--allow-privileged=true",
        # Pods are written by tests, often before anything has made a default ServiceAccount.
        "--disable-admission-plugins=ServiceAccount",
        f"--service-account-issuer=https://{LOOPBACK}:{ports.apiserver}/",
        f"--service-account-key-file={folder / 'service-account.pub'}",
        f"--service-account-signing-key-file={folder / 'service-account.key'}",
        f"--audit-policy-file={folder / 'audit-policy.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-maxsize=1000",
        "--profiling=false",
        *extra,
    ]


CONTROLLERS = (
    "namespace",
    "garbagecollector",
    "serviceaccount",
    "clusterrole-aggregation",  # fills the `view`, `edit` and `admin` roles, which are empty without
    "root-ca-cert-publisher",
)
WORKLOAD_CONTROLLERS = ("deployment", "replicaset", "statefulset", "daemonset")
"""What makes pods of workloads; who runs them is another matter (`sandbox.cluster`)."""


def controller_manager(
    program: Path, files: Files, ports: PlanePorts, controllers: Sequence[str]
) -> list[str | Path]:
    """kube-controller-manager with the controllers that a test can meet; all of them act as admin, and tests are not about them."""
    folder = files.folder
    identity = kubeconfig.write(
        folder / "controller-manager.kubeconfig",
        server=f"https://{LOOPBACK}:{ports.apiserver}",
        ca=files.server_ca.pem,
        client=files.client_ca.client("system:kube-controller-manager", ["system:masters"]),
    )
    return [
        program,
        f"--kubeconfig={identity}",
        f"--authentication-kubeconfig={identity}",
        f"--authorization-kubeconfig={identity}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={ports.controller_manager}",
        f"--cert-dir={folder}",
        "--leader-elect=false",
        f"--controllers={','.join(controllers)}",
        f"--service-account-private-key-file={folder / 'service-account.key'}",
        f"--root-ca-file={folder / 'ca.crt'}",
        "--use-service-account-credentials=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]
