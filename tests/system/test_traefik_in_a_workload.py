"""Traefik in a Deployment, with its own Kubernetes provider, lives the whole life that NGINX does there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import lives
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]

ASKING = {"clientAuth": {"clientAuthType": "RequestClientCert"}}


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    with lives.scene_of("traefik") as scene:
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    lives.clean(running)


def test_not_one_request_is_lost_from_apply_to_removal(scene: Scene) -> None:
    lives.live(scene)


def test_where_the_edge_presents_nothing_or_another_a_rollout_lets_everybody_in(
    scene: Scene,
) -> None:
    lives.lose(scene)


def test_a_rollout_that_hangs_is_taken_back(scene: Scene) -> None:
    lives.hang(scene)


def test_not_one_request_is_lost_while_the_leaf_is_renewed(scene: Scene) -> None:
    lives.renew(scene)


def test_where_somebody_turns_the_asking_off_everybody_is_let_in(scene: Scene) -> None:
    """A second TLS option of the name `default`, in whatever namespace, turns both off."""
    lives.apply(scene)
    scene.until_enforced(within_s=lives.WITHIN_S)
    second = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TLSOption",
        "metadata": {"name": "default", "namespace": "default"},
        "spec": ASKING,
    }
    scene.plane.apply(second)
    try:
        began_s = time.monotonic()
        scene.until_relaxed(within_s=lives.RELAXED_WITHIN_S)
        print(f"relaxed in {time.monotonic() - began_s:.0f} s")
    finally:
        scene.plane.kubectl("delete", "tlsoption", "default", "--namespace", "default")
