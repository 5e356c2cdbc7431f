"""docs/how-to/gateway.md, followed word for word by somebody who has Envoy Gateway as its chart installs it, and nothing of ours."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import lives
from sandbox.composition import HOSTS, Layout
from sandbox.direct import Visitor
from sandbox.envoy_gateway import programs as envoy_gateway
from sandbox.helm import programs
from sandbox.helm.releases import Helm
from sandbox.kubernetes.permissions import account
from sandbox.kubernetes.plane import ControlPlane
from sandbox.ports import free_port
from sandbox.scene import Scene
from sandbox.workloads import DeployedOperator

pytestmark = [pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/gateway.md").read_text()
RELEASE, NAMESPACE = "aop-operator", "aop-system"
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """What stands in fences of a language, in order and as it stands in there."""
    return [
        "\n".join(line.removeprefix(indent) for line in text.splitlines())
        for indent, named, text in BLOCK.findall(PAGE)
        if named == language
    ]


def values() -> dict[str, Any]:
    """The page's first block: `values.yaml`."""
    given: dict[str, Any] = yaml.safe_load(blocks("yaml")[0])
    return given


def objects() -> list[dict[str, Any]]:
    """What it has its reader apply, in the order in which it says so."""
    return [one for text in blocks("yaml") if "kind" in (one := yaml.safe_load(text))]


def commands(program: str) -> Iterator[list[str]]:
    """Arguments of every command of a program, without what stands behind `||` or a comment."""
    for text in blocks("sh"):
        for line in text.replace("\\\n", " ").replace("||\n", "\n").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == [program]:
                yield words[1:]


@pytest.fixture
def helm(tmp_path: Path) -> Iterator[tuple[Helm, ControlPlane]]:
    """A cluster with the namespaces that the page says must exist, and whoever installs there."""
    if why := envoy_gateway.why_not():
        pytest.skip(why)
    with ControlPlane(workloads=True) as plane:
        for command in commands("kubectl"):
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
    by_helm.install(RELEASE, NAMESPACE, values())
    layout = Layout(workload="Deployment", server="gateway", manifests=None)
    with Scene(layout, plane, with_operator=False) as scene:
        for one in reversed(objects()):
            place = one["metadata"]["name"], "--namespace", one["metadata"]["namespace"]
            plane.kubectl("delete", one["kind"], *place)
        by_helm.upgrade(RELEASE, NAMESPACE, {**values(), **of_the_sandbox(scene)})
        scene.sandbox.secret("edge")
        with DeployedOperator(plane, tmp_path), scene.visitors(redirects=True) as visitors:
            plane.apply(objects())
            (waited,) = (one for one in commands("kubectl") if one[-1].endswith("=True"))
            plane.kubectl(*waited)
            (applied,) = (one for one in commands("kubectl") if one[0] == "apply")
            plane.kubectl("apply", "--filename", ROOT / applied[-1])
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


def of_the_sandbox(scene: Scene) -> dict[str, Any]:
    """The values with which an installed operator works there."""
    return {
        "settings": {
            "cloudflareBaseUrl": scene.cloudflare.base_url,
            "edgeConnectTo": scene.sandbox.connect_to.split(","),
            "edgeCaFile": str(scene.cloudflare.edge_ca_file),
            "quietPeriodSeconds": 3,
        },
        "ports": {"address": "127.0.0.1", "health": free_port(), "metrics": free_port()},
    }
