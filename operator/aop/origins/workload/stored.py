"""What the ConfigMap says of us, and what is to be written into it.

Claims as data in annotations, and the files that they render to. The ConfigMap is ours: it is made
with the first claim and deleted with the last. Somebody's empty one is taken as it is, and left as
it was. Keys of others are never touched, and nothing is written beside them but what relaxes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aop.errors import Blocked, Reason
from aop.origins import notation
from aop.origins.check import TOKEN, printed
from aop.origins.room import check_room
from aop.origins.rules import Parents, rules_of
from aop.origins.sites import Entry, Json, Published
from aop.origins.workload.dialect import MARKER, Dialect
from aop.origins.workload.spec import Place, Port, Ports
from aop.terms import Claim, Kind, ObjectKey
from aop.terms.names import (
    CLAIMED_LABEL,
    CLAIMS_ANNOTATION,
    FOUND_ANNOTATION,
    PATH_ANNOTATION,
    REVISION_ANNOTATION,
    WATCH_LABEL,
)

ANNOTATIONS = (CLAIMS_ANNOTATION, PATH_ANNOTATION, REVISION_ANNOTATION, FOUND_ANNOTATION)
_NUMBER = re.compile("[0-9]{8,15}")
_NAMED = re.compile(rf"{MARKER} revision ([0-9]{{8,15}})\b")


class WrittenPlace(BaseModel):
    """The first line of the claims: where the pods listen, for an origin that left its spec.

    And below which routers ours stand, or which Gateway runs it, where there are such.
    """

    model_config = ConfigDict(strict=True, frozen=True)
    https: Port
    http: Port
    below: tuple[str, str] | None = None
    gateway: str | None = None

    @classmethod
    def of(cls, place: Place) -> Self:
        """The notation of `place`."""
        below, usual = (place.parents.https, place.parents.http), Parents()
        return cls(
            https=place.ports.https,
            http=place.ports.http,
            below=below if place.parents != usual else None,
            gateway=place.gateway or None,
        )

    @property
    def place(self) -> Place:
        """The place."""
        parents = Parents() if self.below is None else Parents(*self.below)
        return Place(Ports(https=self.https, http=self.http), parents, self.gateway or "")


class ConfigMapBeforeUs(BaseModel):
    """What was there before our first write and has left no other trace."""

    model_config = ConfigDict(strict=True, frozen=True)
    created: Annotated[int, Field(ge=0, le=1)] = 0
    """Whether there was no ConfigMap."""
    watch: str | None = None
    """The value that the watch label had."""


@dataclass(frozen=True, slots=True)
class MountedConfigMap(Published):
    """One ConfigMap: what it says of us, and what else stands there."""

    place: Place = field(default_factory=Place)
    before_us: ConfigMapBeforeUs = field(default_factory=ConfigMapBeforeUs)
    others: tuple[str, ...] = ()
    """Keys that are not ours; sorted."""

    @property
    def mark(self) -> str | None:
        """What a pod template says whose pods start with this text; None: nothing of ours is there.

        The digest distinguishes it from a text of the same number in a ConfigMap that was made
        again.
        """
        if not self.standing:
            return None
        return f"{printed(self.revision)}-{self.text_digest[:8]}"


def read(config_map: Json | None, dialect: Dialect) -> MountedConfigMap:
    """What a ConfigMap (a Kubernetes JSON object; None: there is none) says about us.

    Nothing that anybody writes into it makes this fail.
    """
    metadata = (config_map or {}).get("metadata") or {}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    data: Mapping[str, str] = (config_map or {}).get("data") or {}
    claimed = CLAIMED_LABEL in (metadata.get("labels") or {}) or any(
        name in annotations for name in ANNOTATIONS
    )
    ours = {
        name: data[name]
        for name in dialect.files
        if name in data and (claimed or MARKER in data[name])
    }
    first, *lines = annotations.get(CLAIMS_ANNOTATION, "").split("\n")
    place, leaves = _place(first), dialect.leaves(ours.values())
    entries = {uid: entry.with_leaves(leaves) for uid, entry in notation.decode_all(lines).items()}
    token = annotations.get(PATH_ANNOTATION, "")
    known = token if TOKEN.fullmatch(token) else None
    revision = _number(annotations.get(REVISION_ANNOTATION, ""))
    rendered: Mapping[str, str] = {}
    if entries and known and revision:
        rendered = _texts(entries.values(), revision, known, dialect, place)
    annotated = any(name in annotations for name in ANNOTATIONS)
    intact = ours == rendered and bool(rendered) == annotated
    there = {*data, *((config_map or {}).get("binaryData") or {})}
    others = sorted(there - ours.keys() - dialect.idle.keys())
    return MountedConfigMap(
        entries=entries if intact else {uid: entry.off for uid, entry in entries.items()},
        standing={uid: entry.claim for uid, entry in entries.items()},
        intact=intact,
        revision=max([revision, *(_revision_in(text) for text in ours.values())]),
        path_token=known,
        residue=bool(ours),
        foreign_digest=_digest([[name, data.get(name)] for name in others])[:16],
        text_digest=_digest(ours),
        place=place,
        before_us=_before_us(annotations.get(FOUND_ANNOTATION)),
        others=tuple(others),
    )


def objection(config_map: Json | None, stored: MountedConfigMap, key: ObjectKey) -> str | None:
    """What others have put there with which ours must not be combined, as a sentence."""
    if stored.others:
        return (
            f"ConfigMap {key} holds {', '.join(stored.others[:5])}, which the operator has not written. Name a ConfigMap that does not exist yet in "
            "configMapRef, or remove these keys"
        )
    if (config_map or {}).get("immutable"):
        return f"ConfigMap {key} is immutable. Name another one in configMapRef, or delete it"
    return None


def publish(
    config_map: Json | None,
    key: ObjectKey,
    dialect: Dialect,
    label: str,
    changes: Collection[tuple[Claim, Place | None]],
    *,
    token_if_new: str,
    seen_everywhere: int | None,
    gone: Collection[str],
) -> dict[str, Any]:
    """The ConfigMap with these claims in place of their owners' former ones, as `kind.Site` says.

    Each comes with the place that its object names, None if it names none any more; `label` is the
    kind's name.
    """
    stored, claims = read(config_map, dialect), [claim for claim, _ in changes]
    for claim in claims:
        if not stored.relaxed_by(claim) and (why := objection(config_map, stored, key)):
            raise Blocked(Reason.FOREIGN_CONFIGURATION, why)
    entries = stored.entries_with(claims, seen_everywhere=seen_everywhere, gone=gone)
    place = place_of(stored, entries, changes)
    writer = _Writer(config_map, key, dialect, label, stored, place)
    token = stored.path_token or token_if_new
    check_room(
        f"ConfigMap {key}",
        stored,
        config_map or {},
        claims,
        entries,
        lambda counted: writer.with_claims(counted, token),
    )
    return writer.with_claims(entries, token)


def place_of(
    stored: MountedConfigMap,
    entries: Collection[str],
    changes: Collection[tuple[Claim, Place | None]],
) -> Place:
    """Where the text takes effect: as the object says whose claim is the first by its uid.

    If several say different things, one of them has to decide, and always the same one.
    """
    named = {claim.uid: place for claim, place in changes if place is not None}
    decides = named.get(min(entries, default=""))
    if decides is not None or stored.standing:
        return decides or stored.place
    return next(iter(named.values()), stored.place)


def withdraw(
    config_map: Json | None, key: ObjectKey, dialect: Dialect, label: str, uid: str
) -> dict[str, Any] | None:
    """The ConfigMap without the claim of one object; None: it has to be deleted."""
    stored = read(config_map, dialect)
    writer = _Writer(config_map, key, dialect, label, stored, stored.place)
    remaining = {other: entry for other, entry in stored.entries.items() if other != uid}
    if not remaining:
        return writer.as_found()
    if len(remaining) == len(stored.entries) or stored.path_token is None:
        return deepcopy(dict(config_map or {}))
    return writer.with_claims(remaining, stored.path_token)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Makes whole ConfigMaps from the one that is there."""

    config_map: Json | None
    key: ObjectKey
    dialect: Dialect
    label: str
    stored: MountedConfigMap
    place: Place

    def with_claims(self, entries: Mapping[str, Entry], token: str) -> dict[str, Any]:
        """With these claims in place of all that is ours, as the next revision."""
        revision = self.stored.revision + 1
        texts = _texts(entries.values(), revision, token, self.dialect, self.place)
        written = WrittenPlace.of(self.place).model_dump_json(exclude_none=True)
        before_us = self._before_us()
        return self._with(
            texts,
            {
                CLAIMS_ANNOTATION: "\n".join((written, *notation.encode_all(entries.values()))),
                PATH_ANNOTATION: token,
                REVISION_ANNOTATION: printed(revision),
                FOUND_ANNOTATION: before_us.model_dump_json(),
            },
            {CLAIMED_LABEL: self.label, WATCH_LABEL: "true"},
        )

    def as_found(self) -> dict[str, Any] | None:
        """Without anything of ours."""
        watch = self.stored.before_us.watch
        claimed = CLAIMED_LABEL in self._labels()
        kept = {} if watch is None or not claimed else {WATCH_LABEL: watch}
        body = self._with({}, {}, kept)
        made = self.stored.before_us.created and not self.stored.others and not self.dialect.idle
        return None if made else body

    def _before_us(self) -> ConfigMapBeforeUs:
        if self.config_map is None:
            return ConfigMapBeforeUs(created=1)
        if CLAIMED_LABEL in self._labels():
            return self.stored.before_us
        return ConfigMapBeforeUs(
            created=self.stored.before_us.created, watch=self._labels().get(WATCH_LABEL)
        )

    def _labels(self) -> Mapping[str, str]:
        return ((self.config_map or {}).get("metadata") or {}).get("labels") or {}

    def _with(
        self, data: Mapping[str, str], annotations: Mapping[str, str], labels: Mapping[str, str]
    ) -> dict[str, Any]:
        body = deepcopy(dict(self.config_map)) if self.config_map is not None else self._new()
        metadata = body.setdefault("metadata", {})
        ours = {name for name in self.dialect.files if name not in self.stored.others}
        names = {*ANNOTATIONS, CLAIMED_LABEL, *ours}
        if CLAIMED_LABEL in self._labels() or labels.get(CLAIMED_LABEL):
            names.add(WATCH_LABEL)
        for place, name, added in (
            (body, "data", data),
            (metadata, "annotations", annotations),
            (metadata, "labels", labels),
        ):
            before: Mapping[str, str] = place.pop(name, None) or {}
            whole = {key: one for key, one in before.items() if key not in names} | dict(added)
            if name == "data":
                whole = {**self.dialect.idle, **whole}
            if whole:
                place[name] = whole
        return body

    def _new(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": Kind.CONFIG_MAP.title,
            "metadata": {"namespace": self.key.namespace, "name": self.key.name},
        }


def _texts(
    entries: Collection[Entry], revision: int, token: str, dialect: Dialect, place: Place
) -> dict[str, str]:
    claims = [entry.claim for entry in entries]
    return dialect.render(rules_of(claims, revision, token, place.parents))


def _place(line: str) -> Place:
    try:
        return WrittenPlace.model_validate_json(line).place
    except ValidationError:
        return Place()


def _before_us(annotation: str | None) -> ConfigMapBeforeUs:
    try:
        return ConfigMapBeforeUs.model_validate_json(annotation or "")
    except ValidationError:
        return ConfigMapBeforeUs()


def _number(written: str) -> int:
    return int(written) if _NUMBER.fullmatch(written) else 0


def _revision_in(text: str) -> int:
    return max((int(number) for number in _NAMED.findall(text)), default=0)


def _digest(thing: object) -> str:
    return sha256(json.dumps(thing, sort_keys=True).encode()).hexdigest()
