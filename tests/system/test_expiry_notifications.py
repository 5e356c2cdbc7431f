"""Whom Cloudflare warns, with the operator as a process of its own: beside a whole life, and in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.cloudflare.launcher import PERMISSIONS
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

OPS, DEV = "ops@example.com", "dev@example.com"
PERMITTED = [*PERMISSIONS, "Notifications Write"]
WITHIN_S = 90.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as running:
        yield running


def policies(scene: Scene) -> list[dict[str, Any]]:
    account = scene.control.zone()["account"]["id"]
    kept = scene.control.change_account(account)["policies"]
    assert isinstance(kept, list)
    return kept


def status(scene: Scene) -> dict[str, Any]:
    written: dict[str, Any] = (scene.object() or {})["status"]
    return written


def mailed(scene: Scene) -> list[list[str]]:
    return [
        sorted(one["id"] for one in policy["mechanisms"]["email"]) for policy in policies(scene)
    ]


def test_a_missing_permission_is_said_and_holds_up_nothing(scene: Scene) -> None:
    scene.apply(alerts={"email": [OPS]})
    scene.until_enforced()
    condition = scene.until_condition(
        "AlertsConfigured", "False", "TokenLacksPermission", within_s=WITHIN_S
    )
    assert "Notifications Write" in condition["message"]
    scene.until_condition("Ready", "True")
    assert policies(scene) == []


def test_whoever_starts_next_finds_the_policy_whose_maker_was_killed(scene: Scene) -> None:
    """Right after Cloudflare has made it, and before it could say so."""
    scene.control.change_token(scene.cloudflare.token_id, permissions=PERMITTED)
    scene.control.break_api(
        method="POST", path="/accounts/*/policies", when="after", delay_s=60, count=1
    )
    scene.patch({"alerts": {"email": [OPS, DEV]}})
    until(lambda: policies(scene), within_s=WITHIN_S, describe="a policy to be made")
    scene.operator.kill()
    scene.control.mend()
    scene.operator.start()
    scene.until_condition("AlertsConfigured", "True", "AsExpected", within_s=WITHIN_S)
    assert mailed(scene) == [[DEV, OPS]]


def test_what_is_asked_for_no_more_goes_and_the_condition_with_it(scene: Scene) -> None:
    scene.patch({"alerts": {"email": [OPS]}})
    until(lambda: mailed(scene) == [[OPS]], within_s=WITHIN_S, describe="one of them to go")
    scene.patch({"alerts": None})
    until(lambda: policies(scene) == [], within_s=WITHIN_S, describe="the policy to go")
    until(
        lambda: "alerts" not in status(scene),
        within_s=WITHIN_S,
        describe="nothing to be said of alerts any more",
    )
    assert "AlertsConfigured" not in {one["type"] for one in status(scene)["conditions"]}


def test_a_removal_takes_its_recipients_along(scene: Scene) -> None:
    scene.patch({"alerts": {"email": [OPS]}})
    until(lambda: mailed(scene) == [[OPS]], within_s=WITHIN_S, describe="the policy")
    scene.remove()
    assert policies(scene) == []
    assert scene.certificates() == []
