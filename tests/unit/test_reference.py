"""docs/reference.md, which `make check` compares with what the code says, says something about everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aop import api
from aop.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "reference.md"


@pytest.fixture(scope="module")
def text() -> str:
    return FILE.read_text()


@pytest.mark.parametrize("name", [*api.ConditionType, *api.Reason])
def test_every_condition_and_reason_is_explained(text: str, name: str) -> None:
    """An enum member without a docstring would be missing without a word."""
    assert re.search(rf"^\| `{name}` \| .{{10,}} \|$", text, re.MULTILINE)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_explained(text: str, name: str) -> None:
    assert re.search(rf"^\| `AOP_{name.upper()}` \| \S.* \| .{{10,}} \|$", text, re.MULTILINE)


def test_every_row_has_the_columns_of_its_table(text: str) -> None:
    width = 0
    for line in text.splitlines():
        cells = len(re.split(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and cells and cells != width), line
        width = cells
