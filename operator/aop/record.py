"""The record on the object, as compact JSON: what is written is what is read back.

Each status contains a copy of it. Whoever replaces the object with their own manifest (`kubectl
replace`, Argo CD's `Replace=true`) removes the annotation, or puts back an old one, but cannot
touch the status.

No secrets: ids, digests, names and times. Times are whole seconds since 1970 in UTC, because
machines read an annotation.
"""

from __future__ import annotations

import json
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from aop.observed import Baseline, HoldOff, Record, RejectedClaim
from aop.terms import Target
from aop.terms.notation import Seconds, Written, WrittenPin, moment, seconds, seconds_after

Count = Annotated[int, Field(ge=0, lt=2**63)]
WrittenTarget = Annotated[str, AfterValidator(lambda text: str(Target.parse(text)))]
"""`kind/namespace/name`."""


class WrittenBaseline(BaseModel):
    """The zone as it was found."""

    model_config = ConfigDict(strict=True, frozen=True)
    enabled: bool
    foreign: tuple[str, ...]


class WrittenPause(Written[tuple[str, Count, Seconds, Seconds]]):
    """What is not tried again for a while: its name, how often it failed, from when to when."""

    @classmethod
    def of(cls, what: str, pause: RejectedClaim | HoldOff) -> Self:
        """The notation of a pause; `what` is a claim's digest, or a host; empty: all hosts."""
        return cls((what, pause.times, seconds(pause.since), seconds_after(pause.until)))


class WrittenRecord(BaseModel):
    """Every field of a record.

    What is not there is not written, and what a later version adds is ignored.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, alias_generator=to_camel, validate_by_name=True
    )
    zone: str | None = None
    baseline: WrittenBaseline | None = None
    uploaded: tuple[WrittenPin, ...] = ()
    claimed: tuple[WrittenTarget, ...] = ()
    rejected: tuple[WrittenPause, ...] = ()
    hold_off: tuple[WrittenPause, ...] = ()
    flushed: tuple[Seconds, ...] = ()
    rotated: str | None = None
    edition: Count = 0

    @classmethod
    def of(cls, record: Record) -> Self:
        """The notation of `record`."""
        baseline = record.baseline
        return cls(
            zone=record.zone_id,
            baseline=WrittenBaseline(enabled=baseline.enabled, foreign=baseline.foreign)
            if baseline
            else None,
            uploaded=tuple(map(WrittenPin.of, record.uploaded)),
            claimed=tuple(str(target) for target in record.claimed),
            rejected=tuple(WrittenPause.of(one.digest, one) for one in record.rejected),
            hold_off=tuple(WrittenPause.of(one.host, one) for one in record.hold_offs),
            flushed=tuple(map(seconds_after, record.flushes)),
            rotated=record.rotated,
            edition=record.edition,
        )

    @property
    def record(self) -> Record:
        """The record."""
        baseline = self.baseline
        return Record(
            zone_id=self.zone,
            baseline=Baseline(baseline.enabled, baseline.foreign) if baseline else None,
            uploaded=tuple(sorted(one.pin for one in self.uploaded)),
            claimed=tuple(sorted(map(Target.parse, self.claimed))),
            rejected=tuple(
                RejectedClaim(what, times, moment(since), moment(until))
                for what, times, since, until in (one.root for one in self.rejected)
            ),
            hold_offs=tuple(
                HoldOff(times, moment(since), moment(until), what)
                for what, times, since, until in (one.root for one in self.hold_off)
            ),
            flushes=tuple(map(moment, self.flushed)),
            rotated=self.rotated,
            edition=self.edition,
        )


def dump(record: Record) -> str:
    """The annotation's text; the same record gives the same text."""
    written = WrittenRecord.of(record).model_dump(by_alias=True, exclude_defaults=True)
    return json.dumps(written, separators=(",", ":"), sort_keys=True)


def newest(*copies: str | None) -> Record:
    """The record that was written last; of equal ones the first."""
    return max((load(copy) for copy in copies), key=lambda record: record.edition)


def load(text: str | None) -> Record:
    """The record; an empty one if there is none, or if somebody made it unreadable.

    That is the same as losing it. Whoever may edit the object may write here, so nothing is
    accepted that `dump` would not have written.
    """
    if not text:
        return Record()
    try:
        return WrittenRecord.model_validate_json(text).record
    except ValidationError:
        return Record()
