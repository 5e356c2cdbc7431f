"""A container of the image `haproxy`: the real program, with the files that its pod mounts."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from sandbox import debian
from sandbox.processes import Child

FOLDER = Path("usr/local/etc/haproxy")
_BIND = re.compile(r"\bbind\s+:(\d+)")


def start(root: Path, address: str, log: Path) -> Child:
    """Run it, with the arguments of its pod in the order that the how-to has."""
    own = root / FOLDER
    parts = []
    for part in ("base.cfg", "aop", "site.cfg"):
        if part == "aop":
            parts.append(own / part)
            continue
        text = (own / part).read_text().replace(f"/{FOLDER}/", f"{own}/")
        # Beside the user's own, so that these stay as they are mounted.
        (root / part).write_text(_BIND.sub(lambda match: f"bind {address}:{match[1]}", text))
        parts.append(root / part)
    files = [word for part in parts for word in ("-f", part)]
    return Child(
        [debian.find("haproxy"), "-W", "-db", *files], log=log, env=debian.environment("haproxy")
    )


def reload(root: Path, child: Child) -> None:
    """As a sidecar does that signals the master."""
    del root
    child.signal(signal.SIGUSR2)
