"""Install, upgrade, roll back and uninstall on the real API server, with an operator that runs exactly what was installed.

Visitors come all the time, and every replica that requires goes on requiring while the chart is upgraded under it.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.composition import Layout
from sandbox.helm.releases import CHART, Helm, HelmFailed
from sandbox.kubernetes.plane import ControlPlane
from sandbox.load import Report
from sandbox.ports import free_port
from sandbox.scene import Scene
from sandbox.waiting import until
from sandbox.workloads import DeployedOperator, JobRunner

pytestmark = [pytest.mark.xdist_group("install"), pytest.mark.integration, pytest.mark.timeout(300)]

RELEASE, NAMESPACE = "aop-operator", "aop-system"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/authenticatedoriginpulls.aop-operator.dev"


@pytest.fixture
def helm(helm: Helm, plane: ControlPlane, tmp_path: Path) -> Helm:
    """Each major in turn, as the plane's admin."""
    return Helm(helm.program, tmp_path, plane.admin_kubeconfig)


@pytest.fixture(autouse=True)
def clean(plane: ControlPlane) -> Iterator[None]:
    """Nothing of a test before is left, and nothing of this one stays."""
    yield
    plane.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
    plane.kubectl("delete", "crd", "authenticatedoriginpulls.aop-operator.dev", "--ignore-not-found", "--wait=true")


def settings(scene: Scene, **more: Any) -> dict[str, Any]:
    """The values with which an installed operator works in the sandbox."""
    return {
        "settings": {
            "cloudflareBaseUrl": scene.cloudflare.base_url,
            "edgeConnectTo": scene.sandbox.connect_to.split(","),
            "edgeCaFile": str(scene.cloudflare.edge_ca_file),
            "stillnessSeconds": 3,
            **more,
        },
        "ports": {"health": free_port(), "metrics": free_port()},
    }


