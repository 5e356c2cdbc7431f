"""Whether a carrier (a ConfigMap, or anything as small) still has room.

What it may hold is little, and all objects on an origin share it.

A write that lets visitors in is never longer than what stood there, so it fits for as long as that
did, and is not asked about here. Of the rest, what is begun goes as far as Kubernetes does, so that
it can end; less is there for what grows, and least for a claim that is not there yet. So 1,000
zones with two hosts fit, with names of 30 characters, and some 150 of them change their leaf at a
time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aop.errors import Blocked, Reason
from aop.origins.sites import Entry, Published
from aop.terms import Claim, Mode, Pin


@dataclass(frozen=True, slots=True, order=True)
class Room:
    """Bytes that something may come to; the least is the smallest."""

    annotations: int
    """The names and values of all annotations."""
    whole: int
    """The whole object, as it is sent."""


MOST = Room(262_144, 1_048_576)
"""What Kubernetes takes (facts: kubernetes#size-of-an-object).

For what adds no host and no leaf to a claim, and so grows by some bytes until it is accepted."""
GROWING = Room(246_000, 980_000)
"""For a claim that is there: its renewals and new hosts go on where a newcomer finds no room."""
NEW = Room(230_000, 900_000)
"""For a claim that is not there yet."""

_LEAF = Pin("0" * 64, "0" * 40, datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))


def room_for(claim: Claim, standing: Claim | None) -> Room:
    """How far a write for `claim` may go; `standing` is what is there of it, if anything."""
    if standing is None:
        return NEW
    adds = set(claim.names) - set(standing.names) or set(claim.pins) - set(standing.pins)
    return GROWING if adds else MOST


def grown(entry: Entry) -> Entry:
    """What a claim will need at least in the end: all that it names is required, with a leaf.

    A newcomer gets room beside that, and not beside the little that claims need when they begin.
    """
    claim = replace(
        entry.claim,
        mode=Mode.REQUIRE,
        enforced=entry.claim.names,
        pins=entry.claim.pins or (_LEAF,),
    )
    return Entry(claim, claim)


def check_room(
    place: str,
    before: Published,
    standing: Mapping[str, Any],
    claims: Collection[Claim],
    entries: Mapping[str, Entry],
    write: Callable[[Mapping[str, Entry]], Mapping[str, Any]],
) -> None:
    """Check that `claims` may be written into the carrier of `entries`.

    `write` makes the carrier of such entries. What lets visitors in may always be written.

    Raises `Blocked` (ORIGIN_FULL).
    """
    asking = [one for one in claims if not before.opened_by(one)]
    if not asking:
        return
    newcomers = any(one.uid not in before.standing for one in asking)
    counted = {uid: grown(entry) for uid, entry in entries.items()} if newcomers else entries
    room = min(room_for(one, before.standing.get(one.uid)) for one in asking)
    lack = lack_of_room(standing, write(counted), room)
    if lack is not None:
        who = f"{asking[0].owner} asks" if len(asking) == 1 else f"{len(asking)} objects ask"
        raise Blocked(Reason.ORIGIN_FULL, f"{place} has no room for what {who} for: {lack}")


def lack_of_room(standing: Mapping[str, Any], carrier: Mapping[str, Any], room: Room) -> str | None:
    """What is full in a carrier that would replace `standing`, and what to do.

    The end of a sentence; None if there is room, or if this makes it no longer.
    """
    sizes = sizes_of_annotations(carrier)
    if (size := sum(sizes.values())) > max(
        room.annotations, sum(sizes_of_annotations(standing).values())
    ):
        largest = max(sizes, key=lambda name: sizes[name])
        return (
            f"its annotations would come to {size:,} bytes, the largest being {largest} with "
            f"{sizes[largest]:,}. Kubernetes takes {MOST.annotations:,}, and only "
            f"{room.annotations:,} of these are for whoever asks for more. Remove annotations that "
            "nobody needs, or move zones to another origin"
        )
    if (size := size_of(carrier)) > max(room.whole, size_of(standing)):
        return (
            f"it would come to {size:,} bytes. Kubernetes takes {MOST.whole:,}, and only "
            f"{room.whole:,} of these are for whoever asks for more. "
            "Remove texts that nobody needs, or move zones to another origin"
        )
    return None


def sizes_of_annotations(carrier: Mapping[str, Any]) -> dict[str, int]:
    """Bytes by annotation, names included."""
    annotations: Mapping[str, str] = (carrier.get("metadata") or {}).get("annotations") or {}
    return {name: len(name.encode()) + len(value.encode()) for name, value in annotations.items()}


def size_of(carrier: Mapping[str, Any]) -> int:
    """Bytes of the whole object, as it is sent."""
    return len(json.dumps(carrier, separators=(",", ":")).encode())
