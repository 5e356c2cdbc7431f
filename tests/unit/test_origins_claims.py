"""The words that every origin kind shares: what covers what, what is stricter, what asks for no more."""

from __future__ import annotations

import pytest

from aop.terms import Claim, Mode, ObjectKey, covers
from builders import APEX, ASKING, HOSTS, LEAF, NEXT, OFF, REQUIRING, WWW, claim, pin


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("example.com", "example.com", True),
        ("example.com", "www.example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "www.example.com.evil.net", False),
    ],
)
def test_a_wildcard_covers_every_name_below_and_not_the_name_itself(
    pattern: str, host: str, covered: bool
) -> None:
    assert covers(pattern, host) is covered


def test_modes_are_ordered_and_have_one_word_each() -> None:
    assert list(Mode) == sorted(Mode) == [Mode.OFF, Mode.REQUEST, Mode.OPTIONAL, Mode.REQUIRE]
    assert [mode.label for mode in Mode] == ["Off", "Request", "Optional", "Require"]
    assert all(Mode.parse(mode.label) is mode for mode in Mode)
    with pytest.raises(KeyError):
        Mode.parse("Strict")


@pytest.mark.parametrize("text", ["", "name", "a/b/c", "/name", "namespace/"])
def test_what_is_not_namespace_and_name_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="namespace/name"):
        ObjectKey.parse(text)


def test_a_key_reads_back_as_it_prints() -> None:
    key = ObjectKey("edge", "example-com")
    assert ObjectKey.parse(str(key)) == key


def test_a_claim_is_as_strict_as_its_mode_for_enforced_hosts_only() -> None:
    required = claim(enforced=(APEX,))
    assert (required.at(APEX), required.at(WWW)) == (Mode.REQUIRE, Mode.REQUEST)
    assert OFF.at(APEX) is Mode.OFF
    assert ASKING.at(APEX) is Mode.REQUEST


@pytest.mark.parametrize(
    ("new", "old", "no_more"),
    [
        (REQUIRING, REQUIRING, True),
        (ASKING, REQUIRING, True),
        (OFF, REQUIRING, True),
        (claim(enforced=(APEX,)), REQUIRING, True),
        (claim(Mode.OPTIONAL), REQUIRING, True),
        (claim(pins=(LEAF, NEXT)), REQUIRING, True),
        (claim(pins=(NEXT,)), REQUIRING, False),
        (claim(Mode.REQUEST, (), (NEXT,)), REQUIRING, True),
        (REQUIRING, claim(enforced=(APEX,)), False),
        (REQUIRING, claim(Mode.OPTIONAL), False),
        (REQUIRING, ASKING, False),
        (ASKING, OFF, False),
        (OFF, None, False),
    ],
)
def test_what_refuses_nobody_whom_the_other_serves_asks_for_no_more(
    new: Claim, old: Claim | None, no_more: bool
) -> None:
    assert new.asks_no_more_than(old) is no_more


@pytest.mark.parametrize(
    ("one", "other", "holds"),
    [
        (REQUIRING, REQUIRING, True),
        (REQUIRING, ASKING, True),
        (REQUIRING, claim(enforced=(APEX,)), True),
        (REQUIRING, claim(Mode.OPTIONAL), True),
        (claim(enforced=(APEX,)), REQUIRING, False),
        (claim(Mode.OPTIONAL), REQUIRING, False),
        (claim(Mode.OPTIONAL), claim(enforced=()), False),
        (OFF, ASKING, False),
        (claim(pins=(NEXT,)), REQUIRING, True),
    ],
)
def test_a_claim_is_at_least_as_strict_as_one_that_treats_no_host_more_strictly(
    one: Claim, other: Claim, holds: bool
) -> None:
    assert one.at_least_as_strict_as(other) is holds


def test_a_pin_is_named_by_its_first_digits() -> None:
    assert pin("leaf").short == pin("leaf").sha256[:8]
    assert len(HOSTS) == 2
