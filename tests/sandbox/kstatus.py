"""Health of any object by the rules of kstatus (kubernetes-sigs/cli-utils, pkg/kstatus), which Flux and `helm --wait` go by. Pure.

Written from the rules for resources that it does not know by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Health(StrEnum):
    """What kstatus calls the status of an object."""

    TERMINATING = "Terminating"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"


def health(seen: Mapping[str, Any]) -> Health:
    """The rules in kstatus's own order: deletion, an old status, its two standard conditions, `Ready`; and whatever has no `Ready` is healthy."""
    metadata, status = seen["metadata"], seen.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Health.TERMINATING
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return Health.IN_PROGRESS
    truths = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    if truths.get("Reconciling") == "True":
        return Health.IN_PROGRESS
    if truths.get("Stalled") == "True":
        return Health.FAILED
    return Health.CURRENT if truths.get("Ready", "True") == "True" else Health.IN_PROGRESS
