"""One real Caddy as a user runs it in a pod: a Caddyfile of theirs, which takes in the files of our ConfigMap.

The lines that a user adds are those of docs/how-to/caddy.md; a test compares them.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox import caddy
from sandbox.kubernetes.certificates import Authority
from sandbox.ports import free_port
from sandbox.processes import Child
from sandbox.text_nginx import AskedServer
from sandbox.waiting import until

MOUNT = "aop"
"""Where the ConfigMap is mounted, below the folder of the Caddyfile."""
IN_OPTIONS = "order invoke first"
NAMED_ROUTE = f"&(aop) {{\n    import {MOUNT}/*.caddy\n}}\n"
IN_SITE = "invoke aop"
IN_TLS = "client_auth {\n            mode request\n        }"
"""What a user adds, once: among the options, before the sites, in each site, and in its `tls`."""

CONF = """{{
    {in_options}
    auto_https off
    admin off
    persist_config off
    default_bind {address}
    servers {{
        protocols h1 h2
    }}
}}
{named_route}
{sites}
"""
SITE = """
http://{name}:{plain} {{
    {in_site}
    {also}
    respond "app"
}}
https://{name}:{https} {{
    {in_site}
    tls {folder}/server.crt {folder}/server.key {{
        {in_tls}
    }}
    {also}
    respond "app"
}}
"""


@dataclass
class PlainCaddy(AskedServer):
    """A running Caddy within the block. `files` are those of the ConfigMap; `hosts` have a site each, beside the one that takes all others."""

    folder: Path
    files: Mapping[str, str]
    hosts: Sequence[str] = ()
    servers_without: Sequence[str] = ()
    """Hosts whose site does not take in ours."""
    also_in_servers: str = ""
    """What the user has in each site besides."""
    address: str = "127.0.0.1"
    https_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self._write()
        self._start()
        return self

    @contextmanager
    def as_it_stands(self) -> Iterator[Self]:
        """It runs within the block with what stands in its folder."""
        self._start()
        try:
            yield self
        finally:
            self._child.kill()

    def _start(self) -> None:
        log = self.folder / "caddy.log"
        self._child = Child(self._command("run"), log=log, env=caddy.environment(self.folder))
        until(
            self._listens,
            within_s=30,
            describe=lambda: f"Caddy to start; it said {self._child.last_words()}",
        )

    def __exit__(self, *_: object) -> None:
        self._child.kill()

    def tested(self) -> str:
        """What `caddy validate` says against it: empty when it passes."""
        self._write()
        done = subprocess.run(
            self._command("validate"),
            env=caddy.environment(self.folder),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stderr if done.returncode else ""

    def started(self) -> str:
        """What `caddy run` says as it ends, where it does not take its configuration."""
        self._write()
        command, env = self._command("run"), caddy.environment(self.folder)
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1, done
        return done.stdout + done.stderr

    def _listens(self) -> bool:
        assert self._child.alive, self._child.last_words()
        with suppress(OSError):
            socket.create_connection((self.address, self.https_port), timeout=5).close()
            return True
        return False

    def _command(self, word: str) -> list[str | Path]:
        conf = self.folder / "Caddyfile"
        return [caddy.find(), word, "--config", conf, "--adapter", "caddyfile"]

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "server.crt").exists():
            Authority("origin").serve(["origin.example.com"]).write(self.folder, "server")
        mounted = self.folder / MOUNT
        shutil.rmtree(mounted, ignore_errors=True)
        mounted.mkdir()
        for name, text in self.files.items():
            (mounted / name).write_text(text)
        sites = [
            SITE.format(
                name=name,
                folder=self.folder,
                https=self.https_port,
                plain=self.http_port,
                also=self.also_in_servers,
                in_site="" if name in self.servers_without else IN_SITE,
                in_tls="" if name in self.servers_without else IN_TLS,
            )
            for name in dict.fromkeys(("", *self.hosts, *self.servers_without))
        ]
        text = CONF.format(
            address=self.address,
            in_options=IN_OPTIONS,
            named_route=NAMED_ROUTE,
            sites="".join(sites),
        )
        (self.folder / "Caddyfile").write_text(text)
