"""SIGKILL after every effect: whatever the operator had just done, a new process comes to the same end, and no visitor notices.

The effect is counted by a proxy before each API. The operator is killed between the API's answer
and whoever asked, so that the new process cannot know that it happened; and, in the other case,
right after it has heard.
"""

import threading

import pytest

from faults.conftest import CHANGES, Proxied
from model.replay import violations
from sandbox.proxy.trace import Exchange
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(600)]

LEAST_ONBOARDING, LEAST_REMOVAL = 10, 4
"""A process that has heard an answer may have sent its next request before the signal reaches it:
then it had two effects."""
WITHIN_S = 120.0


class Killed:
    """A scene whose operator speaks to both APIs through counting proxies, and is killed and started again."""

    def __init__(self, proxied: Proxied, within_s: float = WITHIN_S) -> None:
        self._within_s = within_s
        self.scene, self.effects, self.operator = (
            proxied.scene,
            proxied.effects,
            proxied.scene.operator,
        )
        self.after: list[str] = []
        """The effects after which it was killed."""
        self._dead = threading.Event()

    def arm(self, nth: int, *, delivered: bool) -> None:
        """Kill it at the n-th effect from now on."""
        self._dead.clear()
        self.effects.on(nth, self._kill, match=CHANGES, delivered=delivered)

    def rise(self) -> bool:
        """Start it again if it is dead."""
        if not self._dead.is_set():
            return False
        self.operator.start()
        return True

    def until(self, reached: str, *, nth: int, again: bool, delivered: bool) -> list[str]:
        """Go on until the object is enforced, or gone; killed at the n-th effect, once or again and again. Returns the effects."""
        self.after = []
        self.arm(nth, delivered=delivered)

        def there() -> bool:
            if self.rise() and again:
                self.arm(nth, delivered=delivered)
            if self._dead.is_set():
                self._dead.clear()
            if reached == "gone":
                return self.scene.object() is None
            return self.scene.condition("Ready").get("status") == "True"

        until(
            there,
            within_s=self._within_s,
            every_s=0.1,
            describe=lambda: f"{reached}; killed after {self.after}\n{self.scene.summary()}",
        )
        self.effects.clear()
        return list(self.after)

    def _kill(self, exchange: Exchange) -> None:
        self.operator.kill()
        self.after.append(f"{exchange.method} {exchange.path}")
        self._dead.set()


@pytest.fixture
def killed(proxied: Proxied) -> Killed:
    proxied.scene.operator.start()
    return Killed(proxied)


def live(killed: Killed, *, nth: int, again: bool, delivered: bool) -> tuple[list[str], list[str]]:
    """A whole life under visitors, killed on the way there and on the way back; returns the effects of both ways."""
    scene = killed.scene
    before, traced = scene.sandbox.config_map().get("data"), len(scene.trace())
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        scene.apply()
        onboarding = killed.until("enforced", nth=nth, again=again, delivered=delivered)
        assert [one["status"] for one in scene.certificates()] == ["active"]
        assert len(scene.refusing()) == 2
        scene.delete()
        removal = killed.until("gone", nth=nth, again=again, delivered=delivered)
        report = visitors.stop()
    assert report.flawless, f"{report}\nkilled after {onboarding}, {removal}"
    assert scene.certificates() == []
    assert scene.control.zone()["enabled"] is False
    assert scene.sandbox.config_map().get("data") == before
    assert scene.refusing() == []
    # The lives before this one met faults that the model does not know.
    assert violations(scene.trace()[traced:]) == []
    return onboarding, removal


@pytest.mark.parametrize(
    "delivered", [False, True], ids=lambda heard: "answer-heard" if heard else "answer-lost"
)
def test_killed_after_each_effect_in_turn(killed: Killed, delivered: bool) -> None:
    """Every process lives for exactly one effect."""
    onboarding, removal = live(killed, nth=1, again=True, delivered=delivered)
    assert len(onboarding) >= LEAST_ONBOARDING, onboarding
    assert len(removal) >= LEAST_REMOVAL, removal
    assert not any(path.endswith("/status") for path in onboarding)


@pytest.mark.parametrize("nth", range(1, 15))
def test_killed_after_one_effect(killed: Killed, nth: int) -> None:
    """One kill, and a process that finds the rest of the way by itself."""
    live(killed, nth=nth, again=False, delivered=False)
