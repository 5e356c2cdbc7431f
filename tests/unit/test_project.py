"""The project around the code: one version, the same stages everywhere, and nothing in a document that is not there."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from committed import ROOT, committed
from demo.__main__ import SETTINGS

VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
PEOPLE = [path for path in committed() if path.suffix == ".md" and "helm" not in path.parts]
"""What people read."""


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("deploy/helm/aop-operator/Chart.yaml", r"^version: (\S+)$"),
        ("deploy/helm/aop-operator/Chart.yaml", r"^appVersion: (\S+)$"),
        ("Dockerfile", r"^ARG VERSION=(\S+)$"),
        ("Dockerfile", r"--tag aop-operator:(\S+)"),
        ("CHANGELOG.md", r"^## \[(\d\S*)\]"),
        ("docs/install.md", r"aop-operator:(\d[\w.-]*)"),
        ("deploy/krew/aop.yaml", r"^  version: v(\S+)$"),
        ("docs/release.md", r"aop-operator[:-](\d[\w.-]*?)(?:\.tgz| |$)"),
        ("docs/release.md", r"(?:TAG=|/v)(\d\S*)"),
        ("deploy/manifests/30-deployment.yaml", r'image: "aop-operator:(\S+)"'),
    ],
)
def test_the_version_is_the_projects(file: str, pattern: str) -> None:
    """Of a changelog the newest counts."""
    versions = re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE)
    assert set(versions[:1] if file == "CHANGELOG.md" else versions) == {VERSION}


def test_ci_has_the_stages_that_a_clean_clone_runs() -> None:
    stages = re.findall(r"^make ([\w-]+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert [target for job in jobs.values() for target in made(job)] == stages
    assert [list(jobs).index(job["needs"]) for job in jobs.values() if "needs" in job] == list(
        range(len(jobs) - 1)
    ), "one after the other"


def test_ci_leaves_out_as_little_as_a_clean_clone_does() -> None:
    """Where a program cannot be had, tests are left out; each of these words forbids that."""
    here = (ROOT / ".ci" / "run").read_text()
    required = set(re.findall(r"(AOP_REQUIRE_\w+)=1", here))
    for name in ("ci.yml", "nightly.yml"):
        workflow = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
        assert set(workflow["env"]) == required, name


def test_contributing_names_every_folder_of_tests() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {
        path.relative_to(ROOT / "tests").parts[0]
        for path in committed()
        if path.is_relative_to(ROOT / "tests") and path.parent != ROOT / "tests"
    }
    assert {name for name in folders if f"`tests/{name}`" not in text} == set()


def made(job: dict[str, list[dict[str, str]]]) -> list[str]:
    """The make targets of a job."""
    return [
        target
        for step in job["steps"]
        for target in re.findall(r"^make ([\w-]+)$", step.get("run", ""))
    ]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_pinned_actions_with_no_more_rights_than_to_read(workflow: Path) -> None:
    text = workflow.read_text()
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert [
        one
        for one in uses
        if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", one)
    ] == []
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_a_release_gets_more_rights_only_where_it_publishes() -> None:
    """What checks reads; what builds images may push them; what publishes may also sign and make the release."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
    assert {name: job.get("permissions") for name, job in jobs.items()} == {
        "check": None,
        "image": {"contents": "read", "packages": "write"},
        "publish": {
            "contents": "write",
            "packages": "write",
            "id-token": "write",
            "attestations": "write",
        },
    }


def test_a_release_is_checked_built_with_provenance_and_attested() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    run = set(re.findall(r"^ *(?:- )?(?:run: )?make ([\w-]+)$", text, re.MULTILINE))
    assert run == {"quick", "publish-image", "dist"}
    assert run <= TARGETS
    assert text.count("actions/attest-build-provenance@") == 2
    makefile = (ROOT / "Makefile").read_text()
    assert "--sbom=true --provenance=mode=max" in makefile


def test_what_runs_by_night_is_a_target() -> None:
    nightly = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    matrix = nightly["jobs"]["long"]["strategy"]["matrix"]
    assert {*matrix["target"], *(one["target"] for one in matrix["include"])} <= TARGETS


def test_the_demo_runs_by_night_with_each_origin() -> None:
    nightly = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    include = nightly["jobs"]["long"]["strategy"]["matrix"]["include"]
    shown = [one["origin"] for one in include if one["target"] == "demo"]
    assert shown == list(SETTINGS)


def test_every_make_target_that_a_document_names_is_there() -> None:
    named = {
        (str(path.relative_to(ROOT)), target)
        for path in [*PEOPLE, *(one for one in committed() if one.suffix in {".py", ".yml", ".sh"})]
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 10
    assert sorted((path, target) for path, target in named if target not in TARGETS) == []


def test_make_has_nothing_to_complain_of() -> None:
    """Of a circle make drops a side, with a warning that looks as if the documentation were at fault."""
    words = ("make", "--dry-run", "--always-make", "check")
    alone = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    plan = subprocess.run(words, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    assert plan.stderr == ""


def test_every_target_is_listed_with_what_it_does() -> None:
    described = set(
        re.findall(r"^([a-z][a-z-]*):.*## .{10,}", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    assert TARGETS - described == {"programs", "quick-unit", "quick-rules"}, "parts of another"


@pytest.mark.parametrize("path", PEOPLE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_is_there(path: Path) -> None:
    """In backticks, from the root: a folder, a file, or a pattern of files.

    What `make` writes, and other projects' files, are elsewhere.
    """
    names = re.findall(
        r"`((?:operator|tests|tools|docs|deploy|crds|requirements|\.ci|\.github)/[\w./*-]+?)(?:::\w+)?`",
        path.read_text(),
    )
    assert [name for name in names if not any(ROOT.glob(name.rstrip("/")))] == []


def test_every_tool_is_run_by_something() -> None:
    texts = [
        path.read_text()
        for path in committed()
        if path.name in {"Makefile", "Dockerfile", "mkdocs.yml"} or path.parent == ROOT / "tools"
    ]
    tools = [path for path in (ROOT / "tools").iterdir() if path.is_file()]
    unnamed = [
        tool.name
        for tool in tools
        if not any(f"tools/{tool.name}" in text or f"import {tool.stem}" in text for text in texts)
    ]
    assert unnamed == []
