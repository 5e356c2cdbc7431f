"""How the rules are asked: PROTECT first, then RULES or TEARDOWN, and the first that answers wins."""

from __future__ import annotations

import inspect

import pytest

from aop import plan
from aop.errors import Reason
from aop.observed import Observed
from aop.plan import PROTECT, RULES, TEARDOWN, Rule, next_step
from aop.steps import Done, Step, Wait
from builders import observed


def saying(word: str) -> Rule:
    return lambda _: Wait(Reason.PROGRESSING, word, 1.0)


def silent(_: Observed) -> Step | None:
    return None


@pytest.mark.parametrize(
    ("deleting", "protect", "decision"),
    [
        (False, silent, "rules"),
        (True, silent, "teardown"),
        (False, saying("protect"), "protect"),
        (True, saying("protect"), "protect"),
    ],
)
def test_the_first_rule_that_answers_wins(deleting: bool, protect: Rule, decision: str) -> None:
    world = observed(object={"deleting": deleting})
    step = next_step(
        world, (silent, protect), (silent, saying("rules"), saying("later")), (saying("teardown"),)
    )
    assert isinstance(step, Wait)
    assert step.message == decision


@pytest.mark.parametrize("deleting", [False, True])
def test_where_no_rule_answers_all_is_done(deleting: bool) -> None:
    nothing_left = observed(
        object={"deleting": deleting}, zone={"enabled": False, "certificates": ()}
    )
    assert next_step(nothing_left, (silent,), (silent,), (silent,)) == Done()


def test_the_order_of_the_rules_is_the_safety_argument() -> None:
    """Whoever changes it changes what is promised: docs/adr, docs/architecture.md and the state space have to be looked at again."""
    assert [[rule.__name__ for rule in rules] for rules in (PROTECT, RULES, TEARDOWN)] == [
        [
            "rejected_text_is_withdrawn",
            "no_origin_refuses_the_edge",
            "no_requirement_outlives_its_leaf",
            "enforcement_is_not_exceeded",
            "published_text_is_taken_up",
        ],
        [
            *(
                "finalizer_is_set",
                "what_protects_is_noted",
                "what_was_found_is_recorded",
                "spec_is_acceptable",
            ),
            *("zone_is_ours", "zone_is_eligible"),
            *(
                "origins_are_eligible",
                "origins_answer",
                "key_pair_exists",
                "origins_accept_what_comes_next",
                "cloudflare_holds_certificate",
            ),
            *(
                "zone_presents_certificate",
                "origins_ask",
                "hosts_are_proven",
                "origins_require",
                "strangers_are_refused",
            ),
            *("retired_certificates_are_gone", "dropped_origins_are_as_found"),
        ],
        [
            "origins_refuse_nobody",
            "zone_is_as_found",
            "our_certificates_are_gone",
            "origins_are_as_found",
        ],
    ]


@pytest.mark.parametrize("rule", [*PROTECT, *RULES, *TEARDOWN], ids=lambda rule: rule.__name__)
def test_every_rule_is_named_as_a_truth_and_says_more_in_its_docstring(rule: Rule) -> None:
    assert inspect.getdoc(rule)
    assert rule.__module__.startswith(f"{plan.__name__}.")
