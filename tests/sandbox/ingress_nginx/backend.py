"""The application behind every Ingress: one nginx that answers each request with its own host and path.

`expected` is what it answers. An nginx of its own, so that a reload of a replica never touches it,
and with connections that outlive the replicas' idle time: no answer is ever lost on this side.
"""

import os
import signal
from pathlib import Path

from sandbox.ingress_nginx.programs import Program
from sandbox.processes import Child

STATUS = 200
HEADER = "X-Sandbox-Backend"

# `ssl-client-verify` is what an Ingress with auth-tls tells its application.
CONF = """
daemon off;
pid {folder}/nginx.pid;
{user}
worker_processes 1;
error_log {folder}/error.log warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    default_type text/plain;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/client_body-temp;
    server {{
        listen {address} backlog=4096;
        large_client_header_buffers 4 32k;
        add_header {header} "$http_ssl_client_verify;$http_x_forwarded_proto" always;
        return {status} "backend host=$host uri=$request_uri\\n";
    }}
}}
"""


def expected(host: str, uri: str) -> bytes:
    """The body that the backend answers with, for a host and a path with its query as they stand in the request."""
    return f"backend host={host} uri={uri}\n".encode()


def start(
    program: Program, folder: Path, address: str, *, user: str | None, connections: int
) -> Child:
    """Run the backend at `address` (host:port); it dies with this process.

    Raises:
        OSError: it cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "nginx.conf"
    conf.write_text(
        CONF.format(
            folder=folder,
            user=f"user {user};" if user else "",
            connections=connections,
            address=address,
            header=HEADER,
            status=STATUS,
        )
    )
    command: list[str | Path] = [
        program.path,
        "-p",
        f"{folder}{os.sep}",
        "-e",
        folder / "error.log",
        "-c",
        conf,
    ]
    return Child(command, log=folder / "stdout.log", death_signal=signal.SIGTERM)
