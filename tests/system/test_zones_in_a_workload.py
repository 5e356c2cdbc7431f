"""Two zones on one server in a Deployment, in one ConfigMap: neither notices what becomes of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lives
from lives import WITHIN_S
from sandbox import debian, direct
from sandbox.composition import Layout, manifests_for
from sandbox.direct import Leaf, Visitor
from sandbox.scene import Scene, workload_origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

OURS, OTHERS = "example.com", "example.org"
NAMES = {OURS: "ours", OTHERS: "others"}


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Servers that serve whatever host is asked for."""
    if why := debian.why_not(request.param):
        pytest.skip(why)
    manifests = manifests_for(request.param)
    zones = (OURS, OTHERS)
    layout = Layout(
        hosts=zones, zones=zones, workload="Deployment", server=request.param, manifests=manifests
    )
    with Scene(layout) as running:
        yield running


def spec_of(scene: Scene, zone: str) -> dict[str, Any]:
    origin = workload_origin(scene.sandbox.layout.server)
    return {"zone": {"name": zone}, "hostnames": [zone], "origins": [origin]}


def answers(scene: Scene, host: str, leaf: Leaf) -> set[int]:
    """What every replica answers at the host to whoever presents that leaf."""
    frontend = scene.sandbox.frontend
    return {
        direct.ask(one.https, host, leaf=leaf, ca_file=frontend.ca_file).status_code
        for one in frontend.replicas()
    }


def strangers(scene: Scene, host: str) -> set[int]:
    """What every replica answers at the host to whoever presents nothing."""
    return {
        scene.ask_replica(one.https, host, Visitor.NOBODY)
        for one in scene.sandbox.frontend.replicas()
    }


def test_each_lives_and_leaves_without_the_other(scene: Scene) -> None:
    frontend, refusal = scene.sandbox.frontend, scene.sandbox.refusal
    template = frontend.deployment()["spec"]["template"]
    with lives.flawless(scene):
        for zone, name in NAMES.items():
            scene.apply(name, **spec_of(scene, zone))
        for name in NAMES.values():
            scene.until_enforced(name, within_s=2 * WITHIN_S)
        leaves = {zone: Leaf.of_secret(scene.secret(f"{name}-aop")) for zone, name in NAMES.items()}
        seen = {
            (host, zone): answers(scene, host, leaf)
            for host in NAMES
            for zone, leaf in leaves.items()
        }
        assert seen == {
            (host, zone): {200 if host == zone else refusal} for host in NAMES for zone in NAMES
        }
        scene.delete("ours")

        def gone() -> bool:
            assert strangers(scene, OTHERS) <= {refusal}, "nobody is let in to the other's host"
            return scene.object("ours") is None

        until(gone, within_s=WITHIN_S, every_s=0.3, describe=lambda: scene.summary("ours"))
        assert strangers(scene, OURS) == {200}
        assert frontend.config_map() is not None
        scene.until_enforced("others", within_s=WITHIN_S)
        scene.remove("others", within_s=WITHIN_S)
        lives.until_settled(frontend, template)
    assert frontend.config_map() is None
