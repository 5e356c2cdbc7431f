"""A leaf as the operator generates it for the object of `builders`, and a cluster that holds nothing but its Secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aop.cluster import Kind
from aop.pki import Algorithm, Recipe, create_authority, issue_leaf, leaf_data
from aop.terms import ObjectKey
from builders import NOW, UID

RECIPE = Recipe(
    "example.com",
    UID,
    ("example.com",),
    Algorithm.ECDSA,
    256,
    timedelta(days=730),
    timedelta(days=1826),
)
AUTHORITY = create_authority(RECIPE, NOW)
ISSUED = issue_leaf(RECIPE, AUTHORITY, NOW)


class OneSecret:
    """Where a `Cluster` is expected that is asked for the leaf's Secret and nothing else."""

    async def fetch(self, kind: Kind, key: ObjectKey) -> dict[str, Any]:
        """Whatever name it is asked for by."""
        assert kind is Kind.SECRET
        return {"metadata": {"name": key.name}, "data": leaf_data(ISSUED, AUTHORITY)}
