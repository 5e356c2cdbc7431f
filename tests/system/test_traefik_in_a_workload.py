"""Traefik in a Deployment, with its own Kubernetes provider, lives the whole life that NGINX does there."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import pytest
import yaml

import lives
from sandbox import direct
from sandbox.cluster.frontend import EXAMPLES, MORE_OF
from sandbox.composition import HOSTS
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

NAMED = "IngressRoute web/past bypasses the operator's routers, and may serve"
ASKING = {"clientAuth": {"clientAuthType": "RequestClientCert"}}


def open_beside(scene: Scene) -> str:
    """What `Ready` says of what stays open."""
    message: str = scene.condition("Ready")["message"]
    return message.partition("leaves open")[2]


def statuses(scene: Scene, path: str) -> set[int]:
    """What the replicas answer to a stranger."""
    frontend = scene.sandbox.frontend
    return {
        direct.ask(one.https, HOSTS[0], path=path, ca_file=frontend.ca_file).status_code
        for one in frontend.replicas()
    }


def web() -> list[dict[str, Any]]:
    """The IngressRoutes of the example."""
    text = (EXAMPLES / "traefik" / "web.yaml").read_text()
    return [one for one in yaml.safe_load_all(text) if one["kind"] == "IngressRoute"]


def renamed_of(manifest: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = manifest["metadata"]
    return metadata | {"name": f"new-{metadata['name']}"}


class TestTraefik(lives.InADeployment):
    server = "traefik"

    def test_a_path_of_a_host_that_leads_past_our_routers_is_named(self, scene: Scene) -> None:
        """It is open, and nothing of the host's own router says so."""
        past: dict[str, Any] = {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": {"name": "past", "namespace": "web"},
        }
        rule = "Host(`example.com`) && PathPrefix(`/past`)"
        app = {"kind": "Rule", "match": rule, "services": [{"name": "app", "port": "http"}]}
        tls = {"entryPoints": ["websecure"], "tls": {"secretName": "frontend-tls"}}
        lives.apply(scene)
        scene.until_enforced(within_s=lives.WITHIN_S)
        lives.assert_required(scene)
        assert "IngressRoute" not in open_beside(scene)
        scene.plane.apply(past | {"spec": {**tls, "routes": [app]}})
        try:
            until(
                lambda: f"{NAMED} {rule}" in open_beside(scene),
                within_s=90,
                describe=scene.summary,
            )
            assert statuses(scene, "/past/x") == {200}
            assert statuses(scene, "/") == {403}
            scene.plane.apply(past | {"spec": {"parentRefs": [{"name": "aop"}], "routes": [app]}})
            until(
                lambda: "IngressRoute web/past" not in open_beside(scene),
                within_s=90,
                describe=scene.summary,
            )
            until(lambda: statuses(scene, "/past/x") == {403}, within_s=15, describe="403")
        finally:
            scene.plane.kubectl("delete", "ingressroute", "past", "--namespace", "web")

    def test_routers_that_get_another_name_are_followed(self, scene: Scene) -> None:
        """Until the spec names the new ones too, the host's routers stand past ours: that is open, and said."""
        lives.apply(scene)
        scene.until_enforced(within_s=lives.WITHIN_S)
        both = [one for one in web() if one["metadata"]["name"] in {"aop", "aop-plain"}]
        (app,) = (one for one in web() if one["metadata"]["name"] == "app")
        renamed = [one | {"metadata": renamed_of(one)} for one in both]
        above = [{"name": one["metadata"]["name"]} for one in renamed]
        scene.plane.apply(renamed)
        scene.plane.apply(app | {"spec": app["spec"] | {"parentRefs": above}})
        try:
            until(
                lambda: (
                    "IngressRoute web/app bypasses the operator's routers" in open_beside(scene)
                ),
                within_s=90,
                describe=scene.summary,
            )
            names = MORE_OF["traefik"]["routers"].items()
            routers = {key: name.replace("web-aop", "web-new-aop", 1) for key, name in names}
            lives.apply(scene, routers=routers)
            until(
                lambda: statuses(scene, "/") == {403},
                within_s=lives.WITHIN_S + lives.HELD_OFF_S,
                describe=scene.summary,
            )
            scene.until_enforced(within_s=lives.WITHIN_S)
            lives.assert_required(scene)
        finally:
            scene.plane.apply(app)
            scene.plane.kubectl(
                "delete", "ingressroute", "new-aop", "new-aop-plain", "--namespace", "web"
            )

    def test_where_running_pods_take_up_another_text_nothing_is_required(
        self, scene: Scene
    ) -> None:
        """The file provider watches its folder; the new pods that would take the place of these never become Ready."""
        frontend = scene.sandbox.frontend
        with lives.configured(frontend, "watch: false", "watch: true"):
            frontend.node.hangs = True
            lives.apply(scene)
            ready = scene.until_condition(
                "Ready", "False", "ForeignConfiguration", within_s=lives.WITHIN_S
            )
            assert "while it was running, so that connections" in ready["message"]
            assert "Set providers.file.watch to false" in ready["message"]
            assert scene.refusing() == []
            frontend.node.hangs = False
            scene.remove(within_s=lives.WITHIN_S)

    def test_where_clients_are_believed_the_hosts_are_not_called_enforced(
        self, scene: Scene
    ) -> None:
        """Somebody takes the middleware away that removes what a client says of itself."""
        lives.apply(scene)
        scene.until_enforced(within_s=lives.WITHIN_S)
        (ours,) = (one for one in web() if one["metadata"]["name"] == "aop")
        credulous = deepcopy(ours)
        credulous["spec"]["routes"][0]["middlewares"] = [{"name": "aop-certificate"}]
        scene.plane.apply(credulous)
        try:
            for kind in ("Ready", "Enforced"):
                condition = scene.until_condition(
                    kind, "False", "ForeignConfiguration", within_s=60
                )
                assert "believes what a request's own headers say" in condition["message"]
            assert len(scene.refusing()) == 2, "what is required stays"
        finally:
            scene.plane.apply(ours)
        scene.until_enforced(within_s=60)

    def test_where_somebody_turns_the_asking_off_everybody_is_let_in(self, scene: Scene) -> None:
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
