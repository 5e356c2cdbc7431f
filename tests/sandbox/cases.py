"""The small inputs that failed once (`tests/manifests/cases`), applied to a scene by name.

    cases.apply(scene, "21-server-alias")

A file that has only `data` is for the controller's ConfigMap; what else stands in a file is for
`kubectl apply`.
"""

from pathlib import Path
from typing import Any

import yaml

from sandbox.kubernetes import kubectl
from sandbox.scene import Scene

FOLDER = Path(__file__).parents[1] / "manifests" / "cases"


def names() -> list[str]:
    """All of them: file names without their ending."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def apply(scene: Scene, *cases: str) -> None:
    """Apply what they bring, and merge what they have for the ConfigMap.

    Raises:
        FileNotFoundError: there is no such case.
        KubectlError: the API server does not take it.
    """
    for document in _documents(*cases):
        if "kind" in document:
            scene.plane.apply(document)
        else:
            scene.write_config_map(document["data"])


def withdraw(scene: Scene, *cases: str) -> None:
    """Take it away again, with the keys of the ConfigMap; does not wait for an object that has a finalizer."""
    for document in _documents(*cases):
        if "kind" in document:
            scene.plane.kubectl(
                "delete",
                "--wait=false",
                "--ignore-not-found",
                "-f",
                "-",
                input=kubectl.text_of(document),
            )
        else:
            scene.write_config_map(dict.fromkeys(document["data"]))


def _documents(*cases: str) -> list[dict[str, Any]]:
    return [
        document
        for case in cases
        for document in yaml.safe_load_all((FOLDER / f"{case}.yaml").read_text(encoding="utf-8"))
    ]
