"""docs/how-to/migrate.md, step by step: what somebody has set up by hand is handed over, and no visitor notices."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.composition import HOSTS, ingress
from sandbox.scene import NAMESPACE, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

PREFIX = "nginx.ingress.kubernetes.io"
VERIFYING = {
    f"{PREFIX}/auth-tls-secret": "default/origin-pull-ca",
    f"{PREFIX}/auth-tls-verify-client": "on",
}
HAND_MADE = "example-com-hand"


def secret(name: str, namespace: str, data: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }


def set_up_by_hand(scene: Scene) -> str:
    """As Cloudflare's guide has it; returns the id of the certificate."""
    authority = Authority.new("hand-made")
    leaf = authority.client("origin-pull.example.com")
    uploaded: str = scene.control.upload(certificate=leaf.pem, private_key=leaf.key_pem)["id"]
    scene.control.change_zone(enabled=True)
    pair = {"tls.crt": leaf.pem, "tls.key": leaf.key_pem, "ca.crt": authority.pem}
    scene.plane.apply(
        [
            secret("origin-pull-ca", "default", {"ca.crt": authority.pem}),
            secret(HAND_MADE, NAMESPACE, pair),
            *(ingress(host, **VERIFYING) for host in HOSTS),
        ]
    )
    until(
        lambda: all(scene.required(host) for host in HOSTS),
        within_s=30,
        describe="the Ingresses to verify by themselves",
    )
    return uploaded


def test_it_is_handed_over_renewed_and_given_back_without_a_lost_request() -> None:
    with Scene() as scene:
        by_hand = set_up_by_hand(scene)
        with scene.visitors(redirects=True) as visitors:
            scene.apply(certificate={"secretRef": {"name": HAND_MADE}})
            message = scene.until_condition("Ready", "False", "EdgeNotProven")["message"]
            assert "verifies client certificates by itself" in message
            assert all(scene.required(host) for host in HOSTS)
            assert [one["id"] for one in scene.certificates()] == [by_hand]
            for host in HOSTS:
                scene.plane.apply(ingress(host))
                scene.plane.kubectl(
                    *("annotate", "ingress", host, "--namespace", "default"),
                    *(f"{name}-" for name in VERIFYING),
                )
            scene.until_enforced()
            assert all(scene.required(host) for host in HOSTS)
            scene.patch({"certificate": {"secretRef": None, "generate": {}}})
            until(
                lambda: len(scene.certificates()) == 2,
                within_s=60,
                describe=lambda: f"a second certificate:\n{scene.summary()}",
            )
            scene.until_enforced()
            scene.remove()
            report = visitors.stop()
        assert report.flawless, str(report)
        assert [one["id"] for one in scene.certificates()] == [by_hand]
        assert scene.control.zone()["enabled"]
