"""`make state-space`: every world, then every mutant; two processes, a line for each as it ends."""

from __future__ import annotations

import gc
import sys
import time
from multiprocessing import get_context

from model.explore import Result, explore
from model.mind import Decision, Mind
from model.mutants import BY_HAND, LIMIT, SURVIVORS, Mutant, caught_by, generated
from model.settings import SETTINGS
from model.sight import Sight
from model.vacuity import unmet

STATES = 400_000
"""Of one world, so that a mistake in the model ends; no world has as many, and one that is cut off fails the run."""
REMEMBERED: dict[Sight, Decision] = {}
"""What the rules answered in the worlds that this process has walked: they are pure, so that a sight is decided once."""
MUTANTS: tuple[Mutant, ...] = (*generated(), *BY_HAND)


def walk(name: str) -> Result:
    """One world."""
    return explore(SETTINGS[name], Mind(memory=REMEMBERED), limit=STATES)


def hunt(at: int) -> tuple[str, tuple[str, str] | None]:
    """One mutant."""
    return MUTANTS[at].name, caught_by(MUTANTS[at], LIMIT)


def said(result: Result) -> str:
    """One world's line."""
    ends = f"longest path {result.longest}, relief {result.relief}" if result.complete else "CUT OFF"
    broken, known = len(result.unexpected), len(result.violations) - len(result.unexpected)
    also = f" ({known} more that no rule can see, docs/adr/0010)" if known else ""
    return f"{result.name}: states {result.states}, transitions {result.transitions}, violations {broken}{also}, {ends}"


def walked(results: list[Result]) -> int:
    """Tell what all worlds came to; the number of promises broken."""
    for result in results:
        for promise, (count, trace) in result.unexpected.items():
            print(f"\n{result.name}: {promise} ({count} times)", *trace, sep="\n    ")
    return sum(len(result.unexpected) for result in results)


def main() -> int:
    """Walk, hunt, tell; 0 only if nothing broke, nothing is vacuous, and every mutant is caught or explained."""
    begun = time.monotonic()
    gc.disable()  # a walk makes millions of tuples and no cycles
    with get_context("fork").Pool(2) as pool:
        results: list[Result] = []
        for result in pool.imap_unordered(walk, SETTINGS):
            results.append(result)
            print(f"[{time.monotonic() - begun:4.0f} s] {said(result)}", flush=True)
        broken, missing = walked(results), unmet(results)
        survivors, waiting = [], {rule for result in results for rule in result.waiting}
        hunted = [at for at, mutant in enumerate(MUTANTS) if not mutant.hasty or mutant.hasty in waiting]
        for name, found in pool.imap_unordered(hunt, hunted):
            fate = f"breaks {found[1]!r} in {found[0]!r}" if found else f"survives: {SURVIVORS.get(name, 'NO REASON IS KNOWN')}"
            survivors += [] if found else [name]
            print(f"[{time.monotonic() - begun:4.0f} s] mutant: {name}: {fate}", flush=True)
    unexplained = [name for name in survivors if name not in SURVIVORS]
    mutations = len(hunted) - (len(survivors) - len(unexplained))
    print(*(f"never fired: {what}" for what in missing), *(f"survives without a reason: {name}" for name in unexplained), sep="\n")
    states, transitions = sum(r.states for r in results), sum(r.transitions for r in results)
    print(f"states {states}, transitions {transitions}, violations {broken}, longest path to goal {max(r.longest for r in results)}")
    print(f"mutations {mutations}, caught {mutations - len(unexplained)}")
    cut = [r.name for r in results if not r.complete]
    return int(bool(broken or cut or missing or unexplained or states < 200_000 or mutations < 40))


if __name__ == "__main__":
    sys.exit(main())
