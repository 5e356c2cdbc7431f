"""docs/promises.md names, for each promise, tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = [*(f"S{number}" for number in range(1, 9)), *(f"L{number}" for number in range(1, 4))]
ROW = re.compile(r"^\| ([SL]\d) \|.*\|(.*)\|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
TOLD = {promise: TEST.findall(tests) for promise, tests in ROW.findall((ROOT / "docs" / "promises.md").read_text())}


def defined(file: str) -> set[str]:
    """The names of the functions in a file, methods included."""
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_is_there() -> None:
    assert list(TOLD) == PROMISES


@pytest.mark.parametrize("promise", PROMISES)
def test_it_has_tests_and_they_exist(promise: str) -> None:
    assert TOLD[promise]
    assert [f"{file}::{name}" for file, name in TOLD[promise] if name not in defined(file)] == []
