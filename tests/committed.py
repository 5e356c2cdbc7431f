"""What the repository holds, for tests that look at all of it."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@cache
def committed() -> list[Path]:
    """Every file of the repository; of a copy without git, every file that is not made by `make`."""
    if (ROOT / ".git").exists() and (git := shutil.which("git")):
        listed = subprocess.run(
            [git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split("\0")
        return [path for name in listed if name and (path := ROOT / name).is_file()]
    made = {".venv", ".sandbox", "__pycache__", "dist"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not made & set(path.parts) and ".cache" not in str(path)
    ]


@cache
def parsed(path: Path) -> ast.Module:
    """A file of Python; parsed once for all who look at it, who must not change it."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Everything in it, each before what is inside it, but for the marks of how a name is used.

    All tests together ask for a million: `ast.walk` takes three times as long.
    """
    every: list[ast.AST] = []
    to_come: list[Any] = [parsed(path)]
    while to_come:
        node = to_come.pop()
        if isinstance(node, list):
            to_come += node
        elif isinstance(node, ast.AST) and not isinstance(node, ast.expr_context):
            every.append(node)
            to_come += [getattr(node, name, None) for name in node._fields]
    return tuple(every)


@cache
def by_class(path: Path) -> Mapping[type[ast.AST], list[ast.AST]]:
    """The same by what they are."""
    sorted_out: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
    for node in nodes(path):
        sorted_out[type(node)].append(node)
    return sorted_out


def modules(folder: str) -> Iterator[Path]:
    """The files of Python below a folder of the repository, in order."""
    yield from sorted((ROOT / folder).rglob("*.py"))
