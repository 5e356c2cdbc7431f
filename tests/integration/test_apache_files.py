"""What the file for Apache in a workload means to the real one, beside the configuration of whoever takes it in."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aop.origins.check import check_path, gate_path, parse
from aop.origins.rules import rules_of
from aop.origins.workload.apache import HOST, ApacheDialect
from aop.pki import throwaway
from aop.terms import Claim, Mode
from builders import claim
from identities import file_of
from our_leaf import OURS
from sandbox import debian
from sandbox.plain_apache import IN_HOST, MODULE, MODULES, PlainApache

TOKEN = "k3y0fth3path"
WWW, API, ALONE = "www.example.com", "api.example.com", "alone.example.com"
CHECK, GATE = check_path(TOKEN), gate_path(TOKEN)
DIALECT = ApacheDialect()
EXPIRED = throwaway(datetime.now(UTC) - timedelta(days=9), timedelta(days=5))
REQUIRING = claim(Mode.REQUIRE, (WWW,), (OURS.leaf.pin, EXPIRED.leaf.pin))
CASES = (WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.", f"{WWW.upper()}.:8443")

pytestmark = pytest.mark.usefixtures("apache")


def files(*claims: Claim) -> dict[str, str]:
    return DIALECT.render(rules_of(claims, 1, TOKEN))


@pytest.fixture(scope="module")
def apache() -> None:
    if why := debian.why_not("apache"):
        pytest.skip(why)


def test_it_starts_without_the_file(tmp_path: Path) -> None:
    """The pattern finds nothing (facts: apache#include-by-a-pattern)."""
    with PlainApache(tmp_path / "apache", {}, (WWW,)) as apache:
        assert apache.https(WWW).body == apache.https(WWW, CHECK).body == "app"


def test_however_a_host_is_written_it_is_the_same_one(tmp_path: Path, leaf: Path) -> None:
    with PlainApache(tmp_path / "apache", files(REQUIRING), (WWW,)) as apache:
        for host in CASES:
            plain = apache.http(host)
            assert (plain.status, plain.headers["location"]) == (308, f"https://{WWW}/"), host
            statuses = [apache.https(host, "/", who, sni=WWW).status for who in (None, leaf)]
            assert statuses == [403, 200], host
            answer = parse(apache.https(host, f"{CHECK}?n=abc", leaf, sni=WWW).body)
            assert answer is not None
            assert answer.presented == OURS.leaf.pin.short


def test_whatever_the_virtual_host_has_besides_comes_after_ours(tmp_path: Path, leaf: Path) -> None:
    also = "RewriteEngine on\nRewriteRule ^ https://x.test/ [R,L]\nRedirect / https://y.test/"
    theirs = (*MODULES, "rewrite")
    apache = PlainApache(
        tmp_path / "apache", files(REQUIRING), (WWW,), also_in_servers=also, modules=theirs
    )
    with apache:
        assert parse(apache.https(WWW, CHECK).body) is not None
        assert apache.https(WWW).status == 403
        assert apache.https(WWW, "/", leaf).headers["location"] == "https://x.test/"
        assert apache.https(WWW, GATE, leaf).status == 204
        assert apache.http(WWW).headers["location"] == f"https://{WWW}/"
        assert apache.http(API).headers["location"] == "https://x.test/"


def test_an_answer_of_ours_ends_its_connection(tmp_path: Path) -> None:
    with PlainApache(tmp_path / "apache", files(REQUIRING), (WWW,)) as apache:
        for path in (CHECK, "/"):
            assert apache.https(WWW, path).headers["connection"] == "close"


def test_what_has_expired_is_refused_in_the_handshake(tmp_path: Path) -> None:
    """Even where it only asks (facts: apache#asking-in-a-virtual-host)."""
    path = file_of(EXPIRED, tmp_path / "expired.pem")
    asking = claim(Mode.REQUEST, (), REQUIRING.pins)
    with PlainApache(tmp_path / "apache", files(asking), (WWW,)) as apache:
        assert apache.https(WWW).status == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            apache.https(WWW, "/", path)


def test_a_virtual_host_that_does_not_take_it_in_keeps_its_answers(
    tmp_path: Path, leaf: Path
) -> None:
    with PlainApache(tmp_path / "apache", files(REQUIRING), (WWW,), (ALONE,)) as apache:
        for who in (None, leaf):
            assert apache.https(ALONE, "/", who).body == "app"
        assert apache.https(ALONE, CHECK).body == "app", "it has no path of ours either"


def test_many_hosts_and_zones_stand_in_one_file(tmp_path: Path) -> None:
    hosts = tuple(f"host-{number}.example.com" for number in range(1000))
    with PlainApache(
        tmp_path / "apache", files(claim(Mode.REQUIRE, hosts, REQUIRING.pins))
    ) as apache:
        assert [apache.http(host).status for host in (hosts[0], hosts[-1], API)] == [308, 308, 200]


def test_without_lua_it_is_rejected_in_words_that_are_ours_to_answer(tmp_path: Path) -> None:
    without = tuple(name for name in MODULES if name != "lua")
    complaint = PlainApache(tmp_path / "apache", files(REQUIRING), modules=without).tested()
    assert "Invalid command 'LuaScope'" in complaint
    assert HOST in complaint
    assert not DIALECT.blames_others(complaint)


def test_what_is_wrong_in_their_own_configuration_is_theirs(tmp_path: Path) -> None:
    complaint = PlainApache(
        tmp_path / "apache", files(REQUIRING), also_in_servers="NoSuchWord on"
    ).tested()
    assert "NoSuchWord" in complaint
    assert DIALECT.blames_others(complaint.replace(str(tmp_path), ""))


def test_the_lines_that_a_user_adds_are_those_of_the_document_and_of_the_example() -> None:
    root = Path(__file__).parents[2]
    for document in ("docs/how-to/apache.md", "deploy/examples/apache/web.yaml"):
        text = (root / document).read_text()
        for added in (MODULE, IN_HOST):
            assert added in text, (document, added)
