"""One real Apache as a user runs it in a pod: virtual hosts of theirs, which take in the file of our ConfigMap.

The lines that a user adds are those of docs/how-to/apache.md; a test compares them.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sandbox import debian
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.plain_server import MOUNT, PlainServer, mount

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
class PlainApache(PlainServer):
    """As `PlainServer` says: each host has a virtual host."""

    title: ClassVar[str] = "Apache"
    ends_by: ClassVar[signal.Signals] = signal.SIGTERM
    modules: Sequence[str] = MODULES

    def running(self) -> list[str | Path]:
        return [*self._command(), "-DFOREGROUND"]

    def testing(self) -> list[str | Path]:
        return [*self._command(), "-t"]

    def environment(self) -> Mapping[str, str]:
        return debian.environment("apache")

    def _command(self) -> list[str | Path]:
        return [debian.find("apache"), "-f", self.folder / "conf" / "httpd.conf"]

    def write(self) -> None:
        mount(self.folder / "conf" / MOUNT, self.files)
        if not (self.folder / "server.crt").exists():
            ClusterAuthority("origin").serve(["origin.example.com"]).write(self.folder, "server")
            (self.folder / "app.html").write_text("app")
            (self.folder / "modules").symlink_to(debian.apache_modules())
        names = dict.fromkeys(("any.invalid", *self.hosts, *self.servers_without))
        sites = [
            SITE.format(
                name=name,
                number=number,
                address=self.address,
                port=port,
                folder=self.folder,
                also=self.also_for(name),
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
