"""Everything that can happen next in a world."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model.change import consequences
from model.decisions import Decisions
from model.interference import meddling, using
from model.operate import Move, operated
from model.progress import finishing
from model.world import Setting, World

FAIR = frozenset({"see", "act", "now"})


def moves(w: World, s: Setting, decisions: Decisions) -> Iterator[Move]:
    """Every move, with what follows from it at once."""
    resting = set()
    for z in range(len(w.zones)):
        acts = tuple(operated(w, z, s, decisions))
        resting |= set() if acts else {z}
        yield from after(w, acts, s)
    yield from after(w, finishing(w, s, frozenset(resting)), s)
    yield from after(w, using(w, s), s)
    yield from after(w, meddling(w, s), s)


def after(w: World, possible: Iterable[Move], s: Setting) -> Iterator[Move]:
    """Moves that change something."""
    for kind, line, world in possible:
        following = consequences(w, world, s)
        if following != w:
            yield kind, line, following
