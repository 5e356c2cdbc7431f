"""HAProxy in a Deployment lives the whole life that NGINX does there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lives
from sandbox import debian
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    if why := debian.why_not("haproxy"):
        pytest.skip(why)
    with lives.scene_of("haproxy") as scene:
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    lives.clean(running)


def test_not_one_request_is_lost_from_apply_to_removal(scene: Scene) -> None:
    lives.live(scene)


def test_where_somebody_else_reloads_haproxy_no_pod_is_replaced(scene: Scene) -> None:
    lives.reload(scene)


def test_a_text_with_which_haproxy_does_not_start_is_taken_back(scene: Scene) -> None:
    """The owner's section has rules, so that ours cannot inherit from it, which nobody sees before ours is there."""
    theirs = "mode http\n    http-request set-header x-theirs yes"
    lives.be_rejected(scene, lives.configured(scene.sandbox.frontend, "mode http", theirs))


def test_where_the_edge_presents_nothing_or_another_a_rollout_lets_everybody_in(
    scene: Scene,
) -> None:
    lives.lose(scene)


def test_a_rollout_that_hangs_is_taken_back(scene: Scene) -> None:
    lives.hang(scene)


def test_not_one_request_is_lost_while_the_leaf_is_renewed(scene: Scene) -> None:
    lives.renew(scene)
