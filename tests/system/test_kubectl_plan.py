"""`kubectl aop plan` and `prove` beside the operator that they speak of: what is foreseen is what happens, and nothing is written to see it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aop.steps import Effect
from sandbox.composition import CONTROLLER_NAMESPACE, MANIFESTS, Layout
from sandbox.plugin import aop
from sandbox.scene import NAMESPACE, Scene, pull
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

EFFECTS = {one.__name__ for one in Effect.__args__}
WITHIN_S = 60.0
IN_PART = 3


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """No operator yet, and an edge that keeps no sessions, so that every run takes the same steps."""
    with Scene(Layout(manifests=MANIFESTS), with_operator=False) as running:
        running.control.turn_location(requests_per_connection=1, resume=False)
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pull.yaml"
    path.write_text(yaml.safe_dump(pull()))
    return path


def steps(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert answer.returncode == 0, answer.stderr
    content: list[dict[str, Any]] = json.loads(answer.stdout)["steps"]
    return content


def world(scene: Scene) -> tuple[Any, ...]:
    """All that a plan must leave alone."""
    return (
        scene.sandbox.config_map(),
        scene.object(),
        scene.changes_at_cloudflare(),
        scene.certificates(),
        scene.control.zone()["enabled"],
        scene.plane.kubectl("get", "secrets,events", "-A", "-o", "name"),
    )


def test_what_is_foreseen_is_what_happens(scene: Scene, file: Path) -> None:
    before = world(scene)
    foreseen = steps(aop(scene, "plan", "-f", file, "-o", "json"))
    assert world(scene) == before
    assert foreseen[-1]["step"] == "Done"
    with scene.operator:
        scene.apply()
        scene.until_enforced()
        taken = [one["kind"] for one in map(json.loads, scene.trace())]
        happened = [kind for kind in taken if kind in EFFECTS]
        assert [one["step"] for one in foreseen if one["step"] in EFFECTS] == happened
        until(
            lambda: (
                steps(aop(scene, "plan", "example-com", "-n", NAMESPACE, "-o", "json"))[0]["step"]
                == "Done"
            ),
            within_s=WITHIN_S,
            describe=lambda: f"nothing more to be planned\n{scene.summary()}",
        )
        proof = aop(scene, "prove", "example-com", "-n", NAMESPACE)
        assert proof.returncode == 0, proof.stdout + proof.stderr
        assert "2 of 2 hosts come through the edge with the leaf in use" in proof.stdout
        scene.patch({"enforcement": "Request"})
        scene.until_relaxed()
        scene.remove()


def test_a_proof_that_fails_is_exit_status_1(scene: Scene) -> None:
    with scene.operator:
        scene.apply()
        scene.until_enforced()
        with scene.presenting_nothing("www.example.com"):
            proof = aop(scene, "prove", "example-com", "-n", NAMESPACE)
        scene.remove()
    assert proof.returncode == 1, proof.stdout
    assert "no certificate" in proof.stdout


def test_who_lacks_rights_is_told_which(scene: Scene, file: Path) -> None:
    nobody = scene.plane.kubeconfig_for("nobody-in-particular")
    answer = aop(scene, "plan", "-f", file, kubeconfig=nobody)
    assert answer.returncode == IN_PART, answer.stderr
    assert "Nothing was written." in answer.stdout
    for right in (
        f"get authenticatedoriginpulls.aop-operator.dev in namespace {NAMESPACE}",
        f"get secrets in namespace {NAMESPACE}",
        f"get configmaps in namespace {CONTROLLER_NAMESPACE}",
        f"list pods in namespace {CONTROLLER_NAMESPACE}",
    ):
        assert right in answer.stderr
    assert f"kubectl auth can-i get secrets -n {NAMESPACE}" in answer.stderr
    assert "Traceback" not in answer.stderr
