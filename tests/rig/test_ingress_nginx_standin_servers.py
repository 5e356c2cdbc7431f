"""What nginx answers under the servers that the stand-in makes of Ingresses: names, aliases, wildcards, the catch-all.

Facts: ingress-nginx#merged-ingresses, ingress-nginx#render-order.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.ingress_nginx import backend, programs
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.ports import free_port
from sandbox.served_nginx import ServedNginx, ingress

APPLICATION, REDIRECT, NOBODY = backend.STATUS, 308, 404


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    running = backend.start(
        programs.find(), tmp_path_factory.mktemp("backend"), address, user=None, connections=256
    )
    try:
        yield address
    finally:
        running.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "replica"


def statuses(nginx: ServedNginx, *hosts: str) -> list[int]:
    return [nginx.https(host).status_code for host in hosts]


def test_an_alias_is_served_as_its_host_is(folder: Path, application: str) -> None:
    shop = ingress("shop", "shop.example.com", server_alias="store.example.com, buy.example.com")
    with ServedNginx(folder, [shop], backend=application) as nginx:
        assert statuses(
            nginx, "shop.example.com", "store.example.com", "buy.example.com", "sell.example.com"
        ) == [
            *[APPLICATION] * 3,
            NOBODY,
        ]
        assert nginx.https("buy.example.com", "/cart").content == backend.expected(
            "buy.example.com", "/cart"
        )


def test_an_alias_that_is_a_regular_expression_is_taken(folder: Path, application: str) -> None:
    shop = ingress("shop", "shop.example.com", server_alias=r"~^shop\d+\.example\.com$")
    with ServedNginx(folder, [shop], backend=application) as nginx:
        assert statuses(nginx, "shop12.example.com", "shopping.example.com") == [
            APPLICATION,
            NOBODY,
        ]


def test_of_a_host_and_an_alias_of_the_same_name_the_host_wins(
    folder: Path, application: str
) -> None:
    alias = ingress("shop", "shop.example.com", server_alias="store.example.com")
    own = ingress(
        "store", "store.example.com", age="2026-02-01T00:00:00Z", path="/only-here", kind="Exact"
    )
    with ServedNginx(folder, [alias, own], backend=application) as nginx:
        assert nginx.https("store.example.com").status_code == NOBODY
        assert nginx.https("store.example.com", "/only-here").status_code == APPLICATION
        assert nginx.https("shop.example.com").status_code == APPLICATION


def test_a_wildcard_is_one_label_and_whoever_has_a_server_of_its_own_is_not_under_it(
    folder: Path, application: str
) -> None:
    own = ingress("own", "own.example.com", path="/only-here", kind="Exact")
    with ServedNginx(folder, [ingress("all", "*.example.com"), own], backend=application) as nginx:
        assert statuses(
            nginx,
            "a.example.com",
            "b-2_c.example.com",
            "a.b.example.com",
            "example.com",
            "own.example.com",
        ) == [
            APPLICATION,
            APPLICATION,
            NOBODY,
            NOBODY,
            NOBODY,
        ]
        assert nginx.https("axexample.com").status_code == NOBODY, "the dots of the name are dots"


def test_a_rule_without_a_host_serves_every_name_that_has_no_server(
    folder: Path, application: str
) -> None:
    with ServedNginx(
        folder,
        [ingress("all"), ingress("own", "own.example.com", path="/x", kind="Exact")],
        backend=application,
    ) as nginx:
        assert statuses(nginx, "nobody.example.net", "own.example.com") == [APPLICATION, NOBODY]
        assert nginx.https("nobody.example.net", "/healthz").content == b"", (
            "the controller's own path stays its own"
        )


def with_default_backend(one: dict[str, Any], *, rules: bool) -> dict[str, Any]:
    one["spec"]["defaultBackend"] = {"service": {"name": "web", "port": {"number": 80}}}
    if not rules:
        del one["spec"]["rules"]
    return one


def test_a_default_backend_alone_serves_the_catch_all_and_does_not_redirect(
    folder: Path, application: str
) -> None:
    alone = with_default_backend(ingress("default", force_ssl_redirect="true"), rules=False)
    with ServedNginx(folder, [alone], backend=application) as nginx:
        assert nginx.https("nobody.example.net").status_code == APPLICATION
        assert nginx.http("nobody.example.net").status_code == APPLICATION


def test_a_default_backend_beside_rules_serves_what_the_rules_leave_and_the_catch_all(
    folder: Path, application: str
) -> None:
    both = with_default_backend(
        ingress("both", "own.example.com", path="/x", kind="Exact"), rules=True
    )
    with ServedNginx(
        folder,
        [both, ingress("other", "other.example.com", path="/x", kind="Exact")],
        backend=application,
    ) as nginx:
        assert statuses(nginx, "own.example.com", "nobody.example.net", "other.example.com") == [
            APPLICATION,
            APPLICATION,
            NOBODY,
        ]


@pytest.mark.parametrize(
    ("served", "redirecting"),
    [("www.example.com", "example.com"), ("example.com", "www.example.com")],
)
def test_a_www_redirect_answers_308_on_every_path(
    folder: Path, application: str, served: str, redirecting: str
) -> None:
    """Also on paths that a server-snippet exempts elsewhere: the redirecting server has none (facts: ingress-nginx#redirecting-servers)."""
    shop = ingress("shop", served, from_to_www_redirect="true")
    data = {"server-snippet": "location = /check { return 200; }"}
    with ServedNginx(folder, [shop], data, backend=application) as nginx:
        for path, target in (
            ("/check", "/check"),
            ("/a/?b=c", "/a/?b=c"),
            ("/a/", "/a"),
            ("/", ""),
        ):
            answer = nginx.https(redirecting, path)
            assert (answer.status_code, answer.headers["location"]) == (
                REDIRECT,
                f"https://{served}{target}",
            )
        assert nginx.http(redirecting).headers["location"] == f"http://{served}"
        assert nginx.https(served, "/check").status_code == 200


def test_a_www_redirect_is_dropped_when_the_other_name_has_a_server_of_its_own(
    folder: Path, application: str
) -> None:
    shop = ingress("shop", "www.example.com", from_to_www_redirect="true")
    with ServedNginx(folder, [shop, ingress("apex", "example.com")], backend=application) as nginx:
        assert statuses(nginx, "www.example.com", "example.com") == [APPLICATION, APPLICATION]


def test_a_www_redirect_goes_before_an_alias_of_the_same_name(
    folder: Path, application: str
) -> None:
    shop = ingress(
        "shop", "www.example.com", from_to_www_redirect="true", server_alias="example.com"
    )
    with ServedNginx(folder, [shop], backend=application) as nginx:
        assert nginx.https("example.com").status_code == REDIRECT


def test_a_www_redirect_of_a_wildcard_stops_the_whole_controller(folder: Path) -> None:
    """`www.*.example.com` is no name, so that one Ingress's annotation makes every later change of everybody fail."""
    assert (
        "invalid server name or wildcard"
        in ServedNginx(
            folder, [ingress("all", "*.example.com", from_to_www_redirect="true")]
        ).tested()
    )


def test_long_names_of_hosts_and_aliases_have_room(folder: Path, application: str) -> None:
    host, alias = f"{'h' * 56}.example.com", f"{'a' * 60}.example.com"
    with ServedNginx(
        folder, [ingress("long", host, server_alias=alias)], backend=application
    ) as nginx:
        assert statuses(nginx, host, alias) == [APPLICATION, APPLICATION]


def test_a_path_that_a_snippet_has_as_well_stops_the_whole_controller(folder: Path) -> None:
    data = {"server-snippet": "location = /check { return 200; }"}
    for kind in ("Exact", "Prefix", "ImplementationSpecific"):
        assert (
            'duplicate location "/check"'
            in ServedNginx(
                folder, [ingress("a", "a.example.com", path="/check", kind=kind)], data
            ).tested()
        )


SNIPPETS: dict[str, Any] = {
    "server_snippet": "location = /mine { return 204; }",
    "configuration_snippet": "if ($arg_no) { return 410; }",
}


@pytest.mark.parametrize("allowed", [True, False])
def test_snippets_of_an_ingress_count_when_the_administrator_allows_them(
    folder: Path, application: str, *, allowed: bool
) -> None:
    data = {"allow-snippet-annotations": str(allowed).lower()}
    with ServedNginx(
        folder,
        [ingress("own", "own.example.com", **SNIPPETS), ingress("other", "other.example.com")],
        data,
        backend=application,
    ) as nginx:
        assert nginx.https("own.example.com", "/mine").status_code == (
            204 if allowed else APPLICATION
        )
        assert nginx.https("own.example.com", "/?no=1").status_code == (
            410 if allowed else APPLICATION
        )
        assert nginx.https("other.example.com", "/mine?no=1").status_code == APPLICATION


def test_a_server_snippet_of_an_ingress_comes_before_that_of_the_config_map(
    folder: Path, application: str
) -> None:
    """So that an Ingress's author answers first where both are asked in order, however the administrator refuses."""
    data = {"allow-snippet-annotations": "true", "server-snippet": "if ($arg_deny) { return 496; }"}
    own = ingress("own", "own.example.com", server_snippet="if ($arg_deny) { return 204; }")
    with ServedNginx(
        folder, [own, ingress("other", "other.example.com")], data, backend=application
    ) as nginx:
        assert [
            nginx.https(host, "/?deny=1").status_code
            for host in ("own.example.com", "other.example.com")
        ] == [204, 400]


DENIES = {"server-snippet": "if ($arg_deny) { return 496; }\nif ($arg_gone) { return 410; }"}


@pytest.mark.parametrize(("codes", "stranger"), [("495,496", NOBODY), ("400", 400), ("", 400)])
def test_an_error_page_of_the_config_map_hides_a_refusal_only_under_its_own_number(
    folder: Path, application: str, codes: str, stranger: int
) -> None:
    """What a stranger then gets is the default backend's answer, and never the application's."""
    with ServedNginx(
        folder,
        [ingress("own", "own.example.com")],
        {**DENIES, "custom-http-errors": codes},
        backend=application,
    ) as nginx:
        answer = nginx.https("own.example.com", "/?deny=1")
        assert answer.status_code == stranger
        assert b"backend host" not in answer.content
        assert nginx.https("own.example.com").status_code == APPLICATION


def test_an_error_page_of_an_ingress_is_for_its_own_locations(
    folder: Path, application: str
) -> None:
    own = ingress(
        "own",
        "own.example.com",
        custom_http_errors="410,496",
        configuration_snippet="if ($arg_no) { return 410; }",
    )
    data = {**DENIES, "allow-snippet-annotations": "true"}
    with ServedNginx(folder, [own], data, backend=application) as nginx:
        assert nginx.https("own.example.com", "/?deny=1").status_code == 400, (
            "refused before any location is looked for"
        )
        assert nginx.https("own.example.com", "/?no=1").status_code == NOBODY


def test_an_error_page_of_an_ingress_and_one_of_the_config_map_may_be_for_the_same_status(
    folder: Path, application: str
) -> None:
    """Two named locations of one name are no duplicate to nginx."""
    own = ingress("own", "own.example.com", custom_http_errors="410,496")
    with ServedNginx(
        folder, [own], {**DENIES, "custom-http-errors": "410,496"}, backend=application
    ) as nginx:
        assert nginx.https("own.example.com").status_code == APPLICATION
        assert nginx.https("own.example.com", "/?deny=1").status_code == NOBODY
        assert nginx.https("own.example.com", "/?gone=1").status_code == NOBODY


def test_a_page_for_404_itself_is_one_that_the_default_backend_cannot_show(
    folder: Path, application: str
) -> None:
    """Its own 404 falls under the same setting, and its server has no such location."""
    with ServedNginx(
        folder,
        [ingress("own", "own.example.com")],
        {"custom-http-errors": "404"},
        backend=application,
    ) as nginx:
        assert statuses(nginx, "own.example.com", "nobody.example.net") == [APPLICATION, 500]


@pytest.fixture(scope="module")
def authority() -> ClusterAuthority:
    return ClusterAuthority("clients")


def clients(authority: ClusterAuthority) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "web", "name": "clients"},
        "data": {"ca.crt": base64.b64encode(authority.pem).decode()},
    }


