"""The folder that a control plane lives in, and how those of processes that were killed disappear."""

import contextlib
import fcntl
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO


def temporary() -> tuple[Path, IO[bytes]]:
    """A folder that is ours as long as the lock is held; those whose owner died without removing them are removed now."""
    root = Path(tempfile.gettempdir())
    for old in root.glob("aop-plane-*"):
        # A young one may be between its creation and its lock.
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime < 60:
                continue
            with (old / "lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="aop-plane-"))
    lock = (folder / "lock").open("ab")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock
