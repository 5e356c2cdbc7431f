"""A tenant's own server, to which a record of the zone leads instead of to the controller: it answers every path as it is told.

Whoever runs it gets to see the check path, and may answer that in nginx's place too.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import parse_qs, urlsplit

from sandbox.cloudflare.authority import Authority

ADDRESS = "127.0.0.1"
Reply = tuple[int, dict[str, str], str]
"""Status, headers and body of an answer; headers are sent as latin-1."""


class Tenant:
    """Serves HTTPS within the block.

    `says` makes the answer to a path from its nonce (`n`), and may be replaced at any time.
    """

    def __init__(self, folder: Path, says: Callable[[str], Reply]) -> None:
        self.says = says
        self.asked = 0
        tenant = self

        class TenantHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                tenant.asked += 1
                status, headers, body = tenant.says(
                    parse_qs(urlsplit(self.path).query).get("n", [""])[0]
                )
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        pair = Authority.new("Tenant").server(["example.com", "*.example.com"])
        file = folder / "tenant.pem"
        file.write_text(pair.key_pem + pair.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        self._server = ThreadingHTTPServer((ADDRESS, 0), TenantHandler)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def place(self) -> dict[str, str | int]:
        """Where the edge finds it: an `Origin` of the double's."""
        return {
            "address": ADDRESS,
            "https_port": self._server.server_port,
            "http_port": self._server.server_port,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
