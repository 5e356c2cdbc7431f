"""An operator whose wall clock somebody sets while it runs (`sandbox.stepping`)."""

from __future__ import annotations

from pathlib import Path

from sandbox.operator import Operator
from sandbox.scene import Scene

TESTS = Path(__file__).parents[1]


class WallClock:
    """What the operator's machine shows; set by writing a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0)

    def set(self, seconds: float) -> None:
        """To so many seconds beside the truth, at once."""
        partial = self.file.with_suffix(".new")
        partial.write_text(str(seconds))
        partial.replace(self.file)


def clocked(scene: Scene, **settings: str) -> WallClock:
    """Give the scene an operator, which is not started yet, under the clock that is returned."""
    clock = WallClock(scene.sandbox.folder / "clock")
    environment = scene.sandbox.operator_environment(PYTHONPATH=str(TESTS), **settings)
    command = ("-m", "sandbox.stepping", str(clock.file))
    scene.operator = Operator(environment, scene.sandbox.folder, command=command)
    return clock
