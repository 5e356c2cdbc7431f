"""The operator under a wall clock that somebody sets: the whole real process, whose one clock adds to the time what stands in a file.

`python -m sandbox.stepping FILE`: seconds, which may change at any time. A test shows that the
operator reads the time from nothing but its clock; what the machine's libraries ask for themselves,
such as the validity of a server's certificate, goes by the machine.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path

from aop.__main__ import configure_logging, run
from aop.clock import Clock
from aop.settings import Settings


class SteppingClock(Clock):
    """Steady time as ever; wall time as the file says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        super().__init__()

    def wall(self) -> datetime:
        """What the machine's clock says, and the seconds in the file."""
        return super().wall() + timedelta(seconds=float(self._file.read_text(encoding="utf-8")))


def main() -> None:
    """Serve until the process is told to stop."""
    settings = Settings.load()
    configure_logging(settings)
    asyncio.run(run(settings, SteppingClock(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
