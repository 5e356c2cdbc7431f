"""The rules' state space in small: worlds of one zone without lost answers, and that a mistake in the rules is found there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aop.errors import Reason
from aop.observed import Configured, Evidence, Observed, ObservedOrigin
from aop.plan import next_step
from aop.reconcile import TRACE, Pass
from aop.steps import Publish, Upload, Wait
from model.decisions import Decision, Decisions
from model.explore import explore
from model.moves import FAIR, moves
from model.mutants import Mutant, generated
from model.observation import Observation, observe
from model.real import realise
from model.replay import violations
from model.settings import AT_REST, ONE_ZONE, SETTINGS
from model.vacuity import lines_of_the_model
from model.world import World

LARGE = (
    "edits of the spec",
    "onboarding, rotated on the way",
    "rotation",
    "rotation of a referenced Secret, and back",
    "rotation, removed on the way",
    "rotation, the pods are replaced to take up a text",
    "rotation, the edge keeps its connections",
)
"""Of one zone; `make quick` leaves them to `make test`."""
RESTING = realise(observe(AT_REST, 0, SETTINGS["removal"]))


REMEMBERED: dict[Observation, Decision] = {}
"""What the rules answered in the worlds that were walked before: they are pure."""


def worlds() -> list[Any]:
    """Each by its name; the large ones carry a mark."""
    return [
        pytest.param(it.name, marks=[pytest.mark.large] if it.name in LARGE else [])
        for it in ONE_ZONE
    ]


@pytest.mark.parametrize("name", worlds())
def test_no_promise_breaks_in_any_world_of(name: str) -> None:
    result = explore(SETTINGS[name], Decisions(memory=REMEMBERED))
    assert result.complete
    assert result.violations == {}, "\n".join(
        line for _, trace in result.violations.values() for line in trace
    )
    assert result.states > 500


FATAL = {
    "published_text_is_taken_up is dropped": "onboarding, the pods are replaced to take up a text",
    "origins_are_as_found is dropped": "onboarding, removed on the way",
    "hosts_are_proven is dropped": "onboarding, the edge keeps its connections",
    "origins_refuse_nobody is dropped": "removal",
}
"""Mistakes, and worlds in which each breaks a promise."""


@pytest.mark.parametrize(
    "mutant", [m for m in generated() if m.name in FATAL], ids=lambda m: m.name
)
def test_a_mistake_in_the_rules_is_found(mutant: Mutant) -> None:
    decisions = Decisions(mutant.protect, mutant.rules, mutant.teardown, mutant.eyes)
    assert explore(SETTINGS[FATAL[mutant.name]], decisions, stop=True).violations


def test_every_module_of_moves_has_lines() -> None:
    """They are read from its source, at the end of a walk of many minutes."""
    assert len(lines_of_the_model()) > 50


def test_a_recorded_run_that_waits_is_a_path_of_the_model() -> None:
    assert violations([line(replace(RESTING, still=True))]) == []


def test_a_recorded_step_that_the_rules_would_not_take_is_told() -> None:
    other = Pass(RESTING, "Wait", Wait(Reason.PROGRESSING, "made up", 1.0))
    assert violations([TRACE.dump_json(other, by_alias=True).decode()])


def test_a_requirement_without_a_window_is_told() -> None:
    origin = RESTING.origins[0]
    assert isinstance(origin.configured, Configured)
    assert origin.configured.claim is not None
    young = replace(
        RESTING,
        evidence=(),
        origins=(replace(origin, configured=replace(origin.configured, claim=None)),),
    )
    step = Publish("public", origin.target, origin.configured.claim, "too early")
    complaints = violations([TRACE.dump_json(Pass(young, "Publish", step), by_alias=True).decode()])
    assert any("without a whole window" in one for one in complaints)


def test_an_upload_that_no_record_names_is_told() -> None:
    pin = RESTING.key_pair.leaf  # type: ignore[union-attr]
    bare = replace(
        RESTING, object=replace(RESTING.object, record=replace(RESTING.record, uploaded=()))
    )
    complaints = violations(
        [TRACE.dump_json(Pass(bare, "Upload", Upload("0" * 32, pin)), by_alias=True).decode()]
    )
    assert any("no record names" in one for one in complaints)


def lived() -> list[Observed]:
    """The looks of one onboarding in the model, in which everything finishes in turn."""
    s, decisions = SETTINGS["onboarding"], Decisions()
    w, seen, looks = s.start[0], set[World](), list[Observed]()
    while True:
        seen.add(w)
        observation = observe(w, 0, s)
        looks.append(realise(observation))
        if decisions.decide(observation)[0][0] == "Done":
            return looks
        w = next(
            after for kind, _, after in moves(w, s, decisions) if kind in FAIR and after not in seen
        )
        if w.zones[0].plan is not None:
            w = next(after for kind, _, after in moves(w, s, decisions) if kind == "act")


def test_a_whole_life_is_followed_through_the_model() -> None:
    assert violations(map(line, lived())) == []


@pytest.mark.parametrize("effect", ["Note", "Publish", "Issue", "Upload", "SetEnabled"])
def test_a_life_in_which_an_effect_comes_from_nowhere_is_told(effect: str) -> None:
    looks = lived()
    at = max(n for n, o in enumerate(looks) if type(next_step(o)).__name__ == effect)
    assert any(
        "no path of the model" in what
        for what in violations(map(line, looks[:at] + looks[at + 1 :]))
    )


def and_at(it: ObservedOrigin, host: str) -> ObservedOrigin:
    """The same origin, which shows the same at one host more."""
    assert isinstance(it.replicas, tuple)
    replicas = (
        replace(one, hosts=(*one.hosts, replace(one.hosts[0], host=host))) for one in it.replicas
    )
    return replace(it, hosts=(*it.hosts, host), replicas=tuple(replicas))


def test_a_host_is_not_followed_where_another_ones_answer_lets_the_rules_go_on() -> None:
    """The other one answers a moment earlier, and a look falls in between."""
    looks = lived()
    at = next(n for n, o in enumerate(looks) if type(next_step(o)).__name__ == "Issue")
    last = looks[at]
    silent = Evidence(last.evidence[0].host, silence="timed out", silent_since=last.now)
    alone = replace(last, evidence=(silent,))
    assert isinstance(next_step(alone), Wait)
    other = Evidence("other.example.com", last=last.now)
    both = replace(
        alone,
        origins=tuple(and_at(it, other.host) for it in last.origins),
        evidence=(silent, other),
    )
    assert next_step(both) == next_step(last)
    before = [replace(o, evidence=(silent,)) for o in looks[:at]]
    assert violations(map(line, [*before, both, *looks[at + 1 :]])) == []


def line(observed: Observed) -> str:
    """One line of a trace, with the step that the rules take."""
    step = next_step(observed)
    return TRACE.dump_json(Pass(observed, type(step).__name__, step), by_alias=True).decode()
