"""A DNS-only host that verifies its clients by itself (mTLS with partners), beside hosts that go through Cloudflare.

Its requests never meet the edge, so that nothing that Cloudflare presents concerns it: it is left
out and named, and the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.composition import Layout, ingress
from sandbox.direct import Leaf, ask
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

APEX, WWW = REQUIRED = ("example.com", "www.example.com")
PARTNERS = "partners.example.com"
PREFIX = "nginx.ingress.kubernetes.io"
WITHIN_S = 90.0


@pytest.fixture(scope="module")
def partners() -> Authority:
    return Authority.new("Partners")


@pytest.fixture(scope="module")
def scene(partners: Authority) -> Iterator[Scene]:
    with Scene(
        Layout(hosts=(*REQUIRED, PARTNERS), dns_only=(PARTNERS,)), AOP_REPLICA_RECHECK_S="5"
    ) as running:
        secret = {
            "metadata": {"name": "partners-ca", "namespace": "default"},
            "stringData": {"ca.crt": partners.pem},
        }
        running.plane.apply({"apiVersion": "v1", "kind": "Secret", **secret})
        running.plane.apply(
            ingress(PARTNERS, **{f"{PREFIX}/auth-tls-secret": "default/partners-ca"})
        )
        running.until_required(PARTNERS, within_s=30)
        running.apply()
        yield running


def test_the_others_are_required_and_it_is_named(scene: Scene) -> None:
    """A13: before the zone is enabled, so that enabling it breaks nothing there."""
    ready = scene.until_condition("Ready", "True", within_s=WITHIN_S)
    assert f"{PARTNERS}: " in ready["message"]
    for host in REQUIRED:
        assert len(scene.refusing(host)) == 2


def test_its_partners_are_let_in_as_before(scene: Scene, partners: Authority) -> None:
    pair = partners.client("partner")
    leaf = Leaf(pair.pem, pair.key_pem)
    ca_file = scene.ingress_nginx.announcement.ca_file
    assert {
        ask(one, PARTNERS, leaf=leaf, ca_file=ca_file).status_code for one in scene.sandbox.origins
    } == {200}


def test_a_renewal_goes_on(scene: Scene) -> None:
    (certificate,) = scene.certificates()
    scene.rotate()

    def rotated() -> bool:
        assert all(len(scene.refusing(host)) == 2 for host in REQUIRED)
        certificates = scene.certificates()
        return len(certificates) == 1 and certificates[0]["id"] != certificate["id"]

    until(
        rotated,
        within_s=150,
        every_s=0.5,
        describe=lambda: f"one new certificate alone\n{scene.summary()}",
    )


def test_the_removal_does_not_wait_for_it(scene: Scene) -> None:
    scene.remove()
    assert scene.own_text() == {}
    assert scene.refusing(APEX) == []
    assert len(scene.refusing(PARTNERS)) == 2, "what its own Ingress asks for stays"
