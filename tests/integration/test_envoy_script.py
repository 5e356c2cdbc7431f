"""What the script for Envoy means to the real one, beside whatever its user has; that Envoy Gateway takes it is tried in tests/system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from aop.origins.check import check_path, parse
from aop.origins.gateway_api.envoy import DOES_NOTHING, IDLE, EnvoyDialect
from aop.origins.rules import rules_of
from aop.terms import Mode
from builders import claim
from our_leaf import OURS
from sandbox.plain_envoy import Http3Envoy, PlainEnvoy
from sandbox.text_nginx import ask, client_context

ROOT = Path(__file__).parents[2]
TOKEN = "k3y0fth3path"
WWW, API, ALONE = "www.example.com", "api.example.com", "alone.example.com"
CHECK = check_path(TOKEN)
FILES = EnvoyDialect().render(rules_of([claim(Mode.REQUIRE, (WWW,), (OURS.leaf.pin,))], 1, TOKEN))
CASES = (WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.", f"{WWW.upper()}.:8443")


def test_the_script_that_stands_beside_ours_does_nothing(tmp_path: Path) -> None:
    with PlainEnvoy(tmp_path / "envoy", {IDLE: DOES_NOTHING}, (WWW,)) as envoy:
        assert envoy.https(WWW, CHECK).body == envoy.http(WWW).body == "app"


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainEnvoy]:
    with PlainEnvoy(tmp_path_factory.mktemp("envoy"), FILES, (), (ALONE,)) as running:
        yield running


@pytest.mark.parametrize("host", CASES)
def test_however_a_host_is_written_it_is_the_same_one(
    envoy: PlainEnvoy, leaf: Path, host: str
) -> None:
    """At a route that takes every name, where Envoy itself looks at none."""
    assert envoy.http(host, "/a?b=c").headers["location"] == f"https://{WWW}/a?b=c"
    assert [envoy.https(host, "/", who, sni=WWW).status for who in (None, leaf)] == [403, 200]


@pytest.mark.parametrize(
    ("query", "nonce"),
    [
        ("?n=a-Z_9", "a-Z_9"),
        ("?x=1&n=abc&y", "abc"),
        ("?n=", ""),
        ("?n=a%20b", ""),
        ("?n=<b>", ""),
        (f"?n={'a' * 65}", ""),
        ("?mn=abc", ""),
        ("", ""),
    ],
)
def test_nothing_but_a_plain_nonce_comes_back(envoy: PlainEnvoy, query: str, nonce: str) -> None:
    answer = parse(envoy.https(WWW, CHECK + query).body)
    assert answer is not None
    assert answer.nonce == nonce


def test_a_check_ends_its_connection(envoy: PlainEnvoy) -> None:
    assert envoy.https(WWW, CHECK).headers["connection"] == "close"


def test_the_host_that_is_asked_for_counts_and_not_the_one_of_the_handshake(
    envoy: PlainEnvoy,
) -> None:
    with envoy.connection(client_context(None), API) as connection:
        assert ask(connection, API, "/", {}, close=False).status == 200
        assert ask(connection, WWW, "/", {}).status == 403


def test_what_a_client_says_of_its_certificate_proves_nothing(envoy: PlainEnvoy) -> None:
    forged = f"Hash={OURS.leaf.pin.sha256}"
    assert envoy.https(WWW, X_Forwarded_Client_Cert=forged).status == 403


def test_a_route_that_does_not_run_the_script_has_no_path_of_ours(envoy: PlainEnvoy) -> None:
    assert envoy.https(ALONE, CHECK).body == "app"


def test_thousands_of_hosts_are_one_table(tmp_path: Path, leaf: Path) -> None:
    """More than Lua would take as values that a function names one by one."""
    hosts = tuple(f"host-{number}.example.com" for number in range(20_000))
    requiring = claim(Mode.REQUIRE, hosts, (OURS.leaf.pin,))
    files = EnvoyDialect().render(rules_of([requiring], 1, TOKEN))
    with PlainEnvoy(tmp_path / "envoy", files) as envoy:
        assert [envoy.https(hosts[-1], "/", who).status for who in (None, leaf)] == [403, 200]
        assert envoy.https("host-20000.example.com").status == 200


def test_what_stands_in_the_examples_config_map_is_what_is_put_back() -> None:
    """The page is compared with the example elsewhere."""
    config_map, *_ = yaml.safe_load_all((ROOT / "deploy/examples/gateway/web.yaml").read_text())
    assert config_map["data"] == {IDLE: DOES_NOTHING}


def test_over_http_3_nobody_is_asked_and_so_nobody_passes(tmp_path: Path, leaf: Path) -> None:
    """Whoever has Envoy Gateway take HTTP/3 opens nothing by it; Cloudflare does not come over it (facts: envoy-gateway#http3)."""
    for name, who in (("nobody", None), ("ours", leaf)):
        with Http3Envoy(tmp_path / name, FILES, (WWW,), leaf=who) as envoy:
            url = f"http://{envoy.address}:{envoy.client_port}"
            with httpx.Client(base_url=url, headers={"Host": WWW}, trust_env=False) as client:
                assert client.get("/").status_code == 403
                answer = parse(client.get(CHECK).text)
        assert answer is not None
        assert (answer.presented, answer.https) == ("none", True)
