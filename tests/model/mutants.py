"""The rules with one thing wrong: generated from the tuples, and by hand for the mistakes that people make.

`model.hunt` walks each through a few worlds until a promise breaks. What breaks none stands in `SURVIVORS` with the reason why it is
harmless; one that stands nowhere fails the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

from aop.observed import Configured, Observed, ObservedZone
from aop.plan import PROTECT, RULES, TEARDOWN, Rule
from aop.steps import Step, Wait


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
    hasty: str = ""
    """The rule that does not wait any more; where it never did, this is no mutation."""


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
            hasty = (*rules[:at], without_waiting(rule), *rules[at + 1 :])
            yield Mutant(f"{name} never waits", **{where: hasty}, hasty=name)  # type: ignore[arg-type]  # as above
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


SURVIVORS: dict[str, str] = {
    "no_origin_refuses_the_edge comes before rejected_text_is_withdrawn": "both only make milder, and the other one answers at the next look",
    "no_requirement_outlives_its_leaf comes before no_origin_refuses_the_edge": "both only make milder; what one leaves, the other one sees",
    "enforcement_is_not_exceeded comes before no_requirement_outlives_its_leaf": "both only make milder; what one leaves, the other one sees",
    "what_was_found_is_recorded comes before finalizer_is_set": "the note stands on the object itself, and goes with it",
    "spec_is_acceptable comes before what_was_found_is_recorded": "what is not acceptable has had no effect that a note must precede",
    "spec_is_acceptable never waits": "an unreadable Secret is only said early: what needs the key pair waits for it all the same",
    "zone_is_ours comes before spec_is_acceptable": "both only stand still; only the words differ",
    "zone_is_eligible comes before zone_is_ours": "both only stand still; only the words differ",
    "zone_is_eligible never waits": "a zone that cannot be read is waited for by cloudflare_holds_certificate, with the same reason",
    "origins_are_eligible comes before zone_is_eligible": "both only stand still; only the words differ",
    "origins_answer never waits": "the rules that publish anything stricter wait for the replicas and for the edge by themselves",
    "origins_accept_what_comes_next comes before key_pair_exists": "a new leaf is pinned at the next look, still before it is uploaded",
    "cloudflare_holds_certificate comes before origins_accept_what_comes_next": "the record names a leaf before its upload, and PROTECT pins "
    "what the record names where replicas refuse it",
    "origins_ask never waits": "origins_answer has waited for the replicas before",
    "origins_require comes before hosts_are_proven": "it requires proven hosts only, of which there are none when the other one answers",
    "strangers_are_refused is dropped": "origins_answer has waited for the same before; the rule says what is true here",
    "strangers_are_refused comes before origins_require": "as it never answers",
    "retired_certificates_are_gone comes before strangers_are_refused": "as it never answers",
    "our_certificates_are_gone comes before zone_is_as_found": "nobody is refused any more, whatever the zone presents or does not",
    "origins_are_as_found comes before our_certificates_are_gone": "our claim is at Off on every replica: taking it out refuses nobody",
    "dropped_origins_are_as_found comes before retired_certificates_are_gone": "an origin that has left the spec neither trusts nor refuses",
}
"""Each with the reason why it is harmless. One that is caught after all, or is not hunted, fails the run: it does not belong here."""
