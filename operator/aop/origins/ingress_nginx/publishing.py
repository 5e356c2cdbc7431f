"""What to write into the ConfigMap.

Whole objects, to be put back with the resourceVersion with which they were read, under our field
manager (`terms.names`). If two writers have read the same ConfigMap, the API server refuses one of
them, which then reads again. The text is always rendered from all claims, never taken from what was
there, and replaces everything that was ours. If that did not say what the claims say, the others'
claims are written as OFF, which is how they read: a lost text that is put back proves nothing for
anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

from aop.errors import Blocked, Reason
from aop.origins.ingress_nginx.foreign import name_of, objections
from aop.origins.ingress_nginx.options import Options
from aop.origins.ingress_nginx.snippets import needs_newline, put_together
from aop.origins.ingress_nginx.spec import NAME, ForeignText
from aop.origins.ingress_nginx.stored import (
    ANNOTATIONS,
    ControllerConfigMap,
    SnippetsBeforeUs,
    annotations_for,
    read,
)
from aop.origins.ingress_nginx.text import HTTP, KEYS, render
from aop.origins.room import check_room
from aop.origins.sites import Entry
from aop.terms import Claim
from aop.terms.names import CLAIMED_LABEL, WATCH_LABEL

Json = dict[str, Any]


def publish(
    config_map: Mapping[str, Any],
    claim: Claim,
    *,
    foreign: ForeignText,
    token_if_new: str,
    seen_everywhere: int | None = None,
    gone: Collection[str] = frozenset(),
    beside: Collection[tuple[Claim, ForeignText]] = (),
) -> Json:
    """The ConfigMap with `claim` in place of its object's former one, as the next revision.

    Other claims stay as they read, but for those of other objects that go out in the same write:
    `beside`, each with what its own object says of others' text.

    `seen_everywhere` is the revision that every Ready replica was seen to run, None if they differ:
    if it is the one that stands there, then all its claims are noted as accepted. `token_if_new` (8
    to 40 of a-z and 0-9, at random) becomes the secret part of the check path where there is none
    yet. `gone` are the uids of objects that are not there any more: their claims leave with this
    write.

    Raises:
        Blocked: FOREIGN_CONFIGURATION. `claim` asks for more than what is in force, and what others
            have put into the ConfigMap forbids that. What asks for no more is always written:
            nobody's text holds back what protects visitors. Or what others have put there cannot be
            told from ours, so that the result would not read as what it is meant to say.
        Blocked: ORIGIN_FULL. It lets nobody in who is refused now, makes the ConfigMap longer, and
            Kubernetes might not take that.
        ValueError: a claim that cannot be rendered (`text.render`).
    """
    stored = read(config_map)
    changes = [(claim, foreign), *beside]
    for one, policy in changes:
        objection = objections(config_map, stored.snippets, policy)
        if objection is not None and not stored.relaxed_by(one):
            raise Blocked(Reason.FOREIGN_CONFIGURATION, objection)
    claims = [one for one, _ in changes]
    entries = stored.entries_with(claims, seen_everywhere=seen_everywhere, gone=gone)
    check_room(
        f"ConfigMap {name_of(config_map)}",
        stored,
        config_map,
        claims,
        entries,
        lambda counted: _with(config_map, stored, counted, token_if_new),
    )
    return _written(config_map, stored, entries, token_if_new)


def withdraw(config_map: Mapping[str, Any], uid: str) -> Json:
    """The ConfigMap without the claim of one object.

    The last claim takes everything of ours out and leaves what was found. The same object again if
    there is nothing to take out, so that no write is needed.

    Raises:
        Blocked: FOREIGN_CONFIGURATION, as in `publish`: what others have put there cannot be told
            from ours.
    """
    stored = read(config_map)
    remaining = {other: entry for other, entry in stored.entries.items() if other != uid}
    if not remaining:
        return _as_found(config_map, stored)
    if len(remaining) == len(stored.entries) or stored.path_token is None:
        return deepcopy(dict(config_map))
    return _written(config_map, stored, remaining, stored.path_token)


def _written(
    config_map: Mapping[str, Any],
    stored: ControllerConfigMap,
    entries: Mapping[str, Entry],
    token_if_new: str,
) -> Json:
    body = _with(config_map, stored, entries, token_if_new)
    again = read(body)
    if not again.intact or again.claims != {uid: entry.claim for uid, entry in entries.items()}:
        raise _indistinct(config_map)
    return body


def _with(
    config_map: Mapping[str, Any],
    stored: ControllerConfigMap,
    entries: Mapping[str, Entry],
    token_if_new: str,
) -> Json:
    body = deepcopy(dict(config_map))
    metadata = body.setdefault("metadata", {})
    labels = dict(metadata.get("labels") or {})
    before_us = SnippetsBeforeUs(
        empty=frozenset(
            key
            for key, s in stored.snippets.items()
            if (key in stored.before_us.empty if s.ours else s.text == "")
        ),
        newline_added=needs_newline(stored.snippets[HTTP].foreign),
        watch=stored.before_us.watch if CLAIMED_LABEL in labels else labels.get(WATCH_LABEL),
    )
    token, revision = stored.path_token or token_if_new, stored.revision + 1
    cache = Options.read(config_map).session_cache_size
    blocks = render(
        [entry.claim for entry in entries.values()], revision, token, session_cache_size=cache
    )
    texts = {key: put_together(key, stored.snippets[key].foreign, blocks[key]) for key in KEYS}
    body["data"] = {**(body.get("data") or {}), **texts}
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        **annotations_for(list(entries.values()), revision, token, cache, before_us),
    }
    metadata["labels"] = {**labels, CLAIMED_LABEL: NAME, WATCH_LABEL: "true"}
    return body


def _as_found(config_map: Mapping[str, Any], stored: ControllerConfigMap) -> Json:
    body = deepcopy(dict(config_map))
    metadata = body.setdefault("metadata", {})
    data, labels = dict(body.get("data") or {}), dict(metadata.get("labels") or {})
    for key, snippet in stored.snippets.items():
        if snippet.foreign or (snippet.ours and key in stored.before_us.empty):
            data[key] = snippet.foreign
        elif snippet.ours:
            del data[key]
    if labels.pop(CLAIMED_LABEL, None) is not None:
        labels.pop(WATCH_LABEL, None)
        labels |= {} if stored.before_us.watch is None else {WATCH_LABEL: stored.before_us.watch}
    kept = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if name not in ANNOTATIONS
    }
    for place, name, value in (
        (body, "data", data),
        (metadata, "labels", labels),
        (metadata, "annotations", kept),
    ):
        if value:
            place[name] = value
        else:
            place.pop(name, None)
    if read(body).residue:
        raise _indistinct(config_map)
    return body


def _indistinct(config_map: Mapping[str, Any]) -> Blocked:
    """Refuse once, instead of writing again and again."""
    return Blocked(
        Reason.FOREIGN_CONFIGURATION,
        f"the text in ConfigMap {name_of(config_map)} looks so much like the operator's own that the operator could not read its own back, so it writes nothing. "
        f"Remove everything that contains aop_ or aop-operator from its {' and '.join(KEYS)}; the operator then writes its text again",
    )
