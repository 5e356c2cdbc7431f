"""What a replica's answers show: which revision it runs and since when for sure, how strict it is, and whom it serves."""

from __future__ import annotations

from typing import cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.observe.memory import ReplicaMemory
from aop.observe.origin import SETTLED_AFTER_S, _behaviour, _look, origins_of
from aop.observed import HostBehaviour
from aop.origins import Mode, ObjectKey
from aop.origins.spec import ForeignText
from aop.probe import Answer, Asked, ClientIdentity, Failure, FailureKind, Presented
from builders import APEX, KEY, LEAF, NEXT, NOW, TARGET, UID, at, spec


class Identity:
    """All that is asked of an identity here."""

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256


IDENTITIES = {
    Presented.OURS: cast("ClientIdentity", Identity(LEAF.sha256)),
    Presented.NEXT: cast("ClientIdentity", Identity(NEXT.sha256)),
}
SERVED, REFUSED = Answer(204), Answer(400, "No required SSL certificate was sent")
TIMEOUT = Failure(FailureKind.TIMEOUT, "no answer within 5 s")


def check(presented: str = "none", revision: int = 7) -> Answer:
    return Answer(200, f"aop rev={revision} zone=zabcd presented={presented} https=on conn=1. nonce=\n")


def asked(gate: dict[Presented, Answer | Failure], stranger: Answer | None = None) -> tuple[Asked, ...]:
    """One round; who is not named in `gate` is served. The check path shows the stranger's certificate unless told otherwise."""
    shown = {Presented.FOREIGN: stranger or check("other"), Presented.OURS: check(LEAF.short), Presented.NEXT: check(NEXT.short)}
    return tuple(Asked(APEX, one, shown.get(one, check()), gate.get(one, SERVED)) for one in Presented)


@pytest.mark.parametrize(
    ("gate", "stranger", "mode"),
    [
        ({Presented.NONE: REFUSED, Presented.FOREIGN: REFUSED}, None, Mode.REQUIRE),
        ({Presented.FOREIGN: REFUSED}, None, Mode.OPTIONAL),
        ({}, None, Mode.REQUEST),
        ({}, REFUSED, Mode.REQUEST),
        ({}, check("none"), Mode.OFF),
    ],
    ids=["none is refused", "only the stranger", "nobody, but it was asked", "nginx refuses what is expired", "nobody was asked"],
)
def test_how_strict_it_is_follows_from_whom_it_refuses(
    gate: dict[Presented, Answer | Failure], stranger: Answer | None, mode: Mode
) -> None:
    assert _behaviour(APEX, asked(gate, stranger), IDENTITIES).mode is mode


def test_whom_it_serves_and_whom_it_refuses_is_told_leaf_by_leaf() -> None:
    found = _behaviour(APEX, asked({Presented.NONE: REFUSED, Presented.FOREIGN: REFUSED, Presented.NEXT: REFUSED}), IDENTITIES)
    assert found == HostBehaviour(APEX, Mode.REQUIRE, frozenset({LEAF.sha256}), frozenset({NEXT.sha256}))


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_an_answer_that_is_not_the_gates_own_says_neither(status: int) -> None:
    """It must not pass for an accepted leaf: an upload is to come after it."""
    found = _behaviour(APEX, asked({Presented.OURS: Answer(status)}), IDENTITIES)
    assert (found.accepts, found.refuses) == (frozenset({NEXT.sha256}), frozenset())


# --- the revision ----------------------------------------------------------------------------------------------------------------


def test_a_revision_is_settled_when_it_is_seen_again_half_a_second_later() -> None:
    """Old workers accept for another 0.1 s after a new one has answered."""
    seen = ReplicaMemory()
    shown = []
    for after_s in (0, SETTLED_AFTER_S - 0.01, SETTLED_AFTER_S):
        assert _look(seen, asked({}), at(after_s))
        shown.append((seen.revision, seen.settled))
    assert shown == [(7, False), (7, False), (7, True)]
    assert SETTLED_AFTER_S >= 0.5


def with_revision(revision: int) -> tuple[Asked, ...]:
    return tuple(Asked(APEX, one, check(revision=revision), SERVED) for one in (Presented.NONE, Presented.FOREIGN))


def test_another_revision_begins_again_and_forgets_what_was_probed() -> None:
    seen = ReplicaMemory()
    for moment in (NOW, at(1)):
        _look(seen, with_revision(7), moment)
    seen.probed[APEX] = NOW
    _look(seen, with_revision(8), at(2))
    assert (seen.revision, seen.settled, seen.probed) == (8, False, {})


def test_answers_of_two_revisions_are_of_none() -> None:
    """An old worker and a new one answered the same round."""
    seen = ReplicaMemory()
    _look(seen, (with_revision(7)[0], with_revision(8)[1]), NOW)
    assert (seen.revision, seen.settled) == (None, False)


@pytest.mark.parametrize("stranger_s", [Answer(404, "not found"), Answer(200, "<html>"), Answer(500, check().body)])
def test_what_is_not_our_check_path_has_no_revision(stranger_s: Answer) -> None:
    seen = ReplicaMemory()
    _look(seen, (Asked(APEX, Presented.NONE, stranger_s, stranger_s),), NOW)
    assert seen.revision is None


def test_a_failure_is_told_and_what_was_settled_is_not_any_more() -> None:
    seen = ReplicaMemory()
    for moment in (NOW, at(1)):
        _look(seen, with_revision(7), moment)
    assert not _look(seen, (Asked(APEX, Presented.NONE, TIMEOUT, TIMEOUT),), at(2))
    assert (seen.error, seen.settled) == ("no answer within 5 s", False)
    assert _look(seen, with_revision(7), at(3))
    assert seen.error is None


# --- which origins ---------------------------------------------------------------------------------------------------------------


def test_what_was_claimed_and_left_the_spec_is_still_an_origin() -> None:
    pull = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
    old = ObjectKey("old", "controller")
    named, left = origins_of(pull, (TARGET, old))
    assert (named.name, named.target, named.wanted, named.foreign) == ("public", TARGET, True, ForeignText.REFUSE)
    assert (left.target, left.wanted, left.foreign) == (old, False, ForeignText.MERGE)
    assert str(old.name) in left.name
