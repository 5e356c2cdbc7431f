"""Caddy: one file, for a named route that every site invokes before anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aop.origins.check import NO_ZONE, NONE, OTHER, check_path, gate_path, printed
from aop.origins.kind import Capabilities
from aop.origins.rules import DENIED, WORDS, Rules
from aop.origins.workload.dialect import REFUSAL, Dialect, is_our_refusal, pattern_of, text_of
from aop.terms import Mode

ROUTE = "route.caddy"
OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The fingerprint that Caddy gives if the client sent no certificate (facts: caddy#fingerprint)."""


class CaddyDialect(Dialect):
    """It decides for each request, by Caddy's own view of it.

    The user's named route imports the file once it is there (facts: caddy#import-by-a-pattern), and
    each site invokes it before all else (facts: caddy#a-named-route). The user's own configuration
    asks for certificates, and refuses nobody by that (facts: caddy#asking-in-a-site): if the route
    is lost while `tls` asks, the hosts are open; the other way round, everybody would be refused.
    Maps are searched in order, and the first line that matches counts (facts: caddy#maps). Each
    check closes its connection, because Caddy cannot tell an old one from a new one
    (facts: caddy#connections).
    """

    files = (ROUTE,)
    complains = '"level":"error"'
    capabilities = Capabilities(refuses_expired=False, creates_carrier=True)

    def render(self, rules: Rules) -> dict[str, str]:
        """As `Dialect` says: a `route`, whose statements run in their order."""
        return {ROUTE: text_of(rules, _block("route", (*_maps(rules), *_answers(rules))))}

    def blames_others(self, words: str) -> bool:  # noqa: ARG002 - see below
        """Never: Caddy ends without a word about why (facts: caddy#last-words)."""
        return False

    def refuses_certificate(self, status: int, body: str) -> bool:
        """Whether it is our own refusal: Caddy itself refuses no certificate where it only asks.

        See facts: caddy#asking-in-a-site.
        """
        return is_our_refusal(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:  # noqa: ARG002 - see below
        """Nothing that our text has begun and could end.

        421, where SNI and Host differ, comes with the user's own asking, and stays when our text
        goes.
        """
        return False


def _maps(rules: Rules) -> Iterator[str]:
    """Whose the host is, what came there, and whether that is refused."""
    hosts = (
        f'"~(?i){_in_brackets(pattern_of(host.name))}" {host.zone} {WORDS[host.mode]}'
        for host in rules.most_specific_first
    )
    yield from _map("{http.request.host}", "{aop_zone} {aop_mode}", hosts, f'{NO_ZONE} ""')
    came = (f'"https:{OF_NOTHING}" {NONE}', f'"~^https:[0-9a-f]{{64}}$" {OTHER}')
    fingerprint = "{http.request.tls.client.fingerprint}"
    yield from _map(f'"{{http.request.scheme}}:{fingerprint}"', "{aop_came}", came, NONE)
    # A name is in quotes, because Caddy takes whatever looks like a number for one.
    pins = (f'"{label}:{pin.sha256}" "{pin.short}"' for label, pin in rules.leaves)
    yield from _map(f'"{{aop_zone}}:{fingerprint}"', "{aop_presented}", pins, "{aop_came}")
    yield from _map("{http.request.scheme}", "{aop_https}", ["https on"], '""')
    resumed = "{http.request.tls.resumed}"
    yield from _map(f'"{resumed}"', "{aop_session}", ["true r", "false ."], '""')
    nonce = ('"~^([A-Za-z0-9_-]{0,64})$" "${1}"',)
    yield from _map("{http.request.uri.query.n}", "{aop_nonce}", nonce, '""')
    refused = [f'"{WORDS[mode]}:on:{presented}" deny' for mode, presented in DENIED]
    refused.append(f'"{WORDS[Mode.REQUIRE]}::{NONE}" tls')
    yield from _map('"{aop_mode}:{aop_https}:{aop_presented}"', "{aop_action}", refused, '""')


def _answers(rules: Rules) -> Iterator[str]:
    """The answers; a request that meets none of them goes on to what is the user's."""
    answer = (
        f"aop rev={printed(rules.revision)} zone={{aop_zone}} presented={{aop_presented}}"
        " https={aop_https} conn=1{aop_session} nonce={aop_nonce}"
    )
    yield f"@aop_check path {check_path(rules.token)}"
    # A text in quotes continues in the next line, which is why nothing here is indented.
    checked = ("header Connection close", f'respond "{answer}\n" 200')
    yield from _block("handle @aop_check", checked)
    for action, does in (
        ("deny", f'respond "{REFUSAL}" 403'),
        ("tls", "redir https://{http.request.host}{http.request.orig_uri} 308"),
    ):
        yield f"@aop_{action} vars {{aop_action}} {action}"
        yield from _block(f"handle @aop_{action}", [does])
    yield f"@aop_gate path {gate_path(rules.token)}"
    yield from _block("handle @aop_gate", ["respond 204"])


def _map(source: str, into: str, lines: Iterable[str], default: str) -> Iterator[str]:
    yield from _block(f"map {source} {into}", (*lines, f"default {default}"))


def _in_brackets(pattern: str) -> str:
    """The names, also in brackets: Caddy finds the site without them.

    See facts: caddy#host-names-in-a-request.
    """
    return rf"^[\[]?{pattern[1:-1]}[\]]?$"


def _block(head: str, statements: Iterable[str]) -> Iterator[str]:
    yield f"{head} {{"
    yield from statements
    yield "}"
