"""A real nginx that tells what a request came with: an origin for tests of the edge.

It asks for a client certificate and refuses nobody for it.
"""

import os
import pwd
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from sandbox import lone_nginx
from sandbox.cloudflare.authority import Authority
from sandbox.ports import free_port
from sandbox.processes import Child
from sandbox.waiting import until

# The session cache and the tickets as ingress-nginx renders them
# (facts: ingress-nginx#session-tickets).
CONF = """
daemon off; {user}worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off; default_type application/json; client_max_body_size 8m; keepalive_timeout {keepalive_s}s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:{cache}:1m; ssl_session_tickets off;
    ssl_verify_client {verify}; ssl_verify_depth 1;
    map $remote_addr $said {{ default '{{"replica": "{name}", "scheme": "$scheme", "protocol": "$ssl_protocol", "presented": "$ssl_client_fingerprint",
        "resumed": "$ssl_session_reused", "connection": "$connection", "nth": "$connection_requests", "host": "$http_host", "sni": "$ssl_server_name",
        "ray": "$http_cf_ray", "visitor": "$http_cf_connecting_ip", "proto": "$http_x_forwarded_proto", "for": "$http_x_forwarded_for",
        "te": "$http_te", "method": "$request_method", "length": "$content_length"}}'; }}
    server {{
        listen {address}:{https_port} ssl; listen {address}:{http_port};
        location / {{ return 200 $said; }}
        location = /refused {{ return 400 "no required certificate"; }}
        location = /close {{ return 444; }}
        location /files/ {{ root {folder}; }}
        location = /upload {{ proxy_pass http://{address}:{http_port}/; proxy_set_header cf-ray $http_cf_ray; }}
    }}
}}
"""


class EchoOrigin:
    """A running nginx within the block; every answer of `/` is JSON."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        *,
        name: str = "one",
        verify: str = "optional_no_ca",
        keepalive_s: int = 60,
    ) -> None:
        self.folder = folder
        self.address = "127.0.0.1"
        self._name = name
        self._authority = authority
        self._verify = verify
        self._keepalive_s = keepalive_s
        self._child: Child | None = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Address, https port, http port."""
        return self.address, self.https_port, self.http_port

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "files").mkdir()
        self.https_port, self.http_port = free_port(), free_port()
        leaf = self._authority.server(["example.com", "*.example.com"])
        (self.folder / "server.pem").write_text(leaf.key_pem + leaf.pem)
        self._configure("first")
        self._child = lone_nginx.start(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; whoever connects is refused."""
        if self._child is not None:
            self._child.kill(signal.SIGTERM)

    def flush_sessions(self, revision: str) -> None:
        """Reload with a session cache of another name, which forgets every session; returns when the old worker is gone.

        Raises:
            AssertionError: it does not run, or the old worker did not leave in time.
        """
        assert self._child is not None
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children")
        old = set(children.read_text().split())
        self._configure(revision)
        subprocess.run(
            [*lone_nginx.command(self.folder), "-s", "reload"],
            check=True,
            capture_output=True,
            timeout=10,
        )
        # An old worker accepts for a moment longer, and knows nothing of the new sessions
        # (facts: ingress-nginx#old-workers).
        until(
            lambda: not old & set(children.read_text().split()),
            within_s=10,
            describe="the old worker to be gone",
        )

    def _configure(self, revision: str) -> None:
        facts: dict[str, Any] = {
            "folder": self.folder,
            "name": self._name,
            "address": self.address,
            "cache": f"TEST_{revision}",
            "verify": self._verify,
            # Workers of root would run as nobody, whom the folders of tests are closed to.
            "user": "" if os.geteuid() else f"user {pwd.getpwuid(0).pw_name}; ",
        }
        ports = {
            "https_port": self.https_port,
            "http_port": self.http_port,
            "keepalive_s": self._keepalive_s,
        }
        (self.folder / "nginx.conf").write_text(CONF.format(**facts, **ports))
