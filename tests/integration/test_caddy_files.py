"""What the file for Caddy in a workload means to the real one, beside the configuration of whoever takes it in."""

from __future__ import annotations

from pathlib import Path

import pytest

from aop.origins.check import check_path, parse
from aop.origins.rules import rules_of
from aop.origins.workload.caddy import ROUTE, CaddyDialect
from aop.terms import Mode
from builders import claim
from our_leaf import OURS
from sandbox.plain_caddy import IN_OPTIONS, IN_SITE, IN_TLS, NAMED_ROUTE, PlainCaddy

TOKEN = "k3y0fth3path"
WWW, API, ALONE = "www.example.com", "api.example.com", "alone.example.com"
CHECK = check_path(TOKEN)
DIALECT = CaddyDialect()
REQUIRING = claim(Mode.REQUIRE, (WWW,), (OURS.leaf.pin,))
FILES = DIALECT.render(rules_of([REQUIRING], 1, TOKEN))
CASES = (WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.", f"{WWW.upper()}.:8443")


def test_it_starts_without_the_file(tmp_path: Path) -> None:
    """The pattern finds nothing (facts: caddy#import-by-a-pattern)."""
    with PlainCaddy(tmp_path / "caddy", {}, (WWW,)) as caddy:
        assert caddy.https(WWW).status == 200
        assert caddy.https(WWW, CHECK).body == "app"


@pytest.mark.parametrize("host", CASES)
def test_however_a_host_is_written_it_is_the_same_one(
    tmp_path: Path, leaf: Path, host: str
) -> None:
    """Also at a site that takes every name, where Caddy itself looks at none."""
    with PlainCaddy(tmp_path / "caddy", FILES) as caddy:
        assert caddy.http(host).status == 308
        answer = parse(caddy.http(host, f"{CHECK}?n=abc").body)
        assert answer is not None
        name = host.partition(":")[0].lower()
        sni = name.removesuffix(".")  # no client writes it with the dot, so that the two differ
        expected = [403, 200] if sni == name else [421, 421]
        assert [caddy.https(host, "/", who, sni=sni).status for who in (None, leaf)] == expected


def test_whatever_the_site_has_besides_comes_after_ours(tmp_path: Path, leaf: Path) -> None:
    also = "redir https://x.test{uri}\nheader +X-Theirs yes\nbasic_auth {\nbob $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"
    with PlainCaddy(tmp_path / "caddy", FILES, (WWW,), also_in_servers=also) as caddy:
        assert parse(caddy.https(WWW, CHECK).body) is not None
        assert caddy.https(WWW).status == 403
        assert caddy.https(WWW, "/", leaf).headers["location"] == "https://x.test/"
        assert caddy.http(WWW).headers["location"] == f"https://{WWW}/"
        assert caddy.http(API).headers["location"] == "https://x.test/"


def test_a_check_ends_its_connection(tmp_path: Path) -> None:
    with PlainCaddy(tmp_path / "caddy", FILES, (WWW,)) as caddy:
        assert caddy.https(WWW, CHECK).headers["connection"] == "close"


def test_where_two_sites_differ_a_name_of_one_is_not_served_over_the_other(tmp_path: Path) -> None:
    """Even without a certificate for it, nobody comes to a required host by the site of another."""
    with PlainCaddy(tmp_path / "caddy", FILES, (WWW,), (ALONE,)) as caddy:
        assert caddy.https(ALONE).body == "app"
        assert caddy.https(ALONE, CHECK).body == "app", "it has no path of ours"
        assert caddy.https(WWW, sni=ALONE).status == 421


def test_a_text_that_it_rejects_ends_it_without_a_word(tmp_path: Path) -> None:
    broken = {ROUTE: FILES[ROUTE].replace("route {", "route {\nno_such_directive", 1)}
    caddy = PlainCaddy(tmp_path / "caddy", broken, (WWW,))
    assert "no_such_directive" in caddy.tested()
    words = caddy.started()
    assert "no_such_directive" not in words
    assert not DIALECT.blames_others(words)


def test_of_two_words_about_asking_the_later_one_counts(tmp_path: Path) -> None:
    """Which is why the how-to says that there must be one (facts: caddy#asking-in-a-site)."""
    folder = tmp_path / "caddy"
    caddy = PlainCaddy(folder, FILES, (WWW,))
    assert caddy.tested() == ""
    conf = (folder / "Caddyfile").read_text()
    asking = conf.index("client_auth")
    (folder / "twice").write_text(
        f"{conf[:asking]}client_auth {{\nmode require\n}}\n{conf[asking:]}"
    )
    (folder / "twice").rename(folder / "Caddyfile")
    with caddy.as_it_stands():
        assert caddy.https(API).status == 200


def test_the_lines_that_a_user_adds_are_those_of_the_document_and_of_the_example() -> None:
    root = Path(__file__).parents[2]
    for document in ("docs/how-to/caddy.md", "deploy/examples/caddy/web.yaml"):
        words = " ".join(
            line.partition("#")[0] for line in (root / document).read_text().splitlines()
        ).split()
        for added in (IN_OPTIONS, IN_SITE, IN_TLS, NAMED_ROUTE):
            assert " ".join(added.split()) in " ".join(words), (document, added)
