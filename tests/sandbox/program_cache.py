"""Programs that are got once for all processes of a person: one folder each, under a lock, and never half."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

Say = Callable[[str], None]


def teller(who: str) -> Say:
    """Tells a person on stderr; on a terminal, lines of progress (they begin with two blanks) replace one another."""
    return partial(_tell, who)


def _tell(who: str, line: str) -> None:
    fresh = "\r\x1b[K" if sys.stderr.isatty() else ""
    progress = line.startswith("  ")
    print(
        f"{fresh}{'' if progress else f'{who}: '}{line}",
        end="" if progress and fresh else "\n",
        file=sys.stderr,
        flush=True,
    )


def root(name: str, environ: Mapping[str, str]) -> Path:
    """The folder that holds one folder for each version of `name`."""
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    return Path(base) / "aop-operator" / name


def is_program(path: Path) -> bool:
    """Whether it is a file that may be run."""
    return path.is_file() and os.access(path, os.X_OK)


@contextmanager
def locked(file: Path, say: Say) -> Iterator[None]:
    """One process at a time; `say` tells of a wait."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is getting it; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def filling(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its name only when the block has ended well."""
    for left_over in final.parent.glob(f"{final.name}.tmp-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{final.name}.tmp-", dir=final.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        # It is there only if somebody took a program out of it.
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
