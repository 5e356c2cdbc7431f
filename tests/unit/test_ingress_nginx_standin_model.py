"""What a sync computes, and when it leads to a reload: equal input gives an equal model (reference: ingress-nginx, 1.1, 1.2, 2.1 and 4.1)."""

import base64
from typing import Any

import pytest

from sandbox.ingress_nginx.client_auth import Bundle, ClientAuth
from sandbox.ingress_nginx.configuration import Configuration
from sandbox.ingress_nginx.model import Model, Server, build
from sandbox.kubernetes.certificates import Authority

ANNOTATION = "nginx.ingress.kubernetes.io/"
CONFIGURATION = Configuration()


def ingress(
    name: str, *hosts: str, age: str = "2026-01-01T00:00:00Z", tls: bool = True, path: str = "/", kind: str = "Prefix", **annotations: str
) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    return {
        "metadata": {
            "name": name,
            "namespace": "web",
            "creationTimestamp": age,
            "resourceVersion": "1",
            "annotations": {ANNOTATION + key.replace("_", "-"): value for key, value in annotations.items()},
        },
        "spec": {
            "tls": [{"hosts": [*hosts]}] if tls else [],
            "rules": [{"host": host, "http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}} for host in hosts],
        },
    }


def secret(name: str, **data: bytes) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "web", "name": name},
        "data": {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()},
    }


def only(model: Model, host: str) -> Server:
    (found,) = [server for server in model.servers if server.host == host]
    return found


def auth_of(annotations: dict[str, Any], *secrets: dict[str, Any], configuration: Configuration = CONFIGURATION) -> ClientAuth | None:
    known = {f"web/{one['metadata']['name']}": one for one in secrets}
    return only(build(configuration, [ingress("one", "a.example.com", **annotations)], known), "a.example.com").client_auth


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("clients")


def test_a_configuration_is_read_from_the_keys_that_the_controller_knows() -> None:
    read = Configuration.read(
        {"http-snippet": "# x\n", "use-forwarded-headers": "true", "map-hash-bucket-size": "128", "ssl-session-cache": "false"}
    )
    assert (read.http_snippet, read.use_forwarded_headers, read.map_hash_bucket_size, read.ssl_session_cache) == ("# x\n", True, 128, False)


def test_a_key_that_the_controller_does_not_know_leads_to_no_reload() -> None:
    assert Configuration.read({"aop-operator.dev.claims": "{}"}) == Configuration()


@pytest.mark.parametrize("data", [{"use-forwarded-headers": "yes"}, {"map-hash-bucket-size": "many"}])
def test_a_value_of_the_wrong_type_counts_as_absent(data: dict[str, str]) -> None:
    assert Configuration.read(data) == Configuration()


def test_equal_input_gives_an_equal_model_and_a_checksum_that_differs_between_replicas() -> None:
    one, two = (build(CONFIGURATION, [ingress("one", "a.example.com")], {}) for _ in range(2))
    assert one == two
    assert one.checksum("pod-1") == two.checksum("pod-1")
    assert one.checksum("pod-1") != one.checksum("pod-2")


def test_an_ingress_whose_metadata_alone_changed_gives_an_equal_model() -> None:
    edited = ingress("one", "a.example.com")
    edited["metadata"] |= {"resourceVersion": "2", "labels": {"team": "edge"}}
    assert build(CONFIGURATION, [ingress("one", "a.example.com")], {}) == build(CONFIGURATION, [edited], {})


def test_a_changed_snippet_gives_another_model() -> None:
    assert build(Configuration(http_snippet="# rev 1"), [], {}) != build(Configuration(http_snippet="# rev 2"), [], {})


def test_servers_are_in_byte_order_with_the_catch_all_between_wildcards_and_names() -> None:
    model = build(CONFIGURATION, [ingress("one", "b.example.com", "*.example.com", "a.example.com")], {})
    assert [server.host for server in model.servers] == ["*.example.com", "_", "a.example.com", "b.example.com"]


def test_a_prefix_is_the_path_itself_and_everything_below_it() -> None:
    locations = only(build(CONFIGURATION, [ingress("one", "a.example.com", path="/app")], {}), "a.example.com").locations
    assert [(one.path, one.exact, one.served) for one in locations] == [("/app/", False, True), ("/app", True, True), ("/", False, False)]


