"""`kubectl aop plan`, `prove` and `preflight`: the commands that look at the world themselves."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping

from aop.api import AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster, ReadingCluster, Right
from aop.errors import Blocked
from aop.kubectl import discovering, objects, planning, preflighting, proving
from aop.kubectl.assuming import assumed
from aop.kubectl.findings import is_harmful
from aop.kubectl.foresight import foreseen
from aop.kubectl.looking import OneLook, look
from aop.kubectl.objects import CommandFailed, Manifest
from aop.kubectl.terminal import FAILED, IN_PART, connected, paint, say, show, written
from aop.settings import Settings, SettingsError
from aop.terms import ObjectKey

NOT_INSTALLED = "The operator's CRD is not installed in this cluster: assumed that it will be, and that no other object manages the zone."


def plan(options: argparse.Namespace) -> int:
    """What the operator would do next, for an object or for the contents of a file."""
    _one_or_a_file(options)
    return asyncio.run(_plan(options))


def _one_or_a_file(options: argparse.Namespace) -> None:
    if bool(options.name) == bool(options.filename):
        raise CommandFailed("name one object, or a file with -f, and not both")


async def _plan(options: argparse.Namespace) -> int:
    cluster, namespace = await connected(options, ReadingCluster)
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
    cluster, namespace = await connected(options, ReadingCluster)
    try:
        pull = parsed(await objects.one(cluster, ObjectKey(namespace, options.name)))
        seen = await looked(cluster, pull)
    finally:
        await cluster.close()
    show(proving.answers(seen.observed, paint()))
    if seen.missing:
        return _in_part(dict.fromkeys(seen.missing))
    return 0 if proving.as_asked(seen.observed) else FAILED


def preflight(options: argparse.Namespace) -> int:
    """What stands in the way, before anything is changed."""
    _one_or_a_file(options)
    return asyncio.run(_preflight(options))


async def _preflight(options: argparse.Namespace) -> int:
    cluster, namespace = await connected(options, ReadingCluster)
    missing: dict[Right, None] = {}
    harmful = in_the_dark = False
    try:
        for n, manifest in enumerate(await _asked_about(cluster, namespace, options)):
            pull = parsed(manifest)
            seen = await looked(cluster, pull, survey=True)
            world = assumed(seen.observed, pull.status)
            discovered = discovering.discovered(world.observed, seen.beside)
            not_known = discovering.not_known(world.observed)
            unseen = (
                *not_known,
                *([] if seen.installed else [NOT_INSTALLED]),
                *seen.beside.unseen,
            )
            if options.output:
                show(written(preflighting.data(world.observed, discovered, unseen), options.output))
            else:
                text = preflighting.lines(world.observed, discovered, unseen, paint())
                show([*([""] if n else []), *text])
            missing |= dict.fromkeys(seen.missing)
            harmful = harmful or is_harmful(discovered)
            in_the_dark = in_the_dark or bool(not_known)
    finally:
        await cluster.close()
    in_part = _in_part(missing) or (IN_PART if in_the_dark else 0)
    return FAILED if harmful else in_part


def parsed(manifest: Manifest) -> AuthenticatedOriginPull:
    """The object. Raises `CommandFailed` if this version cannot use its spec."""
    try:
        return AuthenticatedOriginPull.parse(manifest)
    except Blocked as error:
        raise CommandFailed(error.message) from None


async def looked(
    cluster: ReadingCluster, pull: AuthenticatedOriginPull, *, survey: bool = False
) -> OneLook:
    """What is seen from here, which takes a few seconds; a person at a terminal is told so."""
    try:
        # A person who may not list them reads so, as for everything else.
        settings = Settings.load().model_copy(
            update={"list_ingress_routes": True, "list_routes": True}
        )
    except SettingsError as error:
        raise CommandFailed(f"the environment: {error}") from None
    if sys.stderr.isatty():
        say(f"Asking Cloudflare, the replicas and the edge about {pull.key} …")
    return await look(cluster, pull, settings, survey=survey)


def _in_part(missing: Mapping[Right, None]) -> int:
    """The exit status; says what is missing."""
    if missing:
        say("\n".join(["", *planning.lacking(tuple(missing))]))
    return IN_PART if missing else 0
