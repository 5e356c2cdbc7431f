"""What Envoy Gateway says about the policies that make routes run a script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from aop.origins.attached import GATEWAY
from aop.origins.sites import Json, Rejection

_OF_A_SCRIPT = "Lua: "
"""How a message about a script begins."""
_OF_NO_SCRIPT_ITSELF = ("feature is disabled", "can't find the")
"""What such a message says if no script is to blame."""
_WHICH = re.compile(r"/lua/([0-9]{1,4})\b")
"""Which of a policy's scripts it is about."""
_BESIDE = {
    "Overridden": "where another policy counts instead",
    "Merged": "where another policy with scripts of its own is merged into the place",
}
"""By the condition that names the routes: what else runs there."""
_MOST = 300


def running(
    policies: Iterable[Json], gateway: str, labels: Json | None, config_map: str
) -> tuple[Json, ...]:
    """The policies that make the whole Gateway run the script of the ConfigMap.

    `labels` are the Gateway's, by which a policy may choose it. None: they are not known, and any
    policy that chooses by labels may be one.
    """
    return tuple(
        policy
        for policy in policies
        if config_map in _scripts(policy).values()
        and (gateway in _targets(policy) or _selects(policy, labels))
    )


def left_open(policies: Iterable[Json]) -> tuple[str, ...]:
    """Routes on which the script may not run, according to Envoy Gateway's words on these policies.

    It names them whatever namespace they are in (facts: envoy-gateway#the-narrower-policy).
    """
    sentences = {
        f"no certificate is required {_BESIDE[kind]} of {name_of(policy)} ({_line(condition.get('message'))})"
        for policy in policies
        for condition in _conditions(policy)
        if (kind := str(condition.get("type"))) in _BESIDE and condition.get("status") == "True"
    }
    return tuple(sorted(sentences))


def not_accepted(policies: Iterable[Json], config_map: str, *, doubtful: bool) -> str | None:
    """A sentence for others that Envoy Gateway does not accept one of these policies.

    `doubtful` as in `rejection`.
    """
    for policy in policies:
        for words, _ in _refusals(policy):
            if not (doubtful and _blames(words, policy, config_map)):
                return f"Envoy Gateway does not accept {name_of(policy)}: {words} Correct that"
    return None


def rejection(
    policies: Iterable[Json], config_map: str, since: datetime, *, doubtful: bool
) -> Rejection | None:
    """Why Envoy Gateway does not accept a policy as it is now, said at or after `since` (UTC).

    It then answers 500 on each route (facts: envoy-gateway#a-script-that-it-rejects). `doubtful`:
    something in the text was never seen in force.
    """
    second = since.replace(microsecond=0)  # what Kubernetes writes carries whole seconds
    for policy in policies:
        for words, at in _refusals(policy):
            if at and datetime.fromisoformat(at) >= second:
                return Rejection(words, ours=doubtful and _blames(words, policy, config_map))
    return None


def name_of(policy: Json) -> str:
    """Its name, as people write it."""
    metadata = policy["metadata"]
    return f"EnvoyExtensionPolicy {metadata.get('namespace')}/{metadata.get('name')}"


def _refusals(policy: Json) -> Iterator[tuple[str, str | None]]:
    """Envoy Gateway's words, and since when it says so."""
    for condition in _conditions(policy):
        if (condition.get("type"), condition.get("status")) == ("Accepted", "False"):
            yield _line(condition.get("message")), condition.get("lastTransitionTime")


def _blames(words: str, policy: Json, config_map: str) -> bool:
    """Whether they may be about the script of the ConfigMap: yes, unless they surely are not."""
    if _OF_A_SCRIPT not in words or any(one in words for one in _OF_NO_SCRIPT_ITSELF):
        return False
    named = _WHICH.search(words)
    return named is None or _scripts(policy).get(int(named[1])) == config_map


def _scripts(policy: Json) -> dict[int, str]:
    """By their place in the list, the ConfigMaps of the scripts that are in one."""
    return {
        place: str((one.get("valueRef") or {}).get("name"))
        for place, one in enumerate((policy.get("spec") or {}).get("lua") or ())
        if one.get("type") == "ValueRef"
    }


def _targets(policy: Json) -> set[str]:
    """The names of the Gateways to which it is attached as a whole."""
    spec: Json = policy.get("spec") or {}
    return {
        str(one.get("name"))
        for one in (*(spec.get("targetRefs") or ()), spec.get("targetRef") or {})
        if one.get("kind") == GATEWAY and not one.get("sectionName")
    }


def _selects(policy: Json, labels: Json | None) -> bool:
    selectors = (policy.get("spec") or {}).get("targetSelectors") or ()
    return any(
        one.get("kind") == GATEWAY and (labels is None or _matches(one, labels))
        for one in selectors
    )


def _matches(selector: Json, labels: Json) -> bool:
    """Whether the labels match, as a label selector of Kubernetes does."""
    named: Json = selector.get("matchLabels") or {}
    return named.items() <= labels.items() and all(
        _holds(one, labels.get(one.get("key"))) for one in selector.get("matchExpressions") or ()
    )


def _holds(expression: Json, value: object) -> bool:
    among = value in (expression.get("values") or ())
    match expression.get("operator"):
        case "In":
            return among
        case "NotIn":
            return not among
        case "Exists":
            return value is not None
        case _:
            return value is None


def _conditions(policy: Json) -> Iterator[dict[str, Any]]:
    for ancestor in (policy.get("status") or {}).get("ancestors") or ():
        yield from ancestor.get("conditions") or ()


def _line(words: object) -> str:
    """One line that is fit to be shown."""
    line = " ".join("".join(one if one.isprintable() else " " for one in str(words)).split())
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
