"""What all commands share: the client, the person at the other end, the exit statuses."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TypeVar

import yaml

from aop.cluster import UserCluster, connect_as_user
from aop.kubectl.wording import Paint

C = TypeVar("C", bound=UserCluster)
FAILED, IN_PART, INTERRUPTED = 1, 3, 130
"""Exit statuses: it is not so, or could not be done; rights are missing to see all of it; a person
has interrupted it."""


def show(lines: Sequence[str]) -> None:
    """Print what was asked for."""
    print("\n".join(lines), flush=True)  # noqa: T201 - a command that answers a person


def say(text: str) -> None:
    """Print what is no answer: why there is none, or what is going on."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command that answers a person


def paint() -> Paint:
    """Colour on a terminal only, and not for those who want none (https://no-color.org)."""
    return Paint(sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def written(content: object, form: str) -> list[str]:
    """For programs."""
    if form == "json":
        return [json.dumps(content, indent=2, ensure_ascii=False)]
    return ["---", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip()]


async def connected(options: argparse.Namespace, cluster: type[C]) -> tuple[C, str]:
    """A client, and the namespace that the command is about."""
    client, namespace = await connect_as_user(
        getattr(options, "kubeconfig", None), getattr(options, "context", None), cluster
    )
    return client, getattr(options, "namespace", None) or namespace
