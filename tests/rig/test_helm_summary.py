"""The last line of `make check-install`, and when the run has failed."""

import pytest

from sandbox.helm.summary import IMAGE, RUNS_AS_A_POD, Summary


def report(
    name: str, outcome: str = "passed", when: str = "call", **properties: object
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=name,
        location=("", 0, ""),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when=when,  # type: ignore[arg-type]
        user_properties=list(properties.items()),
    )


RIGHT = {
    "three": report("test_release.py::life[3]", helm=3, permissions="0 0", edge_requests="100 0"),
    "four": report("test_release.py::life[4]", helm=4, permissions="0 0", edge_requests="23 0"),
    "pod": report(f"tests/install/{IMAGE}::{RUNS_AS_A_POD}"),
    "engine": report(f"tests/install/{IMAGE}::test_engine", outcome="skipped"),
}


def summary(**changed: pytest.TestReport | None) -> Summary:
    made = Summary()
    for one in {**RIGHT, **changed}.values():
        if one is not None:
            made.add(one)
    return made


def test_it_says_what_was_proven() -> None:
    assert summary().complete
    assert (
        str(summary())
        == "install: helm 3 ok, helm 4 ok; image steps ok; permissions denied 0, unused 0; edge requests 123 ok, 0 failed"
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"three": report("a", "failed", helm=3, permissions="0 0", edge_requests="100 0")},
            "helm 3 FAILED",
        ),
        ({"more": report("b", "failed", when="setup", helm=4)}, "helm 4 FAILED"),
        ({"four": None}, "helm 4 FAILED"),
        (
            {"more": report("tests/install/test_chart.py::test_x", "failed")},
            "; 1 other tests FAILED",
        ),
        ({"more": report(f"tests/install/{IMAGE}::test_x", "failed")}, "image steps FAILED"),
        (
            {"pod": report(f"tests/install/{IMAGE}::{RUNS_AS_A_POD}", "skipped")},
            "image steps NOT RUN",
        ),
        (
            {"four": report("c", helm=4, permissions="1 0", edge_requests="1 0")},
            "denied 1, unused 0",
        ),
        (
            {"four": report("c", helm=4, permissions="0 2", edge_requests="1 0")},
            "denied 0, unused 2",
        ),
        (
            {"three": report("a", helm=3, edge_requests="1 0"), "four": report("c", helm=4)},
            "NOT ADDED UP",
        ),
        ({"four": report("c", helm=4, permissions="0 0", edge_requests="5 1")}, "105 ok, 1 failed"),
        (
            {"three": report("a", helm=3, permissions="0 0"), "four": report("c", helm=4)},
            "0 ok, 0 failed",
        ),
    ],
)
def test_whatever_is_not_proven_fails_the_run(
    changed: dict[str, pytest.TestReport | None], words: str
) -> None:
    made = summary(**changed)
    assert not made.complete
    assert words in str(made)


def test_a_summary_of_nothing_is_a_failure() -> None:
    assert not Summary().complete
