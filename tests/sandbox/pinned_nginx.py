"""One real nginx that pins client certificates the way the recommended snippet does (facts: ingress-nginx#pins), without any controller around it.

For tests of the probe, which has to read what nginx answers, however the text came there.
"""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox import lone_nginx
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.ports import free_port

CHECK = "/.well-known/aop/check"
GATE = "/.well-known/aop/gate"

CONF = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    log_format asked "$connection $connection_requests $request_uri $status";
    access_log {folder}/access.log asked;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    default_type text/plain;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols {protocols}; ssl_session_cache shared:AOP_7:1m; ssl_session_tickets on;
    ssl_verify_client {verify};
    ssl_verify_depth 1;
    map $host $required {{ hostnames; default 0; {required} }}
    map $ssl_client_fingerprint $presented {{ default other; "" none; {pins} }}
    map $presented $unverified {{ default 0; none 1; other 1; }}
    map $uri $public {{ default 0; {check} 1; }}
    map "$https:$required$unverified$public" $action {{ default ""; "on:110" deny; ":110" tls; }}
    server {{
        listen {address}:{https_port} ssl{proxy}; listen {address}:{http_port}{proxy};
        server_name _;
        if ($action = "deny") {{ return 496; }}
        if ($action = "tls") {{ return 308 https://$host$request_uri; }}
        location = {check} {{
            set $proxied "$proxy_protocol_addr,$proxy_protocol_server_port";
            return 200 "rev=7 presented=$presented nonce=$arg_n host=$host sni=$ssl_server_name session=$ssl_session_reused proxy=$proxied\\n";
        }}
        location = {gate} {{ return 204; }}
    }}
}}
"""


@dataclass
class PinnedNginx:
    """A running nginx within the block.

    `pins` are SHA-1 fingerprints (hex) and what the check path calls them.
    """

    folder: Path
    pins: Mapping[str, str] = field(default_factory=dict)
    required: Sequence[str] = ()
    """Hosts (or `*.` wildcards) that refuse whoever presents no pinned certificate."""
    verify: str = "optional_no_ca"
    protocols: str = "TLSv1.2 TLSv1.3"
    proxy_protocol: bool = False
    address: str = "127.0.0.1"

    def __enter__(self) -> Self:
        self.https_port, self.http_port = free_port(), free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        certificate, key = (
            ClusterAuthority("origin").serve(["origin.example.com"]).write(self.folder, "server")
        )
        (self.folder / "nginx.conf").write_text(
            CONF.format(
                folder=self.folder,
                certificate=certificate,
                key=key,
                protocols=self.protocols,
                verify=self.verify,
                required=" ".join(f"{host} 1;" for host in self.required),
                pins=" ".join(f"{sha1} {name};" for sha1, name in self.pins.items()),
                check=CHECK,
                gate=GATE,
                address=self.address,
                https_port=self.https_port,
                http_port=self.http_port,
                proxy=" proxy_protocol" if self.proxy_protocol else "",
            )
        )
        self._child = lone_nginx.start(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill(signal.SIGTERM)

    def asked(self) -> list[tuple[str, int, str, int]]:
        """Every request so far: the connection's number, the request's number on it, path and query, status. Written when it is answered."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return [
            (connection, int(nth), uri, int(status))
            for connection, nth, uri, status in (line.split() for line in lines)
        ]
