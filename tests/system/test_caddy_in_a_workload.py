"""Caddy in a Deployment lives the whole life that NGINX does there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lives
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    with lives.scene_of("caddy") as scene:
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    lives.clean(running)


def test_not_one_request_is_lost_from_apply_to_removal(scene: Scene) -> None:
    lives.live(scene)


def test_a_text_with_which_caddy_does_not_start_is_taken_back(scene: Scene) -> None:
    """The owner takes our file in at a place where it cannot stand, which nobody sees before it is there."""
    frontend = scene.sandbox.frontend
    asking, misplaced = "client_auth {", "import aop/*.caddy\n            client_auth {"
    lives.be_rejected(scene, lives.configured(frontend, asking, misplaced))


def test_where_the_edge_presents_nothing_or_another_a_rollout_lets_everybody_in(
    scene: Scene,
) -> None:
    lives.lose(scene)


def test_where_somebody_else_reloads_caddy_no_pod_is_replaced(scene: Scene) -> None:
    lives.reload(scene)


def test_a_rollout_that_hangs_is_taken_back(scene: Scene) -> None:
    lives.hang(scene)


def test_not_one_request_is_lost_while_the_leaf_is_renewed(scene: Scene) -> None:
    lives.renew(scene)