@pytest.mark.parametrize(
    ("page", "status", "location"),
    [
        ("/refused", APPLICATION, None),
        ("https://example.com/refused", 302, "https://example.com/refused"),
        ("", 400, None),
    ],
)
def test_a_refusal_by_an_ingress_shows_its_page(
    folder: Path,
    application: str,
    authority: ClusterAuthority,
    page: str,
    status: int,
    location: str | None,
) -> None:
    """A path of its own is asked of the application, which the stranger so reaches, at that one path."""
    own = ingress("own", "own.example.com", auth_tls_secret="web/clients", auth_tls_error_page=page)
    with ServedNginx(folder, [own], secrets=[clients(authority)], backend=application) as nginx:
        answer = nginx.https("own.example.com", "/secret")
        assert (answer.status_code, answer.headers.get("location")) == (status, location)
        assert b"/secret" not in answer.content
        assert nginx.https(
            "own.example.com", "/secret", presenting=authority.client("us")
        ).content == backend.expected("own.example.com", "/secret")


def test_a_missing_secret_closes_the_whole_server_and_no_other(
    folder: Path, application: str
) -> None:
    """Also the paths that a server-snippet brings: `return 403` comes before all of them."""
    ingresses = [
        ingress("own", "own.example.com", auth_tls_secret="web/missing"),
        ingress("other", "other.example.com"),
    ]
    with ServedNginx(
        folder,
        ingresses,
        {"server-snippet": "location = /check { return 200; }"},
        backend=application,
    ) as nginx:
        assert [nginx.https("own.example.com", path).status_code for path in ("/", "/check")] == [
            403,
            403,
        ]
        assert [nginx.https("other.example.com", path).status_code for path in ("/", "/check")] == [
            APPLICATION,
            200,
        ]


