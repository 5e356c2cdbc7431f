"""What a person reads at every step of the demo, held in `tests/golden`: the row of `kubectl get aop` and every condition.

`make golden` writes the files anew; a reviewer then reads what has changed.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from model.replay import violations
from sandbox.composition import MANIFESTS, Layout
from sandbox.following import Following
from sandbox.processes import Child
from sandbox.scene import NAMESPACE, Scene, path_of
from sandbox.stages import Stage, stages
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

GOLDEN = Path(__file__).parents[1] / "golden"


def lived(scene: Scene) -> tuple[Stage, ...]:
    """Onboard and remove one object; rows by kubectl itself, which prints one for every change."""
    seen: list[dict[str, Any]] = []
    watch = ["get", "aop", "--namespace", NAMESPACE, "--watch", "--no-headers"]
    environment = {**os.environ, "KUBECONFIG": str(scene.plane.admin_kubeconfig)}
    rows = Child([str(scene.plane.programs.kubectl), *watch], log=scene.sandbox.folder / "watch.log", env=environment)
    try:
        scene.apply("listening", zone={"name": "example.net"}, suspend=True)
        until(lambda: "listening" in rows.log.read_text(), within_s=30, describe="kubectl to listen")
        scene.remove("listening")
        with Following(scene.plane, path_of(NAMESPACE), lambda _, found: seen.append(found)):
            scene.control.turn(deploy_s=3)
            scene.apply()
            scene.until_enforced()
            scene.remove()
            last = next(one["message"] for one in seen[-1]["status"]["conditions"] if one["type"] == "Ready")
            printed = until(lambda: _rows(rows.log, last), within_s=10, describe="kubectl to print the last change")
    finally:
        rows.kill()
    return stages(printed, seen)


def _rows(log: Path, last: str) -> list[str]:
    """What kubectl has printed, once it has come to the last message."""
    printed = [row for row in log.read_text().splitlines() if row.startswith("example-com")]
    return printed if printed and last in printed[-1] else []


def test_every_step_reads_as_it_should() -> None:
    with Scene(Layout(manifests=MANIFESTS)) as scene:
        found = lived(scene)
        assert violations(scene.trace()) == []
    if os.environ.get("AOP_UPDATE_GOLDEN"):
        for old in GOLDEN.glob("*.txt"):
            old.unlink()
        for stage in found:
            (GOLDEN / f"{stage.name}.txt").write_text(stage.text)
    golden = {file.stem: file.read_text() for file in sorted(GOLDEN.glob("*.txt"))}
    assert {stage.name: stage.text for stage in found} == golden


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.txt")), ids=lambda file: file.stem)
def test_every_step_says_what_to_do(file: Path) -> None:
    """While Ready is not True, its message is a sentence of more than a word, and a wait ends with what to do."""
    ready = next(line for line in file.read_text().splitlines() if line.startswith("Ready="))
    truth, _, message = ready.partition(": ")
    assert len(message.split()) > 4
    if truth.startswith("Ready=False Waiting"):
        assert "Awaited since <time>" in message
        assert message.rstrip(".").endswith("Nothing to do")
