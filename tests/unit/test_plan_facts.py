"""The questions that rules and status share, where no rule's own test asks them with every answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aop.errors import Reason
from aop.observed import NONE, OTHER, REFUSED, Arrival, HostBehaviour, Unknown
from aop.origins.sites import Rollout
from aop.plan.answers import unknown
from aop.plan.claims import until_applied
from aop.plan.facts import (
    anybody_refuses,
    certificate_with,
    in_scope,
    loses,
    may_be_presented,
    newest_active,
    our_pins,
    ours_listed,
    refused_arrivals,
    wanted_leaf,
)
from aop.steps import Block, Wait
from aop.terms import Kind, Mode, ObjectKey
from builders import (
    APEX,
    ASKING,
    FOREIGN,
    HOSTS,
    LEAF,
    NEXT,
    OFF,
    REQUIRING,
    RETIRED,
    WWW,
    at,
    certificate,
    claim,
    evidence,
    observed,
    origin,
    replica,
    zone,
)

# --- leaves ----------------------------------------------------------------------------------------------------------------------


def test_the_next_leaf_is_wanted_as_soon_as_there_is_one() -> None:
    assert wanted_leaf(observed()) == LEAF
    assert wanted_leaf(observed(keys={"next": NEXT})) == NEXT
    assert (
        wanted_leaf(observed(keys=None)) is wanted_leaf(observed(keys=Unknown("timeout"))) is None
    )


def test_our_pins_are_all_that_cloudflare_may_hold_by_our_doing() -> None:
    """The Secret's, the record's and the list's: each of them alone can be lost."""
    world = observed(
        keys={"next": NEXT},
        record={"uploaded": ()},
        zone={"certificates": (certificate(RETIRED), certificate(FOREIGN, ours=False))},
    )
    assert our_pins(world) == tuple(sorted((LEAF, NEXT, RETIRED)))
    assert our_pins(observed(keys=None, zone=None, record={"uploaded": (RETIRED,)})) == (RETIRED,)
    assert ours_listed(observed(zone=Unknown("timeout"))) == ()


def test_the_newest_deployed_certificate_is_what_a_zone_presents() -> None:
    moving = certificate(NEXT, state=certificate().state.PENDING)
    assert newest_active(
        zone(certificate(), certificate(FOREIGN, ours=False), moving)
    ) == certificate(FOREIGN, ours=False)
    assert newest_active(zone(moving)) is None
    assert certificate_with(zone(certificate(), moving), NEXT) == moving
    assert certificate_with(zone(), NEXT) is None


def test_all_that_was_uploaded_may_be_presented_until_every_host_is_seen_with_the_wanted_one() -> (
    None
):
    both = {"uploaded": tuple(sorted((LEAF, RETIRED)))}
    assert may_be_presented(observed(record=both)) == (LEAF,)
    assert (
        may_be_presented(observed(record=both, evidence=[evidence(WWW, NONE)])) == both["uploaded"]
    )
    assert may_be_presented(observed(record=both, keys=None)) == both["uploaded"]
    assert (
        may_be_presented(observed(record=both, origins=[origin(hosts=())])) == both["uploaded"]
    ), "no host has shown anything"


# --- what arrives ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "losing"),
    [
        (OFF, {REFUSED}),
        (ASKING, {REFUSED}),
        (claim(Mode.OPTIONAL), {REFUSED, OTHER}),
        (REQUIRING, {REFUSED, OTHER, NONE}),
    ],
)
def test_what_an_origin_refuses_follows_from_its_mode(current: Any, losing: set[str]) -> None:
    assert refused_arrivals(origin(current), current, APEX) == losing


def test_a_leaf_that_a_replica_refuses_for_that_host_is_losing_too() -> None:
    refusing = replica("pod-1", REQUIRING)
    bad = refusing.hosts[0].__class__(APEX, Mode.REQUIRE, refuses=frozenset({NEXT.sha256}))
    origin_seen = origin(
        replicas=(
            replica("pod-2", REQUIRING),
            refusing.__class__("pod-1", 7, settled=True, hosts=(bad, refusing.hosts[1])),
        )
    )
    assert NEXT.sha256 in refused_arrivals(origin_seen, REQUIRING, APEX)
    assert NEXT.sha256 not in refused_arrivals(origin_seen, REQUIRING, WWW)


def test_a_leaf_that_an_ingress_refuses_by_itself_is_not_losing() -> None:
    """Whoever verifies there has decided; one replica that serves it all the same is no loss of ours."""
    own = HostBehaviour(APEX, Mode.REQUEST, refuses=frozenset({LEAF.sha256}), own=True)
    shown = replica("pod-1", REQUIRING)
    origin_seen = origin(
        replicas=(replace(shown, hosts=(own, shown.hosts[1])), replica("pod-2", REQUIRING))
    )
    assert refused_arrivals(origin_seen, REQUIRING, APEX) == {OTHER, NONE}
    assert refused_arrivals(origin_seen, REQUIRING, WWW) == {OTHER, NONE, REFUSED}


