"""What `make dist` makes of a clean clone: all that a version consists of but the image, and each part of it works."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from hashlib import sha256
from pathlib import Path

import plugin
import pytest
import yaml

from committed import ROOT

IMAGE = "registry.example.com/edge/aop-operator"
DIGEST = "sha256:" + "5" * 64
URL = "https://downloads.example.com/v0"
EPOCH = 1_700_000_000
HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("any_helm")]


def ran(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A program that learns nothing of the Python that runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    return subprocess.run(
        command, env=inherited | environ, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, made from what is committed."""
    folder = tmp_path_factory.mktemp("release")
    clone = folder / "clone"
    assert ran("git", "clone", "--quiet", ROOT, clone).returncode == 0
    done = ran(
        *(sys.executable, clone / "tools/release.py", folder / "dist"),
        *("--archives", URL, "--image", IMAGE, "--image-digest", DIGEST),
        PYTHONPATH=str(clone / "tests"),
    )
    assert done.returncode == 0, done.stderr
    return folder / "dist"


@pytest.fixture
def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(project["project"]["version"])


def test_every_file_is_there_with_its_digest(dist: Path, version: str) -> None:
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    digests = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(digests) == {
        f"aop-operator-{version}.cdx.json",
        f"aop-operator-{version}.tgz",
        f"aop-operator-{version}.yaml",
        "aop.yaml",
        f"aop_operator-{version}-py3-none-any.whl",
        f"aop_operator-{version}.tar.gz",
        *(f"kubectl-aop-{one}.tar.gz" for one in plugin.PLATFORMS),
    }
    assert {path.name for path in dist.iterdir()} == {*digests, "SHA256SUMS"}
    for name, digest in digests.items():
        assert sha256((dist / name).read_bytes()).hexdigest() == digest


def test_the_wheel_installs_beside_what_is_locked(dist: Path, tmp_path: Path, version: str) -> None:
    uv, python = Path(sys.executable).parent / "uv", tmp_path / "venv/bin/python"
    ran(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    locked = ("--require-hashes", "-r", ROOT / "requirements/run.lock")
    (wheel,) = dist.glob("*.whl")
    for what in (locked, ("--no-deps", wheel)):
        done = ran(uv, "pip", "install", "--quiet", "--python", python, *what)
        assert done.returncode == 0, done.stderr
    assert ran(python.parent / "aop-operator", "--version").stdout.split()[-1] == version
    assert ran(uv, "pip", "check", "--python", python).returncode == 0


@pytest.mark.skipif(sys.platform != "linux" or HERE is None, reason="no archive for this machine")
def test_the_plugin_runs_from_its_archive_as_krew_links_it(
    dist: Path, tmp_path: Path, version: str
) -> None:
    store, link = tmp_path / "store/aop", tmp_path / "bin/kubectl-aop"
    with tarfile.open(dist / f"kubectl-aop-linux-{HERE}.tar.gz") as archive:
        archive.extractall(store, filter="data")
    link.parent.mkdir()
    link.symlink_to(store / "kubectl-aop")
    assert (store / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert ran(link, "--version").stdout.strip() == f"kubectl-aop {version}"
    assert "status" in ran(link, "--help").stdout
    assert "Full (strict)" in ran(link, "explain", "SSLModeTooLow").stdout
    elsewhere = ran(link, "--version", PATH="/nowhere:/bin", KUBECTL_AOP_PYTHON=sys.executable)
    assert elsewhere.stdout.strip() == f"kubectl-aop {version}"


@pytest.mark.skipif(sys.platform != "linux" or HERE is None, reason="no archive for this machine")
def test_without_a_python_that_fits_the_plugin_says_which_it_needs(
    dist: Path, tmp_path: Path
) -> None:
    with tarfile.open(dist / f"kubectl-aop-linux-{HERE}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "readlink", "sh"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = ran(tmp_path / "kubectl-aop", "--version", PATH=str(tools))
    assert done.returncode == 1
    assert "Python 3.11" in done.stderr


def test_krews_manifest_names_each_archive_with_its_digest(dist: Path, version: str) -> None:
    manifest = yaml.safe_load((dist / "aop.yaml").read_text())
    assert manifest["spec"]["version"] == f"v{version}"
    for one in manifest["spec"]["platforms"]:
        labels = one["selector"]["matchLabels"]
        name = f"kubectl-aop-{labels['os']}-{labels['arch']}.tar.gz"
        assert one["uri"] == f"{URL}/{name}"
        assert one["sha256"] == sha256((dist / name).read_bytes()).hexdigest()


def test_each_archive_has_the_libraries_of_its_own_platform(dist: Path) -> None:
    """By the names that Python gives to compiled modules, for each of its versions."""
    machines = {
        "linux-amd64": "x86_64-linux-gnu",
        "linux-arm64": "aarch64-linux-gnu",
        "darwin-arm64": "darwin",
    }
    for name in plugin.PLATFORMS:
        with tarfile.open(dist / f"kubectl-aop-{name}.tar.gz") as archive:
            compiled = [
                path for path in archive.getnames() if re.search(r"\.cpython-\d+.*\.so$", path)
            ]
        for python in plugin.PYTHONS:
            tag = f"cpython-{python.replace('.', '')}-{machines[name]}.so"
            own = [path for path in compiled if path.startswith(f"lib/{python}/")]
            assert own
            assert [path for path in own if not path.endswith(tag)] == []


@pytest.mark.skipif(sys.platform != "linux" or HERE is None, reason="no archive for this machine")
def test_an_archive_that_is_made_twice_is_the_same(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    made = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        made.append(plugin.archive(wheel, f"linux-{HERE}", folder, EPOCH).read_bytes())
    assert made[0] == made[1]


def test_the_chart_and_the_manifests_take_the_published_image(dist: Path, version: str) -> None:
    with tarfile.open(dist / f"aop-operator-{version}.tgz") as archive:
        values, about = (
            yaml.safe_load(archive.extractfile(f"aop-operator/{name}").read())  # type: ignore[union-attr]
            for name in ("values.yaml", "Chart.yaml")
        )
    assert (about["version"], about["appVersion"]) == (version, version)
    assert (values["image"]["repository"], values["image"]["digest"]) == (IMAGE, DIGEST)
    objects = list(yaml.safe_load_all((dist / f"aop-operator-{version}.yaml").read_text()))
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{IMAGE}@{DIGEST}"


def test_the_bill_of_materials_names_everything_that_is_locked(dist: Path, version: str) -> None:
    bill = json.loads((dist / f"aop-operator-{version}.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["version"] == version
    listed = {(one["name"].lower(), one["version"]) for one in bill["components"]}
    lock = (ROOT / "requirements/run.lock").read_text()
    pinned = re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)
    assert listed == {(name.lower(), number) for name, number in pinned}
