"""A test that is left out for want of a server says so at the end of the run; where nothing may be left out it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import debian

TESTS = Path(__file__).parents[1]
TEST = "test_it_refuses_what_has_expired_as_it_says"


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """One test of HAProxy, where there is neither HAProxy nor any way to get it."""
    empty = {"PATH": str(folder), "XDG_CACHE_HOME": str(folder), "AOP_HAPROXY": ""}
    file = TESTS / "origin_kinds" / "test_behaviour.py"
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            file,
            "-k",
            f"{TEST} and haproxy and Off",
        ],
        cwd=TESTS.parent,
        env={**os.environ, debian.REQUIRED: "", **empty, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def left_out(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return run(tmp_path_factory.mktemp("nothing"))


def test_it_says_which_and_why(left_out: subprocess.CompletedProcess[str]) -> None:
    assert left_out.returncode == 0, left_out.stdout
    _, _, end = left_out.stdout.partition("! incomplete !")
    assert f"{debian.LEFT_OUT}no haproxy here" in end
    assert "AOP_HAPROXY" in end
    assert f"{TEST}[Off-haproxy]" in end


def test_where_nothing_may_be_left_out_it_fails(tmp_path: Path) -> None:
    done = run(tmp_path, **{debian.REQUIRED: "1"})
    assert done.returncode == 1, done.stdout
    assert "incomplete" not in done.stdout
