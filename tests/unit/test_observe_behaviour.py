"""What the answers of one replica show about one host: who is let through, who is not, and whether our text answers there at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from aop.observe.behaviour import behaviour_of, revision_told
from aop.observed import HostBehaviour
from aop.origins import Mode
from aop.probe import Answer, Asked, ClientIdentity, Failure, Presented
from builders import APEX, LEAF, NEXT


class Identity:
    """All that is asked of an identity here."""

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256


IDENTITIES = {
    Presented.OURS: cast("ClientIdentity", Identity(LEAF.sha256)),
    Presented.NEXT: cast("ClientIdentity", Identity(NEXT.sha256)),
}
SERVED, REFUSED = Answer(204), Answer(400, "<center>No required SSL certificate was sent</center>")
NONE, FOREIGN, OURS, FOLLOWING = Presented.NONE, Presented.FOREIGN, Presented.OURS, Presented.NEXT
STRANGERS = (NONE, FOREIGN)

Said = Answer | Failure
Gates = Mapping[Presented, Said]


def check(presented: str = "none", revision: int = 7) -> Answer:
    return Answer(200, f"aop rev={revision} zone=zabcd presented={presented} https=on conn=1. nonce=\n")


SHOWN: Mapping[Presented, Said] = {FOREIGN: check("other"), OURS: check(LEAF.short), FOLLOWING: check(NEXT.short)}


def asked(gate: Gates, checks: Mapping[Presented, Said] | None = None) -> tuple[Asked, ...]:
    """One round; who is not named in `gate` is served. The check path shows what was presented unless told otherwise."""
    told = {**SHOWN, **(checks or {})}
    return tuple(Asked(APEX, one, told.get(one, check()), gate.get(one, SERVED)) for one in Presented)


def seen(gate: Gates, checks: Mapping[Presented, Said] | None = None, *, own: bool = False) -> HostBehaviour:
    return behaviour_of(APEX, asked(gate, checks), IDENTITIES, own=own)


# --- how strict, and to whom ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "stranger", "mode"),
    [
        ({NONE: REFUSED, FOREIGN: REFUSED}, None, Mode.REQUIRE),
        ({FOREIGN: REFUSED}, None, Mode.OPTIONAL),
        ({}, None, Mode.REQUEST),
        ({}, REFUSED, Mode.REQUEST),
        ({}, check("none"), Mode.OFF),
    ],
    ids=["none is refused", "only the stranger", "nobody, but it was asked", "nginx refuses what is expired", "nobody was asked"],
)
def test_how_strict_it_is_follows_from_whom_it_refuses(gate: Gates, stranger: Answer | None, mode: Mode) -> None:
    assert seen(gate, {FOREIGN: stranger} if stranger else None).mode is mode


def test_whom_it_serves_and_whom_it_refuses_is_told_leaf_by_leaf() -> None:
    found = seen({NONE: REFUSED, FOREIGN: REFUSED, FOLLOWING: REFUSED})
    assert found == HostBehaviour(APEX, Mode.REQUIRE, frozenset({LEAF.sha256}), frozenset({NEXT.sha256}))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_that_is_busy_or_broken_neither_serves_nor_refuses(status: int) -> None:
    """It must not pass for an accepted leaf, because an upload is to come after it; nor for a refusal, because a relaxation would."""
    found = seen({OURS: Answer(status)})
    assert (found.accepts, found.refuses, found.odd) == (frozenset({NEXT.sha256}), frozenset(), None)
    assert seen(dict.fromkeys(STRANGERS, Answer(status))).mode is Mode.REQUEST


# --- the revision --------------------------------------------------------------------------------------------------------------------


def test_a_revision_is_told_by_any_answer_of_our_check_path() -> None:
    assert revision_told(asked({})) == 7
    assert revision_told(asked({}, dict.fromkeys((NONE, FOREIGN, OURS), Answer(404)))) == 7


def test_answers_of_two_revisions_are_of_none() -> None:
    """An old worker and a new one answered the same round."""
    assert revision_told(asked({}, {OURS: check(LEAF.short, revision=8)})) is None


@pytest.mark.parametrize("strangers", [Answer(404, "not found"), Answer(200, "<html>"), Answer(500, check().body), Answer(308)])
def test_what_is_not_our_check_path_has_no_revision(strangers: Answer) -> None:
    assert revision_told(asked({}, dict.fromkeys(Presented, strangers))) is None
