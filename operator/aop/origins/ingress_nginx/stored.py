"""What the ConfigMap of one controller says of us: claims as data in annotations, and the text that they render to.

All objects that name a ConfigMap share one block of text per key.

Two answers to what is in force. `claims` is what may be counted on: if the text does not say what
the claims render to (a Helm upgrade reset a key, somebody edited it, the annotations are damaged),
nothing is refused for sure, so every claim reads as OFF and has to be raised again on a fresh
proof. `standing` is what may have to be feared: a damaged text may still refuse all that its claims
say. A claim that cannot be read is no claim: the next write drops it, and the object that finds its
claim missing begins again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from aop.origins.ingress_nginx import notation
from aop.origins.ingress_nginx.check import TOKEN, printed
from aop.origins.ingress_nginx.snippets import Snippet, take_apart
from aop.origins.ingress_nginx.text import KEYS, render
from aop.terms import Claim, Mode
from aop.terms.names import (
    CLAIMS_ANNOTATION,
    FOUND_ANNOTATION,
    PATH_ANNOTATION,
    REVISION_ANNOTATION,
)

ANNOTATIONS = (CLAIMS_ANNOTATION, PATH_ANNOTATION, REVISION_ANNOTATION, FOUND_ANNOTATION)


@dataclass(frozen=True, slots=True)
class Entry:
    """One object's claim, and how far it has come."""

    claim: Claim
    accepted: Claim | None = None
    """The last form that is known to have been in force on every replica; None: none is."""


@dataclass(frozen=True, slots=True)
class BeforeUs:
    """What was there before our first write and has left no other trace."""

    empty: frozenset[str] = frozenset()
    """Keys that were there with an empty text."""
    newline_added: bool = False
    """The others' text in `http-snippet` ended within a line."""
    watch: str | None = None
    """The value that the watch label had."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One ConfigMap."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """By the uid of the object. Every claim is OFF unless `intact`."""
    standing: Mapping[str, Claim] = field(default_factory=dict)
    """The claims by uid as the annotations say them, `intact` or not: the strictest that the text
    may still do while there is `residue`."""
    intact: bool = True
    """Our text says to nginx what the claims render to, and stands there once; also when there is
    neither."""
    revision: int = 0
    """Of the last write, also when only the text remembers it; 0 before the first."""
    path_token: str | None = None
    snippets: Mapping[str, Snippet] = field(default_factory=dict)
    """Both keys of `text.KEYS`, taken apart."""
    found: BeforeUs = field(default_factory=BeforeUs)

    @property
    def claims(self) -> dict[str, Claim]:
        """The claims by uid, as far as the text says them for sure."""
        return {uid: entry.claim for uid, entry in self.entries.items()}

    @property
    def residue(self) -> bool:
        """Something of ours, be it damaged, stands in the keys."""
        return any(snippet.ours for snippet in self.snippets.values())

    def others_changed(self, uid: str) -> bool:
        """Whether the claim of an object other than `uid` differs from its last accepted form."""
        return any(
            entry.claim != entry.accepted for other, entry in self.entries.items() if other != uid
        )

    def as_seen_by(self, uid: str) -> tuple[object, ...]:
        """Everything that a decision about the claim of object `uid` was made on; other objects' claims are not in it."""
        entry = self.entries.get(uid)
        return (
            entry.claim if entry else None,
            self.standing.get(uid),
            self.intact,
            self.residue,
            self.misplaced,
            self.foreign_digest,
        )

    @property
    def foreign_digest(self) -> str:
        """Names the others' text: the same for as long as nobody changes it, 16 hex digits."""
        texts = [self.snippets[key].foreign for key in KEYS if key in self.snippets]
        return sha256("\0".join(texts).encode()).hexdigest()[:16]

    @property
    def misplaced(self) -> bool:
        """Somebody's text stands on the wrong side of our block since it was edited; the next write puts it right."""
        return any(snippet.misplaced for snippet in self.snippets.values())


def read(config_map: Mapping[str, Any] | None) -> Stored:
    """What a ConfigMap (a Kubernetes JSON object; None: there is none) says of us.

    Nothing that anybody writes into it makes this fail.
    """
    config_map = config_map or {}
    annotations: Mapping[str, str] = (config_map.get("metadata") or {}).get("annotations") or {}
    entries, cache = _entries(annotations.get(CLAIMS_ANNOTATION))
    found = _found(annotations.get(FOUND_ANNOTATION))
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
    snippets = take_apart(config_map, blocks, newline_added=found.newline_added)
    claimed = any(name in annotations for name in ANNOTATIONS) or any(
        snippet.ours for snippet in snippets.values()
    )
    intact = not claimed or all(snippet.intact for snippet in snippets.values())
    return Stored(
        entries=entries
        if intact
        else {
            uid: Entry(replace(e.claim, mode=Mode.OFF, enforced=(), excepted=()))
            for uid, e in entries.items()
        },
        standing={uid: entry.claim for uid, entry in entries.items()},
        intact=intact,
        revision=max(revision, *(snippet.revision for snippet in snippets.values())),
        path_token=token_or_none,
        snippets=snippets,
        found=found,
    )


def annotations_for(
    entries: Collection[Entry], revision: int, token: str, cache: str | None, found: BeforeUs
) -> dict[str, str]:
    """The annotations from which `read` makes the same out again."""
    claims = [
        {**notation.encode(entry.claim), "a": notation.encode_accepted(entry.accepted, entry.claim)}
        for entry in sorted(entries, key=lambda entry: entry.claim.uid)
    ]
    kept = {"empty": sorted(found.empty), "newline": int(found.newline_added), "watch": found.watch}
    return {
        CLAIMS_ANNOTATION: _dumps({"claims": claims, "cache": cache}),
        PATH_ANNOTATION: token,
        REVISION_ANNOTATION: printed(revision),
        FOUND_ANNOTATION: _dumps(kept),
    }


def _entries(annotation: str | None) -> tuple[dict[str, Entry], str | None]:
    kept = _loads(annotation)
    entries: dict[str, Entry] = {}
    claims = kept.get("claims")
    for one in claims if isinstance(claims, list) else ():
        try:
            claim = notation.decode(one)
            accepted = notation.decode_accepted(one.get("a"), claim)
        except ValueError:
            continue  # dropped: see the module's docstring
        entries[claim.uid] = Entry(claim, accepted)
    cache = kept.get("cache")
    return entries, cache if isinstance(cache, str) else None


def _found(annotation: str | None) -> BeforeUs:
    kept = _loads(annotation)
    empty, watch = kept.get("empty"), kept.get("watch")
    return BeforeUs(
        empty=frozenset(key for key in KEYS if isinstance(empty, list) and key in empty),
        newline_added=kept.get("newline") == 1,
        watch=watch if isinstance(watch, str) else None,
    )


def _number(annotation: str) -> int:
    return (
        int(annotation)
        if annotation.isascii() and annotation.isdecimal() and len(annotation) < 15
        else 0
    )


def _dumps(found: object) -> str:
    return json.dumps(found, separators=(",", ":"), sort_keys=True)


def _loads(annotation: str | None) -> dict[str, Any]:
    try:
        found = json.loads(annotation or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
