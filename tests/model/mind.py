"""The rules under test, asked once per distinct sight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aop.observed import Observed
from aop.plan import PROTECT, RULES, TEARDOWN, Rule, next_step
from aop.steps import Done, Step
from model.real import abstract_step, realise
from model.sight import Sight

Decision = tuple[tuple[Any, ...], str, str]
"""(the step in the model's words, its plain line, the rule that named it)."""


@dataclass
class Mind:
    """The rules under test, with what they answered to each distinct sight."""

    protect: tuple[Rule, ...] = PROTECT
    rules: tuple[Rule, ...] = RULES
    teardown: tuple[Rule, ...] = TEARDOWN
    eyes: Callable[[Observed], Observed] | None = None
    """A mutant may look at something else than it should."""
    memory: dict[Sight, Decision] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    waiting: set[str] = field(default_factory=set)
    """The rules that have waited for something."""

    def decide(self, sight: Sight) -> Decision:
        """(the step, its plain line, the rule that named it)."""
        if (known := self.memory.get(sight)) is None:
            o = realise(sight)
            step = next_step(self.eyes(o) if self.eyes else o, self.protect, self.rules, self.teardown)
            rule = "" if isinstance(step, Done) else self.author(o, step)
            known = self.memory[sight] = (abstract_step(step, sight, o), str(step), rule)
        self.fired[known[2]] += 1
        if known[0][0] == "Wait":
            self.waiting.add(known[2])
        if known[0][0] in {"Wait", "Block"}:
            self.said[str(known[0][1])] += 1
        return known

    def author(self, o: Observed, step: Step) -> str:
        """The rule that answered."""
        seen = self.eyes(o) if self.eyes else o
        for rule in (*self.protect, *(self.teardown if o.object.deleting else self.rules)):
            if rule(seen) == step:
                return getattr(rule, "__name__", str(rule))
        return ""
