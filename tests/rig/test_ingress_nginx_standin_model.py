"""What a sync computes, and when it leads to a reload: equal input gives an equal model (facts: ingress-nginx#reloads, ingress-nginx#merged-ingresses)."""

import base64
import dataclasses
from typing import Any

import pytest

from sandbox.ingress_nginx.client_auth import Bundle, ClientAuth
from sandbox.ingress_nginx.configuration import OTHER_KEYS, Configuration
from sandbox.ingress_nginx.model import Model, ServerBlock, build
from sandbox.ingress_nginx.risks import is_taken
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.served_nginx import ingress

CONFIGURATION = Configuration()


def secret(name: str, **data: bytes) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "web", "name": name},
        "data": {
            key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()
        },
    }


def only(model: Model, host: str) -> ServerBlock:
    (one,) = [server for server in model.servers if server.host == host]
    return one


def auth_of(
    annotations: dict[str, Any],
    *secrets: dict[str, Any],
    configuration: Configuration = CONFIGURATION,
) -> ClientAuth | None:
    known = {f"web/{one['metadata']['name']}": one for one in secrets}
    return only(
        build(configuration, [ingress("one", "a.example.com", **annotations)], known),
        "a.example.com",
    ).client_auth


@pytest.fixture(scope="module")
def authority() -> ClusterAuthority:
    return ClusterAuthority("clients")


def test_a_configuration_is_read_from_the_keys_that_the_controller_knows() -> None:
    read = Configuration.read(
        {
            "http-snippet": "# x\n",
            "use-forwarded-headers": "true",
            "map-hash-bucket-size": "128",
            "ssl-session-cache": "false",
        }
    )
    assert (
        read.http_snippet,
        read.use_forwarded_headers,
        read.map_hash_bucket_size,
        read.ssl_session_cache,
    ) == ("# x\n", True, 128, False)


@pytest.mark.parametrize(
    "key", ["aop-operator.dev.claims", "others", "http_snippet", "no-such-key"]
)
def test_a_key_that_the_controller_does_not_know_leads_to_no_reload(key: str) -> None:
    assert Configuration.read({key: "1"}) == Configuration()


@pytest.mark.parametrize(
    "data",
    [
        {"gzip-level": "5"},
        {"use-gzip": "true"},
        {"log-format-upstream": "$status"},
        {"otel-sampler-ratio": "0.5"},
        {"hsts": ""},
        {"ssl-reject-handshake": "true"},
        {"custom-http-errors": "404"},
        {"block-cidrs": "192.0.2.0/24"},
    ],
    ids=lambda data: next(iter(data)),
)
def test_a_key_that_the_controller_knows_leads_to_a_reload_whether_or_not_it_is_imitated(
    data: dict[str, str],
) -> None:
    assert build(Configuration.read(data), [], {}) != build(CONFIGURATION, [], {})


@pytest.mark.parametrize(
    "data",
    [
        {"gzip-level": "1"},
        {"use-gzip": "F"},
        {"proxy-body-size": "1m"},
        {"ssl-redirect": "1"},
        {"hsts": "True"},
    ],
)
def test_a_default_that_is_written_out_changes_nothing(data: dict[str, str]) -> None:
    assert Configuration.read(data) == Configuration()


def test_no_key_is_both_imitated_and_not() -> None:
    assert not OTHER_KEYS.keys() & {
        field.name.replace("_", "-") for field in dataclasses.fields(Configuration)
    }


@pytest.mark.parametrize(
    "data",
    [{"use-forwarded-headers": "yes"}, {"map-hash-bucket-size": "many"}, {"gzip-level": "best"}],
)
def test_a_value_of_the_wrong_type_counts_as_absent(data: dict[str, str]) -> None:
    assert Configuration.read(data) == Configuration()


@pytest.mark.parametrize(
    ("text", "codes"), [("404, 503", (404, 503)), ("200,404,600,x,", (404,)), ("", ())]
)
def test_statuses_that_have_no_error_page_are_dropped(text: str, codes: tuple[int, ...]) -> None:
    assert Configuration.read({"custom-http-errors": text}).custom_http_errors == codes


