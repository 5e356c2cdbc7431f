"""Apache in a Deployment lives the whole life that NGINX does there."""

from __future__ import annotations

from pathlib import Path

import pytest

import lives
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


class TestApache(lives.ReloadedByOthers):
    server = "apache"

    def test_a_text_with_which_apache_does_not_start_is_taken_back(
        self, scene: Scene, tmp_path: Path
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
