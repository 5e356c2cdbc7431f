"""nginx.conf of one replica, in the controller's order: what may be overridden by a snippet depends on where the snippet lands.

Called by `replica` for every attempt. The order is that of the controller's template (reference: ingress-nginx, 9.1 and 9.2); its Lua is left out, save
the decision to redirect to https, which is rendered as `map` and `if`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.ingress_nginx.cleanconf import clean
from sandbox.ingress_nginx.client_auth import ClientAuth
from sandbox.ingress_nginx.configuration import Configuration
from sandbox.ingress_nginx.model import CATCH_ALL, Location, Model, Server
from sandbox.ingress_nginx.programs import Program

SNIPPET_MARK = "# Custom code snippet configured in the configuration configmap"

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
)

LOG_FORMAT = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    "$request_length $request_time [$proxy_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one replica lives: its address, its ports, its folder and the certificate it shows, and the nginx it runs on."""

    program: Program
    folder: Path
    address: str
    http_port: int
    https_port: int
    default_server_port: int
    status_port: int
    backend: str
    certificate: Path
    key: Path
    user: str | None = None
    worker_processes: int = 2
    worker_connections: int = 16384

    @property
    def ssl_folder(self) -> Path:
        """Where CA files of Secrets are written (the controller's `/etc/ingress-controller/ssl`)."""
        return self.folder / "ssl"


def render(model: Model, place: Place, checksum: int) -> str:
    """The whole text of nginx.conf, re-indented."""
    return clean("\n".join((f"# Configuration checksum: {checksum}", *_main(model, place), "")))


def render_empty(place: Place) -> str:
    """The nginx.conf that a pod starts with, before its first sync: nothing listens."""
    return clean("\n".join((*_process(place), "events {}", "http {}", "")))


def _process(place: Place) -> Iterator[str]:
    yield f"pid {place.folder}/nginx.pid;"
    if place.program.headers_more is not None:
        yield f"load_module {place.program.headers_more};"
    if place.user is not None:
        yield f"user {place.user};"
    yield "daemon off;"


def _main(model: Model, place: Place) -> Iterator[str]:
    configuration = model.configuration
    yield from _process(place)
    yield f"worker_processes {place.worker_processes};"
    yield f"worker_shutdown_timeout {configuration.worker_shutdown_timeout};"
    yield from _snippet(configuration.main_snippet)
    yield f"events {{\nmulti_accept on;\nworker_connections {place.worker_connections};\n}}"
    yield "http {"
    yield from _http_settings(model, place)
    yield from _tls(configuration, place)
    yield from _snippet(configuration.http_snippet)
    yield from _upstreams(configuration, place)
    for source, target in model.www_redirects:
        yield from _www_redirect(source, target, model, place)
    for server in model.servers:
        yield f"## start server {server.host}\nserver {{"
        yield from _server(server, model, place)
        yield f"}}\n## end server {server.host}\n"
    yield from _internal_servers(place)
    yield "}"


def _snippet(text: str) -> Iterator[str]:
    if text:
        yield SNIPPET_MARK
        yield text
        yield ""


def _http_settings(model: Model, place: Place) -> Iterator[str]:
    configuration = model.configuration
    longest = max(len(server.host) for server in model.servers)
    yield f"keepalive_timeout {configuration.keep_alive}s;"
    yield f"keepalive_requests {configuration.keep_alive_requests};"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f"{kind}_temp_path {place.folder}/{kind}-temp;"
    yield f"map_hash_bucket_size {configuration.map_hash_bucket_size};"
    yield f"server_names_hash_max_size {configuration.server_name_hash_max_size};"
    yield f"server_names_hash_bucket_size {configuration.server_name_hash_bucket_size or _bucket_for(longest)};"
    yield "uninitialized_variable_warn off;"
    yield "server_tokens off;"
    yield "default_type text/html;"
    yield f"log_format upstreaminfo '{LOG_FORMAT}';"
    yield "map $request_uri $loggable {\ndefault 1;\n}"
    yield f"access_log {place.folder}/access.log upstreaminfo if=$loggable;"
    yield f"error_log {place.folder}/error.log notice;"
    yield 'geo $literal_dollar {\ndefault "$";\n}'


