"""What the answers of one replica show about one host: who is let through, who is not, and whether our text answers there at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from aop.observe.behaviour import behaviour_of, revision_told
from aop.observed import HostBehaviour
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.probe import Answer, Asked, ClientIdentity, Failure, FailureKind, Presented
from aop.terms import Mode
from builders import APEX, LEAF, NEXT


class NamedIdentity:
    """All that is asked of an identity here."""

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256


IDENTITIES = {
    Presented.OURS: cast("ClientIdentity", NamedIdentity(LEAF.sha256)),
    Presented.NEXT: cast("ClientIdentity", NamedIdentity(NEXT.sha256)),
}
SERVED, REFUSED = Answer(204), Answer(400, "<center>No required SSL certificate was sent</center>")
NONE, FOREIGN, OURS, FOLLOWING = Presented.NONE, Presented.FOREIGN, Presented.OURS, Presented.NEXT
STRANGERS = (NONE, FOREIGN)

Outcome = Answer | Failure
Gates = Mapping[Presented, Outcome]


def check(presented: str = "none", revision: int = 7) -> Answer:
    return Answer(
        200, f"aop rev={revision} zone=zabcd presented={presented} https=on conn=1. nonce=\n"
    )


SHOWN: Mapping[Presented, Outcome] = {
    FOREIGN: check("other"),
    OURS: check(LEAF.short),
    FOLLOWING: check(NEXT.short),
}


def asked(gate: Gates, checks: Mapping[Presented, Outcome] | None = None) -> tuple[Asked, ...]:
    """One round; who is not named in `gate` is served.

    The check path shows what was presented unless told otherwise.
    """
    check_answers = {**SHOWN, **(checks or {})}
    return tuple(
        Asked(APEX, one, check_answers.get(one, check()), gate.get(one, SERVED))
        for one in Presented
    )


REFUSES = INGRESS_NGINX.refuses_certificate


def seen(
    gate: Gates, checks: Mapping[Presented, Outcome] | None = None, *, own: bool = False
) -> HostBehaviour:
    return behaviour_of(APEX, asked(gate, checks), IDENTITIES, REFUSES, own=own)


@pytest.mark.parametrize(
    ("shown", "believes"), [("none", ()), ("other", ("X-Came",)), (LEAF.short, ("X-Came",))]
)
def test_who_claims_in_a_header_to_have_come_with_a_certificate_is_believed_where_the_check_path_says_so(
    shown: str, believes: tuple[str, ...]
) -> None:
    one = asked({}, {NONE: check(shown)})
    behaviour = behaviour_of(APEX, one, IDENTITIES, REFUSES, own=False, told_by=("X-Came",))
    assert behaviour.believes == believes
    assert seen({}, {NONE: check(shown)}).believes == (), "of other kinds no header tells it"


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
    ids=[
        "none is refused",
        "only the stranger",
        "nobody, but it was asked",
        "nginx refuses what is expired",
        "nobody was asked",
    ],
)
def test_how_strict_it_is_follows_from_whom_it_refuses(
    gate: Gates, stranger: Answer | None, mode: Mode
) -> None:
    assert seen(gate, {FOREIGN: stranger} if stranger else None).mode is mode


def test_whom_it_serves_and_whom_it_refuses_is_told_leaf_by_leaf() -> None:
    behaviour = seen({NONE: REFUSED, FOREIGN: REFUSED, FOLLOWING: REFUSED})
    assert behaviour == HostBehaviour(
        APEX, Mode.REQUIRE, frozenset({LEAF.sha256}), frozenset({NEXT.sha256})
    )


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_that_is_busy_or_broken_neither_serves_nor_refuses(status: int) -> None:
    """It must not pass for an accepted leaf, because an upload is to come after it; nor for a refusal, because a relaxation would."""
    behaviour = seen({OURS: Answer(status)})
    assert (behaviour.accepts, behaviour.refuses, behaviour.odd) == (
        frozenset({NEXT.sha256}),
        frozenset(),
        None,
    )
    assert seen(dict.fromkeys(STRANGERS, Answer(status))).mode is Mode.REQUEST


# --- refusal is not a status ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        Answer(302, location="https://login.example.com/"),
        Answer(200, "<h1>Please log in</h1>"),
        Answer(403, "forbidden"),
        Answer(404),
        Failure(FailureKind.RESET, "the connection was closed before the answer was complete"),
    ],
    ids=["a redirect", "a page that looks well", "403", "404", "nothing at all (return 444)"],
)
def test_a_page_in_place_of_nginx_s_own_is_a_refusal_where_our_certificate_passes(
    page: Outcome,
) -> None:
    """`error_page 495 496`, `custom-http-errors`, `auth-tls-error-page`: strangers never get the application, whatever they get."""
    behaviour = seen(dict.fromkeys(STRANGERS, page))
    assert (behaviour.mode, behaviour.accepts, behaviour.refuses, behaviour.odd) == (
        Mode.REQUIRE,
        frozenset({LEAF.sha256, NEXT.sha256}),
        frozenset(),
        None,
    )
    assert seen({FOREIGN: page}).mode is Mode.OPTIONAL


def test_a_leaf_of_ours_that_gets_a_page_where_others_pass_is_refused() -> None:
    """It is ours that is compared with whoever passes, another leaf or nobody's certificate."""
    page = Answer(403, "forbidden")
    assert seen({**dict.fromkeys(STRANGERS, page), FOLLOWING: page}).refuses == {NEXT.sha256}
    assert seen(dict.fromkeys((OURS, FOLLOWING), page)).refuses == {LEAF.sha256, NEXT.sha256}


