"""Who is told by a policy that people edit as well: what they add stays, what they take out stays out, and only ours is taken out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.api import Alerts
from aop.recipients import (
    EMAIL,
    WEBHOOKS,
    Mark,
    Recipient,
    asked_digest,
    changed,
    lacking,
    mark_in,
    recipients_of,
    taken,
    unmarked,
    written,
)

A, B, C = (Recipient(EMAIL, f"{name}@example.com") for name in "abc")
HOOK = Recipient(WEBHOOKS, "0123456789abcdef0123456789abcdef")
EVERYBODY = (A, B, C, HOOK)
UID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
OURS = Mark("edge/example-com", UID)


def telling(*recipients: Recipient, **others: Any) -> dict[str, Any]:
    """Mechanisms that tell them."""
    ways: dict[str, Any] = {}
    for one in recipients:
        ways.setdefault(one.way, []).append({"id": one.id})
    return ways | others


def kept(*recipients: Recipient) -> frozenset[str]:
    return frozenset(one.digest for one in recipients)


def put(*recipients: Recipient) -> Mark:
    return Mark(OURS.owner, UID, put=kept(*recipients))


def test_whoever_is_asked_for_first_is_put_and_noted() -> None:
    change = changed({}, OURS, [B, A, HOOK], kept(A, B, HOOK))
    assert recipients_of(change.mechanisms) == {A, B, HOOK}
    assert change.mark.put == kept(A, B, HOOK)
    assert change.differs
    assert not change.missing


def test_whoever_is_there_already_is_noted_as_found_and_never_taken_out() -> None:
    change = changed(telling(A), OURS, [A], kept(A))
    assert change.mark == Mark(OURS.owner, UID, prior=kept(A))
    assert change.differs
    after = changed(change.mechanisms, change.mark, [], kept())
    assert recipients_of(after.mechanisms) == {A}


def test_what_we_put_goes_when_nobody_asks_for_it_and_what_others_put_stays() -> None:
    change = changed(telling(A, B, pagerduty=[{"id": "x"}]), put(A), [], kept())
    assert recipients_of(change.mechanisms) == {B}
    assert change.mechanisms["pagerduty"] == [{"id": "x"}]
    assert not change.tells_nobody
    assert changed(telling(A), put(A), [], kept()).tells_nobody


def test_whoever_was_taken_out_is_not_put_again_and_is_named() -> None:
    change = changed(telling(B), put(A, B), [A, B], kept(A, B))
    assert not change.differs
    assert change.missing == {A}


def test_whoever_was_taken_out_is_put_again_once_the_wish_was_given_up_meanwhile() -> None:
    given_up = changed(telling(B), put(A, B), [B], kept(B))
    assert given_up.differs
    again = changed(given_up.mechanisms, given_up.mark, [A, B], kept(A, B))
    assert recipients_of(again.mechanisms) == {A, B}


def test_while_it_is_not_known_who_asks_nobody_is_taken_out_and_newcomers_are_put() -> None:
    change = changed(telling(A), put(A), [B], None)
    assert recipients_of(change.mechanisms) == {A, B}
    assert change.mark.put == kept(A, B)


def test_an_address_is_the_same_in_capitals_and_a_webhook_without_its_dashes() -> None:
    shouted = Recipient(EMAIL, "A@Example.com")
    dashed = Recipient(WEBHOOKS, "01234567-89ab-cdef-0123-456789abcdef")
    assert not lacking(telling(A, HOOK), [shouted, dashed])
    assert not changed(telling(A, HOOK), put(A, HOOK), [shouted, dashed], kept()).differs


def test_the_same_text_is_a_webhook_or_an_address_and_not_both() -> None:
    assert Recipient(EMAIL, "x").digest != Recipient(WEBHOOKS, "x").digest


@pytest.mark.parametrize(
    "odd",
    [
        {"email": None},
        {"email": "a@example.com"},
        {"email": [None, 7, {"name": "a"}, {"id": 7}]},
        {"fax": {"id": 1}},
    ],
)
def test_what_cannot_be_read_stays_as_it_is(odd: dict[str, Any]) -> None:
    change = changed(odd, put(A), [], kept())
    assert change.mechanisms.get("fax") == odd.get("fax")
    if isinstance(odd.get("email"), list):
        assert change.mechanisms["email"] == odd["email"]
    assert recipients_of(changed(odd, OURS, [A], kept(A)).mechanisms) == {A}


def test_those_for_whom_nothing_is_to_be_written() -> None:
    assert taken(telling(A), put(B), EVERYBODY) == {A, B}


# --- the mark ------------------------------------------------------------------------------------


def test_a_mark_is_read_as_it_was_written_and_replaced_in_its_place() -> None:
    mark = Mark("edge/example-com", UID, kept(A, B), kept(C))
    text = written(mark, "Call Ada.")
    assert mark_in(text) == mark
    assert text.startswith("Call Ada. Kept by aop-operator")
    again = written(put(), f"{text} Or Bob.")
    assert mark_in(again) == put()
    assert again.endswith("Or Bob.")
    assert again.count("Kept by") == 1
    assert unmarked(text) == "Call Ada."


@pytest.mark.parametrize("text", ["", "Kept by aop-operator", "Kept by aop-operator for me (uid=)"])
def test_a_text_without_a_mark_has_none(text: str) -> None:
    assert mark_in(text) is None
    assert unmarked(text) == text


def test_a_wish_is_the_same_in_another_order_and_another_one_with_another_address() -> None:
    def digest(*email: str) -> str:
        return asked_digest(Alerts(email=email))

    assert digest("a@example.com", "b@example.com") == digest("b@example.com", "a@example.com")
    assert digest("a@example.com") != digest("b@example.com")


# --- whatever anybody does -----------------------------------------------------------------------

some = st.frozensets(st.sampled_from(EVERYBODY))
turns = st.lists(st.tuples(st.sampled_from(["ask", "add", "take out"]), some), max_size=12)


def hands(
    there: frozenset[Recipient], turn: str, whom: Iterable[Recipient]
) -> frozenset[Recipient]:
    """What a person makes of it."""
    return there | set(whom) if turn == "add" else there - set(whom)


@given(turns)
def test_nobody_whom_only_a_person_has_put_is_ever_taken_out_and_no_look_writes_twice(
    played: list[tuple[str, frozenset[Recipient]]],
) -> None:
    mechanisms: dict[str, Any] = {}
    mark, wished = OURS, frozenset[Recipient]()
    theirs: frozenset[Recipient] = frozenset()
    for turn, whom in played:
        if turn == "ask":
            wished = whom
        else:
            there = recipients_of(mechanisms)
            theirs = theirs | (whom - there) if turn == "add" else theirs - whom
            mechanisms = telling(*hands(there, turn, whom))
        # Whom a person puts back after taking out what was ours counts as ours still.
        ours = {one for one in EVERYBODY if one.digest in mark.put}
        change = changed(mechanisms, mark, wished, kept(*wished))
        mechanisms, mark = dict(change.mechanisms), change.mark
        theirs -= ours
        assert theirs <= recipients_of(mechanisms)
        assert change.missing == wished - recipients_of(mechanisms)
        assert not changed(mechanisms, mark, wished, kept(*wished)).differs