def chart_with_another_field(folder: Path) -> Path:
    """The chart of a next version, whose resource has one more optional field."""
    chart = folder / CHART.name
    shutil.copytree(CHART, chart)
    crd = yaml.safe_load((chart / "files/crd.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["note"] = {"type": "string", "description": "New in the next version."}
    (chart / "files/crd.yaml").write_text(yaml.safe_dump(crd, sort_keys=False))
    text = (chart / "Chart.yaml").read_text()
    version = yaml.safe_load(text)["version"]
    (chart / "Chart.yaml").write_text(text.replace(f"\nversion: {version}\n", "\nversion: 99.0.0\n"))
    return chart


def has_another_field(plane: ControlPlane) -> bool:
    crd = plane.http.get(CRD).raise_for_status().json()
    return "note" in crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


@contextmanager
def never_relaxed(scene: Scene) -> Iterator[list[int]]:
    """Ask every replica without a certificate, again and again; yields how many of them refused, each time."""
    seen: list[int] = []
    stopping = threading.Event()

    def look() -> None:
        while not stopping.wait(0.2):
            seen.append(len(scene.refusing()))

    thread = threading.Thread(target=look, name="never-relaxed", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stopping.set()
        thread.join()
    assert seen
    assert set(seen) == {len(scene.ingress_nginx.replicas())}


def owned_by_release(plane: ControlPlane) -> set[str]:
    """Everything that carries the release's label, whatever its kind."""
    listed = plane.kubectl("api-resources", "--verbs=list", "--output=name").split()
    kinds = ",".join(sorted(set(listed) - {"events", "events.events.k8s.io", "componentstatuses"}))
    found = plane.kubectl(
        "get", kinds, "--all-namespaces", f"--selector=app.kubernetes.io/instance={RELEASE}", "--output=name", "--ignore-not-found"
    )
    return set(found.split())


def test_install_and_uninstall_leave_nothing_but_the_resource(helm: Helm, plane: ControlPlane, tmp_path: Path) -> None:
    said = helm.install(RELEASE, NAMESPACE)
    assert "rollout status deployment/aop-operator" in said
    rendered = {(one["kind"], one["metadata"]["name"]) for one in helm.template(RELEASE, NAMESPACE) if one["kind"] != "Job"}
    assert len(owned_by_release(plane)) == len(rendered)
    with JobRunner(plane, tmp_path):
        helm.uninstall(RELEASE, NAMESPACE)
    left = owned_by_release(plane)
    assert left == {"customresourcedefinition.apiextensions.k8s.io/authenticatedoriginpulls.aop-operator.dev"}


def test_installing_again_takes_the_kept_resource_over(helm: Helm, plane: ControlPlane, tmp_path: Path) -> None:
    for _ in range(2):
        helm.install(RELEASE, NAMESPACE)
        with JobRunner(plane, tmp_path):
            helm.uninstall(RELEASE, NAMESPACE)


def test_the_life_of_a_release_under_visitors(helm: Helm, plane: ControlPlane, tmp_path: Path, record_property: Any) -> None:
    """Onboarding under the installed account and settings; upgrades in the middle of it and after it; a refused uninstall; removal; uninstall."""
    helm.install(RELEASE, NAMESPACE)
    with Scene(Layout(manifests=False), plane, with_operator=False) as scene:
        helm.upgrade(RELEASE, NAMESPACE, settings(scene))
        with DeployedOperator(plane, tmp_path) as operator, scene.visitors() as visitors:
            visitors.allow_redirects(allowed=True)
            # In the middle of a rollout: the zone has the certificate, and nobody is required yet.
            scene.apply()
            scene.until_condition("CertificateReady", "True")
            helm.upgrade(RELEASE, NAMESPACE, settings(scene, logLevel="debug"))
            operator.replace()
            scene.until_enforced()
            with never_relaxed(scene):
                upgrade_and_roll_back(helm, plane, scene, operator, tmp_path)
                refused = uninstall_refused(helm, plane, tmp_path)
            assert "edge/example-com (zone example.com, enforcement Require)" in refused
            assert "kubectl -n edge delete aop example-com" in refused
            scene.remove()
            report = visitors.stop()
        with JobRunner(plane, tmp_path):
            helm.uninstall(RELEASE, NAMESPACE)
    assert report.flawless, str(report)
    record_property("edge_requests", _told(report))
    assert owned_by_release(plane) == {"customresourcedefinition.apiextensions.k8s.io/authenticatedoriginpulls.aop-operator.dev"}


def upgrade_and_roll_back(helm: Helm, plane: ControlPlane, scene: Scene, operator: DeployedOperator, folder: Path) -> None:
    """While hosts are required: another version with another resource, then back; both are the ordinary Recreate."""
    helm.upgrade(RELEASE, NAMESPACE, settings(scene, replicaRecheckSeconds=5), chart=chart_with_another_field(folder))
    operator.replace()
    until(lambda: has_another_field(plane), within_s=10, describe="the new resource")
    (number, status), *_ = reversed(helm.revisions(RELEASE, NAMESPACE))
    assert status == "deployed"
    scene.until_enforced()
    helm.rollback(RELEASE, NAMESPACE, number - 1)
    operator.replace()
    until(lambda: not has_another_field(plane), within_s=10, describe="the resource of before")
    # The restarted operator has looked at the object and has nothing to change.
    scene.patch({"enforcement": "Require"})
    scene.until_enforced()


def uninstall_refused(helm: Helm, plane: ControlPlane, folder: Path) -> str:
    """What a person sees who uninstalls too early; then everything is still there, and Helm is told that the release stays."""
    before = owned_by_release(plane)
    with JobRunner(plane, folder), pytest.raises(HelmFailed) as failed:
        helm.uninstall(RELEASE, NAMESPACE)
    assert before <= owned_by_release(plane)
    number, _ = helm.revisions(RELEASE, NAMESPACE)[-1]
    helm.rollback(RELEASE, NAMESPACE, number)
    assert helm.revisions(RELEASE, NAMESPACE)[-1][1] == "deployed"
    return str(failed.value)


def _told(report: Report) -> str:
    return f"{report.edge.ok} {report.edge.failed}"
