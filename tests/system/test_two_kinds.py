"""One object with origins of two kinds: a host is required only where all of them can, and each lets everybody in by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from model.replay import violations
from sandbox import servers
from sandbox.composition import HOSTS
from sandbox.direct import Visitor
from sandbox.two_kinds import TwoKinds, two_kinds
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 150.0
RELAXED_WITHIN_S = 60.0
REQUIRED = {"ingress": "Require", "frontend": "Require"}


@pytest.fixture(scope="module", params=["nginx", "traefik", "gateway"])
def running(request: pytest.FixtureRequest) -> Iterator[TwoKinds]:
    if why := servers.why_not(request.param):
        pytest.skip(why)
    with two_kinds(request.param) as both:
        both.scene.control.turn_location("*", requests_per_connection=1, resume=False)
        yield both


@pytest.fixture
def both(running: TwoKinds) -> Iterator[TwoKinds]:
    """With nothing of the last test's left, also if that has failed."""
    yield running
    if running.scene.object() is not None:
        running.scene.remove(within_s=WITHIN_S)


def ask_controller(both: TwoKinds, visitor: Visitor) -> set[int]:
    """What the controller's replicas answer for every host."""
    scene = both.scene
    return {
        scene.ask_replica(one.https, host, visitor, ca_file=both.controller.announcement.ca_file)
        for one in both.controller.replicas()
        for host in HOSTS
    }


def enforce(both: TwoKinds) -> None:
    both.scene.apply(hostnames=list(HOSTS), origins=both.origins)
    both.scene.until_enforced(within_s=WITHIN_S)
    # A host that is proven later holds up no other, nor Ready.
    until(
        lambda: ask_controller(both, Visitor.NOBODY) == {400} and both.scene.required(HOSTS[1]),
        within_s=WITHIN_S,
        describe=lambda: f"every host to be required:\n{both.scene.summary()}",
    )


def test_both_are_required_and_put_back_without_a_lost_request(both: TwoKinds) -> None:
    scene, before = both.scene, len(both.scene.trace())
    with scene.visitors(redirects=True) as visitors:
        enforce(both)
        assert both.modes() == REQUIRED
        assert ask_controller(both, Visitor.NOBODY) == {400}
        assert ask_controller(both, Visitor.OURS) == {200}
        assert scene.required()
        scene.remove(within_s=WITHIN_S)
        report = visitors.stop()
    assert report.flawless, str(report)
    assert ask_controller(both, Visitor.NOBODY) == {200}
    assert scene.refusing() == []
    assert violations(scene.trace()[before:], in_model=False) == []


def test_nobody_is_refused_at_one_while_the_other_cannot_refuse_yet(both: TwoKinds) -> None:
    scene = both.scene
    with both.held_up():
        scene.apply(hostnames=list(HOSTS), origins=both.origins)
        scene.until_condition("Ready", "False", "WaitingForReplicas", within_s=WITHIN_S)
        assert ask_controller(both, Visitor.NOBODY) == {200}
        assert "Require" not in both.modes().values()


def test_the_one_lets_everybody_in_whatever_holds_up_the_other(both: TwoKinds) -> None:
    """The edge presents nothing, and the other one does not take up what refuses nobody."""
    scene = both.scene
    enforce(both)
    with scene.presenting_nothing(*HOSTS):
        with both.held_up():
            began_s = time.monotonic()
            until(
                lambda: ask_controller(both, Visitor.NOBODY) == {200},
                within_s=RELAXED_WITHIN_S,
                describe=lambda: f"the controller's replicas to refuse nobody:\n{scene.summary()}",
            )
            print(f"relaxed in {time.monotonic() - began_s:.0f} s")
            assert scene.refusing(), "the other one cannot yet"
        scene.until_relaxed(within_s=WITHIN_S)
