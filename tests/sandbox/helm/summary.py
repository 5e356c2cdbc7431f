"""A pytest plugin for `make check-install`: the run ends with one line that says what was proven, and fails unless all of it was.

The tests say what they have seen as properties: `helm` (the major they used), `permissions`
("denied unused") and `edge_requests` ("ok failed"). A test that was skipped has proven nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pytest

from sandbox.helm.programs import MAJORS

IMAGE = "test_image.py"
RUNS_AS_A_POD = "test_the_operator_works_on_a_read_only_root_without_privileges_or_environment"


@dataclass(slots=True)
class Summary:
    """What the reports of all tests add up to."""

    helm: dict[int, list[bool]] = field(default_factory=lambda: {major: [] for major in MAJORS})
    image: list[bool] = field(default_factory=list)
    runs_as_a_pod: bool = False
    permissions: list[tuple[int, int]] = field(default_factory=list)
    requests: list[tuple[int, int]] = field(default_factory=list)
    others_failed: int = 0
    """Failed tests that none of the other facts is about."""

    def add(self, report: pytest.TestReport) -> None:
        """Take in one phase of one test."""
        path, _, name = report.nodeid.partition("::")
        finished = report.when == "call" or report.failed
        if not finished:
            return
        properties = dict(report.user_properties)
        if report.failed and "helm" not in properties and PurePosixPath(path).name != IMAGE:
            self.others_failed += 1
        if PurePosixPath(path).name == IMAGE and not report.skipped:
            self.image.append(report.passed)
            self.runs_as_a_pod |= name == RUNS_AS_A_POD and report.passed
        for key, value in properties.items():
            if key == "helm":
                self.helm[int(str(value))].append(report.passed)
            elif key in {"permissions", "edge_requests"}:
                first, second = map(int, str(value).split())
                (self.permissions if key == "permissions" else self.requests).append(
                    (first, second)
                )

    @property
    def complete(self) -> bool:
        """Whether everything that the line names is true."""
        return (
            not self.others_failed
            and all(self._helm_ok(major) for major in MAJORS)
            and self._image_ok
            and bool(self.permissions)
            and not any(denied or unused for denied, unused in self.permissions)
            and sum(ok for ok, _ in self.requests) > 0
            and not any(failed for _, failed in self.requests)
        )

    def __str__(self) -> str:
        words = [f"helm {major} {'ok' if self._helm_ok(major) else 'FAILED'}" for major in MAJORS]
        denied, unused = (sum(one[at] for one in self.permissions) for at in (0, 1))
        ok, failed = (sum(one[at] for one in self.requests) for at in (0, 1))
        permissions = (
            f"permissions denied {denied}, unused {unused}"
            if self.permissions
            else "permissions NOT ADDED UP"
        )
        failed_image = "NOT RUN" if all(self.image) else "FAILED"
        image = f"image steps {'ok' if self._image_ok else failed_image}"
        others = f"; {self.others_failed} other tests FAILED" if self.others_failed else ""
        return f"install: {', '.join(words)}; {image}; {permissions}; edge requests {ok} ok, {failed} failed{others}"

    @property
    def _image_ok(self) -> bool:
        return all(self.image) and self.runs_as_a_pod

    def _helm_ok(self, major: int) -> bool:
        return bool(self.helm[major]) and all(self.helm[major])


_summary = Summary()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Called for each phase of each test; with xdist in the process that prints, with what the workers sent."""
    _summary.add(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run in which something was not proven has failed, even if no test has."""
    if (
        not hasattr(session.config, "workerinput")
        and exitstatus == pytest.ExitCode.OK
        and not _summary.complete
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The last thing that is printed."""
    if not hasattr(config, "workerinput"):
        print(_summary)
