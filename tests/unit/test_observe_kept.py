"""An object that nobody looks at takes few bytes, and says the same afterwards."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.errors import Blocked
from aop.observe.kept import KeptManifest
from aop.plan import next_step
from aop.status import status_of
from builders import APEX, HOSTS, observed

MANY = 50


def manifest(version: str = "7", **changes: Any) -> dict[str, Any]:
    """A settled object, as the API server gives it."""
    world = observed()
    return {
        "metadata": {
            "namespace": "edge",
            "name": "example-com",
            "uid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "resourceVersion": version,
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "zone": {"name": APEX},
            "credentials": {"apiTokenSecretRef": {"name": "cloudflare"}},
            "hostnames": list(HOSTS),
            "origins": [
                {
                    "name": "public",
                    "ingressNginx": {"configMapRef": {"namespace": "edge", "name": "controller"}},
                }
            ],
        },
        "status": status_of(world, next_step(world), Status()).manifest(),
        **changes,
    }


def known(kept: KeptManifest) -> dict[str, Any]:
    """The manifest, which is known."""
    assert kept.whole is not None
    return kept.whole


def test_after_a_rest_it_says_the_same() -> None:
    kept = KeptManifest()
    assert kept.whole is None
    kept.keep(manifest())
    whole = known(kept)
    assert known(kept) is whole
    pull = kept.parse(whole)
    assert kept.parse(whole) is pull
    kept.rest()
    assert known(kept) == whole
    assert kept.parse(known(kept)) == pull
    assert "managedFields" not in whole["metadata"]


def test_at_rest_it_takes_a_fifth_of_the_memory() -> None:
    shown = [manifest(str(number)) for number in range(MANY)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [KeptManifest() for _ in shown]
        for one, each in zip(kept, shown, strict=True):
            one.keep(each)
        resting, _ = tracemalloc.get_traced_memory()
        wholes = [one.whole for one in kept]
        looked_at, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(wholes) == MANY
    assert (resting - before) * 5 < looked_at - resting


def test_an_invalid_object_is_refused_at_each_look() -> None:
    kept = KeptManifest()
    kept.keep(manifest(spec={"zone": {"name": APEX}}))
    for _ in range(2):
        whole = kept.whole
        assert whole is not None
        with pytest.raises(Blocked):
            kept.parse(whole)


def test_what_is_not_the_kept_one_is_parsed_by_itself() -> None:
    kept = KeptManifest()
    kept.keep(manifest())
    other = manifest("8")
    assert kept.parse(other) == AuthenticatedOriginPull.parse(other)
    kept.forget()
    assert kept.whole is None
