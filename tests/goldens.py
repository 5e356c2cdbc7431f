"""What a person reads of `kubectl aop`, held in tests/golden/kubectl: `make golden` writes the files anew, and a reviewer reads what has changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aop.kubectl.wording import WIDTH

GOLDEN = Path(__file__).parent / "golden" / "kubectl"
IN_PARAGRAPHS = ("status", "explain", "preflight")
"""Commands whose every line fits the width."""


def golden(name: str, lines: Sequence[str]) -> None:
    """`lines` read as the file says, and fit the width."""
    file, text = GOLDEN / f"{name}.txt", "\n".join(lines) + "\n"
    if os.environ.get("AOP_UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), (
        f"read the difference, then write it: AOP_UPDATE_GOLDEN=1 {file}"
    )
    paragraphs = lines if name.startswith(IN_PARAGRAPHS) else []
    assert [line for line in paragraphs if len(line) > WIDTH] == []