def test_a_host_that_was_never_heard_of_loses_nothing() -> None:
    assert not loses(observed(), origin(), "shop.example.com", {NONE})
    assert loses(observed(evidence=[evidence(APEX, NONE)]), origin(), APEX, {NONE})
    assert not loses(observed(evidence=[evidence(APEX, NONE)]), origin(), APEX, {OTHER})


# --- origins -------------------------------------------------------------------------------------------------------------------------


def test_hosts_in_scope_are_those_of_wanted_origins_each_once() -> None:
    left = origin(hosts=("old.example.com",), wanted=False, name="old")
    assert in_scope(
        observed(origins=[origin(), origin(hosts=(WWW, "b.example.com"), name="b"), left])
    ) == ("b.example.com", APEX, WWW)
    assert in_scope(observed()) == HOSTS


@pytest.mark.parametrize(
    ("origin_seen", "refuses"),
    [
        (origin(), True),
        (origin(ASKING, running=REQUIRING), True),
        (origin(claim(Mode.OPTIONAL), running=ASKING), True),
        (origin(ASKING), False),
        (origin(None), False),
        (origin(configured=None, running=REQUIRING), True),
        (origin(configured=Unknown("timeout"), running=None), False),
    ],
)
def test_somebody_is_refused_where_it_is_published_or_still_running(
    origin_seen: Any, refuses: bool
) -> None:
    assert anybody_refuses(observed(origins=[origin_seen])) is refuses


@pytest.mark.parametrize(
    ("origin_seen", "reason", "message"),
    [
        (origin(configured=Unknown("HTTP 500")), Reason.WAITING_FOR_REPLICAS, "HTTP 500"),
        (origin(replicas=Unknown("forbidden")), Reason.WAITING_FOR_REPLICAS, "forbidden"),
        (origin(replicas=()), Reason.NO_REPLICAS, "no Ready replica"),
        (
            origin(replicas=(replica("pod-1", REQUIRING, error="timeout"),)),
            Reason.WAITING_FOR_REPLICAS,
            "pod pod-1 does not answer the operator (timeout)",
        ),
    ],
)
def test_what_cannot_be_seen_is_not_applied(origin_seen: Any, reason: Reason, message: str) -> None:
    wait = until_applied(origin_seen)
    assert wait is not None
    assert wait.reason is reason
    assert message in wait.message


def test_without_a_claim_there_is_nothing_to_wait_for() -> None:
    assert until_applied(origin(None, running=REQUIRING)) is None
    assert until_applied(origin()) is None


# --- answers ---------------------------------------------------------------------------------------------------------------------------


def test_who_waits_for_pods_to_be_replaced_is_told_where_to_look() -> None:
    rollout = Rollout(Kind.STATEFUL_SET, ObjectKey("web", "shop"), {})
    wait = until_applied(replace(origin(REQUIRING, running=ASKING), next_rollout=rollout))
    assert wait is not None
    assert "until StatefulSet web/shop has replaced its pods, so that every replica" in wait.message
    assert (
        wait.remedy
        == "If the rollout makes no progress, see kubectl rollout status statefulset/shop -n web"
    )


def test_an_unknown_fact_blocks_where_a_person_must_act_and_waits_otherwise() -> None:
    assert unknown(
        "the zone", Unknown("no token", Reason.TOKEN_REJECTED), Reason.REMOVING
    ) == Block(Reason.TOKEN_REJECTED, "no token")
    assert unknown("the zone", Unknown("timeout"), Reason.REMOVING) == Wait(
        Reason.REMOVING, "the zone: timeout", 5.0
    )
    assert unknown("the zone", Unknown("429", retry_after_s=60.0), Reason.REMOVING) == Wait(
        Reason.REMOVING, "the zone: 429", 60.0
    )


def test_a_share_counts_only_what_came_since_every_replica_does_what_is_published() -> None:
    """A zone that was not enabled for half a minute has many arrivals without a certificate, of which nobody was refused."""
    came = tuple(Arrival(at(-80 + 5 * n), NONE if n % 3 else LEAF.sha256) for n in range(16))
    world = observed(evidence=[evidence(APEX, recent=came)])
    assert loses(world, origin(), APEX, {NONE})
    assert not loses(world, origin(applied_at=at(-20)), APEX, {NONE})


def test_a_share_counts_since_the_text_was_published_where_one_replica_never_runs_it() -> None:
    """A pod that is cut off keeps the others from being relaxed for as long as it is, if nothing counts before it runs the text."""
    came = tuple(Arrival(at(-80 + 5 * n), NONE if n % 3 else LEAF.sha256) for n in range(16))
    world = observed(evidence=[evidence(APEX, recent=came)])
    assert loses(world, origin(applied_at=None), APEX, {NONE})
    assert not loses(world, origin(applied_at=None, published_at=at(-20)), APEX, {NONE})
