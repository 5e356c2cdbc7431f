"""`make check` refuses a generated file that somebody has edited, and needs no helm for that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from committed import ROOT, committed

KEPT = ("crds", "deploy", "docs", "tools", "README.md", "pyproject.toml")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The generated files, what they are made from, and what makes them."""
    for path in committed():
        place = path.relative_to(ROOT)
        if place.parts[0] in KEPT:
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / place)
    return tmp_path


def check(copy: Path) -> tuple[int, str]:
    """The exit status of the comparison, and what it says, where there is no helm to be found."""
    done = subprocess.run(
        [sys.executable, str(copy / "tools/generate.py"), "--check"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests"), "PATH": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def edited(place: str, before: str, after: str) -> Callable[[Path], None]:
    """Somebody replaces `before` in one file."""

    def edit(copy: Path) -> None:
        text = (copy / place).read_text()
        assert before in text
        (copy / place).write_text(text.replace(before, after, 1))

    return edit


def test_what_is_committed_is_current(copy: Path) -> None:
    assert check(copy) == (0, "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (edited("deploy/manifests/30-deployment.yaml", "replicas: 2", "replicas: 3"), "manifests"),
        (edited("deploy/manifests/cluster-wide/20-rbac.yaml", "get", "list"), "manifests"),
        (lambda copy: (copy / "deploy/manifests/10-crd.yaml").unlink(), "manifests"),
        (lambda copy: (copy / "deploy/manifests/40-more.yaml").write_text("a: b\n"), "manifests"),
        (
            edited("docs/install.md", "| configmaps | get, update |", "| configmaps | get |"),
            "manifests",
        ),
        (edited("deploy/helm/aop-operator/templates/deployment.yaml", "\n", "\n\n"), "manifests"),
        (edited("crds/aop-operator.dev_authenticatedoriginpulls.yaml", "\n", "\n\n"), "crds"),
        (edited("docs/reference.md", "# Reference", "# The reference"), "docs/reference.md"),
        (edited("docs/status.md", "| TokenRejected |", "| TokenRefused |"), "docs/status.md"),
        (edited("docs/images/rollout.svg", "<text", "<text "), "docs/images/rollout.svg"),
        (edited("docs/adr/README.md", "- [0001]", "- [1]"), "docs/adr/README.md"),
        (edited("deploy/helm/aop-operator/README.md", "## Values", "## All values"), "README.md"),
    ],
    ids=[
        "a manifest is edited",
        "a wide manifest is edited",
        "a manifest is deleted",
        "a manifest is added",
        "the table of permissions is edited",
        "a template has changed",
        "the resource is edited",
        "the reference is edited",
        "the table of reasons is edited",
        "the picture of the rollout is edited",
        "the list of decisions is edited",
        "the chart's README is edited",
    ],
)
def test_an_edit_of_what_is_generated_is_refused(
    copy: Path, change: Callable[[Path], None], told: str
) -> None:
    change(copy)
    status, said = check(copy)
    assert status == 1
    assert told in said
    assert "make generate" in said


def test_what_stands_around_the_table_of_permissions_is_written_by_hand(copy: Path) -> None:
    edited("docs/install.md", "# Install", "# How to install")(copy)
    assert check(copy) == (0, "")


def test_the_picture_of_the_dashboard_has_its_panels() -> None:
    """The picture is drawn from a real run, by hand: a panel that is new or renamed is missing in it."""
    drawn = (ROOT / "docs/images/dashboard.svg").read_text()
    board = json.loads((ROOT / "deploy/helm/aop-operator/files/dashboard.json").read_text())
    titles = {panel["title"] for panel in board["panels"]}
    assert titles
    assert {title for title in titles if escape(title) not in drawn} == set()
