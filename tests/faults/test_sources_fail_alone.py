"""Each source fails alone: what cannot be read, is slow, or is full of somebody else's text ends neither a proof nor protection nor a removal.

One zone that is required; every test disturbs one source, and lets the edge present nothing: every
replica has to be relaxed all the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from faults.conftest import Proxied
from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE
from sandbox.proxy.faults import Answer, Delay, Fault, Match
from sandbox.scene import NAMESPACE, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

CONFIG_MAP_PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
RELAXED_WITHIN_S = 50.0
"""A loss takes ten seconds of answers to be one; with every request to the API server taking two
seconds, 75 were needed before."""
ANNOTATIONS_LIMIT = 262_144
"""Bytes that all annotations of one object may have together (Kubernetes: "Annotations", syntax and
character set)."""
FORBIDDEN = Answer.kubernetes(HTTPStatus.FORBIDDEN, "Forbidden")
UNAVAILABLE = Answer.kubernetes(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable")


@pytest.fixture
def enforced(proxied: Proxied) -> Iterator[Proxied]:
    """The zone is required on every replica."""
    proxied.scene.operator.start()
    proxied.scene.apply()
    proxied.scene.until_enforced()
    yield proxied
    proxied.clear()
    present(proxied.scene, None)


def present(scene: Scene, what: str | None) -> None:
    """What the edge presents for the zone instead of what the API says, on connections of one request each; None: what it says."""
    scene.control.turn_location(
        requests_per_connection=1, resume=False, presents={"example.com": what} if what else {}
    )


@pytest.mark.parametrize(
    ("match", "fault"),
    [
        (Match(watch=False), Delay(2.0)),
        (Match(path="/ingressclasses", watch=False), FORBIDDEN),
        (Match(path="/ingresses", watch=False), UNAVAILABLE),
        (Match(method="GET", path="/pods$", watch=False), UNAVAILABLE),
        (Match(method="GET", path="/pods$"), UNAVAILABLE),
        (Match(method="GET", path="/ingresses$"), FORBIDDEN),
        (Match(method="GET", path="/secrets/", watch=False), FORBIDDEN),
        (Match(path="/events", watch=False), Delay(60.0)),
        (Match(method="PATCH", path="/status$"), Delay(60.0)),
        (Match(method="GET", path="/authenticatedoriginpulls", watch=False), UNAVAILABLE),
    ],
    ids=[
        "everything is slow",
        "IngressClasses",
        "Ingresses",
        "pods",
        "pods and their watch",
        "Ingresses and their watch",
        "Secrets",
        "Events hang",
        "the status hangs",
        "the objects",
    ],
)
def test_visitors_are_let_in_whatever_cannot_be_read(
    enforced: Proxied, match: Match, fault: Fault
) -> None:
    scene = enforced.scene
    enforced.kubernetes.rule(match, fault, times=None)
    if match.method == "GET" and match.watch is None:
        assert enforced.kubernetes.cut_watches(match)
    present(scene, "nothing")
    scene.until_relaxed(within_s=RELAXED_WITHIN_S)


def test_a_config_map_whose_annotations_are_full_is_relaxed_all_the_same(enforced: Proxied) -> None:
    scene = enforced.scene
    annotations = scene.sandbox.config_map()["metadata"]["annotations"]
    used = sum(len(name) + len(value) for name, value in annotations.items())
    name = "example.com/somebody-else"
    filling = {name: "x" * (ANNOTATIONS_LIMIT - used - len(name))}
    merge(scene, {"metadata": {"annotations": filling}})
    try:
        present(scene, "nothing")
        scene.until_relaxed(within_s=RELAXED_WITHIN_S)
    finally:
        merge(scene, {"metadata": {"annotations": {name: None}}})


@pytest.mark.parametrize(
    "fault", [FORBIDDEN, Delay(20.0)], ids=["a policy refuses it", "a webhook hangs"]
)
def test_visitors_are_let_in_although_the_object_takes_no_note(
    enforced: Proxied, fault: Fault
) -> None:
    """Whoever may hold up a change of the object holds up no relaxation; what was not noted is remembered, told, and noted later."""
    scene = enforced.scene
    rule = enforced.kubernetes.rule(
        Match(method="PATCH", path="/authenticatedoriginpulls/[^/]+$"), fault, times=None
    )
    present(scene, "nothing")
    scene.until_relaxed(within_s=RELAXED_WITHIN_S)
    assert rule.fired
    ready = scene.until_condition("Ready", "False", "TransientError", within_s=60)
    assert "goes on with what protects visitors" in ready["message"]
    scene.until_condition("Enforced", "False", within_s=60)
    assert "holdOff" not in noted_on(scene)
    enforced.clear()
    until(
        lambda: "holdOff" in noted_on(scene), within_s=60, describe="the note to be written later"
    )


def test_one_failure_takes_no_evidence_away(enforced: Proxied) -> None:
    """A read that fails once is a silence of that source; what arrived through the edge before it still stands after it."""
    scene = enforced.scene
    before = proof_of(scene)
    paths = (CONFIG_MAP_PATH, f"/namespaces/{CONTROLLER_NAMESPACE}/pods")
    rules = [
        enforced.kubernetes.rule(
            Match(method="GET", path=f"{path}$", watch=False), UNAVAILABLE, times=2
        )
        for path in paths
    ]
    until(
        lambda: all(rule.fired == 2 for rule in rules),
        within_s=180,
        describe="two failures of each, which are listed once a minute beside their watches",
    )
    later = until(
        lambda: newer_proof(scene, before), within_s=60, describe="a look after the failures"
    )
    assert later is not None
    assert {host: since for host, (since, _) in later.items()} == {
        host: since for host, (since, _) in before.items()
    }


def test_a_key_pair_on_one_line_is_named_and_neither_protection_nor_removal_need_it(
    enforced: Proxied,
) -> None:
    r"""What `tr '\n' ' '` makes of a certificate and its key: every reader has to survive it."""
    scene = enforced.scene
    secret = scene.secret("example-com-aop")
    on_one_line = {
        field: base64.b64encode(
            base64.b64decode(secret["data"][field]).replace(b"\n", b" ")
        ).decode()
        for field in ("tls.crt", "tls.key")
    }
    patch(scene, f"/api/v1/namespaces/{NAMESPACE}/secrets/example-com-aop", {"data": on_one_line})
    ready = scene.until_condition("CertificateReady", "False", "KeyPairInvalid", within_s=60)
    assert f"{NAMESPACE}/example-com-aop" in ready["message"]
    assert "tls.crt" in ready["message"]
    present(scene, "nothing")
    scene.until_relaxed(within_s=RELAXED_WITHIN_S)
    present(scene, None)
    scene.remove()
    assert scene.certificates() == []


def noted_on(scene: Scene) -> str:
    """The record on the object, without its copy in the status."""
    manifest = scene.object()
    assert manifest is not None
    return str(manifest["metadata"]["annotations"])


def merge(scene: Scene, body: dict[str, Any]) -> None:
    """A merge patch of the controller's ConfigMap, as somebody else."""
    patch(scene, CONFIG_MAP_PATH, body)


def patch(scene: Scene, path: str, body: dict[str, Any]) -> None:
    """A merge patch, as somebody else."""
    headers = {"Content-Type": "application/merge-patch+json"}
    scene.plane.http.request("PATCH", path, json=body, headers=headers).raise_for_status()


def proof_of(scene: Scene) -> dict[str, tuple[str, str]]:
    """By host, since when it arrives as it does, and its last arrival, in the operator's last look."""
    evidence = json.loads(scene.trace()[-1])["observed"]["evidence"]
    return {one["host"]: (one["since"], one["last"]) for one in evidence}


def newer_proof(
    scene: Scene, before: dict[str, tuple[str, str]]
) -> dict[str, tuple[str, str]] | None:
    """The last look, once every host has arrived again."""
    now = proof_of(scene)
    return (
        now
        if now.keys() == before.keys() and all(now[host][1] > before[host][1] for host in now)
        else None
    )
