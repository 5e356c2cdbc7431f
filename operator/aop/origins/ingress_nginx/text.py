"""The nginx text: one block per key, rendered from all claims on a ConfigMap.

Same claims, same bytes.

Whether the block that is there is still the one that was written is told by rendering it again.
Each part of its shape is there for something that was measured, here and in `origins.nginx`:

- no captures, and no regex but one in an `if`: the controller's nginx is no longer patched
  (facts: ingress-nginx#regular-expressions);
- every line is complete in itself, with no `#` but at its beginning: the controller re-indents line
  by line (facts: ingress-nginx#re-indenting);
- either key passes `nginx -t` without the other, because a rejected text stops all later updates
  (facts: ingress-nginx#two-snippets).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from aop.origins import nginx
from aop.origins.check import TOKEN, printed
from aop.origins.notation import check
from aop.origins.rules import WORDS
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
_EXCEPTED = "not"
"""The word for a host that refuses nobody although its wildcard's server does; as long as the other
words (`rules.WORDS`)."""
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
"""The controller's own map variable, by which it decides what to log; without it, this makes one
that nobody uses."""


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


def _http(
    claims: Collection[Claim],
    modes: Mapping[str, Mode],
    revision: int,
    session_cache_size: str | None,
) -> Iterator[str]:
    label, pins = labels(claims), pins_by_zone(claims)
    zones = sorted({claim.zone for claim in claims if claim.mode})
    yield from nginx.host_map(
        (name, word, label[zone]) for name, zone, word in _hosts(claims, modes)
    )
    if any(claim.mode >= Mode.REQUEST for claim in claims):
        if session_cache_size is not None:
            # An old session would be resumed with what its handshake came with. Only another name
            # of the cache ends it.
            yield f"ssl_session_cache shared:AOP_{printed(revision)}:{session_cache_size};"
        yield nginx.ASKING
    yield from nginx.leaf_maps((label[zone], pin) for zone in zones for pin in pins[zone])
    if any(name.startswith("*.") for name in modes):
        # Its server says so (below), except for the hosts that wait for their own proof.
        yield from nginx.block("map $host $aop_wildcard", ['default ""'])
        yield from nginx.mode_map("$aop_wildcard", f'{_EXCEPTED}.* ""')
    else:
        yield from nginx.mode_map('""')
    yield from nginx.action_map()


def _hosts(claims: Collection[Claim], modes: Mapping[str, Mode]) -> Iterator[tuple[str, str, str]]:
    """Every name that the text distinguishes, with its zone and the word for how strict it is."""
    concrete = {host: WORDS[mode] for host, mode in modes.items() if not host.startswith("*.")}
    excepted: set[str] = set()
    if len(concrete) < len(modes):
        excepted = {host for claim in claims for host in claim.excepted} - concrete.keys()
    for name, zone in zones_by_name(claims, {*concrete, *excepted}).items():
        unrequired = _EXCEPTED if name in excepted else WORDS[Mode.REQUEST]
        yield name, zone, concrete.get(name, unrequired)


def own_server(wildcard: str) -> str:
    r"""A pattern for `$server_name` in the server of a wildcard's Ingress.

    The controller makes that server; no other has such a name. It makes a regular expression of it,
    for one label: `~^(?<subdomain>[\w-]+)\.example\.com$` (source: ingress-nginx v1.15.1,
    template.buildServerName). Each dot here stands for one of its signs that nginx's own text could
    not hold as it is.
    """
    return f"^~[^)]+...{'..'.join(wildcard.removeprefix('*.').split('.'))}.$"


def _server(modes: Mapping[str, Mode], revision: int, path_token: str) -> Iterator[str]:
    yield from nginx.declared("aop_zone", "aop_presented", "aop_action")
    if required := {name: mode for name, mode in modes.items() if name.startswith("*.")}:
        yield 'set $aop_wildcard "";'
        for wildcard, mode in required.items():
            yield from nginx.block(
                f'if ($server_name ~ "{own_server(wildcard)}")',
                [f"set $aop_wildcard {WORDS[mode]}"],
            )
    yield from nginx.answers(revision, path_token, NOT_LOGGED)
