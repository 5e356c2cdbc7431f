"""The rules with one thing wrong: generated from the tuples, and by hand for the mistakes that people make.

`model.mutation` walks each through a few worlds until a promise breaks. What breaks none stands in
`SURVIVORS` with the reason why it is harmless; one that stands nowhere fails the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

from aop.errors import Reason
from aop.observed import (
    Configured,
    Observed,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Unknown,
)
from aop.plan import PROTECT, RULES, TEARDOWN, Rule
from aop.plan.claims import runs_our_claim
from aop.plan.facts import configured, replicas
from aop.plan.protect import no_origin_refuses_the_edge
from aop.steps import Block, Note, Publish, Step, Wait
from aop.terms import Mode


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
    where: str = ""
    """The only world to look in, where the mistake is one that no rule can see; empty: all."""
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
        published = origin.configured
        if (
            isinstance(published, Configured)
            and published.claim is not None
            and isinstance(origin.replicas, tuple)
        ):
            claim = published.claim
            hosts = tuple(
                replace(
                    b,
                    mode=claim.at(b.host),
                    accepts=frozenset(p.sha256 for p in claim.pins),
                    refuses=frozenset(),
                )
                for b in (origin.replicas[0].hosts if origin.replicas else ())
            )
            replicas = tuple(
                replace(r, revision=published.revision, settled=True, hosts=hosts)
                for r in origin.replicas
            )
            origin = replace(origin, replicas=replicas)  # noqa: PLW2901 - the origin, seen wrongly
        origins.append(origin)
    return replace(o, origins=tuple(origins))


def one_replica_is_enough(o: Observed) -> Observed:
    """Only the replica that is furthest is looked at."""
    best = []
    for origin in o.origins:
        if isinstance(origin.replicas, tuple) and origin.replicas:
            furthest = max(origin.replicas, key=lambda r: (r.revision or 0, r.settled))
            best.append(replace(origin, replicas=(furthest,)))
        else:
            best.append(origin)
    return replace(o, origins=tuple(best))


def the_list_is_believed_at_once(o: Observed) -> Observed:
    """What is not listed is taken for gone."""
    return replace(o, still=True)


def the_first_in_the_list(o: Observed) -> Observed:
    """The oldest certificate is taken for the newest."""
    return (
        replace(o, zone=replace(o.zone, certificates=o.zone.certificates[::-1]))
        if isinstance(o.zone, ObservedZone)
        else o
    )


# --- what others do beside us: each of these was so once --------------------------------------------------------------------------------


def at_each_origin(
    change: Callable[[ObservedOrigin], ObservedOrigin],
) -> Callable[[Observed], Observed]:
    """Eyes that see every origin differently."""
    return lambda o: replace(o, origins=tuple(map(change, o.origins)))


def at_each_replica(
    change: Callable[[ObservedReplica], ObservedReplica],
) -> Callable[[Observed], Observed]:
    """Eyes that see every replica differently."""
    return at_each_origin(
        lambda origin: replace(origin, replicas=tuple(map(change, replicas(origin))))
    )


def one_odd_host_hides_the_revision(replica: ObservedReplica) -> ObservedReplica:
    """The first host that is asked speaks for the replica."""
    return replace(replica, revision=None) if any(b.odd for b in replica.hosts) else replica


def what_others_do_is_ours(replica: ObservedReplica) -> ObservedReplica:
    """A host at which somebody else answers or verifies is taken for one at which our text does."""
    return replace(replica, hosts=tuple(replace(b, odd=None, own=False) for b in replica.hosts))


def one_host_blocks_the_zone(origin: ObservedOrigin) -> ObservedOrigin:
    """Whatever is the matter with one host is the matter with the origin."""
    odd = any(b.odd or b.own for replica in replicas(origin) for b in replica.hosts) or bool(
        origin.left_out
    )
    return replace(origin, foreign="a host cannot be served") if odd else origin


def a_clock_rejects(origin: ObservedOrigin) -> ObservedOrigin:
    """What no replica shows in time is taken for rejected."""
    published, asked = configured(origin), replicas(origin)
    late = (
        published.claim is not None
        and bool(asked)
        and not any(runs_our_claim(replica, published) for replica in asked)
    )
    return replace(origin, rejected="nobody shows it") if late else origin


def the_words_of_others_are_ours(origin: ObservedOrigin) -> ObservedOrigin:
    """Whatever line nginx names, our text is taken for rejected."""
    return replace(origin, rejected=origin.rejected or origin.stuck, stuck=None)


def a_damaged_text_reads_as_off(origin: ObservedOrigin) -> ObservedOrigin:
    """What is not ours byte for byte is taken for nothing."""
    return (
        replace(origin, configured=replace(origin.configured, standing=None))
        if isinstance(origin.configured, Configured)
        else origin
    )


def what_cannot_be_read_is_nothing(origin: ObservedOrigin) -> ObservedOrigin:
    """A source that fails empties what was known of the others."""
    return replace(origin, configured=Configured(claim=None)) if origin.stale else origin


def what_is_not_ready_is_left_out(origin: ObservedOrigin) -> ObservedOrigin:
    """Only Ready pods are asked."""
    return (
        replace(origin, replicas=tuple(r for r in replicas(origin) if r.ready))
        if replicas(origin)
        else origin
    )


def what_cannot_be_asked_is_left_out(origin: ObservedOrigin) -> ObservedOrigin:
    """A pod that is not Ready and does not answer is taken for gone."""
    return (
        replace(origin, replicas=tuple(r for r in replicas(origin) if r.ready or not r.error))
        if replicas(origin)
        else origin
    )


def behaviour_is_not_asked_again(origin: ObservedOrigin) -> ObservedOrigin:
    """What replicas did before a claim was taken out is taken for what they do."""
    if not isinstance(origin.configured, Configured) or origin.configured.claim is not None:
        return origin
    asked = (
        replace(
            r,
            hosts=tuple(replace(b, mode=Mode.REQUIRE, accepts=frozenset({"00"})) for b in r.hosts),
        )
        for r in replicas(origin)
    )
    return replace(origin, replicas=tuple(asked))


def a_failed_source_takes_evidence_away(o: Observed) -> Observed:
    """While something cannot be read, what arrives through the edge is forgotten."""
    return replace(o, evidence=()) if any(origin.stale for origin in o.origins) else o


def a_run_is_as_long_as_its_silences(o: Observed) -> Observed:
    """What passed between the first answer and the last is taken for a window."""
    runs = (replace(e, covered=e.last - e.since) if e.last and e.since else e for e in o.evidence)
    return replace(o, evidence=tuple(runs))


def ending_sessions_without_end(o: Observed) -> Observed:
    """No number of flushes is too many."""
    return replace(o, limits=replace(o.limits, flushes_per_hour=1000))


def a_share_is_no_loss(o: Observed) -> Observed:
    """Only answers in a row are a loss."""
    return replace(o, limits=replace(o.limits, loss_share_answers=1000))


def no_share_before_the_text_runs_everywhere(origin: ObservedOrigin) -> ObservedOrigin:
    """While one replica does not run what is published, no share of refused arrivals counts."""
    return replace(origin, published_at=None)


def one_that_hangs_hides_the_origin(origin: ObservedOrigin) -> ObservedOrigin:
    """A replica that cannot be asked keeps the look from ending."""
    hangs = any(replica.error for replica in replicas(origin))
    return replace(origin, configured=Unknown("a pod does not answer")) if hangs else origin


def a_proof_does_not_age(o: Observed) -> Observed:
    """The last answer counts, however long ago it came."""
    return replace(o, evidence=tuple(replace(e, last=o.now) if e.last else e for e in o.evidence))


def protecting_with_a_key_only() -> Mutant:
    """Where the key pair cannot be read, nothing goes on."""

    def key_pair_is_read(o: Observed) -> Step | None:
        return (
            Block(Reason.KEY_PAIR_INVALID, o.key_pair.message)
            if isinstance(o.key_pair, Unknown)
            else None
        )

    return Mutant("protecting needs the key pair", protect=(key_pair_is_read, *PROTECT))


def relaxing_all_for_one() -> Mutant:
    """Whichever host loses, all are relaxed."""

    @wraps(no_origin_refuses_the_edge)
    def all_for_one(o: Observed) -> Step | None:
        step = no_origin_refuses_the_edge(o)
        if isinstance(step, Note):
            pauses = (replace(one, host="") for one in step.record.hold_offs[:1])
            return replace(step, record=replace(step.record, hold_offs=tuple(pauses)))
        if isinstance(step, Publish):
            return replace(
                step,
                claim=replace(step.claim, mode=min(step.claim.mode, Mode.REQUEST), enforced=()),
            )
        return step

    return Mutant("one host's loss relaxes all", protect=(PROTECT[0], all_for_one, *PROTECT[2:]))


def relaxing_behind_eligibility() -> Mutant:
    """Loss is looked at only where the zone is eligible."""
    at = next(i for i, rule in enumerate(RULES) if rule.__name__ == "origins_answer")
    return Mutant(
        "relaxing stands behind eligibility",
        protect=(PROTECT[0], *PROTECT[2:]),
        rules=(*RULES[:at], PROTECT[1], *RULES[at:]),
    )


BY_HAND = (
    Mutant("judged by the ConfigMap instead of by the replicas", eyes=judged_by_the_config_map),
    Mutant("one replica is enough", eyes=one_replica_is_enough),
    Mutant("the list is believed at once", eyes=the_list_is_believed_at_once),
    Mutant("the first in the list is taken for the newest", eyes=the_first_in_the_list),
    Mutant(
        "written without resourceVersion",
        world={"lock": False},
        where="onboarding, answers are lost",
    ),
    Mutant(
        "a reload does not flush sessions",
        world={"flush": False},
        where="onboarding, removed on the way",
    ),
    Mutant(
        "a proof outlives a change at Cloudflare",
        world={"begin_again": False},
        where="onboarding, removed on the way",
    ),
    Mutant(
        "the quiet period is shorter than a request",
        world={"patient": False},
        where="onboarding, answers are lost",
    ),
    relaxing_behind_eligibility(),
    Mutant(
        "one odd host makes the replica show no revision",
        eyes=at_each_replica(one_odd_host_hides_the_revision),
    ),
    Mutant(
        "what others do at a host is taken for ours", eyes=at_each_replica(what_others_do_is_ours)
    ),
    Mutant(
        "one host that cannot be served blocks the zone",
        eyes=at_each_origin(one_host_blocks_the_zone),
    ),
    Mutant("a clock rejects", eyes=at_each_origin(a_clock_rejects)),
    Mutant(
        "nginx's words about others' lines are taken for ours",
        eyes=at_each_origin(the_words_of_others_are_ours),
    ),
    Mutant(
        "a rejection is for ever",
        world={"tries_again": False},
        where="texts are rejected during onboarding, and mended elsewhere",
    ),
    Mutant(
        "a damaged text reads as Off for protection",
        eyes=at_each_origin(a_damaged_text_reads_as_off),
    ),
    Mutant(
        "a write that relaxes is refused for its size",
        world={"fits": False},
        where="the annotations are full",
    ),
    Mutant(
        "a source that fails empties the claim", eyes=at_each_origin(what_cannot_be_read_is_nothing)
    ),
    Mutant("a source that fails takes evidence away", eyes=a_failed_source_takes_evidence_away),
    Mutant("an unready replica is left out", eyes=at_each_origin(what_is_not_ready_is_left_out)),
    Mutant(
        "an unready replica that cannot be asked is left out",
        eyes=at_each_origin(what_cannot_be_asked_is_left_out),
    ),
    Mutant(
        "behaviour is not asked again after a withdrawal",
        eyes=at_each_origin(behaviour_is_not_asked_again),
    ),
    Mutant(
        "nobody notices that a tool undoes what is written",
        eyes=at_each_origin(lambda origin: replace(origin, overwritten=None)),
    ),
    Mutant("silence lengthens a run", eyes=a_run_is_as_long_as_its_silences),
    Mutant("old sessions are ended without end", eyes=ending_sessions_without_end),
    Mutant("a losing share is not a loss", eyes=a_share_is_no_loss),
    Mutant(
        "no share counts before the text runs everywhere",
        eyes=at_each_origin(no_share_before_the_text_runs_everywhere),
    ),
    Mutant(
        "one replica that hangs hides the origin",
        eyes=at_each_origin(one_that_hangs_hides_the_origin),
    ),
    Mutant(
        "nobody notices that the controllers take nothing",
        eyes=at_each_origin(lambda origin: replace(origin, stuck=None)),
    ),
    Mutant("a proof does not age", eyes=a_proof_does_not_age),
    protecting_with_a_key_only(),
    relaxing_all_for_one(),
)


SURVIVORS: dict[str, str] = {
    "no_origin_refuses_the_edge comes before rejected_text_is_withdrawn": "both only make milder, and the other one answers at the next look",
    "no_requirement_outlives_its_leaf comes before no_origin_refuses_the_edge": "both only make milder; what one leaves, the other one sees",
    "enforcement_is_not_exceeded comes before no_requirement_outlives_its_leaf": "both only make milder; what one leaves, the other one sees",
    "published_text_is_taken_up comes before enforcement_is_not_exceeded": "the pods are replaced once more, to take up the milder text",
    "what_protects_is_noted is dropped": "no object of the model refuses a note; tests/faults and tests/unit/test_plan_qualify.py have such",
    "what_protects_is_noted comes before finalizer_is_set": "as above",
    "what_was_found_is_recorded comes before what_protects_is_noted": "as above",
    "spec_is_acceptable comes before what_was_found_is_recorded": "what is not acceptable has had no effect that a note must precede",
    "spec_is_acceptable never waits": "an unreadable Secret is only said early: what needs the key pair waits for it all the same",
    "zone_is_ours comes before spec_is_acceptable": "both only stand still; only the words differ",
    "zone_is_eligible comes before zone_is_ours": "both only stand still; only the words differ",
    "zone_is_eligible never waits": "a zone that cannot be read is waited for by cloudflare_holds_certificate, with the same reason",
    "origins_are_eligible comes before zone_is_eligible": "both only stand still; only the words differ",
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
"""Each with the reason why it is harmless. One that is caught after all, or is not tried, fails
the run: it does not belong here."""
