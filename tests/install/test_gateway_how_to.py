"""docs/how-to/gateway.md, followed word for word by somebody who has Envoy Gateway as its chart installs it, and nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import lives
from how_to import NAMESPACE, RELEASE, HowTo, of_the_sandbox
from sandbox.composition import HOSTS, Layout
from sandbox.direct import Visitor
from sandbox.envoy_gateway import programs as envoy_gateway
from sandbox.helm import programs
from sandbox.helm.releases import Helm
from sandbox.kubernetes.permissions import account
from sandbox.kubernetes.plane import ControlPlane
from sandbox.scene import Scene
from sandbox.workloads import DeployedOperator

pytestmark = [pytest.mark.timeout(300)]

PAGE = HowTo("gateway")


@pytest.fixture
def helm(tmp_path: Path) -> Iterator[tuple[Helm, ControlPlane]]:
    """A cluster with the namespaces that the page says must exist, and whoever installs there."""
    if why := envoy_gateway.why_not():
        pytest.skip(why)
    with ControlPlane(workloads=True) as plane:
        for command in PAGE.commands("kubectl"):
            if command[:2] == ["create", "namespace"]:
                plane.kubectl(*command)
        for name in ("web", "envoy-gateway-system"):
            plane.kubectl("create", "namespace", name)
        program = programs.any_of_them(say=lambda _: None)
        yield Helm(program, tmp_path, plane.admin_kubeconfig), plane


def test_the_page_leads_from_nothing_to_hosts_that_refuse_strangers(
    helm: tuple[Helm, ControlPlane], tmp_path: Path
) -> None:
    by_helm, plane = helm
    by_helm.install(RELEASE, NAMESPACE, PAGE.values())
    layout = Layout(workload="Deployment", server="gateway", manifests=None)
    with Scene(layout, plane, with_operator=False) as scene:
        for one in reversed(PAGE.objects()):
            place = one["metadata"]["name"], "--namespace", one["metadata"]["namespace"]
            plane.kubectl("delete", one["kind"], *place)
        by_helm.upgrade(RELEASE, NAMESPACE, {**PAGE.values(), **of_the_sandbox(scene)})
        scene.sandbox.secret("edge")
        with DeployedOperator(plane, tmp_path), scene.visitors(redirects=True) as visitors:
            plane.apply(PAGE.objects())
            (waited,) = (one for one in PAGE.commands("kubectl") if one[-1].endswith("=True"))
            plane.kubectl(*waited)
            plane.kubectl("apply", "--filename", PAGE.applied())
            scene.until_condition("Ready", "True", within_s=lives.WITHIN_S)
            lives.assert_required(scene)
            scene.remove(within_s=lives.WITHIN_S)
            report = visitors.stop()
        assert report.flawless, str(report)
        assert {
            scene.ask_replica(one.https, host, Visitor.NOBODY)
            for one in scene.sandbox.frontend.replicas()
            for host in HOSTS
        } == {200}
        permissions = account(plane, NAMESPACE, RELEASE)
        assert permissions.denied == (), str(permissions)
