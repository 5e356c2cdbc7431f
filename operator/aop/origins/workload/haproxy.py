"""HAProxy: one file with a `defaults` section, from which the user's frontends inherit."""

from __future__ import annotations

from collections.abc import Iterator

from aop.origins.check import NO_ZONE, NONE, OTHER, check_path, gate_path, printed
from aop.origins.kind import Capabilities
from aop.origins.rules import DENIED, WORDS, HostRule, Rules
from aop.origins.workload.dialect import REFUSAL, Dialect, is_our_refusal, text_of
from aop.terms import Mode

DEFAULTS = "defaults.cfg"
SECTION = "AOP_DEFAULTS"
"""The variable that names the section from which the user's frontends inherit.

It is one of theirs, and once our file is there, ours, which inherits from theirs
(facts: haproxy#a-section-by-a-variable)."""

NAMES_ONE = r"'^([a-z0-9._-]*|\[[0-9a-f:.]+\])(:[0-9]*)?$'"
"""A Host that names one host, or none (facts: haproxy#host-names-in-a-request)."""


class HaproxyDialect(Dialect):
    """It decides for each request, by rules that come before the frontend's own.

    See facts: haproxy#rules-of-a-defaults-section. HAProxy reads the file if it is started with its
    folder, which may be empty (facts: haproxy#a-folder-of-files). The user's own `bind` asks for
    certificates, and refuses nobody by that (facts: haproxy#asking-at-a-bind). So only the file can
    be lost, and without it nobody is refused.
    """

    files = (DEFAULTS,)
    complains = "parsing ["
    capabilities = Capabilities(refuses_expired=False, creates_carrier=True)

    def render(self, rules: Rules) -> dict[str, str]:
        """As `Dialect` says."""
        return {DEFAULTS: text_of(rules, self._section(rules))}

    @staticmethod
    def _section(rules: Rules) -> Iterator[str]:
        yield f'defaults aop from "${{{SECTION}}}"'
        for each in (*_facts(rules), *_answers(rules)):
            yield f"  http-request {each}"
        # A proxy that names no section inherits from the last one, which must not be one with
        # rules.
        yield f'defaults aop-end from "${{{SECTION}}}"'
        yield "global"
        yield f"  setenv {SECTION} aop"

    def blames_others(self, words: str) -> bool:
        """Whether it names none of our files and sections (facts: haproxy#last-words)."""
        complaints = [line for line in words.splitlines() if self.complains in line]
        named = ("aop", DEFAULTS)
        return bool(complaints) and not any(one in line for one in named for line in complaints)

    def refuses_certificate(self, status: int, body: str) -> bool:
        """Whether it is our own refusal: HAProxy refuses no certificate if it ignores errors.

        See facts: haproxy#asking-at-a-bind.
        """
        return is_our_refusal(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:  # noqa: ARG002 - see above
        """Nothing."""
        return False


def _facts(rules: Rules) -> Iterator[str]:
    """Whose the host is, and what came there. If several match, the last one counts."""
    # However the request writes it (facts: haproxy#host-names-in-a-request).
    yield "set-var(txn.aop_host) req.fhdr(host),field(1,:),lower,regsub([.]$,)"
    yield f"set-var(txn.aop_zone) str({NO_ZONE})"
    for host in reversed(rules.most_specific_first):
        yield f"set-var(txn.aop_zone) str({WORDS[host.mode]}.{host.zone}) if {{ {_holds(host)} }}"
    yield f"set-var(txn.aop_presented) str({NONE})"
    # Also in a resumed session (facts: haproxy#sessions).
    yield f"set-var(txn.aop_presented) str({OTHER}) if {{ ssl_c_used }}"
    yield "set-var(txn.aop_leaf) ssl_c_der,sha2(256),hex,lower if { ssl_c_used }"
    yield 'set-var-fmt(txn.aop_pin) "%[var(txn.aop_zone),field(2,.)]:%[var(txn.aop_leaf)]"'
    for label, pin in rules.leaves:
        pinned = f"{{ var(txn.aop_pin) -m str {label}:{pin.sha256} }}"
        yield f"set-var(txn.aop_presented) str({pin.short}) if {pinned}"
    yield "set-var(txn.aop_https) str(on) if { ssl_fc }"
    yield "set-var(txn.aop_session) str(.) if { ssl_fc }"
    yield "set-var(txn.aop_session) str(r) if { ssl_fc_is_resumed }"
    yield "set-var(sess.aop_requests) int(0) unless { var(sess.aop_requests) -m found }"
    yield "set-var(sess.aop_requests) var(sess.aop_requests),add(1)"
    # The whole query: HAProxy ends an argument at a semicolon as well.
    yield "set-var(txn.aop_nonce) query,regsub(^n=,) if { query -m reg ^n=[A-Za-z0-9_-]{0,64}$ }"


def _holds(host: HostRule) -> str:
    below = host.name.removeprefix("*")
    return f"var(txn.aop_host) -m {'str' if below == host.name else 'end'} {below}"


def _answers(rules: Rules) -> Iterator[str]:
    """The answers; a request that meets none of them goes on to what is the user's."""
    answer = (
        f"aop rev={printed(rules.revision)} zone=%[var(txn.aop_zone)]"
        " presented=%[var(txn.aop_presented)] https=%[var(txn.aop_https)]"
        r" conn=%[var(sess.aop_requests)]%[var(txn.aop_session)] nonce=%[var(txn.aop_nonce)]\n"
    )
    text = "return status {} content-type text/plain"
    yield f'{text.format(200)} lf-string "{answer}" if {{ path {check_path(rules.token)} }}'
    if any(host.mode > Mode.REQUEST for host in rules.hosts):
        # With several names, or with none in the header, whatever is behind may take another one
        # than ours.
        yield f"return status 400 if {{ req.fhdr(host) -m found }} !{{ req.fhdr(host) -m reg -i {NAMES_ONE} }}"
        yield "return status 400 if !{ req.fhdr(host) -m found } { url -m reg -i ^[a-z][a-z0-9+.-]*:// }"
    for mode, presented in DENIED:
        met = f"{{ ssl_fc }} {_is(mode)} {{ var(txn.aop_presented) -m str {presented} }}"
        yield f'{text.format(403)} string "{REFUSAL}" if {met}'
    yield f"redirect code 308 location https://%[var(txn.aop_host)]%[pathq] if !{{ ssl_fc }} {_is(Mode.REQUIRE)}"
    yield f"return status 204 if {{ path {gate_path(rules.token)} }}"


def _is(mode: Mode) -> str:
    return f"{{ var(txn.aop_zone) -m beg {WORDS[mode]}. }}"
