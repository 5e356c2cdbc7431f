"""What happens to an enforced zone on an ordinary day: replicas come and go, hosts appear, the spec changes. No visitor notices (S3, L1)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.composition import ingress
from sandbox.direct import Visitor
from sandbox.load import LoadThread
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 60.0
NOTICED_S = 60.0
"""Within which an Ingress is seen that comes to an origin at rest."""
HOST, NEW = "example.com", "new.example.com"


@pytest.fixture(scope="module")
def visitors(scene: Scene) -> Iterator[LoadThread]:
    """They come all day; whatever they met is told at its end."""
    with scene.visitors() as running:
        running.allow_redirects(allowed=True)
        scene.apply()
        scene.until_enforced()
        yield running
        scene.remove()
        report = running.stop()
        assert report.flawless, str(report)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as running:
        yield running


@pytest.mark.usefixtures("visitors")
class TestAnOrdinaryDay:
    """In order, on one zone."""

    def test_less_is_asked_for(self, scene: Scene) -> None:
        """The origin gets less at once; and more again when it is asked for, by a proof that this process has seen."""
        scene.patch({"enforcement": "Request"})
        scene.until_relaxed(HOST, within_s=WITHIN_S)
        scene.until_condition("Ready", "True")
        assert (scene.object() or {})["status"]["enforcement"] == "Request"
        scene.patch({"enforcement": "Optional"})
        scene.until_enforced()
        answers = {who: scene.ask_replica(scene.sandbox.origins[0], HOST, who) for who in Visitor}
        assert answers == {Visitor.NOBODY: 200, Visitor.OURS: 200, Visitor.STRANGER: 400}
        scene.patch({"enforcement": "Require"})
        scene.until_enforced()
        scene.until_required(HOST, within_s=WITHIN_S)

    def test_a_host_appears_and_is_required_after_its_own_proof(self, scene: Scene) -> None:
        scene.plane.apply(ingress(NEW))
        until(
            lambda: scene.ask_replica(scene.sandbox.origins[0], NEW, Visitor.OURS) == 200,
            within_s=WITHIN_S,
            describe="it to be served",
        )
        scene.until_required(NEW, within_s=NOTICED_S + WITHIN_S)
        assert len(scene.refusing(HOST)) == 2
        scene.until_enforced()
        assert (scene.object() or {})["status"]["hosts"]["total"] == 3

    def test_a_replica_is_added_and_one_is_drained(self, scene: Scene) -> None:
        """A new one has the text before it is Ready; it counts as soon as it is."""
        added = scene.ingress_nginx.add()
        scene.ingress_nginx.await_ready()
        scene.until_required(HOST, within_s=WITHIN_S)
        until(
            lambda: (scene.object() or {})["status"]["origins"][0]["replicas"] == 3,
            within_s=WITHIN_S,
            describe="it to be counted",
        )
        scene.ingress_nginx.remove(added.pod, grace_s=5)
        scene.until_enforced()

    def test_while_suspended_nothing_new_is_done_but_less_is_given_at_once(
        self, scene: Scene
    ) -> None:
        scene.patch({"suspend": True})
        scene.until_condition("Ready", "False", "Suspended")
        before = (
            len(scene.changes_at_cloudflare()),
            scene.sandbox.config_map()["metadata"]["resourceVersion"],
        )
        scene.rotate()
        scene.patch({"alerts": {"email": ["ops@example.com"]}})
        scene.until_condition("Ready", "False", "Suspended")
        assert (
            len(scene.changes_at_cloudflare()),
            scene.sandbox.config_map()["metadata"]["resourceVersion"],
        ) == before
        assert len(scene.refusing(HOST)) == 2
        scene.plane.kubectl(
            "annotate", "aop", "example-com", "--namespace", "edge", "aop-operator.dev/rotate-"
        )
        scene.patch({"hostnames": [HOST]})
        scene.until_relaxed(NEW, within_s=WITHIN_S)
        assert len(scene.refusing(HOST)) == 2
        scene.patch({"suspend": False})
        scene.until_enforced()

    def test_the_api_server_is_away_for_a_while(self, scene: Scene) -> None:
        with scene.plane.outage():
            assert len(scene.refusing(HOST)) == 2
        scene.patch({"verification": {"window": "11s"}})
        scene.until_enforced()
        assert len(scene.refusing(HOST)) == 2
