"""Tests that a document names, as `tests/FILE.py::NAME` in backticks, and whether they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def cited(text: str) -> list[tuple[str, str]]:
    """File and name of every test in a piece of Markdown."""
    return _TEST.findall(text)


def missing(text: str) -> list[str]:
    """Those that are not there."""
    return [f"{file}::{name}" for file, name in cited(text) if name not in _defined(file)]


@cache
def _defined(file: str) -> frozenset[str]:
    """The names of the functions in a file, methods included; none if there is no such file."""
    if not (ROOT / file).is_file():
        return frozenset()
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
