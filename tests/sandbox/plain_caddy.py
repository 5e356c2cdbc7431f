"""One real Caddy as a user runs it in a pod: a Caddyfile of theirs, which takes in the files of our ConfigMap.

The lines that a user adds are those of docs/how-to/caddy.md; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from sandbox import caddy
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.plain_server import MOUNT, PlainServer, mount

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
class PlainCaddy(PlainServer):
    """As `PlainServer` says: each host has a site."""

    title: ClassVar[str] = "Caddy"

    @contextmanager
    def as_it_stands(self) -> Iterator[Self]:
        """It runs within the block with what stands in its folder."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def started(self) -> str:
        """What `caddy run` says as it ends, where it does not take its configuration."""
        self.write()
        done = self.ended(self.running())
        assert done.returncode == 1, done
        return done.stdout + done.stderr

    def running(self) -> list[str | Path]:
        return self._command("run")

    def testing(self) -> list[str | Path]:
        return self._command("validate")

    def environment(self) -> Mapping[str, str]:
        return caddy.environment(self.folder)

    def _command(self, word: str) -> list[str | Path]:
        conf = self.folder / "Caddyfile"
        return [caddy.find(), word, "--config", conf, "--adapter", "caddyfile"]

    def write(self) -> None:
        mount(self.folder / MOUNT, self.files)
        if not (self.folder / "server.crt").exists():
            ClusterAuthority("origin").serve(["origin.example.com"]).write(self.folder, "server")
        sites = [
            SITE.format(
                name=name,
                folder=self.folder,
                https=self.https_port,
                plain=self.http_port,
                also=self.also_for(name),
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
