"""Where text lands in nginx.conf: the order decides what a snippet overrides and in which servers it stands (facts: ingress-nginx#render-order)."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest

from sandbox.ingress_nginx.client_auth import ClientAuth
from sandbox.ingress_nginx.configuration import Configuration
from sandbox.ingress_nginx.model import LocationBlock, Model, ServerBlock
from sandbox.ingress_nginx.place import Place
from sandbox.ingress_nginx.programs import Program
from sandbox.ingress_nginx.template import render, render_empty

PROGRAM = Program(
    Path("nginx"),
    "test",
    version=(1, 27, 1),
    headers_more=None,
    has_headers_more=True,
    has_stub_status=True,
)
PLACE = Place(
    program=PROGRAM,
    folder=Path("replica"),
    address="127.0.0.11",
    http_port=8080,
    https_port=8443,
    default_server_port=8181,
    status_port=10246,
    backend="127.0.0.1:9999",
    certificate=Path("default.crt"),
    key=Path("default.key"),
)
SNIPPETS = Configuration(
    http_snippet="# the http-snippet",
    server_snippet="# the server-snippet",
    location_snippet="# the location-snippet",
    main_snippet="# the main-snippet",
)
CATCH_ALL = ServerBlock("_", (LocationBlock("/", served=False),))


def server(host: str, **changes: object) -> ServerBlock:
    return dataclasses.replace(
        ServerBlock(host, (LocationBlock("/", ssl_redirect=True),), has_certificate=True),
        **changes,  # type: ignore[arg-type]  # test data
    )


def model(
    *servers: ServerBlock, configuration: Configuration = SNIPPETS, **changes: object
) -> Model:
    return dataclasses.replace(Model(configuration, (CATCH_ALL, *servers)), **changes)  # type: ignore[arg-type]  # test data


def in_order(text: str, *parts: str) -> bool:
    at = [text.find(part) for part in parts]
    assert -1 not in at, f"missing: {parts[at.index(-1)]}"
    return all(first < second for first, second in pairwise(at))


def section(text: str, host: str) -> str:
    return text.split(f"## start server {host}\n")[1].split(f"## end server {host}\n", maxsplit=1)[
        0
    ]


def test_the_order_of_the_whole_file_is_the_controllers() -> None:
    text = render(model(server("a.example.com")), PLACE, 7)
    assert text.startswith("# Configuration checksum: 7\n")
    assert in_order(
        text,
        "pid replica/nginx.pid;",
        "daemon off;",
        "worker_processes 2;",
        "worker_shutdown_timeout 240s;",
        "# the main-snippet",
        "events {",
        "http {",
        "map_hash_bucket_size 64;",
        "log_format upstreaminfo",
        "map $request_uri $loggable",
        "access_log replica/access.log upstreaminfo if=$loggable;",
        "error_log replica/error.log notice;",
        "geo $literal_dollar",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:SSL:10m;",
        "ssl_session_tickets off;",
        "ssl_certificate default.crt;",
        "# the http-snippet",
        "upstream upstream_balancer {",
        "$redirect_scheme {",
        "## start server _",
        "## start server a.example.com",
        "listen 127.0.0.11:8181 default_server",
        "listen 127.0.0.11:10246;",
    )


def test_a_server_ends_with_the_server_snippet_after_its_locations() -> None:
    text = section(render(model(server("a.example.com")), PLACE, 7), "a.example.com")
    assert in_order(
        text,
        'server_name "a.example.com";',
        "listen 127.0.0.11:8443",
        'location "/" {',
        "# the location-snippet",
        "# the server-snippet",
    )
    assert text.rstrip().endswith("# the server-snippet\n\t\t\n\t}")


def test_a_server_has_its_aliases_after_its_own_name_and_a_wildcard_is_one_label() -> None:
    text = render(model(server("*.example.com", aliases=("a.example.net", r"~^b\d+$"))), PLACE, 7)
    assert (
        r'server_name "~^(?<subdomain>[\\w-]+)\\.example\\.com$" "a.example.net" "~^b\\d+$";'
        in text
    )


@pytest.mark.parametrize(
    ("longest", "size"),
    [("a" * 14, 32), ("a" * 15, 64), ("a" * 46, 64), ("a" * 47, 128)],
    ids=lambda value: str(len(str(value))),
)
def test_the_longest_name_decides_on_the_size_of_a_bucket(longest: str, size: int) -> None:
    """Also where it is an alias, or a name that only redirects; the ConfigMap can only make it larger."""
    servers = [server(longest)], [server("a", aliases=(longest,))], [server("a")]
    redirects = (), (), ((longest, "a"),)
    for several, redirecting in zip(servers, redirects, strict=True):
        text = render(model(*several, www_redirects=redirecting), PLACE, 7)
        assert f"server_names_hash_bucket_size {size};" in text
    larger = render(
        model(server(longest), configuration=Configuration(server_name_hash_bucket_size=256)),
        PLACE,
        7,
    )
    assert "server_names_hash_bucket_size 256;" in larger


def test_the_catch_all_has_the_server_snippet_and_healthz_has_no_location_snippet() -> None:
    text = section(render(model(), PLACE, 7), "_")
    assert in_order(
        text,
        "default_server",
        "ssl_reject_handshake off;",
        'location "/" {',
        "# the location-snippet",
        "location /healthz {",
        "# the server-snippet",
    )
    assert text.count("# the location-snippet") == 1


def test_only_the_catch_all_is_the_default_server() -> None:
    assert "default_server" not in section(
        render(model(server("a.example.com")), PLACE, 7), "a.example.com"
    )


def test_redirect_and_internal_servers_have_no_server_snippet() -> None:
    text = render(
        model(server("a.example.com"), www_redirects=(("www.a.example.com", "a.example.com"),)),
        PLACE,
        7,
    )
    assert text.count("# the server-snippet") == 2
    assert in_order(
        text,
        "# the http-snippet",
        'server_name "www.a.example.com";',
        "return 308 $claimed_scheme://a.example.com$redirect_uri;",
        "## start server _",
    )


def test_verification_by_an_ingress_stands_at_the_server_before_its_locations() -> None:
    auth = ClientAuth(
        file="ca-web-clients.pem",
        sha="ab12",
        verify="optional",
        depth=2,
        error_page="/refused",
        match_cn="CN=edge",
    )
    text = section(
        render(model(server("a.example.com", client_auth=auth)), PLACE, 7), "a.example.com"
    )
    assert in_order(
        text,
        'if ( $ssl_client_s_dn !~ "CN=edge" ) {',
        "# PEM sha: ab12",
        "ssl_client_certificate replica/ssl/ca-web-clients.pem;",
        "ssl_verify_client optional;",
        "ssl_verify_depth 2;",
        "error_page 495 496 = /refused;",
        'location "/" {',
        "proxy_set_header ssl-client-verify $ssl_client_verify;",
        "# the server-snippet",
    )


def test_a_host_whose_annotation_could_not_be_resolved_answers_403_and_has_no_location() -> None:
    text = section(
        render(model(server("a.example.com", client_auth=ClientAuth(denied=True))), PLACE, 7),
        "a.example.com",
    )
    assert "return 403;" in text
    assert "location" not in text.replace("location-snippet", "")
    assert "# the server-snippet" in text


@pytest.mark.parametrize(
    ("changes", "redirects"),
    [
        ({}, True),
        ({"has_certificate": False}, False),
        ({"locations": (LocationBlock("/", ssl_redirect=False),)}, False),
        (
            {"has_certificate": False, "locations": (LocationBlock("/", force_ssl_redirect=True),)},
            True,
        ),
    ],
)
def test_plaintext_is_redirected_where_the_host_has_a_certificate_or_is_forced(
    changes: dict[str, object], redirects: bool
) -> None:
    text = section(render(model(server("a.example.com", **changes)), PLACE, 7), "a.example.com")
    assert ("return 308 https://$redirect_host$redirect_uri;" in text) is redirects


@pytest.mark.parametrize(("trusts", "counts"), [(True, True), (False, False)])
def test_what_the_client_claims_as_its_scheme_counts_only_when_forwarded_headers_are_trusted(
    trusts: bool, counts: bool
) -> None:
    text = render(model(configuration=Configuration(use_forwarded_headers=trusts)), PLACE, 7)
    assert ("default $http_x_forwarded_proto;" in text) is counts


@pytest.mark.parametrize(
    ("version", "listens", "directive"),
    [((1, 22, 1), "ssl http2;", False), ((1, 25, 1), "ssl;", True), ((1, 31, 3), "ssl;", True)],
)
def test_http2_is_said_as_the_nginx_at_hand_understands_it(
    version: tuple[int, int, int], listens: str, directive: bool
) -> None:
    place = dataclasses.replace(PLACE, program=dataclasses.replace(PROGRAM, version=version))
    text = section(render(model(server("a.example.com")), place, 7), "a.example.com")
    assert f"listen 127.0.0.11:8443 {listens}" in text
    assert ("http2 on;" in text) is directive


def test_without_a_first_sync_nothing_listens() -> None:
    assert "listen" not in render_empty(PLACE)


def test_a_snippet_is_re_indented_with_everything_else() -> None:
    text = render(
        model(configuration=Configuration(http_snippet="map $host $x {\ndefault 0;\n}")), PLACE, 7
    )
    assert "\tmap $host $x {\n\t\tdefault 0;\n\t}\n" in text
