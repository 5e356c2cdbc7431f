"""Where Prometheus comes from, and that a machine without it leaves out what needs it and says so.

`go` is a script that "compiles" scripts.
"""

from pathlib import Path

import pytest

from sandbox.prometheus import programs, promtool
from sandbox.prometheus.programs import PrometheusError


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def program(folder: Path, name: str, version: str) -> Path:
    return script(folder / name, f"echo {name}, version {version}")


def compiler(folder: Path, builds: str = "3.16.0") -> Path:
    """What it makes says that it is version `builds`."""
    lines = [
        '[ "$1" = env ] && { echo go1.26.8; exit 0; }',
        'for word; do case "$word" in -o=*) out=${word#-o=};; esac; done',
        f"echo . >> {folder / 'runs'}",
        f"""for name in prometheus promtool; do printf '#!/bin/sh\\necho version {builds}\\n' > "$out$name"; chmod +x "$out$name"; done""",
    ]
    return script(folder / "go", "\n".join(lines))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Nothing on PATH but the shell's own tools."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


def find(environ: dict[str, str]) -> programs.Programs:
    return programs.find(environ=environ, say=lambda _: None)


def test_the_machines_own_are_taken_without_a_build(
    environ: dict[str, str], tmp_path: Path
) -> None:
    own = [program(tmp_path / "bin", name, "3.1.0") for name in programs.NAMES]
    assert find(environ) == programs.Programs(*own)
    assert not programs.cache_root(environ).exists()


def test_they_are_built_once(environ: dict[str, str], tmp_path: Path) -> None:
    compiler(tmp_path / "bin")
    first = find(environ)
    assert find(environ) == first
    assert (tmp_path / "bin" / "runs").read_text() == ".\n"
    assert programs.version_of(first.promtool) == (3, 16, 0)


def test_one_that_is_too_old_is_passed_over_and_one_of_both_is_not_enough(
    environ: dict[str, str], tmp_path: Path
) -> None:
    program(tmp_path / "bin", "prometheus", "2.53.0")
    program(tmp_path / "bin", "promtool", "3.1.0")
    with pytest.raises(PrometheusError, match="there is no `go`"):
        find(environ)


def test_a_build_that_makes_something_else_leaves_nothing(
    environ: dict[str, str], tmp_path: Path
) -> None:
    compiler(tmp_path / "bin", builds="2.0.0")
    with pytest.raises(PrometheusError, match="older than 3"):
        find(environ)
    assert not list(programs.cache_root(environ).glob("[0-9]*"))


@pytest.mark.parametrize(
    ("required", "raised"), [("", pytest.skip.Exception), ("1", PrometheusError)]
)
def test_without_it_a_test_is_left_out_unless_nothing_may_be(
    environ: dict[str, str], required: str, raised: type[BaseException]
) -> None:
    with pytest.raises(raised, match="there is no `go`"):
        promtool.found_or_left_out({**environ, programs.REQUIRED: required})
