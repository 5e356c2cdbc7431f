"""What the files for NGINX in a workload mean to the real one, beside the configuration of whoever takes them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from aop.origins.check import check_path, gate_path, parse
from aop.origins.rules import rules_of
from aop.origins.workload.nginx import HTTP, SERVER, NginxDialect
from aop.terms import Claim, Mode
from builders import claim
from our_leaf import OURS
from sandbox.plain_nginx import IN_HTTP, IN_SERVER, PlainNginx
from sandbox.waiting import until

TOKEN = "k3y0fth3path"
WWW, API, ALONE = "www.example.com", "api.example.com", "alone.example.com"
CHECK, GATE = check_path(TOKEN), gate_path(TOKEN)
DIALECT = NginxDialect()
REQUIRING = claim(Mode.REQUIRE, (WWW,), (OURS.leaf.pin,))
CLAIMS = {
    mode: claim(mode, (WWW,) if mode >= Mode.OPTIONAL else (), (OURS.leaf.pin,)) for mode in Mode
}


def files(*claims: Claim, revision: int = 1) -> dict[str, str]:
    return DIALECT.render(rules_of(claims, revision, TOKEN))


@pytest.mark.parametrize("mode", Mode, ids=[mode.label for mode in Mode])
@pytest.mark.parametrize("there", [(), (HTTP,), (SERVER,), (HTTP, SERVER)], ids=str)
def test_either_file_passes_without_the_other(
    tmp_path: Path, mode: Mode, there: tuple[str, ...]
) -> None:
    """Without both, the patterns find nothing (facts: nginx#include-by-a-pattern)."""
    text = files(CLAIMS[mode])
    nginx = PlainNginx(tmp_path / "nginx", {name: text[name] for name in there}, (WWW,))
    assert nginx.tested() == ""


def test_a_server_that_does_not_take_it_in_keeps_all_its_answers(
    tmp_path: Path, leaf: Path
) -> None:
    """Also 200 where SNI and Host differ, which nginx refuses only where it asks for a certificate."""
    with PlainNginx(tmp_path / "nginx", files(REQUIRING), (WWW,), (ALONE, API)) as nginx:
        for sni in (ALONE, API):
            for who in (None, leaf):
                answer = nginx.https(ALONE, "/", who, sni=sni)
                assert (answer.status, answer.body) == (200, "app verify=NONE resumed=.")
        assert nginx.https(ALONE, GATE).status == 200, "it has no path of ours either"
        assert nginx.https(WWW, "/", sni=ALONE).status == 421
        assert nginx.https(WWW).status == 400


@pytest.mark.parametrize(
    "host", [WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.", f"{WWW.upper()}.:8443"]
)
def test_however_a_host_is_written_it_is_refused_and_served_alike(
    tmp_path: Path, leaf: Path, host: str
) -> None:
    with PlainNginx(tmp_path / "nginx", files(REQUIRING), (WWW,)) as nginx:
        assert nginx.https(host, "/", sni=WWW).status == 400
        assert nginx.https(host, "/", leaf, sni=WWW).status == 200
        assert nginx.http(host).status == 308
        checked = nginx.https(f"{host}", f"{CHECK}?n=abc", leaf, sni=WWW)
        answer = parse(checked.body)
        assert answer is not None, checked
        assert answer.presented == OURS.leaf.pin.short


def test_a_redirect_of_the_users_own_server_comes_after_ours(tmp_path: Path, leaf: Path) -> None:
    """Ours is the first line of the server, so that its `return` does not hide the check path."""
    folder = tmp_path / "nginx"
    with PlainNginx(folder, files(REQUIRING), (WWW,)) as nginx:
        conf = (folder / "nginx.conf").read_text()
        (folder / "nginx.conf").write_text(
            conf.replace(
                f'server_name "{WWW}";', f'server_name "{WWW}"; return 301 https://x.test;'
            )
        )
        nginx.signal_reload()
        until(
            lambda: nginx.https(WWW, "/", leaf).status == 301,
            within_s=10,
            describe="the redirect to be there",
        )
        assert nginx.https(WWW, CHECK).status == 200
        assert nginx.https(WWW).status == 400
        assert nginx.http(WWW).headers["location"] == f"https://{WWW}/"


@pytest.mark.parametrize("line", ["ssl_verify_client off;", "ssl_verify_client optional_no_ca;"])
def test_a_server_that_verifies_by_itself_is_rejected_in_words_that_are_ours_to_answer(
    tmp_path: Path, line: str
) -> None:
    folder = tmp_path / "nginx"
    nginx = PlainNginx(
        folder,
        files(CLAIMS[Mode.OFF]),
        (WWW,),
        also_in_servers=line,
    )
    assert nginx.tested() == "", "before anybody asks"
    nginx.files = files(CLAIMS[Mode.REQUEST])
    complaint = nginx.tested()
    assert '"ssl_verify_client" directive is duplicate' in complaint
    assert not DIALECT.blames_others(complaint)


def test_what_is_wrong_in_their_own_configuration_is_theirs(tmp_path: Path) -> None:
    nginx = PlainNginx(
        tmp_path / "nginx", files(REQUIRING), (WWW,), also_in_servers="no_such_directive on;"
    )
    complaint = nginx.tested()
    assert "[emerg]" in complaint
    assert DIALECT.blames_others(complaint.replace(str(tmp_path), "/etc/nginx"))


@pytest.mark.parametrize("length", [45, 46, 47, 48])
def test_a_name_that_does_not_fit_is_known_before_it_is_written(
    tmp_path: Path, length: int
) -> None:
    zone = "example.com"
    host = f"{'h' * (length - len(zone) - 1)}.{zone}"
    assert len(host) == length
    nginx = PlainNginx(tmp_path / "nginx", files(claim(Mode.REQUIRE, (host,), (OURS.leaf.pin,))))
    assert (nginx.tested() == "") is (host not in DIALECT.unfit([host]))


def test_the_lines_that_a_user_adds_are_those_of_the_document_and_of_the_example() -> None:
    root = Path(__file__).parents[2]
    for document in ("docs/how-to/nginx.md", "deploy/examples/nginx/web.yaml"):
        text = (root / document).read_text()
        assert IN_HTTP in text
        assert IN_SERVER in text
