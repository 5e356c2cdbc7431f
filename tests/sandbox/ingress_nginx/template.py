"""nginx.conf of one replica, in the controller's order: what may be overridden by a snippet depends on where the snippet lands.

The order is that of the controller's template (facts: ingress-nginx#render-order); its Lua is left
out, save the decision to redirect to https, which is rendered as `map` and `if`. `servers` has the
server blocks.
"""

from collections.abc import Iterator

from sandbox.ingress_nginx import servers
from sandbox.ingress_nginx.cleanconf import clean
from sandbox.ingress_nginx.configuration import Configuration
from sandbox.ingress_nginx.model import Model
from sandbox.ingress_nginx.place import Place
from sandbox.ingress_nginx.server_names import hash_bucket_size
from sandbox.ingress_nginx.servers import snippet

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
)

LOG_FORMAT = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    "$request_length $request_time [$proxy_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status"
)


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
    yield from snippet(configuration.main_snippet)
    yield f"events {{\nmulti_accept on;\nworker_connections {place.worker_connections};\n}}"
    yield "http {"
    yield from _http_settings(model, place)
    yield from _tls(configuration, place)
    if configuration.custom_http_errors and not configuration.disable_proxy_intercept_errors:
        yield "proxy_intercept_errors on;"
    yield from servers.error_pages(configuration.custom_http_errors)
    yield from snippet(configuration.http_snippet)
    yield from _upstreams(configuration, place)
    yield from _filters(configuration)
    for source, target in model.www_redirects:
        yield from servers.redirecting(source, target, model, place)
    for server in model.servers:
        yield from servers.serving(server, model, place)
    yield from servers.internal(place)
    yield "}"


def _http_settings(model: Model, place: Place) -> Iterator[str]:
    configuration = model.configuration
    yield f"keepalive_timeout {configuration.keep_alive}s;"
    yield f"keepalive_requests {configuration.keep_alive_requests};"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f"{kind}_temp_path {place.folder}/{kind}-temp;"
    yield f"map_hash_bucket_size {configuration.map_hash_bucket_size};"
    yield f"server_names_hash_max_size {configuration.server_name_hash_max_size};"
    yield f"server_names_hash_bucket_size {max(configuration.server_name_hash_bucket_size, hash_bucket_size(model.names()))};"
    yield "uninitialized_variable_warn off;"
    yield "server_tokens off;"
    yield "default_type text/html;"
    yield f"log_format upstreaminfo '{LOG_FORMAT}';"
    yield "map $request_uri $loggable {\ndefault 1;\n}"
    yield f"access_log {place.folder}/access.log upstreaminfo if=$loggable;"
    yield f"error_log {place.folder}/error.log notice;"
    yield 'geo $literal_dollar {\ndefault "$";\n}'


def _tls(configuration: Configuration, place: Place) -> Iterator[str]:
    """Settings of http{}.

    The default certificate stands here, as in the controller: so all servers share one session-id
    context.
    """
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
    # The controller decides in Lua (facts: ingress-nginx#plaintext-bypass): what the client claims
    # counts only when forwarded headers are trusted.
    trusts = configuration.use_forwarded_headers
    claimed_scheme = (
        '"" $scheme;\ndefault $http_x_forwarded_proto;' if trusts else "default $scheme;"
    )
    yield f"map $http_x_forwarded_proto $claimed_scheme {{\n{claimed_scheme}\n}}"
    proxied = "443 https;\n" if configuration.use_proxy_protocol else ""
    port = "$proxy_protocol_server_port" if configuration.use_proxy_protocol else '""'
    yield f"map {port} $redirect_scheme {{\n{proxied}default $claimed_scheme;\n}}"
    host = '"" $host;\ndefault $http_x_forwarded_host;' if trusts else "default $host;"
    yield f"map $http_x_forwarded_host $redirect_host {{\n{host}\n}}"
    yield 'map $request_uri $redirect_uri {\ndefault $request_uri;\n"~^(?<without_slash>.*)/$" $without_slash;\n}'
    yield 'map $http_upgrade $connection_upgrade {\ndefault upgrade;\n"" "";\n}'


def _filters(configuration: Configuration) -> Iterator[str]:
    """Addresses are refused in the access phase, which a `return` does not reach; the other two are asked first of all in every server."""
    for cidr in configuration.block_cidrs:
        yield f"deny {cidr};"
    for variable, source, words in (
        ("block_ua", "user_agent", configuration.block_user_agents),
        ("block_ref", "referer", configuration.block_referers),
    ):
        if words:
            yield f"map $http_{source} ${variable} {{\ndefault 0;"
            yield from (f"{word} 1;" for word in words)
            yield "}"


def _on(flag: bool) -> str:
    return "on" if flag else "off"
