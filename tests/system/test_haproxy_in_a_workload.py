"""HAProxy in a Deployment lives the whole life that NGINX does there."""

from __future__ import annotations

import pytest

import lives
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]


class TestHaproxy(lives.ReloadedByOthers):
    server = "haproxy"

    def test_a_text_with_which_haproxy_does_not_start_is_taken_back(self, scene: Scene) -> None:
        """The owner's section has rules, so that ours cannot inherit from it, which nobody sees before ours is there."""
        theirs = "mode http\n    http-request set-header x-theirs yes"
        lives.be_rejected(scene, lives.configured(scene.sandbox.frontend, "mode http", theirs))
