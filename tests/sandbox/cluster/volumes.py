"""The files that a pod's container has: its volumes, below a folder of its own, as the kubelet mounts them."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.kubernetes.plane import ControlPlane

Json = Mapping[str, Any]


class MissingError(Exception):
    """A volume's ConfigMap or Secret is not there, and the pod does not do without it."""


def mount(plane: ControlPlane, namespace: str, pod: Json, container: Json, root: Path) -> None:
    """Write all files of the container below `root`.

    Raises:
        MissingError: what it needs is not there; nothing was written.
    """
    held = {
        volume["name"]: _files(plane, namespace, volume)
        for volume in pod["spec"].get("volumes", ())
    }
    for wanted in container.get("volumeMounts", ()):
        files, place = held[wanted["name"]], root / wanted["mountPath"].lstrip("/")
        if path := wanted.get("subPath"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(files[path])
        else:
            _replace(place, files)


def refresh(plane: ControlPlane, namespace: str, pod: Json, container: Json, root: Path) -> bool:
    """What has changed since: whole volumes only, never a file by `subPath`, and all files of one at once. Whether anything has."""
    changed = False
    for wanted in container.get("volumeMounts", ()):
        if "subPath" in wanted:
            continue
        volume = next(one for one in pod["spec"]["volumes"] if one["name"] == wanted["name"])
        try:
            files = _files(plane, namespace, volume)
        except MissingError:
            continue
        place = root / wanted["mountPath"].lstrip("/")
        if files != {path.name: path.read_bytes() for path in place.iterdir()}:
            _replace(place, files)
            changed = True
    return changed


def _replace(place: Path, files: Mapping[str, bytes]) -> None:
    new = place.with_name(f"{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name, content in files.items():
        (new / name).write_bytes(content)
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)


def _files(plane: ControlPlane, namespace: str, volume: Json) -> dict[str, bytes]:
    if "configMap" in volume:
        source, plural, name = volume["configMap"], "configmaps", volume["configMap"]["name"]
    else:
        source, plural, name = volume["secret"], "secrets", volume["secret"]["secretName"]
    answer = plane.http.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
    if answer.status_code == 404:
        if source.get("optional"):
            return {}
        raise MissingError(
            f'MountVolume.SetUp failed for volume "{volume["name"]}": {plural} "{name}" not found'
        )
    data: dict[str, str] = answer.raise_for_status().json().get("data") or {}
    if plural == "secrets":
        return {key: base64.b64decode(value) for key, value in data.items()}
    return {key: value.encode() for key, value in data.items()}