@pytest.mark.parametrize(
    ("annotation", "level", "taken"),
    [
        ("configuration_snippet", "High", False),
        ("configuration_snippet", "critical", True),
        ("server_alias", "High", True),
        ("server_alias", "Medium", False),
        ("force_ssl_redirect", "Medium", True),
        ("force_ssl_redirect", "Low", False),
        ("from_to_www_redirect", "Low", True),
        ("force_ssl_redirect", "none", False),
        ("no_such_annotation", "Low", True),
    ],
)
def test_an_ingress_is_taken_when_none_of_its_annotations_is_too_risky(
    annotation: str, level: str, taken: bool
) -> None:
    asked: dict[str, Any] = {annotation: "true"}
    one = ingress("one", "a.example.com", **asked)
    assert is_taken(one, Configuration(annotations_risk_level=level)) is taken


@pytest.mark.parametrize(
    ("annotations", "codes"),
    [
        ({"custom_http_errors": "404,503"}, (404, 503)),
        ({"custom_http_errors": "404, 503"}, ()),
        ({"custom_http_errors": "302"}, ()),
        ({"custom_http_errors": "404", "enable_custom_http_errors": "false"}, ()),
        ({}, ()),
    ],
)
def test_error_pages_of_an_ingress(annotations: dict[str, Any], codes: tuple[int, ...]) -> None:
    (location,) = only(
        build(CONFIGURATION, [ingress("one", "a.example.com", **annotations)], {}), "a.example.com"
    ).locations
    assert location.custom_http_errors == codes


def test_equal_input_gives_an_equal_model_and_a_checksum_that_differs_between_replicas() -> None:
    one, two = (build(CONFIGURATION, [ingress("one", "a.example.com")], {}) for _ in range(2))
    assert one == two
    assert one.checksum("pod-1") == two.checksum("pod-1")
    assert one.checksum("pod-1") != one.checksum("pod-2")


def test_an_ingress_whose_metadata_alone_changed_gives_an_equal_model() -> None:
    edited = ingress("one", "a.example.com")
    edited["metadata"] |= {"resourceVersion": "2", "labels": {"team": "edge"}}
    assert build(CONFIGURATION, [ingress("one", "a.example.com")], {}) == build(
        CONFIGURATION, [edited], {}
    )


def test_a_changed_snippet_gives_another_model() -> None:
    assert build(Configuration(http_snippet="# rev 1"), [], {}) != build(
        Configuration(http_snippet="# rev 2"), [], {}
    )


def test_servers_are_in_byte_order_with_the_catch_all_between_wildcards_and_names() -> None:
    model = build(
        CONFIGURATION, [ingress("one", "b.example.com", "*.example.com", "a.example.com")], {}
    )
    assert [server.host for server in model.servers] == [
        "*.example.com",
        "_",
        "a.example.com",
        "b.example.com",
    ]


@pytest.mark.parametrize("kind", ["Prefix", "ImplementationSpecific"])
def test_a_prefix_is_the_path_itself_and_everything_below_it(kind: str) -> None:
    """What is left to the implementation is a prefix (k8s/main.go, SetDefaultNGINXPathType)."""
    locations = only(
        build(CONFIGURATION, [ingress("one", "a.example.com", path="/app", kind=kind)], {}),
        "a.example.com",
    ).locations
    assert [(one.path, one.exact, one.served) for one in locations] == [
        ("/app/", False, True),
        ("/app", True, True),
        ("/", False, False),
    ]


def test_a_host_has_a_certificate_when_an_ingress_of_it_has_tls_or_the_wildcard_above_it_has_one() -> (
    None
):
    """Whatever the list says: a host that it leaves out is shown the default certificate (controller.go, createServers)."""
    leaves_out = ingress("three", "c.example.com")
    leaves_out["spec"]["tls"] = [{"secretName": "wildcard"}]
    ingresses = [
        ingress("one", "a.example.com"),
        ingress("two", "b.example.com", "b.example.org", tls=False),
        leaves_out,
        ingress("all", "*.example.org"),
    ]
    model = build(CONFIGURATION, ingresses, {})
    hosts = ("a.example.com", "b.example.com", "b.example.org", "c.example.com", "_")
    assert [only(model, host).has_certificate for host in hosts] == [True, False, True, True, False]


