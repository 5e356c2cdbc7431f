"""One AuthenticatedOriginPull as the API server holds it.

It is made from its manifest by `AuthenticatedOriginPull.parse`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from aop.api.spec import Spec
from aop.api.status import Status
from aop.errors import Blocked, Reason
from aop.schema import Rule
from aop.terms import ObjectKey
from aop.terms.names import FINALIZER, KIND, RECORD_ANNOTATION, ROTATE_ANNOTATION

LONGEST_NAME = 246
NAME_RULE = Rule(
    f"size(self.metadata.name) <= {LONGEST_NAME}",
    f"write a metadata.name of at most {LONGEST_NAME} characters: the Secrets are named after it, with -aop and -aop-ca at the end",
)
"""The one constraint on what is not ours to describe; `aop.crd` puts it at the root of the
schema."""


@dataclass(frozen=True, slots=True)
class AuthenticatedOriginPull:
    """The object.

    Who it is, what it asks for with every default applied, and the status last written.
    """

    key: ObjectKey
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    deleted_at: datetime | None
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: Spec
    status: Status

    @property
    def deleting(self) -> bool:
        """Somebody asked for its deletion."""
        return self.deleted_at is not None

    @property
    def has_finalizer(self) -> bool:
        """Our finalizer is set, so nothing of ours is left behind."""
        return FINALIZER in self.finalizers

    @property
    def record(self) -> str | None:
        """The record annotation, as text."""
        return self.annotations.get(RECORD_ANNOTATION)

    @property
    def rotate(self) -> str | None:
        """The rotate annotation."""
        return self.annotations.get(ROTATE_ANNOTATION)

    @classmethod
    def parse(cls, manifest: Mapping[str, Any]) -> AuthenticatedOriginPull:
        """The object in `manifest`, as the API server gave it.

        Raises `Blocked` (SpecInvalid), naming each field, for a spec that this version's schema
        would not let in: it was stored under another version's.
        """
        metadata = manifest["metadata"]
        key = ObjectKey(metadata["namespace"], metadata["name"])
        return cls(
            key=key,
            uid=metadata["uid"],
            generation=metadata["generation"],
            resource_version=metadata["resourceVersion"],
            created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
            deleted_at=datetime.fromisoformat(metadata["deletionTimestamp"])
            if metadata.get("deletionTimestamp")
            else None,
            finalizers=tuple(metadata.get("finalizers") or ()),
            annotations=MappingProxyType(dict(metadata.get("annotations") or {})),
            spec=parse_spec(key, manifest.get("spec") or {}),
            status=Status.parse(manifest.get("status")),
        )


def parse_spec(key: ObjectKey, spec: Mapping[str, Any]) -> Spec:
    """The spec of the object `key`, with every default applied.

    Raises `Blocked` (SpecInvalid) that names each bad field.
    """
    if len(key.name) > LONGEST_NAME:
        raise Blocked(Reason.SPEC_INVALID, f"{KIND} {key}: {NAME_RULE.message}")
    try:
        # JSON and strict, because the API server has neither tuples nor enums and takes no "256"
        # for 256.
        parsed = Spec.model_validate_json(json.dumps(spec), strict=True)
    except ValidationError as error:
        raise Blocked(Reason.SPEC_INVALID, f"{KIND} {key}: {_complaints(error)}") from None
    return _with_secret_name(parsed, f"{key.name}-aop")


def _with_secret_name(spec: Spec, name: str) -> Spec:
    generate = spec.certificate.generate
    if generate is None or generate.secret_name:
        return spec
    named = generate.model_copy(update={"secret_name": name})
    return spec.model_copy(
        update={"certificate": spec.certificate.model_copy(update={"generate": named})}
    )


def _complaints(error: ValidationError) -> str:
    # A default that cannot be made, and a list that looks empty, are only consequences of what is
    # wrong in another field or an item.
    errors = error.errors(include_url=False, include_input=False)
    consequences = ("default_factory_not_called", "too_short") if len(errors) > 1 else ()
    causes = [item for item in errors if item["type"] not in consequences] or errors
    return "; ".join(
        f"{_path(item['loc'])}{item.get('ctx', {}).get('field_path', '')}: {item['msg']}"
        for item in causes
    )


def _path(location: tuple[int | str, ...]) -> str:
    return "spec" + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in location
    )
