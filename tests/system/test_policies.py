"""A policy of the cluster changes what the operator writes: said, never repeated, and in the way of neither protection nor removal.

The API server itself takes the operator's claims away from each write of the controller's
ConfigMap, as a rule that prunes annotations would.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, Layout
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

CLAIMS, REVISION = "aop-operator.dev/claims", "aop-operator.dev/revision"
PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
WITHIN_S = 60.0
MOST_WRITES = 6
"""Three before the pauses grow, the relaxation, and what a removal takes; it was ten a second."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=("example.com",)), AOP_REPLICA_RECHECK_S="5") as running:
        running.apply()
        running.until_enforced()
        yield running


def policy() -> list[dict[str, Any]]:
    """Takes the claims away from whoever updates a ConfigMap."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["configmaps"],
    }
    pointer = f'"/metadata/annotations/" + jsonpatch.escapeKey("{CLAIMS}")'
    there = f'has(object.metadata.annotations) && "{CLAIMS}" in object.metadata.annotations'
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [
            {
                "patchType": "JSONPatch",
                "jsonPatch": {
                    "expression": f'{there} ? [JSONPatch{{op: "remove", path: {pointer}}}] : []'
                },
            }
        ],
    }
    common = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": "prune-annotations"},
    }
    return [
        {**common, "kind": "MutatingAdmissionPolicy", "spec": spec},
        {
            **common,
            "kind": "MutatingAdmissionPolicyBinding",
            "spec": {"policyName": "prune-annotations"},
        },
    ]


def annotated(scene: Scene) -> dict[str, str]:
    annotations: dict[str, str] = scene.sandbox.config_map()["metadata"].get("annotations") or {}
    return annotations


def pruned(scene: Scene) -> bool:
    """Whether the policy is at work: an update of somebody's brings it about."""
    body = {"metadata": {"labels": {"somebody": "was-here"}}}
    scene.plane.http.request(
        "PATCH", PATH, json=body, headers={"Content-Type": "application/merge-patch+json"}
    ).raise_for_status()
    scene.plane.http.request(
        "PATCH",
        PATH,
        json={"metadata": {"labels": {"somebody": None}}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    return CLAIMS not in annotated(scene)


def test_writes_that_a_policy_changes_are_bounded_and_visitors_are_let_in_all_the_same(
    scene: Scene,
) -> None:
    before = int(annotated(scene)[REVISION])
    for manifest in policy():
        scene.plane.apply(manifest)
    until(lambda: pruned(scene), within_s=WITHIN_S, describe="the policy to be at work")
    ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=WITHIN_S)
    assert "an admission webhook or policy of the cluster" in ready["message"]
    assert scene.required(), "what is required stays required"
    scene.control.turn_location(
        requests_per_connection=1, resume=False, presents={"example.com": "nothing"}
    )
    scene.until_relaxed(within_s=WITHIN_S)
    assert int(annotated(scene)[REVISION]) - before <= MOST_WRITES


def test_a_removal_takes_everything_out_under_such_a_policy(scene: Scene) -> None:
    scene.remove()
    assert scene.own_text() == {}
    assert scene.certificates() == []
    assert not any(name.startswith("aop-operator.dev/") for name in annotated(scene))
