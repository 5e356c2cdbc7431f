"""How the code reads, where no linter has a rule for it: one thought a line, names that say what they hold, one word for one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from committed import ROOT, by_class, modules

FOLDERS = ("operator", "tests", "tools")


def every(folder: str, *kinds: type[Any]) -> Iterator[tuple[Path, Any]]:
    """Every node of these kinds, with its file."""
    for path in modules(folder):
        yield from ((path, node) for kind in kinds for node in by_class(path).get(kind, ()))


def at(path: Path, node: Any) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


# --- one thought a line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_conditional_expression_stands_in_another(folder: str) -> None:
    nested = [
        at(path, one)
        for path, one in every(folder, ast.IfExp)
        if any(isinstance(part, ast.IfExp) and part is not one for part in ast.walk(one))
    ]
    assert nested == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_assignment_expression_stands_in_a_condition_only(folder: str) -> None:
    conditions = {
        id(inner)
        for _, one in every(folder, ast.If, ast.While, ast.comprehension)
        for test in (one.ifs if isinstance(one, ast.comprehension) else [one.test])
        for inner in ast.walk(test)
    }
    elsewhere = [
        at(path, one) for path, one in every(folder, ast.NamedExpr) if id(one) not in conditions
    ]
    assert elsewhere == []


# --- names -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_class_has_the_name_of_another(folder: str) -> None:
    """Whoever searches for a class, or reads its name in a traceback, finds one."""
    places: dict[str, list[str]] = defaultdict(list)
    for path, one in every(folder, ast.ClassDef):
        places[one.name].append(at(path, one))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


ANYTHING = {"found", "held", "told", "said"}
"""Participles that fit whatever was looked for, kept or heard, and so tell a reader nothing."""
NOT_THE_FIELDS = {"strays", "nudge", "stillness"}
"""Words for what has a name already: orphaned claims, flush count, quiet period."""


BINDING = (
    *(ast.Name, ast.Attribute, ast.arg, ast.alias, ast.ExceptHandler),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.MatchAs, ast.MatchStar, ast.MatchMapping),
)
"""What `bound` may give a name for."""


def bound(node: ast.AST) -> str | None:
    """The name that a node binds: a variable, a parameter, a field, a function, a pattern's capture or an import's alias."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return name
        case ast.arg(arg=name) | ast.alias(asname=name):
            return name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.MatchAs(name=name) | ast.MatchStar(name=name) | ast.MatchMapping(rest=name):
            return name
        case ast.ExceptHandler(name=name):
            return name
    return None


@cache
def bindings(folder: str) -> tuple[tuple[Path, str], ...]:
    """Every name that is bound, as a word, with its file."""
    return tuple(
        (path, name.strip("_").lower())
        for path in modules(folder)
        for kind, ones in by_class(path).items()
        if issubclass(kind, BINDING)
        for node in ones
        if (name := bound(node))
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_stands_for_anything(folder: str) -> None:
    assert [
        f"{path.relative_to(ROOT)}: {name}" for path, name in bindings(folder) if name in ANYTHING
    ] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_has_a_name_has_no_other(folder: str) -> None:
    assert [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in bindings(folder)
        if name in NOT_THE_FIELDS
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "found = 1",
        "found: int",
        "_found: int = 1",
        "self.held = 1",
        "(told := 1)",
        "[said for said in ()]",
        "def f(found): ...",
        "def f(*, held): ...",
        "def f(*told): ...",
        "lambda said: 1",
        "def _held(): ...",
        "async def told(): ...",
        "import words as said",
        "match x:\n case [*found]: ...",
        "match x:\n case {**held}: ...",
        "try: ...\nexcept E as told: ...",
        "for said in (): ...",
        "with x as found: ...",
    ],
)
def test_each_way_to_bind_a_name_is_seen(text: str) -> None:
    names = [bound(node) for node in ast.walk(ast.parse(text))]
    assert any(name is not None and name.strip("_") in ANYTHING for name in names)
