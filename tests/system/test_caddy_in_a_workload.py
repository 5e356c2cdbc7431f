"""Caddy in a Deployment lives the whole life that NGINX does there."""

from __future__ import annotations

import pytest

import lives
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]


class TestCaddy(lives.ReloadedByOthers):
    server = "caddy"

    def test_a_text_with_which_caddy_does_not_start_is_taken_back(self, scene: Scene) -> None:
        """The owner takes our file in at a place where it cannot stand, which nobody sees before it is there."""
        frontend = scene.sandbox.frontend
        asking, misplaced = "client_auth {", "import aop/*.caddy\n            client_auth {"
        lives.be_rejected(scene, lives.configured(frontend, asking, misplaced))
