"""Looking for a promise that a mutant breaks: `make state-space` asks it of every mutant of `model.mutants`.

Rules are pure, so that a mutant can only break something in a world in which it decides otherwise
at something that is seen there. The right rules walk these worlds once; of a mutant only those
worlds are walked that hold such an observation.
"""

from __future__ import annotations

from dataclasses import replace

from aop.observed import Observed
from aop.plan import next_step
from aop.steps import Step
from model.decisions import Decisions
from model.explore import explore
from model.mutants import Mutant
from model.observation import Observation
from model.real import abstract_step, realise
from model.settings import (
    AT_REST,
    BEFORE_US,
    FRESH,
    SECOND_ARRIVES,
    SETTINGS,
    TWO_ORIGINS,
    more_hosts,
    undisturbed,
)
from model.world import A

NEIGHBOURLY = (
    "two hosts, at one of them a page of somebody's answers for ever",
    "two hosts, one of them refuses by itself for ever",
    "rotation, at one of two required hosts a page of somebody's answers",
    "two required hosts, one of them comes to refuse by itself",
    "two required hosts, one of them comes to arrive without a certificate",
    "two required hosts, the name of one of them is too long",
    "somebody's line keeps the controllers from taking any text, during onboarding",
    "somebody's line keeps the controllers from taking any text, during a rotation",
    "somebody's line keeps the controllers from taking any text, during a removal",
    "a pod is cut off during a removal",
    "a pod was cut off during a rotation, and the edge stops presenting",
)
"""Worlds of the walk that are small as they are."""
WORLDS = (
    *(
        SETTINGS[name]
        for name in (
            "onboarding, removed on the way",
            "onboarding, the edge keeps its connections",
            "onboarding, the pods are replaced to take up a text",
            "removal",
        )
    ),
    undisturbed("onboarding, old workers linger", FRESH, "remove timeout", linger=True),
    undisturbed("rotation", AT_REST, "rotate once timeout"),
    undisturbed("rotation, the edge keeps its connections", AT_REST, "rotate once", pooled=True),
    undisturbed(
        "rotation of a referenced Secret, and back", AT_REST, "rotate once revert", generate=False
    ),
    undisturbed("edits of the spec", AT_REST, "spec suspend consent retain remove"),
    undisturbed("onboarding, edited on the way", FRESH, "spec suspend"),
    undisturbed(
        "the referenced leaf was there before us",
        BEFORE_US,
        "rotate once revert remove",
        generate=False,
        before=A,
    ),
    undisturbed("drift at Cloudflare", AT_REST, "zone certificates ssl hiccup", 1),
    undisturbed("drift at Cloudflare during onboarding", FRESH, "certificates", 1),
    undisturbed("drift in the cluster", AT_REST, "configmap secret record", 1),
    undisturbed("drift of a referenced Secret", AT_REST, "secret", 2, generate=False),
    undisturbed("texts are rejected", (AT_REST, FRESH), "reject", 1),
    undisturbed("something else is wrong", (AT_REST, FRESH), "ill", 1),
    undisturbed("pods are lost", (AT_REST, FRESH), "pods", 1),
    undisturbed("access is lost", AT_REST, "token remove zone", 1),
    undisturbed("leaves expire", AT_REST, "expiry", 2),
    undisturbed("referenced leaves expire", AT_REST, "expiry rotate once", 1, generate=False),
    undisturbed("the edge falls silent", AT_REST, "silence hiccup", 1),
    undisturbed("removal in trouble", AT_REST, "remove configmap certificates record", 1),
    SETTINGS["a foreign certificate is presented before us"],
    undisturbed(
        "two hosts, one of them DNS-only", more_hosts(FRESH, 2), "remove", hosts=("edge", "direct")
    ),
    undisturbed("two origins", TWO_ORIGINS, "origins"),
    undisturbed("two zones, the second arrives", SECOND_ARRIVES, ""),
    undisturbed("onboarding, answers are lost", FRESH, "late remove"),
    undisturbed("rotation, answers are lost", AT_REST, "rotate once late"),
    undisturbed("rotation, a replaced process lives on", AT_REST, "rotate once zombie crash"),
    *(SETTINGS[name] for name in NEIGHBOURLY),
    undisturbed("the annotations are full", AT_REST, "full hiccup", 2),
    undisturbed("a pod is cut off during a rotation", AT_REST, "cut rotate once", 1),
    undisturbed("our text is marred", AT_REST, "mar hiccup", 2),
    undisturbed("a tool puts its text back", AT_REST, "tool", 1),
    undisturbed("a tenant forges our answers", FRESH, "forged", 1),
    undisturbed("a source cannot be read any more", AT_REST, "unlisted hiccup", 2),
    undisturbed("the key pair cannot be read any more", AT_REST, "unkeyed hiccup", 2),
    undisturbed("the edge falls silent during onboarding", FRESH, "silence", 2),
    SETTINGS["texts are rejected during onboarding, and mended elsewhere"],
)
"""Smaller than those of the walk, so that each can be walked to its end, and what never happens is
found as well as what happens."""
LIMIT = 15_000
"""States of one world that a mutant is looked for in; a mutant may make it larger than it is."""
Looks = dict[Observation, tuple[Observed, Step]]
"""What is seen in one world, and what the right rules do there."""


def seen_in(at: int) -> Looks:
    """Every observation of one of `WORLDS`."""
    decisions = Decisions()
    result = explore(WORLDS[at], decisions, limit=LIMIT)
    if result.violations:
        raise AssertionError(
            f"the right rules break {', '.join(result.violations)} in {result.name}: nothing is caught there"
        )
    observed = ((observation, realise(observation)) for observation in decisions.memory)
    return {observation: (o, next_step(o)) for observation, o in observed}


class WalkedWorlds:
    """The worlds in which mutants are looked for, as the right rules have walked them."""

    def __init__(self, seen: list[Looks]) -> None:
        self.seen = seen

    def caught(self, mutant: Mutant) -> tuple[str, str] | None:
        """The first world and promise that the mutant breaks."""
        decisions = Decisions(mutant.protect, mutant.rules, mutant.teardown, mutant.eyes)
        alike: set[Observation] = set()
        for world, looks in zip(WORLDS, self.seen, strict=True):
            if mutant.where and mutant.where != world.name:
                continue
            if not mutant.world and not any(
                self.differs(mutant, observation, look, alike)
                for observation, look in looks.items()
            ):
                continue
            result = explore(replace(world, **mutant.world), decisions, stop=True, limit=LIMIT)
            if result.violations:
                return world.name, next(iter(result.violations))
        return None

    @staticmethod
    def differs(
        mutant: Mutant,
        observation: Observation,
        look: tuple[Observed, Step],
        alike: set[Observation],
    ) -> bool:
        """Whether the mutant does something else at one observation."""
        if observation in alike:
            return False
        o, right = look
        step = next_step(
            mutant.eyes(o) if mutant.eyes else o, mutant.protect, mutant.rules, mutant.teardown
        )
        if step != right and abstract_step(step, observation, o) != abstract_step(
            right, observation, o
        ):
            return True
        alike.add(observation)
        return False
