"""The share of the long tests: the same for the same word, every one in some share, and the short ones always."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import share
from share import Share

TESTS = {
    "tests/unit/test_a.py::test_pure": "unit",
    **{
        f"tests/system/test_{letter}.py::test_{n}": "system"
        for letter in "abcdef"
        for n in range(3)
    },
    **{f"tests/faults/test_a.py::test_call[{n}]": "faults" for n in range(9)},
    **{f"tests/install/test_{letter}.py::test_chart": "install" for letter in "ab"},
}


def files(kept: frozenset[str], folder: str) -> set[str]:
    return {test.partition("::")[0] for test in kept if TESTS[test] == folder}


def test_all_is_all() -> None:
    assert share.of("all").kept(TESTS) == TESTS.keys()


@given(st.text("0123456789abcdef", min_size=7, max_size=7))
def test_a_third_is_a_third_whatever_the_word(word: str) -> None:
    kept = Share(3, word).kept(TESTS)
    assert kept == Share(3, word).kept(dict(reversed(TESTS.items())))
    assert "tests/unit/test_a.py::test_pure" in kept
    assert len(files(kept, "system")) == 2
    assert sum(TESTS[test] == "system" for test in kept) == 6, "a file is run whole or not at all"
    assert sum(TESTS[test] == "faults" for test in kept) == 3
    assert len(files(kept, "install")) == 1


def test_every_test_is_in_the_share_of_some_word() -> None:
    assert (
        frozenset[str]().union(*(Share(3, str(n)).kept(TESTS) for n in range(40))) == TESTS.keys()
    )


@pytest.mark.parametrize("text", ["", "3", "3:", "x:", "0:abc", "-1:abc"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        share.of(text)


def test_it_is_written_as_it_is_read() -> None:
    assert str(share.of("3:abc")) == "3:abc"
    assert str(share.of("all")) == str(share.of("1:abc")) == "all"
