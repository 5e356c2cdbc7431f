"""Removal in reverse (S7): it waits without limit only while a replica still refuses, and for a Cloudflare that refuses us for a while."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from model.replay import violations
from sandbox.cloudflare.authority import Authority
from sandbox.scene import NAMESPACE, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

PATIENCE_S = 8
SEEN_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(AOP_TEARDOWN_PATIENCE_S=str(PATIENCE_S)) as running:
        yield running


def says(scene: Scene, pattern: str) -> dict[str, Any]:
    """Wait until Ready says it."""

    def condition() -> dict[str, Any]:
        ready = scene.condition("Ready")
        return ready if re.search(pattern, ready.get("message", "")) else {}

    return until(
        condition,
        within_s=SEEN_WITHIN_S,
        describe=lambda: f"Ready to say {pattern!r}; it is\n{scene.summary()}",
    )


def events(scene: Scene, reason: str) -> list[dict[str, Any]]:
    """The Events of the object with that reason."""
    answer = scene.plane.http.get(f"/api/v1/namespaces/{NAMESPACE}/events").raise_for_status()
    return [one for one in answer.json()["items"] if one["reason"] == reason]


def metric(scene: Scene, name: str) -> float:
    """The sum of a metric over its labels."""
    text = (
        httpx.get(f"http://127.0.0.1:{scene.operator.metrics_port}/metrics", trust_env=False)
        .raise_for_status()
        .text
    )
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def take_away_what_stays(scene: Scene) -> None:
    """As the person who is told of it."""
    scene.control.change_zone(enabled=False)
    for one in scene.certificates():
        scene.control.delete(one["id"])
    until(
        lambda: scene.certificates() == [],
        within_s=SEEN_WITHIN_S,
        describe="no certificate to be left",
    )


def test_it_waits_for_a_replica_that_still_refuses_and_names_it(scene: Scene) -> None:
    """Cloudflare is not touched while somebody would be refused without our certificate."""
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        scene.apply()
        scene.until_enforced()
        slow = scene.ingress_nginx.replicas()[0].pod
        with scene.ingress_nginx.paused(slow):
            scene.delete()
            ready = says(scene, f"pod {slow} shows revision")
            assert ready["reason"] == "Removing"
            until(
                lambda: scene.refusing() == [slow],
                within_s=SEEN_WITHIN_S,
                describe="the other replica to be relaxed",
            )
            assert scene.control.zone()["enabled"] is True
            assert [one["status"] for one in scene.certificates()] == ["active"]
        scene.until_gone()
        report = visitors.stop()
    assert report.flawless, str(report)
    assert scene.certificates() == []


def test_a_cloudflare_that_refuses_us_is_given_up_and_what_stays_is_named(scene: Scene) -> None:
    before, counted = scene.sandbox.config_map().get("data"), metric(scene, "aop_left_behind")
    scene.apply()
    scene.until_enforced()
    (certificate,) = scene.certificates()
    scene.control.change_token(scene.cloudflare.token_id, revoked=True)
    try:
        scene.delete()
        scene.until_gone(within_s=PATIENCE_S + 60)
    finally:
        scene.control.change_token(scene.cloudflare.token_id, revoked=False)
    assert scene.refusing() == []
    assert scene.sandbox.config_map().get("data") == before
    assert [one["id"] for one in scene.certificates()] == [certificate["id"]]
    (event,) = events(scene, "LeftBehind")
    assert event["type"] == "Warning"
    assert certificate["sha256"][:8] in event["message"]
    assert "example.com" in event["message"]
    assert metric(scene, "aop_left_behind") > counted
    take_away_what_stays(scene)


def test_retain_leaves_cloudflare_alone_and_origins_as_found(scene: Scene) -> None:
    before = scene.sandbox.config_map().get("data")
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        scene.apply(deletionPolicy="Retain")
        scene.until_enforced()
        scene.remove()
        report = visitors.stop()
    assert report.flawless, str(report)
    assert scene.refusing() == []
    assert scene.sandbox.config_map().get("data") == before
    assert scene.control.zone()["enabled"] is True
    assert [one["status"] for one in scene.certificates()] == ["active"]
    take_away_what_stays(scene)


@pytest.mark.parametrize("enabled", [True, False], ids=["presented", "lying there"])
def test_what_another_has_put_at_cloudflare_stays(scene: Scene, *, enabled: bool) -> None:
    """S6: somebody's certificate, and the zone as it was before us, are there afterwards as before."""
    foreign = scene.control.upload()
    scene.control.change_zone(enabled=enabled)
    scene.apply(certificate={"generate": {}, "replaceForeign": enabled})
    scene.until_enforced()
    scene.remove()
    assert [(one["id"], one["status"]) for one in scene.certificates()] == [
        (foreign["id"], "active")
    ]
    assert scene.control.zone()["enabled"] is enabled
    take_away_what_stays(scene)


def test_a_referenced_leaf_that_its_owner_has_uploaded_stays(scene: Scene) -> None:
    """S6: it is presented while the object is there, and not taken for ours because its fingerprint is the one that is wanted."""
    authority = Authority.new("An issuer")
    leaf = authority.client("example.com")
    text = {"tls.crt": leaf.pem, "tls.key": leaf.key_pem, "ca.crt": authority.pem}
    metadata = {"name": "leaf", "namespace": NAMESPACE}
    scene.plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": metadata,
            "stringData": text,
        }
    )
    theirs = scene.control.upload(certificate=leaf.pem, private_key=leaf.key_pem)
    scene.apply(certificate={"secretRef": {"name": "leaf"}})
    scene.until_enforced()
    assert [one["id"] for one in scene.certificates()] == [theirs["id"]]
    scene.remove()
    assert [(one["id"], one["status"]) for one in scene.certificates()] == [
        (theirs["id"], "active")
    ]
    assert scene.control.zone()["enabled"] is False
    take_away_what_stays(scene)


def test_every_removal_was_a_path_of_the_model(scene: Scene) -> None:
    assert violations(scene.trace(), "zone certificates") == []
