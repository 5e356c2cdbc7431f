"""`aop-operator uninstall-guard`: when the operator may go, and what a person is told when it may not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.kubernetes.plane import ControlPlane
from sandbox.scene import pull
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]


def guard(kubeconfig: Path, **settings: str) -> tuple[int, str]:
    done = subprocess.run(
        [Path(sys.executable).with_name("aop-operator"), "uninstall-guard"],
        env={"AOP_KUBECONFIG": str(kubeconfig), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def edge(plane: ControlPlane) -> Iterator[str]:
    """The resource, and a namespace that nobody has used; a namespace takes five seconds to go, so it stays."""
    (file,) = (ROOT / "crds").glob("*.yaml")
    plane.apply(file)
    yield plane.create_namespace("edge")
    plane.kubectl("delete", "-f", file, "--wait=true")


def test_without_the_resource_there_is_nothing_to_guard(plane: ControlPlane) -> None:
    # Another test's resource is deleted, and its path answers for a moment longer.
    until(
        lambda: plane.http.get("/apis/aop-operator.dev/v1alpha1").status_code == 404,
        within_s=30,
        describe="no such resource",
    )
    assert guard(plane.admin_kubeconfig)[0] == 0


def test_without_objects_the_operator_may_go(plane: ControlPlane, edge: str) -> None:
    assert guard(plane.admin_kubeconfig) == (
        0,
        "There are no AuthenticatedOriginPulls: the operator may be uninstalled.\n",
    )


def test_every_object_is_named_with_its_zone_and_what_to_type(
    plane: ControlPlane, edge: str
) -> None:
    plane.apply(pull("one", edge), pull("two", edge, zone={"name": "example.org"}))
    status, output = guard(plane.admin_kubeconfig)
    assert status == 1
    assert output.startswith("Not uninstalled: 2 AuthenticatedOriginPulls exist")
    for name, zone in {"one": "example.com", "two": "example.org"}.items():
        assert f"  {edge}/{name} (zone {zone}, enforcement unknown)\n" in output
        assert f"  kubectl -n {edge} delete aop {name}\n" in output
    assert "--no-hooks" in output


def test_an_object_that_is_being_removed_still_needs_the_operator(
    plane: ControlPlane, edge: str
) -> None:
    going = pull("going", edge)
    plane.apply({**going, "metadata": {**going["metadata"], "finalizers": ["example.com/held"]}})
    plane.kubectl("delete", "aop", "going", f"--namespace={edge}", "--wait=false")
    status, output = guard(plane.admin_kubeconfig)
    plane.kubectl(
        "patch",
        "aop",
        "going",
        f"--namespace={edge}",
        "--type=merge",
        "--patch",
        '{"metadata":{"finalizers":null}}',
    )
    assert status == 1
    assert f"{edge}/going (zone example.com, is being removed)" in output


def test_objects_that_this_operator_does_not_serve_are_not_its_own(
    plane: ControlPlane, edge: str
) -> None:
    plane.apply(pull("one", edge))
    assert guard(plane.admin_kubeconfig, AOP_WATCH_NAMESPACES="default")[0] == 0
    assert guard(plane.admin_kubeconfig, AOP_WATCH_NAMESPACES=f"default,{edge}")[0] == 1


def test_what_cannot_be_looked_at_counts_as_an_obstacle(plane: ControlPlane, edge: str) -> None:
    status, output = guard(plane.kubeconfig_for("nobody"))
    assert status == 1
    assert output.startswith(
        "Not uninstalled: the operator could not find out whether AuthenticatedOriginPulls exist (cannot list authenticatedoriginpulls: HTTP 403"
    )
    assert "--no-hooks" in output
