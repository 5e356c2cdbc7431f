"""One reading, shared: what was last known stands while it cannot be read anew, and nothing that hangs is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from aop.errors import Transient
from aop.observe.source import Known, Source
from aop.observed import Unknown
from builders import at
from clocks import SetClock

PATIENT_S = 60.0


class SlowReading:
    """A source whose readings end when the test says so; `begun` tells how many have begun."""

    def __init__(self, *, needed: bool = True) -> None:
        self.clock = SetClock()
        self.begun = 0
        self.answers: list[str | Exception | asyncio.Future[str]] = []
        self.source: Source[str] = Source("the thing", self._read, self.clock, needed=needed)

    async def _read(self) -> str:
        self.begun += 1
        answer = self.answers.pop(0) if self.answers else f"read {self.begun}"
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Awaitable) else answer

    def hangs(self) -> asyncio.Future[str]:
        """The next reading ends when this is resolved."""
        pending = asyncio.get_running_loop().create_future()
        self.answers.append(pending)
        return pending

    async def look(
        self, after_s: float = 0.0, *, within_s: float = 10.0, patience_s: float = PATIENT_S
    ) -> Known[str] | Unknown:
        self.clock.pass_s(after_s)
        return await self.source.look(within_s=within_s, patience_s=patience_s)


async def ended(reading: SlowReading) -> None:
    """Let whatever was resolved be taken in; a reading has three steps at most."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_what_is_young_enough_is_not_read_again() -> None:
    reading = SlowReading()
    assert await reading.look() == Known("read 1", at(0))
    assert await reading.look(9.9) == Known("read 1", at(0))
    assert await reading.look(0.1) == Known("read 2", at(10))
    assert reading.begun == 2


@pytest.mark.asyncio
async def test_whoever_looks_at_the_same_moment_shares_one_reading() -> None:
    reading = SlowReading()
    pending = reading.hangs()
    lookers = [asyncio.create_task(reading.look()) for _ in range(40)]
    await ended(reading)
    pending.set_result("shared")
    assert {known.value for looker in lookers if isinstance(known := await looker, Known)} == {
        "shared"
    }
    assert reading.begun == 1


@pytest.mark.asyncio
async def test_a_reading_that_takes_longer_than_a_look_has_time_goes_on_by_itself() -> None:
    reading = SlowReading()
    assert await reading.look() == Known("read 1", at(0))
    pending = reading.hangs()
    for _ in range(3):
        assert await reading.look(10, patience_s=0) == Known("read 1", at(0)), (
            "what was known stands"
        )
    assert reading.begun == 2, "and nobody begins another one beside it"
    pending.set_result("at last")
    await ended(reading)
    assert reading.source.last == Known("at last", at(30))


@pytest.mark.asyncio
async def test_before_the_first_answer_nothing_is_known_and_nobody_is_at_fault() -> None:
    reading = SlowReading(needed=False)
    pending = reading.hangs()
    assert await reading.look(patience_s=0) == Unknown("the thing: no answer yet")
    pending.set_result("read")
    await ended(reading)
    assert reading.source.last == Known("read", at(0))


@pytest.mark.asyncio
async def test_what_was_known_stands_with_its_age_while_it_cannot_be_read_and_the_failure_is_said() -> (
    None
):
    reading = SlowReading()
    await reading.look()
    reading.answers = [Transient("HTTP 500"), Transient("HTTP 403")]
    assert await reading.look(10) == Known("read 1", at(0), "HTTP 500")
    assert await reading.look(10) == Known("read 1", at(0), "HTTP 403")
    assert await reading.look(10) == Known("read 4", at(30))


@pytest.mark.asyncio
async def test_a_failure_before_anything_was_known_is_the_answer_until_it_is_time_to_read_again() -> (
    None
):
    reading = SlowReading()
    reading.answers = [Transient("HTTP 403: forbidden", retry_after_s=7.0)]
    for after_s in (0, 9.9):
        assert await reading.look(after_s) == Unknown("HTTP 403: forbidden", retry_after_s=7.0)
    assert reading.begun == 1, "what is forbidden is not asked for at every look"
    assert await reading.look(0.1) == Known("read 2", at(10))


@pytest.mark.asyncio
async def test_what_a_watch_shows_after_a_first_failure_is_read_at_the_next_look() -> None:
    """Somebody has installed the kind, or granted the right to it, a moment after it was read in vain."""
    reading = SlowReading()
    reading.answers = [Transient("there is no such kind")]
    assert isinstance(await reading.look(), Unknown)
    reading.source.show("what there is now")
    assert await reading.look() == Known("read 2", at(0))


@pytest.mark.asyncio
async def test_a_bug_in_a_reader_is_a_failure_like_any_other_and_the_next_reading_is_made() -> None:
    """An exception that a task holds would be raised at every visit, and protection would end with it."""
    reading = SlowReading()
    reading.answers = [ZeroDivisionError("a secret value"), KeyError("metadata")]
    first = await reading.look()
    assert isinstance(first, Unknown)
    assert (first.message, first.reason) == (
        "the thing: ZeroDivisionError in the operator; its log has the traceback",
        None,
    )
    second = await reading.look(10)
    assert isinstance(second, Unknown)
    assert "KeyError" in second.message
    assert await reading.look(10) == Known("read 3", at(20))


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["a value", "a failure"])
async def test_what_a_write_has_returned_beats_a_reading_that_began_before_it(end: str) -> None:
    reading = SlowReading()
    await reading.look()
    pending = reading.hangs()
    await reading.look(10, patience_s=0)
    reading.source.put("written")
    if end == "a value":
        pending.set_result("as it was before")
    else:
        pending.set_exception(Transient("HTTP 500"))
    await ended(reading)
    assert await reading.look(1) == Known("written", at(10))
    assert await reading.look(9) == Known("read 3", at(20))


@pytest.mark.asyncio
async def test_what_is_forgotten_is_read_again_at_once_and_not_by_a_reading_that_began_before() -> (
    None
):
    reading = SlowReading()
    await reading.look()
    pending = reading.hangs()
    await reading.look(10, patience_s=0)
    reading.source.forget()
    pending.set_result("from before it changed")
    await ended(reading)
    assert reading.source.last == Known("read 1", at(0))
    assert await reading.look() == Known("read 3", at(10))


@pytest.mark.asyncio
async def test_what_is_forgotten_stands_if_it_cannot_be_read_again() -> None:
    reading = SlowReading()
    await reading.look()
    reading.source.forget()
    reading.answers = [Transient("HTTP 500")]
    assert await reading.look(1) == Known("read 1", at(0), "HTTP 500")


@pytest.mark.asyncio
async def test_a_reading_that_an_event_has_made_old_is_read_again_within_the_look() -> None:
    """The first look after a start meets the events of its own watches."""
    reading = SlowReading()
    pending = reading.hangs()
    look = asyncio.create_task(reading.look())
    await asyncio.wait({look}, timeout=0.05)
    reading.source.forget()
    pending.set_result("before the event")
    assert await look == Known("read 2", at(0))