def test_an_ingress_can_switch_the_redirect_off_and_force_it() -> None:
    model = build(
        CONFIGURATION,
        [
            ingress("one", "a.example.com", ssl_redirect="false"),
            ingress("two", "b.example.com", force_ssl_redirect="true"),
        ],
        {},
    )
    (first,), (second,) = (
        only(model, "a.example.com").locations,
        only(model, "b.example.com").locations,
    )
    assert (first.ssl_redirect, second.force_ssl_redirect) == (False, True)


def test_a_www_redirect_is_made_only_for_a_host_that_nobody_serves() -> None:
    asks = ingress("one", "example.com", "www.example.org", from_to_www_redirect="true")
    model = build(CONFIGURATION, [asks, ingress("two", "example.org")], {})
    assert model.www_redirects == (("www.example.com", "example.com"),)


def test_a_www_redirect_is_asked_for_only_by_the_ingress_that_a_path_is_taken_from() -> None:
    young = ingress("young", "example.com", age="2026-02-01T00:00:00Z", from_to_www_redirect="true")
    assert build(CONFIGURATION, [ingress("old", "example.com"), young], {}).www_redirects == ()
    young = ingress(
        "young",
        "example.com",
        age="2026-02-01T00:00:00Z",
        from_to_www_redirect="true",
        path="/more",
    )
    assert build(CONFIGURATION, [ingress("old", "example.com"), young], {}).www_redirects == (
        ("www.example.com", "example.com"),
    )


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("b.example.com, a.example.com,,b.example.com", ("a.example.com", "b.example.com")),
        ("shop.example.com,own.example.com,a.example.com", ("a.example.com",)),
        ("*.example.com,~^a\\d+$", ("*.example.com", "~^a\\d+$")),
        ("a.example.com;lala", ()),
        ("", ()),
    ],
    ids=[
        "sorted, once each",
        "no name of a server, also not its own",
        "wildcards and expressions",
        "refused as a whole",
        "none",
    ],
)
def test_aliases_are_further_names_of_a_server(asked: str, got: tuple[str, ...]) -> None:
    model = build(
        CONFIGURATION,
        [
            ingress("shop", "shop.example.com", server_alias=asked),
            ingress("own", "own.example.com"),
        ],
        {},
    )
    assert only(model, "shop.example.com").aliases == got


def test_the_oldest_ingress_of_a_host_that_has_aliases_decides_on_them() -> None:
    ingresses = [
        ingress("a", "a.example.com", path="/a"),
        ingress(
            "b",
            "a.example.com",
            path="/b",
            age="2026-02-01T00:00:00Z",
            server_alias="b.example.com",
        ),
        ingress(
            "c",
            "a.example.com",
            path="/c",
            age="2026-03-01T00:00:00Z",
            server_alias="c.example.com",
        ),
    ]
    assert only(build(CONFIGURATION, ingresses, {}), "a.example.com").aliases == ("b.example.com",)


def test_what_no_rule_of_a_host_covers_has_the_annotations_of_its_oldest_ingress() -> None:
    server = only(
        build(
            CONFIGURATION,
            [ingress("one", "a.example.com", path="/app", force_ssl_redirect="true")],
            {},
        ),
        "a.example.com",
    )
    assert [one.force_ssl_redirect for one in server.locations] == [True] * 3


def test_a_path_whose_backend_is_no_service_goes_to_the_default_backend() -> None:
    bucket = ingress("one", "a.example.com")
    bucket["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {
        "resource": {"kind": "Bucket", "name": "files"}
    }
    assert [
        one.served for one in only(build(CONFIGURATION, [bucket], {}), "a.example.com").locations
    ] == [False]


def test_a_ca_only_secret_verifies_with_its_own_file_and_reloads_when_it_changes(
    authority: ClusterAuthority,
) -> None:
    auth = auth_of(
        {"auth_tls_secret": "web/clients", "auth_tls_verify_client": "optional"},
        secret("clients", ca_crt=authority.pem),
    )
    assert auth is not None
    assert (auth.file, auth.verify, auth.depth) == ("ca-web-clients.pem", "optional", 1)
    assert auth != auth_of(
        {"auth_tls_secret": "web/clients", "auth_tls_verify_client": "optional"},
        secret("clients", ca_crt=ClusterAuthority("other").pem),
    )


