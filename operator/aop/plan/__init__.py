"""The rules of the rollout: what is, and at most one thing to do.

`next_step` is asked again and again. A rule is a pure function from `Observed` to a `Step` or None.
The first that answers wins, so to read `RULES` from top to bottom is to read the rollout, and the
order is the safety argument (docs/architecture.md#the-order-of-the-rules). `PROTECT` is asked
before each of the other two, so that no blocked spec, lost token or missing finalizer hides what
protects visitors. Each rule has the name of the truth that it establishes.
"""

from __future__ import annotations

from collections.abc import Callable

from aop.observed import Observed
from aop.plan.finish import dropped_origins_are_as_found, retired_certificates_are_gone
from aop.plan.prepare import (
    cloudflare_holds_certificate,
    key_pair_exists,
    origins_accept_what_comes_next,
    origins_answer,
    zone_presents_certificate,
)
from aop.plan.protect import (
    enforcement_is_not_exceeded,
    no_origin_refuses_the_edge,
    no_requirement_outlives_its_leaf,
    published_text_is_taken_up,
    rejected_text_is_withdrawn,
)
from aop.plan.prove import hosts_are_proven, origins_ask, origins_require, strangers_are_refused
from aop.plan.qualify import (
    finalizer_is_set,
    origins_are_eligible,
    spec_is_acceptable,
    what_protects_is_noted,
    what_was_found_is_recorded,
    zone_is_eligible,
    zone_is_ours,
)
from aop.plan.remove import (
    origins_are_as_found,
    origins_refuse_nobody,
    our_certificates_are_gone,
    what_is_left_behind,
    zone_is_as_found,
)
from aop.steps import Done, Step

Rule = Callable[[Observed], Step | None]

PROTECT: tuple[Rule, ...] = (
    rejected_text_is_withdrawn,  # no text stays in place that its origin rejects
    no_origin_refuses_the_edge,  # the edge presents something else: refuse nobody
    no_requirement_outlives_its_leaf,  # nobody is refused because a certificate has expired
    enforcement_is_not_exceeded,  # the spec asks for less: then it is less
    published_text_is_taken_up,  # a milder text helps only once the replicas run it
)

RULES: tuple[Rule, ...] = (
    finalizer_is_set,  # nothing leaves a trace before it can be cleaned up
    what_protects_is_noted,  # nothing gets stricter while a restart would forget why
    what_was_found_is_recorded,  # before the first effect
    spec_is_acceptable,  # what the schema cannot express
    zone_is_ours,  # one object per zone: the one whose token saw it first
    zone_is_eligible,  # the edge can present, and displaces nobody's certificate without consent
    origins_are_eligible,  # a controller reads what we write, and nothing there contradicts it
    origins_answer,  # the check path, and nothing else, is live on every replica and through the edge
    key_pair_exists,
    origins_accept_what_comes_next,  # before it comes
    cloudflare_holds_certificate,
    zone_presents_certificate,
    origins_ask,  # and refuse nobody
    hosts_are_proven,  # each host by itself, over a whole window
    origins_require,  # of proven hosts only
    strangers_are_refused,  # by every replica
    retired_certificates_are_gone,  # Cloudflare first, then the record, then trust
    dropped_origins_are_as_found,
)

TEARDOWN: tuple[Rule, ...] = (
    origins_refuse_nobody,  # seen on every replica
    zone_is_as_found,
    our_certificates_are_gone,
    origins_are_as_found,
)


def next_step(
    observed: Observed,
    protect: tuple[Rule, ...] = PROTECT,
    rules: tuple[Rule, ...] = RULES,
    teardown: tuple[Rule, ...] = TEARDOWN,
) -> Step:
    """The one thing to do now; `Done` when the truths of all rules hold.

    The tuples are parameters, so that the state space can be walked with a rule dropped, swapped or
    changed.
    """
    for rule in (*protect, *(teardown if observed.object.deleting else rules)):
        if step := rule(observed):
            return step
    return Done(what_is_left_behind(observed) if observed.object.deleting else "")


__all__ = ["PROTECT", "RULES", "TEARDOWN", "Rule", "next_step"]
