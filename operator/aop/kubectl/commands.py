"""The commands of `kubectl aop` that only read or change the object, and ask nobody else."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence

from aop.clock import Clock
from aop.cluster import Cluster, ReadingCluster, UserCluster
from aop.kubectl import explaining, objects
from aop.kubectl.changes import Change, relaxation, rotation
from aop.kubectl.objects import CommandFailed, Manifest
from aop.kubectl.overview import details, listing
from aop.kubectl.summary import Summary, data, summary_of
from aop.kubectl.terminal import connected, paint, say, show, written
from aop.kubectl.wording import paragraph
from aop.terms import ObjectKey

LOOK_AGAIN_S = 2.0
"""How often `--watch` reads anew: a person's eye needs no more, and it needs no right to watch."""
CLEAR = "\x1b[H\x1b[2J"


# --- explain --------------------------------------------------------------------------------------


def explain(options: argparse.Namespace) -> int:
    """One reason, or all."""
    if options.reason is None:
        show(explaining.listed(paint()))
        return 0
    reason = explaining.named(options.reason)
    if reason is None:
        raise CommandFailed(explaining.unknown(options.reason))
    show(explaining.explained(reason, paint()))
    return 0


# --- status ---------------------------------------------------------------------------------------


def status(options: argparse.Namespace) -> int:
    """One object, or a table of many; again and again with `--watch`."""
    if options.name and options.all_namespaces:
        raise CommandFailed("name one object, or look in all namespaces (-A), not both")
    asyncio.run(_status(options))
    return 0


async def _status(options: argparse.Namespace) -> None:
    cluster, namespace = await connected(options, ReadingCluster)
    try:
        summaries = await _summaries(cluster, namespace, options)
        show(_shown(summaries, namespace, options))
        while options.watch:
            await asyncio.sleep(LOOK_AGAIN_S)
            before, summaries = summaries, await _again(cluster, namespace, options, summaries)
            if summaries != before:
                if not options.output:
                    show([CLEAR] if sys.stdout.isatty() else [""])
                show(_shown(summaries, namespace, options))
    finally:
        await cluster.close()


async def _again(
    cluster: Cluster, namespace: str, options: argparse.Namespace, before: list[Summary]
) -> list[Summary]:
    """What is there now; if it cannot be read once, what was there before."""
    try:
        return await _summaries(cluster, namespace, options)
    except CommandFailed as error:
        say(f"kubectl aop: {error}.")
        return before


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
        return details(summaries[0], Clock().wall(), paint())
    if not summaries:
        where = "any namespace" if options.all_namespaces else f"namespace {namespace}"
        return [f"No AuthenticatedOriginPulls in {where}."]
    return listing(summaries, paint(), namespaces=options.all_namespaces)


# --- rotate, relax --------------------------------------------------------------------------------


def rotate(options: argparse.Namespace) -> int:
    """Ask the operator for a new key pair."""
    asyncio.run(_change(options, lambda it: rotation(it, Clock().wall())))
    return 0


def relax(options: argparse.Namespace) -> int:
    """Ask the operator to refuse nobody."""
    asyncio.run(_change(options, relaxation))
    return 0


async def _change(options: argparse.Namespace, decide: Callable[[Manifest], Change]) -> None:
    cluster, namespace = await connected(options, UserCluster)
    key = ObjectKey(namespace, options.name)
    try:
        wanted = decide(await objects.one(cluster, key))
        if wanted.patch is not None:
            if wanted.question and not options.yes:
                _ask(wanted.question)
            await objects.change(cluster, key, wanted.patch)
    finally:
        await cluster.close()
    for part in wanted.after.split("\n"):
        show([part] if part.startswith("  ") else paragraph(part))


def _ask(question: str) -> None:
    """Go on only with a person's yes."""
    show(paragraph(question))
    if not sys.stdin.isatty():
        raise CommandFailed("nothing was changed: nobody is here to be asked. Say so with --yes")
    if input("Go on? [y/N] ").strip().casefold() not in {"y", "yes"}:
        raise CommandFailed("nothing was changed")
