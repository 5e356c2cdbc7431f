"""What the repository holds, for tests that look at all of it."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def committed() -> list[Path]:
    """Every file of the repository; of a copy without git, every file that is not made by `make`."""
    if (ROOT / ".git").exists() and (git := shutil.which("git")):
        listed = subprocess.run(
            [git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split("\0")
        return [path for name in listed if name and (path := ROOT / name).is_file()]
    made = {".venv", ".sandbox", "__pycache__", "dist"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not made & set(path.parts) and ".cache" not in str(path)
    ]