def _bucket_for(longest_name: int) -> int:
    """The controller's rule: room for the longest name and nginx's own overhead, as a power of two, at least 32."""
    size = 32
    while size < longest_name + 2 + 8 + 8:
        size *= 2
    return size


def _tls(configuration: Configuration, place: Place) -> Iterator[str]:
    """Settings of http{}. The default certificate stands here, as in the controller: so all servers share one session-id context."""
    yield f"ssl_protocols {configuration.ssl_protocols};"
    yield f"ssl_early_data {_on(configuration.ssl_early_data)};"
    if configuration.ssl_session_cache:
        yield f"ssl_session_cache shared:SSL:{configuration.ssl_session_cache_size};"
        yield f"ssl_session_timeout {configuration.ssl_session_timeout};"
    yield f"ssl_session_tickets {_on(configuration.ssl_session_tickets)};"
    yield f"ssl_buffer_size {configuration.ssl_buffer_size};"
    yield f"ssl_ciphers '{CIPHERS}';"
    yield "ssl_prefer_server_ciphers on;"
    yield f"ssl_ecdh_curve {configuration.ssl_ecdh_curve};"
    yield f"ssl_certificate {place.certificate};"
    yield f"ssl_certificate_key {place.key};"


def _upstreams(configuration: Configuration, place: Place) -> Iterator[str]:
    yield f"upstream upstream_balancer {{\nserver {place.backend};"
    yield f"keepalive {configuration.upstream_keepalive_connections};\nkeepalive_timeout 60s;\nkeepalive_requests 10000;\n}}"
    # The controller decides in Lua (reference: ingress-nginx, 9.2): what the client claims counts only when forwarded headers are trusted.
    trusts = configuration.use_forwarded_headers
    claimed_scheme = '"" $scheme;\ndefault $http_x_forwarded_proto;' if trusts else "default $scheme;"
    yield f"map $http_x_forwarded_proto $claimed_scheme {{\n{claimed_scheme}\n}}"
    proxied = "443 https;\n" if configuration.use_proxy_protocol else ""
    port = "$proxy_protocol_server_port" if configuration.use_proxy_protocol else '""'
    yield f"map {port} $redirect_scheme {{\n{proxied}default $claimed_scheme;\n}}"
    host = '"" $host;\ndefault $http_x_forwarded_host;' if trusts else "default $host;"
    yield f"map $http_x_forwarded_host $redirect_host {{\n{host}\n}}"
    yield 'map $request_uri $redirect_uri {\ndefault $request_uri;\n"~^(?<without_slash>.*)/$" $without_slash;\n}'
    yield 'map $http_upgrade $connection_upgrade {\ndefault upgrade;\n"" "";\n}'


def _listens(configuration: Configuration, place: Place, *, default: bool) -> Iterator[str]:
    words = " default_server reuseport backlog=4096" if default else ""
    proxy = " proxy_protocol" if configuration.use_proxy_protocol else ""
    http2 = " http2" if configuration.use_http2 and not place.program.has_http2_directive else ""
    yield f"listen {place.address}:{place.http_port}{proxy}{words};"
    yield f"listen {place.address}:{place.https_port}{proxy}{words} ssl{http2};"
    if configuration.use_http2 and place.program.has_http2_directive:
        yield "http2 on;"


