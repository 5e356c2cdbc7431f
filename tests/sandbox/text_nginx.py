"""One real nginx around a text in the two snippet keys, shaped like the controller's configuration but with no controller.

For tests of what the text means: render order and re-indenting are the controller's
(facts: ingress-nginx#render-order, ingress-nginx#re-indenting), the rest is the least that answers.
"""

import os
import signal
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import lone_nginx
from sandbox.ingress_nginx.cleanconf import clean
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.lone_nginx import LoneNginx
from sandbox.ports import free_port

HTTP, SERVER = "http-snippet", "server-snippet"

CONF = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    types {{ text/html html; text/plain txt; }} default_type text/html; map_hash_bucket_size {bucket}; server_names_hash_bucket_size 256; uninitialized_variable_warn off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    access_log {folder}/access.log combined{logged};
    {built_in}
    map $http_x_forwarded_proto $redirect_scheme {{ "" $scheme; default $http_x_forwarded_proto; }}
    ssl_session_cache shared:SSL:10m; ssl_session_timeout 10m; ssl_session_tickets off;
    ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
    {http}
    {servers}
}}
"""
LOGGABLE = "map $request_uri $loggable { default 1; }"
"""The map by which the controller decides what its access log is to hold."""
SERVER_CONF = """
    server {{
        server_name "{name}";
        listen 127.0.0.1:{https} ssl{default}; listen 127.0.0.1:{plain}{default};
        location / {{
            if ($redirect_scheme = http) {{ return 308 https://$host$request_uri; }}
            return 200 "app verify=$ssl_client_verify resumed=$ssl_session_reused";
        }}
        location /healthz {{ return 200; }}
        {ingress}
        {server}
    }}
"""


@dataclass(frozen=True, slots=True)
class NginxAnswer:
    """One HTTP answer. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: str


class AskedServer:
    """A server that is asked here, at its `address` and its two ports."""

    address: str
    https_port: int
    http_port: int

    def https(
        self,
        host: str,
        path: str = "/",
        leaf: Path | None = None,
        *,
        sni: str | None = None,
        **headers: str,
    ) -> NginxAnswer:
        """GET over a fresh TLS connection, with the certificate and key in `leaf` if given; SNI is the host unless told otherwise."""
        with self.connection(client_context(leaf), sni or host) as connection:
            return ask(connection, host, path, headers)

    def http(self, host: str, path: str = "/", **headers: str) -> NginxAnswer:
        """GET in plaintext."""
        with socket.create_connection((self.address, self.http_port), timeout=10) as connection:
            return ask(connection, host, path, headers)

    def connection(
        self, context: ssl.SSLContext, sni: str, session: ssl.SSLSession | None = None
    ) -> ssl.SSLSocket:
        """A TLS connection, resuming `session` if the server agrees."""
        plain = socket.create_connection((self.address, self.https_port), timeout=10)
        # Else the request waits until the other side confirms the end of the handshake.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return context.wrap_socket(plain, server_hostname=sni, session=session)
        except OSError:
            plain.close()
            raise


class AskedNginx(AskedServer, LoneNginx):
    """An nginx that is asked here."""

    def signal_reload(self) -> None:
        """Have it read what stands in its folder; the new workers answer a little later."""
        os.kill(int((self.folder / "nginx.pid").read_text()), signal.SIGHUP)


@dataclass
class TextNginx(AskedNginx):
    """A running nginx within the block, or only a file for `tested`.

    `hosts` have a server each, beside the catch-all.
    """

    folder: Path
    snippets: Mapping[str, str]
    hosts: Sequence[str] = ()
    built_in: str = LOGGABLE
    """What the controller brings into `http{}` before the http-snippet."""
    ingress: str = ""
    """What Ingresses bring into each server before the server-snippet."""
    bucket: int = 64
    address: str = "127.0.0.1"
    https_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    def tested(self) -> str:
        """What `nginx -t` says against the text: empty when it passes, else the lines of level emerg."""
        self._write()
        complaints = lone_nginx.complaints(self.folder)
        return (
            "\n".join(line for line in complaints.splitlines() if "[emerg]" in line) or complaints
        )

    def logged(self) -> list[str]:
        """The lines of the access log so far."""
        return (self.folder / "access.log").read_text().splitlines()

    def reload(self, snippets: Mapping[str, str]) -> None:
        """Have it read another text; the new workers answer a little later."""
        self.snippets = snippets
        self._write()
        self.signal_reload()

    def raw(self, request: bytes, *, tls: str | None = None, port: int | None = None) -> str:
        """What is answered to these very bytes, over TLS with SNI `tls`, or in plaintext on the plaintext port unless told otherwise."""
        plain = socket.create_connection(
            ("127.0.0.1", port or (self.https_port if tls else self.http_port)), timeout=10
        )
        with (
            client_context(None).wrap_socket(plain, server_hostname=tls)
            if tls
            else plain as connection
        ):
            with suppress(
                ConnectionResetError, BrokenPipeError, ssl.SSLError
            ):  # it may have answered before it has read all
                connection.sendall(request)
            return answered(connection).body

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "server.crt").exists():
            ClusterAuthority("origin").serve(["origin.example.com"]).write(self.folder, "server")
        servers = [
            SERVER_CONF.format(
                name=name,
                https=self.https_port,
                plain=self.http_port,
                default=" default_server" if name == "_" else "",
                ingress=self.ingress,
                server=self.snippets.get(SERVER, ""),
            )
            for name in ("_", *self.hosts)
        ]
        text = CONF.format(
            folder=self.folder,
            bucket=self.bucket,
            logged=" if=$loggable" if "$loggable" in self.built_in else "",
            built_in=self.built_in,
            http=self.snippets.get(HTTP, ""),
            servers="".join(servers),
        )
        (self.folder / "nginx.conf").write_text(clean(text))


def client_context(leaf: Path | None) -> ssl.SSLContext:
    """A client that believes any server and presents `leaf` (PEM, certificate and key) whatever authorities the server names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if leaf is not None:
        context.load_cert_chain(leaf)
    return context


def ask(
    connection: socket.socket,
    host: str,
    path: str,
    headers: Mapping[str, str],
    *,
    close: bool = True,
) -> NginxAnswer:
    """One GET, exactly as written: nothing is normalised, so that paths with `..` arrive as they are."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    connection.sendall(
        "\r\n".join([*lines, *(["Connection: close"] if close else []), "", ""]).encode()
    )
    return answered(connection)


def answered(connection: socket.socket) -> NginxAnswer:
    """The next answer on a connection, of which the server may go on waiting for more."""
    answer = connection.makefile("rb")
    status = int(answer.readline().split()[1])
    answers = {}
    while line := answer.readline().strip().decode("latin-1"):
        name, _, value = line.partition(":")
        answers[name.lower()] = value.strip()
    return NginxAnswer(
        status, answers, answer.read(int(answers.get("content-length", 0))).decode(errors="replace")
    )
