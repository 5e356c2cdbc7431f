"""`kubectl aop` as a person runs it: kubectl finds it on PATH, it asks a real API server, with no more rights than a Role gives."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from aop.api import API_VERSION, PLURAL
from sandbox.kubernetes.plane import ControlPlane
from sandbox.scene import pull
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]
ENTRY = "kubectl-aop"
WITHIN_S = 60.0
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class ShellUser:
    """Somebody with a kubeconfig, at a shell that knows kubectl and its plugin."""

    kubectl: Path
    plugins: Path
    kubeconfig: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Of their shell."""
        path = os.pathsep.join([str(self.plugins), str(self.kubectl.parent), os.environ["PATH"]])
        return {"PATH": path, "KUBECONFIG": str(self.kubeconfig), "HOME": "/nonexistent", **more}

    def start(self, *arguments: str, out: int, **environment: str) -> subprocess.Popen[bytes]:
        """The plugin itself, as kubectl executes it; everything that it says goes to `out`.

        It hears SIGINT as in a terminal: a shell has what it runs in the background ignore that,
        the tests perhaps, and they would hand it on.
        """
        return subprocess.Popen(
            [str(self.plugins / ENTRY), *arguments],
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread of the tests holds a lock that this needs
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`kubectl aop …`, to its end."""
        return subprocess.run(
            [str(self.kubectl), "aop", *arguments],
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )


@pytest.fixture(scope="module")
def served(plane: ControlPlane) -> ControlPlane:
    """The control plane with the committed schema."""
    plane.apply(ROOT / "crds")
    return plane


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin, made of the entry point as an installer makes it."""
    entry: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][ENTRY]
    module, function = entry.split(":")
    script = tmp_path_factory.mktemp("plugins") / ENTRY
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script.parent


@pytest.fixture
def namespaced(served: ControlPlane, namespace: str) -> Iterator[str]:
    """A namespace with an object that no operator looks at."""
    served.apply(pull(namespace=namespace))
    yield namespace
    served.kubectl("delete", PLURAL, "--all", "--namespace", namespace, "--wait=false")


