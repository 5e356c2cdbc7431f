"""The server blocks of nginx.conf: one per host, those that only redirect, and those of the controller's own.

The order within a block is that of the controller's template (facts: ingress-nginx#render-order): a
snippet's place decides what it comes before.
"""

from collections.abc import Iterable, Iterator

from sandbox.ingress_nginx.client_auth import ClientAuth
from sandbox.ingress_nginx.configuration import Configuration
from sandbox.ingress_nginx.model import LocationBlock, Model, ServerBlock
from sandbox.ingress_nginx.place import Place
from sandbox.ingress_nginx.server_names import CATCH_ALL, server_name

SNIPPET_MARK = "# Custom code snippet configured in the configuration configmap"


def snippet(text: str) -> Iterator[str]:
    """Text of the ConfigMap, under the controller's own comment; nothing where there is none."""
    if text:
        yield SNIPPET_MARK
        yield text
        yield ""


def redirecting(source: str, target: str, model: Model, place: Place) -> Iterator[str]:
    """A server that sends `source` to `target` and does nothing else: it has no server-snippet, and no path is exempt."""
    yield f"server {{\nserver_name {_quoted(source)};"
    yield from _listens(model.configuration, place, default=False)
    yield from _blocks(model.configuration)
    yield f"return 308 $claimed_scheme://{target}$redirect_uri;\n}}"


def serving(server: ServerBlock, model: Model, place: Place) -> Iterator[str]:
    """The server of one host and its aliases."""
    configuration, catch_all = model.configuration, server.host == CATCH_ALL
    yield f"## start server {server.host}\nserver {{"
    yield f"server_name {' '.join(map(_quoted, (server_name(server.host), *server.aliases)))};"
    yield from _blocks(configuration)
    yield from _listens(configuration, place, default=catch_all)
    yield 'set $proxy_upstream_name "-";'
    auth = server.client_auth
    if auth is not None and auth.match_cn:
        yield f'if ( $ssl_client_s_dn !~ "{auth.match_cn}" ) {{\nreturn 403 "client certificate unauthorized";\n}}'
    if catch_all:
        yield f"ssl_reject_handshake {'on' if configuration.ssl_reject_handshake else 'off'};"
    if auth is not None and auth.denied:
        yield "return 403;"
    else:
        yield from _client_auth(auth, place)
        if server.snippet:
            yield f"# Custom code snippet configured for host {server.host}\n{server.snippet}"
        yield from _error_locations(
            sorted({code for one in server.locations for code in one.custom_http_errors}), place
        )
        for location in server.locations:
            yield from _location(location, server, model, place)
    if catch_all:
        yield from _own_locations(place)
    yield from snippet(configuration.server_snippet)
    yield from _error_locations(configuration.custom_http_errors, place)
    yield f"}}\n## end server {server.host}\n"


def internal(place: Place) -> Iterator[str]:
    """The default backend, and the controller's own status server; neither has a snippet."""
    yield f"server {{\nlisten {place.address}:{place.default_server_port} default_server reuseport backlog=4096;"
    yield "access_log off;\nlocation / {\nreturn 404;\n}\n}"
    yield f"server {{\nlisten {place.address}:{place.status_port};\nkeepalive_timeout 0;\naccess_log off;"
    yield "location /healthz {\nreturn 200;\n}"
    if place.program.has_stub_status:
        yield "location /nginx_status {\nstub_status on;\n}"
    yield "location / {\nreturn 404;\n}\n}"


