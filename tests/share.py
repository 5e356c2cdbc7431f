"""Which of the tests that take long are run: all, or a share that a word chooses, the same one again for the same word. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import ceil

SHARED = ("system", "faults", "install")
"""Folders that a share is taken of."""
BY_TEST = frozenset({"faults"})
"""Folders whose tests stand alone; of the others whole files are taken, because the tests of a file
share what they start."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of `parts` equal parts, as `word` has it. One part is everything."""

    parts: int = 1
    word: str = ""

    def __str__(self) -> str:
        return f"{self.parts}:{self.word}" if self.parts > 1 else "all"

    def kept(self, folders: Mapping[str, str]) -> frozenset[str]:
        """The tests that run, of tests and their folders, by node id (`FILE::NAME`). At least one unit of each shared folder stays."""
        units: dict[str, set[str]] = {}
        for test, folder in folders.items():
            if folder in SHARED:
                units.setdefault(folder, set()).add(unit(test, folder))
        chosen = {
            one
            for nodeids in units.values()
            for one in sorted(nodeids, key=self._rank)[: ceil(len(nodeids) / self.parts)]
        }
        return frozenset(
            test
            for test, folder in folders.items()
            if folder not in SHARED or unit(test, folder) in chosen
        )

    def _rank(self, unit: str) -> str:
        return sha256(f"{self.word} {unit}".encode()).hexdigest()


def unit(test: str, folder: str) -> str:
    """What is taken or left as a whole."""
    return test if folder in BY_TEST else test.partition("::")[0]


def of(text: str) -> Share:
    """A share as it is written on the command line. Raises ValueError if it is not one."""
    if text == "all":
        return Share()
    parts, _, word = text.partition(":")
    if not word or int(parts) < 1:
        raise ValueError(f"--share is 'all' or 'N:WORD' with N of 1 or more, not {text!r}")
    return Share(int(parts), word)
