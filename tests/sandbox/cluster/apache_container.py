"""A container of the image `httpd`: the real program, with the files that its pod mounts."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from sandbox import debian
from sandbox.processes import Child

ROOT = Path("usr/local/apache2")
_LISTEN = re.compile(r"^Listen (\d+)", re.MULTILINE)
_MODULE = re.compile(r"^LoadModule \w+ (modules/\S+).*\n", re.MULTILINE)


def start(root: Path, address: str, log: Path) -> Child:
    """Run it. What Debian has in the program itself is no module there."""
    own = root / ROOT
    if not (own / "modules").exists():
        (own / "modules").symlink_to(debian.apache_modules())
    text = (own / "conf" / "httpd.conf").read_text().replace(f"/{ROOT}", str(own))
    text = _LISTEN.sub(lambda match: f"Listen {address}:{match[1]}", text)
    text = _MODULE.sub(lambda match: match[0] if (own / match[1]).exists() else "", text)
    settings = f"PidFile {root}/pid\nDefaultRuntimeDir {root}\nMutex file:{root}\n"
    (root / "httpd.conf").write_text(settings + text.replace("/proc/self/fd/2", "/dev/stderr"))
    return Child(
        [debian.find("apache"), "-f", root / "httpd.conf", "-DFOREGROUND"],
        log=log,
        env=debian.environment("apache"),
        death_signal=signal.SIGTERM,
    )


def reload(_root: Path, child: Child) -> None:
    """As `httpd -k graceful` does."""
    child.signal(signal.SIGUSR1)
