"""Apache in a Deployment lives the whole life that NGINX does there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import lives
from sandbox import debian
from sandbox.ingress_nginx import backend, programs
from sandbox.ports import free_port
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]

PROXY = """LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
Listen 8080
Listen 8443
ProxyPreserveHost On
ProxyPass / http://{address}/
"""


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
    lives.reload(scene)


def test_a_text_with_which_apache_does_not_start_is_taken_back(
    scene: Scene, tmp_path: Path
) -> None:
    """The owner's site is behind a proxy and has no module for Lua, which nobody misses before ours is there."""
    address = f"127.0.0.1:{free_port()}"
    user = programs.worker_user()
    behind = backend.start(programs.find(), tmp_path, address, user=user, connections=256)
    frontend = scene.sandbox.frontend
    (conf,) = frontend.conf().values()
    lua = conf[conf.index("LoadModule lua_module") : conf.index("<VirtualHost")]
    try:
        lives.be_rejected(scene, lives.configured(frontend, lua, PROXY.format(address=address)))
    finally:
        behind.kill()


def test_where_the_edge_presents_nothing_or_another_a_rollout_lets_everybody_in(
    scene: Scene,
) -> None:
    lives.lose(scene)


def test_a_rollout_that_hangs_is_taken_back(scene: Scene) -> None:
    lives.hang(scene)


def test_not_one_request_is_lost_while_the_leaf_is_renewed(scene: Scene) -> None:
    lives.renew(scene)
