"""One real HAProxy as a user runs it in a pod: files of theirs, between which ours is read.

The lines that a user adds are those of docs/how-to/haproxy.md; a test compares them.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox import debian
from sandbox.kubernetes.certificates import Authority
from sandbox.ports import free_port
from sandbox.processes import Child
from sandbox.text_nginx import AskedServer
from sandbox.waiting import until

MOUNT = "aop"
"""Where the ConfigMap is mounted."""
VARIABLE = "setenv AOP_DEFAULTS base"
FROM = 'from "${AOP_DEFAULTS}"'
ASKING = "verify optional ca-file {ca} no-ca-names crt-ignore-err all ca-ignore-err all"
"""What a user adds, once: in `global`, at each frontend of the zone, and at its `bind` for TLS."""

BASE = """
global
    {variable}
defaults base
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    {in_base}
"""
SITE = """
frontend web {from_}
    bind {address}:{https} ssl crt {folder}/server.pem alpn h2,http/1.1 {asking}
    bind {address}:{plain}
    {also}
    http-request return status 200 content-type text/html string "app"
"""


@dataclass
class PlainHaproxy(AskedServer):
    """A running HAProxy within the block. `files` are those of the ConfigMap; it serves every host alike."""

    folder: Path
    files: Mapping[str, str]
    hosts: Sequence[str] = ()
    servers_without: Sequence[str] = ()
    """Hosts of nobody; a frontend has rules for all hosts that come to it."""
    also_in_servers: str = ""
    """What the user has in the frontend besides."""
    in_base: str = ""
    """What the user has in the defaults besides."""
    address: str = "127.0.0.1"
    https_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self._write()
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()

    def restart(self, files: Mapping[str, str]) -> None:
        """Run it anew with other files, as a pod does that takes the place of one."""
        self._child.kill()
        self.files = files
        self._write()
        self._start()

    def tested(self) -> str:
        """What `haproxy -c` says against it: empty when it passes."""
        self._write()
        done = subprocess.run(
            [*self._command(), "-c"],
            env=debian.environment("haproxy"),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stderr if done.returncode else ""

    def _start(self) -> None:
        command, environment = [*self._command(), "-W", "-db"], debian.environment("haproxy")
        self._child = Child(command, log=self.folder / "haproxy.log", env=environment)
        until(
            self._listens,
            within_s=30,
            describe=lambda: f"HAProxy to start; it said {self._child.last_words()}",
        )

    def _listens(self) -> bool:
        assert self._child.alive, self._child.last_words()
        with suppress(OSError):
            socket.create_connection((self.address, self.https_port), timeout=5).close()
            return True
        return False

    def _command(self) -> list[str | Path]:
        parts = (self.folder / "base.cfg", self.folder / MOUNT, self.folder / "site.cfg")
        return [debian.find("haproxy"), *(word for part in parts for word in ("-f", part))]

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "server.pem").exists():
            pair = Authority("origin").serve(["origin.example.com"])
            certificate, key = pair.write(self.folder, "server")
            together = Path(certificate).read_bytes() + Path(key).read_bytes()
            (self.folder / "server.pem").write_bytes(together)
        mounted = self.folder / MOUNT
        shutil.rmtree(mounted, ignore_errors=True)
        mounted.mkdir()
        for name, text in self.files.items():
            (mounted / name).write_text(text)
        (self.folder / "base.cfg").write_text(BASE.format(variable=VARIABLE, in_base=self.in_base))
        site = SITE.format(
            from_=FROM,
            folder=self.folder,
            address=self.address,
            https=self.https_port,
            plain=self.http_port,
            asking=ASKING.format(ca=self.folder / "server.pem"),
            also=self.also_in_servers,
        )
        (self.folder / "site.cfg").write_text(site)
