"""One real nginx with exactly what the stand-in makes of a ConfigMap and some Ingresses, without an API server and without a controller.

For tests of what a rendered configuration means: a second each, where a whole controller takes
five.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sandbox import direct, lone_nginx
from sandbox.direct import Leaf
from sandbox.ingress_nginx import model, programs, template
from sandbox.ingress_nginx.annotations import PREFIX
from sandbox.ingress_nginx.client_auth import Bundle
from sandbox.ingress_nginx.configuration import Configuration
from sandbox.ingress_nginx.place import Place
from sandbox.kubernetes.certificates import ClusterAuthority, PemPair
from sandbox.lone_nginx import LoneNginx
from sandbox.ports import free_port

ADDRESS = "127.0.0.1"
WITHIN_S = 10


@dataclass
class ServedNginx(LoneNginx):
    """Running within the block, or only a file for `tested`.

    `data` is the ConfigMap's, `backend` the application's `host:port`.
    """

    folder: Path
    ingresses: Sequence[Mapping[str, Any]]
    data: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[Mapping[str, Any]] = ()
    backend: str = f"{ADDRESS}:1"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = ClusterAuthority("origin")
        self._ca_file = self.folder / "ca.crt"
        self._ca_file.write_bytes(authority.pem)
        certificate, key = authority.serve(["origin.example.com"]).write(self.folder, "default")
        http, https, default_server, status = (free_port(ADDRESS) for _ in range(4))
        self.place = Place(
            program=programs.find(),
            folder=self.folder,
            address=ADDRESS,
            http_port=http,
            https_port=https,
            default_server_port=default_server,
            status_port=status,
            backend=self.backend,
            certificate=certificate,
            key=key,
            user=programs.worker_user(),
            worker_processes=1,
        )

    @property
    def pid(self) -> int:
        """The master's."""
        return self._child.pid

    def tested(self) -> str:
        """What `nginx -t` says against the text: empty when it passes."""
        self._write()
        return lone_nginx.complaints(self.folder)

    def https(
        self,
        host: str,
        path: str = "/",
        *,
        sni: str | None = None,
        presenting: PemPair | None = None,
        method: str = "GET",
        **headers: str,
    ) -> httpx.Response:
        """One request over TLS, on a connection of its own; SNI is the host unless told otherwise."""
        return direct.ask(
            f"{ADDRESS}:{self.place.https_port}",
            host,
            path,
            method=method,
            sni=sni,
            leaf=Leaf.of_pair(presenting) if presenting else None,
            ca_file=self._ca_file,
            **headers,
        )

    def http(self, host: str, path: str = "/", **headers: str) -> httpx.Response:
        """One request in plaintext."""
        return direct.ask_plainly(f"{ADDRESS}:{self.place.http_port}", host, path, **headers)

    def _write(self) -> None:
        known = {
            f"{one['metadata']['namespace']}/{one['metadata']['name']}": one for one in self.secrets
        }
        self.place.ssl_folder.mkdir(exist_ok=True)
        self.place.endpoints_file.touch()
        for secret in self.secrets:
            if (bundle := Bundle.of(secret)) is not None:
                bundle.write(self.place.ssl_folder)
        text = template.render(
            model.build(Configuration.read(self.data), self.ingresses, known), self.place, 7
        )
        (self.folder / "nginx.conf").write_text(text)


def ingress(
    name: str,
    *hosts: str,
    age: str = "2026-01-01T00:00:00Z",
    tls: bool = True,
    path: str = "/",
    kind: str = "Prefix",
    **annotations: str,
) -> dict[str, Any]:
    """An Ingress of namespace `web` with one path on every host; no hosts: a rule of the catch-all.

    `annotations` have short names, with `_` for `-`.
    """
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    http = {"http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}}
    return {
        "metadata": {
            "name": name,
            "namespace": "web",
            "creationTimestamp": age,
            "resourceVersion": "1",
            "annotations": {
                PREFIX + key.replace("_", "-"): value for key, value in annotations.items()
            },
        },
        "spec": {
            "tls": [{"hosts": [*hosts]}] if tls else [],
            "rules": [{"host": host, **http} for host in hosts] or [http],
        },
    }
