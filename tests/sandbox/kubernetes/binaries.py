"""Where etcd, kube-apiserver, kubectl and kube-controller-manager come from.

The first of these that can be had is taken, and one line says which:

1. `KUBEBUILDER_ASSETS`, the folder that envtest's own users already have. Whoever sets it means it: it is never silently replaced.
2. The cache, `${XDG_CACHE_HOME:-~/.cache}/aop-operator/kube/<version>-<hash>/`, where 3 and 4 leave what they got; 4's before 3's.
3. The envtest archive, pinned by hash: seconds.
4. The build from the Go modules, pinned by checksum: minutes, once.

1 and 3 have no kube-controller-manager. Almost nothing needs it (garbage collection by owner
references, and the end of a namespace), so by default those few tests are skipped, loudly.
`AOP_REQUIRE_KCM=1`, which CI sets, means "skip nothing": the archive is then neither downloaded nor
taken from the cache, so that quick never hides complete; the build makes it; and
`KUBEBUILDER_ASSETS` without one is an error.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import program_cache
from sandbox.go_modules import GoError
from sandbox.kubernetes import build, download
from sandbox.kubernetes.download import Archive
from sandbox.program_cache import Say, teller

WITHOUT_CONTROLLER_MANAGER = "there is no kube-controller-manager: garbage collection and namespace deletion go untested (AOP_REQUIRE_KCM=1 builds one, once)"


class BinariesError(Exception):
    """There is no Kubernetes to run, and the message says what to do about it."""


class NotRunnableError(BinariesError):
    """A program was got, and does not run on this machine."""


@dataclass(frozen=True)
class Binaries:
    """Paths of the programs; `origin` says in words where they come from."""

    origin: str
    etcd: Path
    kube_apiserver: Path
    kubectl: Path
    kube_controller_manager: Path | None


@dataclass(frozen=True)
class Source:
    """What may be downloaded and what may be built.

    The defaults are what this repo pins; tests give their own.
    """

    archive: Archive | None
    tools: Path = build.TOOLS
    go_path: str | None = None

    @staticmethod
    def pinned() -> "Source":
        """The envtest archive for this machine, and `tools/`."""
        return Source(download.archive_for_this_machine())


say_to_stderr = teller("kubernetes")


def find(
    *,
    environ: Mapping[str, str] = os.environ,
    source: Source | None = None,
    say: Say = say_to_stderr,
) -> Binaries:
    """The programs, got in the order that the module's docstring tells.

    Safe to be called by many processes at once.

    Raises:
        BinariesError: nothing could be had.
    """
    source = source or Source.pinned()
    required = environ.get("AOP_REQUIRE_KCM", "") not in {"", "0"}
    assets = environ.get("KUBEBUILDER_ASSETS")
    programs = (
        _from_assets(Path(assets), required=required)
        if assets
        else _from_cache_or_fill(environ, source, say, required=required)
    )
    say(f"{programs.origin} ({programs.etcd.parent})")
    if programs.kube_controller_manager is None:
        say(WITHOUT_CONTROLLER_MANAGER)
    return programs


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds one folder for each set of programs."""
    return program_cache.root("kube", environ)


def _from_assets(folder: Path, *, required: bool) -> Binaries:
    programs = _in(folder, "KUBEBUILDER_ASSETS")
    if programs is None:
        raise BinariesError(
            f"KUBEBUILDER_ASSETS={folder} does not hold etcd, kube-apiserver and kubectl: mend it, or unset it to have them got for you"
        )
    if required and programs.kube_controller_manager is None:
        raise BinariesError(
            f"AOP_REQUIRE_KCM is set and KUBEBUILDER_ASSETS={folder} holds no kube-controller-manager: unset one of the two"
        )
    return programs


def _from_cache_or_fill(
    environ: Mapping[str, str], source: Source, say: Say, *, required: bool
) -> Binaries:
    root = cache_root(environ)
    built = root / f"{build.version(source.tools)}-{build.recipe(source.tools)}"
    fetched = (
        None
        if required or source.archive is None
        else root / f"{source.archive.version}-{source.archive.sha512[:12]}"
    )

    def cached() -> Binaries | None:
        complete = _in(built, "built from Go modules, from the cache")
        return complete or (
            None if fetched is None else _in(fetched, "envtest archive, from the cache")
        )

    kept = cached()
    if kept is not None:
        return kept
    with program_cache.locked(root / ".lock", say):
        kept = cached()
        if kept is not None:
            return kept
        if fetched is not None and source.archive is not None:
            try:
                with program_cache.filling(fetched) as folder:
                    download.download(source.archive, folder, say)
                    _check_they_run(folder)
                return _present(fetched, "envtest archive, downloaded")
            except (download.NotDownloadedError, NotRunnableError) as error:
                say(f"not downloaded: {error}")
        try:
            with program_cache.filling(built) as folder:
                build.build(folder, say, tools=source.tools, path=source.go_path)
                _check_they_run(folder)
        except GoError as error:
            raise BinariesError(str(error)) from error
        return _present(built, "built from Go modules")


def _check_they_run(folder: Path) -> None:
    for program in sorted(folder.iterdir()):
        _check_it_runs(program)


def _check_it_runs(program: Path) -> None:
    arguments = ["version", "--client"] if program.name == "kubectl" else ["--version"]
    try:
        subprocess.run([program, *arguments], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotRunnableError(f"{program.name} does not run on this machine: {error}") from error


def _present(folder: Path, origin: str) -> Binaries:
    programs = _in(folder, origin)
    if programs is None:
        raise BinariesError(f"{folder} was just filled and is incomplete: remove it and try again")
    return programs


def _in(folder: Path, origin: str) -> Binaries | None:
    def program(name: str) -> Path | None:
        path = folder / name
        return path if program_cache.is_program(path) else None

    etcd, apiserver, kubectl = program("etcd"), program("kube-apiserver"), program("kubectl")
    if etcd is None or apiserver is None or kubectl is None:
        return None
    return Binaries(origin, etcd, apiserver, kubectl, program("kube-controller-manager"))
