"""What one host answers says nothing of another: somebody's Ingress, page, rule or name changes nothing for anybody else's hosts.

One zone on one controller, through what ordinary colleagues do beside it. All the while every
replica has to refuse strangers of the host that is required; at the end renewals and new hosts have
gone on, and what was mended is said within a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.composition import ROOT, Layout, ingress
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

CASES = ROOT / "tests" / "manifests" / "cases"
SHOP = "www.example.com"
LONG = "feature-1234-checkout-with-new-payment.preview.example.com"
WITHIN_S = 90.0
MENDED_WITHIN_S = 60.0
"""Whatever the number of hosts that were seen to be wrong (L3)."""
PREFIX = "nginx.ingress.kubernetes.io"


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """`01-www-redirect.yaml`: the apex has no server of its own but one that redirects to www."""
    with Scene(
        Layout(
            hosts=("app.example.com",),
            config={"use-forwarded-headers": "true", "ssl-redirect": "false"},
        ),
        AOP_REPLICA_RECHECK_S="5",
    ) as running:
        running.plane.apply(CASES / "01-www-redirect.yaml")
        running.apply()
        yield running


def open_replicas(scene: Scene, host: str = SHOP) -> set[str]:
    """The pods that let a stranger pass."""
    return {one.pod for one in scene.ingress_nginx.replicas()} - set(scene.refusing(host))


def until_named(scene: Scene, *hosts: str) -> str:
    """Wait until Ready is True and its message names the hosts; strangers are refused at every look."""

    def named() -> str | None:
        assert open_replicas(scene) == set()
        ready = scene.condition("Ready")
        return (
            ready["message"]
            if ready.get("status") == "True" and all(host in ready["message"] for host in hosts)
            else None
        )

    line = until(
        named,
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"Ready to name {', '.join(hosts)}\n{scene.summary()}",
    )
    assert line is not None
    return line


def until_not_named(scene: Scene, *hosts: str) -> None:
    def gone() -> bool:
        assert open_replicas(scene) == set()
        ready = scene.condition("Ready")
        return ready.get("status") == "True" and not any(host in ready["message"] for host in hosts)

    until(
        gone,
        within_s=MENDED_WITHIN_S,
        every_s=0.5,
        describe=lambda: f"Ready not to name {', '.join(hosts)} any more\n{scene.summary()}",
    )


def test_www_is_required_and_the_apex_that_only_redirects_is_named(scene: Scene) -> None:
    """A1."""
    scene.until_enforced()
    until(
        lambda: open_replicas(scene) == set(),
        within_s=30,
        describe="every replica to refuse strangers",
    )
    assert "example.com" in until_named(scene, "example.com: ")


def test_hosts_of_others_that_answer_otherwise_are_named_and_open_nothing(scene: Scene) -> None:
    """A2, A13: a redirect that sorts first, a Secret that does not exist, an own authority, names that do not fit or that DNS cannot carry."""
    scene.plane.apply(CASES / "02-redirect-host-sorts-first.yaml")
    missing = {f"{PREFIX}/auth-tls-secret": "default/no-such-secret"}
    scene.plane.apply(ingress("broken.example.com", **missing))
    scene.plane.apply(own_authority())
    scene.plane.apply(
        ingress("partners.example.com", **{f"{PREFIX}/auth-tls-secret": "default/partners-ca"})
    )
    for case in ("16-long-host.yaml", "16-label-of-68.yaml"):
        scene.plane.apply(CASES / case)
    until_named(scene, "about.example.com", "broken.example.com", "partners.example.com", LONG)
    assert {one["name"]: one["mode"] for one in scene.object()["status"]["origins"]} == {  # type: ignore[index]  # it is there
        "public": "Require"
    }


def own_authority() -> dict[str, Any]:
    """The Secret of somebody who verifies client certificates of partners: an authority that did not sign ours."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "partners-ca", "namespace": "default"},
        "stringData": {"ca.crt": Authority.new("Partners").pem},
    }


def test_new_hosts_and_renewals_go_on_beside_them(scene: Scene) -> None:
    """A2."""
    scene.plane.apply(ingress("new.example.com"))
    scene.until_required("new.example.com", within_s=WITHIN_S)
    (certificate,) = scene.certificates()
    scene.rotate()

    def rotated() -> bool:
        assert open_replicas(scene) == set()
        certificates = scene.certificates()
        return len(certificates) == 1 and certificates[0]["id"] != certificate["id"]

    until(
        rotated,
        within_s=120,
        every_s=0.5,
        describe=lambda: f"one new certificate alone\n{scene.summary()}",
    )


def test_a_rule_that_answers_on_every_path_relaxes_nothing_and_is_forgotten_when_it_is_gone(
    scene: Scene,
) -> None:
    """A2, A15: a block list of user agents that holds ours makes every host odd at once."""
    scene.write_config_map({"block-user-agents": "~*aop-operator"})
    until_named(scene, "403", f"{SHOP}: ")
    scene.write_config_map({"block-user-agents": None})
    until_not_named(scene, f"{SHOP}: ", "new.example.com: ")


def test_a_controller_that_rejects_unknown_names_in_the_handshake_opens_nothing(
    scene: Scene,
) -> None:
    """A13: the apex is then refused before any answer."""
    scene.plane.kubectl("delete", "ingress", "shop", "--namespace", "default")
    scene.plane.apply(ingress(SHOP))
    scene.write_config_map({"ssl-reject-handshake": "true"})
    until_named(scene, "example.com: ")
    scene.write_config_map({"ssl-reject-handshake": None})


def test_the_removal_waits_for_none_of_them(scene: Scene) -> None:
    scene.remove()
    assert scene.own_text() == {}
    assert scene.refusing(SHOP) == []
