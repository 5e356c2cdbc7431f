"""What the process remembers of one object between two looks: readings with an age, and the newest that was shown of it."""

from __future__ import annotations

from typing import Any

import pytest

from aop.observe.memory import Cached, CloudflareMemory, Memory
from aop.observed import Unknown
from builders import NOW, at


@pytest.mark.parametrize(("age_s", "fresh"), [(0, True), (59.9, True), (60, False), (600, False)])
def test_a_reading_is_used_until_it_is_too_old(age_s: float, fresh: bool) -> None:
    cached: Cached[str] = Cached()
    assert cached.keep("read", NOW) == "read"
    reading = cached.fresh(at(age_s), 60)
    assert (reading is not None) is fresh
    assert cached.last is not None
    assert (cached.last.value, cached.last.at) == ("read", NOW)


def test_nothing_there_is_a_reading_too() -> None:
    """A Secret that does not exist is not asked for again on every visit."""
    cached: Cached[str | None] = Cached()
    assert cached.fresh(NOW, 60) is None
    cached.keep(None, NOW)
    reading = cached.fresh(at(1), 60)
    assert reading is not None
    assert reading.value is None


def test_what_is_forgotten_is_read_again() -> None:
    cached: Cached[int] = Cached()
    cached.keep(7, NOW)
    cached.forget()
    assert cached.fresh(NOW, 60) is None
    assert cached.last is None


def test_reading_cloudflare_again_does_not_begin_the_quiet_period_again() -> None:
    memory = CloudflareMemory(changed_at=NOW, seen=("a",), retry_at=at(60))
    memory.zone.keep(None, NOW)
    memory.outranked.keep((), NOW)
    memory.listed.keep((), NOW)
    memory.enabled.keep(True, NOW)
    memory.forget_all()
    assert [
        cached.last for cached in (memory.zone, memory.outranked, memory.listed, memory.enabled)
    ] == [None] * 4
    assert memory.retry_at is None
    assert (memory.changed_at, memory.seen) == (NOW, ("a",))


def test_a_restart_knows_nothing_and_says_so() -> None:
    memory = Memory()
    assert isinstance(memory.zone, Unknown)
    assert memory.awaiting
    assert memory.cloudflare.changed_at is None, "the quiet period begins with the process"


def manifest(version: Any = "7", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "spec": spec}


@pytest.mark.parametrize(
    ("known", "shown", "newer"),
    [
        ("7", "8", True),
        ("8", "7", False),
        ("9", "10", True),
        ("7", "", False),
        ("", "7", True),
        ("", "x", True),
    ],
)
def test_of_what_a_watch_and_a_write_show_the_newer_stands(
    known: str, shown: str, *, newer: bool
) -> None:
    """An event that was on its way while we wrote must not undo what our own write has returned."""
    memory = Memory()
    memory.learn(manifest(known, of="known"), 1.0)
    memory.learn(manifest(shown, of="shown"), 2.0)
    assert memory.manifest == (
        manifest(shown, of="shown") if newer else manifest(known, of="known")
    )
    assert memory.shown_s == (2.0 if newer else 1.0)
