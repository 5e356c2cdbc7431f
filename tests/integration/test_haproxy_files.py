"""What the file for HAProxy in a workload means to the real one, beside the configuration of whoever takes it in."""

from __future__ import annotations

from pathlib import Path

import pytest

from aop.origins.check import check_path, parse
from aop.origins.rules import rules_of
from aop.origins.workload.haproxy import DEFAULTS, HaproxyDialect
from aop.terms import Mode
from builders import claim
from our_leaf import OURS
from sandbox import debian
from sandbox.plain_haproxy import ASKING, FROM, VARIABLE, PlainHaproxy
from sandbox.text_nginx import ask, client_context

TOKEN = "k3y0fth3path"
WWW, API = "www.example.com", "api.example.com"
CHECK = check_path(TOKEN)
DIALECT = HaproxyDialect()
REQUIRING = claim(Mode.REQUIRE, (WWW,), (OURS.leaf.pin,))
FILES = DIALECT.render(rules_of([REQUIRING], 1, TOKEN))
CASES = (WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.", f"{WWW.upper()}.:8443")

pytestmark = pytest.mark.usefixtures("haproxy")


@pytest.fixture(scope="module")
def haproxy() -> None:
    if why := debian.why_not("haproxy"):
        pytest.skip(why)


def test_it_starts_without_the_file(tmp_path: Path) -> None:
    """The folder is empty (facts: haproxy#a-folder-of-files)."""
    with PlainHaproxy(tmp_path / "haproxy", {}) as haproxy:
        assert haproxy.https(WWW).body == haproxy.https(WWW, CHECK).body == "app"


def test_however_a_host_is_written_it_is_the_same_one(tmp_path: Path, leaf: Path) -> None:
    with PlainHaproxy(tmp_path / "haproxy", FILES) as haproxy:
        for host in CASES:
            plain = haproxy.http(host)
            assert (plain.status, plain.headers["location"]) == (308, f"https://{WWW}/")
            statuses = [haproxy.https(host, "/", who, sni=WWW).status for who in (None, leaf)]
            assert statuses == [403, 200]
            answer = parse(haproxy.https(host, f"{CHECK}?n=abc", leaf, sni=WWW).body)
            assert answer is not None
            assert answer.presented == OURS.leaf.pin.short


def test_whatever_the_frontend_has_besides_comes_after_ours(tmp_path: Path, leaf: Path) -> None:
    also = "http-request redirect location https://x.test/"
    with PlainHaproxy(tmp_path / "haproxy", FILES, also_in_servers=also) as haproxy:
        assert parse(haproxy.https(WWW, CHECK).body) is not None
        assert haproxy.https(WWW).status == 403
        assert haproxy.https(WWW, "/", leaf).headers["location"] == "https://x.test/"
        assert haproxy.http(WWW).headers["location"] == f"https://{WWW}/"
        assert haproxy.http(API).headers["location"] == "https://x.test/"


def test_a_check_tells_an_old_connection_from_a_new_one(tmp_path: Path) -> None:
    with (
        PlainHaproxy(tmp_path / "haproxy", FILES) as haproxy,
        haproxy.connection(client_context(None), WWW) as connection,
    ):
        answers = [parse(ask(connection, WWW, CHECK, {}, close=False).body) for _ in range(2)]
    assert [answer.fresh for answer in answers if answer] == [True, False]


def test_what_names_no_section_goes_on_without_our_rules(tmp_path: Path) -> None:
    """A proxy of the user's behind ours, which inherits from what was read last."""
    more = "frontend other\n    bind {address}:1\nbackend their-own\n    server one 127.0.0.1:1"
    also = more.format(address="127.0.0.1") + "\nfrontend last from base"
    assert PlainHaproxy(tmp_path / "haproxy", FILES, also_in_servers=also).tested() == ""


def test_a_section_of_theirs_with_rules_is_rejected_in_words_that_are_ours_to_answer(
    tmp_path: Path,
) -> None:
    theirs = "http-request set-header x y"
    assert PlainHaproxy(tmp_path / "before", {}, in_base=theirs).tested() == ""
    complaint = PlainHaproxy(tmp_path / "haproxy", FILES, in_base=theirs).tested()
    assert "cannot inherit from a defaults section" in complaint
    assert DEFAULTS in complaint
    assert not DIALECT.blames_others(complaint)


def test_what_is_wrong_in_their_own_configuration_is_theirs(tmp_path: Path) -> None:
    wrong = PlainHaproxy(tmp_path / "haproxy", FILES, also_in_servers="no-such-word")
    assert DIALECT.blames_others(wrong.tested().replace(str(tmp_path), ""))


def test_the_words_that_a_user_adds_are_those_of_the_document_and_of_the_example() -> None:
    root, ca = Path(__file__).parents[2], "/usr/local/etc/haproxy/tls/tls.crt"
    for document in ("docs/how-to/haproxy.md", "deploy/examples/haproxy/web.yaml"):
        text = (root / document).read_text()
        for added in (VARIABLE, FROM, ASKING.format(ca=ca)):
            assert added in text, (document, added)
