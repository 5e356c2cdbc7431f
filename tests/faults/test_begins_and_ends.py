"""An object, its loop and its finalizer begin and end together; the process ends no change half way, and holds no content that it does not need."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import pytest

from faults.conftest import Proxied
from sandbox.proxy.faults import Answer, Delay, Match
from sandbox.scene import NAMESPACE, RESOURCE, Scene, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

FINALIZER = "authenticatedoriginpull.aop-operator.dev/teardown"
SOMEBODY_ELSES = "example.com/not-yet"
SECRETS, SECRET_BYTES, ROOM_BYTES = 30, 1_000_000, 15_000_000
DISCOVERY = Match(path="^/apis/aop-operator.dev/v1alpha1$")
NOT_FOUND = Answer.kubernetes(HTTPStatus.NOT_FOUND, "NotFound")
CRDS = Path(__file__).parents[2] / "crds"


def finalizers(scene: Scene, name: str = "example-com") -> list[str]:
    """Those of an object; none where it is gone."""
    return list((scene.object(name) or {"metadata": {}})["metadata"].get("finalizers") or ())


def test_a_change_that_is_under_way_at_sigterm_is_not_cut_off(proxied: Proxied) -> None:
    """The request reaches Cloudflare five seconds after it was sent, and its answer two after that: the process waits for both."""
    scene = proxied.scene
    scene.operator.start()
    scene.apply()
    scene.until_enforced()
    slow = scene.control.break_api(method="DELETE", when="after", delay_s=2)
    late = proxied.cloudflare.rule(Match(method="DELETE"), Delay(5.0))
    scene.delete()
    until(lambda: late.fired, within_s=90, describe="the deletion at Cloudflare to be under way")
    with ThreadPoolExecutor() as kubelet:
        ended = kubelet.submit(scene.operator.terminate, 25.0)
        until(
            lambda: scene.control.calls(method="DELETE") or ended.done(),
            within_s=30,
            describe="the deletion to arrive",
        )
        assert not ended.done()
        ended.result()
    scene.control.mend(slow["id"])
    scene.operator.start()
    scene.until_gone()


def test_an_object_that_was_deleted_before_it_was_held_is_left_alone(proxied: Proxied) -> None:
    scene = proxied.scene
    scene.apply("early")
    headers = {"Content-Type": "application/merge-patch+json"}
    early = path_of(NAMESPACE, "early")
    scene.plane.http.patch(
        early, json={"metadata": {"finalizers": [SOMEBODY_ELSES]}}, headers=headers
    ).raise_for_status()
    scene.delete("early")
    scene.operator.start()
    scene.apply()
    until(lambda: FINALIZER in finalizers(scene), within_s=30, describe="the other one to be held")
    assert finalizers(scene, "early") == [SOMEBODY_ELSES]
    scene.plane.http.patch(
        early, json={"metadata": {"finalizers": None}}, headers=headers
    ).raise_for_status()
    assert scene.object("early") is None


@pytest.mark.timeout(500)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "discovered late"])
def test_a_crd_that_is_deleted_takes_its_objects_with_it(proxied: Proxied, *, late: bool) -> None:
    """The API server's discovery knows a new definition a moment after its watch has shown it."""
    scene = proxied.scene
    scene.operator.start()
    scene.apply()
    until(lambda: FINALIZER in finalizers(scene), within_s=30, describe="the object to be held")
    scene.plane.kubectl("delete", "crd", RESOURCE, "--wait=false")
    try:
        until(
            lambda: RESOURCE not in scene.plane.kubectl("get", "crd", "--output", "name"),
            within_s=90,
            describe=lambda: f"the CRD to be gone\n{scene.summary()}",
        )
        if late:
            unknown = proxied.kubernetes.rule(DISCOVERY, NOT_FOUND, times=None)
    finally:
        scene.plane.apply(CRDS)
    scene.apply()
    if late:
        until(lambda: unknown.fired, within_s=90, describe="the operator to look too early")
        proxied.clear()
    until(
        lambda: FINALIZER in finalizers(scene),
        within_s=240,
        describe="the new object to be held: a watch that follows nothing begins anew after a minute",
    )


@pytest.mark.timeout(500)
def test_a_crd_that_is_applied_anew_while_it_cannot_be_discovered_stops_nothing(
    proxied: Proxied,
) -> None:
    """`helm upgrade` writes a new definition, and whoever asks at that moment is told that there is none."""
    scene = proxied.scene
    scene.operator.start()
    scene.apply()
    until(lambda: FINALIZER in finalizers(scene), within_s=30, describe="the object to be held")
    unknown = proxied.kubernetes.rule(DISCOVERY, NOT_FOUND, times=None)
    scene.plane.kubectl("annotate", "crd", RESOURCE, "example.com/applied=anew")
    until(lambda: unknown.fired, within_s=90, describe="the operator to look at that moment")
    proxied.clear()
    scene.patch({"suspend": True})
    edited = (scene.object() or {})["metadata"]["generation"]
    until(
        lambda: (scene.object() or {})["status"].get("observedGeneration") == edited,
        within_s=240,
        describe="the edit to be seen: a watch that follows nothing begins anew after a minute",
    )
    assert FINALIZER in finalizers(scene)


@pytest.fixture
def large_secrets(proxied: Proxied) -> Iterator[int]:
    """Thirty labelled Secrets of a megabyte; what the operator's memory was at most without them, in bytes."""
    scene = proxied.scene
    scene.operator.start()
    before = most_memory(scene)
    scene.operator.kill()
    content = base64.b64encode(bytes(SECRET_BYTES)).decode()
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    names = [f"large-{number}" for number in range(SECRETS)]
    for name in names:
        metadata = {"name": name, "labels": {"aop-operator.dev/watch": "true"}}
        scene.plane.http.post(
            path, json={"metadata": metadata, "data": {"content": content}}
        ).raise_for_status()
    yield before
    for name in names:
        scene.plane.http.delete(f"{path}/{name}").raise_for_status()


def test_what_is_watched_is_not_held_in_memory(proxied: Proxied, large_secrets: int) -> None:
    proxied.scene.operator.start()
    assert most_memory(proxied.scene) < large_secrets + ROOM_BYTES


def most_memory(scene: Scene) -> int:
    """The most that the operator has ever been resident with, in bytes."""
    status = Path(f"/proc/{scene.operator.pid}/status").read_text(encoding="utf-8")
    (line,) = [one for one in status.splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
