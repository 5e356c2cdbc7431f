"""Everything that can happen next in a world."""

from __future__ import annotations

from collections.abc import Iterator

from model.change import consequences
from model.fair import finishing
from model.meddle import meddling, using
from model.mind import Mind
from model.operate import Move, operated
from model.world import Setting, World

FAIR = frozenset({"see", "act", "now"})


def moves(w: World, s: Setting, mind: Mind) -> Iterator[Move]:
    """Every move, with what follows from it at once."""
    for z in range(len(w.zones)):
        yield from after(w, operated(w, z, s, mind), s)
    yield from after(w, finishing(w, s), s)
    yield from after(w, using(w, s), s)
    yield from after(w, meddling(w, s), s)


def after(w: World, possible: Iterator[Move], s: Setting) -> Iterator[Move]:
    """Moves that change something."""
    for kind, line, world in possible:
        following = consequences(w, world, s)
        if following != w:
            yield kind, line, following
