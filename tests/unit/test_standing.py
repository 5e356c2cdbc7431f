"""Ready is left for a fact, never for a look that is still to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.api import ConditionType, Status
from aop.errors import Reason
from aop.observed import NONE, Evidence, Limits, ObservedReplica, Unknown
from aop.plan import next_step
from aop.standing import (
    NO_ANSWER_S,
    is_only_postponed,
    rests_meanwhile,
    stands_for,
    yet_to_be_seen,
)
from aop.status import status_of
from aop.terms import Mode
from builders import (
    APEX,
    ASKING,
    DAY,
    HOSTS,
    NEXT,
    NOW,
    REQUIRING,
    REVISION,
    WWW,
    at,
    claim,
    evidence,
    observed,
    origin,
    replica,
)

NEW = ObservedReplica("pod-3")
"""A pod that nobody has asked yet."""
SEEN = replica("pod-1", REQUIRING)
UNASKED = [Evidence(host) for host in HOSTS]
BEGUN = [evidence(host, lasting_s=20) for host in HOSTS]
AWAY = Unknown("Cloudflare has not answered yet")
POSTPONED = Unknown("Calls to Cloudflare pause for 200 s", None, 200.0, postponed=True)


def stands(world: dict[str, Any], previous: Status | None = None) -> bool:
    looked_at = observed(**world)
    return yet_to_be_seen(looked_at, next_step(looked_at), previous or when_all_was_seen())


def when_all_was_seen(**world: Any) -> Status:
    """The status that was written when the operator had seen everything."""
    looked_at = observed(**world)
    return status_of(looked_at, next_step(looked_at), Status())


STILL_TO_COME: dict[str, dict[str, Any]] = {
    "nothing was seen since a restart": {
        "zone": AWAY,
        "origins": [origin(replicas=(NEW, replace(NEW, name="pod-4")))],
        "evidence": UNASKED,
    },
    "Cloudflare is asked about others first": {"zone": POSTPONED, "evidence": UNASKED},
    "Cloudflare has answered, the edge was not asked": {"evidence": UNASKED},
    "the proof has begun": {"evidence": BEGUN},
    "the first request to a host came to nothing": {
        "evidence": [
            Evidence(APEX, silence="timed out", silent_since=at(-1)),
            evidence(WWW, lasting_s=20),
        ]
    },
    "one host is proven, the other's proof has begun": {
        "evidence": [evidence(APEX), evidence(WWW, lasting_s=20)]
    },
    "a new pod was not asked": {"origins": [origin(replicas=(SEEN, NEW))]},
    "a new pod was seen only just now": {
        "origins": [origin(replicas=(SEEN, replace(replica("pod-3", REQUIRING), settled=False)))]
    },
    "a replica runs a text that was written while it was asked": {
        "origins": [
            origin(replicas=(SEEN, replace(replica("pod-3", REQUIRING), revision=REVISION + 1)))
        ]
    },
    "a new pod was not asked about every host": {
        "origins": [origin(replicas=(SEEN, replace(SEEN, name="pod-3", hosts=SEEN.hosts[:1])))]
    },
}

ENDLESS = {
    "a replica does not answer": {
        "origins": [origin(replicas=(SEEN, replica("pod-3", REQUIRING, error="timed out")))]
    }
}
"""What stands for a while, and is told when that is over."""
STILL_TO_COME |= ENDLESS

FACTS: dict[str, dict[str, Any]] = {
    "a replica refuses nobody": {"origins": [origin(replicas=(SEEN, replica("pod-3", ASKING)))]},
    "a new pod refuses nobody at the host that was asked": {
        "origins": [
            origin(
                replicas=(
                    SEEN,
                    replace(replica("pod-3", ASKING), hosts=replica("pod-3", ASKING).hosts[:1]),
                )
            )
        ]
    },
    "a replica that does not answer refused nobody before": {
        "origins": [origin(replicas=(SEEN, replica("pod-3", ASKING, error="timed out")))]
    },
    "a replica runs an older text": {
        "origins": [origin(replicas=(SEEN, replica("pod-3", REQUIRING, revision=6)))]
    },
    "a replica runs a later text and refuses nobody": {
        "origins": [origin(replicas=(SEEN, replica("pod-3", ASKING, revision=REVISION + 1)))]
    },
    "no replica is left": {"origins": [origin(replicas=())]},
    "a host comes without a certificate": {
        "evidence": [evidence(APEX, NONE), evidence(WWW, lasting_s=20)]
    },
    "a host has given no usable answer for a while": {
        "evidence": [
            Evidence(APEX, silence="HTTP 403", silent_since=at(-NO_ANSWER_S)),
            evidence(WWW, lasting_s=20),
        ]
    },
    "a host bypasses the edge": {
        "evidence": [evidence(APEX, direct=True), evidence(WWW, lasting_s=20)]
    },
    "a host has come": {
        "origins": [origin(claim(enforced=HOSTS), hosts=(*HOSTS, "new.example.com"))],
        "evidence": BEGUN,
    },
    "the text requires less": {"origins": [origin(ASKING)], "evidence": BEGUN},
    "the zone is disabled": {"zone": {"enabled": False}, "evidence": BEGUN},
    "the certificate is gone": {"zone": {"certificates": ()}, "evidence": BEGUN},
    "the token is rejected": {"zone": Unknown("no such token", Reason.TOKEN_REJECTED)},
    "the object is being removed": {"object": {"deleting": True}, "evidence": BEGUN},
    "the spec has changed": {"object": {"generation": 3}, "evidence": BEGUN},
}


@pytest.mark.parametrize("what", STILL_TO_COME)
def test_what_was_told_stands_for_a_look_that_is_still_to_come(what: str) -> None:
    assert stands(STILL_TO_COME[what])


@pytest.mark.parametrize("what", FACTS)
def test_a_fact_is_told(what: str) -> None:
    assert not stands(FACTS[what])


@pytest.mark.parametrize("what", STILL_TO_COME)
def test_an_object_that_was_not_ready_is_not_made_ready_by_waiting(what: str) -> None:
    assert not stands(STILL_TO_COME[what], Status())


def test_where_everything_was_seen_there_is_nothing_to_wait_for_and_nothing_to_write() -> None:
    """A restart of the operator costs no write: what is told at its end is what stood."""
    assert not stands({})
    world = observed()
    assert status_of(world, next_step(world), when_all_was_seen()) == when_all_was_seen()


def test_a_host_that_was_unproven_before_stands_as_it_was_when_all_was_seen() -> None:
    world: dict[str, Any] = {"origins": [origin(claim(enforced=(APEX,)))]}
    past = [evidence(WWW, NONE, direct=True)]
    before = when_all_was_seen(**world, evidence=[evidence(APEX), *past])
    assert stands({**world, "evidence": [evidence(APEX, lasting_s=20), *past]}, before)


@pytest.mark.parametrize("enforcement", ["Request", "Optional", "Require"])
@pytest.mark.parametrize(
    "before", [{"evidence": BEGUN}, {"zone": AWAY}], ids=["proving", "by the edge"]
)
def test_what_was_being_looked_at_when_the_object_was_told_ready_is_no_difference(
    enforcement: str, before: dict[str, Any]
) -> None:
    """The operator ended while it proved again, or while Cloudflare did not answer."""
    mode: dict[str, Any] = {"spec": {"enforcement": enforcement}}
    if enforcement != "Require":
        mode["origins"] = [origin(ASKING if enforcement == "Request" else claim(Mode.OPTIONAL))]
    previous = when_all_was_seen(**mode, **before)
    ready = previous.condition(ConditionType.READY)
    assert ready is not None
    assert ready.status == "True"
    assert stands({**mode, "zone": POSTPONED, "evidence": UNASKED}, previous)


def patience(**world: Any) -> timedelta:
    looked_at = observed(limits=Limits(looks_to_come_s=500.0), **world)
    return stands_for(looked_at, next_step(looked_at))


def test_what_was_told_stands_until_each_of_many_objects_has_had_its_turn() -> None:
    assert patience(origins=[origin(replicas=(SEEN, NEW))]) == timedelta(seconds=500)
    assert patience(zone=POSTPONED) == timedelta(seconds=500)


@pytest.mark.parametrize("world", [*ENDLESS.values(), {"zone": AWAY}])
def test_whoever_was_asked_and_gives_no_answer_has_had_its_turn(world: dict[str, Any]) -> None:
    assert patience(**world) == timedelta(seconds=NO_ANSWER_S)


def test_only_what_the_own_budget_holds_back_is_only_postponed() -> None:
    assert is_only_postponed(observed(zone=POSTPONED))
    assert not is_only_postponed(observed(zone=replace(POSTPONED, postponed=False)))
    assert not is_only_postponed(observed())


def test_who_does_not_answer_is_named_although_cloudflare_is_asked_about_others_first() -> None:
    world: dict[str, Any] = {
        "zone": POSTPONED,
        "origins": [origin(replicas=(SEEN, replica("pod-3", REQUIRING, error="timed out")))],
    }
    assert not is_only_postponed(observed(**world))
    assert patience(**world) == timedelta(seconds=NO_ANSWER_S)


SERVED = (SEEN, replica("pod-2", REQUIRING))
POSTPONED_ONLY: dict[str, Any] = {"zone": POSTPONED, "origins": [origin(replicas=SERVED)]}


def rests(**world: Any) -> bool:
    looked_at = observed(**POSTPONED_ONLY | world)
    return rests_meanwhile(looked_at, next_step(looked_at), when_all_was_seen())


def test_whoever_has_seen_all_but_a_zone_that_is_put_off_rests_until_its_turn() -> None:
    assert rests()
    assert rests(evidence=UNASKED), "the edge is asked by itself, and wakes whom it concerns"


@pytest.mark.parametrize(
    "world",
    [
        {"zone": AWAY},
        {"zone": observed().zone},
        {"origins": [origin(replicas=(SEEN, NEW))]},
        {"origins": [origin(replicas=(SEEN, replace(SERVED[1], settled=False)))]},
        {"origins": [origin(replicas=(SEEN, replace(SERVED[1], hosts=SEEN.hosts[:1])))]},
        {"origins": [origin(replicas=(SEEN, replace(SERVED[1], error="timed out")))]},
        {"origins": [origin(replicas=Unknown("the API server cannot be reached"))]},
        {"object": {"rotate": "once more"}},
        {"keys": {"leaf": NEXT}, "evidence": UNASKED},
        {"keys": {"next": NEXT}, "evidence": UNASKED},
        {"keys": {"renewal_at": NOW - DAY}},
    ],
)
def test_whoever_has_anything_else_to_see_or_to_do_does_not(world: dict[str, Any]) -> None:
    assert not rests(**world)
