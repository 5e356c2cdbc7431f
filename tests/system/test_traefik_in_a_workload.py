"""Traefik in a Deployment, with its own Kubernetes provider, lives the whole life that NGINX does there."""

from __future__ import annotations

import time

import pytest

import lives
from sandbox.scene import Scene

pytestmark = [pytest.mark.timeout(300)]

ASKING = {"clientAuth": {"clientAuthType": "RequestClientCert"}}


class TestTraefik(lives.InADeployment):
    server = "traefik"

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
