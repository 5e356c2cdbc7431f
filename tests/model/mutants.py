"""The rules with one thing wrong: generated from the tuples, and by hand for the mistakes that people make.

Each is walked through a few worlds until a promise breaks. What breaks none stands in `SURVIVORS` with the reason why it is harmless;
one that stands nowhere fails the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

from aop.observed import Configured, Observed, ObservedZone
from aop.plan import PROTECT, RULES, TEARDOWN, Rule
from aop.steps import Step, Wait
from model.explore import explore
from model.mind import Mind
from model.settings import SETTINGS

CALM_WORLDS = (
    "onboarding, removed on the way",
    "removal",
    "rotation",
    "onboarding, old workers linger",
    "onboarding, the edge keeps its connections",
    "rotation, the edge keeps its connections",
    "onboarding, enabled before us without a certificate",
)
TROUBLED_WORLDS = (
    "something else is wrong",
    "drift in the cluster",
    "access is lost",
    "leaves expire",
    "texts are rejected",
    "drift at Cloudflare",
    "a foreign certificate is presented before us",
    "removal in trouble",
    "edits of the spec",
    "onboarding, answers are lost",
    "two origins",
    "two zones, the second arrives",
)
WORLDS = (*CALM_WORLDS, *TROUBLED_WORLDS)
LIMIT = 4000
"""States of one world that a mutant is looked for in."""


@dataclass(frozen=True)
class Mutant:
    """Rules, or a model of what carries them out, with one mistake."""

    name: str
    protect: tuple[Rule, ...] = PROTECT
    rules: tuple[Rule, ...] = RULES
    teardown: tuple[Rule, ...] = TEARDOWN
    eyes: Callable[[Observed], Observed] | None = None
    world: dict[str, Any] = field(default_factory=dict)
    """Fields of the setting that differ."""


TUPLES = {"protect": PROTECT, "rules": RULES, "teardown": TEARDOWN}


def without_waiting(rule: Rule) -> Rule:
    """The rule, with nothing where it would wait."""

    @wraps(rule)
    def hasty(o: Observed) -> Step | None:
        step = rule(o)
        return None if isinstance(step, Wait) else step

    return hasty


def generated() -> Iterator[Mutant]:
    """Each rule dropped, each adjacent pair swapped, each rule's `Wait` answered with nothing."""
    for where, rules in TUPLES.items():
        for at, rule in enumerate(rules):
            name = rule.__name__
            yield Mutant(f"{name} is dropped", **{where: (*rules[:at], *rules[at + 1 :])})  # type: ignore[arg-type]  # names of tuples
            yield Mutant(f"{name} never waits", **{where: (*rules[:at], without_waiting(rule), *rules[at + 1 :])})  # type: ignore[arg-type]
            if at:
                before = rules[at - 1].__name__
                swapped = (*rules[: at - 1], rule, rules[at - 1], *rules[at + 1 :])
                yield Mutant(f"{name} comes before {before}", **{where: swapped})  # type: ignore[arg-type]


def judged_by_the_config_map(o: Observed) -> Observed:
    """Whatever is published is taken for applied."""
    origins = []
    for origin in o.origins:
        found = origin.configured
        if isinstance(found, Configured) and found.claim is not None and isinstance(origin.replicas, tuple):
            claim = found.claim
            hosts = tuple(
                replace(b, mode=claim.at(b.host), accepts=frozenset(p.sha256 for p in claim.pins), refuses=frozenset())
                for b in (origin.replicas[0].hosts if origin.replicas else ())
            )
            replicas = tuple(replace(r, revision=found.revision, settled=True, hosts=hosts) for r in origin.replicas)
            origin = replace(origin, replicas=replicas)  # noqa: PLW2901 - the origin, seen wrongly
        origins.append(origin)
    return replace(o, origins=tuple(origins))


def one_replica_is_enough(o: Observed) -> Observed:
    """Only the replica that is furthest is looked at."""
    best = []
    for origin in o.origins:
        if isinstance(origin.replicas, tuple) and origin.replicas:
            origin = replace(origin, replicas=(max(origin.replicas, key=lambda r: (r.revision or 0, r.settled)),))  # noqa: PLW2901 - as above
        best.append(origin)
    return replace(o, origins=tuple(best))


def the_list_is_believed_at_once(o: Observed) -> Observed:
    """What is not listed is taken for gone."""
    return replace(o, still=True)


def the_first_in_the_list(o: Observed) -> Observed:
    """The oldest certificate is taken for the newest."""
    return replace(o, zone=replace(o.zone, certificates=o.zone.certificates[::-1])) if isinstance(o.zone, ObservedZone) else o


def silence_is_loss(o: Observed) -> Observed:
    """A host without an answer is taken for one that presents nothing."""
    return replace(o, evidence=tuple(replace(e, presented=None, count=0, recent=()) if e.silence else e for e in o.evidence))


def relaxing_behind_eligibility() -> Mutant:
    """Loss is looked at only where the zone is eligible."""
    at = next(i for i, rule in enumerate(RULES) if rule.__name__ == "origins_answer")
    return Mutant("relaxing stands behind eligibility", protect=(PROTECT[0], *PROTECT[2:]), rules=(*RULES[:at], PROTECT[1], *RULES[at:]))


BY_HAND = (
    Mutant("judged by the ConfigMap instead of by the replicas", eyes=judged_by_the_config_map),
    Mutant("one replica is enough", eyes=one_replica_is_enough),
    Mutant("the list is believed at once", eyes=the_list_is_believed_at_once),
    Mutant("the first in the list is taken for the newest", eyes=the_first_in_the_list),
    Mutant("written without resourceVersion", world={"lock": False}),
    Mutant("a reload does not flush sessions", world={"flush": False}),
    Mutant("a proof outlives a change at Cloudflare", world={"begin_again": False}),
    Mutant("stillness is shorter than a request", world={"patient": False}),
    relaxing_behind_eligibility(),
)


def caught_by(mutant: Mutant, limit: int = LIMIT) -> tuple[str, str] | None:
    """The first world and promise that the mutant breaks."""
    mind = Mind(mutant.protect, mutant.rules, mutant.teardown, mutant.eyes)
    for name in WORLDS:
        result = explore(replace(SETTINGS[name], **mutant.world), mind, stop=True, limit=limit)
        if result.violations:
            return name, next(iter(result.violations))
    return None


SURVIVORS: dict[str, str] = {}
