"""What ordinary colleagues do beside an enforced zone changes nothing about it: no condition, no revision, no proof, and nobody gets in.

Each test follows every state of the object while somebody else works, and looks at the replicas.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, Layout, ingress
from sandbox.direct import Visitor
from sandbox.following import Following
from sandbox.scene import NAMESPACE, Scene, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

HOST = "example.com"
ELSEWHERE = "certificates"
CHALLENGE = "/.well-known/acme-challenge/k3y0fth3challenge"
REVISION = "aop-operator.dev/revision"
CONFIG_MAP_PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
SLOW_RELOAD_S = 3.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=(HOST,)), AOP_REPLICA_RECHECK_S="2") as running:
        running.apply()
        running.until_enforced()
        yield running


def solver() -> dict[str, Any]:
    """The Ingress with which an ACME client answers a challenge for the host: its own namespace, one path, for some seconds."""
    manifest = ingress(HOST, ELSEWHERE)
    manifest["metadata"]["name"] = "cm-acme-http-solver"
    (rule,) = manifest["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    path |= {"path": CHALLENGE, "pathType": "ImplementationSpecific"}
    del manifest["spec"]["tls"]
    return manifest


def revision(scene: Scene) -> str:
    return str(scene.sandbox.config_map()["metadata"]["annotations"][REVISION])


def proof(scene: Scene) -> dict[str, tuple[str, str]]:
    """By host, since when it arrives as it does, and its last arrival, in the operator's last look."""
    evidence = json.loads(scene.trace()[-1])["observed"]["evidence"]
    return {one["host"]: (one["since"], one["last"]) for one in evidence}


def shown_by_cloudflare(scene: Scene) -> list[dict[str, Any]]:
    """The zone's certificates in the operator's last look; that one is gone begins every proof again."""
    zone = json.loads(scene.trace()[-1])["observed"]["zone"]
    return list((zone or {}).get("certificates") or ())


@contextmanager
def unchanged(scene: Scene) -> Iterator[None]:
    """While a colleague works, and until the operator has heard of the host through the edge again, nothing about the zone changes."""
    entered = proof(scene)[HOST][1]
    until(
        lambda: (
            all(since for since, _ in proof(scene).values()) and proof(scene)[HOST][1] > entered
        ),
        within_s=60,
        describe="every host to have arrived since the last change, in a look of now",
    )
    before, calls, stood = revision(scene), len(scene.changes_at_cloudflare()), proof(scene)
    states: list[dict[str, Any]] = []
    with Following(scene.plane, path_of(NAMESPACE), lambda _, seen: states.append(seen)):
        yield
        done = proof(scene)[HOST][1]
        until(
            lambda: proof(scene)[HOST][1] > done,
            within_s=60,
            describe=lambda: f"another arrival\n{scene.summary()}",
        )
    others = [
        one
        for state in states
        for one in state["status"]["conditions"]
        if one["type"] == "Ready" and one["status"] != "True"
    ]
    assert others == []
    assert revision(scene) == before, "each revision costs every replica a reload"
    assert len(scene.changes_at_cloudflare()) == calls
    assert {host: since for host, (since, _) in proof(scene).items()} == {
        host: since for host, (since, _) in stood.items()
    }
    assert len(scene.refusing(HOST)) == len(scene.ingress_nginx.replicas())


def statuses(scene: Scene, path: str) -> set[int]:
    """What somebody gets at each replica with our certificate."""
    return {
        scene.ask_replica(one.https, HOST, Visitor.OURS, path)
        for one in scene.ingress_nginx.replicas()
    }


def test_an_acme_challenge_comes_and_goes(scene: Scene) -> None:
    """A required host is served from two namespaces for a while; through the edge the challenge is answered, past it nobody gets in."""
    scene.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}})
    with unchanged(scene):
        scene.plane.apply(solver())
        until(
            lambda: statuses(scene, CHALLENGE) == {200},
            within_s=30,
            describe=lambda: f"the challenge to be answered: {statuses(scene, CHALLENGE)}",
        )
        assert {
            scene.ask_replica(one.https, HOST, Visitor.NOBODY, CHALLENGE)
            for one in scene.ingress_nginx.replicas()
        } == {400}
        scene.plane.kubectl("delete", "ingress", "cm-acme-http-solver", "--namespace", ELSEWHERE)


