"""The image's own steps, without a container engine: built from the locks into an empty prefix, and run as a pod would run it.

As a pod: in a root of its own on which nothing can be written, as an unprivileged user, with no
environment but the Deployment's, with its ServiceAccount's token where the kubelet mounts it, and
as process 1. Where an engine answers, the image itself is built and started instead.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.requirements import Requirement

from sandbox import rootfs
from sandbox.helm.releases import Helm
from sandbox.kstatus import Health, health
from sandbox.kubernetes.plane import ControlPlane
from sandbox.ports import free_port
from sandbox.processes import Child
from sandbox.scene import path_of, pull
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]
RELEASE, NAMESPACE, EDGE = "aop-operator", "aop-system", "edge"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENGINE = next((name for name in ("docker", "podman") if shutil.which(name)), None)

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has in /opt/aop; readable by everybody, as there."""
    folder = tmp_path_factory.mktemp("image") / "prefix"
    subprocess.run(
        [ROOT / "tools/image.sh", folder, sys.executable],
        check=True,
        env={name: os.environ[name] for name in ("PATH", "HOME")},
    )
    return folder


def locked() -> dict[str, str]:
    """Name and version of everything in run.lock that applies here."""
    lines = re.findall(
        r"^[^\s#-].*?(?= \\$|$)", (ROOT / "requirements/run.lock").read_text(), re.MULTILINE
    )
    wanted = [one for one in map(Requirement, lines) if one.marker is None or one.marker.evaluate()]
    return {_normal(one.name): next(iter(one.specifier)).version for one in wanted}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_image_holds_what_the_lock_names_and_nothing_else(prefix: Path) -> None:
    listing = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    in_the_image = json.loads(
        subprocess.run(
            [prefix / "bin/python", "-I", "-c", listing], check=True, capture_output=True, text=True
        ).stdout
    )
    installed = {_normal(name): version for name, version in in_the_image.items()}
    assert installed.pop("aop-operator") == re.search(r"ARG VERSION=(\S+)", DOCKERFILE)[1]  # type: ignore[index]
    assert installed == locked()
    assert not {"pip", "setuptools", "wheel", "hatchling"} & set(installed)


def test_a_download_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    """The steps run with a lock of which one hash was changed."""
    for name in ("operator", "requirements", "tools"):
        shutil.copytree(
            ROOT / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("kube", "etcd", "helm*", "__pycache__"),
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    lock = tmp_path / "requirements/build.lock"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, lock.read_text()))
    done = subprocess.run(
        [tmp_path / "tools/image.sh", tmp_path / "prefix", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "prefix").exists()


@pytest.fixture
def deployed(any_helm: Helm, plane: ControlPlane, tmp_path: Path, tidied: None) -> dict[str, Any]:
    """The container of an installed Deployment."""
    helm = Helm(any_helm.program, tmp_path, plane.admin_kubeconfig)
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": EDGE}})
    ports = {"address": "127.0.0.1", "health": free_port(), "metrics": free_port()}
    helm.install(RELEASE, NAMESPACE, {"watchNamespaces": [EDGE], "ports": ports})
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}"
    (container,) = (
        plane.http.get(path).raise_for_status().json()["spec"]["template"]["spec"]["containers"]
    )
    shipped: dict[str, Any] = container
    return shipped


@pytest.fixture
def pod(plane: ControlPlane, prefix: Path, deployed: dict[str, Any], tmp_path: Path) -> "ImagePod":
    """Runs the image's entry point as a pod of the Deployment."""
    if reason := rootfs.why_not():
        pytest.skip(reason)
    return ImagePod(plane, prefix, deployed, tmp_path)


