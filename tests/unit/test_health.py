"""Fit to serve, and stuck: what each of the two answers depends on."""

from __future__ import annotations

from aop.health import ANSWER_WITHIN_S, OVERDUE_S, Health
from clocks import SetClock


def test_it_is_ready_once_every_kind_was_listed_and_the_api_server_has_answered() -> None:
    health = Health(SetClock(), ("secrets", "configmaps"))
    health.answered()
    health.listed("secrets")
    assert health.unready() == "not listed yet: configmaps"
    health.listed("configmaps")
    assert health.unready() == ""


def test_it_is_not_ready_when_the_api_server_is_silent_for_longer_than_a_minute() -> None:
    clock = SetClock()
    health = Health(clock, ())
    assert health.unready()
    health.answered()
    clock.pass_s(ANSWER_WITHIN_S)
    assert health.unready() == ""
    clock.pass_s(1)
    assert health.unready() == "no answer of the API server for 61 s"
    assert health.stuck() == ""


def test_it_is_stuck_when_a_visit_is_overdue_and_not_when_nobody_waits_for_it() -> None:
    clock = SetClock()
    health = Health(clock, ())
    health.expect("one", 60)
    health.expect("another")
    clock.pass_s(OVERDUE_S)
    assert health.stuck() == ""
    clock.pass_s(1)
    assert health.stuck() == "a visit is overdue by 301 s: another"
    health.forget("another")
    assert health.stuck() == ""
    clock.pass_s(60)
    assert health.stuck() == "a visit is overdue by 301 s: one"


def test_who_stands_for_election_is_ready_while_it_is_known_who_leads() -> None:
    clock = SetClock()
    health = Health(clock, ())
    health.answered()
    assert health.unready() == ""
    health.stand()
    assert "who leads" in health.unready()
    health.elected()
    assert health.unready() == ""
    clock.pass_s(ANSWER_WITHIN_S + 1)
    health.answered()
    assert health.unready() == "who leads is not known for 61 s: the log says why"
    assert health.stuck() == ""
