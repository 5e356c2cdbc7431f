"""Since which revision a claim stands, whoever looks when."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aop.observe.published import PublishedMemory
from aop.origins.sites import Entry, Published
from aop.terms import Claim
from builders import ASKING, REQUIRING, at

UID = REQUIRING.uid


def says(revision: int, claim: Claim | None = REQUIRING, *, intact: bool = True) -> Published:
    """What the carrier says; None: it says nothing of the object."""
    entries: Mapping[str, Entry] = {} if claim is None else {UID: Entry(claim)}
    return Published(entries, revision=revision, intact=intact, text_digest=str(revision))


def read(*all_published: Published) -> PublishedMemory:
    memory = PublishedMemory()
    for second, published in enumerate(all_published):
        memory.notice(published, at(second))
    return memory


def test_a_claim_stands_since_it_was_first_read_and_not_since_its_object_first_looked() -> None:
    """A neighbour's edit right after a start is written before most objects have looked."""
    followed = read(says(5), says(6)).follow(UID)
    assert (followed.since, followed.published_at) == (5, at(0))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (says(5, ASKING), says(6)),
        (says(5, None), says(6)),
        (says(5, intact=False), says(6)),
        (says(9), says(6)),
    ],
    ids=["it said less", "it was not there", "the text was damaged", "the text was put back"],
)
def test_a_claim_that_was_not_there_as_it_is_stands_since_now(
    before: Published, now: Published
) -> None:
    followed = read(before, now).follow(UID)
    assert (followed.since, followed.published_at) == (6, at(1))


def test_a_claim_that_was_away_between_two_looks_stands_since_it_is_back() -> None:
    """Replicas may have run the text in between, and what was seen of them before is no proof."""
    memory = read(says(5))
    memory.follow(UID).applied_at = at(0)
    memory.notice(says(6, ASKING), at(1))
    memory.notice(says(7), at(2))
    followed = memory.follow(UID)
    assert (followed.since, followed.applied_at) == (7, None)


def test_of_a_damaged_text_nobody_knows_since_when_it_says_what() -> None:
    assert read(says(5), says(6, intact=False)).follow(UID).since is None


def test_an_object_of_which_nothing_is_said_stands_since_it_first_looked() -> None:
    memory = read(says(5, None))
    memory.follow(UID)
    memory.notice(says(6, None), at(1))
    assert memory.follow(UID).since == 5
