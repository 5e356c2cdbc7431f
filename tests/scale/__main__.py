"""`python -m scale 10 30 100`: a row for each number of zones, with progress, and the table at the end."""

from __future__ import annotations

import sys
from dataclasses import fields

from scale.measure import Measured, onboard

DEFAULT = (10, 100)


def main() -> None:
    """Measure each number of zones that the arguments name."""
    wanted = [int(word) for word in sys.argv[1:]] or DEFAULT
    rows = []
    for zones in wanted:
        print(f"{zones} zones, two hosts each, on one controller with two replicas", flush=True)
        rows.append(onboard(zones, lambda line: print(f"  {line}", flush=True)))
    names = [field.name for field in fields(Measured)]
    print(" | ".join(names))
    for row in rows:
        print(" | ".join(_shown(getattr(row, name)) for name in names))


def _shown(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
