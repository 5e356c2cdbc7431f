"""An object whose finalizer was taken off by hand: nobody removed anything, and still the origin must not refuse for ever."""

from collections.abc import Iterator

import pytest

from sandbox.scene import NAMESPACE, Scene, path_of
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

ENFORCED, RELAXED_WITHIN_S, OUT_WITHIN_S = "example-com", 20.0, 40.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(AOP_RECHECK_S="5") as running:
        yield running


@pytest.mark.parametrize("operator_is", ["down", "up"])
def test_its_claim_is_relaxed_and_taken_out(scene: Scene, operator_is: str) -> None:
    """At start, and when it happens before our eyes; and no visitor is lost."""
    before = scene.sandbox.config_map().get("data")
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        scene.apply()
        scene.until_enforced()
        if operator_is == "down":
            scene.operator.kill()
        _force_away(scene)
        if operator_is == "down":
            assert len(scene.refusing()) == 2
            scene.operator.start()
        scene.until_relaxed(within_s=RELAXED_WITHIN_S)
        until(
            lambda: scene.sandbox.config_map().get("data") == before,
            within_s=OUT_WITHIN_S,
            describe="the ConfigMap to be as it was found",
        )
        report = visitors.stop()
    assert report.flawless, str(report)
    # What stays at Cloudflare is for a person to take away: to a new object it is somebody else's.
    (left,) = scene.certificates()
    scene.control.change_zone(enabled=False)
    scene.control.delete(left["id"])
    until(lambda: scene.certificates() == [], within_s=30, describe="the certificate to be deleted")
    assert not scene.sandbox.config_map()["metadata"].get("annotations")


def _force_away(scene: Scene) -> None:
    """What a person does who has lost patience: both in one breath, before any removal begins."""
    scene.plane.http.patch(
        path_of(NAMESPACE, ENFORCED),
        json={"metadata": {"finalizers": []}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    scene.plane.http.delete(path_of(NAMESPACE, ENFORCED)).raise_for_status()
    until(
        lambda: _gone_or_released(scene),
        within_s=30,
        every_s=0.02,
        describe="the object to be gone",
    )


def _gone_or_released(scene: Scene) -> bool:
    """Kopf puts the finalizer back where it is quick: it is taken off again, as that person would."""
    manifest = scene.object(ENFORCED)
    if manifest is not None and manifest["metadata"].get("finalizers"):
        scene.plane.http.patch(
            path_of(NAMESPACE, ENFORCED),
            json={"metadata": {"finalizers": []}},
            headers={"Content-Type": "application/merge-patch+json"},
        )
    return manifest is None
