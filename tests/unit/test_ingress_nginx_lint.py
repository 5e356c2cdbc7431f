"""Which text of others can stand beside ours: complete nginx configuration that sets nothing of what is ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.origins.ingress_nginx.foreign import objections
from aop.origins.ingress_nginx.lint import objection
from aop.origins.ingress_nginx.snippets import take_apart
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.syntax import Statement, read
from aop.origins.ingress_nginx.text import HTTP, SERVER
from strategies import foreign_texts


def walk(statements: Iterable[Statement], depth: int = 0) -> Iterator[tuple[int, Statement]]:
    """Every statement before those inside it, with how many braces deep it stands."""
    for statement in statements:
        yield depth, statement
        yield from walk(statement.body or (), depth + 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# only { a comment", []),
        ("gzip on;", [("gzip on", 0, 1)]),
        ("\n\ngzip\n  on;", [("gzip on", 0, 3)]),
        ("server { listen 80; }", [("server", 0, 1), ("listen 80", 1, 1)]),
        (
            "map $a $b {\n  default 1;\n}\ngzip on;",
            [("map $a $b", 0, 1), ("default 1", 1, 2), ("gzip on", 0, 4)],
        ),
        ('add_header X "a; {b}";', [("add_header X a; {b}", 0, 1)]),
        (r"add_header X 'it\'s; ';", [(r"add_header X it\'s; ", 0, 1)]),
        ("return 200 ${host}x;", [("return 200 ${host}x", 0, 1)]),
        (r"rewrite ^/a\;b$ /c;", [(r"rewrite ^/a\;b$ /c", 0, 1)]),
        ("gzip on; # ssl_verify_client on;", [("gzip on", 0, 1)]),
    ],
)
def test_statements_are_read_with_depth_and_line(
    text: str, expected: list[tuple[str, int, int]]
) -> None:
    assert [
        (" ".join(one.words), depth, one.line) for depth, one in walk(read(text).statements)
    ] == expected
    assert read(text).fault is None


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("gzip on", "line 1 is not finished"),
        ("gzip on;\nserver_tokens", "line 2 is not finished"),
        ("server {\n listen 80;", "a brace is not closed"),
        ("gzip on; }", "line 1 closes a brace that was not opened"),
        ("server { listen 80 }", "follows an unfinished statement"),
        ('add_header X "open;\n', "the quote that opens in line 1 is not closed"),
        ("\nadd_header X 'open\\';\n", "line 2"),
        ("{ }", "without a directive"),
        (";", "without a directive"),
        ("access_by_lua_block { return }", "Lua"),
        ("ssl_verify_client on;", "line 1 sets ssl_verify_client"),
        ("gzip on;\nssl_client_certificate /a.pem;", "line 2 sets ssl_client_certificate"),
        ("ssl_crl /a.pem;", "ssl_crl"),
        ("ssl_session_ticket_key /a;", "ssl_session_ticket_key"),
        ("ssl_ocsp leaf;", "line 1 sets ssl_ocsp"),
        (
            "\nserver { listen 8443 ssl;\n ssl_ocsp on; }",
            "line 2 has a server that sets ssl_ocsp and not ssl_verify_client",
        ),
        ("error_page 404 496 @app;", "hands refused requests (496) to '@app'"),
        ("error_page 308 405 421 = @app;", "(308, 405, 421) to '@app'"),
        ("error_page 495 496 =200 /welcome;", "turns refusals (495, 496) into success"),
        ("map $http_a $ssl_client_fingerprint { default 1; }", "defines $ssl_client_fingerprint"),
        ("geo $ssl_session_reused { default 1; }", "defines $ssl_session_reused"),
        ("keyval $http_a $arg_n zone=one;", "defines $arg_n"),
        ("js_set $ssl_client_fingerprint a.b;", "defines $ssl_client_fingerprint"),
    ],
)
def test_what_must_not_stand_beside_ours_is_told_with_its_line(text: str, quoted: str) -> None:
    complaint = objection(text, HTTP)
    assert complaint is not None
    assert quoted in complaint


@pytest.mark.parametrize(
    "text",
    [
        "server { listen 8443 ssl; ssl_verify_client on; ssl_client_certificate /a.pem; ssl_ocsp on; ssl_session_cache shared:A:1m; }",
        "server { listen 8443 ssl; ssl_ocsp off; error_page 496 = @app; location @app { proxy_pass http://a; } }",
        "more_set_headers 'ssl_verify_client: on';",
        "# ssl_verify_client on;",
        "# a note on aop-operator and its $aop_zone",
        "ssl_verify_depth 3;",
        "ssl_ocsp off;",
        "ssl_session_cache shared:THEIRS:1m;",
        "error_page 495 496 = /refused;",
        "error_page 495 496 =403 https://www.example.com/why;",
        "error_page 404 500 502 = @fallback;",
        "map $ssl_client_fingerprint $theirs { default 1; }",
        "log_format theirs $ssl_client_fingerprint;",
        "map;",
        "error_page;",
        "",
    ],
)
def test_what_nginx_takes_beside_ours_is_not_objected_to(text: str) -> None:
    assert objection(text, HTTP) is None


def test_what_keeps_sessions_out_of_our_reach_depends_on_where_it_stands() -> None:
    text = "ssl_session_cache shared:THEIRS:1m;"
    assert "shared ssl_session_cache" in str(objection(text, SERVER))
    assert "shared ssl_session_cache" in str(objection(text, HTTP, flushed=False))
    assert objection("ssl_session_cache builtin:1000;", SERVER) is None
    assert "shared ssl_session_cache" in str(
        objected(ForeignText.MERGE, {HTTP: text, "ssl-session-cache": "false"})
    )
    assert objected(ForeignText.MERGE, {HTTP: text}) is None


@pytest.mark.parametrize(
    ("page", "answers"),
    [
        ("return 403;", True),
        ("internal; return 403 'no';", True),
        ("proxy_pass http://app;", False),
        ("", False),
    ],
)
def test_a_named_page_may_answer_the_refused_if_it_answers_by_itself(
    page: str, answers: bool
) -> None:
    complaint = objected(
        ForeignText.MERGE,
        {HTTP: "error_page 495 496 = @page;", SERVER: f"location @page {{ {page} }}"},
    )
    assert (complaint is None) is answers


@given(foreign_texts, st.sampled_from([HTTP, SERVER]))
def test_complete_text_is_never_objected_to(text: str, key: str) -> None:
    assert objection(text, key) is None


@given(st.text(st.sampled_from(list(" \n;{}\"'\\#$ab")), max_size=40))
def test_any_text_is_read_to_its_end(text: str) -> None:
    statements = read(text)
    for _, one in walk(statements.statements):
        assert 0 <= one.start < one.end <= len(text)
        assert one.line == text.count("\n", 0, one.start) + 1
        assert one.words or statements.fault
    between = [
        0,
        *(edge for one in statements.statements for edge in (one.start, one.end)),
        len(text),
    ]
    assert not read(
        "\n".join(text[start:end] for start, end in zip(between[::2], between[1::2], strict=True))
    ).statements


@given(st.text(st.sampled_from(list(" \n;{}\"'\\#$ab")), max_size=40))
def test_what_is_accepted_leaves_nothing_open(text: str) -> None:
    """Whatever follows it (our block) is read as what it is."""
    if objection(text, HTTP) is None:
        ours = "ssl_session_cache off;"
        assert read(f"{text}\n{ours}").statements[-1].words == ["ssl_session_cache", "off"]


# --- the whole ConfigMap -----------------------------------------------------------------------------------------------------------


def objected(policy: ForeignText, data: dict[str, str] | None = None, **more: object) -> str | None:
    metadata = {"namespace": "ingress-nginx", "name": "controller"}
    body: dict[str, object] = {"metadata": metadata, "data": data or {}, **more}
    return objections(body, take_apart(body, {}, newline_added=False), policy)


def owned(key: str, manager: str = "helm") -> dict[str, object]:
    entry = {"manager": manager, "fieldsV1": {"f:data": {f"f:{key}": {}}}}
    return {
        "metadata": {"namespace": "ingress-nginx", "name": "controller", "managedFields": [entry]}
    }


def test_a_config_map_without_snippets_is_free() -> None:
    assert objected(ForeignText.REFUSE) is None
    assert objected(ForeignText.REFUSE, {"use-gzip": "true"}) is None
    assert objected(ForeignText.REFUSE, {HTTP: ""}) is None


def test_text_of_others_is_quoted_enough_to_be_found_and_no_more() -> None:
    complaint = objected(
        ForeignText.REFUSE, {HTTP: "\n" + "secret_directive " * 10 + ";\ngzip on;\n"}
    )
    assert complaint is not None
    assert complaint.startswith(
        "ConfigMap ingress-nginx/controller: http-snippet holds somebody else's text"
    )
    assert "and 1 more line)" in complaint
    assert complaint.count("secret_directive") < 4
    assert "`foreignText: Merge`" in complaint


def test_a_key_that_somebody_owns_is_theirs_even_where_it_is_empty() -> None:
    """Helm and GitOps tools put back what they own."""
    complaint = objected(ForeignText.REFUSE, {SERVER: ""}, **owned(SERVER))
    assert complaint is not None
    assert "server-snippet belongs to helm" in complaint
    assert objected(ForeignText.REFUSE, {SERVER: ""}, **owned(SERVER, "aop-operator")) is None
    assert objected(ForeignText.MERGE, {SERVER: ""}, **owned(SERVER)) is None


def test_with_consent_text_is_kept_unless_it_cannot_be() -> None:
    assert objected(ForeignText.MERGE, {HTTP: "gzip on;"}) is None
    complaint = objected(ForeignText.MERGE, {HTTP: "ssl_verify_client on;", SERVER: "gzip on"})
    assert complaint is not None
    assert "http-snippet cannot be kept: line 1 sets ssl_verify_client" in complaint
    assert "server-snippet cannot be kept: the statement that begins in line 1" in complaint


@pytest.mark.parametrize("policy", ForeignText)
def test_what_can_never_work_is_said_under_either_policy(policy: ForeignText) -> None:
    assert "it is immutable" in str(objected(policy, immutable=True))
    tickets = {"ssl-session-tickets": "true", "ssl-session-ticket-key": "c2VjcmV0"}
    complaint = objected(policy, tickets)
    assert complaint is not None
    assert "Remove ssl-session-ticket-key" in complaint
    assert "c2VjcmV0" not in complaint
    assert objected(policy, {"ssl-session-tickets": "true"}) is None
