"""The archives of `kubectl aop` for krew, and their manifest.

An archive is for one platform. It holds the program, and every library of requirements/run.lock by
its hash: once where all versions of Python share it, else once for each. Python itself is the
user's. Whatever is built twice from one commit is alike to the byte.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
KREW = ROOT / "deploy/krew"
PLATFORMS: Mapping[str, str] = {
    "linux-amd64": "x86_64-manylinux_2_28",
    "linux-arm64": "aarch64-manylinux_2_28",
    "darwin-arm64": "aarch64-apple-darwin",
}
"""As krew calls them, and as uv does."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LIBRARIES = re.compile(r"^(?!bin/|.*\.pyc$).*")


class PluginError(Exception):
    """An archive could not be made; the message says why."""


def archives(wheel: Path, out: Path, epoch: int) -> list[Path]:
    """One for each platform, with the program of `wheel` in it."""
    return [archive(wheel, platform, out, epoch) for platform in PLATFORMS]


def archive(wheel: Path, platform: str, out: Path, epoch: int) -> Path:
    """The archive for one platform; every file in it is dated `epoch`, in seconds."""
    folder = out / f".{platform}"
    libraries = {python: folder / "lib" / python for python in PYTHONS}
    for python, target in libraries.items():
        fetch(wheel, platform, python, target)
    share(libraries, folder / "lib" / "any")
    shutil.copy(KREW / "kubectl-aop", folder)
    shutil.copy(ROOT / "LICENSE", folder)
    made = out / f"kubectl-aop-{platform}.tar.gz"
    made.write_bytes(packed(folder, epoch))
    shutil.rmtree(folder)
    return made


def fetch(wheel: Path, platform: str, python: str, target: Path) -> None:
    """Everything that the program needs there, as uv installs it."""
    command = (
        *("uv", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"),
        *("--python", sys.executable, "--target", str(target)),
        *("--python-platform", PLATFORMS[platform], "--python-version", python),
    )
    for what in (
        ("--require-hashes", "-r", str(ROOT / "requirements/run.lock")),
        (str(wheel),),
    ):
        done = subprocess.run(  # noqa: S603 - our own command
            [Path(sys.executable).parent / command[0], *command[1:], *what],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PluginError(f"libraries for {platform}, Python {python}: {done.stderr.strip()}")


def share(libraries: Mapping[str, Path], common: Path) -> None:
    """Move each distribution that is the same for every Python to `common`."""
    first, *others = libraries.values()
    for record in sorted(first.glob("*.dist-info/RECORD")):
        name = record.relative_to(first)
        if any(not (one / name).is_file() for one in others):
            continue
        if any((one / name).read_bytes() != record.read_bytes() for one in others):
            continue
        paths = [line.split(",")[0] for line in record.read_text().splitlines()]
        for path in [one for one in paths if LIBRARIES.match(one) and (first / one).is_file()]:
            (common / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(first / path, common / path)
            for one in others:
                (one / path).unlink(missing_ok=True)
    for one in libraries.values():
        shutil.rmtree(one / "bin", ignore_errors=True)
        for folder in sorted((path for path in one.rglob("*") if path.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()


def packed(folder: Path, epoch: int) -> bytes:
    """A folder as a compressed tape archive, its files in order, of nobody, and all of one date."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = epoch
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=epoch, compresslevel=6) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT) as tape,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            tape.add(path, arcname=os.fspath(path.relative_to(folder)), filter=plain)
    return buffer.getvalue()


def manifest(made: list[Path], url: str) -> str:
    """deploy/krew/aop.yaml with where the archives are published, and their digests."""
    text = (KREW / "aop.yaml").read_text().replace("@ARCHIVES@", url)
    for path in made:
        platform = path.name.removeprefix("kubectl-aop-").removesuffix(".tar.gz")
        text = text.replace(f"@SHA256-{platform}@", sha256(path.read_bytes()).hexdigest())
    filled = text[text.index("apiVersion:") :]
    if "@" in filled:
        raise PluginError("deploy/krew/aop.yaml has a place that nothing fills")
    return filled