class ImagePod:
    """Where the image's contents run as in the cluster."""

    def __init__(
        self, plane: ControlPlane, prefix: Path, container: Mapping[str, Any], folder: Path
    ) -> None:
        self.container, self._prefix, self._folder = container, prefix, folder
        self._mounted = folder / "serviceaccount"
        self._mounted.mkdir(mode=0o755)
        (self._mounted / "token").write_text(plane.service_account_token(NAMESPACE, RELEASE))
        (self._mounted / "ca.crt").write_bytes(plane.ca_file.read_bytes())
        (self._mounted / "namespace").write_text(NAMESPACE)
        address = httpx.URL(plane.url)
        self._environment = {one["name"]: one["value"] for one in container["env"]} | {
            "KUBERNETES_SERVICE_HOST": address.host,
            "KUBERNETES_SERVICE_PORT": str(address.port),
        }

    def command(self, *argv: str) -> list[str]:
        """Any command in the pod's root."""
        root = Path(self._folder / f"root-{len(list(self._folder.glob('root-*')))}")
        root.mkdir()
        command = rootfs.command(
            root,
            {self._prefix: str(self._prefix), self._mounted: SERVICE_ACCOUNT},
            self._environment,
            argv,
        )
        return [str(shutil.which(command[0])), *command[1:]]

    def entry(self, *arguments: str) -> list[str]:
        """The Dockerfile's entry point, which the image has at another prefix."""
        (entry,) = json.loads(re.search(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]
        return self.command(str(self._prefix / "bin" / Path(entry).name), *arguments)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command there to its end."""
        return subprocess.run(
            self.command(*argv), capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def running(pod: ImagePod, tmp_path: Path) -> Iterator[Child]:
    child = Child(pod.entry(*pod.container["args"]), log=tmp_path / "operator.log")
    yield child
    child.kill()


def test_nothing_can_be_written_and_nobody_is_root(pod: ImagePod) -> None:
    """What the next test runs in is what it claims to be."""
    places = ["/x", f"{SERVICE_ACCOUNT}/x", f"{pod._prefix}/x", "/usr/x", "/dev/x"]
    script = f"id -u; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; env; for p in {' '.join(places)}; do touch $p 2>/dev/null && echo wrote $p; done; true"
    output = pod.run("sh", "-c", script).stdout
    assert output.startswith(f"{rootfs.USER}\n")
    assert re.search(r"NoNewPrivs:\s1", output)
    assert re.search(r"CapEff:\s0{16}", output)
    assert "wrote" not in output
    assert "HOME=" not in output


def test_the_operator_works_on_a_read_only_root_without_privileges_or_environment(
    pod: ImagePod, running: Child, plane: ControlPlane
) -> None:
    ports = {one["name"]: one["containerPort"] for one in pod.container["ports"]}
    probe = pod.container["readinessProbe"]["httpGet"]

    def answers(port: int, path: str) -> bool:
        assert running.alive, running.last_words()
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=2).is_success

    for port, path in ((ports[probe["port"]], probe["path"]), (ports["metrics"], "/metrics")):
        until(
            lambda port=port, path=path: answers(port, path),  # type: ignore[misc]
            within_s=60,
            describe=lambda: f"the operator to answer:\n{running.last_words()}",
            ignoring=(httpx.HTTPError,),
        )
    plane.apply(pull(namespace=EDGE))
    plane.kubectl(
        "wait",
        "aop/example-com",
        f"--namespace={EDGE}",
        "--timeout=60s",  # the Lease, which is new, is waited for
        "--for=jsonpath={.status.conditions[?(@.type=='Ready')].reason}=TokenSecretNotFound",
    )
    assert (
        health(plane.http.get(path_of(EDGE, "example-com")).raise_for_status().json())
        is Health.FAILED
    )
    guard = subprocess.run(
        pod.entry("uninstall-guard"), capture_output=True, text=True, timeout=60, check=False
    )
    assert (guard.returncode, guard.stderr) == (1, "")
    assert f"{EDGE}/example-com (zone example.com" in guard.stdout
    plane.kubectl("delete", "aop", "example-com", f"--namespace={EDGE}", "--timeout=60s")
    # The signal goes to process 1 of its own pid namespace, which the kernel shields from every
    # signal that it does not handle.
    os.killpg(running.pid, signal.SIGTERM)
    until(
        lambda: not running.alive,
        within_s=20,
        describe=lambda: f"the operator to end on SIGTERM:\n{running.last_words()}",
    )
    assert running.returncode == 0, running.last_words()
    assert (
        subprocess.run(
            pod.entry("uninstall-guard"), capture_output=True, timeout=60, check=False
        ).returncode
        == 0
    )


def test_what_the_pod_says_is_no_traceback(pod: ImagePod) -> None:
    """A setting that cannot be used is said in one line, with the exit status of a wrong call."""
    pod._environment["AOP_RESYNC_S"] = "soon"
    done = subprocess.run(pod.entry("run"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("aop-operator: AOP_RESYNC_S: ")
    assert "Traceback" not in done.stderr


def _engine_answers() -> bool:
    return (
        ENGINE is not None
        and subprocess.run(
            [ENGINE, "info"], capture_output=True, timeout=30, check=False
        ).returncode
        == 0
    )


def test_the_image_itself_runs_where_a_container_engine_is_at_hand() -> None:
    if not _engine_answers():
        pytest.skip("no container engine answers; the same steps were run without one")
    assert ENGINE is not None
    subprocess.run(
        [ENGINE, "build", "--quiet", "--tag", "aop-operator:test", ROOT], check=True, timeout=280
    )
    run = [
        ENGINE,
        "run",
        "--rm",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    ]
    output = subprocess.run(
        [*run, "aop-operator:test", "--version"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert output.startswith("aop-operator ")
    pip = subprocess.run(
        [*run, "--entrypoint=python3", "aop-operator:test", "-m", "pip"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "No module named pip" in pip.stderr
