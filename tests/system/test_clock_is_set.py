"""A wall clock that somebody sets by 50 minutes, back or ahead, in the middle of every kind of wait: none lasts longer, none ends before its time.

One story for each direction, in the real process: the clock is set while a proof is under way, set
right again while visitors are refused, set once more during the hold-off, and set right during a
removal that Cloudflare holds up. Each test asks one question about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from sandbox.clocked import WallClock, clocked
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(600)]

PATIENCE_S, HOLD_OFF_S, WINDOW_S = 20.0, 60.0, 10.0
SLACK_S = 60.0
"""For everything that is waited for beside: replicas that reload, a machine that is busy."""


@dataclass(slots=True)
class ClockStory:
    """How long each wait lasted, in seconds."""

    lasted: dict[str, float] = field(default_factory=dict)
    patient_for_s: float = 0.0
    left_behind: int = 0


@pytest.fixture(scope="module", params=[-3000.0, 3000.0], ids=["back", "ahead"])
def story(request: pytest.FixtureRequest) -> Iterator[ClockStory]:
    step = float(request.param)
    with Scene(with_operator=False) as scene:
        story = ClockStory()
        clock = clocked(scene, AOP_TEARDOWN_PATIENCE_S=str(PATIENCE_S), AOP_RESYNC_S="5")
        with scene.operator:
            scene.control.turn(deploy_s=3)
            scene.control.turn_location(requests_per_connection=1, resume=False)
            live(scene, clock, step, story)
        yield story


def live(scene: Scene, clock: WallClock, step: float, story: ClockStory) -> None:
    """From nothing to required, to relaxed, to required again, to gone."""

    def measured(what: str, condition: Callable[[], object], within_s: float) -> None:
        began_s = time.monotonic()
        until(condition, within_s=within_s, describe=lambda: f"{what}:\n{scene.summary()}")
        story.lasted[what] = time.monotonic() - began_s

    def ready() -> bool:
        return bool(scene.refusing()) and scene.condition("Ready").get("status") == "True"

    scene.apply()
    scene.until_condition("Ready", reason="WaitingForProof")
    clock.set(step)
    measured("a proof", ready, WINDOW_S + SLACK_S)
    scene.control.turn_location(presents={"*": "nothing"})
    clock.set(0)
    measured("a loss", lambda: not scene.refusing(), SLACK_S)
    scene.control.turn_location(presents={})
    clock.set(step)
    measured("a hold-off and a proof", ready, HOLD_OFF_S + WINDOW_S + SLACK_S)
    scene.control.change_token(scene.cloudflare.token_id, revoked=True)
    scene.delete()
    until(
        lambda: (scene.object() or {}).get("status", {}).get("removingSince"),
        within_s=SLACK_S,
        describe=lambda: f"nobody to be refused:\n{scene.summary()}",
    )
    began_s = time.monotonic()
    clock.set(0)
    scene.until_gone(within_s=PATIENCE_S + SLACK_S)
    story.patient_for_s = time.monotonic() - began_s
    story.left_behind = len(scene.certificates())


@pytest.mark.parametrize("what", ["a proof", "a loss", "a hold-off and a proof"])
def test_no_wait_lasts_as_long_as_the_clock_was_set_by(story: ClockStory, what: str) -> None:
    assert story.lasted[what] < HOLD_OFF_S + WINDOW_S + SLACK_S


def test_a_proof_takes_its_whole_window_all_the_same(story: ClockStory) -> None:
    assert story.lasted["a hold-off and a proof"] >= WINDOW_S


def test_a_removal_is_as_patient_as_it_says(story: ClockStory) -> None:
    """Neither given up at once by a clock that was set ahead, nor fifty minutes later by one that was set back."""
    assert PATIENCE_S / 2 <= story.patient_for_s <= PATIENCE_S + SLACK_S
    assert story.left_behind == 1
