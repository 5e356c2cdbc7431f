"""Health as kstatus reads it from an object that it does not know by name."""

from typing import Any

import pytest

from sandbox.kstatus import Health, health


def seen(observed: int | None = 2, *, deleting: bool = False, **conditions: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "generation": 2,
        **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {}),
    }
    status = {
        "conditions": [{"type": kind, "status": status} for kind, status in conditions.items()]
    }
    return {
        "metadata": metadata,
        "status": status | ({} if observed is None else {"observedGeneration": observed}),
    }


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (seen(Ready="True", Reconciling="False", Stalled="False"), Health.CURRENT),
        (seen(Ready="False"), Health.IN_PROGRESS),
        (seen(Ready="Unknown"), Health.IN_PROGRESS),
        (seen(Ready="True", Reconciling="True"), Health.IN_PROGRESS),
        (seen(Ready="False", Stalled="True"), Health.FAILED),
        (seen(Ready="False", Reconciling="True", Stalled="True"), Health.IN_PROGRESS),
        (seen(1, Ready="True"), Health.IN_PROGRESS),
        (seen(1, Stalled="True"), Health.IN_PROGRESS),
        (seen(-1), Health.IN_PROGRESS),
        (seen(deleting=True, Ready="True"), Health.TERMINATING),
        # Why the resource has a default status: without one a fresh object is healthy.
        ({"metadata": {"generation": 1}}, Health.CURRENT),
        (seen(None), Health.CURRENT),
    ],
)
def test_health_follows_from_deletion_generation_and_conditions(
    manifest: dict[str, Any], expected: Health
) -> None:
    assert health(manifest) is expected
