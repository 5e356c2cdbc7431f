"""`python -m scale 10 30 100`: a row for each number of zones, with progress, and the table at the end.

`python -m scale beside 20`: what twenty settled zones are told while twenty others come and go.
`python -m scale later 100 1000`: what a restart, a changed Secret and a loss cost among so many.
`python -m scale crowd 10000`: what so many on twenty controllers cost at rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from scale.crowd import Crowd, crowd
from scale.later import Later, later
from scale.measure import Disturbed, Measured, beside, onboard

DEFAULT = (10, 100)
Row = Measured | Disturbed | Later | Crowd
KINDS: Mapping[str, tuple[str, Callable[[int, Callable[[str], None]], Row]]] = {
    "": ("{} zones, two hosts each, on one controller with two replicas", onboard),
    "beside": ("{} settled zones, and as many that come and go beside them", beside),
    "later": ("{} settled zones, and what may happen to them", later),
    "crowd": ("{} settled zones on twenty controllers, at rest", crowd),
}


def main() -> None:
    """Measure each number of zones that the arguments name."""
    words = sys.argv[1:]
    what = words.pop(0) if words[:1] and words[0] in KINDS else ""
    title, measured = KINDS[what]
    rows: list[Row] = []
    for zones in [int(word) for word in words] or DEFAULT:
        print(title.format(zones), flush=True)
        rows.append(measured(zones, _say))
    _table(rows)


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def _table(rows: Sequence[Row]) -> None:
    names = [field.name for field in fields(rows[0])]
    print(" | ".join(names))
    for row in rows:
        print(" | ".join(_shown(getattr(row, name)) for name in names))


def _shown(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
