"""The nginx text: one block per key, rendered from all claims on a ConfigMap.

Same claims, same bytes.

Whether the block that is there is still the one that was written is told by rendering it again.
Each part of its shape is there for something that was measured:

- no captures, and no regex but one in an `if`: the controller's nginx is no longer patched
  (facts: ingress-nginx#regular-expressions);
- each host stands in one line, with a word for how strict it is before the label of its zone, and
  wildcards take the two apart (facts: ingress-nginx#wildcards-in-maps);
- no location: all answers are given before nginx looks for one, so none of anybody's can collide
  with ours or take its place;
- no certificate authority: the leaf is pinned, so that nothing has to be on a pod's disk
  (facts: ingress-nginx#pins);
- every line is complete in itself, with no `#` but at its beginning: the controller re-indents line
  by line (facts: ingress-nginx#re-indenting);
- either key passes `nginx -t` without the other, because a rejected text stops all later updates
  (facts: ingress-nginx#two-snippets).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from aop.origins.check import (
    NO_ZONE,
    NONE,
    OTHER,
    TOKEN,
    check_path,
    gate_path,
    printed,
)
from aop.origins.notation import check
from aop.origins.zones import (
    labels,
    pins_by_zone,
    refusing,
    zones_by_name,
)
from aop.terms import Claim, Mode

HTTP = "http-snippet"
SERVER = "server-snippet"
KEYS = (HTTP, SERVER)
"""The keys of the ConfigMap that carry our text: in `http{}`, and at the end of every `server{}`
that serves Ingresses."""

END = "# END aop-operator\n"
_WORDS = {Mode.REQUEST: "ask", Mode.OPTIONAL: "opt", Mode.REQUIRE: "req"}
_EXCEPTED = "not"
"""Says of a host that it refuses nobody although its wildcard's server does. All words are of one
length: a write that relaxes never grows."""
ASKING = "ssl_verify_client optional_no_ca;"
"""What makes nginx ask for a certificate and refuse nobody for its issuer."""
VARIABLES = frozenset(
    {
        "aop_zone",
        "aop_certificate",
        "aop_presented",
        "aop_mode",
        "aop_wildcard",
        "aop_action",
        "aop_nonce",
    }
)
"""The variables that our text defines."""
NOT_LOGGED = "set $loggable 0"
"""The controller's own map variable, which its access log asks; where there is none, this makes one
that nobody asks."""


def render(
    claims: Collection[Claim],
    revision: int,
    path_token: str,
    *,
    session_cache_size: str | None = "10m",
) -> dict[str, str]:
    """The block for each of `KEYS`, beginning and ending at the start of a line.

    `session_cache_size` is `Options.session_cache_size`: None keeps the session cache off where the
    user has switched it off.

    Raises:
        ValueError: a hostname, zone, digest or token that must not stand in nginx's text. Nothing
            that came through the resource or through `notation.decode` is one.
    """
    if not TOKEN.fullmatch(path_token) or revision < 1:
        raise ValueError(f"no text for revision {revision} and path token {path_token!r}")
    for claim in claims:
        check(claim)
    modes = refusing(claims)
    begin = (
        f"# BEGIN aop-operator revision {printed(revision)}: rendered from the annotations of this ConfigMap, "
        "what is edited here is overwritten"
    )
    lines = {
        HTTP: _http(claims, modes, revision, session_cache_size),
        SERVER: _server(modes, revision, path_token),
    }
    return {key: "\n".join((begin, *lines[key], END)) for key in KEYS}


def too_long(hosts: Collection[str], bucket_size: int = 64) -> tuple[str, ...]:
    """Those of `hosts` (concrete names and wildcards) that do not fit nginx's hash buckets; sorted.

    One of them fails `nginx -t` for all.

    nginx needs room for the key with two bytes of length, aligned to a pointer, and for two
    pointers; a bucket is a whole number of cache lines. Of a wildcard it stores label by label
    (facts: ingress-nginx#map-hash-buckets).
    """
    bucket = -(-bucket_size // 64) * 64
    longest = (bucket - 16) // 8 * 8 - 2
    return tuple(
        sorted(
            h
            for h in set(hosts)
            if max(map(len, h.split(".") if h.startswith("*.") else [h])) > longest
        )
    )


def _http(
    claims: Collection[Claim],
    modes: Mapping[str, Mode],
    revision: int,
    session_cache_size: str | None,
) -> Iterator[str]:
    label, zones = labels(claims), sorted({claim.zone for claim in claims if claim.mode})
    # Of each host in one line: how strict it is, and whose zone it is in.
    hosts = [f"{name} {word}.{label[zone]}" for name, zone, word in _hosts(claims, modes)]
    yield from _map("$host $aop_zone", ["hostnames", f'default "{NO_ZONE}"', *hosts])
    if any(claim.mode >= Mode.REQUEST for claim in claims):
        if session_cache_size is not None:
            # A session from before would be resumed with what its handshake came with; only another
            # name of the cache ends it.
            yield f"ssl_session_cache shared:AOP_{printed(revision)}:{session_cache_size};"
        yield ASKING
    yield from _map("$ssl_client_fingerprint $aop_certificate", [f"default {OTHER}", f'"" {NONE}'])
    pins = pins_by_zone(claims)
    pinned = [f"*.{label[zone]}.{pin.sha1} {pin.short}" for zone in zones for pin in pins[zone]]
    yield from _map(
        "$aop_zone.$ssl_client_fingerprint $aop_presented",
        ["hostnames", "default $aop_certificate", *pinned],
    )
    words = [f"{_WORDS[mode]}.* {_WORDS[mode]}" for mode in (Mode.OPTIONAL, Mode.REQUIRE)]
    if any(name.startswith("*.") for name in modes):
        # Its server says so (below), but for the hosts that wait for a proof of their own.
        yield from _map("$host $aop_wildcard", ['default ""'])
        by_word = ["hostnames", "default $aop_wildcard", *words, f'{_EXCEPTED}.* ""']
    else:
        by_word = ["hostnames", 'default ""', *words]
    yield from _map("$aop_zone $aop_mode", by_word)
    # $https is nginx's own view of the connection: X-Forwarded-Proto and PROXY headers cannot forge
    # it (facts: ingress-nginx#plaintext-bypass).
    refusals = [
        f'"opt:on:{OTHER}" deny',
        f'"req:on:{OTHER}" deny',
        f'"req:on:{NONE}" deny',
        f'"req::{NONE}" tls',
    ]
    yield from _map('"$aop_mode:$https:$aop_presented" $aop_action', ['default ""', *refusals])


def _hosts(claims: Collection[Claim], modes: Mapping[str, Mode]) -> Iterator[tuple[str, str, str]]:
    """Every name that the text tells apart, with its zone and the word for how strict it is."""
    concrete = {host: _WORDS[mode] for host, mode in modes.items() if not host.startswith("*.")}
    excepted: set[str] = set()
    if len(concrete) < len(modes):
        excepted = {host for claim in claims for host in claim.excepted} - concrete.keys()
    for name, zone in zones_by_name(claims, {*concrete, *excepted}).items():
        unrequired = _EXCEPTED if name in excepted else _WORDS[Mode.REQUEST]
        yield name, zone, concrete.get(name, unrequired)


def answer(revision: int) -> str:
    """The answer as nginx evaluates it, to stand in double quotes."""
    return (
        f"aop rev={printed(revision)} zone=$aop_zone presented=$aop_presented https=$https"
        r" conn=$connection_requests$ssl_session_reused nonce=$aop_nonce\n"
    )


def own_server(wildcard: str) -> str:
    r"""A pattern for `$server_name` in the server of a wildcard's Ingress.

    The controller makes that server; no other has such a name. It makes a regular expression of it,
    for one label: `~^(?<subdomain>[\w-]+)\.example\.com$` (source: ingress-nginx v1.15.1,
    template.buildServerName). Each dot here stands for one of its signs that nginx's own text could
    not hold as it is.
    """
    return f"^~[^)]+...{'..'.join(wildcard.removeprefix('*.').split('.'))}.$"


def _map(variables: str, entries: list[str]) -> Iterator[str]:
    yield f"map {variables} {{"
    yield from (f"  {entry};" for entry in entries)
    yield "}"


def _server(modes: Mapping[str, Mode], revision: int, path_token: str) -> Iterator[str]:
    check, gate = f'$uri = "{check_path(path_token)}"', f'$uri = "{gate_path(path_token)}"'
    # Never true: it declares the variables where http-snippet was lost, and leaves them to the maps
    # where it is there.
    yield from _if(
        '$request_method = ""',
        *(f'set ${name} ""' for name in ("aop_zone", "aop_presented", "aop_action")),
    )
    if required := {name: mode for name, mode in modes.items() if name.startswith("*.")}:
        yield 'set $aop_wildcard "";'
        for wildcard, mode in required.items():
            yield from _if(
                f'$server_name ~ "{own_server(wildcard)}"', f"set $aop_wildcard {_WORDS[mode]}"
            )
    yield 'set $aop_nonce "";'
    yield from _if(check, "set $aop_action check", "set $aop_nonce $arg_n", NOT_LOGGED)
    yield from _if(gate, NOT_LOGGED)
    # The one regex: nothing else in nginx tells which characters a string has. It forgets what a
    # regular server_name had captured as $1.
    yield from _if('$aop_nonce ~ "[^A-Za-z0-9_-]"', 'set $aop_nonce ""')
    yield from _if("$aop_action = check", f'return 200 "{answer(revision)}"')
    yield from _if("$aop_action = deny", "return 496")
    yield from _if("$aop_action = tls", "return 308 https://$host$request_uri")
    yield from _if(gate, "return 204")


def _if(condition: str, *statements: str) -> Iterator[str]:
    yield f"if ({condition}) {{"
    yield from (f"  {statement};" for statement in statements)
    yield "}"
