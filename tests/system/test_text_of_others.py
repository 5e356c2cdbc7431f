"""Text of others beside ours (`foreignText: Merge`): a page or a rule of theirs changes nothing for anybody whose host it does not concern.

One zone whose controller lets in only what carries a header of Cloudflare's, as many do before
Authenticated Origin Pulls. All the while no stranger gets the application of a host that is
required, nothing of ours is written again, and what was seen of the other hosts stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import cases, direct
from sandbox.composition import Layout, ingress
from sandbox.scene import NAMESPACE, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(500)]

APEX, WWW, APP = HOSTS = ("example.com", "www.example.com", "app.example.com")
NEW = "new.example.com"
ONLY_CLOUDFLARE = "25-only-cloudflare-text"
SNIPPET = "nginx.ingress.kubernetes.io/server-snippet"
WITHIN_S = 90.0
APPLICATION = 200


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    config = {
        "use-forwarded-headers": "true",
        "ssl-redirect": "false",
        "allow-snippet-annotations": "true",
        "annotations-risk-level": "Critical",
    }
    with Scene(Layout(hosts=HOSTS, config=config), AOP_REPLICA_RECHECK_S="5") as running:
        cases.apply(running, ONLY_CLOUDFLARE, "25-merge")
        yield running


def let_in(scene: Scene, host: str) -> set[str]:
    """The replicas that give a stranger the application who forges the header that says it came through Cloudflare."""
    ca_file = scene.ingress_nginx.announcement.ca_file
    return {
        one
        for one in scene.sandbox.origins
        if direct.ask(one, host, ca_file=ca_file, CF_RAY="1").status_code == APPLICATION
    }


def revision(scene: Scene) -> int:
    return int(scene.sandbox.config_map()["metadata"]["annotations"]["aop-operator.dev/revision"])


def runs(scene: Scene) -> dict[str, str]:
    """By host, since when its requests through the edge come as they do, in the operator's last look."""
    return {
        one["host"]: one["since"] for one in json.loads(scene.trace()[-1])["observed"]["evidence"]
    }


def until_told(
    scene: Scene,
    right: Callable[[dict[str, Any]], bool],
    what: str,
    *,
    required: tuple[str, ...] = HOSTS,
) -> None:
    """Wait for Ready to say something; nobody who bypasses the edge is let in meanwhile."""

    def is_told() -> bool:
        assert {host: let_in(scene, host) for host in required} == {
            key: set() for key in required
        }, scene.summary()
        return right(scene.condition("Ready"))

    until(
        is_told,
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"Ready to say {what}\n{scene.summary()}",
    )


def names(*hosts: str) -> Callable[[dict[str, Any]], bool]:
    return lambda ready: (
        ready.get("status") == "True" and all(f"{host}: " in ready["message"] for host in hosts)
    )


def names_none(*hosts: str) -> Callable[[dict[str, Any]], bool]:
    return lambda ready: (
        ready.get("status") == "True" and not any(f"{host}: " in ready["message"] for host in hosts)
    )


def until_rotated(scene: Scene, before: str) -> None:
    def rotated() -> bool:
        certificates = scene.certificates()
        return len(certificates) == 1 and certificates[0]["id"] != before

    until(
        rotated,
        within_s=150,
        every_s=0.5,
        describe=lambda: f"one new certificate alone\n{scene.summary()}",
    )


def rotate(scene: Scene, word: str) -> str:
    """Ask for a renewal; the id of the certificate that is to be replaced."""
    (certificate,) = scene.certificates()
    scene.plane.kubectl(
        "annotate",
        "--overwrite",
        "aop",
        "example-com",
        "--namespace",
        NAMESPACE,
        f"aop-operator.dev/rotate={word}",
    )
    return str(certificate["id"])


def test_hosts_are_required_beside_a_rule_that_closes_them_to_whoever_comes_past_the_edge(
    scene: Scene,
) -> None:
    """A2, with what was there before us: our own questions bypass the edge as well."""
    scene.until_enforced()
    until(
        lambda: not any(let_in(scene, host) for host in HOSTS),
        within_s=30,
        describe="every replica to refuse strangers",
    )
    assert "$past_the_edge" in scene.own_text()["server-snippet"], "what was there stays"


