"""The record on the object, as compact JSON.

What is written into the annotation is what is read back. Its copy in the status goes out with each
status: whoever replaces the object with a manifest of theirs (`kubectl replace`, Argo CD's
`Replace=true`) takes the annotation away, or puts back an old one, and cannot touch the status. No
secrets: ids, digests, names and times. Times are whole seconds since 1970 in UTC, since an
annotation is read by machines.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from aop.observed import Baseline, HoldOff, Record, RejectedClaim
from aop.terms import Pin, Target


def dump(record: Record) -> str:
    """The annotation's text; the same record gives the same text."""
    fields: dict[str, Any] = {
        "zone": record.zone_id,
        "baseline": {"enabled": record.baseline.enabled, "foreign": list(record.baseline.foreign)}
        if record.baseline
        else None,
        "uploaded": [
            [pin.sha256, pin.sha1, _seconds(pin.not_before), _seconds(pin.not_after)]
            for pin in record.uploaded
        ],
        "claimed": [str(target) for target in record.claimed],
        "rejected": [
            [one.digest, one.times, _seconds(one.since), _whole(one.until)]
            for one in record.rejected
        ],
        "holdOff": [
            [one.host, one.times, _seconds(one.since), _whole(one.until)]
            for one in record.hold_offs
        ],
        "flushed": [_whole(moment) for moment in record.flushes],
        "rotated": record.rotated,
        "edition": record.edition or None,
    }
    return json.dumps(
        {name: value for name, value in fields.items() if value not in (None, [])},
        separators=(",", ":"),
        sort_keys=True,
    )


def newest(*copies: str | None) -> Record:
    """The record that was written last; of equals the first."""
    return max((load(copy) for copy in copies), key=lambda record: record.edition)


def load(text: str | None) -> Record:
    """The record.

    An empty one where there is none, or where somebody made it unreadable (which equals its loss).

    Whoever may edit the object may write here, so nothing is taken that `dump` would not have
    written: the digests end up in the text of a controller that serves others too.
    """
    if not text:
        return Record()
    try:
        fields = json.loads(text)
        baseline = fields.get("baseline")
        return Record(
            zone_id=_text(fields["zone"]) if "zone" in fields else None,
            baseline=Baseline(_flag(baseline["enabled"]), _texts(baseline["foreign"]))
            if baseline
            else None,
            uploaded=tuple(sorted(_pin(*pin) for pin in _list(fields.get("uploaded")))),
            claimed=tuple(sorted(Target.parse(target) for target in _texts(fields.get("claimed")))),
            rejected=tuple(
                RejectedClaim(_text(digest), int(times), _time(since), _time(until))
                for digest, times, since, until in _list(fields.get("rejected"))
            ),
            hold_offs=tuple(
                HoldOff(int(times), _time(since), _time(until), _text(host))
                for host, times, since, until in _list(fields.get("holdOff"))
            ),
            flushes=tuple(_time(moment) for moment in _list(fields.get("flushed"))),
            rotated=_text(fields["rotated"]) if "rotated" in fields else None,
            edition=int(fields.get("edition", 0)),
        )
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        OverflowError,
        OSError,
        RecursionError,
    ):
        return Record()


def _pin(sha256: str, sha1: str, not_before: float, not_after: float) -> Pin:
    pin = Pin(sha256, sha1, _time(not_before), _time(not_after))
    if not pin.well_formed:
        raise ValueError(f"not the digests of a leaf: {pin!r}")
    return pin


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(one) for one in _list(value))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | None):
        raise TypeError(f"not a list: {value!r}")
    return value or []


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"neither true nor false: {value!r}")
    return value


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _whole(time: datetime) -> int:
    """Rounded up.

    What lasts until then does not end before, and what is noted at last does not seem to be older
    than it is.
    """
    return math.ceil(time.timestamp())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
