"""`python -m scale 10 30 100`: a row for each number of zones, with progress, and the table at the end.

`python -m scale beside 20`: what twenty settled zones are told while twenty others come and go.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields

from scale.measure import Disturbed, Measured, beside, onboard

DEFAULT = (10, 100)


def main() -> None:
    """Measure each number of zones that the arguments name."""
    words = sys.argv[1:]
    neighbours = words[:1] == ["beside"]
    wanted = [int(word) for word in words[neighbours:]] or DEFAULT
    rows: list[Measured | Disturbed] = []
    for zones in wanted:
        if neighbours:
            print(f"{zones} settled zones, and as many that come and go beside them", flush=True)
            rows.append(beside(zones, _say))
        else:
            print(f"{zones} zones, two hosts each, on one controller with two replicas", flush=True)
            rows.append(onboard(zones, _say))
    _table(rows)


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def _table(rows: Sequence[Measured | Disturbed]) -> None:
    names = [field.name for field in fields(rows[0])]
    print(" | ".join(names))
    for row in rows:
        print(" | ".join(_shown(getattr(row, name)) for name in names))


def _shown(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
