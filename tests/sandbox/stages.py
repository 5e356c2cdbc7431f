"""What a person saw of an object's life, with everything taken out that differs from one run to the next. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PASSING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\d\d:\d\d:\d\d UTC"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    # Replicas reload one after the other: which one shows what is chance.
    (
        re.compile(
            r"(?<=of ConfigMap ingress-nginx/ingress-nginx-controller: ).*?(?=\. The operator has waited)"
        ),
        "<what each pod shows>",
    ),
    (re.compile(r"ingress-nginx-controller-[0-9a-f]{8}"), "<pod>"),
    # Which host is the first to present it is chance.
    (re.compile(r"(?<=requests to )\S+(?= through the edge present leaf)"), "<host>"),
    # The first answer may come before or after the step.
    (re.compile(r"(?<=hosts are proven: ).*"), "<why each host is not>"),
    (re.compile(r"  +"), "   "),
)
CHANCE = frozenset({"Initializing"})
"""Reasons that last for less than a person can see, if they are met at all."""
MAYBE = "is proven too, so that one write can require all hosts"
"""A wait that is met only where the hosts' proofs are not complete at the same look, which is
chance; `tests/unit/test_plan_prove.py` tries it."""
RELOADING = ("waits until every replica runs", "see every replica answer its check path")
ENFORCEMENT = re.compile(
    r"^(\S+ +\S+) +(?:(?:Off|Request|Optional|Require) +)?(?=(?:True|False|Unknown) )"
)
"""While replicas reload, or were not asked twice yet, it is chance which mode is seen, or none."""
AGE = re.compile(r"\b(\d+[smh])+$|<invalid>$")
LEAF = re.compile(r"(?<=[Ll]eaf )[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a life: the row of `kubectl get aop`, and the conditions that `kubectl describe aop` shows."""

    name: str
    text: str


def stages(rows: Sequence[str], states: Iterable[Mapping[str, Any]]) -> tuple[Stage, ...]:
    """The stages that the states went through: of those that say the same of Ready, the last one, in order.

    `rows` are what `kubectl get aop --watch` printed: one per state, but for those before it was
    listening.
    """
    by_words: dict[str, Stage] = {}
    for seen in states:
        conditions = seen.get("status", {}).get("conditions", [])
        ready = next((one for one in conditions if one["type"] == "Ready"), None)
        if ready is None or ready["reason"] in CHANCE or MAYBE in ready["message"]:
            continue
        row = next((row for row in reversed(rows) if ready["message"] in row), None)
        if row is not None:
            words = settled(ready["message"])
            name = (
                f"{len(by_words) + 1:02d}-{slug(ready['reason'], words)}"
                if words not in by_words
                else by_words[words].name
            )
            by_words[words] = Stage(name, _text(row, conditions))
    return tuple(by_words.values())


def settled(text: str) -> str:
    """A text without times, ids, ages, and what is chance."""
    for pattern, word in PASSING:
        text = pattern.sub(word, text)
    return LEAF.sub("<leaf>", text).rstrip()


def slug(reason: str, message: str) -> str:
    """A file's name for a stage."""
    first = (
        message.removeprefix("The object is being removed. ")
        .removeprefix("The operator is about to ")
        .split(" ")[0]
    )
    return f"{reason}-{first}".lower() if reason in {"Progressing", "Removing"} else reason.lower()


def _text(row: str, conditions: Iterable[Mapping[str, Any]]) -> str:
    lines = [
        f"{one['type']}={one['status']} {one['reason']}: {settled(one['message'])}".removesuffix(
            ": "
        )
        for one in conditions
    ]
    seen = AGE.sub("<age>", settled(row))
    if any(words in seen for words in RELOADING):
        seen = ENFORCEMENT.sub(r"\1   <mode>   ", seen)
    return "\n".join([seen, "", *lines, ""])
