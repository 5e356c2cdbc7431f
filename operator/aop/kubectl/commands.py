"""What each command of `kubectl aop` does: read, render, show; ask and change."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from aop.cluster import Cluster, connect_as_user
from aop.kubectl import explaining, objects
from aop.kubectl.changes import Change, relaxation, rotation
from aop.kubectl.objects import Failure, Manifest
from aop.kubectl.summary import Summary, data, details, listing, summary_of
from aop.kubectl.wording import Paint, paragraph
from aop.terms import ObjectKey

LOOK_AGAIN_S = 2.0
"""How often `--watch` reads anew: a person's eye needs no more, and it takes no right to watch."""
CLEAR = "\x1b[H\x1b[2J"


def show(lines: Sequence[str]) -> None:
    """What was asked for."""
    print("\n".join(lines), flush=True)  # noqa: T201 - a command that answers a person


def paint() -> Paint:
    """Colour on a terminal only, and not for whoever wants none (https://no-color.org)."""
    return Paint(sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


async def connected(options: argparse.Namespace, *, reading: bool) -> tuple[Cluster, str]:
    """A client, and the namespace that the command is about."""
    cluster, namespace = await connect_as_user(
        getattr(options, "kubeconfig", None), getattr(options, "context", None), reading=reading
    )
    return cluster, getattr(options, "namespace", None) or namespace


# --- explain --------------------------------------------------------------------------------------


def explain(options: argparse.Namespace) -> None:
    """One reason, or all."""
    if options.reason is None:
        show(explaining.listed(paint()))
        return
    reason = explaining.named(options.reason)
    if reason is None:
        raise Failure(explaining.unknown(options.reason))
    show(explaining.explained(reason, paint()))


# --- status ---------------------------------------------------------------------------------------


def status(options: argparse.Namespace) -> None:
    """One object, or a table of many; again and again with `--watch`."""
    if options.name and options.all_namespaces:
        raise Failure("name one object, or look in all namespaces (-A), not both")
    asyncio.run(_status(options))


async def _status(options: argparse.Namespace) -> None:
    cluster, namespace = await connected(options, reading=True)
    before: list[dict[str, Any]] | None = None
    try:
        while True:
            summaries = await _summaries(cluster, namespace, options)
            now = [data(it) for it in summaries]
            if now != before:
                if before is not None and not options.output:
                    show([CLEAR] if sys.stdout.isatty() else [""])
                show(_shown(summaries, namespace, options))
            if not options.watch:
                return
            before = now
            await asyncio.sleep(LOOK_AGAIN_S)
    finally:
        await cluster.close()


async def _summaries(
    cluster: Cluster, namespace: str, options: argparse.Namespace
) -> list[Summary]:
    if options.name:
        return [summary_of(await objects.one(cluster, ObjectKey(namespace, options.name)))]
    manifests = await objects.every(cluster, None if options.all_namespaces else namespace)
    return [summary_of(manifest) for manifest in manifests]


def _shown(
    summaries: Sequence[Summary], namespace: str, options: argparse.Namespace
) -> Sequence[str]:
    if options.output:
        items = [data(it) for it in summaries]
        return written(items[0] if options.name else {"items": items}, options.output)
    if options.name:
        return details(summaries[0], datetime.now(UTC), paint())
    if not summaries:
        where = "any namespace" if options.all_namespaces else f"namespace {namespace}"
        return [f"No AuthenticatedOriginPulls in {where}."]
    return listing(summaries, paint(), namespaces=options.all_namespaces)


def written(content: object, form: str) -> list[str]:
    """For programs."""
    if form == "json":
        return [json.dumps(content, indent=2, ensure_ascii=False)]
    return ["---", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip()]


# --- rotate, relax --------------------------------------------------------------------------------


def rotate(options: argparse.Namespace) -> None:
    """Ask the operator for a new key pair."""
    asyncio.run(_change(options, lambda it: rotation(it, datetime.now(UTC))))


def relax(options: argparse.Namespace) -> None:
    """Ask the operator to refuse nobody."""
    asyncio.run(_change(options, relaxation))


async def _change(options: argparse.Namespace, decide: Callable[[Manifest], Change]) -> None:
    cluster, namespace = await connected(options, reading=False)
    key = ObjectKey(namespace, options.name)
    try:
        wanted = decide(await objects.one(cluster, key))
        if wanted.patch is not None:
            if wanted.question and not options.yes:
                _ask(wanted.question)
            await objects.change(cluster, key, wanted.patch)
    finally:
        await cluster.close()
    show([line for part in wanted.after.split("\n") for line in paragraph(part)])


def _ask(question: str) -> None:
    """Go on only with a person's yes."""
    show(paragraph(question))
    if not sys.stdin.isatty():
        raise Failure("nothing was changed: nobody is here to be asked. Say so with --yes")
    if input("Go on? [y/N] ").strip().casefold() not in {"y", "yes"}:
        raise Failure("nothing was changed")