def _server(server: Server, model: Model, place: Place) -> Iterator[str]:
    configuration, catch_all = model.configuration, server.host == CATCH_ALL
    yield f'server_name "{server.host}";'
    yield from _listens(configuration, place, default=catch_all)
    yield 'set $proxy_upstream_name "-";'
    auth = server.client_auth
    if auth is not None and auth.match_cn:
        yield f'if ( $ssl_client_s_dn !~ "{auth.match_cn}" ) {{\nreturn 403 "client certificate unauthorized";\n}}'
    if catch_all:
        yield "ssl_reject_handshake off;"
    if auth is not None and auth.denied:
        yield "return 403;"
    else:
        yield from _client_auth(auth, place)
        for location in server.locations:
            yield from _location(location, server, model, place)
    if catch_all:
        yield "location /healthz {\naccess_log off;\nreturn 200;\n}"
        if place.program.has_stub_status:
            yield "location /nginx_status {\nallow 127.0.0.1;\ndeny all;\naccess_log off;\nstub_status on;\n}"
    yield from _snippet(configuration.server_snippet)


def _client_auth(auth: ClientAuth | None, place: Place) -> Iterator[str]:
    if auth is None or auth.file is None:
        return
    yield f"# PEM sha: {auth.sha}"
    yield f"ssl_client_certificate {place.ssl_folder / auth.file};"
    yield f"ssl_verify_client {auth.verify};"
    yield f"ssl_verify_depth {auth.depth};"
    if auth.error_page:
        yield f"error_page 495 496 = {auth.error_page};"


def _location(location: Location, server: Server, model: Model, place: Place) -> Iterator[str]:
    yield f'location {"= " if location.exact else ""}"{location.path}" {{'
    if location.force_ssl_redirect or (location.ssl_redirect and server.has_certificate):
        yield "if ($redirect_scheme = http) {\nreturn 308 https://$redirect_host$redirect_uri;\n}"
    yield f'set $proxy_upstream_name "{"upstream-sandbox-backend" if location.served else "upstream-default-backend"}";'
    for name, value in _upstream_headers(server, model.configuration):
        yield f"proxy_set_header {name} {value};"
    yield "proxy_http_version 1.1;"
    yield "proxy_buffering off;"
    yield "proxy_next_upstream error timeout;"
    target = "upstream_balancer" if location.served else f"{place.address}:{place.default_server_port}"
    yield f"proxy_pass http://{target};"
    yield "proxy_redirect off;"
    yield from _snippet(model.configuration.location_snippet)
    yield "}"


def _upstream_headers(server: Server, configuration: Configuration) -> Iterator[tuple[str, str]]:
    yield "Host", "$http_host"
    yield "Connection", "$connection_upgrade"
    yield "Upgrade", "$http_upgrade"
    yield "X-Real-IP", "$remote_addr"
    yield "X-Forwarded-For", "$proxy_add_x_forwarded_for" if configuration.use_forwarded_headers else "$remote_addr"
    yield "X-Forwarded-Proto", "$redirect_scheme"
    if server.client_auth is not None and server.client_auth.file is not None:
        yield "ssl-client-verify", "$ssl_client_verify"
        yield "ssl-client-subject-dn", "$ssl_client_s_dn"
        yield "ssl-client-issuer-dn", "$ssl_client_i_dn"
        if server.client_auth.pass_certificate:
            yield "ssl-client-cert", "$ssl_client_escaped_cert"


def _www_redirect(source: str, target: str, model: Model, place: Place) -> Iterator[str]:
    yield f"server {{\nserver_name {source};"
    yield from _listens(model.configuration, place, default=False)
    yield f"return 308 $redirect_scheme://{target}$request_uri;\n}}"


def _internal_servers(place: Place) -> Iterator[str]:
    yield f"server {{\nlisten {place.address}:{place.default_server_port} default_server reuseport backlog=4096;"
    yield "access_log off;\nlocation / {\nreturn 404;\n}\n}"
    yield f"server {{\nlisten {place.address}:{place.status_port};\nkeepalive_timeout 0;\naccess_log off;"
    yield "location /healthz {\nreturn 200;\n}"
    if place.program.has_stub_status:
        yield "location /nginx_status {\nstub_status on;\n}"
    yield "location / {\nreturn 404;\n}\n}"


def _on(flag: bool) -> str:
    return "on" if flag else "off"
