"""One real Traefik as a user runs it in a pod, configured by files: theirs, and beside them the file of our ConfigMap.

What a user adds is what docs/how-to/traefik.md says; a test compares them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import yaml

from sandbox import traefik
from sandbox.cluster.volumes import replace_files
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.plain_server import MOUNT, SITE_PATH, PlainServer

TLS_OPTION = """\
clientAuth:
  clientAuthType: RequestClientCert
disableSessionTickets: true
"""
"""The user's `default` TLSOption: it asks for a certificate, and refuses nobody by it."""
STRIP = """\
headers:
  customRequestHeaders:
    X-Forwarded-Tls-Client-Cert: ""
    X-Aop-Forged: ""
"""
CERTIFICATE = """\
passTLSClientCert:
  pem: true
"""
"""The user's two middlewares, in this order."""
RULE, PRIORITY = "PathPrefix(`/`)", 1
"""Of the user's two routers."""
SITE_HEADER = "X-Site"
"""In which a host's own router tells the application that it was this one."""


class _App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        site = self.headers.get(SITE_HEADER, "")
        body = f"site={site}" if self.path == SITE_PATH else "app"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class PlainTraefik(PlainServer):
    """As `PlainServer` says: each host has a router, and so has every other name.

    The routers of hosts in `servers_without` stand below none of the user's two.
    """

    title: ClassVar[str] = "Traefik"
    trusting: bool = False
    """It believes what a request says of who has forwarded it."""
    strips: bool = True
    """Its two routers take away what a request says of itself."""

    def start(self) -> None:
        self._app = ThreadingHTTPServer((self.address, 0), _App)
        threading.Thread(target=self._app.serve_forever, args=(0.05,), daemon=True).start()
        self.change(self.files)
        super().start()

    def stop(self) -> None:
        super().stop()
        self._app.shutdown()
        self._app.server_close()

    def change(self, files: Mapping[str, str]) -> None:
        """Put other files in place of ours, as the kubelet does in a volume of several ConfigMaps."""
        texts = {**files, "own.yaml": self._own()}
        replace_files(self.folder / MOUNT, {name: text.encode() for name, text in texts.items()})

    def running(self) -> list[str | Path]:
        return [
            traefik.find(),
            f"--entryPoints.websecure.address={self.address}:{self.https_port}",
            f"--entryPoints.web.address={self.address}:{self.http_port}",
            f"--providers.file.directory={self.folder / MOUNT}",
            f"--entryPoints.websecure.forwardedHeaders.insecure={str(self.trusting).lower()}",
            "--providers.providersThrottleDuration=50ms",  # 2 s between two changes otherwise
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
        ]

    def testing(self) -> list[str | Path]:
        raise NotImplementedError("Traefik has no command that says what is wrong with a file")

    def environment(self) -> Mapping[str, str]:
        return traefik.environment(self.folder)

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "server.crt").exists():
            ClusterAuthority("origin").serve(["origin.example.com"]).write(self.folder, "server")

    def _listens(self) -> bool:
        """It listens before it has read what it serves."""
        with suppress(OSError):
            return super()._listens() and self.http("any.example.com").body == "app"
        return False

    def _own(self) -> str:
        chain: dict[str, Any] = {
            "rule": RULE,
            "priority": PRIORITY,
            "middlewares": [*(["aop-strip"] if self.strips else []), "aop-certificate"],
        }
        below = {"parentRefs": ["aop", "aop-plain"], "service": "app"}
        routers: dict[str, Any] = {
            "aop": {**chain, "entryPoints": ["websecure"], "tls": {}},
            "aop-plain": {**chain, "entryPoints": ["web"]},
            "app": {"rule": RULE, **below},
        }
        for name in self.hosts:
            rule = (
                f"HostRegexp(`^.+[.]{name[2:]}$`)" if name.startswith("*.") else f"Host(`{name}`)"
            )
            routers[f"app-{len(routers)}"] = {"rule": rule, "middlewares": [f"is-{name}"], **below}
        for name in self.servers_without:
            alone = {
                "rule": f"Host(`{name}`)",
                "middlewares": [f"is-{name}"],
                "service": "app",
            }
            routers[f"alone-{name}"] = {**alone, "entryPoints": ["websecure"], "tls": {}}
            routers[f"alone-plain-{name}"] = {**alone, "entryPoints": ["web"]}
        app = f"http://{self.address}:{self._app.server_port}"
        pair = {"certFile": self.folder / "server.crt", "keyFile": self.folder / "server.key"}
        config = {
            "tls": {
                "certificates": [{name: str(path) for name, path in pair.items()}],
                "options": {"default": yaml.safe_load(TLS_OPTION)},
            },
            "http": {
                "middlewares": {
                    "aop-strip": yaml.safe_load(STRIP),
                    "aop-certificate": yaml.safe_load(CERTIFICATE),
                    **{
                        f"is-{name}": {"headers": {"customRequestHeaders": {SITE_HEADER: name}}}
                        for name in (*self.hosts, *self.servers_without)
                    },
                },
                "routers": routers,
                "services": {"app": {"loadBalancer": {"servers": [{"url": app}]}}},
            },
        }
        return json.dumps(config)
