"""Nothing holds because nothing happens: every rule, step and reason of the plan fires in some world."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import get_args

import aop.plan
from aop.errors import Reason
from aop.plan import PROTECT, RULES, TEARDOWN
from aop.steps import Effect
from model.explore import Result

SILENT = {"finalizer_is_set": "only waits"}


def reasons_of_the_plan() -> set[str]:
    """Every reason that a module of `aop.plan` names."""
    found = set()
    for module in Path(aop.plan.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
                found.add(Reason[node.attr].value)
    return found


def unmet(results: list[Result]) -> list[str]:
    """What never fired, in words; the counts of what did are printed."""
    rules, steps, reasons = Counter[str](), Counter[str](), Counter[str]()
    for result in results:
        rules += result.fired
        steps += result.steps
        reasons += result.said
    for what, counts in (("rules", rules), ("steps", steps), ("reasons", reasons)):
        print(f"{what}: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()) if name)}")
    wanted_steps = {effect.__name__ for effect in get_args(Effect)}
    wanted_rules = {rule.__name__ for rule in (*PROTECT, *RULES, *TEARDOWN)}
    return sorted(
        [f"rule {name}" for name in wanted_rules - set(rules)]
        + [f"step {name}" for name in wanted_steps - set(steps)]
        + [f"reason {name}" for name in reasons_of_the_plan() - set(reasons)]
    )
