"""A note that cannot be written on the object: what protects is kept in memory and nothing else of it is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status
from aop.cloudflare import Cloudflare
from aop.cluster import Cluster, ClusterError, Conflict
from aop.errors import Transient
from aop.observe.memory import Memory
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.observed import HoldOff, Observed, Record
from aop.perform import NOTE_AGAIN_S, Performer
from aop.steps import Note
from builders import KEY, NEXT, NOW, UID, at, observed, spec
from cloudflare_api import StoppedClock

PULL = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
HELD_OFF = (HoldOff(1, NOW, at(60)),)
REFUSED = ClusterError(
    "cannot patch authenticatedoriginpulls edge/example-com: HTTP 403: a policy says no", status=403
)

STRIPPED = Exception("a policy takes the annotation away")


class NotesApi:
    """An API server that takes patches, takes something away from them, or answers them with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = None if error is STRIPPED else error
        self.strips = error is STRIPPED

    async def merge(self, *call: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        (*_, patch) = call
        annotations = {} if self.strips else patch["metadata"]["annotations"]
        return {"metadata": {"resourceVersion": "2", "annotations": annotations}}


async def noted(
    step: Note, memory: Memory, error: Exception | None = None, world: Observed | None = None
) -> Exception | None:
    """The note is written, or meets `error`; what that became."""
    clock = StoppedClock()
    performer = Performer(
        cast("Cluster", NotesApi(error)),
        cast("OriginKeepers", None),
        cast("Secrets", None),
        cast("Cloudflare", None),
        clock,
    )
    try:
        await performer.perform(step, world or observed(), PULL, memory)
    except Transient as raised:
        return raised
    return None


def holding_off(o: Observed, **more: Any) -> Note:
    return Note(
        o.noting(hold_offs=HELD_OFF, **more), "nothing is required again before a minute is over"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error", [REFUSED, TimeoutError(), STRIPPED], ids=["refused", "it hangs", "a policy strips it"]
)
async def test_a_hold_off_that_cannot_be_noted_is_kept_and_nothing_else_of_the_record_is(
    error: Exception,
) -> None:
    memory, world = Memory(), observed()
    memory.learn({"metadata": {}}, 0.0)
    assert isinstance(await noted(holding_off(world, uploaded=(NEXT,)), memory, error), Transient)
    kept = memory.kept_note
    assert kept is not None
    assert kept.added_to(world.record) == replace(
        world.record, hold_offs=HELD_OFF, edition=world.record.edition + 1
    )
    assert kept.unnoted.again > NOW
    assert NOTE_AGAIN_S > 0
    assert memory.manifest is not None, "what is known of the object stands"


@pytest.mark.asyncio
async def test_somebody_elses_write_is_no_refusal() -> None:
    memory = Memory()
    assert isinstance(
        await noted(holding_off(observed()), memory, Conflict("changed", status=409)), Conflict
    )
    assert memory.kept_note is None


@pytest.mark.asyncio
async def test_what_must_be_on_the_object_before_its_effect_is_never_only_remembered() -> None:
    memory, world = Memory(), observed()
    assert (
        await noted(
            Note(world.noting(uploaded=(NEXT,)), "leaf is about to be uploaded"), memory, REFUSED
        )
        is REFUSED
    )
    assert memory.kept_note is None


@pytest.mark.asyncio
async def test_the_first_note_that_is_written_ends_it() -> None:
    memory, world = Memory(), observed()
    await noted(holding_off(world), memory, REFUSED)
    assert memory.kept_note is not None
    later = replace(world, unnoted=memory.kept_note.unnoted)
    assert (
        await noted(Note(Record(), "what could not be written before"), memory, world=later) is None
    )
    assert memory.kept_note is None
