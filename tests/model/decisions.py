"""The rules under test, asked once per distinct observation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aop.observed import Observed
from aop.plan import PROTECT, RULES, TEARDOWN, Rule, next_step
from aop.steps import Done, Step
from model.observation import Observation
from model.real import abstract_step, realise

Decision = tuple[tuple[Any, ...], str, str]
"""(the step in the model's words, its plain line, the rule that named it)."""


@dataclass
class Decisions:
    """The rules under test, with what they answered to each distinct observation."""

    protect: tuple[Rule, ...] = PROTECT
    rules: tuple[Rule, ...] = RULES
    teardown: tuple[Rule, ...] = TEARDOWN
    eyes: Callable[[Observed], Observed] | None = None
    """A mutant may look at something else than it should."""
    memory: dict[Observation, Decision] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    pauses: Counter[str] = field(default_factory=Counter)
    waiting: set[str] = field(default_factory=set)
    """The rules that have waited for something."""

    def __post_init__(self) -> None:
        """Let each rule say that it was the one that answered."""
        self.author = ""
        self.signed = tuple(
            tuple(map(self.signing, rules)) for rules in (self.protect, self.rules, self.teardown)
        )

    def signing(self, rule: Rule) -> Rule:
        """The rule, whose name is noted where it answers."""

        def signed(o: Observed) -> Step | None:
            if step := rule(o):
                self.author = getattr(rule, "__name__", str(rule))
            return step

        return signed

    def decide(self, observation: Observation) -> Decision:
        """(the step, its plain line, the rule that named it)."""
        if (known := self.memory.get(observation)) is None:
            o = realise(observation)
            step = next_step(self.eyes(o) if self.eyes else o, *self.signed)
            rule = "" if isinstance(step, Done) else self.author
            known = self.memory[observation] = (
                abstract_step(step, observation, o),
                str(step),
                rule,
            )
        self.fired[known[2]] += 1
        if known[0][0] == "Wait":
            self.waiting.add(known[2])
        if known[0][0] in {"Wait", "Block"}:
            self.pauses[str(known[0][1])] += 1
        return known
