"""Objects that wait for nothing are looked at seldom; what a watch shows, or a look at one of them meets, is told to all who share the origin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from aop.cluster.client import PAGE
from aop.loops import RESTS_S
from aop.observe.stirred import APART_EACH_S, APART_S
from aop.terms.names import FINALIZER
from sandbox.composition import CONTROLLER_NAMESPACE, Layout, ingress
from sandbox.following import Following
from sandbox.scene import NAMESPACE, Scene, name_of, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

ZONES = ("example.com", "example.net")
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
WITHIN_S = 90.0
SELDOM_S = "600"
"""How often they are looked at by themselves: longer than the test lasts."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    layout = Layout(hosts=ZONES, zones=ZONES)
    with Scene(layout, AOP_REPLICA_RECHECK_S=SELDOM_S, AOP_RESYNC_S=SELDOM_S) as running:
        for zone in ZONES:
            running.apply(name_of(zone), zone={"name": zone}, hostnames=[zone])
        for zone in ZONES:
            running.until_enforced(name_of(zone))
        yield running


def replicas(scene: Scene, zone: str) -> int:
    """How many the object's status counts."""
    manifest = scene.object(name_of(zone)) or {}
    return int(manifest["status"]["origins"][0]["replicas"])


def test_a_pod_that_comes_is_counted_by_all(scene: Scene) -> None:
    """A colleague scales the controller while nobody looks: the watch of the pods shows it."""
    until_at_rest(scene)
    before = [replicas(scene, zone) for zone in ZONES]
    scene.ingress_nginx.add()
    scene.ingress_nginx.await_ready()
    for zone, known in zip(ZONES, before, strict=True):
        until(
            lambda: replicas(scene, zone) == known + 1,  # noqa: B023 - asked at once
            within_s=WITHIN_S,
            describe=lambda: f"the new pod to be counted\n{scene.summary(name_of(zone))}",  # noqa: B023 - the same
        )


def until_at_rest(scene: Scene) -> None:
    """Wait until nobody has been looked at for so long that what is kept for a look is dropped."""
    last, since = scene.operator.visits, time.monotonic()

    def rests() -> bool:
        nonlocal last, since
        if (now := scene.operator.visits) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 2 * RESTS_S

    until(rests, within_s=WITHIN_S, describe="nobody to be looked at")


def test_jobs_that_come_and_go_beside_the_controller_cost_few_looks(scene: Scene) -> None:
    """Somebody's pipeline makes pods in its namespace all the time, and annotates Ingresses: nothing is told, and looks stay apart."""
    apart_s = APART_S + APART_EACH_S * len(ZONES)
    until_at_rest(scene)
    before = scene.operator.visits
    states: list[dict[str, Any]] = []
    with Following(scene.plane, path_of(NAMESPACE), lambda _, seen: states.append(seen)):
        began, number = time.monotonic(), count()
        while time.monotonic() - began < 4 * apart_s:
            come_and_go(scene, f"job-{next(number)}")
        until_at_rest(scene)
    lasted_s = time.monotonic() - began
    most = len(ZONES) * (lasted_s / apart_s + 2)
    assert scene.operator.visits - before <= most
    assert len({one["metadata"]["resourceVersion"] for one in states}) <= len(ZONES)


def come_and_go(scene: Scene, name: str) -> None:
    """A pod, and a note on an Ingress of somebody's."""
    pods = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/pods"
    pod = {"metadata": {"name": name}, "spec": {"containers": [{"name": "job", "image": "job"}]}}
    scene.plane.http.post(pods, json=pod).raise_for_status()
    scene.plane.http.delete(f"{pods}/{name}").raise_for_status()
    (theirs, *_) = scene.plane.http.get(INGRESSES).raise_for_status().json()["items"]
    scene.plane.http.patch(
        f"{INGRESSES}/{theirs['metadata']['name']}",
        json={"metadata": {"annotations": {"example.org/job": name}}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()


def test_what_a_tool_strips_is_put_back_and_nothing_else_is_told(scene: Scene) -> None:
    """A colleague replaces the object by the file in their repository, which has neither our finalizer nor our record.

    The status has the record, too (docs/adr/0017).
    """
    stripped, other = ZONES
    path = path_of(NAMESPACE, name_of(stripped))
    until_at_rest(scene)
    before = scene.object(name_of(stripped)) or {}
    revision = scene.sandbox.config_map()["metadata"]["annotations"]["aop-operator.dev/revision"]
    changes = len(scene.changes_at_cloudflare())
    states: list[dict[str, Any]] = []
    with Following(scene.plane, path_of(NAMESPACE), lambda _, seen: states.append(seen)):
        meta = {
            key: value
            for key, value in before["metadata"].items()
            if key in {"name", "namespace", "uid", "resourceVersion"}
        }
        scene.plane.http.put(path, json=before | {"metadata": meta}).raise_for_status()
        until(
            lambda: (
                FINALIZER
                in (scene.object(name_of(stripped)) or {})["metadata"].get("finalizers", ())
            ),
            within_s=WITHIN_S,
            describe=lambda: f"it to be held again\n{scene.summary(name_of(stripped))}",
        )
        until_at_rest(scene)
    theirs = [one for one in states if one["metadata"]["name"] == name_of(stripped)]
    assert {str(one["status"]) for one in theirs} == {str(before["status"])}
    others = [one for one in states if one["metadata"]["name"] == name_of(other)]
    assert len({one["metadata"]["resourceVersion"] for one in others}) <= 1
    now = scene.sandbox.config_map()["metadata"]["annotations"]["aop-operator.dev/revision"]
    assert (now, len(scene.changes_at_cloudflare())) == (revision, changes)


def test_an_ingress_is_noticed_however_many_stand_before_it(scene: Scene) -> None:
    """Others have so many that the API server lists them page by page; a colleague's comes on the last one."""
    crowd, late = "a-crowd", "late.example.org"
    scene.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": crowd}})
    for number in range(PAGE + 1):
        manifest = ingress(f"h{number}.example.org", crowd)
        manifest["spec"]["ingressClassName"] = "somebody-elses"
        scene.plane.http.post(
            f"/apis/networking.k8s.io/v1/namespaces/{crowd}/ingresses", json=manifest
        ).raise_for_status()
    until_at_rest(scene)
    scene.plane.apply(ingress(late))
    for zone in ZONES:
        until(
            lambda: late in scene.condition("Ready", name_of(zone))["message"],  # noqa: B023 - asked at once
            within_s=WITHIN_S,
            describe=lambda: f"{late} to be named\n{scene.summary(name_of(zone))}",  # noqa: B023 - the same
        )
