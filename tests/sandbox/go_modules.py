"""A build from a folder with go.mod and go.sum that pins everything by checksum: which `go` will do, and how far it is.

It needs neither root nor containers.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sandbox.program_cache import Say

_OWN_GO_ALONE = {"GOTOOLCHAIN": "local"}
"""No other Go is downloaded in its stead."""


class GoError(Exception):
    """The build cannot begin, or failed.

    The message says what to do.
    """


def required(go_mod: Path, module: str) -> str:
    """The version of a module that is required there, such as `1.36.4`.

    Raises:
        GoError: none is.
    """
    line = re.search(
        rf"^\s*(?:require )?{re.escape(module)} v(\S+)", go_mod.read_text(), re.MULTILINE
    )
    if line is None:
        raise GoError(f"{go_mod} does not require {module}")
    return line.group(1)


def language(go_mod: Path) -> tuple[int, ...]:
    """The oldest Go that it asks for: `(1, 26, 0)`.

    Raises:
        GoError: it does not say.
    """
    line = re.search(r"^go (\d+)\.(\d+)\.(\d+)$", go_mod.read_text(), re.MULTILINE)
    if line is None:
        raise GoError(f"{go_mod} has no `go` line of three numbers")
    return tuple(map(int, line.groups()))


def compiler(
    oldest: tuple[int, ...], *, what: str, remedy: str, path: str | None, environ: Mapping[str, str]
) -> str:
    """The `go` on `path` (None: on $PATH), if it is new enough to build `what`.

    Raises:
        GoError: there is none, or it is too old; the message ends with `remedy`.
    """
    go = shutil.which("go", path=path)
    if go is None:
        raise GoError(f"{what} has to be built, and there is no `go`. {remedy}")
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        env={**environ, **_OWN_GO_ALONE},
        capture_output=True,
        text=True,
        check=False,
    )
    version = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    if version is None:
        raise GoError(
            f"`{go} env GOVERSION` says {answer.stdout or answer.stderr!r}, which is no version. {remedy}"
        )
    if tuple(int(part or 0) for part in version.groups()) < oldest:
        raise GoError(
            f"{what} has to be built, and {go} is {version.group()}, older than {dotted(oldest)}. {remedy}"
        )
    return go


def recipe(modules: Iterable[Path], *decides: object) -> str:
    """A short hash of all that decides what comes out: the modules' checksums, whatever else `decides`, and the platform."""
    digest = hashlib.sha256()
    for module in modules:
        for name in ("go.mod", "go.sum"):
            digest.update((module / name).read_bytes())
    digest.update(repr((*decides, platform.system(), platform.machine())).encode())
    return digest.hexdigest()[:12]


class Progress:
    """Some lines on the way through all packages, of which `go build -v` prints those that the compile cache lacks."""

    def __init__(self, say: Say, packages: int, lines: int = 10) -> None:
        self._say = say
        self._most = packages
        self._each = packages // lines
        self._begun = time.monotonic()
        self._packages = 0

    def package(self) -> None:
        """One more is compiled."""
        self._packages += 1
        if self._packages % self._each == 0:
            passed = int(time.monotonic() - self._begun)
            percent = min(99, round(100 * self._packages / self._most))
            self._say(
                f"  {percent:2d} % ({self._packages} of at most {self._most} packages, {passed // 60} min {passed % 60:02d} s)"
            )


def dotted(version: tuple[int, ...]) -> str:
    """As it is written: `1.26.0`."""
    return ".".join(map(str, version))


def build(
    command: list[str],
    module: Path,
    *,
    environ: Mapping[str, str],
    on_package: Callable[[], None],
) -> None:
    """Run `go build -v ...` in the folder of a module; `on_package` is called for each package that is compiled.

    Raises:
        GoError: it failed; the message has the end of what it wrote.
    """
    tail: list[str] = []
    with subprocess.Popen(
        command,
        cwd=module,
        env={**environ, **_OWN_GO_ALONE, "CGO_ENABLED": "0", "GOWORK": "off"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if re.fullmatch(r"[\w.~/-]+\n", line):
                on_package()
            elif not line.startswith("go: downloading "):
                tail = [*tail[-29:], line]
    if process.returncode != 0:
        raise GoError(
            f"`go build` in {module} ended with status {process.returncode}:\n{''.join(tail)}"
        )
