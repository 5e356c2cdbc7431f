"""What each command of `kubectl aop` does: read, render, show; ask and change."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import yaml

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster, ReadingCluster, Right, connect_as_user
from aop.errors import Blocked
from aop.kubectl import explaining, objects, planning, proving
from aop.kubectl.assuming import assumed
from aop.kubectl.changes import Change, relaxation, rotation
from aop.kubectl.foresight import foreseen
from aop.kubectl.looking import Seen, look
from aop.kubectl.objects import Failure, Manifest
from aop.kubectl.summary import Summary, data, details, listing, summary_of
from aop.kubectl.wording import Paint, paragraph
from aop.settings import Settings, SettingsError
from aop.terms import ObjectKey

FAILED, IN_PART = 1, 3
"""Exit statuses: it is not so, or could not be done; rights are missing to see all of it."""
LOOK_AGAIN_S = 2.0
"""How often `--watch` reads anew: a person's eye needs no more, and it takes no right to watch."""
NOT_INSTALLED = "The operator's CRD is not installed in this cluster: assumed that it will be, and that no other object manages the zone."
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


def explain(options: argparse.Namespace) -> int:
    """One reason, or all."""
    if options.reason is None:
        show(explaining.listed(paint()))
        return 0
    reason = explaining.named(options.reason)
    if reason is None:
        raise Failure(explaining.unknown(options.reason))
    show(explaining.explained(reason, paint()))
    return 0


# --- status ---------------------------------------------------------------------------------------


def status(options: argparse.Namespace) -> int:
    """One object, or a table of many; again and again with `--watch`."""
    if options.name and options.all_namespaces:
        raise Failure("name one object, or look in all namespaces (-A), not both")
    asyncio.run(_status(options))
    return 0


async def _status(options: argparse.Namespace) -> None:
    cluster, namespace = await connected(options, reading=True)
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
    """What is there now; where it cannot be read for once, what was there before."""
    try:
        return await _summaries(cluster, namespace, options)
    except Failure as error:
        print(f"kubectl aop: {error}.", file=sys.stderr)  # noqa: T201 - a command that answers a person
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


def written(content: object, form: str) -> list[str]:
    """For programs."""
    if form == "json":
        return [json.dumps(content, indent=2, ensure_ascii=False)]
    return ["---", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip()]


# --- plan, prove ----------------------------------------------------------------------------------


def plan(options: argparse.Namespace) -> int:
    """What the operator would do next, for an object or for what a file says."""
    if bool(options.name) == bool(options.filename):
        raise Failure("name one object, or a file with -f, and not both")
    return asyncio.run(_plan(options))


async def _plan(options: argparse.Namespace) -> int:
    cluster, namespace = await connected_for_reading(options)
    missing: dict[Right, None] = {}
    try:
        for n, manifest in enumerate(await _asked_about(cluster, namespace, options)):
            pull = parsed(manifest)
            seen = await looked(cluster, pull)
            world = assumed(seen.observed, pull.status)
            sentences = [*world.sentences, *([] if seen.installed else [NOT_INSTALLED])]
            steps = tuple(foreseen(world.observed))
            if options.output:
                show(written(planning.data(world.observed, steps, sentences), options.output))
            else:
                lines = planning.planned(world.observed, steps, sentences, paint())
                show([*([""] if n else []), *lines])
            missing |= dict.fromkeys(seen.missing)
    finally:
        await cluster.close()
    return _in_part(missing)


async def _asked_about(
    cluster: Cluster, namespace: str, options: argparse.Namespace
) -> list[Manifest]:
    if options.name:
        return [await objects.one(cluster, ObjectKey(namespace, options.name))]
    return [
        await objects.as_if_applied(cluster, one, namespace, Clock().wall())
        for one in objects.in_file(options.filename)
    ]


def prove(options: argparse.Namespace) -> int:
    """Ask replicas and edge now."""
    return asyncio.run(_prove(options))


async def _prove(options: argparse.Namespace) -> int:
    cluster, namespace = await connected_for_reading(options)
    try:
        pull = parsed(await objects.one(cluster, ObjectKey(namespace, options.name)))
        seen = await looked(cluster, pull)
    finally:
        await cluster.close()
    show(proving.answers(seen.observed, paint()))
    if seen.missing:
        return _in_part(dict.fromkeys(seen.missing))
    return 0 if proving.as_asked(seen.observed) else FAILED


async def connected_for_reading(options: argparse.Namespace) -> tuple[ReadingCluster, str]:
    """A client that can only read."""
    cluster, namespace = await connected(options, reading=True)
    assert isinstance(cluster, ReadingCluster)  # noqa: S101 - asked for in the line above
    return cluster, namespace


def parsed(manifest: Manifest) -> AuthenticatedOriginPull:
    """The object. Raises `Failure` where its spec is not one of this version."""
    try:
        return AuthenticatedOriginPull.parse(manifest)
    except Blocked as error:
        raise Failure(error.message) from None


async def looked(cluster: ReadingCluster, pull: AuthenticatedOriginPull) -> Seen:
    """What is seen from here, which takes a few seconds; a person at a terminal is told."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        raise Failure(f"the environment: {error}") from None
    if sys.stderr.isatty():
        print(f"Asking Cloudflare, the replicas and the edge about {pull.key} …", file=sys.stderr)  # noqa: T201 - the same
    return await look(cluster, pull, settings)


def _in_part(missing: Mapping[Right, None]) -> int:
    """The exit status; says what is missing."""
    if missing:
        print("\n".join(["", *planning.lacking(tuple(missing))]), file=sys.stderr)  # noqa: T201 - the same
    return IN_PART if missing else 0


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
    for part in wanted.after.split("\n"):
        show([part] if part.startswith("  ") else paragraph(part))


def _ask(question: str) -> None:
    """Go on only with a person's yes."""
    show(paragraph(question))
    if not sys.stdin.isatty():
        raise Failure("nothing was changed: nobody is here to be asked. Say so with --yes")
    if input("Go on? [y/N] ").strip().casefold() not in {"y", "yes"}:
        raise Failure("nothing was changed")
