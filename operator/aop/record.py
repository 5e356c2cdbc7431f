"""The record on the object, as compact JSON: what `aop.perform` writes into the annotation and `aop.observe` reads back.

No secrets: ids, digests, names and times. Times are whole seconds since 1970 in UTC, since an annotation is read by machines.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from aop.observed import Found, HoldOff, Record
from aop.origins import ObjectKey, Pin


def dump(record: Record) -> str:
    """The annotation's text; the same record gives the same text."""
    fields: dict[str, Any] = {
        "zone": record.zone_id,
        "found": {"enabled": record.found.enabled, "foreign": list(record.found.foreign)} if record.found else None,
        "uploaded": [[pin.sha256, pin.sha1, _seconds(pin.not_before), _seconds(pin.not_after)] for pin in record.uploaded],
        "claimed": [str(key) for key in record.claimed],
        "rejected": list(record.rejected),
        "holdOff": [record.hold_off.times, _seconds(record.hold_off.since), _seconds(record.hold_off.until)] if record.hold_off else None,
        "rotated": record.rotated,
    }
    return json.dumps({name: value for name, value in fields.items() if value not in (None, [])}, separators=(",", ":"), sort_keys=True)


def load(text: str | None) -> Record:
    """The record; an empty one where there is none, or where somebody made it unreadable (which equals its loss)."""
    if not text:
        return Record()
    try:
        fields = json.loads(text)
        found, hold_off = fields.get("found"), fields.get("holdOff")
        return Record(
            zone_id=fields.get("zone"),
            found=Found(bool(found["enabled"]), tuple(found["foreign"])) if found else None,
            uploaded=tuple(sorted(Pin(a, b, _time(c), _time(d)) for a, b, c, d in fields.get("uploaded", ()))),
            claimed=tuple(sorted(ObjectKey.parse(key) for key in fields.get("claimed", ()))),
            rejected=tuple(fields.get("rejected", ())),
            hold_off=HoldOff(hold_off[0], _time(hold_off[1]), _time(hold_off[2])) if hold_off else None,
            rotated=fields.get("rotated"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return Record()


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
