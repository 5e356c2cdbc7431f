"""An nginx by itself: what stands in `nginx.conf` of a folder, tried, or as a process of its own.

The text has to say `daemon off` and `pid FOLDER/nginx.pid`.
"""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from sandbox.ingress_nginx import programs
from sandbox.processes import Child
from sandbox.waiting import until

START_WITHIN_S = 30.0


class LoneNginx(ABC):
    """One that runs within the block, in its `folder`."""

    folder: Path

    def __enter__(self) -> Self:
        self._write()
        self._child = start(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill(signal.SIGTERM)

    @abstractmethod
    def _write(self) -> None:
        """Put `nginx.conf`, and what it names, into the folder."""


def command(folder: Path) -> list[str]:
    """What runs it; `-t` or `-s` may follow."""
    places = {"-p": f"{folder}/", "-e": f"{folder}/error.log", "-c": f"{folder}/nginx.conf"}
    return [str(programs.find().path), *(word for option in places.items() for word in option)]


def start(folder: Path) -> Child:
    """A running one, which listens when this returns: it writes its pid after that.

    Raises:
        NotInTimeError: it did not start; the message has its own words.
    """
    # SIGTERM and not SIGKILL: a master that is killed leaves its workers behind.
    child = Child(command(folder), log=folder / "stdout.log", death_signal=signal.SIGTERM)
    pid, log = folder / "nginx.pid", folder / "error.log"
    try:
        until(
            lambda: pid.exists() and pid.read_text().strip(),
            within_s=START_WITHIN_S,
            describe=lambda: (
                "nginx to start; it said "
                f"{log.read_text() if log.exists() else ''}{child.last_words()}"
            ),
        )
    except BaseException:
        child.kill(signal.SIGTERM)
        raise
    return child


def complaints(folder: Path) -> str:
    """What `nginx -t` says against the text; empty when it passes."""
    done = subprocess.run(
        [*command(folder), "-t"], capture_output=True, text=True, timeout=30, check=False
    )
    return "" if done.returncode == 0 else done.stderr
