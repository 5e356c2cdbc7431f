"""docs/promises.md names, for each promise, tests that exist."""

from __future__ import annotations

import re

import pytest

from citations import ROOT, cited, missing

PROMISES = [*(f"S{number}" for number in range(1, 9)), *(f"L{number}" for number in range(1, 4))]
ROW = re.compile(r"^\| ([SL]\d) \|.*\|(.*)\|$", re.MULTILINE)
STATED = dict(ROW.findall((ROOT / "docs" / "promises.md").read_text()))


def test_every_promise_is_there() -> None:
    assert list(STATED) == PROMISES


@pytest.mark.parametrize("promise", PROMISES)
def test_it_has_tests_and_they_exist(promise: str) -> None:
    assert cited(STATED[promise])
    assert missing(STATED[promise]) == []