def person(served: ControlPlane, plugins: Path, namespace: str, *verbs: str) -> ShellUser:
    """Somebody who may do these verbs on the objects of one namespace, and nothing else."""
    user = f"person-of-{namespace}"
    rules = [{"apiGroups": ["aop-operator.dev"], "resources": [PLURAL], "verbs": list(verbs)}]
    api = "rbac.authorization.k8s.io"
    metadata = {"name": "person", "namespace": namespace}
    served.apply(
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
        if verbs
        else {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": []},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "person"},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        },
    )
    return ShellUser(Path(served.programs.kubectl), plugins, served.kubeconfig_for(user))


def stored(served: ControlPlane, namespace: str) -> dict[str, Any]:
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/example-com"
    manifest: dict[str, Any] = served.http.get(path).raise_for_status().json()
    return manifest


def words(text: str) -> str:
    """Without the line ends that the width makes."""
    return " ".join(text.split())


def test_who_may_read_reads(served: ControlPlane, plugins: Path, namespaced: str) -> None:
    reader = person(served, plugins, namespaced, "get", "list")
    one = reader.run("status", "example-com", "-n", namespaced)
    assert (one.returncode, one.stderr) == (0, "")
    assert f"{namespaced}/example-com unseen" in one.stdout
    assert "\x1b" not in one.stdout, "colour is for terminals"
    everything = reader.run("status", "-n", namespaced)
    assert (everything.returncode, everything.stderr) == (0, "")
    assert "example-com" in everything.stdout.splitlines()[1]


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_read_the_same(
    served: ControlPlane, plugins: Path, namespaced: str, form: str, load: Any
) -> None:
    reader = person(served, plugins, namespaced, "get", "list")
    one = reader.run("status", "example-com", "-n", namespaced, "-o", form)
    assert (load(one.stdout)["state"], load(one.stdout)["zone"]) == ("unseen", "example.com")
    everything = reader.run("status", "-n", namespaced, "-o", form)
    assert [it["name"] for it in load(everything.stdout)["items"]] == ["example-com"]


def test_a_name_that_is_not_there_is_said_beside_those_that_are(
    served: ControlPlane, plugins: Path, namespaced: str
) -> None:
    reader = person(served, plugins, namespaced, "get", "list")
    answer = reader.run("status", "example-org", "-n", namespaced)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"no AuthenticatedOriginPull example-org in namespace {namespaced}" in words(
        answer.stderr
    )
    assert "There are example-com" in words(answer.stderr)


@pytest.mark.parametrize(
    ("rights", "command", "missing"),
    [
        ((), ("status", "example-com"), "get"),
        ((), ("status",), "list"),
        ((), ("rotate", "example-com"), "get"),
        (("get",), ("rotate", "example-com"), "patch"),
        (("get",), ("relax", "example-com", "--yes"), "patch"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
def test_a_right_that_is_missing_is_named(
    served: ControlPlane,
    plugins: Path,
    namespaced: str,
    rights: tuple[str, ...],
    command: tuple[str, ...],
    missing: str,
) -> None:
    answer = person(served, plugins, namespaced, *rights).run(*command, "-n", namespaced)
    assert (answer.returncode, answer.stdout) == (1, "")
    shown = words(answer.stderr)
    assert f"right to {missing} {PLURAL}.aop-operator.dev in namespace {namespaced}" in shown
    assert f"kubectl auth can-i {missing} {PLURAL}.aop-operator.dev -n {namespaced}" in shown
    assert "Traceback" not in shown
    assert stored(served, namespaced)["metadata"]["generation"] == 1


def test_all_namespaces_take_a_right_in_all(
    served: ControlPlane, plugins: Path, namespaced: str
) -> None:
    answer = person(served, plugins, namespaced, "get", "list").run("status", "-A")
    assert answer.returncode == 1
    assert f"list {PLURAL}.aop-operator.dev in all namespaces" in words(answer.stderr)


def test_a_rotation_is_asked_for_in_the_persons_name(
    served: ControlPlane, plugins: Path, namespaced: str
) -> None:
    owner = person(served, plugins, namespaced, "get", "patch")
    answer = owner.run("rotate", "example-com", "-n", namespaced)
    assert (answer.returncode, answer.stderr) == (0, "")
    metadata = stored(served, namespaced)["metadata"]
    assert metadata["annotations"]["aop-operator.dev/rotate"] in answer.stdout
    assert [
        one["manager"]
        for one in metadata["managedFields"]
        if "f:aop-operator.dev/rotate" in json.dumps(one["fieldsV1"])
        and one["manager"] != "kubectl-client-side-apply"
    ] == ["kubectl-aop"]


def test_nobody_is_relaxed_without_a_yes(
    served: ControlPlane, plugins: Path, namespaced: str
) -> None:
    owner = person(served, plugins, namespaced, "get", "patch")
    refused = owner.run("relax", "example-com", "-n", namespaced)
    assert refused.returncode == 1
    assert "example.com refuse nobody" in words(refused.stdout)
    assert "--yes" in refused.stderr
    assert stored(served, namespaced)["spec"]["enforcement"] == "Require"
    done = owner.run("relax", "example-com", "-n", namespaced, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert stored(served, namespaced)["spec"]["enforcement"] == "Request"


def test_an_api_server_that_is_not_there_is_said(
    served: ControlPlane, plugins: Path, namespaced: str
) -> None:
    reader = person(served, plugins, namespaced, "get", "list")
    content = yaml.safe_load(reader.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    reader.kubeconfig.write_text(yaml.safe_dump(content))
    answer = reader.run("status", "-n", namespaced)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "API server cannot be reached" in words(answer.stderr)


def test_colour_is_for_terminals(served: ControlPlane, plugins: Path, namespaced: str) -> None:
    reader = person(served, plugins, namespaced, "get", "list")
    assert "\x1b[31munseen\x1b[0m" in at_a_terminal(reader, namespaced)
    assert "\x1b" not in at_a_terminal(reader, namespaced, NO_COLOR="1")


def at_a_terminal(reader: ShellUser, namespace: str, **environment: str) -> str:
    """What a terminal gets."""
    ours, theirs = pty.openpty()
    process = reader.start("status", "example-com", "-n", namespace, out=theirs, **environment)
    os.close(theirs)
    shown = b""
    # Linux ends the reading of a terminal that nobody writes to any more with EIO.
    with os.fdopen(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        while more := terminal.read(4096):
            shown += more
    assert process.wait(WITHIN_S) == 0
    return shown.decode()


def test_a_change_is_shown_again_and_an_interruption_is_no_failure(
    served: ControlPlane, plugins: Path, namespaced: str, tmp_path: Path
) -> None:
    reader = person(served, plugins, namespaced, "get", "list")
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = reader.start(
            "status", "example-com", "-n", namespaced, "--watch", out=out.fileno()
        )
        try:
            until(
                lambda: "asks for Require" in log.read_text(),
                within_s=WITHIN_S,
                describe="the first state",
            )
            served.kubectl(
                *("patch", PLURAL, "example-com", "--namespace", namespaced, "--type", "merge"),
                *("--patch", json.dumps({"spec": {"enforcement": "Optional"}})),
            )
            until(
                lambda: "asks for Optional" in log.read_text(),
                within_s=WITHIN_S,
                describe="the second state",
            )
        finally:
            process.send_signal(signal.SIGINT)
            try:
                status = process.wait(WITHIN_S)
            finally:
                process.kill()
    assert status == INTERRUPTED
    assert "Traceback" not in log.read_text()


def test_a_file_that_is_no_valid_object_is_said(
    served: ControlPlane, plugins: Path, namespaced: str, tmp_path: Path
) -> None:
    file = tmp_path / "pull.yaml"
    file.write_text(yaml.safe_dump(pull(namespace=namespaced, origins=[])))
    admin = ShellUser(Path(served.programs.kubectl), plugins, served.admin_kubeconfig)
    answer = admin.run("plan", "-f", str(file))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "spec.origins" in words(answer.stderr)


# --- before the operator is installed -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """A cluster that has never heard of the resource."""
    with ControlPlane(with_controller_manager=False) as running:
        yield running


def test_without_the_resource_status_says_what_is_missing(
    bare: ControlPlane, plugins: Path
) -> None:
    admin = ShellUser(Path(bare.programs.kubectl), plugins, bare.admin_kubeconfig)
    for command in (("status",), ("status", "example-com")):
        answer = admin.run(*command)
        assert (answer.returncode, answer.stdout) == (1, "")
        assert "CRD is not installed" in words(answer.stderr)


def test_without_the_resource_a_file_is_planned_all_the_same(
    bare: ControlPlane, plugins: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pull.yaml"
    file.write_text(yaml.safe_dump(pull(namespace="default")))
    admin = ShellUser(Path(bare.programs.kubectl), plugins, bare.admin_kubeconfig)
    answer = admin.run("plan", "-f", str(file), AOP_CLOUDFLARE_BASE_URL="http://127.0.0.1:1")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "TokenSecretNotFound" in answer.stdout
    assert "CRD is not installed" in words(answer.stdout)
