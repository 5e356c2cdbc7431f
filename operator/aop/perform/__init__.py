"""One `Step` at a time, carried out.

This module, and the keepers to which it hands a write, write everything for an object except its
status and its Events.

Every write is safe against a second writer: ConfigMaps, Secrets and the record go out with the
resourceVersion on which the decision was made, an upload uses the recorded key pair, and a deletion
names an id whose fingerprint was just read. After each effect the memory forgets what the effect
can have changed, so that it is observed again.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, assert_never

from aop.api import RECORD_ANNOTATION, AuthenticatedOriginPull
from aop.clock import Clock
from aop.cloudflare import Cloudflare
from aop.cluster import Cluster, Conflict, Kind
from aop.errors import Transient
from aop.observe.memory import KeptNote, Memory
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.observed import Observed, Unnoted
from aop.perform.keys import KeyWriter
from aop.perform.zone import ZoneWriter
from aop.record import dump
from aop.steps import (
    Delete,
    Effect,
    Issue,
    Note,
    Promote,
    Publish,
    RollOut,
    SetEnabled,
    Upload,
    Withdraw,
)


def _check_noted(manifest: dict[str, Any], pull: AuthenticatedOriginPull, text: str) -> None:
    """Raise if something removes the record while it is written: else that would never end."""
    if ((manifest.get("metadata") or {}).get("annotations") or {}).get(RECORD_ANNOTATION) != text:
        raise Transient(
            f"Before the API server stores it, an admission webhook or policy of the cluster changes annotation {RECORD_ANNOTATION} of {pull.key}. "
            "Let it leave the annotation alone"
        )


NOTE_S, NOTE_AGAIN_S = 5.0, 15.0
"""How long a relaxation waits for the note before it, and how soon a note that could not be written
is tried again."""


class Performer:
    """Carries out steps; built once per process."""

    def __init__(
        self,
        cluster: Cluster,
        origins: OriginKeepers,
        secrets: Secrets,
        cloudflare: Cloudflare,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._origins = origins
        self._clock = clock
        self._keys = KeyWriter(cluster, secrets, clock)
        self._zones = ZoneWriter(cluster, cloudflare, clock)

    async def perform(
        self, step: Effect, o: Observed, pull: AuthenticatedOriginPull, memory: Memory
    ) -> None:
        """Carry out `step`, which was decided on `o`.

        Raises `Blocked` or `Transient`; the world may have changed all the same.
        """
        match step:
            case Note():
                await self._note(step, o, pull, memory)
            case Issue(slot="first"):
                await self._keys.issue_first(pull)
            case Issue():
                await self._keys.issue_next(pull)
            case Promote():
                await self._keys.promote(step, pull)
            case Publish():
                await self._publish(step, o, pull)
            case Withdraw():
                await self._withdraw(step, pull)
            case RollOut():
                await self._origins.of(step.target).rollouts.begin(step.rollout)
            case Upload() | Delete() | SetEnabled():
                await self._zones.change(step, o, pull, memory)
            case _:
                assert_never(step)

    async def _note(
        self, step: Note, o: Observed, pull: AuthenticatedOriginPull, memory: Memory
    ) -> None:
        """Write the record.

        Whoever refuses or delays a change of the object must not delay what protects: in that case
        the change is kept in memory.
        """
        metadata = {
            "resourceVersion": pull.resource_version,
            "annotations": {RECORD_ANNOTATION: dump(step.record)},
        }
        protects = o.unnoted is not None or (step.record.hold_offs, step.record.rejected) != (
            o.record.hold_offs,
            o.record.rejected,
        )
        try:
            async with asyncio.timeout(NOTE_S if protects else None):
                manifest = await self._cluster.merge(
                    Kind.AUTHENTICATED_ORIGIN_PULL, pull.key, {"metadata": metadata}
                )
            _check_noted(manifest, pull, dump(step.record))
        except BaseException as error:
            # What was written, or what somebody else has written, is read before the next decision,
            # if possible.
            memory.shown_s = float("-inf")
            if isinstance(error, TimeoutError):
                error = Transient(f"cannot write the record on {pull.key} within {NOTE_S:.0f} s")
            if protects and isinstance(error, Transient) and not isinstance(error, Conflict):
                again = self._clock.now() + timedelta(seconds=NOTE_AGAIN_S)
                memory.kept_note = KeptNote(step.record, Unnoted(error.message, again))
            raise error from None
        memory.kept_note = None
        memory.learn(manifest, self._clock.monotonic_s())

    # --- origins ----------------------------------------------------------------------------------

    async def _publish(self, step: Publish, o: Observed, pull: AuthenticatedOriginPull) -> None:
        spec = next((it.spec for it in o.spec.origins if it.target == step.target), None)
        writer = self._origins.of(step.target).writer
        await writer.publish(pull.uid, step.claim, spec=spec, gone=o.gone)

    async def _withdraw(self, step: Withdraw, pull: AuthenticatedOriginPull) -> None:
        await self._origins.of(step.target).writer.withdraw(pull.uid)
