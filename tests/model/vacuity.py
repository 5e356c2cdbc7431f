"""Nothing holds because nothing happens: every rule, step and reason of the plan and every move of the model fires in some world."""

from __future__ import annotations

import ast
import re
from collections import Counter
from itertools import product
from pathlib import Path
from typing import get_args

import aop.plan
from aop.errors import Reason
from aop.plan import PROTECT, RULES, TEARDOWN
from aop.steps import Effect
from model.explore import Result
from model.interference import ILLS

SILENT = {
    "strangers_are_refused": "origins_answer waits for the same before",
    "what_protects_is_noted": "no object of the model refuses a note",
}
"""Rules that never answer, and why."""
MOVES = ("progress", "interference", "operate")
"""The modules whose lines are moves."""


def lines_of_the_model() -> set[str]:
    """A pattern for each line that a move can have: every sentence in a tuple of the modules of `MOVES`, or a key of `ILLS`."""
    lines: set[str] = set()
    for module in MOVES:
        tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Tuple):
                lines |= {
                    pattern for one in node.elts for pattern in patterns(one) if " " in pattern
                }
    return lines | {re.escape(ill) for ill in ILLS}


def patterns(node: ast.expr) -> set[str]:
    """What the texts that an expression makes look like; each alternative by itself."""
    match node:
        case ast.Constant(value=str() as text):
            return {re.escape(text)}
        case ast.IfExp(body=body, orelse=orelse):
            return patterns(body) | patterns(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return {a + b for a in patterns(left) for b in patterns(right)}
        case ast.FormattedValue(value=value):
            return patterns(value) or {".*"}
        case ast.JoinedStr(values=values):
            return {"".join(parts) for parts in product(*(patterns(value) for value in values))}
    return set()


def reasons_of_the_plan() -> set[str]:
    """Every reason that a module of `aop.plan` names."""
    given = set()
    for module in Path(aop.plan.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "Reason"
            ):
                given.add(Reason[node.attr].value)
    return given


def unmet(results: list[Result]) -> list[str]:
    """What never fired, in words; the counts of what did are printed."""
    rules, steps, reasons, happened = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for result in results:
        rules += result.fired
        steps += result.steps
        reasons += result.pauses
        happened += result.happened
    moves = Counter(
        {
            pattern: sum(n for line, n in happened.items() if re.match(pattern, line))
            for pattern in lines_of_the_model()
        }
    )
    for what, counts in (("rules", rules), ("steps", steps), ("reasons", reasons)):
        print(
            f"{what}: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()) if name)}"
        )
    print(
        "moves:",
        *(f"    {count:8d} {plain(pattern)}" for pattern, count in sorted(moves.items()) if count),
        sep="\n",
    )
    wanted_steps = {effect.__name__ for effect in get_args(Effect)}
    wanted_rules = {rule.__name__ for rule in (*PROTECT, *RULES, *TEARDOWN)}
    return sorted(
        [f"rule {name}" for name in wanted_rules - set(rules) - set(SILENT)]
        + [f"step {name}" for name in wanted_steps - set(steps)]
        + [f"reason {name}" for name in reasons_of_the_plan() - set(reasons)]
        + [f"move {plain(pattern)}" for pattern, count in moves.items() if not count]
    )


def plain(pattern: str) -> str:
    """A pattern as a sentence."""
    return re.sub(r"\\(.)", r"\1", pattern.replace(".*", "…"))
