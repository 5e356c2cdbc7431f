"""Breadth first over every reachable world: the checks in each, the shortest trace to each violation, and what happens in the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from model.change import forgotten, settled
from model.checks import in_decision, in_rest, in_world
from model.decisions import Decisions
from model.effects import in_step
from model.ends import at_end
from model.moves import FAIR, moves
from model.observation import observe
from model.rendering import described
from model.world import Setting, World, hurt


@dataclass
class Result:
    """What walking one setting has shown."""

    name: str
    expected: frozenset[str] = frozenset()
    states: int = 0
    transitions: int = 0
    longest: int = 0
    """The longest fair path to where nothing moves any more."""
    relief: int = 0
    """K: the most fair moves from a world in which a request is refused to one in which none is."""
    seconds: float = 0.0
    complete: bool = True
    violations: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    """promise: (how often, the shortest trace)."""
    races: dict[str, int] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    pauses: Counter[str] = field(default_factory=Counter)
    """Reasons to pause, by how often they were met."""
    waiting: set[str] = field(default_factory=set)
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def unexpected(self) -> dict[str, tuple[int, list[str]]]:
        """Violations that this world is not known for, and those it is known for that did not show."""
        gone: dict[str, tuple[int, list[str]]] = {
            f"{promise}: expected, and not seen": (0, [])
            for promise in self.expected - self.violations.keys()
        }
        return gone | {
            promise: example
            for promise, example in self.violations.items()
            if promise not in self.expected
        }


class Walk:
    """One walk through one setting."""

    def __init__(
        self,
        setting: Setting,
        decisions: Decisions,
        *,
        stop: bool,
        limit: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.s, self.decisions, self.stop, self.limit, self.progress = (
            setting,
            decisions,
            stop,
            limit,
            progress,
        )
        self.result = Result(setting.name, setting.expected)
        self.ids: dict[World, int] = {}
        self.worlds: list[World] = []
        self.parents: list[tuple[int, str]] = []
        self.fair: list[tuple[int, ...]] = []
        self.acting: set[tuple[int, int]] = set()

    def run(self) -> Result:
        """Walk it all."""
        begun = time.perf_counter()
        for start in self.s.start:
            self.add(settled(start), -1, f"start: {self.s.name}")
        at = 0
        while at < len(self.worlds):
            self.visit(at)
            at += 1
            if self.progress and at % 20000 == 0:
                self.progress(at)
            if at >= self.limit or (self.stop and self.result.violations):
                break
        self.result.complete = at == len(self.worlds)
        self.result.states = len(self.worlds)
        if self.result.complete:
            self.ends()
        self.result.fired = self.decisions.fired
        self.result.pauses = self.decisions.pauses
        self.result.waiting = self.decisions.waiting
        self.result.seconds = time.perf_counter() - begun
        return self.result

    def add(self, w: World, source: int, line: str) -> int:
        """The number of a world; a new one is queued."""
        if (at := self.ids.get(w)) is None:
            at = self.ids[w] = len(self.worlds)
            self.worlds.append(w)
            self.parents.append((source, line))
        return at

    def visit(self, at: int) -> None:
        """Everything that can happen in one world."""
        w, fair, busy = self.worlds[at], [], False
        for promise, detail in in_world(w, self.s):
            self.broken(promise, detail, at)
        for kind, line, after in moves(w, self.s, self.decisions):
            to = self.add(after, at, line)
            self.result.transitions += 1
            self.result.happened[line.partition(": ")[0] + ": " if kind == "see" else line] += 1
            if kind in FAIR:
                fair.append(to)
            if kind == "see":
                busy = True
                self.decided(at, w, after)
            if kind == "act":
                busy = True
                self.acted(at, w, after, line)
                if not line.endswith("refused"):
                    self.acting.add((at, to))
        self.fair.append(tuple(fair))
        if not busy:
            self.rested(at, w)

    def rested(self, at: int, w: World) -> None:
        """Checks of a world in which the operator has nothing to do."""
        for z, zone in enumerate(w.zones):
            if not zone.gone and self.decisions.decide(observe(w, z, self.s))[0][0] == "Done":
                for promise, detail in in_rest(w, z, self.s):
                    self.broken(promise, detail, at)

    def decided(self, at: int, w: World, after: World) -> None:
        """Checks of a decision."""
        for z, (before, zone) in enumerate(zip(w.zones, after.zones, strict=True)):
            if zone.plan is not None and before.plan is None:
                for promise, detail in in_decision(w, z, zone.plan, self.s):
                    self.broken(promise, detail, at)

    def acted(self, at: int, w: World, after: World, line: str) -> None:
        """Checks of an effect."""
        for z, (before, zone) in enumerate(zip(w.zones, after.zones, strict=True)):
            if before.plan is not None and zone.plan is None:
                self.result.steps[before.plan.step[0]] += 1
                for promise, detail in in_step(
                    w, z, before.plan, after, self.s, self.decisions, self.result.races
                ):
                    self.broken(promise, detail, at, line)

    def broken(self, promise: str, detail: str, at: int, *more: str) -> None:
        """Count a violation; the first is the shortest, since the walk is breadth first."""
        count, trace = self.result.violations.get(promise, (0, []))
        self.result.violations[promise] = (
            count + 1,
            trace
            or [
                *self.trace(at),
                *more,
                f"=> {promise}: {detail}",
                f"   {described(self.worlds[at])}",
            ],
        )

    def trace(self, at: int) -> list[str]:
        """The shortest way to a world, one line per move."""
        lines = []
        while at >= 0:
            at, line = self.parents[at]
            lines.append(line)
        return lines[::-1]

    def ends(self) -> None:
        """T6: fairness leads to the goal or to a true reason, and never in a circle; K."""
        component = self.components()
        size = Counter(component)
        open_ended = {
            component[at]
            for at, after in enumerate(self.fair)
            if any(component[to] != component[at] for to in after)
        }
        circles: dict[int, int] = {}
        for at, after in enumerate(self.fair):
            inside = [to for to in after if component[to] == component[at]]
            if any((at, to) in self.acting for to in inside):
                circles.setdefault(component[at], at)
            elif inside and component[at] not in open_ended:
                self.broken(
                    "T6 it tries for ever what changes nothing", f"{size[component[at]]} worlds", at
                )
        for number, at in circles.items():
            if not self.is_left(number, component):
                self.broken("T6 it goes in circles", f"{size[number]} worlds", at)
        height, relief = [0] * len(self.worlds), [0] * len(self.worlds)
        bad = [
            not self.s.quiet and any(hurt(w, z, self.s) for z in range(len(w.zones)))
            for w in self.worlds
        ]
        # Components are numbered in the order in which they are finished: what follows has a
        # smaller number.
        for at in sorted(range(len(self.worlds)), key=component.__getitem__):
            height[at] = max(
                (height[to] + 1 for to in self.fair[at] if component[to] != component[at]),
                default=0,
            )
            if bad[at]:
                relief[at] = max(
                    (relief[to] + 1 for to in self.fair[at] if component[to] != component[at]),
                    default=0,
                )
            if not self.fair[at]:
                self.end(at)
        self.result.longest, self.result.relief = max(height, default=0), max(relief, default=0)

    def is_left(self, number: int, component: list[int]) -> bool:
        """Whether a circle cannot last: by a decision in one of its worlds, or by what is under way in all of them and leads out of it.

        The operator looks again and again at moments that nobody chooses; what is under way
        finishes, whatever is done meanwhile.
        """
        always: set[str] | None = None
        for at in (at for at, belongs_to in enumerate(component) if belongs_to == number):
            out = [
                (kind, line)
                for kind, line, after in moves(self.worlds[at], self.s, self.decisions)
                if kind in FAIR and component[self.ids[after]] != number
            ]
            if any(kind == "see" for kind, _ in out):
                return True
            lines = {
                "answers come" if "answer" in line else line for kind, line in out if kind == "now"
            }
            always = lines if always is None else always & lines
        return bool(always)

    def end(self, at: int) -> None:
        """Checks of a world in which nothing moves by itself."""
        w = self.worlds[at]
        for z, zone in enumerate(w.zones):
            if not zone.gone:
                step = self.decisions.decide(observe(w, z, self.s))[0]
                if step[0] in {"Wait", "Block"}:
                    self.result.reasons[f"{step[0]} {step[1]}"] += 1
            for promise, detail in at_end(w, z, self.s, self.decisions):
                self.broken(promise, detail, at)
        if "crash" in self.s.moves:
            self.restarted(at)

    def restarted(self, at: int) -> None:
        """T6: a restart where nothing moves writes nothing."""
        again = self.worlds[at]
        for z in range(len(again.zones)):
            again = forgotten(again, z)
        frontier, seen = {self.ids[again]} if again in self.ids else set(), set()
        while frontier:
            n = frontier.pop()
            seen.add(n)
            if any((n, to) in self.acting for to in self.fair[n]):
                plans = [zone.plan for zone in self.worlds[n].zones if zone.plan]
                self.broken("T6 a restart where nothing moved writes something", str(plans), at)
                return
            frontier |= set(self.fair[n]) - seen

    def components(self) -> list[int]:  # noqa: C901 - one algorithm
        """Strongly connected components of the fair graph (Tarjan, iterative), numbered in the order in which they are finished."""
        count = len(self.fair)
        order, low, component = [0] * count, [0] * count, [-1] * count
        on_stack, stack, clock, components = bytearray(count), [], 0, 0
        for root in range(count):
            if order[root]:
                continue
            work = [(root, iter(self.fair[root]))]
            clock += 1
            order[root] = low[root] = clock
            stack.append(root)
            on_stack[root] = 1
            while work:
                node, following = work[-1]
                for to in following:
                    if not order[to]:
                        clock += 1
                        order[to] = low[to] = clock
                        stack.append(to)
                        on_stack[to] = 1
                        work.append((to, iter(self.fair[to])))
                        break
                    if on_stack[to]:
                        low[node] = min(low[node], order[to])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == order[node]:
                        while True:
                            member = stack.pop()
                            on_stack[member] = 0
                            component[member] = components
                            if member == node:
                                break
                        components += 1
        return component


def explore(
    setting: Setting,
    decisions: Decisions | None = None,
    *,
    stop: bool = False,
    limit: int = 3_000_000,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Walk every world of one setting."""
    return Walk(setting, decisions or Decisions(), stop=stop, limit=limit, progress=progress).run()
