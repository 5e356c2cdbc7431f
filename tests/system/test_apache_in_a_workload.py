"""Apache in a Deployment lives the whole life that NGINX does there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lives
from lives import WITHIN_S, apply, assert_required
from sandbox import debian
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    if why := debian.why_not("apache"):
        pytest.skip(why)
    with lives.scene_of("apache") as scene:
        yield scene


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    yield running
    lives.clean(running)


def test_not_one_request_is_lost_from_apply_to_removal(scene: Scene) -> None:
    lives.live(scene)


def test_where_somebody_else_reloads_apache_no_pod_is_replaced(scene: Scene) -> None:
    frontend = scene.sandbox.frontend
    template, pods = frontend.deployment()["spec"]["template"], scene.pods()
    frontend.node.reloads = True
    apply(scene, apply="Reload")
    scene.until_enforced(within_s=WITHIN_S)
    assert_required(scene)
    scene.remove(within_s=WITHIN_S)
    assert frontend.config_map() is None
    assert (frontend.deployment()["spec"]["template"], scene.pods()) == (template, pods)
    scene.until_relaxed(within_s=30)


def test_where_the_edge_presents_nothing_a_rollout_lets_everybody_in(scene: Scene) -> None:
    lives.lose(scene)
