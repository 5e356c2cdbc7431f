"""What the edge presents to an origin: a throw-away host that leads to a server here, which tells what each request came with."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from aop import pki
from sandbox.lone_nginx import LoneNginx

# No connection and no session outlives its request: each one shows what is presented now.
CONF = """
daemon off; {user}worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off; default_type application/json; keepalive_timeout 0; ssl_session_cache off; ssl_session_tickets off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem; ssl_verify_client optional_no_ca;
    server {{
        listen {address}:{port} ssl;
        add_header cache-control no-store;
        location / {{ return 200 '{{"drill": "{word}", "presented": "$ssl_client_fingerprint", "asked": "$arg_asked"}}'; }}
    }}
}}
"""


@dataclass
class Listener(LoneNginx):
    """A real nginx within the block: it asks for a certificate, refuses nobody, and tells which one came."""

    folder: Path
    address: str
    port: int

    def __post_init__(self) -> None:
        self.word = secrets.token_hex(8)
        """By which an answer is known to be this one's."""

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        own = pki.throwaway(datetime.now(UTC))
        pem = self.folder / "server.pem"
        pem.touch(mode=0o600)
        pem.write_text(own.key.get_secret_value().decode() + own.leaf.pem)
        user = "" if os.geteuid() else f"user {pwd.getpwuid(0).pw_name}; "
        facts = {"folder": self.folder, "address": self.address, "port": self.port}
        (self.folder / "nginx.conf").write_text(CONF.format(user=user, word=self.word, **facts))


@dataclass(frozen=True, slots=True)
class DrillEdge:
    """The way through the edge to a listener."""

    host: str
    port: int
    listener: Listener
    connect_to: str | None = None
    """`address:port` where the edge is met, if not by DNS."""
    ca_file: Path | None = None

    async def presented(self) -> str | None:
        """The SHA-1 of what one request came with; empty for nothing, None if it did not arrive here."""
        nonce = secrets.token_hex(8)
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        url = f"https://{self.connect_to or f'{self.host}:{self.port}'}/"
        extensions = {"sni_hostname": self.host} if self.connect_to else {}
        try:
            async with httpx.AsyncClient(verify=context, trust_env=False, timeout=15) as visitor:
                answer = await visitor.get(
                    url,
                    params={"asked": nonce},
                    headers={"host": self.host},
                    extensions=extensions,
                )
            echoed = json.loads(answer.content)
        except (httpx.HTTPError, ValueError):
            return None
        if not isinstance(echoed, dict) or echoed.get("drill") != self.listener.word:
            return None
        return str(echoed["presented"]) if echoed.get("asked") == nonce else None
