"""Another manager resets what we wrote while the operator is down: the controller must go on, a new replica must start, and no visitor is lost.

What is left opens, for as long as the operator is away; it never stops the controller, whose every
later update would then be blocked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 60.0
PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
RESETS: Mapping[str, tuple[str, ...]] = {
    "http-snippet alone": ("http-snippet",),
    "server-snippet alone": ("server-snippet",),
    "both snippets": ("http-snippet", "server-snippet"),
}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as running:
        running.apply()
        running.until_enforced()
        yield running


def reset_whole(scene: Scene) -> None:
    """As `helm upgrade` or a GitOps tool with its own idea of the whole object: our annotations and labels are gone as well."""
    config_map = scene.sandbox.config_map()
    plain = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": CONTROLLER_NAMESPACE},
    }
    data = {
        key: value
        for key, value in config_map["data"].items()
        if key not in {"http-snippet", "server-snippet"}
    }
    scene.plane.http.put(PATH, json={**plain, "data": data}).raise_for_status()


def synced(scene: Scene, before: Mapping[str, int]) -> bool:
    """Every replica has taken a change since, and none has failed `nginx -t`."""
    now = scene.ingress_nginx.replicas()
    assert not [one.last_error for one in now if one.last_error], (
        "nginx -t must accept what is left"
    )
    return all(len(one.reloads) > before.get(one.pod, 0) for one in now)


@pytest.mark.parametrize("reset", [*RESETS, "the whole ConfigMap"])
def test_with_the_operator_down_the_controller_goes_on_and_the_operator_repairs(
    scene: Scene, reset: str
) -> None:
    with scene.visitors(redirects=True) as visitors:
        scene.until_enforced()
        scene.operator.kill()
        before = {one.pod: len(one.reloads) for one in scene.ingress_nginx.replicas()}
        if reset in RESETS:
            scene.write_config_map(dict.fromkeys(RESETS[reset]))
        else:
            reset_whole(scene)
        until(
            lambda: synced(scene, before),
            within_s=WITHIN_S,
            describe="every replica to take the change",
        )
        added = scene.ingress_nginx.add()
        (ready,) = [one for one in scene.ingress_nginx.await_ready() if one.pod == added.pod]
        assert ready.ready
        assert ready.failures == 0
        scene.operator.start()
        scene.until_required(within_s=WITHIN_S)
        scene.until_enforced()
        scene.ingress_nginx.remove(added.pod, grace_s=5)
        report = visitors.stop()
    assert report.flawless, str(report)


def test_an_overwrite_while_the_operator_runs_is_repaired(scene: Scene) -> None:
    """The keys are put back, byte for byte what they were but for the revision; the others' keys stay as they wrote them."""
    with scene.visitors(redirects=True) as visitors:
        scene.until_enforced()
        scene.write_config_map(
            {"http-snippet": None, "server-snippet": None, "proxy-body-size": "8m"}
        )
        until(
            lambda: len(scene.own_text()) == 2,
            within_s=WITHIN_S,
            describe="both keys to be there again",
        )
        scene.until_enforced()
        scene.until_required(within_s=WITHIN_S)
        assert scene.sandbox.config_map()["data"]["proxy-body-size"] == "8m"
        report = visitors.stop()
    assert report.flawless, str(report)
