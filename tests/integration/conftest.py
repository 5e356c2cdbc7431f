"""The one Kubernetes control plane of a test session, and a namespace of its own for every test."""

import re
from collections.abc import Iterator

import pytest

from sandbox.kubernetes import binaries
from sandbox.kubernetes.plane import ControlPlane


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the programs before the first test: where they have to be built it takes minutes, which no test's timeout allows for."""
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if not session.config.option.collectonly and any("plane" in getattr(item, "fixturenames", ()) for item in session.items):
        assert capture is not None
        with capture.global_and_fixture_disabled():
            binaries.find()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped for want of a program is said where nobody overlooks it."""
    skipped = terminalreporter.stats.get("skipped", ())
    if any(binaries.WITHOUT_CONTROLLER_MANAGER in str(report.longrepr) for report in skipped):
        terminalreporter.section("incomplete", sep="!", red=True, bold=True)
        terminalreporter.line(binaries.WITHOUT_CONTROLLER_MANAGER, red=True)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One control plane per session (with xdist: per worker). A test that disturbs it, or changes what is cluster-wide, starts its own."""
    with ControlPlane() as running:
        yield running


@pytest.fixture
def namespace(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """The name of a new namespace, never used before and never again, that begins like the test's name."""
    words = re.sub(r"[^a-z0-9]+", "-", str(request.node.name).lower())
    return plane.create_namespace(words[:40].strip("-"))


@pytest.fixture(scope="session")
def collecting_plane(plane: ControlPlane) -> ControlPlane:
    """The control plane, for tests that need kube-controller-manager: garbage collection, and the end of a namespace."""
    if plane.controller_manager is None:
        pytest.skip(binaries.WITHOUT_CONTROLLER_MANAGER)
    return plane
