"""Install, upgrade, roll back and uninstall on the real API server, with an operator that runs exactly what was installed.

Visitors come all the time, and every replica that requires goes on requiring while the chart is
upgraded under it.
"""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.composition import Layout
from sandbox.following import Following
from sandbox.helm import programs
from sandbox.helm.releases import CHART, Helm, HelmFailed, Values
from sandbox.kstatus import Health, health
from sandbox.kubernetes import leads
from sandbox.kubernetes.permissions import account
from sandbox.kubernetes.plane import ControlPlane
from sandbox.ports import free_port
from sandbox.scene import NAMESPACE as EDGE
from sandbox.scene import Scene, path_of
from sandbox.waiting import until
from sandbox.workloads import DeployedOperator, JobRunner

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("tidied")]

RELEASE, NAMESPACE = "aop-operator", "aop-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
LEFT = "customresourcedefinition.apiextensions.k8s.io/authenticatedoriginpulls.aop-operator.dev"
"""What `crds.keep` keeps."""
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/authenticatedoriginpulls.aop-operator.dev"


@pytest.fixture
def helm(helm: Helm, plane: ControlPlane, tmp_path: Path) -> Helm:
    """Each major in turn, as the plane's admin."""
    return Helm(helm.program, tmp_path, plane.admin_kubeconfig)


@pytest.fixture
def helm_4(plane: ControlPlane, tmp_path: Path) -> Helm:
    """One of them, for what is the operator's affair."""
    return Helm(programs.find(4, say=lambda _: None), tmp_path, plane.admin_kubeconfig)


def settings(scene: Scene, **more: Any) -> dict[str, Any]:
    """The values with which an installed operator works in the sandbox."""
    return {
        "settings": {
            "cloudflareBaseUrl": scene.cloudflare.base_url,
            "edgeConnectTo": scene.sandbox.connect_to.split(","),
            "edgeCaFile": str(scene.cloudflare.edge_ca_file),
            "quietPeriodSeconds": 3,
            **more,
        },
        "ports": {"address": "127.0.0.1", "health": free_port(), "metrics": free_port()},
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
    (chart / "Chart.yaml").write_text(
        text.replace(f"\nversion: {version}\n", "\nversion: 99.0.0\n")
    )
    return chart


def has_another_field(plane: ControlPlane) -> bool:
    crd = plane.http.get(CRD).raise_for_status().json()
    return (
        "note"
        in crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
            "properties"
        ]
    )


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
    names = plane.kubectl(
        "get",
        kinds,
        "--all-namespaces",
        f"--selector=app.kubernetes.io/instance={RELEASE}",
        "--output=name",
        "--ignore-not-found",
    )
    return set(names.split())


def test_install_and_uninstall_leave_nothing_but_the_resource(
    helm: Helm, plane: ControlPlane, tmp_path: Path
) -> None:
    output = helm.install(RELEASE, NAMESPACE)
    assert "rollout status deployment/aop-operator" in output
    rendered = {
        (one["kind"], one["metadata"]["name"])
        for one in helm.template(RELEASE, NAMESPACE)
        if one["kind"] != "Job"
    }
    assert len(owned_by_release(plane)) == len(rendered)
    with JobRunner(plane, tmp_path):
        helm.uninstall(RELEASE, NAMESPACE)
    assert owned_by_release(plane) == {LEFT}


def test_installing_again_takes_the_kept_resource_over(
    helm: Helm, plane: ControlPlane, tmp_path: Path
) -> None:
    for _ in range(2):
        helm.install(RELEASE, NAMESPACE)
        with JobRunner(plane, tmp_path):
            helm.uninstall(RELEASE, NAMESPACE)


@dataclass(frozen=True, slots=True)
class GrantForm:
    """One of the forms in which the chart grants permissions, as docs/install.md names them, and where the object lives in the test."""

    home: str
    values: Values = field(default_factory=dict)
    hosts: int = 2
    """How many hosts of the zone the operator gets to see: the Ingresses are in a namespace that is
    not served."""


