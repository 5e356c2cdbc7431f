"""The controller's re-indenting, rule by rule (facts: ingress-nginx#re-indenting): snippets mean what they mean only after it."""

import pytest

from sandbox.ingress_nginx.cleanconf import clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param(
            "a {\nb;\n}\n", "a {\n\tb;\n}\n", id="a brace indents what follows by one tab"
        ),
        pytest.param(
            "a { b { c; } }\n", "a { b { c; } }\n", id="braces on one line leave the line alone"
        ),
        pytest.param("  \t a;\n", "a;\n", id="blanks before a line go"),
        pytest.param("a   b;  \n", "a   b;  \n", id="blanks within a line stay"),
        pytest.param("a;\n\n\n\nb;\n", "a;\n\nb;\n", id="of empty lines one stays"),
        pytest.param("\n\na;\n", "\na;\n", id="also at the very beginning"),
        pytest.param("a {\n\nb;\n}\n", "a {\n\t\n\tb;\n}\n", id="a kept empty line gets its tabs"),
        pytest.param("a {\n  \n\n}\n", "a {\n\t\n}\n", id="a line of blanks is empty"),
        pytest.param("a;\r\nb;\r\n", "a;\nb;\n", id="line ends of Windows become plain"),
        pytest.param("a\rb;\n", "a b;\n", id="a lone carriage return becomes a blank"),
        pytest.param("# {\na;\n", "# {\na;\n", id="a brace in a comment does not indent"),
        pytest.param(
            "a { # {{{\nb;\n}\n", "a { # {{{\n\tb;\n}\n", id="also in a comment that ends a line"
        ),
        pytest.param(
            "a {\n  #  x  \n}\n", "a {\n\t#  x  \n}\n", id="a comment keeps its own blanks"
        ),
        pytest.param("}\na;\n", "}\na;\n", id="there is no depth below zero"),
        pytest.param(
            "a {\nb {\nc;\n}\n}",
            "a {\n\tb {\n\t\tc;\n\t}\n}",
            id="a closing brace stands where its opening line does",
        ),
        pytest.param("", "", id="nothing stays nothing"),
    ],
)
def test_a_text_is_re_indented_by_its_braces(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_quotes_are_not_known_so_a_string_over_several_lines_is_changed() -> None:
    """Why a PEM inside a quoted map key never matches (facts: ingress-nginx#re-indenting)."""
    pem = '"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" 0;'
    assert clean(f"map $ssl_client_raw_cert $x {{\n{pem}\n}}") == (
        'map $ssl_client_raw_cert $x {\n\t"-----BEGIN CERTIFICATE-----\n\tMIIB\n\t-----END CERTIFICATE-----\n\t" 0;\n}'
    )


def test_a_hash_inside_quotes_begins_a_comment_whose_braces_do_not_count() -> None:
    assert clean('a "#{";\nb {\nc;\n') == 'a "#{";\nb {\n\tc;\n'


def test_cleaning_twice_changes_nothing_more() -> None:
    once = clean("http {\n\n\n  server {  # one {\n listen 1;\r\n}\n }\n")
    assert clean(once) == once
