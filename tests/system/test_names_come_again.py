"""An object is known by its uid: what was claimed under its name before it does not bind it, and what replicas do is always asked.

A finalizer that is taken off by hand, a ConfigMap that is emptied while no replica sees it, aliases
and wildcards that bring names.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest

from aop.origins.ingress_nginx.stored import read
from sandbox import direct
from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, ROOT, Layout, ingress
from sandbox.scene import Scene, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

CASES = ROOT / "tests" / "manifests" / "cases"
WITHIN_S = 90.0
PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=("example.com",)), AOP_REPLICA_RECHECK_S="5") as running:
        running.control.break_edge(host="unproven.example.com", answer=403)
        running.apply(
            verification={
                "window": "10s",
                "samples": ["tenant-1.example.com", "unproven.example.com"],
            }
        )
        running.until_enforced()
        yield running


def claims(scene: Scene) -> int:
    return len(read(scene.sandbox.config_map()).standing)


def test_aliases_are_hosts(scene: Scene) -> None:
    """A14."""
    scene.plane.apply(CASES / "21-server-alias.yaml")
    for host in ("shop.example.com", "store.example.com", "buy.example.com"):
        scene.until_required(host, within_s=WITHIN_S)


def test_what_a_wildcard_alias_takes_is_named_and_no_wildcard_is_said_to_be_required(
    scene: Scene,
) -> None:
    """A14: the names under it go to the server of another name, where nothing tells them from it."""
    scene.plane.apply(
        ingress(
            "lobby.example.com", **{"nginx.ingress.kubernetes.io/server-alias": "*.example.com"}
        )
    )
    scene.until_required("tenant-1.example.com", within_s=WITHIN_S)
    scene.until_required("lobby.example.com", within_s=WITHIN_S)
    until(
        lambda: (
            "its server-alias *.example.com takes"
            in scene.until_condition("Ready", "True", within_s=WITHIN_S)["message"]
        ),
        within_s=WITHIN_S,
        describe=lambda: f"the alias to be named\n{scene.summary()}",
    )
    assert scene.refusing("tenant-never-listed.example.com") == []
    assert "*.example.com" not in scene.condition("Enforced")["message"]
    scene.plane.kubectl("delete", "ingress", "lobby.example.com", "--namespace", "default")


def test_a_wildcard_that_is_served_is_required_once_a_sample_under_it_is_proven(
    scene: Scene,
) -> None:
    """A14: names that nobody has listed come through it; the sample without a proof is excepted."""
    scene.plane.apply(CASES / "22-wildcard.yaml")
    scene.until_required("tenant-1.example.com", within_s=WITHIN_S)
    scene.until_required("tenant-never-listed.example.com", within_s=WITHIN_S)
    assert scene.refusing("unproven.example.com") == []
    ready = scene.until_condition("Ready", "True", within_s=WITHIN_S)
    assert "unproven.example.com" in ready["message"]
    scene.control.mend()
    scene.until_required("unproven.example.com", within_s=WITHIN_S)


def test_what_stays_open_beside_the_required_hosts_is_named(scene: Scene) -> None:
    """A14: the same application by another name, by none, and by a request whose target names another server than its Host."""
    other, nobody = "shop.example.org", "nobody.example.org"
    scene.plane.apply(ingress(other))
    catch_all = ingress("catch-all.example.org")
    del catch_all["spec"]["rules"][0]["host"], catch_all["spec"]["tls"]
    scene.plane.apply(catch_all)
    ca_file = scene.ingress_nginx.announcement.ca_file

    def served() -> bool:
        answers = {
            (host, direct.ask(one, host, ca_file=ca_file).text)
            for one in scene.sandbox.origins
            for host in (other, nobody)
        }
        return answers == {(host, f"backend host={host} uri=/\n") for host in (other, nobody)}

    until(served, within_s=WITHIN_S, describe="the application by both names")
    for one in scene.sandbox.origins:
        assert b"backend host=example.com " in asked_by_target(
            one, target=f"https://{other}/", host="example.com"
        )
    until(
        lambda: all(
            words in scene.condition("Ready").get("message", "")
            for words in (f"the same Service as {other}", "any name that no Ingress has")
        ),
        within_s=WITHIN_S,
        describe=lambda: f"both to be named\n{scene.summary()}",
    )
    assert (
        "This object leaves open: "
        in scene.until_condition("Ready", "True", within_s=WITHIN_S)["message"]
    )
    scene.until_required(within_s=WITHIN_S)
    scene.plane.kubectl(
        "delete", "ingress", other, "catch-all.example.org", "--namespace", "default"
    )
    until(
        lambda: "leaves open" not in scene.condition("Ready").get("message", "leaves open"),
        within_s=WITHIN_S,
        describe=lambda: f"nothing to be left open\n{scene.summary()}",
    )


def asked_by_target(https: str, *, target: str, host: str) -> bytes:
    """The answer to `GET https://name/` with another Host: the target decides which server takes it (RFC 9112, 3.2.2)."""
    address, _, port = https.rpartition(":")
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    name = target.removeprefix("https://").rstrip("/")
    with (
        socket.create_connection((address, int(port)), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_an_object_that_comes_again_under_its_name_is_another_one(scene: Scene) -> None:
    """A22: its finalizer was taken off by hand, so that no removal ran; the old claim goes with the next write."""
    scene.plane.http.request(
        "PATCH",
        path_of("edge", "example-com"),
        json={"metadata": {"finalizers": []}},
        headers=MERGE,
    ).raise_for_status()
    scene.delete()
    scene.until_gone()
    scene.apply()
    scene.until_enforced(within_s=150)
    until(lambda: claims(scene) == 1, within_s=30, describe="the old claim to be gone")
    scene.until_required(within_s=WITHIN_S)


def test_what_replicas_do_is_asked_also_where_nothing_of_ours_is_published(scene: Scene) -> None:
    """A5: somebody empties the ConfigMap while no controller sees it; the object says what the replicas do, and leaves once they let in."""
    for one in scene.ingress_nginx.replicas():
        scene.ingress_nginx.pause(one.pod)
    annotations = dict.fromkeys(scene.sandbox.config_map()["metadata"]["annotations"])
    data = {"http-snippet": None, "server-snippet": None}
    scene.plane.http.request(
        "PATCH", PATH, json={"metadata": {"annotations": annotations}, "data": data}, headers=MERGE
    ).raise_for_status()
    scene.delete()
    ready = scene.until_condition("Ready", "False", "Removing", within_s=WITHIN_S)
    until(
        lambda: any(
            one.pod in scene.condition("Ready").get("message", "")
            for one in scene.ingress_nginx.replicas()
        ),
        within_s=WITHIN_S,
        describe=lambda: f"a pod to be named instead of: {ready['message']}\n{scene.summary()}",
    )
    for one in scene.ingress_nginx.replicas():
        scene.ingress_nginx.resume(one.pod)
    scene.until_gone()
    assert scene.refusing() == []
