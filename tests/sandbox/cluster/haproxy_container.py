"""A container of the image `haproxy`: the real program, with the files that its pod mounts."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

from sandbox import debian
from sandbox.cluster.volumes import COMMAND
from sandbox.processes import Child

FOLDER = Path("usr/local/etc/haproxy")
_BIND = re.compile(r"\bbind\s+:(\d+)")


def start(root: Path, address: str, log: Path) -> Child:
    """Run it with the arguments of its pod."""
    arguments = json.loads((root / COMMAND).read_text())["args"]
    own = [root / one.lstrip("/") if one.startswith("/") else one for one in arguments]
    command = [_bound(one, root, address) for one in own if one != "haproxy"]
    return Child([debian.find("haproxy"), *command], log=log, env=debian.environment("haproxy"))


def _bound(argument: Path | str, root: Path, address: str) -> Path | str:
    """A file of the user's as it is read here; everything else as it is."""
    if not isinstance(argument, Path) or not argument.is_file():
        return argument
    text = argument.read_text().replace(f"/{FOLDER}/", f"{root / FOLDER}/")
    # Beside the user's own, so that these stay as they are mounted.
    read = root / argument.name
    read.write_text(_BIND.sub(lambda match: f"bind {address}:{match[1]}", text))
    return read


def reload(root: Path, child: Child) -> None:
    """As a sidecar does that signals the master."""
    del root
    child.signal(signal.SIGUSR2)
