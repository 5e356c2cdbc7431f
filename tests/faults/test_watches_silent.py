"""A watch that tells nothing, and says nothing of it: what somebody has changed meanwhile is seen all the same, within a bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from faults.conftest import Proxied
from sandbox.composition import ingress
from sandbox.proxy.faults import Delay, Match
from sandbox.scene import NAMESPACE, Scene, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

FOR_EVER_S = 3600.0
LABEL = {"aop-operator.dev/watch": "true"}
NO_TOKEN = "0123456789abcdef0123456789abcdef01234567"
SEEN_WITHIN_S = 180.0
"""The list of all objects, and a Secret that somebody waits for, are a minute old at most."""


@pytest.fixture
def running(proxied: Proxied) -> Iterator[Proxied]:
    """The operator runs, and there is nothing to do."""
    proxied.scene.operator.start()
    yield proxied
    proxied.clear()


def silence(proxied: Proxied, plural: str) -> None:
    """From now on the watch of this kind is asked for and never answered."""
    watch = Match(path=f"/{plural}$", watch=True)
    rule = proxied.kubernetes.rule(watch, Delay(FOR_EVER_S), times=None)
    assert proxied.kubernetes.cut_watches(watch)
    until(lambda: rule.fired > 0, within_s=SEEN_WITHIN_S, describe=f"the watch of {plural} to hang")


def put_token(proxied: Proxied, token: str) -> None:
    """Into the Secret, which carries our label."""
    scene = proxied.scene
    scene.plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "cloudflare", "namespace": NAMESPACE, "labels": LABEL},
            "stringData": {"api-token": token},
        }
    )


def test_a_token_that_is_put_right_is_seen(running: Proxied) -> None:
    """Its Secret is watched, so that it is not read every few seconds; but somebody waits for it."""
    scene = running.scene
    put_token(running, NO_TOKEN)
    scene.apply()
    scene.until_condition(status="False", reason="TokenRejected")
    silence(running, "secrets")
    put_token(running, scene.cloudflare.token)
    scene.until_enforced(within_s=SEEN_WITHIN_S)


def test_a_spec_that_was_changed_is_seen(running: Proxied) -> None:
    scene = running.scene
    scene.apply()
    scene.until_enforced()
    silence(running, "authenticatedoriginpulls")
    body: dict[str, Any] = {"spec": {"enforcement": "Request"}}
    scene.plane.http.patch(
        path_of(NAMESPACE, "example-com"),
        json=body,
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    scene.until_relaxed(within_s=SEEN_WITHIN_S)


def test_a_claim_that_a_colleague_takes_out_is_put_back(running: Proxied) -> None:
    """Somebody's tool writes the controller's ConfigMap as it was before us; no watch tells of it, at rest."""
    scene = running.scene
    scene.apply()
    scene.until_enforced()
    silence(running, "configmaps")
    before = scene.sandbox.config_map()
    reset = {**before, "data": {}, "metadata": {**before["metadata"], "annotations": {}}}
    scene.plane.http.put(
        "/api/v1/namespaces/ingress-nginx/configmaps/ingress-nginx-controller", json=reset
    ).raise_for_status()
    until(
        lambda: scene.sandbox.config_map()["metadata"].get("annotations"),
        within_s=SEEN_WITHIN_S,
        describe=lambda: f"our claim to stand there again\n{scene.summary()}",
    )
    scene.until_enforced(within_s=SEEN_WITHIN_S)


@pytest.mark.parametrize("plural", ["pods", "ingresses"])
def test_what_comes_is_seen_without_a_watch(running: Proxied, plural: str) -> None:
    """A colleague scales the controller, or serves another name; lists show it."""
    scene = running.scene
    scene.apply()
    scene.until_enforced()
    silence(running, plural)
    before = replicas(scene)
    scene.ingress_nginx.add()
    scene.ingress_nginx.await_ready()
    scene.plane.apply(ingress("late.example.org"))
    until(
        lambda: (
            replicas(scene) == before + 1
            and "late.example.org" in scene.condition("Ready")["message"]
        ),
        within_s=SEEN_WITHIN_S,
        describe=lambda: f"both to be told\n{scene.summary()}",
    )


def replicas(scene: Scene) -> int:
    """How many the status counts."""
    manifest = scene.object("example-com") or {}
    return int(manifest["status"]["origins"][0]["replicas"])
