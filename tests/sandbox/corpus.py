"""The corpus of manifests that must be accepted, or refused with certain words, by the models and by a real API server alike.

`manifests/valid.yaml` and `manifests/invalid.yaml` are tables: a row is a name and a `change` of
`manifests/minimal.yaml`, as a JSON merge patch (RFC 7386). A row of the second says what refuses
it: `says` where both use the same words (our own rules), else `server says` and `operator says`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent / "manifests"


@dataclass(frozen=True)
class ManifestCase:
    """One manifest, and the words that refuse it (empty: it is accepted)."""

    name: str
    manifest: dict[str, Any]
    server_says: str = ""
    operator_says: str = ""


@cache
def valid() -> tuple[ManifestCase, ...]:
    """Every manifest to accept; the minimal one, and one with every field, first."""
    whole = (ManifestCase(name, named(name)) for name in ("minimal", "full"))
    return (*whole, *(ManifestCase(row["name"], _changed(row)) for row in _rows("valid")))


@cache
def invalid() -> tuple[ManifestCase, ...]:
    """Every manifest to refuse."""
    return tuple(_refused(row) for row in _rows("invalid"))


def named(name: str) -> dict[str, Any]:
    """The valid manifest of that name."""
    file = FOLDER / f"{name}.yaml"
    if file.is_file():
        whole: dict[str, Any] = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        return whole
    return next(_changed(row) for row in _rows("valid") if row["name"] == name)


def _rows(table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.load(
        (FOLDER / f"{table}.yaml").read_text(), Loader=yaml.CSafeLoader
    )
    return rows


def _refused(row: dict[str, Any]) -> ManifestCase:
    both = row.get("says", "")
    case = ManifestCase(
        row["name"], _changed(row), row.get("server says", both), row.get("operator says", both)
    )
    if not (case.server_says and case.operator_says):
        raise ValueError(f"{case.name} does not say what refuses it")
    return case


def _changed(row: dict[str, Any]) -> dict[str, Any]:
    """The minimal manifest under the row's name, with its change."""
    minimal = named("minimal")
    minimal["metadata"]["name"] = row["name"]
    changed: dict[str, Any] = _merged(minimal, row.get("change", {}))
    return changed


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    kept = target if isinstance(target, dict) else {}
    untouched = {name: value for name, value in kept.items() if name not in patch}
    return untouched | {
        name: _merged(kept.get(name), value) for name, value in patch.items() if value is not None
    }
