"""docs/security.md says who may do what to whom; every row names tests that exist."""

from __future__ import annotations

import re

from citations import ROOT, cited, missing

TEXT = (ROOT / "docs" / "security.md").read_text()
ROWS = dict(re.findall(r"^\| ([A-Z]\d+) \| (.*) \|$", TEXT, re.MULTILINE))
"""By number."""


def test_every_test_that_is_named_exists() -> None:
    assert cited(TEXT)
    assert missing(TEXT) == []


def test_every_row_names_a_test() -> None:
    assert [number for number, row in ROWS.items() if not cited(row)] == []


def test_rows_are_numbered_without_gaps_and_none_is_left_out() -> None:
    tables = TEXT.partition("## Who may do what to whom")[2]
    lines = [
        line
        for line in tables.splitlines()
        if line.startswith("| ") and not re.match(r"\| (---|\|| ?\|)", line)
    ]
    letters = sorted({number[0] for number in ROWS})
    counted = [
        f"{letter}{n}"
        for letter in letters
        for n in range(1, 1 + sum(number[0] == letter for number in ROWS))
    ]
    assert sorted(ROWS) == sorted(counted)
    assert len(lines) == len(ROWS)