def test_a_leaf_that_the_server_refuses_even_on_the_check_path_is_refused_and_not_odd() -> None:
    """Not yet valid by the clock of one node: before a leaf is uploaded it has to be seen that this pod refuses it, not be passed over."""
    behaviour = seen(
        {**dict.fromkeys(STRANGERS, REFUSED), FOLLOWING: REFUSED}, {FOLLOWING: REFUSED}
    )
    assert behaviour == HostBehaviour(
        APEX, Mode.REQUIRE, frozenset({LEAF.sha256}), frozenset({NEXT.sha256})
    )


@pytest.mark.parametrize("status", [400, 403, 404])
def test_without_a_certificate_of_ours_a_page_says_nothing_and_nginx_s_own_refusal_does(
    status: int,
) -> None:
    """The key pair is lost: there is nothing to compare with."""

    def seen_by_strangers(gate: Answer) -> HostBehaviour:
        both = tuple(
            one for one in asked(dict.fromkeys(STRANGERS, gate)) if one.presented in STRANGERS
        )
        return behaviour_of(APEX, both, {}, REFUSES, own=False)

    behaviour = seen_by_strangers(Answer(status, "a page of others"))
    assert (behaviour.mode, behaviour.odd) == (
        Mode.REQUEST,
        f"HTTP {status} on the operator's gate path",
    )
    strict = seen_by_strangers(REFUSED)
    assert (strict.mode, strict.odd) == (Mode.REQUIRE, None)


# --- hosts at which somebody else answers ------------------------------------------------------------------------------------------

TLS_ALERT = Failure(
    FailureKind.TLS, "192.0.2.1:443 (example.com): the TLS handshake: unrecognized name"
)
REDIRECT = Answer(308, location="https://www.example.com/.well-known/aop-operator/k3y/check")


@pytest.mark.parametrize(
    ("answer", "odd"),
    [
        (
            REDIRECT,
            "HTTP 308 to https://www.example.com/.well-known/aop-operator/k3y/check on the operator's check path",
        ),
        (Answer(403, "blocked"), "HTTP 403 on the operator's check path"),
        (Answer(404), "HTTP 404 on the operator's check path"),
        (Answer(200, "<html>the application"), "HTTP 200 on the operator's check path"),
        (
            Answer(302, location="https://evil.example/\x1b[2J" + "x" * 99),
            f"HTTP 302 to https://evil.example/ [2J{'x' * 34}… on the operator's check path",
        ),
        (TLS_ALERT, f"nothing on the operator's check path ({TLS_ALERT.text})"),
        (
            REFUSED,
            "HTTP 400 on the operator's check path, because client certificates are verified there by somebody else's configuration",
        ),
    ],
    ids=[
        "a redirect",
        "a page of 403",
        "404",
        "the application",
        "an answer with escapes",
        "a TLS alert",
        "verifies by itself: on",
    ],
)
def test_a_host_at_which_somebody_else_answers_everything_is_odd_and_shows_nothing(
    answer: Outcome, odd: str
) -> None:
    """Neither that it is open, nor that it refuses by our doing."""
    every = dict.fromkeys(Presented, answer)
    behaviour = seen(every, every)
    assert (behaviour.odd, behaviour.accepts) == (odd, frozenset())
    assert behaviour.mode < Mode.OPTIONAL, (
        "whoever refuses there, it is not our text, from which the check path is exempt"
    )


def test_an_ingress_that_verifies_optionally_by_itself_is_odd_and_refuses_ours_by_its_own_doing() -> (
    None
):
    """Without a certificate everything is served; with any, its own authority decides."""
    presented = dict.fromkeys((FOREIGN, OURS, FOLLOWING), REFUSED)
    behaviour = seen(presented, presented, own=True)
    assert behaviour.own
    assert (behaviour.mode, behaviour.accepts, behaviour.refuses) == (
        Mode.REQUEST,
        frozenset[str](),
        frozenset({LEAF.sha256, NEXT.sha256}),
    )
    assert str(behaviour.odd).startswith("HTTP 400 on the operator's check path")


def test_where_our_check_path_answers_and_our_gate_does_not_nothing_is_seen_either() -> None:
    behaviour = seen(dict.fromkeys(Presented, Answer(404)))
    assert (behaviour.odd, behaviour.accepts, behaviour.refuses) == (
        "HTTP 404 on the operator's gate path",
        frozenset(),
        frozenset(),
    )


def test_what_is_served_as_ever_is_not_odd() -> None:
    assert seen({}).odd is None
    assert seen(dict.fromkeys(STRANGERS, REFUSED)).odd is None
    assert seen(dict.fromkeys(Presented, REFUSED)).odd is None, (
        "our own text refuses a leaf that it does not know"
    )


# --- the revision --------------------------------------------------------------------------------------------------------------------


def test_a_revision_is_told_by_any_answer_of_our_check_path() -> None:
    assert revision_told(asked({})) == 7
    assert revision_told(asked({}, dict.fromkeys((NONE, FOREIGN, OURS), Answer(404)))) == 7


def test_answers_of_two_revisions_are_of_none() -> None:
    """An old worker and a new one answered the same round."""
    assert revision_told(asked({}, {OURS: check(LEAF.short, revision=8)})) is None


@pytest.mark.parametrize(
    "strangers",
    [Answer(404, "not found"), Answer(200, "<html>"), Answer(500, check().body), Answer(308)],
)
def test_what_is_not_our_check_path_has_no_revision(strangers: Answer) -> None:
    assert revision_told(asked({}, dict.fromkeys(Presented, strangers))) is None
