"""The operator's Role goes before the object, as in a namespace that is deleted: what has to be put back elsewhere is put back all the same."""

from collections.abc import Iterator

import pytest

from sandbox.composition import MANIFESTS, Layout
from sandbox.scene import NAMESPACE, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

ROLE = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/aop-operator"
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