def test_a_changed_ca_beside_a_key_pair_rewrites_the_file_and_leads_to_no_reload(
    authority: ClusterAuthority,
) -> None:
    """See facts: ingress-nginx#key-pair-and-ca-trap."""
    pair = authority.serve(["web"])
    before, after = (
        secret("pair", tls_crt=pair.certificate, tls_key=pair.key, ca_crt=ca)
        for ca in (authority.pem, ClusterAuthority("other").pem)
    )
    assert (
        auth_of({"auth_tls_secret": "web/pair"}, before)
        == auth_of({"auth_tls_secret": "web/pair"}, after)
        is not None
    )
    written = [Bundle.of(one) for one in (before, after)]
    assert [one.file for one in written if one is not None] == ["web-pair.pem", "web-pair.pem"]
    assert written[0] != written[1]


def test_a_key_pair_without_a_ca_switches_verification_off(authority: ClusterAuthority) -> None:
    pair = authority.serve(["web"])
    assert (
        auth_of(
            {"auth_tls_secret": "web/pair"},
            secret("pair", tls_crt=pair.certificate, tls_key=pair.key),
        )
        is None
    )


@pytest.mark.parametrize("name", ["web/missing", "clients", "other/clients"])
def test_a_secret_that_cannot_be_used_denies_the_whole_host(
    name: str, authority: ClusterAuthority
) -> None:
    auth = auth_of({"auth_tls_secret": name}, secret("clients", ca_crt=authority.pem))
    assert auth is not None
    assert auth.denied


def test_a_ca_that_does_not_parse_denies_the_whole_host() -> None:
    auth = auth_of(
        {"auth_tls_secret": "web/clients"},
        secret("clients", ca_crt=b"-----BEGIN CERTIFICATE-----\n"),
    )
    assert auth is not None
    assert auth.denied


def test_any_ingress_of_a_host_closes_it_by_a_secret_that_is_missing(
    authority: ClusterAuthority,
) -> None:
    """However young it is, and whatever an older one verifies (controller.go, getBackendServers)."""
    old = ingress("old", "a.example.com", auth_tls_secret="web/clients")
    young = ingress(
        "young",
        "a.example.com",
        age="2026-02-01T00:00:00Z",
        path="/young",
        auth_tls_secret="web/missing",
    )
    auth = only(
        build(
            CONFIGURATION, [young, old], {"web/clients": secret("clients", ca_crt=authority.pem)}
        ),
        "a.example.com",
    ).client_auth
    assert auth is not None
    assert (auth.denied, auth.file) == (True, "ca-web-clients.pem")


@pytest.mark.parametrize(
    ("annotation", "value", "verifies"),
    [
        ("auth_tls_error_page", "/refused", True),
        ("auth_tls_error_page", "https://example.com/refused.html", True),
        ("auth_tls_error_page", "@refused", True),
        ("auth_tls_error_page", "/refused?why={}", False),
        ("auth_tls_match_cn", "CN=edge", True),
        ("auth_tls_match_cn", "CN=(edge", False),
        ("auth_tls_match_cn", "edge", False),
    ],
)
def test_an_annotation_that_is_refused_takes_verification_away(
    annotation: str, value: str, verifies: bool, authority: ClusterAuthority
) -> None:
    """Nobody is told; the host is open (authtls/main.go: an empty configuration and an error that is not a denial)."""
    auth = auth_of(
        {"auth_tls_secret": "web/clients", annotation: value},
        secret("clients", ca_crt=authority.pem),
    )
    assert (auth is not None and auth.file is not None) is verifies


def test_an_unknown_verification_word_means_on(authority: ClusterAuthority) -> None:
    auth = auth_of(
        {"auth_tls_secret": "web/clients", "auth_tls_verify_client": "maybe"},
        secret("clients", ca_crt=authority.pem),
    )
    assert auth is not None
    assert auth.verify == "on"


def test_the_oldest_ingress_of_a_host_decides_on_verification(authority: ClusterAuthority) -> None:
    known = {"web/clients": secret("clients", ca_crt=authority.pem)}
    young = ingress(
        "young",
        "a.example.com",
        age="2026-02-01T00:00:00Z",
        auth_tls_secret="web/clients",
        auth_tls_verify_client="on",
    )
    old = ingress(
        "old",
        "a.example.com",
        auth_tls_secret="web/clients",
        auth_tls_verify_client="optional_no_ca",
    )
    auth = only(build(CONFIGURATION, [young, old], known), "a.example.com").client_auth
    assert auth is not None
    assert auth.verify == "optional_no_ca"