def test_a_host_has_a_certificate_when_tls_lists_it() -> None:
    model = build(CONFIGURATION, [ingress("one", "a.example.com"), ingress("two", "b.example.com", tls=False)], {})
    assert [only(model, host).has_certificate for host in ("a.example.com", "b.example.com")] == [True, False]


def test_an_ingress_can_switch_the_redirect_off_and_force_it() -> None:
    model = build(
        CONFIGURATION,
        [ingress("one", "a.example.com", ssl_redirect="false"), ingress("two", "b.example.com", force_ssl_redirect="true")],
        {},
    )
    (first,), (second,) = only(model, "a.example.com").locations, only(model, "b.example.com").locations
    assert (first.ssl_redirect, second.force_ssl_redirect) == (False, True)


def test_a_www_redirect_is_made_only_for_a_host_that_nobody_serves() -> None:
    asks = ingress("one", "example.com", "www.example.org", from_to_www_redirect="true")
    model = build(CONFIGURATION, [asks, ingress("two", "example.org")], {})
    assert model.www_redirects == (("www.example.com", "example.com"),)


def test_a_ca_only_secret_verifies_with_its_own_file_and_reloads_when_it_changes(authority: Authority) -> None:
    auth = auth_of({"auth_tls_secret": "web/clients", "auth_tls_verify_client": "optional"}, secret("clients", ca_crt=authority.pem))
    assert auth is not None
    assert (auth.file, auth.verify, auth.depth) == ("ca-web-clients.pem", "optional", 1)
    assert auth != auth_of(
        {"auth_tls_secret": "web/clients", "auth_tls_verify_client": "optional"}, secret("clients", ca_crt=Authority("other").pem)
    )


def test_a_changed_ca_beside_a_key_pair_rewrites_the_file_and_leads_to_no_reload(authority: Authority) -> None:
    """The trap of reference: ingress-nginx, 2.1."""
    pair = authority.serve(["web"])
    before, after = (
        secret("pair", tls_crt=pair.certificate, tls_key=pair.key, ca_crt=ca) for ca in (authority.pem, Authority("other").pem)
    )
    assert auth_of({"auth_tls_secret": "web/pair"}, before) == auth_of({"auth_tls_secret": "web/pair"}, after) is not None
    written = [Bundle.of(one) for one in (before, after)]
    assert [one.file for one in written if one is not None] == ["web-pair.pem", "web-pair.pem"]
    assert written[0] != written[1]


def test_a_key_pair_without_a_ca_switches_verification_off(authority: Authority) -> None:
    pair = authority.serve(["web"])
    assert auth_of({"auth_tls_secret": "web/pair"}, secret("pair", tls_crt=pair.certificate, tls_key=pair.key)) is None


@pytest.mark.parametrize("name", ["web/missing", "clients", "other/clients"])
def test_a_secret_that_cannot_be_used_denies_the_whole_host(name: str, authority: Authority) -> None:
    auth = auth_of({"auth_tls_secret": name}, secret("clients", ca_crt=authority.pem))
    assert auth is not None
    assert auth.denied


def test_a_ca_that_does_not_parse_denies_the_whole_host() -> None:
    auth = auth_of({"auth_tls_secret": "web/clients"}, secret("clients", ca_crt=b"-----BEGIN CERTIFICATE-----\n"))
    assert auth is not None
    assert auth.denied


def test_an_unknown_verification_word_means_on(authority: Authority) -> None:
    auth = auth_of({"auth_tls_secret": "web/clients", "auth_tls_verify_client": "maybe"}, secret("clients", ca_crt=authority.pem))
    assert auth is not None
    assert auth.verify == "on"


def test_the_oldest_ingress_of_a_host_decides_on_verification(authority: Authority) -> None:
    known = {"web/clients": secret("clients", ca_crt=authority.pem)}
    young = ingress("young", "a.example.com", age="2026-02-01T00:00:00Z", auth_tls_secret="web/clients", auth_tls_verify_client="on")
    old = ingress("old", "a.example.com", auth_tls_secret="web/clients", auth_tls_verify_client="optional_no_ca")
    auth = only(build(CONFIGURATION, [young, old], known), "a.example.com").client_auth
    assert auth is not None
    assert auth.verify == "optional_no_ca"
