"""What the process remembers between two looks: readings with an age, and one memory per origin."""

from __future__ import annotations

import pytest

from aop.observe.memory import CloudflareMemory, Memory, OriginMemory, Shelf
from aop.observed import Unknown
from builders import ASKING, KEY, NOW, OFF, TARGET, at


@pytest.mark.parametrize(("age_s", "fresh"), [(0, True), (59.9, True), (60, False), (600, False)])
def test_a_reading_is_used_until_it_is_too_old(age_s: float, fresh: bool) -> None:
    shelf: Shelf[str] = Shelf()
    assert shelf.keep("read", NOW) == "read"
    found = shelf.fresh(at(age_s), 60)
    assert (found is not None) is fresh
    assert shelf.last is not None
    assert (shelf.last.value, shelf.last.at) == ("read", NOW)


def test_nothing_there_is_a_reading_too() -> None:
    """A Secret that does not exist is not asked for again on every visit."""
    shelf: Shelf[str | None] = Shelf()
    assert shelf.fresh(NOW, 60) is None
    shelf.keep(None, NOW)
    found = shelf.fresh(at(1), 60)
    assert found is not None
    assert found.value is None


def test_what_is_forgotten_is_read_again() -> None:
    shelf: Shelf[int] = Shelf()
    shelf.keep(7, NOW)
    shelf.forget()
    assert shelf.fresh(NOW, 60) is None
    assert shelf.last is None


def test_reading_cloudflare_again_does_not_begin_stillness_again() -> None:
    memory = CloudflareMemory(changed_at=NOW, seen=("a",), retry_at=at(60))
    memory.setup.keep(None, NOW)
    memory.listed.keep((), NOW)
    memory.enabled.keep(True, NOW)
    memory.forget_all()
    assert (memory.setup.last, memory.listed.last, memory.enabled.last, memory.retry_at) == (None, None, None, None)
    assert (memory.changed_at, memory.seen) == (NOW, ("a",))


def test_a_restart_knows_nothing_and_says_so() -> None:
    memory = Memory(NOW)
    assert isinstance(memory.zone, Unknown)
    assert memory.awaiting
    assert memory.cloudflare.changed_at is None, "stillness begins with the process"


def test_each_origin_has_one_memory() -> None:
    memory = Memory(NOW)
    first = memory.origin(TARGET)
    first.path_token = "abcdefgh"
    assert memory.origin(TARGET) is first
    assert memory.origin(KEY) is not first


def test_secrets_and_rivals_are_forgotten_apart() -> None:
    memory = Memory(NOW)
    memory.secrets.setdefault(KEY, Shelf()).keep({"tls.crt": ""}, NOW)
    memory.rivals.keep((), NOW)
    memory.forget_secrets()
    assert (memory.secrets, memory.rivals.last is None) == ({}, False)
    memory.forget_rivals()
    assert memory.rivals.last is None


def test_a_claim_stands_since_the_first_revision_that_was_read_with_it() -> None:
    """Others' publications do not move it; a change of ours, a damaged text and a ConfigMap that was put back do."""
    origin, seen = OriginMemory(), []
    for claim, revision, intact in (
        (None, 0, True),
        (OFF, 3, True),
        (OFF, 5, True),
        (ASKING, 6, True),
        (ASKING, 9, True),
        (OFF, 9, False),
        (OFF, 9, True),
        (OFF, 4, True),
    ):
        origin.follow(claim, revision, intact=intact)
        seen.append(origin.claim_since)
    assert seen == [0, 3, 3, 6, 6, None, 9, 4]
