"""The operator's Role goes before the object, as in a namespace that is deleted, or is that of an older chart: what has to be done is done all the same."""

from collections.abc import Iterator

import pytest

from sandbox.composition import CONTROLLER_NAMESPACE, MANIFESTS, Layout
from sandbox.scene import NAMESPACE, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
OF_LISTS = (
    f"{RBAC}/clusterroles/aop-operator",
    f"{RBAC}/namespaces/{CONTROLLER_NAMESPACE}/roles/aop-operator-controllers",
)
"""Where it is granted to list and watch what drivers read."""
ROLE = f"{RBAC}/namespaces/{NAMESPACE}/roles/aop-operator"
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(manifests=MANIFESTS)) as running:
        yield running


def test_without_a_right_in_its_namespace_an_object_is_removed_but_for_itself(scene: Scene) -> None:
    before = scene.sandbox.config_map().get("data")
    scene.apply()
    scene.until_enforced()
    scene.plane.http.delete(ROLE).raise_for_status()
    scene.delete()
    scene.until_relaxed(within_s=WITHIN_S)
    until(
        lambda: scene.certificates() == [],
        within_s=WITHIN_S,
        describe=lambda: f"the certificate to be gone:\n{scene.summary()}",
    )
    until(
        lambda: scene.sandbox.config_map().get("data") == before,
        within_s=WITHIN_S,
        describe="the ConfigMap to be as it was found",
    )
    assert scene.control.zone()["enabled"] is False
    assert scene.object() is not None, "nobody may take off its finalizer"
    scene.plane.apply(MANIFESTS / "20-rbac.yaml")
    scene.until_gone()


def test_with_the_role_of_a_chart_that_did_not_watch_it_lists(scene: Scene) -> None:
    """The image was upgraded, and the rights were not: what changes is seen as soon as it was then."""
    for path in OF_LISTS:
        role = scene.plane.http.get(path).raise_for_status().json()
        for rule in role["rules"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != "watch"]
        scene.plane.http.put(path, json=role).raise_for_status()
    try:
        scene.apply()
        scene.until_enforced()
        replicas = len(scene.pods())
        scene.ingress_nginx.add()
        scene.ingress_nginx.await_ready()
        until(
            lambda: (scene.object() or {})["status"]["origins"][0]["replicas"] == replicas + 1,
            within_s=WITHIN_S,
            describe=lambda: f"the new pod to be counted\n{scene.summary()}",
        )
        scene.delete()
        scene.until_gone()
    finally:
        scene.plane.apply(MANIFESTS / "20-rbac.yaml")
