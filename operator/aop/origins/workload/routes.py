"""Which IngressRoutes of Traefik lead past our routers to a host's applications.

Ours are below two routers of the user's, and get only what these get. A router of the same host
that is below neither gets its requests directly, and refuses nobody. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from aop.errors import plain
from aop.origins.pods import key_of
from aop.origins.rules import Parents
from aop.origins.sites import Json
from aop.origins.written import mappings, spec_of
from aop.terms import ObjectKey, covers

_TOKEN = re.compile(r"\s*(&&|\|\||[!(),]|[A-Za-z]+|`[^`]*`|\"(?:[^\"\\]|\\.)*\")")
_HOSTS = frozenset({"Host", "HostHeader", "HostSNI"})
_DIGITS = 20
MOST_WORDS = 200
"""The longest rule that is read at all, in words."""


def past_ours(
    routes: Iterable[Json], tcp: Iterable[Json], parents: Parents, patterns: Collection[str]
) -> Iterator[str]:
    """A sentence about each that may get requests of the hosts under `patterns`.

    `routes` are IngressRoutes, `tcp` IngressRouteTCPs, as Kubernetes JSON objects.
    """
    http = {key_of(one): one for one in routes}
    ours = frozenset({parents.https, parents.http} - {""})
    for key, one in sorted(http.items()):
        if not _stands_below(key, http, ours, frozenset()):
            yield from _about("IngressRoute", key, one, patterns)
    for key, one in sorted((key_of(one), one) for one in tcp):
        yield from _about("IngressRouteTCP", key, one, patterns)


def may_hold(rule: str, host: str) -> bool:
    """Whether a rule can match requests to `host`, whatever else they are like.

    True as well if nobody knows: for a rule that cannot be read, or a regular expression, which
    anybody who may make a router may write, and which would have to be tried here.
    """
    parsed = _parsed(rule)
    return parsed is None or _value(parsed, host) is not False


def _about(kind: str, key: ObjectKey, manifest: Json, patterns: Collection[str]) -> Iterator[str]:
    for one in _routes_of(manifest):
        rule = str(one.get("match") or "")
        if not _leads_to_traefik_alone(one) and any(
            may_hold(rule, host) for host in _hosts_under(patterns, rule)
        ):
            yield f"{kind} {key} bypasses the operator's routers, and may serve {plain(rule, 80) or 'every request'}"
            return


def _stands_below(
    key: ObjectKey,
    routes: Mapping[ObjectKey, Json],
    ours: frozenset[str],
    seen: frozenset[ObjectKey],
) -> bool:
    """Whether every way to it leads through the two routers, where ours come before the others."""
    manifest = routes.get(key)
    if manifest is None or key in seen:
        return True  # a router whose parent is not there, or is itself, is turned off
    if _is_ours(key, manifest, ours):
        return True
    above = [
        ObjectKey(str(one.get("namespace") or key.namespace), str(one.get("name")))
        for one in mappings(spec_of(manifest).get("parentRefs"))
    ]
    return bool(above) and all(_stands_below(one, routes, ours, seen | {key}) for one in above)


def _is_ours(key: ObjectKey, manifest: Json, ours: frozenset[str]) -> bool:
    """Whether each of its routers is one of the two, by either way of naming them.

    See facts: traefik#routers-below-a-router.
    """
    routes = list(_routes_of(manifest))
    return bool(routes) and all(
        {
            f"{key.namespace}-{key.name}-{_digest(str(one.get('match') or ''))}@kubernetescrd",
            f"{key.namespace}_{key.name}_{number}@kubernetescrd",
        }
        & ours
        for number, one in enumerate(routes)
    )


def _routes_of(manifest: Json) -> Iterator[Mapping[str, Any]]:
    return mappings(spec_of(manifest).get("routes"))


def _digest(rule: str) -> str:
    return sha256(rule.encode()).hexdigest()[:_DIGITS]


def _leads_to_traefik_alone(route: Mapping[str, Any]) -> bool:
    """Whether it leads to Traefik itself, such as to `ping@internal`: no application is behind it.

    A router without services only has others below it.
    """
    return all(
        str(one.get("name")).endswith("@internal") for one in mappings(route.get("services"))
    )


def _hosts_under(patterns: Collection[str], rule: str) -> Iterator[str]:
    """The names by which a rule is tried.

    Those of `patterns`, and under a wildcard those of the rule.
    """
    for pattern in patterns:
        if not pattern.startswith("*."):
            yield pattern
            continue
        yield f"any.{pattern[2:]}"
        named = (word[1:-1].lower() for word in _TOKEN.findall(rule) if word[0] in '`"')
        yield from (name for name in named if covers(pattern, name))


def _tokens(rule: str) -> list[str] | None:
    """The words of a rule; None: it has others."""
    words, end = [], 0
    rule = rule.rstrip()
    while end < len(rule):
        if (match := _TOKEN.match(rule, end)) is None:
            return None
        words.append(match[1])
        end = match.end()
    return words


class _Parts(NamedTuple):
    """`&&` or `||` of several, `!` of one, or a matcher with its arguments."""

    operator: str
    parts: tuple[_Parts, ...] = ()
    arguments: frozenset[str] = frozenset()


_Value = bool | None
"""None: it depends on what else the request is like."""


@lru_cache(maxsize=16384)
def _parsed(rule: str) -> _Parts | None:
    """None: it cannot be read."""
    tokens = _tokens(rule)
    if tokens is None or len(tokens) > MOST_WORDS:
        return None
    try:
        parts, rest = _any_of(tokens)
    except (IndexError, ValueError):
        return None
    return None if rest else parts


def _any_of(tokens: list[str]) -> tuple[_Parts, list[str]]:
    return _joined(tokens, "||", _all_of)


def _all_of(tokens: list[str]) -> tuple[_Parts, list[str]]:
    return _joined(tokens, "&&", _one)


def _joined(
    tokens: list[str], operator: str, part: Callable[[list[str]], tuple[_Parts, list[str]]]
) -> tuple[_Parts, list[str]]:
    first, rest = part(tokens)
    parts = [first]
    while rest and rest[0] == operator:
        other, rest = part(rest[1:])
        parts.append(other)
    return _Parts(operator, tuple(parts)), rest


def _one(tokens: list[str]) -> tuple[_Parts, list[str]]:
    """Raises IndexError or ValueError where the rule ends too early."""
    first, rest = tokens[0], tokens[1:]
    if first == "!":
        part, rest = _one(rest)
        return _Parts("!", (part,)), rest
    if first == "(":
        part, rest = _any_of(rest)
        return part, rest[1:] if rest[0] == ")" else rest
    end = rest.index(")")
    arguments = frozenset(word[1:-1].lower() for word in rest[:end] if word[0] in '`"')
    return _Parts(first, (), arguments), rest[end + 1 :]


def _value(rule: _Parts, host: str) -> _Value:
    match rule.operator:
        case "||" | "&&":
            decides = rule.operator == "||"
            values = [_value(one, host) for one in rule.parts]
            if decides in values:
                return decides
            return None if None in values else not decides
        case "!":
            (value,) = (_value(one, host) for one in rule.parts)
            return None if value is None else not value
    if rule.operator not in _HOSTS:
        return None
    return host in rule.arguments or "*" in rule.arguments
