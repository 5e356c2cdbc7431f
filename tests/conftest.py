"""What every folder of tests shares: its mark, the share of it that runs, the one Kubernetes control plane of a session, and the double of Cloudflare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import share
from sandbox import debian
from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.kubernetes import binaries
from sandbox.kubernetes.plane import ControlPlane

TESTS = Path(__file__).parent
# Without a deadline for one example, because others use the machine too. `make quick` tries a fifth
# (--hypothesis-profile), and `make test` all.
settings.register_profile("all", deadline=None, max_examples=50)
settings.register_profile("quick", deadline=None, max_examples=10)
settings.load_profile("all")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what takes long is run."""
    parser.addoption(
        "--share",
        default="all",
        help=f"of {', '.join(share.SHARED)}: 'all', or 'N:WORD' for one Nth, chosen by the hash of WORD",
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which share it is, so that it can be run again."""
    chosen = share.of(config.getoption("--share"))
    return (
        [f"of {', '.join(share.SHARED)} one {chosen.parts}th runs: --share {chosen}"]
        if chosen.parts > 1
        else []
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each test carries its folder's name as a mark; of the folders that are shared, only the share stays."""
    for item in items:
        item.add_marker(folder(item))
    chosen = share.of(config.getoption("--share"))
    kept = chosen.kept({item.nodeid: folder(item) for item in items})
    dropped = [item for item in items if item.nodeid not in kept]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item.nodeid in kept]


def folder(item: pytest.Item) -> str:
    """The folder of `tests` that it stands in."""
    return item.path.relative_to(TESTS).parts[0]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the programs before the first test: where they have to be built it takes minutes, which no test's timeout allows for."""
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if not session.config.option.collectonly and any(
        "plane" in getattr(item, "fixturenames", ()) for item in session.items
    ):
        assert capture is not None
        with capture.global_and_fixture_disabled():
            binaries.find()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped for want of a program is said where nobody overlooks it, with the tests."""
    missed: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        *_, why = report.longrepr if isinstance(report.longrepr, tuple) else ("",)
        if binaries.WITHOUT_CONTROLLER_MANAGER in why or debian.LEFT_OUT in why:
            missed.setdefault(why.removeprefix("Skipped: "), []).append(report.nodeid)
    if missed:
        terminalreporter.section("incomplete", sep="!", red=True, bold=True)
    for why, tests in missed.items():
        terminalreporter.line(why, red=True)
        for test in sorted(tests):
            terminalreporter.line(f"  {test}")


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One control plane per session (with xdist: per worker).

    A test that disturbs it, or changes what is cluster-wide, starts its own.
    """
    with ControlPlane() as running:
        yield running


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudflareDouble]:
    """Cloudflare's double without an origin; what is uploaded or deleted takes effect at once."""
    with CloudflareDouble(tmp_path_factory.mktemp("cloudflare"), []) as running:
        running.control.turn(deploy_s=0, delete_s=0)
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
