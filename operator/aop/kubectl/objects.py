"""The objects as a person reads and changes them, and what to say if that fails."""

from __future__ import annotations

import sys
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from aop.cluster import Cluster, ClusterError, Kind, Right
from aop.terms import ObjectKey

PULL = Kind.AUTHENTICATED_ORIGIN_PULL
UNBORN = "00000000-0000-0000-0000-000000000000"
"""The uid of an object that nobody has applied yet."""
Manifest = dict[str, Any]


class CommandFailed(Exception):
    """The command cannot do what it was asked for; the message says why, and what to do next."""


async def one(cluster: Cluster, key: ObjectKey) -> Manifest:
    """The object of that name. Raises `CommandFailed` if there is none or it may not be read."""
    try:
        manifest = await cluster.fetch(PULL, key)
    except ClusterError as error:
        raise failure(error, Right("get", PULL, key.namespace)) from None
    if manifest is None:
        raise CommandFailed(await _missing(cluster, key))
    return manifest


async def every(cluster: Cluster, namespace: str | None) -> list[Manifest]:
    """All objects, of one namespace or (None) of all, in the order of their names."""
    try:
        manifests = await cluster.list(PULL, namespace)
    except ClusterError as error:
        raise failure(error, Right("list", PULL, namespace)) from None
    return sorted(manifests, key=lambda it: (it["metadata"]["namespace"], it["metadata"]["name"]))


def in_file(name: str) -> list[Manifest]:
    """The objects in a file of YAML or JSON (`-`: the input), whatever else it contains.

    Raises `CommandFailed` if there is none.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandFailed(f"file {name} cannot be read: {error}") from None
    items = [
        item
        for document in documents
        if isinstance(document, dict)
        for item in (document.get("items") or () if document.get("kind") == "List" else [document])
    ]
    pulls = [item for item in items if isinstance(item, dict) and item.get("kind") == PULL.title]
    if not pulls or not all((one.get("metadata") or {}).get("name") for one in pulls):
        raise CommandFailed(f"file {name} holds no {PULL.title} with a name")
    return pulls


async def as_if_applied(
    cluster: Cluster, written: Manifest, namespace: str, now: datetime
) -> Manifest:
    """What a file says, with all that the cluster knows of an object of that name."""
    metadata = written["metadata"]
    key = ObjectKey(metadata.get("namespace") or namespace, metadata["name"])
    try:
        current = await cluster.fetch(PULL, key)
    except ClusterError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise failure(error, Right("get", PULL, key.namespace)) from None
        current = None  # the client remembers the right that is missing
    if current is None:
        return {
            "metadata": {
                "annotations": {},
                **metadata,
                "namespace": key.namespace,
                "uid": UNBORN,
                "generation": 1,
                "resourceVersion": "0",
                "creationTimestamp": now.isoformat(),
            },
            "spec": written.get("spec") or {},
        }
    annotations = (current["metadata"].get("annotations") or {}) | (
        metadata.get("annotations") or {}
    )
    return {
        **current,
        "metadata": {**current["metadata"], "annotations": annotations},
        "spec": written.get("spec") or {},
    }


async def change(cluster: Cluster, key: ObjectKey, patch: Manifest) -> None:
    """Merge into the object."""
    try:
        await cluster.merge(PULL, key, patch)
    except ClusterError as error:
        raise failure(error, Right("patch", PULL, key.namespace)) from None


def failure(error: ClusterError, right: Right) -> CommandFailed:
    """What a person can do about the API server's answer."""
    if error.status == HTTPStatus.NOT_FOUND:
        return CommandFailed(
            f"this cluster knows no {PULL.title}: the operator's CRD is not installed here (docs/install.md), or the kubeconfig names another cluster"
        )
    if error.status == HTTPStatus.FORBIDDEN:
        return CommandFailed(
            f"you lack the right to {right}. Ask whoever gives rights in this cluster for it, and check with: {right.question}"
        )
    if error.status == HTTPStatus.UNAUTHORIZED:
        return CommandFailed(f"{error.message}. The API server does not know you: log in again")
    return CommandFailed(error.message)


async def _missing(cluster: Cluster, key: ObjectKey) -> str:
    """Say that there is no such object; name others of its namespace, if they may be listed."""
    try:
        names = [it["metadata"]["name"] for it in await cluster.list(PULL, key.namespace)]
    except ClusterError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return str(failure(error, Right("list", PULL, key.namespace)))
        names = []
    others = f"There are {', '.join(names)}" if names else "-A looks in all namespaces"
    return f"there is no {PULL.title} {key.name} in namespace {key.namespace}. {others}"
