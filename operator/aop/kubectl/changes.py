"""`kubectl aop rotate` and `kubectl aop relax`: the two changes that a person asks for. Pure.

Each is a patch of the object and nothing else: the operator acts on it, in its own order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aop.api import Enforcement
from aop.terms.names import ROTATE_ANNOTATION

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What is written on the object, and what a person reads about it."""

    patch: dict[str, Any] | None
    """A JSON merge patch; None: nothing is to be changed."""
    after: str
    """What was done, what follows from it, and how to go on; a command is on a line by itself."""
    question: str = ""
    """What is asked before; empty: nothing."""


class ChangeRefused(Exception):
    """The change would not do what the person expects; the message says why and what does."""


def rotation(manifest: Manifest, now: datetime) -> Change:
    """Make a new key pair now.

    Raises `ChangeRefused` if the operator does not make the key pair.
    """
    name = _name(manifest)
    spec = manifest.get("spec") or {}
    if manifest["metadata"].get("deletionTimestamp"):
        raise ChangeRefused(f"{name} is being removed: its key pair is not replaced any more")
    reference = (spec.get("certificate") or {}).get("secretRef")
    if reference:
        raise ChangeRefused(
            f"the key pair of {name} comes from Secret {reference.get('name')}, which something else fills: renew it there "
            "(with cert-manager: cmctl renew), and the operator brings the new one to Cloudflare and the origins"
        )
    stamp = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    later = (
        f" {name} is suspended: it begins when spec.suspend is false."
        if spec.get("suspend")
        else ""
    )
    return Change(
        {"metadata": {"annotations": {ROTATE_ANNOTATION: stamp}}},
        f"The object now asks for a new key pair ({ROTATE_ANNOTATION}: {stamp}).{later} Every replica trusts the new certificate before Cloudflare "
        f"presents it, and the old one goes once every host is proven with the new one. Follow it with:\n  {_status(manifest)} --watch",
    )


def relaxation(manifest: Manifest) -> Change:
    """Refuse nobody any more, whatever else is wrong."""
    name, metadata = _name(manifest), manifest["metadata"]
    before = (manifest.get("spec") or {}).get("enforcement") or Enforcement.REQUIRE.value
    if metadata.get("deletionTimestamp"):
        return Change(None, f"{name} is being removed: that refuses nobody either.")
    if before == Enforcement.REQUEST:
        return Change(None, f"{name} asks for no more than Request already: nobody is refused.")
    zone = ((manifest.get("spec") or {}).get("zone") or {}).get("name", "?")
    patch = {"spec": {"enforcement": Enforcement.REQUEST.value}}
    back = f'kubectl patch aop {metadata["name"]} -n {metadata["namespace"]} --type merge -p \'{{"spec":{{"enforcement":"{before}"}}}}\''
    return Change(
        patch,
        f"spec.enforcement of {name} is Request now; it was {before}. The running operator opens the origins within seconds, before anything else "
        f"that it has to do. Follow it with:\n  {_status(manifest)} --watch\n"
        "If Git keeps the object (Argo CD, Flux), change it there as well, or the change will be reverted.\n"
        f"If no operator runs, open the origins by hand: docs/operations.md, Emergency.\n"
        f"To go back, once the trouble is over:\n  {back}",
        f"After this, the origins of zone {zone} refuse nobody: whoever knows an origin's address can bypass Cloudflare and reach its pages. "
        "Cloudflare goes on presenting the certificate, and nothing else changes.",
    )


def _name(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def _status(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"kubectl aop status {metadata['name']} -n {metadata['namespace']}"