FORMS = {
    "default": GrantForm(NAMESPACE),
    "roles-only": GrantForm(
        EDGE, {"watchNamespaces": [EDGE], "rbac": {"allIngresses": False}}, hosts=1
    ),
    "cluster-wide": GrantForm(
        EDGE, {"rbac": {"allSecrets": True, "allConfigMaps": True, "aggregate": True}}
    ),
}


@pytest.mark.parametrize(
    ("major", "form"), [(3, "default"), (4, "roles-only"), (4, "cluster-wide")]
)
def test_the_life_of_a_release_under_visitors(
    major: int,
    form: str,
    plane: ControlPlane,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Onboarding, upgrades in the middle of a rotation and after it, a refused uninstall, removal, uninstall: all as installed.

    Then the API server's audit log is added up: nothing that the operator asked for was denied, and
    nothing was granted that it never needed.
    """
    helm = Helm(programs.find(major, say=lambda _: None), tmp_path, plane.admin_kubeconfig)
    record_property("helm", major)
    home, values, before = FORMS[form].home, FORMS[form].values, len(plane.audit(ACCOUNT))
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": EDGE}})
    helm.install(RELEASE, NAMESPACE, values)
    with Scene(Layout(manifests=None), plane, with_operator=False) as scene:
        scene.sandbox.secret(home)
        values = {**values, **settings(scene)}
        helm.upgrade(RELEASE, NAMESPACE, values)
        # Fewer than where the rate is judged: Helm and its API calls want a core for themselves.
        with (
            DeployedOperator(plane, tmp_path) as operator,
            scene.visitors(rate_per_s=24, http_rate_per_s=3) as visitors,
        ):
            visitors.allow_redirects(allowed=True)
            onboard_as_tools_see_it(scene, home)
            assert (scene.object(namespace=home) or {})["status"]["hosts"]["total"] == FORMS[
                form
            ].hosts
            with never_relaxed(scene):
                upgrade_during_a_rotation(helm, scene, operator, values, home)
                upgrade_and_roll_back(helm, scene, operator, values, home, tmp_path)
                refused = uninstall_refused(helm, plane, tmp_path)
            assert f"{home}/example-com (zone example.com, enforcement Require)" in refused
            assert f"kubectl -n {home} delete aop example-com" in refused
            reload_late(scene)
            scene.remove(namespace=home)
            report = visitors.stop()
        permissions = account(plane, NAMESPACE, RELEASE, since=before)
        asked = plane.audit(ACCOUNT)[before:]
        holding, changes = leads.of_the_lease(asked), leads.of_all_else(asked)
        with JobRunner(plane, tmp_path):
            helm.uninstall(RELEASE, NAMESPACE)
    record_property("edge_requests", f"{report.edge.ok} {report.edge.failed}")
    record_property("permissions", f"{len(permissions.denied)} {len(permissions.unused)}")
    assert report.flawless, str(report)
    assert permissions.least, str(permissions)
    assert changes
    assert leads.second_writers(holding, changes) == []
    handed_over_s = leads.handed_over_s(holding)
    record_property("handed_over_s", handed_over_s)
    print(f"\nnobody led for {', '.join(f'{each:.1f} s' for each in handed_over_s)}")
    assert handed_over_s  # each rolling update takes the leader as well
    assert owned_by_release(plane) == {LEFT}


def test_an_upgrade_takes_rights_away_under_what_is_required(
    helm_4: Helm, plane: ControlPlane, tmp_path: Path
) -> None:
    """All Secrets, then one namespace's; one ConfigMap, then any: what is required stays so, and nothing is asked for that was taken away."""
    wide = {"rbac": {"allSecrets": True}}
    narrow = {"watchNamespaces": [EDGE], "rbac": {"allConfigMaps": True}}
    before = len(plane.audit(ACCOUNT))
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": EDGE}})
    helm_4.install(RELEASE, NAMESPACE, wide)
    with Scene(Layout(manifests=None), plane, with_operator=False) as scene:
        own = settings(scene)
        helm_4.upgrade(RELEASE, NAMESPACE, {**wide, **own})
        with DeployedOperator(plane, tmp_path) as operator:
            onboard_as_tools_see_it(scene, EDGE)
            (leaf,) = scene.certificates()
            with never_relaxed(scene):
                begin_rotation(scene, EDGE)
                assert account(plane, NAMESPACE, RELEASE, since=before).denied == ()
                # In a cluster the old pod lives on for a moment and is told 403; here it ends
                # first, so that nothing denied is left to explain.
                operator.stop()
                helm_4.upgrade(RELEASE, NAMESPACE, {**narrow, **own})
                operator.start()
                end_rotation(scene, EDGE, leaf)
            reload_late(scene)
            scene.remove()
    permissions = account(plane, NAMESPACE, RELEASE, since=before)
    assert permissions.least, str(permissions)


def onboard_as_tools_see_it(scene: Scene, home: str) -> None:
    """Apply, and wait as `kubectl wait` does; Flux and `helm --wait` take the object for healthy exactly when it is enforced."""
    states: list[dict[str, Any]] = []
    # An upgrade writes the resource, and the API server answers 429 while it takes note.
    until(
        lambda: scene.plane.http.get(path_of(home)).is_success,
        within_s=30,
        describe="the resource to be served",
    )
    with Following(scene.plane, path_of(home), lambda _, seen: states.append(seen)):
        scene.apply(namespace=home)
        scene.plane.kubectl(
            "wait",
            "aop/example-com",
            f"--namespace={home}",
            "--for=condition=Ready",
            "--timeout=90s",
            timeout_s=100,
        )
        until(
            lambda: states and health(states[-1]) is Health.CURRENT,
            within_s=10,
            describe="the watch to show it",
        )
    for seen in states:
        assert health(seen) in {Health.IN_PROGRESS, Health.CURRENT}, seen
        enforced = seen.get("status", {}).get("enforcement") == "Require"
        assert enforced or health(seen) is Health.IN_PROGRESS, seen
    assert len(states) > 3


def upgrade_during_a_rotation(
    helm: Helm, scene: Scene, operator: DeployedOperator, values: Values, home: str
) -> None:
    """The next key pair is there, and the certificate in use is still the old one."""
    (leaf,) = scene.certificates()
    begin_rotation(scene, home)
    helm.upgrade(RELEASE, NAMESPACE, {**values, "terminationGracePeriodSeconds": 25})
    operator.replace()
    end_rotation(scene, home, leaf)


def begin_rotation(scene: Scene, home: str) -> None:
    """Ask for a new leaf, and wait until there is one."""
    scene.rotate("example-com", home)
    until(
        lambda: "next.crt" in scene.secret("example-com-aop", home)["data"],
        within_s=30,
        describe=lambda: f"a next key pair:\n{scene.summary(namespace=home)}",
    )


def end_rotation(scene: Scene, home: str, leaf: dict[str, Any]) -> None:
    """Wait until the old certificate is gone and the object is Ready with the new one."""
    until(
        lambda: leaf["id"] not in {one["id"] for one in scene.certificates()},
        within_s=90,
        describe=lambda: f"the old certificate to be gone:\n{scene.summary(namespace=home)}",
    )
    scene.until_enforced(namespace=home)


def upgrade_and_roll_back(
    helm: Helm, scene: Scene, operator: DeployedOperator, values: Values, home: str, folder: Path
) -> None:
    """While hosts are required: another version with another resource, then back; both are the ordinary rolling update."""
    helm.upgrade(
        RELEASE,
        NAMESPACE,
        {**values, "podLabels": {"upgraded": "true"}},
        chart=chart_with_another_field(folder),
    )
    operator.replace()
    until(lambda: has_another_field(scene.plane), within_s=10, describe="the new resource")
    number, status = helm.revisions(RELEASE, NAMESPACE)[-1]
    assert status == "deployed"
    scene.until_enforced(namespace=home)
    helm.rollback(RELEASE, NAMESPACE, number - 1)
    operator.replace()
    until(
        lambda: not has_another_field(scene.plane), within_s=10, describe="the resource of before"
    )
    scene.until_enforced(namespace=home)


def reload_late(scene: Scene) -> None:
    """From now on so late that the operator asks for the controller's Events."""
    for replica in scene.ingress_nginx.replicas():
        scene.ingress_nginx.lag(replica.pod, 3)


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