def test_a_page_on_one_host_concerns_that_host_alone(scene: Scene) -> None:
    """A2: a host that is required gets a 403 on every path, and a new one a redirect.

    The first stays as it is; both are named.
    """
    written, since = revision(scene), runs(scene)
    scene.plane.apply(ingress(APP, **{SNIPPET: "return 403;"}))
    scene.plane.apply(
        ingress("moved.example.com", **{SNIPPET: "return 301 https://example.net$request_uri;"})
    )
    until_told(scene, names(APP, "moved.example.com"), "that both are odd")
    assert revision(scene) == written
    assert {host: runs(scene)[host] for host in (APEX, WWW)} == {
        host: since[host] for host in (APEX, WWW)
    }
    assert scene.object()["status"]["origins"][0]["mode"] == "Require"  # type: ignore[index]  # it is there


def test_a_renewal_and_a_new_host_go_on_beside_such_pages(scene: Scene) -> None:
    """A2."""
    scene.plane.apply(ingress(NEW))
    until(
        lambda: not let_in(scene, NEW),
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"the new host to be required\n{scene.summary()}",
    )
    until_rotated(scene, rotate(scene, "one"))
    until_told(
        scene, names(APP, "moved.example.com"), "that both are odd", required=(APEX, WWW, NEW)
    )
    scene.plane.apply(ingress(APP))
    scene.plane.kubectl("delete", "ingress", "moved.example.com", "--namespace", "default")
    until_told(
        scene,
        names_none(APP, "moved.example.com"),
        "nothing of them any more",
        required=(APEX, WWW, NEW),
    )


def test_a_rule_that_hides_every_host_holds_a_renewal_up_until_it_is_gone_and_opens_nothing(
    scene: Scene,
) -> None:
    """A2: while no replica can be seen to accept what comes next, nothing next is presented (S2)."""
    written, since = revision(scene), runs(scene)
    scene.write_config_map({"block-user-agents": "~*aop-operator"})
    until_told(scene, names(*HOSTS), "that every host is odd")
    assert revision(scene) == written
    assert {host: begun for host, begun in runs(scene).items() if host in HOSTS} == {
        host: since[host] for host in HOSTS
    }
    before = rotate(scene, "two")

    def awaited() -> bool:
        assert [one["id"] for one in scene.certificates()] == [before]
        ready = scene.condition("Ready")
        return ready.get("reason") == "WaitingForReplicas" and "403" in ready["message"]

    until(
        awaited,
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"the renewal to be awaited\n{scene.summary()}",
    )
    assert not any(let_in(scene, host) for host in (*HOSTS, NEW))
    scene.write_config_map({"block-user-agents": None})
    until_rotated(scene, before)
    until_told(scene, names_none(*HOSTS), "nothing of them any more")


def test_a_rule_that_is_put_before_our_text_opens_nothing_and_ours_comes_first_again(
    scene: Scene,
) -> None:
    """A2: what stands before ours may skip it (`break`), so that it is put right."""
    text = scene.own_text()["server-snippet"]
    scene.write_config_map({"server-snippet": f'if ($http_cf_ray = "") {{ return 403; }}\n{text}'})

    def first() -> bool:
        assert not any(let_in(scene, host) for host in HOSTS), scene.summary()
        return scene.own_text()["server-snippet"].startswith("# BEGIN aop-operator")

    until(
        first,
        within_s=WITHIN_S,
        every_s=0.2,
        describe=lambda: f"our text to come first\n{scene.summary()}",
    )
    until_told(scene, names_none(*HOSTS), "that all is well")


def test_a_removal_leaves_their_text_as_it_was_found(scene: Scene) -> None:
    scene.remove()
    left = scene.own_text()
    assert "aop" not in "".join(left.values())
    assert left["http-snippet"].startswith("map $http_cf_ray $past_the_edge")
    assert "if ($past_the_edge) { return 403; }" in left["server-snippet"]
