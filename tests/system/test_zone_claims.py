"""Whose zone it is: whoever has shown it, with a token of its own, and keeps it; not whoever wrote its name down first.

One story: an older object without a working token names the zone in every way that its owner can
write; another gets the zone; the older one gets a token; the other one loses its own, and the
operator everything that it remembers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model.replay import violations
from sandbox.scene import NAMESPACE, Scene, path_of, pull
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

OWNER, ELSEWHERE = "owner-of-elsewhere", "elsewhere"
TOLD_WITHIN_S = 30.0


@dataclass(slots=True)
class ClaimsStory:
    """What was seen."""

    created_with: dict[str, Any] = field(default_factory=dict)
    """The status of the older object just after its owner had sent one along."""
    patched: int = 0
    """The API server's answer to its owner who writes a status."""
    squatter: dict[str, Any] = field(default_factory=dict)
    """Ready of the older object while the other one has the zone, and its own token does not work."""
    mended: dict[str, Any] = field(default_factory=dict)
    """The same once its token works."""
    restarted: dict[str, Any] = field(default_factory=dict)
    """The same after a restart of the operator, when the token of the other one is revoked."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What the other one says then."""
    changes: list[str] = field(default_factory=list)
    """What was changed at Cloudflare since the older one had a token that works."""
    inherited: dict[str, Any] = field(default_factory=dict)
    """Ready of the older object once the other one is gone."""
    violations: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def story() -> ClaimsStory:
    with Scene(AOP_RESYNC_S="3") as scene:
        story = ClaimsStory()
        squat(scene, story)
        scene.apply(enforcement="Request")
        scene.until_enforced()
        story.squatter = scene.until_condition(
            "Ready", reason="TokenRejected", name=ELSEWHERE, namespace=ELSEWHERE
        )
        mend(scene, story)
        restart(scene, story)
        inherit(scene, story)
        story.violations = violations(scene.trace(), "zone certificates")
    return story


def squat(scene: Scene, story: ClaimsStory) -> None:
    """The older object, with all that may be said of its zone by somebody who may write objects in that namespace, and nothing else."""
    zone_id = scene.control.zone()["id"]
    scene.namespace(ELSEWHERE, "a-token-that-nobody-has-issued-at-all-0000")
    rules = [
        {
            "apiGroups": ["aop-operator.dev"],
            "resources": ["authenticatedoriginpulls"],
            "verbs": ["get", "create", "update", "patch"],
        }
    ]
    metadata = {"name": OWNER, "namespace": ELSEWHERE}
    scene.plane.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": rules,
        }
    )
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OWNER}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OWNER}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
    }
    scene.plane.apply({**binding, "roleRef": role, "subjects": [user]})
    manifest = pull(
        ELSEWHERE, ELSEWHERE, zone={"name": "example.com", "id": zone_id}, enforcement="Request"
    )
    record = {"zone": zone_id, "found": {"enabled": False, "foreign": []}}
    manifest["metadata"]["annotations"] = {"aop-operator.dev/record": json.dumps(record)}
    forged = {"status": {"zone": {"id": zone_id}}}
    as_owner = {"Impersonate-User": OWNER}
    answer = scene.plane.http.post(
        path_of(ELSEWHERE), json=manifest | forged, headers=as_owner
    ).raise_for_status()
    story.created_with = answer.json().get("status", {})
    merge = as_owner | {"Content-Type": "application/merge-patch+json"}
    story.patched = scene.plane.http.patch(
        path_of(ELSEWHERE, ELSEWHERE) + "/status", json=forged, headers=merge
    ).status_code
    second = datetime.fromisoformat(answer.json()["metadata"]["creationTimestamp"])
    until(
        lambda: datetime.now(UTC) >= second + timedelta(seconds=1.5),
        within_s=5,
        describe="an age that differs in whole seconds",
    )


def mend(scene: Scene, story: ClaimsStory) -> None:
    """The older object gets a token that works, while the other one has the zone."""
    before = len(scene.changes_at_cloudflare())
    scene.sandbox.secret(ELSEWHERE, token=scene.control.make_token()["value"])
    story.mended = scene.until_condition(
        "Ready", reason="ZoneClaimed", name=ELSEWHERE, namespace=ELSEWHERE, within_s=TOLD_WITHIN_S
    )
    story.changes = [call["path"] for call in scene.changes_at_cloudflare()[before:]]


def restart(scene: Scene, story: ClaimsStory) -> None:
    """Nothing is remembered, and the token of the one that has the zone is gone."""
    scene.control.change_token(scene.cloudflare.token_id, revoked=True)
    scene.until_condition("Ready", reason="TokenRejected")
    scene.operator.kill()
    scene.operator.start()
    looks = len(scene.trace())
    until(
        lambda: (
            len({json.loads(line)["observed"]["object"]["uid"] for line in scene.trace()[looks:]})
            == 2
        ),
        within_s=TOLD_WITHIN_S,
        describe="both",
    )
    story.kept = scene.until_condition("Ready", reason="TokenRejected")
    story.restarted = scene.until_condition(
        "Ready", reason="ZoneClaimed", name=ELSEWHERE, namespace=ELSEWHERE
    )


def inherit(scene: Scene, story: ClaimsStory) -> None:
    """The one that has the zone goes."""
    scene.control.change_token(scene.cloudflare.token_id, revoked=False)
    scene.remove()
    scene.until_enforced(ELSEWHERE, ELSEWHERE)
    story.inherited = scene.condition("Ready", ELSEWHERE, ELSEWHERE)


def test_what_its_owner_writes_into_the_status_is_not_taken(story: ClaimsStory) -> None:
    """All else that the older object says of the zone anybody may write who may write the object."""
    assert "zone" not in story.created_with
    assert story.patched == 403


def test_an_older_object_without_a_working_token_holds_up_nobody(story: ClaimsStory) -> None:
    assert story.squatter["reason"] == "TokenRejected", (
        "the other one reached its goal, or there were no story"
    )


def test_one_that_gets_a_token_later_takes_the_zone_from_nobody(story: ClaimsStory) -> None:
    assert f"{NAMESPACE}/example-com" in story.mended["message"]
    assert story.changes == []


def test_whoever_has_the_zone_keeps_it_without_a_token_and_over_a_restart(
    story: ClaimsStory,
) -> None:
    assert story.kept["reason"] == "TokenRejected"
    assert story.restarted["reason"] == "ZoneClaimed"


def test_the_zone_is_the_next_ones_when_the_one_that_had_it_is_gone(story: ClaimsStory) -> None:
    assert story.inherited["status"] == "True"


def test_every_object_s_life_was_a_path_of_the_model(story: ClaimsStory) -> None:
    assert story.violations == []
