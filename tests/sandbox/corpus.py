"""The corpus of manifests that must be accepted, or refused with certain words, by the models and by a real API server alike.

A file in `manifests/invalid` begins with what is said: `# says: …` where both use the same words (our own rules), else
`# server says: …` and `# operator says: …`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent / "manifests"


@dataclass(frozen=True)
class Case:
    """One manifest, and the words that refuse it (empty: it is accepted)."""

    name: str
    manifest: dict[str, Any]
    server_says: str = ""
    operator_says: str = ""


@cache
def valid() -> tuple[Case, ...]:
    """Every manifest to accept."""
    return tuple(Case(path.stem, _load(path)) for path in sorted((FOLDER / "valid").glob("*.yaml")))


@cache
def invalid() -> tuple[Case, ...]:
    """Every manifest to refuse."""
    return tuple(_refused(path) for path in sorted((FOLDER / "invalid").glob("*.yaml")))


def named(name: str) -> dict[str, Any]:
    """The valid manifest of that name."""
    return _load(FOLDER / "valid" / f"{name}.yaml")


def _refused(path: Path) -> Case:
    said = dict(line[2:].split(": ", 1) for line in path.read_text().splitlines() if line.startswith("# "))
    case = Case(path.stem, _load(path), said.get("server says", said.get("says", "")), said.get("operator says", said.get("says", "")))
    if not (case.server_says and case.operator_says):
        raise ValueError(f"{path} does not begin with what refuses it")
    return case


def _load(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load(path.read_text())
    return manifest
