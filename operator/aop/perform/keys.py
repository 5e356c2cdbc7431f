"""Key pairs, written into the Secrets that we fill: issued, put beside the one in use, promoted.

A Secret is created by POST and replaced with the resourceVersion that was read just before, so no
key that is in use is ever overwritten.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from aop.api import API_VERSION, KIND, WATCH_LABEL, AuthenticatedOriginPull
from aop.clock import Clock
from aop.cluster import Cluster, Conflict, Kind
from aop.errors import Transient
from aop.observe.secrets import Secrets
from aop.pki import (
    AUTHORITY_TYPE,
    LEAF_TYPE,
    Authority,
    Recipe,
    authority_data,
    authority_name,
    check_mutable,
    create_authority,
    issue_leaf,
    leaf_data,
    promoted,
    read_authority,
    read_key_pair,
    with_next,
)
from aop.steps import Promote
from aop.terms import ObjectKey, Pin


class KeyWriter:
    """Writes the Secrets of key pairs; built once per process."""

    def __init__(self, cluster: Cluster, secrets: Secrets, clock: Clock) -> None:
        self._cluster = cluster
        self._secrets = secrets
        self._clock = clock

    async def issue_first(self, pull: AuthenticatedOriginPull) -> None:
        """Create the Secrets. Raises `Conflict` if one exists by now."""
        secret, recipe = generated(pull), recipe_of(pull)
        authority = await self._authority(pull, authority_name(secret), recipe)
        issued = await asyncio.to_thread(issue_leaf, recipe, authority, self._clock.wall())
        try:
            await self._cluster.create(
                Kind.SECRET,
                secret.namespace,
                owned(pull, secret, leaf_data(issued, authority), LEAF_TYPE),
            )
        finally:
            self._secrets.forget(secret)

    async def issue_next(self, pull: AuthenticatedOriginPull) -> None:
        """Put a successor beside the leaf in use.

        Raises `Conflict` if the Secret has changed since it was looked at.
        """
        secret, recipe = generated(pull), recipe_of(pull)
        manifest = await self._own_secret(secret, pull.spec.zone.name, following=None)
        authority = await self._authority(pull, authority_name(secret), recipe)
        issued = await asyncio.to_thread(issue_leaf, recipe, authority, self._clock.wall())
        await self._replace(
            secret, {**manifest, "data": with_next(manifest["data"], issued, authority)}
        )

    async def promote(self, step: Promote, pull: AuthenticatedOriginPull) -> None:
        """Make the next leaf the one in use.

        Raises `Conflict` if the Secret has changed since it was looked at.
        """
        secret = generated(pull)
        manifest = await self._own_secret(secret, pull.spec.zone.name, following=step.pin)
        await self._replace(secret, {**manifest, "data": promoted(manifest["data"])})

    async def _replace(self, secret: ObjectKey, body: dict[str, Any]) -> None:
        """Write the Secret, which is then read anew whatever came of it."""
        try:
            await self._cluster.replace(Kind.SECRET, secret, body)
        finally:
            self._secrets.forget(secret)

    async def _own_secret(
        self, secret: ObjectKey, zone: str, *, following: Pin | None
    ) -> dict[str, Any]:
        """Our Secret as it is now, with the next leaf on which the decision was made.

        Another process may have been faster.
        """
        self._secrets.forget(secret)
        manifest = await self._cluster.fetch(Kind.SECRET, secret)
        if manifest is None:
            raise Transient(f"Secret {secret} has just been deleted; the operator looks again")
        check_mutable(secret, manifest)
        pair = await asyncio.to_thread(read_key_pair, secret, manifest.get("data") or {}, zone)
        next_leaf = pair.next
        if (next_leaf and next_leaf.pin) != following:
            raise Conflict(f"Secret {secret} has changed since it was looked at")
        return manifest

    async def _authority(
        self, pull: AuthenticatedOriginPull, key: ObjectKey, recipe: Recipe
    ) -> Authority:
        """The authority that signs.

        It is the one that is there if that still can sign. Otherwise it is a new generation, which
        is stored before it signs anything.
        """
        manifest = await self._cluster.fetch(Kind.SECRET, key)
        present = (
            await asyncio.to_thread(_suiting, key, manifest, recipe, self._clock.wall())
            if manifest
            else None
        )
        if present:
            return present
        if manifest is not None:
            check_mutable(key, manifest)
        authority = await asyncio.to_thread(create_authority, recipe, self._clock.wall())
        if manifest is None:
            await self._cluster.create(
                Kind.SECRET,
                key.namespace,
                owned(pull, key, authority_data(authority), AUTHORITY_TYPE),
            )
        else:
            await self._cluster.replace(
                Kind.SECRET, key, {**manifest, "data": authority_data(authority)}
            )
        return authority


def _suiting(
    key: ObjectKey, manifest: dict[str, Any], recipe: Recipe, now: datetime
) -> Authority | None:
    """The authority in this Secret, if it can still sign by the recipe."""
    authority = read_authority(key, manifest.get("data") or {}, recipe.zone)
    return authority if authority.suits(recipe, now) else None


def generated(pull: AuthenticatedOriginPull) -> ObjectKey:
    """The Secret that we fill. Raises LookupError when the spec refers to somebody else's."""
    generate = pull.spec.certificate.generate
    if generate is None:
        raise LookupError(f"{pull.key} refers to a Secret, so nothing is generated")
    return ObjectKey(pull.key.namespace, generate.secret_name)


def key_secret(pull: AuthenticatedOriginPull) -> ObjectKey:
    """The Secret that contains the key pair, whoever fills it."""
    reference = pull.spec.certificate.secret_ref
    return ObjectKey(pull.key.namespace, reference.name) if reference else generated(pull)


def recipe_of(pull: AuthenticatedOriginPull) -> Recipe:
    """What to generate, by the spec."""
    generate = pull.spec.certificate.generate
    if generate is None:
        raise LookupError(f"{pull.key} refers to a Secret, so nothing is generated")
    return Recipe(
        zone=pull.spec.zone.name,
        uid=pull.uid,
        hostnames=pull.spec.hostname_patterns,
        algorithm=generate.algorithm,
        size=generate.size,
        leaf_lifetime=generate.leaf_lifetime,
        authority_lifetime=generate.authority_lifetime,
    )


def owned(
    pull: AuthenticatedOriginPull, key: ObjectKey, data: dict[str, str], kind: str
) -> dict[str, Any]:
    """A Secret of ours: collected with its object, watched for changes."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {WATCH_LABEL: "true", "app.kubernetes.io/managed-by": "aop-operator"},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": pull.key.name,
                    "uid": pull.uid,
                    "controller": True,
                }
            ],
        },
        "data": data,
    }
