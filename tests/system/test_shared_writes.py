"""Several zones on one controller are written together, and an ordinary colleague stands beside it: nobody else's zone notices.

One zone is required all the time; others come, leave in the middle, meet a setting that somebody
edits, and a replica that hangs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, Layout
from sandbox.following import Following
from sandbox.scene import NAMESPACE, Scene, name_of, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

ZONES = SETTLED, LEAVING, STAYING, LATE = (
    "example.com",
    "example.net",
    "example.org",
    "example.edu",
)
CONFIG_MAP_PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=ZONES, zones=ZONES), AOP_REPLICA_RECHECK_S="2") as running:
        come(running, SETTLED)
        running.until_enforced(name_of(SETTLED))
        yield running


def come(scene: Scene, zone: str) -> None:
    scene.apply(name_of(zone), zone={"name": zone}, hostnames=[zone])


def revision(scene: Scene) -> int:
    annotations = scene.sandbox.config_map()["metadata"].get("annotations") or {}
    return int(annotations.get("aop-operator.dev/revision", "0"))


@contextmanager
def settled(scene: Scene) -> Iterator[None]:
    """While others work, the settled zone is Ready at every moment and refuses strangers at the end."""
    states: list[dict[str, Any]] = []
    path = path_of(NAMESPACE)

    def notice(_: str, seen: dict[str, Any]) -> None:
        if seen["metadata"]["name"] == name_of(SETTLED):
            states.append(seen)

    with Following(scene.plane, path, notice):
        yield
    lost = [
        one
        for state in states
        for one in state["status"]["conditions"]
        if one["type"] == "Ready" and one["status"] != "True"
    ]
    assert lost == []
    assert len(scene.refusing(SETTLED)) == len(scene.ingress_nginx.replicas())


def test_one_leaves_while_its_change_waits_for_others(scene: Scene) -> None:
    with settled(scene):
        before = revision(scene)
        for zone in (LEAVING, STAYING):
            come(scene, zone)
        until(
            lambda: revision(scene) > before,
            within_s=60,
            describe=lambda: f"a first write\n{scene.summary(name_of(STAYING))}",
        )
        scene.remove(name_of(LEAVING))
        scene.until_enforced(name_of(STAYING))
    assert scene.certificates(LEAVING) == []
    assert scene.refusing(LEAVING) == []


def test_somebody_edits_the_config_map_all_the_time(scene: Scene) -> None:
    """Each edit makes what the operator has read old; it is looked at again, and no edit is lost."""
    ending, edits = threading.Event(), [0]

    def edit() -> None:
        while not ending.wait(0.5):
            edits[0] += 1
            scene.plane.http.request(
                "PATCH",
                CONFIG_MAP_PATH,
                json={"data": {"proxy-body-size": f"{edits[0]}m"}},
                headers={"Content-Type": "application/merge-patch+json"},
            ).raise_for_status()

    colleague = threading.Thread(target=edit, name="colleague", daemon=True)
    with settled(scene):
        colleague.start()
        try:
            for zone in (LATE, LEAVING):
                come(scene, zone)
            for zone in (LATE, LEAVING):
                scene.until_enforced(name_of(zone))
        finally:
            ending.set()
            colleague.join()
    assert scene.sandbox.config_map()["data"]["proxy-body-size"] == f"{edits[0]}m"
    scene.remove(name_of(LATE))


def test_a_replica_hangs_while_somebody_comes(scene: Scene) -> None:
    """The newcomer waits for it and names it; once it answers the newcomer goes on by itself."""
    hanging, serving = scene.pods()
    with scene.ingress_nginx.hung(hanging):
        come(scene, LATE)
        until(
            lambda: hanging in scene.condition("Ready", name_of(LATE)).get("message", ""),
            within_s=90,
            describe=lambda: f"the pod to be named\n{scene.summary(name_of(LATE))}",
        )
        assert scene.refuses(serving, SETTLED), "what is required stays required"
    scene.until_enforced(name_of(LATE))
    scene.until_enforced(name_of(SETTLED))
