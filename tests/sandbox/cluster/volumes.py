"""The files that a pod's container has: its volumes, below a folder of its own, as the kubelet mounts them.

The files of a volume stand in a folder with the time in its name, to which the link `..data` leads;
a change is a new folder, and the link put in place of the one that leads to the old.
"""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.kubernetes.plane import ControlPlane

Json = Mapping[str, Any]


ACCOUNT = Path("var/run/secrets/kubernetes.io/serviceaccount")
API_SERVER = "api-server"
"""The file that stands for the variables that tell a container where the API server is."""
COMMAND = "command.json"
"""The file that stands for what the kubelet tells a container: its arguments, and which ports of
this machine the Services are that it can reach."""


class MissingError(Exception):
    """A volume's ConfigMap or Secret is not there, and the pod does not do without it."""


def mount(plane: ControlPlane, namespace: str, pod: Json, container: Json, root: Path) -> None:
    """Write all files of the container below `root`.

    Raises:
        MissingError: what it needs is not there; nothing was written.
    """
    content = {
        volume["name"]: _token(plane, namespace, pod, volume)
        if "projected" in volume
        else _files(plane, namespace, volume)
        for volume in pod["spec"].get("volumes", ())
    }
    for wanted in container.get("volumeMounts", ()):
        files, place = content[wanted["name"]], root / wanted["mountPath"].lstrip("/")
        if path := wanted.get("subPath"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(files[path])
        else:
            replace_files(place, files)


def mount_account(plane: ControlPlane, namespace: str, pod: Json, root: Path) -> None:
    """The token of the pod's ServiceAccount, if it names one, and where the API server is."""
    if (account := pod["spec"].get("serviceAccountName", "default")) == "default":
        return
    place = root / ACCOUNT
    place.mkdir(parents=True, exist_ok=True)
    (place / "token").write_text(plane.service_account_token(namespace, account))
    (place / "ca.crt").write_bytes(plane.ca_file.read_bytes())
    (root / API_SERVER).write_text(plane.url)


def tell(pod: Json, container: Json, services: Mapping[int, str], root: Path) -> None:
    """Write its arguments, with the variables in them that a field of the pod fills."""
    metadata = pod["metadata"]
    fields = {"metadata.name": metadata["name"], "metadata.namespace": metadata["namespace"]}
    variables = {
        one["name"]: one.get("value")
        or fields.get(one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", ""), "")
        for one in container.get("env", ())
    }
    arguments = list(container.get("args", ()))
    for name, value in variables.items():
        arguments = [one.replace(f"$({name})", value) for one in arguments]
    (root / COMMAND).write_text(json.dumps({"args": arguments, "services": services}))


def refresh(plane: ControlPlane, namespace: str, pod: Json, container: Json, root: Path) -> bool:
    """What has changed since: whole volumes only, never a file by `subPath`, and all files of one at once. Whether anything has."""
    changed = False
    for wanted in container.get("volumeMounts", ()):
        if "subPath" in wanted:
            continue
        volume = next(one for one in pod["spec"]["volumes"] if one["name"] == wanted["name"])
        if "projected" in volume:
            continue
        try:
            files = _files(plane, namespace, volume)
        except MissingError:
            continue
        place = root / wanted["mountPath"].lstrip("/")
        there = [path for path in place.iterdir() if not path.name.startswith("..")]
        if files != {path.name: path.read_bytes() for path in there}:
            replace_files(place, files)
            changed = True
    return changed


def replace_files(place: Path, files: Mapping[str, bytes]) -> None:
    """Put all files of a volume in place of those before."""
    place.mkdir(parents=True, exist_ok=True)
    before = [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]
    new = place / f"..{datetime.now(UTC):%Y_%m_%d_%H_%M_%S}.{time.monotonic_ns()}"
    new.mkdir()
    for name, content in files.items():
        (new / name).write_bytes(content)
    link = place / "..data_tmp"
    link.symlink_to(new.name)
    link.rename(place / "..data")
    for name in files:
        if not (place / name).is_symlink():
            (place / name).symlink_to(Path("..data") / name)
    for path in place.iterdir():
        if not path.name.startswith("..") and path.name not in files:
            path.unlink()
    for old in before:
        shutil.rmtree(old)


def _token(plane: ControlPlane, namespace: str, pod: Json, volume: Json) -> dict[str, bytes]:
    """A projected token of the pod's ServiceAccount, for an audience."""
    (source,) = volume["projected"]["sources"]
    wanted, metadata = source["serviceAccountToken"], pod["metadata"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    token = plane.service_account_token(
        namespace,
        pod["spec"]["serviceAccountName"],
        audiences=[wanted["audience"]],
        bound_to=bound,
    )
    return {wanted["path"]: token.encode()}


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
