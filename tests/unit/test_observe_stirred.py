"""Of those who share an origin one looks at what a watch has shown, whoever of them can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aop.observe import stirred as module
from aop.observe.stirred import APART_EACH_S, APART_S, Stirred
from clocks import SetClock, eventually


class SharedOrigin:
    """An origin that some objects share, and whom its changes have woken."""

    def __init__(self, *sharers: str) -> None:
        self.sharers, self.clock, self.woken = list(sharers), SetClock(), list[str]()
        self.looks: Callable[[str], bool] = lambda _: True
        self.stirred = Stirred(self.clock, lambda: self.sharers, self.wake)

    def wake(self, uids: frozenset[str]) -> None:
        for uid in sorted(uids):
            self.woken.append(uid)
            if self.looks(uid):
                self.stirred.note_look(uid)

    async def change(self, woken: int) -> None:
        """A watch shows a change, and so many were woken until now."""
        self.clock.pass_s(APART_S * 2)
        self.stirred.notice(self.stirred.concerned)
        await eventually(lambda: len(self.woken) == woken)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHERED_S", 0.0)
    monkeypatch.setattr(module, "UNSEEN_S", 0.02)


@pytest.mark.asyncio
async def test_one_looks_for_all() -> None:
    origin = SharedOrigin("a", "b", "c")
    origin.stirred.note_look("b")
    await origin.change(woken=1)
    await asyncio.sleep(0.05)
    assert origin.woken == ["b"]


@pytest.mark.asyncio
async def test_whoever_does_not_look_leaves_it_to_another() -> None:
    """It was the last one who looked; then its spec became invalid, or it moved to another origin."""
    origin = SharedOrigin("a", "b", "c")
    origin.stirred.note_look("b")
    origin.looks = lambda uid: uid == "c"
    await origin.change(woken=3)
    assert origin.woken == ["b", "a", "c"]
    await origin.change(woken=4)
    assert origin.woken[-1] == "c"


@pytest.mark.asyncio
async def test_if_nobody_can_look_all_are_asked_once_for_each_change() -> None:
    origin = SharedOrigin("a", "b")
    origin.looks = lambda _: False
    await origin.change(woken=2)
    await asyncio.sleep(0.05)
    assert origin.woken == ["a", "b"]
    await origin.change(woken=4)
    origin.sharers.clear()
    await asyncio.sleep(0.05)
    assert len(origin.woken) == 4


@pytest.mark.asyncio
async def test_a_change_that_concerns_all_origins_is_looked_at_less_often_than_one_here() -> None:
    """Twenty controllers read all Ingresses: each change had ten thousand objects look every 35 s, of 10 ms each."""
    origin = SharedOrigin("a", "b")
    await origin.change(woken=1)
    for concerned, woken in ((10_000, 1), (2, 2)):
        origin.clock.pass_s(APART_S * 2)
        origin.stirred.notice(concerned)
        await asyncio.sleep(0.05)
        assert len(origin.woken) == woken
    origin.clock.pass_s(APART_S + APART_EACH_S * 10_000)
    origin.stirred.notice(10_000)
    await eventually(lambda: len(origin.woken) == 3)


@pytest.mark.asyncio
async def test_whoever_meets_change_after_change_has_the_others_look_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of their looks met the next change, and had all others look again: without end."""
    origin = SharedOrigin("a", "b", "c")
    origin.stirred.meet("a")
    assert origin.woken == ["b", "c"]
    for uid in ("b", "c", "a"):
        origin.clock.pass_s(0.1)
        origin.stirred.meet(uid)
    assert origin.woken == ["b", "c"]
    origin.clock.pass_s(APART_S * 2)
    origin.stirred.meet("a")
    assert origin.woken == ["b", "c"] * 2
    monkeypatch.setattr(module, "APART_S", 0.02)
    monkeypatch.setattr(module, "APART_EACH_S", 0.0)
    origin.stirred.meet("c")
    assert len(origin.woken) == 4
    await eventually(lambda: origin.woken[4:] == ["a", "b", "c"])
    origin.stirred.end()


@pytest.mark.asyncio
async def test_nobody_is_woken_after_the_end() -> None:
    origin = SharedOrigin("a", "b")
    origin.looks = lambda _: False
    await origin.change(woken=1)
    origin.stirred.notice(2)
    origin.stirred.end()
    await asyncio.sleep(0.05)
    assert origin.woken == ["a"]
