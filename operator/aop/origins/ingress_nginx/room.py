"""Whether a ConfigMap still has room.

What it may hold is little, and all objects on a controller share it. A write that lets visitors in
is never longer than what stood there, so it fits for as long as that did, and is not asked about
here. What is kept free is for everything that others may still put beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

ANNOTATIONS_MOST = 262_144
"""Bytes that the names and values of all annotations of an object may come to
(source: apimachinery, TotalAnnotationSizeLimitB)."""
ANNOTATIONS_FULL = 200_000
"""For a claim that is not there yet."""
ANNOTATIONS_SPARED = 240_000
"""For one that is there: its renewals and its new hosts go on where a newcomer finds no room."""
OBJECT_MOST = 1_048_576
"""Bytes that the values of a ConfigMap may come to (source: Kubernetes, MaxSecretSize, which holds
for ConfigMaps as well)."""
OBJECT_FULL, OBJECT_SPARED = 900_000, 980_000
"""The same, for the whole."""


def lack_of_room(
    current: Mapping[str, Any], config_map: Mapping[str, Any], *, newcomer: bool
) -> str | None:
    """What is full in a ConfigMap that is to be written in place of `current`.

    And what to do, as the end of a sentence. None where there is room, or where it grows no longer
    by this. `newcomer`: the claim that it is written for is not there yet.
    """
    annotations_full, object_full = (
        (ANNOTATIONS_FULL, OBJECT_FULL) if newcomer else (ANNOTATIONS_SPARED, OBJECT_SPARED)
    )
    sizes = sizes_of_annotations(config_map)
    if (size := sum(sizes.values())) > max(
        annotations_full, sum(sizes_of_annotations(current).values())
    ):
        largest = max(sizes, key=lambda name: sizes[name])
        return (
            f"its annotations would come to {size:,} bytes, the largest being {largest} with {sizes[largest]:,}. Kubernetes takes {ANNOTATIONS_MOST:,}, "
            f"and only {annotations_full:,} are used for what asks for more. Take annotations out that nobody needs, or move zones to another controller"
        )
    if (size := size_of(config_map)) > max(object_full, size_of(current)):
        return (
            f"it would come to {size:,} bytes. Kubernetes takes {OBJECT_MOST:,}, and only {object_full:,} are used for what asks for more. "
            "Take texts out that nobody needs, or move zones to another controller"
        )
    return None


def sizes_of_annotations(config_map: Mapping[str, Any]) -> dict[str, int]:
    """Bytes by annotation, names included."""
    annotations: Mapping[str, str] = (config_map.get("metadata") or {}).get("annotations") or {}
    return {name: len(name.encode()) + len(value.encode()) for name, value in annotations.items()}


def size_of(config_map: Mapping[str, Any]) -> int:
    """Bytes of the whole, as it is sent."""
    return len(json.dumps(config_map, separators=(",", ":")).encode())
