"""kubectl, and what is given to it."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Manifest = Path | str | Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""A file, a folder (its *.yaml), YAML text, or objects."""


class KubectlError(Exception):
    """kubectl ended with a status other than 0.

    The message has its arguments and what it wrote to stderr.
    """


def run(
    program: Path,
    arguments: Sequence[str | Path],
    *,
    text: str | None,
    kubeconfig: Path,
    cache: Path,
    timeout_s: float,
) -> str:
    """Run it, with `text` as its stdin, and return its stdout.

    Raises:
        KubectlError: its exit status was not 0.
    """
    environment = os.environ | {"KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(cache)}
    done = subprocess.run(
        [program, *arguments],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        raise KubectlError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


def text_of(manifest: Manifest) -> str:
    """The manifest as YAML."""
    if isinstance(manifest, str):
        return manifest
    if isinstance(manifest, Path):
        files = sorted(manifest.glob("*.yaml")) if manifest.is_dir() else [manifest]
        return "\n---\n".join(file.read_text() for file in files)
    if isinstance(manifest, Mapping):
        return yaml.safe_dump(dict(manifest))
    return yaml.safe_dump_all([dict(one) for one in manifest])


def definitions_in(text: str) -> Iterator[Mapping[str, Any]]:
    """The CustomResourceDefinitions in YAML text, also within a List."""
    for document in yaml.safe_load_all(text):
        for item in (document or {}).get("items", [document]):
            if item and item.get("kind") == "CustomResourceDefinition":
                yield item
