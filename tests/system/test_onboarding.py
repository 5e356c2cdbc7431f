"""From nothing to required and proven and back, under a steady stream of visitors: promises S1, S3, S5, S6 and S7, on real parts.

A failed request is any answer that is not the backend's own status and body. http:// is counted
apart and may change only to 308, and only while hosts are required.
"""

from typing import Any

import pytest

from model.replay import violations
from sandbox.composition import MANIFESTS, Layout
from sandbox.direct import Visitor
from sandbox.load import LoadThread, Report
from sandbox.scene import MOST_ONBOARDING_CALLS, Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

HOSTS = ("example.com", "www.example.com")
AT_ONCE = {"FRA": 0.0, "AMS": 0.0, "IAD": 0.0}
LAGGING = {"FRA": 0.0, "AMS": 5.0, "IAD": 20.0}
LEAST_REQUESTS = 500
"""In a life that takes half a minute at 60 a second, and longer on a machine that is busy."""


def whole_life(scene: Scene, visitors: LoadThread, **spec: Any) -> None:
    """Apply, wait until it is enforced, prove it on the replicas, and remove."""
    before = scene.sandbox.config_map()
    zone_before = scene.control.zone()
    ids_before = {one["id"] for one in scene.certificates()}
    visitors.allow_redirects(allowed=True)
    scene.apply(**spec)
    scene.until_enforced()
    (ours,) = [one for one in scene.certificates() if one["id"] not in ids_before]
    assert ours["status"] == "active"
    for replica in scene.ingress_nginx.replicas():
        answers = {
            visitor: scene.ask_replica(replica.https, HOSTS[0], visitor) for visitor in Visitor
        }
        assert answers == {Visitor.NOBODY: 400, Visitor.OURS: 200, Visitor.STRANGER: 400}, (
            replica.pod
        )
    scene.remove()
    after = scene.sandbox.config_map()
    assert after.get("data") == before.get("data")
    assert {k: after["metadata"].get(k) for k in ("labels", "annotations")} == {
        k: before["metadata"].get(k) for k in ("labels", "annotations")
    }
    assert scene.control.zone()["enabled"] == zone_before["enabled"]
    assert {one["id"] for one in scene.certificates()} == ids_before
    assert scene.refusing() == []


def resumed_handshakes(scene: Scene) -> int:
    """Of the edge with the origin."""
    return sum(location["handshakes"]["resumed"] for location in scene.control.counters().values())


def busiest(scene: Scene) -> int:
    """The most requests that one finished connection of the edge carried."""
    counts = [
        int(n)
        for location in scene.control.counters().values()
        for n in location["requests_per_finished_connection"]
    ]
    return max(counts, default=0)


def assert_steady(report: Report) -> None:
    """Nothing failed, and it was more than a handful."""
    assert report.flawless, str(report)
    assert report.total.requests >= LEAST_REQUESTS, str(report)


def resume_often(scene: Scene) -> None:
    """Two locations close connections early, so that sessions are resumed; one keeps them until the origin closes."""
    for code, requests in {"AMS": 25, "IAD": 20}.items():
        scene.control.turn_location(code, requests_per_connection=requests)


def test_not_one_request_is_lost_from_apply_to_removal() -> None:
    """Under the permissions of a default installation.

    Replicas reload at different moments; the double deploys at once, so that its record has no
    polls in it.
    """
    with Scene(Layout(locations=AT_ONCE, manifests=MANIFESTS)) as scene:
        resume_often(scene)
        scene.control.turn(deploy_s=0)
        scene.ingress_nginx.lag(scene.ingress_nginx.replicas()[1].pod, 2)
        with scene.visitors() as visitors:
            whole_life(scene, visitors)
            until(
                lambda: resumed_handshakes(scene) >= 20,
                within_s=30,
                describe="20 resumed handshakes",
            )
            report = visitors.stop()
        assert busiest(scene) >= 20
        calls = scene.control.calls()
        assert violations(scene.trace()) == []
    assert_steady(report)
    enabled = next(number for number, call in enumerate(calls, 1) if call["method"] == "PUT")
    assert enabled <= MOST_ONBOARDING_CALLS, [f"{call['method']} {call['path']}" for call in calls]


def test_locations_that_lag_lose_nothing_and_the_shared_certificate_is_displaced_by_consent() -> (
    None
):
    """The probes meet a location that is 20 s ahead of another one: the window bridges it."""
    with Scene(Layout(locations=LAGGING)) as scene:
        resume_often(scene)
        scene.control.change_zone(global_aop="on")
        until(
            lambda: all(
                one["level"] == "global" for one in scene.control.presented(HOSTS[0]).values()
            ),
            within_s=30,
            describe="the shared certificate everywhere",
        )
        with scene.visitors() as visitors:
            whole_life(
                scene,
                visitors,
                verification={"window": "25s"},
                certificate={"generate": {}, "replaceForeign": True},
            )
            report = visitors.stop()
        assert scene.control.zone()["global_aop"] == "on"
        assert violations(scene.trace()) == []
    assert_steady(report)


def test_a_host_that_visitors_reach_past_the_edge_is_never_required_and_is_named() -> None:
    grey = "direct.example.com"
    with (
        Scene(Layout(hosts=(*HOSTS, grey), dns_only=(grey,))) as scene,
        scene.visitors() as visitors,
    ):
        visitors.allow_redirects(allowed=True)
        scene.apply()
        scene.until_enforced()
        status = (scene.object() or {})["status"]
        assert status["hosts"] == {"proven": 2, "total": 3, "unproven": [grey]}
        assert grey in scene.condition("Ready")["message"]
        assert grey in scene.condition("EdgeVerified")["message"]
        assert scene.refusing(HOSTS[0])
        assert scene.refusing(grey) == []
        scene.remove()
        report = visitors.stop()
        assert violations(scene.trace()) == []
    assert_steady(report)
    assert report.direct.ok > 0