@pytest.mark.parametrize("unseen", [True, False], ids=["at once", "after two looks"])
def test_an_application_is_installed_anew(scene: Scene, *, unseen: bool) -> None:
    """`helm uninstall` and `helm install`: the Ingress of the required host is gone for a moment, which a watch shows."""
    path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
    (theirs,) = [
        one
        for one in scene.plane.http.get(path).raise_for_status().json()["items"]
        if any(rule.get("host") == HOST for rule in one["spec"]["rules"])
    ]
    anew = {
        **theirs,
        "metadata": {
            name: theirs["metadata"][name]
            for name in ("name", "namespace", "annotations", "labels")
            if name in theirs["metadata"]
        },
    }
    with unchanged(scene):
        scene.plane.http.delete(f"{path}/{theirs['metadata']['name']}").raise_for_status()
        before = scene.operator.visits
        until(
            lambda: unseen or scene.operator.visits >= before + 2,
            within_s=60,
            describe="the operator to have looked meanwhile",
        )
        scene.plane.http.post(path, json=anew).raise_for_status()


def test_the_token_is_written_again_with_a_newline(scene: Scene) -> None:
    """`kubectl create secret --from-file` and most vaults end a file with one; the label has it read at once."""
    secret = scene.secret("cloudflare")
    token = base64.b64decode(secret["data"]["api-token"]) + b"\n"
    body = {
        "metadata": {"labels": {"aop-operator.dev/watch": "true"}},
        "data": {"api-token": base64.b64encode(token).decode()},
    }
    with unchanged(scene):
        merge(scene, f"/api/v1/namespaces/{NAMESPACE}/secrets/cloudflare", body)
    scene.plane.kubectl(
        "annotate", "aop", "example-com", "--namespace", NAMESPACE, "aop-operator.dev/rotate=now"
    )
    until(
        lambda: len(scene.certificates()) == 2,
        within_s=60,
        describe=lambda: f"another certificate, uploaded with that token\n{scene.summary()}",
    )
    scene.until_enforced()
    until(
        lambda: len(shown_by_cloudflare(scene)) == 1,
        within_s=60,
        describe=lambda: f"the operator to have seen the old one gone\n{scene.summary()}",
    )


def test_another_setting_of_the_controller_is_changed_and_a_replica_reloads_late(
    scene: Scene,
) -> None:
    last = scene.ingress_nginx.replicas()[-1].pod
    scene.ingress_nginx.lag(last, SLOW_RELOAD_S)
    try:
        with unchanged(scene):
            merge(scene, CONFIG_MAP_PATH, {"data": {"proxy-body-size": "8m"}})
            merge(scene, CONFIG_MAP_PATH, {"data": {"proxy-body-size": "16m"}})
    finally:
        scene.ingress_nginx.lag(last, 0)
    assert scene.sandbox.config_map()["data"]["proxy-body-size"] == "16m"


def merge(scene: Scene, path: str, body: dict[str, Any]) -> None:
    """A merge patch, as a colleague."""
    headers = {"Content-Type": "application/merge-patch+json"}
    scene.plane.http.request("PATCH", path, json=body, headers=headers).raise_for_status()


def test_a_colleague_writes_the_config_map_while_we_do(scene: Scene) -> None:
    """What the watch shows beside a write of ours is theirs as well as ours; neither is lost."""
    edits = count()

    def until_beside_edits(done: Callable[[], bool]) -> None:
        def is_done() -> bool:
            scene.write_config_map({"keep-alive-requests": str(100 + next(edits))})
            return done()

        until(is_done, within_s=120, every_s=0.1, describe=scene.summary)

    scene.patch({"enforcement": "Request"})
    until_beside_edits(lambda: scene.refusing(HOST) == [])
    scene.patch({"enforcement": "Require"})
    until_beside_edits(lambda: scene.required(HOST))
    scene.until_condition(status="True")
    assert scene.sandbox.config_map()["data"]["keep-alive-requests"] == str(99 + next(edits))
