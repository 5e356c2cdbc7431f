"""What the ConfigMap of one controller says about us.

It contains claims as data in annotations, and the text that they render to. All objects that name a
ConfigMap share one block of text per key. The text need not say what the claims render to: a Helm
upgrade may have reset a key, somebody may have edited it, or the annotations may be damaged.
`Published` says what that means. A claim that cannot be read is no claim: the next write drops it,
and the object that finds its claim missing begins again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aop.origins import notation
from aop.origins.check import TOKEN, printed
from aop.origins.ingress_nginx.snippets import Snippet, take_apart
from aop.origins.ingress_nginx.text import KEYS, render
from aop.origins.sites import Entry, Published
from aop.terms.names import (
    CLAIMS_ANNOTATION,
    FOUND_ANNOTATION,
    PATH_ANNOTATION,
    REVISION_ANNOTATION,
)

ANNOTATIONS = (CLAIMS_ANNOTATION, PATH_ANNOTATION, REVISION_ANNOTATION, FOUND_ANNOTATION)


@dataclass(frozen=True, slots=True)
class SnippetsBeforeUs:
    """What was there before our first write and has left no other trace."""

    empty: frozenset[str] = frozenset()
    """Keys that were there with an empty text."""
    newline_added: bool = False
    """Whether the others' text in `http-snippet` ended within a line."""
    watch: str | None = None
    """The value that the watch label had."""


class WrittenBeforeUs(BaseModel):
    """The notation of `SnippetsBeforeUs`."""

    model_config = ConfigDict(strict=True, frozen=True)
    empty: tuple[str, ...]
    newline: Annotated[int, Field(ge=0, le=1)]
    watch: str | None

    @classmethod
    def of(cls, before_us: SnippetsBeforeUs) -> Self:
        """The notation of `before_us`."""
        return cls(
            empty=tuple(sorted(before_us.empty)),
            newline=int(before_us.newline_added),
            watch=before_us.watch,
        )

    @property
    def before_us(self) -> SnippetsBeforeUs:
        """What was there."""
        return SnippetsBeforeUs(
            frozenset(self.empty) & frozenset(KEYS), self.newline == 1, self.watch
        )


class WrittenSettings(BaseModel):
    """The first line of the claims: the controller's settings by which the text was rendered."""

    model_config = ConfigDict(strict=True, frozen=True)
    cache: str | None
    """`Options.session_cache_size`."""


@dataclass(frozen=True, slots=True)
class ControllerConfigMap(Published):
    """One ConfigMap: what it says about us, and where."""

    snippets: Mapping[str, Snippet] = field(default_factory=dict)
    """Both keys of `text.KEYS`, taken apart."""
    before_us: SnippetsBeforeUs = field(default_factory=SnippetsBeforeUs)


def read(config_map: Mapping[str, Any] | None) -> ControllerConfigMap:
    """What a ConfigMap (a Kubernetes JSON object; None: there is none) says about us.

    Nothing that anybody writes into it makes this fail.
    """
    config_map = config_map or {}
    annotations: Mapping[str, str] = (config_map.get("metadata") or {}).get("annotations") or {}
    entries, cache = _entries(annotations.get(CLAIMS_ANNOTATION))
    before_us = _before_us(annotations.get(FOUND_ANNOTATION))
    token = annotations.get(PATH_ANNOTATION, "")
    token_or_none = token if TOKEN.fullmatch(token) else None
    revision = _number(annotations.get(REVISION_ANNOTATION, ""))
    blocks: Mapping[str, str] = {}
    if entries and revision and token_or_none:
        blocks = render(
            [entry.claim for entry in entries.values()],
            revision,
            token_or_none,
            session_cache_size=cache,
        )
    snippets = take_apart(config_map, blocks, newline_added=before_us.newline_added)
    claimed = any(name in annotations for name in ANNOTATIONS) or any(
        snippet.ours for snippet in snippets.values()
    )
    intact = not claimed or all(snippet.intact for snippet in snippets.values())
    return ControllerConfigMap(
        entries=entries if intact else {uid: entry.off for uid, entry in entries.items()},
        standing={uid: entry.claim for uid, entry in entries.items()},
        intact=intact,
        revision=max(revision, *(snippet.revision for snippet in snippets.values())),
        path_token=token_or_none,
        residue=any(snippet.ours for snippet in snippets.values()),
        misplaced=any(snippet.misplaced for snippet in snippets.values()),
        foreign_digest=_digest(snippets[key].foreign for key in KEYS)[:16],
        text_digest=_digest(str(snippets[key].text) for key in KEYS),
        writers=tuple(
            sorted({writer.manager for one in snippets.values() if (writer := one.last_writer)})
        ),
        snippets=snippets,
        before_us=before_us,
    )


def _digest(texts: Iterable[str]) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()


def annotations_for(
    entries: Collection[Entry],
    revision: int,
    token: str,
    cache: str | None,
    before_us: SnippetsBeforeUs,
) -> dict[str, str]:
    """The annotations from which `read` gets the same back."""
    lines = notation.encode_all(entries)
    first = WrittenSettings(cache=cache).model_dump_json()
    return {
        CLAIMS_ANNOTATION: "\n".join((first, *lines)),
        PATH_ANNOTATION: token,
        REVISION_ANNOTATION: printed(revision),
        FOUND_ANNOTATION: WrittenBeforeUs.of(before_us).model_dump_json(),
    }


def _entries(annotation: str | None) -> tuple[dict[str, Entry], str | None]:
    first, *lines = (annotation or "").split("\n")
    entries = notation.decode_all(lines)
    try:
        return entries, WrittenSettings.model_validate_json(first).cache
    except ValidationError:
        return entries, None


def _before_us(annotation: str | None) -> SnippetsBeforeUs:
    try:
        return WrittenBeforeUs.model_validate_json(annotation or "").before_us
    except ValidationError:
        return SnippetsBeforeUs()


def _number(annotation: str) -> int:
    return (
        int(annotation)
        if annotation.isascii() and annotation.isdecimal() and len(annotation) < 15
        else 0
    )
