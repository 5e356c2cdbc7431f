"""Servers out of Debian's packages, unpacked into the cache of programs without root, with the libraries that they need.

Where they cannot be had, the tests that run them are left out and say so. `AOP_REQUIRE_SERVERS=1`,
which CI sets, means "leave out nothing".
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sandbox import program_cache

PROGRAMS = {"apache": "apache2", "haproxy": "haproxy"}
"""The program of each server, by the name of its origin kind."""
PACKAGES = {
    "apache": ("apache2-bin", "libapr1", "libaprutil1", "liblua5.3-0"),
    "haproxy": ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"),
}
"""What is unpacked for each server: its package, and those of its libraries that a small system may not have."""
REQUIRED = "AOP_REQUIRE_SERVERS"
LEFT_OUT = "left out for want of a server: "
"""How the reason of every test begins that is skipped for it."""
SAY = program_cache.teller("debian")


def why_not(server: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Why tests leave that server out here; None if it can be run, or is none of these.

    Named in `AOP_APACHE` or `AOP_HAPROXY`, on PATH, in the cache, or got from Debian's mirrors.

    Raises:
        OSError: it cannot be run, and nothing may be left out.
    """
    if server not in PACKAGES:
        return None
    try:
        find(server)
    except OSError as error:
        if environ.get(REQUIRED, "") not in {"", "0"}:
            raise
        return f"{LEFT_OUT}no {server} here ({error}). Install Debian's package, or name the program in {_variable(server)}"
    return None


@cache
def find(server: str) -> Path:
    """The program.

    Raises:
        OSError: there is none, and it cannot be got.
    """
    if named := os.environ.get(_variable(server)) or shutil.which(PROGRAMS[server]):
        return Path(named)
    folder = program_cache.root("debian", os.environ) / server
    program = folder / "usr" / "sbin" / PROGRAMS[server]
    with program_cache.locked(folder.parent / f"{server}.lock", SAY):
        if not program_cache.is_program(program):
            _unpack(server, folder)
    return program


def environment(server: str) -> Mapping[str, str]:
    """What has it find the libraries that were unpacked beside it."""
    libraries = [
        str(folder)
        for folder in (find(server).parents[1] / "lib").glob("*-linux-*")
        if find(server).is_relative_to(program_cache.root("debian", os.environ))
    ]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)} if libraries else os.environ


def apache_modules() -> Path:
    """The folder of the modules that belong to the program."""
    return find("apache").parents[1] / "lib" / "apache2" / "modules"


def _unpack(server: str, folder: Path) -> None:
    packages = [_as_named_here(package) for package in PACKAGES[server]]
    SAY(f"getting {', '.join(packages)}")
    with program_cache.filling(folder) as temporary:
        for command in (
            ["apt-get", "download", "--quiet", *packages],
            ["sh", "-c", 'for each in *.deb; do dpkg -x "$each" .; rm "$each"; done'],
        ):
            done = subprocess.run(
                command, cwd=temporary, capture_output=True, text=True, timeout=300, check=False
            )
            if done.returncode:
                raise OSError(f"{command[0]}: {done.stderr.strip()[-200:]}")


def _as_named_here(package: str) -> str:
    """Libraries whose times have 64 bits are named so, from Debian 13 and Ubuntu 24.04 on."""
    done = subprocess.run(
        ["apt-cache", "show", package], capture_output=True, text=True, timeout=60, check=False
    )
    return package if f"Package: {package}\n" in done.stdout else f"{package}t64"


def _variable(server: str) -> str:
    return f"AOP_{server.upper()}"
