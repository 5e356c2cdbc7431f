"""How rules are said to nginx, whoever reads them: an ingress controller or nginx itself.

Each part of its shape is there for something that was measured (docs/facts/ingress-nginx.md):

- no location: all answers are given before nginx looks for one, so none of anybody's can collide
  with ours or take its place;
- no certificate authority: the leaf is pinned, so that nothing has to be on a pod's disk
  (facts: ingress-nginx#pins);
- each host stands in one line, with a word for how strict it is before the label of its zone, and
  wildcards take the two apart (facts: ingress-nginx#wildcards-in-maps);
- what stands in `server{}` declares the variables that the maps of `http{}` define, so that either
  passes `nginx -t` without the other (facts: ingress-nginx#two-snippets).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from aop.origins.check import NO_ZONE, NONE, OTHER, check_path, gate_path, printed
from aop.origins.rules import DENIED, WORDS
from aop.terms import Mode, Pin

ASKING = "ssl_verify_client optional_no_ca;"
"""Makes nginx ask for a certificate and refuse nobody because of its issuer."""


def host_map(hosts: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """For each host, in one line, how strict it is and whose zone it is in.

    It matches however a request writes the host (facts: nginx#host-names-in-a-request).

    `hosts` are names with the word for how strict they are and the label of their zone.
    """
    lines = [f"{name} {word}.{label}" for name, word, label in hosts]
    yield from block("map $host $aop_zone", ["hostnames", f'default "{NO_ZONE}"', *lines])


def leaf_maps(leaves: Iterable[tuple[str, Pin]]) -> Iterator[str]:
    """What was presented: by its name a leaf that passes in the host's zone, or another, or none.

    `leaves` are those that pass, each with the label of its zone.
    """
    yield from block(
        "map $ssl_client_fingerprint $aop_certificate", [f"default {OTHER}", f'"" {NONE}']
    )
    pinned = [f"*.{label}.{pin.sha1} {pin.short}" for label, pin in leaves]
    yield from block(
        "map $aop_zone.$ssl_client_fingerprint $aop_presented",
        ["hostnames", "default $aop_certificate", *pinned],
    )


def mode_map(default: str, *more: str) -> Iterator[str]:
    """How strict the host is, from the word before its zone."""
    words = [f"{WORDS[mode]}.* {WORDS[mode]}" for mode in (Mode.OPTIONAL, Mode.REQUIRE)]
    yield from block("map $aop_zone $aop_mode", ["hostnames", f"default {default}", *words, *more])


def action_map() -> Iterator[str]:
    """Who is refused, by nginx's own view of the connection.

    `$https` is that view: X-Forwarded-Proto and PROXY headers cannot forge it
    (facts: ingress-nginx#plaintext-bypass).
    """
    refusals = [f'"{WORDS[mode]}:on:{presented}" deny' for mode, presented in DENIED]
    refusals.append(f'"{WORDS[Mode.REQUIRE]}::{NONE}" tls')
    yield from block('map "$aop_mode:$https:$aop_presented" $aop_action', ['default ""', *refusals])


def declared(*names: str) -> Iterator[str]:
    """Declares the variables if the maps are lost, and leaves them to the maps if they are there.

    By a condition that is never true.
    """
    yield from block('if ($request_method = "")', [f'set ${name} ""' for name in names])


def answers(revision: int, path_token: str, *also: str) -> Iterator[str]:
    """The answers, as statements of `server{}`; `also` is done at each of our paths."""
    check, gate = f'$uri = "{check_path(path_token)}"', f'$uri = "{gate_path(path_token)}"'
    yield 'set $aop_nonce "";'
    yield from block(f"if ({check})", ["set $aop_action check", "set $aop_nonce $arg_n", *also])
    if also:
        yield from block(f"if ({gate})", also)
    # The only regex: nothing else in nginx shows which characters a string has. It overwrites what
    # a regular server_name had captured as $1.
    yield from block('if ($aop_nonce ~ "[^A-Za-z0-9_-]")', ['set $aop_nonce ""'])
    yield from block("if ($aop_action = check)", [f'return 200 "{answer(revision)}"'])
    yield from block("if ($aop_action = deny)", ["return 496"])
    yield from block("if ($aop_action = tls)", ["return 308 https://$host$request_uri"])
    yield from block(f"if ({gate})", ["return 204"])


def answer(revision: int) -> str:
    """The check path's answer as nginx evaluates it, for use in double quotes."""
    return (
        f"aop rev={printed(revision)} zone=$aop_zone presented=$aop_presented https=$https"
        r" conn=$connection_requests$ssl_session_reused nonce=$aop_nonce\n"
    )


def block(head: str, statements: Iterable[str]) -> Iterator[str]:
    """A block, a line for each statement."""
    yield f"{head} {{"
    yield from (f"  {statement};" for statement in statements)
    yield "}"


def too_long(hosts: Collection[str], bucket_size: int = 64) -> tuple[str, ...]:
    """Those of `hosts` (concrete names and wildcards) that do not fit nginx's hash buckets; sorted.

    A single one of them fails `nginx -t` for all.

    nginx needs room for the key with two bytes of length, aligned to a pointer, and for two
    pointers; a bucket is a whole number of cache lines. It stores a wildcard label by label
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


def refuses_certificate(status: int, body: str) -> bool:
    """Whether it is nginx's own 400, in words that speak of the SSL certificate.

    Nobody else's 400 does (facts: ingress-nginx#nginx-refusals).
    """
    return status == 400 and "SSL certificate" in body


def refuses_arrival(status: int, body: str) -> bool:
    """Whether it is that, for an expired certificate; or 421, where SNI and Host differ.

    See facts: ingress-nginx#optional-no-ca.
    """
    return status == 421 or refuses_certificate(status, body)
