"""Helm 3 and Helm 4, and one control plane for all tests of the chart; `make check-install` runs just this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.composition import CONTROLLER_NAMESPACE
from sandbox.helm import programs
from sandbox.helm.releases import Helm
from sandbox.kubernetes import binaries
from sandbox.kubernetes.plane import ControlPlane


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the programs before the first test: where they have to be built it takes minutes, which no test's timeout allows for."""
    names = {
        name
        for item in session.items
        if Path(__file__).parent in item.path.parents
        for name in getattr(item, "fixturenames", ())
    }
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if names and not session.config.option.collectonly and capture is not None:
        with capture.global_and_fixture_disabled():
            if "plane" in names:
                binaries.find()
            for major in programs.MAJORS if {"helm", "any_helm"} & names else ():
                programs.find(major)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One control plane for this folder: what it installs is cluster-wide, so nobody else shares it. The controller's namespace is there."""
    with ControlPlane() as running:
        running.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CONTROLLER_NAMESPACE}}
        )
        yield running


@pytest.fixture(params=programs.MAJORS, ids=lambda major: f"helm-{major}")
def helm(
    request: pytest.FixtureRequest, tmp_path: Path, record_property: Callable[[str, object], None]
) -> Helm:
    """Each major in turn, without a cluster."""
    record_property("helm", request.param)
    return Helm(programs.find(request.param, say=lambda _: None), tmp_path)


@pytest.fixture
def any_helm(tmp_path: Path) -> Helm:
    """Whichever is there, for what does not depend on it."""
    return Helm(programs.any_of_them(say=lambda _: None), tmp_path)


@pytest.fixture
def tidied(plane: ControlPlane) -> Iterator[None]:
    """What a test installs in the cluster goes with it."""
    yield
    tidy(plane)


def tidy(plane: ControlPlane) -> None:
    """Take what was installed out of the cluster; a test that failed half-way may leave an object whose operator is gone."""
    listed = plane.http.get("/apis/aop-operator.dev/v1alpha1/authenticatedoriginpulls")
    for one in listed.json()["items"] if listed.is_success else ():
        place = (one["metadata"]["name"], "--namespace", one["metadata"]["namespace"])
        plane.kubectl(
            "patch", "aop", *place, "--type=merge", "--patch", '{"metadata":{"finalizers":null}}'
        )
    plane.kubectl("delete", "namespace", "aop-system", "edge", "--ignore-not-found", "--wait=true")
    plane.kubectl(
        "delete",
        "crd",
        "authenticatedoriginpulls.aop-operator.dev",
        "--ignore-not-found",
        "--wait=true",
    )
