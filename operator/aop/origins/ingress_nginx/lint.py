"""Whether the text that others put into a snippet can be next to ours.

It is checked before it is merged. Two kinds of text cannot: text that makes `nginx -t` fail for
everybody on the controller once ours is beside it, and text that takes our refusal away or puts our
sessions out of reach. Each was tried on a real nginx, and so was what is let through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from aop.origins.ingress_nginx.syntax import Statement, read
from aop.origins.ingress_nginx.text import SERVER

_CONFLICTING = {
    "ssl_verify_client": "which the operator's text sets",
    "ssl_client_certificate": "which announces another authority than the one of the zone's certificate",
    "ssl_crl": "which makes nginx refuse certificates that the operator accepts",
    "ssl_session_ticket_key": "which keeps TLS sessions alive that the operator has to end",
}
_OCSP = "nginx rejects ssl_ocsp beside the operator's ssl_verify_client optional_no_ca"
_BEFORE_US = frozenset({"308", "400", "405", "421", "494", "495", "496", "497", "501"})
"""Our own refusals, and those that nginx gives before it evaluates our text. A named location lets
such a request bypass our text."""
_CERTIFICATE = frozenset({"495", "496", "497"})
_DEFINES = {
    "map": -1,
    "geo": -1,
    "split_clients": -1,
    "keyval": 2,
    "js_set": 1,
    "js_var": 1,
    "perl_set": 1,
}
"""Directives that define a variable, and which of their words names it."""
_TRUSTED = frozenset({"$ssl_client_fingerprint", "$ssl_session_reused", "$arg_n"})
"""What our text trusts and nginx lets others define. nginx itself protects its other variables."""


def objection(
    text: str, key: str, *, pages: Collection[str] = (), flushed: bool = True
) -> str | None:
    """Why `text` must not be in `key` beside ours; None if it may.

    The end of a sentence ("line 3 sets …"). `pages` are the named locations that only answer
    (`pages_in`). `flushed`: our own session cache comes after the text and counts. What a separate
    `server{}` sets is its own affair, except for what it inherits from us.
    """
    parsed = read(text)
    for one in parsed.statements:
        if one.words and (why := _objection_to(one, one.words[0], key, pages, flushed=flushed)):
            return f"line {one.line} {why}"
    return parsed.fault


def pages_in(texts: Iterable[str]) -> frozenset[str]:
    """The named locations in `texts` that end with an answer of their own.

    No request gets further through them.
    """
    return frozenset(
        one.words[1]
        for text in texts
        for one in read(text).statements
        if one.words[:1] == ["location"] and len(one.words) == 2 and _has(one, "return")
    )


def _objection_to(
    one: Statement, name: str, key: str, pages: Collection[str], *, flushed: bool
) -> str | None:
    if name in _CONFLICTING:
        return f"sets {name}, {_CONFLICTING[name]}: remove it"
    if name == "ssl_ocsp" and one.words[1:] != ["off"]:
        return f"sets ssl_ocsp: {_OCSP}. Remove it"
    if (
        name == "server"
        and any(inner.words[1:] != ["off"] for inner in _all(one, "ssl_ocsp"))
        and not _has(one, "ssl_verify_client")
    ):
        return f"has a server that sets ssl_ocsp and not ssl_verify_client: {_OCSP}. Set ssl_verify_client there"
    if (
        name == "ssl_session_cache"
        and (key == SERVER or not flushed)
        and any(word.startswith("shared:") for word in one.words)
    ):
        return "sets a shared ssl_session_cache, which keeps TLS sessions alive that the operator has to end: remove it"
    if name == "error_page":
        return _past(one.words[1:-1], one.words[-1], pages)
    defined = (
        one.words[_DEFINES[name]] if name in _DEFINES and len(one.words) > _DEFINES[name] else None
    )
    return (
        f"defines {defined}, a variable that the operator's text relies on: rename it"
        if defined in _TRUSTED
        else None
    )


def _past(codes: list[str], target: str, pages: Collection[str]) -> str | None:
    if (
        target.startswith("@")
        and target not in pages
        and (early := sorted(_BEFORE_US.intersection(codes)))
    ):
        return f"hands refused requests ({', '.join(early)}) to {target[:40]!r}, where the operator's text does not apply: let that return an answer, or name an address instead"
    if any(code.startswith("=2") for code in codes) and (
        refused := sorted(_CERTIFICATE.intersection(codes))
    ):
        return f"turns refusals ({', '.join(refused)}) into success: let them keep their status"
    return None


def _all(block: Statement, name: str) -> Iterator[Statement]:
    return (one for one in block.body or () if one.words[:1] == [name])


def _has(block: Statement, name: str) -> bool:
    return any(_all(block, name))
