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

import chart
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
    """What a person has written around what is generated is no matter."""
    edited("docs/install.md", "# Install", "# How to install")(copy)
    assert check(copy) == (0, "")


EDITS = {
    "crds/aop-operator.dev_authenticatedoriginpulls.yaml": ("\n", "\n\n"),
    "docs/reference.md": ("# Reference", "# The reference"),
    "docs/metrics.md": ("\n", "\n\n"),
    "docs/status.md": ("| TokenRejected |", "| TokenRefused |"),
    "docs/images/rollout.svg": ("<text", "<text "),
    "docs/adr/README.md": ("- [0001]", "- [1]"),
    "deploy/helm/aop-operator/README.md": ("## Values", "## All values"),
    "deploy/helm/aop-operator/Chart.yaml": ("appVersion: ", "appVersion: 9"),
    "deploy/helm/aop-operator/files/dashboard.json": ("{", "{ "),
}
"""Of each generated file that is compared by itself, what somebody has made of it."""


def test_each_generated_file_that_somebody_has_edited_is_named(copy: Path) -> None:
    for place, (before, after) in EDITS.items():
        edited(place, before, after)(copy)
    edited("deploy/manifests/30-deployment.yaml", "replicas: 2", "replicas: 3")(copy)
    status, text = check(copy)
    assert status == 1
    named = dict(line.split(" ", 1) for line in text.splitlines())
    # The chart's copy of the resource is made from the one that was edited.
    made_of_one = {"deploy/helm/aop-operator/files/crd.yaml"}
    assert set(named) == {*EDITS, "deploy/manifests", *made_of_one}
    assert all("make generate" in what for what in named.values())


@pytest.mark.parametrize(
    "change",
    [
        edited("deploy/manifests/30-deployment.yaml", "replicas: 2", "replicas: 3"),
        edited("deploy/manifests/cluster-wide/20-rbac.yaml", "get", "list"),
        lambda copy: (copy / "deploy/manifests/10-crd.yaml").unlink(),
        lambda copy: (copy / "deploy/manifests/40-more.yaml").write_text("a: b\n"),
        edited("docs/install.md", "| configmaps | get, update |", "| configmaps | get |"),
        edited("deploy/helm/aop-operator/templates/deployment.yaml", "\n", "\n\n"),
    ],
    ids=[
        "a manifest is edited",
        "a wide manifest is edited",
        "a manifest is deleted",
        "a manifest is added",
        "the table of permissions is edited",
        "a template has changed",
    ],
)
def test_the_seal_of_what_helm_renders_tells_that(
    copy: Path, change: Callable[[Path], None]
) -> None:
    whole = (copy / chart.RENDERED_FROM).read_text()
    assert chart.seal(copy) == whole
    change(copy)
    assert chart.seal(copy) != whole


def test_the_picture_of_the_dashboard_has_its_panels() -> None:
    """The picture is drawn from a real run, by hand: a panel that is new or renamed is missing in it."""
    drawn = (ROOT / "docs/images/dashboard.svg").read_text()
    board = json.loads((ROOT / "deploy/helm/aop-operator/files/dashboard.json").read_text())
    titles = {panel["title"] for panel in board["panels"]}
    assert titles
    assert {title for title in titles if escape(title) not in drawn} == set()
