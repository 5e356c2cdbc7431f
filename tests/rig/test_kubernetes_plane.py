"""The control plane is a real one: it refuses, it audits, it collects garbage, it comes back, and it never outlives its owner."""

import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.kubernetes.kubectl import KubectlError
from sandbox.kubernetes.plane import ControlPlane
from sandbox.waiting import until

READS_CONFIGMAPS = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: Require}
"""


def user(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:reader"


def test_a_service_account_may_do_what_its_role_says_and_nothing_else(
    plane: ControlPlane, namespace: str
) -> None:
    plane.apply(READS_CONFIGMAPS, namespace=namespace)
    reader = plane.service_account_kubeconfig(namespace, "reader")

    assert (
        plane.kubectl(
            "get", "configmap", "settings", "-o", "jsonpath={.data.mode}", kubeconfig=reader
        )
        == "Require"
    )
    with pytest.raises(
        KubectlError, match=rf'User "{user(namespace)}" cannot get resource "secrets"'
    ):
        plane.kubectl("get", "secret", "settings", kubeconfig=reader)
    with pytest.raises(KubectlError, match='cannot get resource "configmaps"'):
        plane.kubectl("get", "configmap", "settings", "--namespace=default", kubeconfig=reader)


def test_the_audit_log_tells_what_a_service_account_asked_and_was_answered(
    plane: ControlPlane, namespace: str
) -> None:
    plane.apply(READS_CONFIGMAPS, namespace=namespace)
    reader = plane.service_account_kubeconfig(namespace, "reader")
    plane.kubectl("get", "configmap", "settings", kubeconfig=reader)
    with pytest.raises(KubectlError):
        plane.kubectl("delete", "secret", "key", kubeconfig=reader)

    def asked() -> set[tuple[str, str, str, str, bool | None, int | None]]:
        events = plane.audit(user(namespace))
        return {
            (event.verb, event.resource, event.namespace, event.name, event.allowed, event.code)
            for event in events
            if event.resource
        }

    expected = {
        ("get", "configmaps", namespace, "settings", True, 200),
        ("delete", "secrets", namespace, "key", False, 403),
    }
    until(
        lambda: asked() == expected,
        within_s=5,
        describe=lambda: f"the audit log to tell {expected}, not {asked()}",
    )


def test_the_audit_log_tells_a_watch_while_it_is_still_running(
    plane: ControlPlane, namespace: str
) -> None:
    plane.apply(READS_CONFIGMAPS.replace("verbs: [get]", "verbs: [watch]"), namespace=namespace)
    token = plane.service_account_token(namespace, "reader")
    trust = ssl.create_default_context(cafile=str(plane.ca_file))
    with (
        httpx.Client(
            base_url=plane.url, verify=trust, headers={"Authorization": f"Bearer {token}"}
        ) as reader,
        reader.stream("GET", f"/api/v1/namespaces/{namespace}/configmaps?watch=true") as watch,
    ):
        assert watch.status_code == 200
        until(
            lambda: (
                [(event.verb, event.code) for event in plane.audit(user(namespace))]
                == [("watch", None)]
            ),
            within_s=5,
            describe="the audit log to tell the watch",
        )


def test_the_audit_log_holds_service_accounts_only(plane: ControlPlane, namespace: str) -> None:
    plane.apply(READS_CONFIGMAPS, namespace=namespace)
    plane.kubectl(
        "get",
        "configmap",
        "settings",
        kubeconfig=plane.service_account_kubeconfig(namespace, "reader"),
    )
    until(
        lambda: plane.audit(user(namespace)),
        within_s=5,
        describe="the audit log to tell the reader's request",
    )
    assert all(event.user.startswith("system:serviceaccount:") for event in plane.audit())


def test_a_client_certificate_carries_a_user_and_groups(
    plane: ControlPlane, namespace: str
) -> None:
    plane.kubectl(
        "create", "role", "devs", "--resource=pods", "--verb=list", "--namespace", namespace
    )
    plane.kubectl(
        "create", "rolebinding", "devs", "--role=devs", "--group=devs", "--namespace", namespace
    )
    stranger = plane.kubeconfig_for("jane")
    member = plane.kubeconfig_for("jane", ["devs"])

    with pytest.raises(KubectlError, match='User "jane" cannot list resource "pods"'):
        plane.kubectl("get", "pods", "--namespace", namespace, kubeconfig=stranger)
    plane.kubectl("get", "pods", "--namespace", namespace, kubeconfig=member)


def test_a_custom_resource_can_be_used_as_soon_as_its_definition_is_applied(
    plane: ControlPlane, namespace: str
) -> None:
    plane.apply(definition("Lamp"))
    plane.apply(
        {
            "apiVersion": "test.example.com/v1",
            "kind": "Lamp",
            "metadata": {"name": "desk"},
            "spec": {"bright": 3},
        },
        namespace=namespace,
    )
    assert (
        plane.kubectl("get", "lamps", "--namespace", namespace, "-o", "name")
        == "lamp.test.example.com/desk\n"
    )


def test_the_schema_of_a_custom_resource_is_enforced_with_cel(
    plane: ControlPlane, namespace: str
) -> None:
    plane.apply(definition("Torch"))
    with pytest.raises(KubectlError, match="bright is at most 5"):
        plane.apply(
            {
                "apiVersion": "test.example.com/v1",
                "kind": "Torch",
                "metadata": {"name": "desk"},
                "spec": {"bright": 9},
            },
            namespace=namespace,
        )


def test_what_an_owner_owned_is_collected_with_it(
    collecting_plane: ControlPlane, namespace: str
) -> None:
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    owner = collecting_plane.http.post(base, json={"metadata": {"name": "owner"}}).json()
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    collecting_plane.http.post(
        base, json={"metadata": {"name": "owned", "ownerReferences": [reference]}}
    ).raise_for_status()

    collecting_plane.http.delete(f"{base}/owner").raise_for_status()

    until(
        lambda: collecting_plane.http.get(f"{base}/owned").status_code == 404,
        within_s=20,
        describe="the owned ConfigMap to be collected",
    )


def test_a_deleted_namespace_takes_its_objects_with_it(
    collecting_plane: ControlPlane, namespace: str
) -> None:
    collecting_plane.http.post(
        f"/api/v1/namespaces/{namespace}/configmaps", json={"metadata": {"name": "left"}}
    ).raise_for_status()
    collecting_plane.http.delete(f"/api/v1/namespaces/{namespace}").raise_for_status()
    until(
        lambda: collecting_plane.http.get(f"/api/v1/namespaces/{namespace}").status_code == 404,
        within_s=30,
        describe=f"namespace {namespace} to be gone",
    )


def test_a_pod_may_have_a_loopback_address(plane: ControlPlane, namespace: str) -> None:
    """Replicas of an origin are pods at 127.0.0.x: there is no kubelet, so the test itself says what their status is."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "replica"},
        "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
    }
    plane.apply(pod, namespace=namespace)
    status = {
        "status": {"phase": "Running", "podIP": "127.0.0.11", "podIPs": [{"ip": "127.0.0.11"}]}
    }
    answer = plane.http.patch(
        f"/api/v1/namespaces/{namespace}/pods/replica/status",
        json=status,
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.json()["status"]["podIP"] == "127.0.0.11"


def test_after_an_outage_the_same_api_server_is_back_with_the_same_data_and_tokens() -> None:
    with ControlPlane(with_controller_manager=False) as plane:
        plane.apply(READS_CONFIGMAPS)
        reader = plane.service_account_kubeconfig("default", "reader")
        with plane.outage(), pytest.raises(KubectlError, match="refused"):
            plane.kubectl("get", "configmap", "settings", kubeconfig=reader)
        assert (
            plane.kubectl("get", "configmap", "settings", "-o", "name", kubeconfig=reader)
            == "configmap/settings\n"
        )

        with plane.apiserver.suspended(), pytest.raises(KubectlError, match=r"[Tt]imeout|deadline"):
            plane.kubectl("get", "configmap", "settings", "--request-timeout=1s", kubeconfig=reader)
        plane.kubectl("get", "configmap", "settings", kubeconfig=reader)

        plane.etcd.kill()
        plane.etcd.start()
        plane.await_ready()
        plane.kubectl("get", "configmap", "settings", kubeconfig=reader)
        folder = plane.folder
    assert not folder.exists()


OWNER_OF_A_PLANE = """
import sys, time
from sandbox.kubernetes.plane import ControlPlane
plane = ControlPlane().start()
print(plane.folder, *(child.pid for child in (plane.etcd, plane.apiserver, plane.controller_manager) if child), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_when_its_owner_is_killed_no_part_of_a_control_plane_is_left() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER_OF_A_PLANE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as owner:
        assert owner.stdout is not None
        _, *pids = owner.stdout.readline().split()
        assert len(pids) >= 2
        assert all(running(int(pid)) for pid in pids)
        owner.send_signal(signal.SIGKILL)
    until(
        lambda: not any(running(int(pid)) for pid in pids),
        within_s=10,
        describe="etcd and kube-apiserver to die with their owner",
    )


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def definition(kind: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"bright": {"type": "integer"}},
                "x-kubernetes-validations": [
                    {"rule": "self.bright <= 5", "message": "bright is at most 5"}
                ],
            }
        },
    }
    names = {
        "plural": f"{kind.lower()}s" if kind != "Torch" else "torches",
        "singular": kind.lower(),
        "kind": kind,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.test.example.com"},
        "spec": {
            "group": "test.example.com",
            "scope": "Namespaced",
            "names": names,
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
