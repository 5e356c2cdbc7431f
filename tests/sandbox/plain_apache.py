"""One real Apache as a user runs it in a pod: virtual hosts of theirs, which take in the file of our ConfigMap.

The lines that a user adds are those of docs/how-to/apache.md; a test compares them.
"""

from __future__ import annotations

import shutil
import signal
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
"""Where the ConfigMap is mounted, below the folder of httpd.conf."""
MODULE = "LoadModule lua_module modules/mod_lua.so"
IN_HOST = f"IncludeOptional conf/{MOUNT}/*.conf"
"""What a user adds, once: among the modules, and in each virtual host of the zone."""
MODULES = ("mpm_event", "authz_core", "socache_shmcb", "ssl", "http2", "alias", "lua")

CONF = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
ErrorLog {folder}/error.log
{modules}
SSLSessionCache shmcb:{folder}/sessions(512000)
Protocols h2 http/1.1
Listen {address}:{https} https
Listen {address}:{plain} http
<Directory />
    Require all granted
</Directory>
{sites}
"""
SITE = """
<VirtualHost {address}:{port}>
    ServerName {number}.invalid
    ServerAlias {name}
    {also}
    {tls}
    {in_host}
    AliasMatch ^ {folder}/app.html
</VirtualHost>
"""
TLS = "SSLEngine on\n    SSLCertificateFile {folder}/server.crt\n    SSLCertificateKeyFile {folder}/server.key"


@dataclass
class PlainApache(AskedServer):
    """A running Apache within the block. `files` are those of the ConfigMap; `hosts` have a virtual host each, beside the one for all others."""

    folder: Path
    files: Mapping[str, str]
    hosts: Sequence[str] = ()
    servers_without: Sequence[str] = ()
    """Hosts whose virtual host does not take in ours."""
    also_in_servers: str = ""
    """What the user has in each virtual host besides."""
    modules: Sequence[str] = MODULES
    address: str = "127.0.0.1"
    https_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self._write()
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill(signal.SIGTERM)

    def restart(self, files: Mapping[str, str]) -> None:
        """Run it anew with other files, as a pod does that takes the place of one."""
        self._child.kill(signal.SIGTERM)
        self.files = files
        self._write()
        self._start()

    def tested(self) -> str:
        """What `httpd -t` says against it: empty when it passes."""
        self._write()
        done = subprocess.run(
            [*self._command(), "-t"],
            env=debian.environment("apache"),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stderr if done.returncode else ""

    def _start(self) -> None:
        command, environment = [*self._command(), "-DFOREGROUND"], debian.environment("apache")
        log = self.folder / "stdout.log"
        self._child = Child(command, log=log, env=environment, death_signal=signal.SIGTERM)
        until(
            self._listens,
            within_s=30,
            describe=lambda: f"Apache to start; it said {self._child.last_words()}",
        )

    def _listens(self) -> bool:
        assert self._child.alive, self._child.last_words()
        with suppress(OSError):
            socket.create_connection((self.address, self.https_port), timeout=5).close()
            return True
        return False

    def _command(self) -> list[str | Path]:
        return [debian.find("apache"), "-f", self.folder / "conf" / "httpd.conf"]

    def _write(self) -> None:
        mounted = self.folder / "conf" / MOUNT
        shutil.rmtree(mounted, ignore_errors=True)
        mounted.mkdir(parents=True)
        if not (self.folder / "server.crt").exists():
            Authority("origin").serve(["origin.example.com"]).write(self.folder, "server")
            (self.folder / "app.html").write_text("app")
            (self.folder / "modules").symlink_to(debian.apache_modules())
        for name, text in self.files.items():
            (mounted / name).write_text(text)
        names = dict.fromkeys(("any.invalid", *self.hosts, *self.servers_without))
        sites = [
            SITE.format(
                name=name,
                number=number,
                address=self.address,
                port=port,
                folder=self.folder,
                also=self.also_in_servers,
                tls=tls.format(folder=self.folder),
                in_host="" if name in self.servers_without else IN_HOST,
            )
            for number, name in enumerate(names)
            for port, tls in ((self.https_port, TLS), (self.http_port, ""))
        ]
        modules = [f"LoadModule {name}_module modules/mod_{name}.so" for name in self.modules]
        text = CONF.format(
            folder=self.folder,
            address=self.address,
            https=self.https_port,
            plain=self.http_port,
            modules="\n".join(modules),
            sites="".join(sites),
        )
        (self.folder / "conf" / "httpd.conf").write_text(text)
