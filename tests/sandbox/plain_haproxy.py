"""One real HAProxy as a user runs it in a pod: files of theirs, between which ours is read.

The lines that a user adds are those of docs/how-to/haproxy.md; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sandbox import debian
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.plain_server import MOUNT, PlainServer, mount

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
class PlainHaproxy(PlainServer):
    """As `PlainServer` says: a frontend has rules for all hosts that come to it, so that it serves every host alike."""

    title: ClassVar[str] = "HAProxy"
    in_base: str = ""
    """What the user has in the defaults besides."""

    def running(self) -> list[str | Path]:
        return [*self._command(), "-W", "-db"]

    def testing(self) -> list[str | Path]:
        return [*self._command(), "-c"]

    def environment(self) -> Mapping[str, str]:
        return debian.environment("haproxy")

    def _command(self) -> list[str | Path]:
        parts = (self.folder / "base.cfg", self.folder / MOUNT, self.folder / "site.cfg")
        return [debian.find("haproxy"), *(word for part in parts for word in ("-f", part))]

    def write(self) -> None:
        mount(self.folder / MOUNT, self.files)
        if not (self.folder / "server.pem").exists():
            pair = ClusterAuthority("origin").serve(["origin.example.com"])
            certificate, key = pair.write(self.folder, "server")
            together = Path(certificate).read_bytes() + Path(key).read_bytes()
            (self.folder / "server.pem").write_bytes(together)
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
