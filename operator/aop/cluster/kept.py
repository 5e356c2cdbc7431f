"""Objects as they are kept in memory, of which there may be thousands."""

from __future__ import annotations

import json
import sys
from typing import Any

Manifest = dict[str, Any]

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The whole object once more, as text."""
SHORT = 40
"""Letters of a word that many objects have in common: a reason, a name, a moment."""


def lean(manifest: Manifest) -> Manifest:
    """The object, in half the memory.

    Without the notes of who has written which field, and of what kubectl has applied, which nobody
    needs; and with names and short words that all objects share.
    """
    kept: Manifest = _shared(without_writers(manifest))
    (kept.get("metadata", {}).get("annotations") or {}).pop(APPLIED, None)
    return kept


def parsed(text: str) -> Any:
    """What a JSON text says of one or many objects, without who has written which field.

    That note is most of a listed object, in hundreds of small dicts. It goes as soon as it is read:
    if thousands of them were there at once, the memory that they leave would serve nothing else.
    Whatever else somebody calls so stays: a carrier that was listed may be written back.
    """
    return json.loads(text, object_pairs_hook=_without_writers)


def _without_writers(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if "uid" in made and isinstance(made.get("managedFields"), list):
        del made["managedFields"]
    return made


def without_writers(manifest: Manifest) -> Manifest:
    """The object without the note of who has written which field, which nobody asks for."""
    metadata = manifest.get("metadata") or {}
    if "managedFields" not in metadata:
        return manifest
    kept = {name: value for name, value in metadata.items() if name != "managedFields"}
    return {**manifest, "metadata": kept}


def _shared(value: Any) -> Any:
    if isinstance(value, dict):
        return {sys.intern(name): _shared(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shared(one) for one in value]
    if isinstance(value, str) and len(value) <= SHORT:
        return sys.intern(value)
    return value
