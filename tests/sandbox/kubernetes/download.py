"""The envtest archive: seconds instead of minutes wherever it can be reached.

Version, address and SHA-512 are data of this repo (`envtest.toml`): no index is needed, nothing
else is accepted.
"""

import hashlib
import platform
import tarfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")

# Whoever cannot reach it at all should be told in seconds, by the build that begins; whoever is
# slow is still faster than the build.
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 30
TOTAL_TIMEOUT_S = 300
LARGEST_ARCHIVE_BYTES = 400_000_000


class NotDownloadedError(Exception):
    """The archive cannot be had, or is not the one that this repo names."""


@dataclass(frozen=True)
class Archive:
    """One archive of one envtest release, for one platform. `sha512` is hex."""

    version: str
    url: str
    sha512: str


def archive_for_this_machine() -> Archive | None:
    """The archive that this repo names for this operating system and processor; None where it names none."""
    data = tomllib.loads(Path(__file__).with_name("envtest.toml").read_text())
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )
    archive = data["archives"].get(f"{platform.system().lower()}-{machine}")
    return None if archive is None else Archive(data["version"], archive["url"], archive["sha512"])


def download(archive: Archive, folder: Path, say: Callable[[str], None]) -> None:
    """Fetch the archive, check its hash, and only then write its programs into `folder`.

    Raises:
        NotDownloadedError: out of reach, too slow, another hash, or a program missing in it. `folder` may hold rubbish then: do not use it.
    """
    say(f"downloading envtest {archive.version}: {archive.url}")
    packed = folder / "envtest.tar.gz"
    try:
        digest = _fetch(archive.url, packed)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotDownloadedError(f"{archive.url}: {error or type(error).__name__}") from error
    if digest != archive.sha512:
        raise NotDownloadedError(
            f"{archive.url} has SHA-512 {digest[:16]}..., not the pinned {archive.sha512[:16]}...: refused"
        )
    _unpack(packed, folder)
    packed.unlink()


def _fetch(url: str, to: Path) -> str:
    digest = hashlib.sha512()
    deadline = time.monotonic() + TOTAL_TIMEOUT_S
    size = 0
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with (
        httpx.stream("GET", url, timeout=timeout, follow_redirects=True) as answer,
        to.open("wb") as out,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            size += len(chunk)
            if size > LARGEST_ARCHIVE_BYTES or time.monotonic() > deadline:
                raise NotDownloadedError(f"{url}: given up after {size} bytes")
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()


def _unpack(packed: Path, folder: Path) -> None:
    try:
        with tarfile.open(packed) as archive:
            members = {
                PurePosixPath(member.name).name: member for member in archive if member.isfile()
            }
            for program in PROGRAMS:
                content = archive.extractfile(members[program])
                assert content is not None
                path = folder / program
                path.write_bytes(content.read())
                path.chmod(0o755)
    except KeyError as error:
        raise NotDownloadedError(f"the archive holds no {error}") from error
    except tarfile.TarError as error:
        raise NotDownloadedError(f"the archive cannot be read: {error}") from error