def _quoted(text: str) -> str:
    """As Go quotes a string; nginx takes both escapes back."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def _listens(configuration: Configuration, place: Place, *, default: bool) -> Iterator[str]:
    words = " default_server reuseport backlog=4096" if default else ""
    proxy = " proxy_protocol" if configuration.use_proxy_protocol else ""
    http2 = " http2" if configuration.use_http2 and not place.program.has_http2_directive else ""
    yield f"listen {place.address}:{place.http_port}{proxy}{words};"
    yield f"listen {place.address}:{place.https_port}{proxy}{words} ssl{http2};"
    if configuration.use_http2 and place.program.has_http2_directive:
        yield "http2 on;"


def _client_auth(auth: ClientAuth | None, place: Place) -> Iterator[str]:
    if auth is None or auth.file is None:
        return
    yield f"# PEM sha: {auth.sha}"
    yield f"ssl_client_certificate {place.ssl_folder / auth.file};"
    yield f"ssl_verify_client {auth.verify};"
    yield f"ssl_verify_depth {auth.depth};"
    if auth.error_page:
        yield f"error_page 495 496 = {auth.error_page};"


def _location(
    location: LocationBlock, server: ServerBlock, model: Model, place: Place
) -> Iterator[str]:
    yield f'location {"= " if location.exact else ""}"{location.path}" {{'
    if location.force_ssl_redirect or (location.ssl_redirect and server.has_certificate):
        yield "if ($redirect_scheme = http) {\nreturn 308 https://$redirect_host$redirect_uri;\n}"
    yield f'set $proxy_upstream_name "{"upstream-sandbox-backend" if location.served else "upstream-default-backend"}";'
    for name, value in _upstream_headers(server, model.configuration):
        yield f"proxy_set_header {name} {value};"
    yield "proxy_http_version 1.1;"
    yield "proxy_buffering off;"
    yield "proxy_next_upstream error timeout;"
    if location.snippet:
        yield location.snippet
    yield from snippet(model.configuration.location_snippet)
    yield f"if (!-f {place.endpoints_file}) {{\nreturn 503;\n}}"
    if location.custom_http_errors and not model.configuration.disable_proxy_intercept_errors:
        yield "proxy_intercept_errors on;"
    yield from error_pages(location.custom_http_errors)
    target = "upstream_balancer" if location.served else _default_backend(place)
    yield f"proxy_pass http://{target};"
    yield "proxy_redirect off;"
    yield "}"


def error_pages(codes: Iterable[int]) -> Iterator[str]:
    """That the default backend answers instead of nginx, or of the application, with one of these statuses."""
    for code in codes:
        yield f"error_page {code} = @custom_upstream-default-backend_{code};"


def _error_locations(codes: Iterable[int], place: Place) -> Iterator[str]:
    """Where those pages come from.

    The ConfigMap's and an Ingress's may both have the same name in one server: nginx does not mind.
    """
    for code in codes:
        yield f"location @custom_upstream-default-backend_{code} {{\ninternal;\nproxy_intercept_errors off;"
        yield f"proxy_set_header X-Code {code};\nproxy_set_header X-Original-URI $request_uri;\nproxy_set_header Host $http_host;"
        yield f"rewrite (.*) / break;\nproxy_pass http://{_default_backend(place)};\n}}"


def _default_backend(place: Place) -> str:
    return f"{place.address}:{place.default_server_port}"


def _blocks(configuration: Configuration) -> Iterator[str]:
    if configuration.block_user_agents:
        yield "if ($block_ua) {\nreturn 403;\n}"
    if configuration.block_referers:
        yield "if ($block_ref) {\nreturn 403;\n}"


def _upstream_headers(
    server: ServerBlock, configuration: Configuration
) -> Iterator[tuple[str, str]]:
    yield "Host", "$http_host"
    yield "Connection", "$connection_upgrade"
    yield "Upgrade", "$http_upgrade"
    yield "X-Real-IP", "$remote_addr"
    yield (
        "X-Forwarded-For",
        "$proxy_add_x_forwarded_for" if configuration.use_forwarded_headers else "$remote_addr",
    )
    yield "X-Forwarded-Proto", "$redirect_scheme"
    if server.client_auth is not None and server.client_auth.file is not None:
        yield "ssl-client-verify", "$ssl_client_verify"
        yield "ssl-client-subject-dn", "$ssl_client_s_dn"
        yield "ssl-client-issuer-dn", "$ssl_client_i_dn"
        if server.client_auth.pass_certificate:
            yield "ssl-client-cert", "$ssl_client_escaped_cert"


def _own_locations(place: Place) -> Iterator[str]:
    yield "location /healthz {\naccess_log off;\nreturn 200;\n}"
    if place.program.has_stub_status:
        yield "location /nginx_status {\nallow 127.0.0.1;\ndeny all;\naccess_log off;\nstub_status on;\n}"
