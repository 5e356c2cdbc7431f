"""A container of the image `nginx`: the real program, with the files that its pod mounts."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from sandbox.ingress_nginx import programs
from sandbox.processes import Child

CONF = Path("etc/nginx/nginx.conf")
_LISTEN = re.compile(r"\blisten\s+(\d+)")
_TEMPORARY = "".join(
    f"{name}_temp_path {{root}}/{name};"
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


def start(root: Path, address: str, log: Path) -> Child:
    """Run it; it ends by itself if it does not take its configuration, as in a container."""
    own = root / CONF
    text = _LISTEN.sub(lambda match: f"listen {address}:{match[1]}", own.read_text())
    text = text.replace("http {", f"http {{ access_log off; {_TEMPORARY.format(root=root)}", 1)
    # Beside the user's own, so that what is named without a folder is found as in the image.
    (own.parent / "sandbox.conf").write_text(text)
    user = programs.worker_user()
    settings = f"daemon off; worker_processes 1; pid {root}/nginx.pid; worker_shutdown_timeout 20s;"
    if user:
        settings += f" user {user};"
    command: list[str | Path] = [
        programs.find().path,
        *("-p", f"{root}/", "-e", "stderr", "-c", own.parent / "sandbox.conf"),
        *("-g", settings),
    ]
    return Child(command, log=log, death_signal=signal.SIGTERM)


def reload(_root: Path, child: Child) -> None:
    """As `nginx -s reload` does."""
    child.signal(signal.SIGHUP)
