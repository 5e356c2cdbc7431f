"""`make state-space`: every world, then every mutant; two processes, a line for each as it ends."""

from __future__ import annotations

import gc
import sys
import time
from multiprocessing import get_context

from model.decisions import Decision, Decisions
from model.explore import Result, explore
from model.mutants import BY_HAND, SURVIVORS, Mutant, generated
from model.mutation import WORLDS, WalkedWorlds, seen_in
from model.observation import Observation
from model.settings import SETTINGS
from model.vacuity import unmet

STATES = 400_000
"""Of one world, so that a mistake in the model ends; no world has as many, and one that is cut off
fails the run."""
REMEMBERED: dict[Observation, Decision] = {}
"""What the rules answered in the worlds that this process has walked: they are pure, so that
an observation is decided once."""
GROUND: list[WalkedWorlds] = []
"""What the processes that walk mutants inherit."""
MUTANTS: tuple[Mutant, ...] = (*generated(), *BY_HAND)


def walk(name: str) -> Result:
    """One world."""
    return explore(SETTINGS[name], Decisions(memory=REMEMBERED), limit=STATES)


def first_breach(at: int) -> tuple[str, tuple[str, str] | None]:
    """One mutant."""
    return MUTANTS[at].name, GROUND[0].caught(MUTANTS[at])


def summary(result: Result) -> str:
    """One world's line."""
    ends = (
        f"longest path {result.longest}, relief {result.relief}" if result.complete else "CUT OFF"
    )
    broken, known = len(result.unexpected), len(result.violations) - len(result.unexpected)
    also = f" ({known} more that no rule can see, docs/adr/0010, 0012 and 0018)" if known else ""
    return f"{result.name}: states {result.states}, transitions {result.transitions}, violations {broken}{also}, {ends}"


def walked(results: list[Result]) -> int:
    """Tell what all worlds came to; the number of promises broken."""
    for result in results:
        for promise, (count, trace) in result.unexpected.items():
            print(f"\n{result.name}: {promise} ({count} times)", *trace, sep="\n    ")
    return sum(len(result.unexpected) for result in results)


def main() -> int:
    """Walk the worlds and the mutants, and report; 0 only if nothing broke, nothing is vacuous, and every mutant is caught or explained."""
    begun = time.monotonic()
    gc.disable()  # a walk makes millions of tuples and no cycles
    results: list[Result] = []
    with get_context("fork").Pool(2) as pool:
        for result in pool.imap_unordered(
            walk, reversed(SETTINGS)
        ):  # the largest are among the last, and would end alone
            results.append(result)
            print(f"[{time.monotonic() - begun:4.0f} s] {summary(result)}", flush=True)
        broken, missing = walked(results), unmet(results)
        GROUND.append(WalkedWorlds(pool.map(seen_in, range(len(WORLDS)), chunksize=1)))
    mutations = caught = 0
    mutants = tried(results)
    wrong = [
        f"explained, and no mutant: {name}"
        for name in SURVIVORS
        if name not in {MUTANTS[at].name for at in mutants}
    ]
    with get_context("fork").Pool(2) as pool:
        for name, breach in pool.imap_unordered(first_breach, mutants):
            print(
                f"[{time.monotonic() - begun:4.0f} s] mutant: {name}: {fate(name, breach)}",
                flush=True,
            )
            mutations += breach is not None or name not in SURVIVORS
            caught += breach is not None
            wrong += (
                []
                if (breach is None) == (name in SURVIVORS)
                else [f"mutant: {name}: {fate(name, breach)}"]
            )
    cut = [f"cut off: {result.name}" for result in results if not result.complete]
    print(
        *(
            [f"never fired: {what}" for what in missing] + cut + wrong
            or ["all fired, no world was cut off, every survivor is explained"]
        ),
        sep="\n",
    )
    states, transitions = sum(r.states for r in results), sum(r.transitions for r in results)
    print(
        f"states {states}, transitions {transitions}, violations {broken}, longest path to goal {max(r.longest for r in results)}"
    )
    print(f"mutations {mutations}, caught {caught}")
    return int(bool(broken or cut or missing or wrong or states < 200_000 or mutations < 40))


def tried(results: list[Result]) -> list[int]:
    """The mutants; a rule that has never waited cannot be without its waiting."""
    waiting = {rule for result in results for rule in result.waiting}
    return [at for at, mutant in enumerate(MUTANTS) if not mutant.hasty or mutant.hasty in waiting]


def fate(name: str, breach: tuple[str, str] | None) -> str:
    """What became of one mutant."""
    if breach is None:
        return f"survives: {SURVIVORS.get(name, 'NO REASON IS KNOWN')}"
    return f"breaks {breach[1]!r} in {breach[0]!r}" + (
        ", although SURVIVORS calls it harmless: take it out there" if name in SURVIVORS else ""
    )


if __name__ == "__main__":
    sys.exit(main())
