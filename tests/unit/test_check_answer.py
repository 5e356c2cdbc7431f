"""The check path's one line, in whichever part of an answer a server can say it."""

from __future__ import annotations

import pytest

from aop.origins.check import ANSWER_PATH, CheckAnswer, answer_in

LINE = "aop rev=00000007 zone=zabcd presented=01234567 https=on conn=1. nonce=abc-1_2"
SEEN = CheckAnswer(7, "01234567", https=True, fresh=True, nonce="abc-1_2")
PLACE = f"https://www.example.com{ANSWER_PATH}{LINE.replace(' ', '%20')}"


def test_it_stands_in_the_body_or_in_the_place_that_the_answer_leads_to() -> None:
    assert answer_in(200, f"{LINE}\n", None) == SEEN
    assert answer_in(302, "Found", PLACE) == SEEN


@pytest.mark.parametrize(
    ("status", "body", "location"),
    [
        (404, f"{LINE}\n", None),
        (200, "Found", PLACE),
        (301, "Found", PLACE),
        (302, f"{LINE}\n", None),
        (302, "Found", "https://www.example.com/"),
        (302, "Found", PLACE.replace("rev=", "rev=x")),
        (302, "Found", f"{PLACE}%0Amore"),
        (302, "Found", f"{PLACE}?n=more"),
        (302, "Found", PLACE.replace("abc", "%3Cb%3E")),
        (302, "Found", PLACE.replace("abc", "%25")),
    ],
)
def test_nothing_else_is_one(status: int, body: str, location: str | None) -> None:
    assert answer_in(status, body, location) is None
