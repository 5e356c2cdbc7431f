"""What an object says about itself before it is parsed.

All of it is tolerant, because an object with an invalid spec is woken too, and gets and loses its
finalizer.
"""

from __future__ import annotations

from typing import Any

from aop.origins.kinds import KINDS
from aop.terms import ObjectKey
from aop.terms.names import FINALIZER

Manifest = dict[str, Any]


def finalizers(manifest: Manifest) -> list[str]:
    """Everybody's finalizers on an object."""
    return list((manifest.get("metadata") or {}).get("finalizers") or ())


def is_held(manifest: Manifest) -> bool:
    """Whether our finalizer is on it."""
    return FINALIZER in finalizers(manifest)


def is_deleting(manifest: Manifest) -> bool:
    """Whether somebody has deleted it, and finalizers keep it."""
    return bool((manifest.get("metadata") or {}).get("deletionTimestamp"))


def is_edited(manifest: Manifest) -> bool:
    """Whether its spec is no longer the one that the status describes."""
    told_of = (manifest.get("status") or {}).get("observedGeneration")
    return told_of not in {None, manifest["metadata"].get("generation")}


def is_settled(manifest: Manifest) -> bool:
    """Whether the status says Ready of the spec as it is."""
    conditions = (manifest.get("status") or {}).get("conditions") or ()
    ready = any((one.get("type"), one.get("status")) == ("Ready", "True") for one in conditions)
    return ready and not is_edited(manifest) and not is_deleting(manifest)


def references(key: ObjectKey, spec: dict[str, Any]) -> frozenset[ObjectKey]:
    """Every Secret and ConfigMap that a raw spec names."""
    certificate = spec.get("certificate") or {}
    secrets = {
        ((spec.get("credentials") or {}).get("apiTokenSecretRef") or {}).get("name"),
        (certificate.get("secretRef") or {}).get("name"),
        (certificate.get("generate") or {}).get("secretName") or f"{key.name}-aop",
    }
    maps = [
        (origin.get(kind.name) or {}).get(kind.reference) or {}
        for origin in spec.get("origins") or ()
        for kind in KINDS.values()
    ]
    return frozenset(
        {
            *(ObjectKey(key.namespace, secret) for secret in secrets if secret),
            *(
                ObjectKey(ref["namespace"], ref["name"])
                for ref in maps
                if ref.get("namespace") and ref.get("name")
            ),
        }
    )
