"""docs/how-to/leave-ingress-nginx.md, step by step: a site moves from ingress-nginx to NGINX in a Deployment, and no visitor notices."""

from __future__ import annotations

import pytest

from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, HOSTS
from sandbox.scene import SNIPPETS, Scene
from sandbox.two_kinds import CONTROLLER, two_kinds
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 120.0


def test_a_site_moves_to_nginx_in_a_deployment_without_a_lost_request() -> None:
    with two_kinds("nginx") as both:
        scene, (_, deployment) = both.scene, both.origins
        scene.control.change_zone(origins=both.at_the_controller)
        scene.apply(hostnames=list(HOSTS), origins=[CONTROLLER])
        scene.until_enforced()
        with scene.visitors(redirects=True) as visitors:
            scene.patch({"origins": both.origins})
            until(
                lambda: both.modes() == {"ingress": "Require", "frontend": "Require"},
                within_s=WITHIN_S,
                describe=lambda: f"both to require:\n{scene.summary()}",
            )
            scene.control.change_zone(origins=both.at_the_deployment)
            before = visitors.report().edge.ok
            until(
                lambda: visitors.report().edge.ok > before + 200,
                within_s=60,
                describe="visitors at the new origin",
            )
            scene.patch({"origins": [deployment]})
            until(
                lambda: not text_at(scene) and both.modes() == {"frontend": "Require"},
                within_s=WITHIN_S,
                describe=lambda: f"the old origin to be as it was found:\n{scene.summary()}",
            )
            report = visitors.stop()
        assert report.flawless, str(report)
        scene.until_enforced()
        scene.remove(within_s=WITHIN_S)


def text_at(scene: Scene) -> list[str]:
    """What is left of ours in the controller's ConfigMap."""
    path = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
    config_map = scene.plane.http.get(path).raise_for_status().json()
    keys = [*config_map.get("data", {}), *config_map["metadata"].get("annotations", {})]
    return [key for key in keys if key in SNIPPETS or "aop-operator" in key]