def test_blocked_agents_and_referers_get_403_wherever_they_ask(
    folder: Path, application: str
) -> None:
    data = {
        "block-user-agents": "~*probe, curl/8",
        "block-referers": "https://bad.example/",
        "server-snippet": "location = /check { return 200; }",
    }
    shop = ingress("shop", "www.example.com", from_to_www_redirect="true")
    with ServedNginx(folder, [shop], data, backend=application) as nginx:
        for host, path in (
            ("www.example.com", "/"),
            ("www.example.com", "/check"),
            ("example.com", "/"),
            ("nobody.example.net", "/check"),
        ):
            assert nginx.https(host, path, User_Agent="a Probe").status_code == 403
            assert nginx.https(host, path, User_Agent="curl/8").status_code == 403
            assert nginx.https(host, path, Referer="https://bad.example/").status_code == 403
            assert (
                nginx.https(
                    host, path, User_Agent="curl/8.1", Referer="https://good.example/"
                ).status_code
                != 403
            )


def test_blocked_addresses_get_403_but_where_nginx_answers_by_itself(
    folder: Path, application: str
) -> None:
    data = {
        "block-cidrs": "192.0.2.0/24, 127.0.0.1",
        "server-snippet": "location = /check { return 200; }",
    }
    with ServedNginx(
        folder, [ingress("shop", "www.example.com")], data, backend=application
    ) as nginx:
        assert [nginx.https("www.example.com", path).status_code for path in ("/", "/check")] == [
            403,
            200,
        ]


def test_a_rejected_handshake_is_for_names_without_a_server(folder: Path, application: str) -> None:
    shop = ingress("shop", "app.example.com", server_alias="alias.example.com")
    with ServedNginx(
        folder, [shop], {"ssl-reject-handshake": "true"}, backend=application
    ) as nginx:
        assert statuses(nginx, "app.example.com", "alias.example.com") == [APPLICATION] * 2
        with pytest.raises(httpx.ConnectError, match=r"(?i)unrecognized.name"):
            nginx.https("example.com")
        assert nginx.http("example.com").status_code == NOBODY, "in plaintext there is no handshake"
