"""NGINX in a Deployment lives the whole life that ingress-nginx does: its pods are replaced by the real controller, and serve as real nginx."""

from __future__ import annotations

import pytest

import lives
from lives import WITHIN_S, apply, assert_required, flawless, until_settled
from sandbox.cluster.frontend import CONFIG_MAP, NAMESPACE, Frontend
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]


class TestNginx(lives.ReloadedByOthers):
    server = "nginx"

    @pytest.fixture
    def frontend(self, scene: Scene) -> Frontend:
        return scene.sandbox.frontend

    def test_a_text_with_which_nginx_does_not_start_is_taken_back(
        self, scene: Scene, frontend: Frontend
    ) -> None:
        """The owner's server verifies by itself, which nobody sees before ours asks as well."""
        own = lives.configured(frontend, "server {", "server { ssl_verify_client optional_no_ca;")
        lives.be_rejected(scene, own)

    def test_a_config_map_of_somebody_elses_is_left_alone(
        self, scene: Scene, frontend: Frontend
    ) -> None:
        theirs = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE},
            "data": {"robots.txt": "User-agent: *"},
        }
        scene.plane.apply(theirs)
        before, template = frontend.config_map(), frontend.deployment()["spec"]["template"]
        apply(scene)
        ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=60)
        assert f"ConfigMap {NAMESPACE}/{CONFIG_MAP} holds robots.txt" in ready["message"]
        scene.remove(within_s=60)
        assert frontend.config_map() == before
        assert frontend.deployment()["spec"]["template"] == template

    def test_a_config_map_that_somebody_deletes_comes_back_and_opens_nothing(
        self, scene: Scene, frontend: Frontend
    ) -> None:
        template = frontend.deployment()["spec"]["template"]
        with flawless(scene):
            apply(scene)
            scene.until_enforced(within_s=WITHIN_S)
            before = frontend.config_map()
            assert before is not None
            scene.plane.kubectl("delete", "configmap", CONFIG_MAP, "--namespace", NAMESPACE)

            def again() -> bool:
                now = frontend.config_map()
                assert len(scene.refusing()) >= 1, "nobody is let in meanwhile"
                return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]

            until(
                again,
                within_s=60,
                every_s=0.3,
                describe=lambda: f"it to be back\n{scene.summary()}",
            )
            scene.until_enforced(within_s=WITHIN_S)
            frontend.until_rolled_out(within_s=60)
            assert_required(scene)
            scene.remove(within_s=WITHIN_S)
            until_settled(frontend, template)
