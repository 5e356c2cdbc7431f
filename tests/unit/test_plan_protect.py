"""PROTECT: nobody is refused by our doing, whatever else is blocked, lost or unknown.

Each test says what differs from a world at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.errors import Reason
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Arrival,
    CertificateState,
    Evidence,
    HoldOff,
    Observed,
    RejectedClaim,
    Unknown,
)
from aop.origins.kind import Capabilities
from aop.origins.sites import Rollout
from aop.plan import next_step
from aop.plan.claims import digest
from aop.plan.protect import MOST_HOLD_OFFS
from aop.steps import Block, Done, Note, Publish, RollOut, SetEnabled, Step, Wait, Withdraw
from aop.terms import Claim, Kind, Mode, ObjectKey, Pin, Target
from builders import (
    APEX,
    ASKING,
    DAY,
    HOSTS,
    LEAF,
    NEXT,
    NOW,
    OFF,
    REQUIRING,
    RETIRED,
    REVISION,
    TARGET,
    WWW,
    at,
    certificate,
    claim,
    evidence,
    observed,
    origin,
    pin,
    replica,
)

HELD_OFF = (HoldOff(1, since=at(-1), until=at(59)),)
"""The next requirement waits already, so that a relaxation comes at once."""
OPTIONAL = claim(Mode.OPTIONAL)

BLOCKED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "suspended": {"spec": {"suspend": True}},
    "token lost": {"zone": Unknown("the token is revoked", Reason.TOKEN_REJECTED)},
    "Cloudflare down": {"zone": Unknown("timeout")},
    "zone gone": {"zone": None},
    "key pair lost": {"keys": Unknown("Secret has no tls.key", Reason.KEY_PAIR_INVALID)},
    "no finalizer": {"object": {"finalizer": False}},
    "an older rival": {"rivals": Unknown("forbidden")},
}


def arriving(*presented: str, host: str = APEX, every_s: float = 5.0) -> Evidence:
    """Arrivals of these in order, the last one now."""
    recent = tuple(
        Arrival(at(-every_s * n), what)
        for n, what in zip(reversed(range(len(presented))), presented, strict=True)
    )
    return Evidence(host, presented[-1], 1, since=recent[-1].at, last=recent[-1].at, recent=recent)


def earlier(seen: Evidence, seconds: float) -> Evidence:
    """The same arrivals, that long ago."""
    return replace(
        seen,
        recent=tuple(replace(one, at=one.at - timedelta(seconds=seconds)) for one in seen.recent),
    )


def lost(presented: str = NONE, host: str = APEX) -> Evidence:
    """Just enough of a loss: three answers over ten seconds, after one that was right."""
    return arriving(LEAF.sha256, presented, presented, presented, host=host)


def lost_everywhere(presented: str = NONE) -> list[Evidence]:
    """The same on every host: it is the zone's certificate that is not presented."""
    return [lost(presented, host) for host in HOSTS]


def rejection(
    current: Claim, foreign: str = "none", *, times: int = 1, until_s: float = 119.0
) -> RejectedClaim:
    """A controller has rejected this claim a second ago."""
    return RejectedClaim(digest(current, foreign), times, since=at(-1), until=at(until_s))


def published(step: Step) -> Claim:
    assert isinstance(step, Publish), step
    assert (step.origin, step.target) == ("public", TARGET)
    return step.claim


# --- loss ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", BLOCKED.values(), ids=BLOCKED.keys())
def test_a_loss_relaxes_to_asking_whatever_is_blocked(blocked: dict[str, Any]) -> None:
    world = {"evidence": lost_everywhere(), **blocked}
    noted = next_step(observed(**world))
    assert isinstance(noted, Note)
    assert noted.record.hold_offs == (HoldOff(1, since=NOW, until=at(60)),)
    assert (
        published(next_step(observed(record={"hold_offs": noted.record.hold_offs}, **world)))
        == ASKING
    )


@pytest.mark.parametrize(
    ("was", "presented", "relaxed"),
    [
        (REQUIRING, NONE, ASKING),
        (REQUIRING, OTHER, ASKING),
        (OPTIONAL, OTHER, ASKING),
        (OPTIONAL, NONE, None),
        (REQUIRING, LEAF.sha256, None),
        (REQUIRING, REFUSED, OFF),
        (OPTIONAL, REFUSED, OFF),
        (ASKING, REFUSED, OFF),
        (ASKING, NONE, None),
        (ASKING, OTHER, None),
        (OFF, REFUSED, None),
    ],
)
def test_what_counts_as_a_loss_depends_on_what_the_origin_refuses(
    was: Claim, presented: str, relaxed: Claim | None
) -> None:
    step = next_step(
        observed(
            origins=[origin(was)],
            record={"hold_offs": HELD_OFF},
            evidence=lost_everywhere(presented),
        )
    )
    assert (
        step.claim if isinstance(step, Publish) and step.claim.mode < was.mode else None
    ) == relaxed


@pytest.mark.parametrize(
    "seen",
    [
        arriving(NONE, NONE, every_s=10),
        arriving(NONE, NONE, NONE, every_s=4.9),
        arriving(NONE, NONE, LEAF.sha256, NONE, NONE),
        arriving(NONE, NONE, NONE, LEAF.sha256),
        lost(host="shop.example.com"),
        Evidence(APEX, silence="HTTP 403", silent_since=at(-600)),
    ],
    ids=[
        "two answers",
        "within ten seconds",
        "one of ours between",
        "ours at last",
        "a host that is not enforced",
        "silence",
    ],
)
def test_less_than_a_loss_relaxes_nothing(seen: Evidence) -> None:
    step = next_step(observed(evidence=[seen]))
    assert not isinstance(step, Publish | Note), step


def test_silence_for_ever_keeps_what_is_required() -> None:
    """Else whoever disturbs the edge could open the origin."""
    silent = [Evidence(host, silence="timeout", silent_since=at(-86400)) for host in HOSTS]
    step = next_step(observed(evidence=silent))
    assert isinstance(step, Wait)
    assert step.reason is Reason.EDGE_SILENT


def test_a_refusal_of_the_origins_own_is_held_off_as_well() -> None:
    noted = next_step(observed(evidence=lost_everywhere(REFUSED)))
    assert isinstance(noted, Note)
    assert noted.record.hold_offs == (HoldOff(1, NOW, at(60)),)


def test_a_loss_of_different_kinds_is_a_loss() -> None:
    mixed = [arriving(NONE, OTHER, NONE, host=host) for host in HOSTS]
    step = next_step(observed(record={"hold_offs": HELD_OFF}, evidence=mixed))
    assert published(step) == ASKING


@pytest.mark.parametrize(
    ("before", "times", "wait_s"),
    [
        (None, 1, 60),
        (HoldOff(1, at(-100), at(-40)), 2, 120),
        (HoldOff(5, at(-7200), at(-100)), 6, 1920),
        (HoldOff(30, at(-7200), at(-100)), 31, 86400),
        (HoldOff(5, at(-86399), at(-80000)), 6, 1920),
        (HoldOff(5, at(-86400), at(-80000)), 1, 60),
        (HoldOff(1, at(-60), NOW), 2, 120),
    ],
)
def test_the_hold_off_doubles_within_a_day_up_to_a_day(
    before: HoldOff | None, times: int, wait_s: float
) -> None:
    step = next_step(
        observed(record={"hold_offs": (before,) if before else ()}, evidence=lost_everywhere())
    )
    assert isinstance(step, Note)
    assert step.record.hold_offs == (HoldOff(times, NOW, at(wait_s)),)


def test_a_relaxation_keeps_the_pins() -> None:
    """They are trust, and trust is taken away by one rule only."""
    was = claim(pins=(LEAF, NEXT))
    step = next_step(
        observed(origins=[origin(was)], record={"hold_offs": HELD_OFF}, evidence=lost_everywhere())
    )
    assert published(step).pins == was.pins


def test_where_asking_was_rejected_nothing_is_asked() -> None:
    record = {"hold_offs": HELD_OFF, "rejected": (rejection(ASKING),)}
    assert published(next_step(observed(record=record, evidence=lost_everywhere()))) == OFF


# --- a replica that refuses our own leaf -----------------------------------------------------------------------------------


def refusing(leaf: str, running: Claim = REQUIRING, **changes: Any) -> tuple[Any, ...]:
    """Two replicas of which the second refuses that leaf."""
    second = replica("pod-2", running, **changes)
    behaviours = tuple(
        replace(b, accepts=b.accepts - {leaf}, refuses=frozenset({leaf})) for b in second.hosts
    )
    return replica("pod-1", running), replace(second, hosts=behaviours)


QUIET = [evidence(host, recent=()) for host in HOSTS]
"""No arrival says anything lately: what replicas show is all there is."""


def refused(leaf: Pin, current: Claim = REQUIRING, **record: Any) -> dict[str, Any]:
    """A suspended object, so that no rule but PROTECT can act, with a replica that refuses this leaf."""
    return {
        "spec": {"suspend": True},
        "record": {"uploaded": tuple(sorted({LEAF, leaf})), **record},
        "origins": [origin(current, replicas=refusing(leaf.sha256, current))],
        "evidence": QUIET,
    }


@pytest.mark.parametrize("mode", [Mode.OPTIONAL, Mode.REQUIRE])
def test_a_leaf_that_may_be_presented_and_is_not_pinned_is_pinned(mode: Mode) -> None:
    """What mends it is trust, not relaxation."""
    assert published(next_step(observed(**refused(RETIRED, claim(mode))))) == claim(
        mode, pins=(LEAF, RETIRED)
    )


def test_where_that_text_was_rejected_before_nobody_is_refused() -> None:
    rejected_before = (rejection(claim(pins=(LEAF, RETIRED))),)
    world = refused(RETIRED, hold_offs=HELD_OFF, rejected=rejected_before)
    assert published(next_step(observed(**world))) == ASKING


def test_a_pinned_leaf_that_a_replica_refuses_all_the_same_relaxes_and_is_held_off_first() -> None:
    noted = next_step(observed(**refused(LEAF)))
    assert isinstance(noted, Note)
    assert noted.record.hold_offs == tuple(HoldOff(1, NOW, at(60), host) for host in HOSTS), (
        "each of the hosts that it refuses at"
    )
    assert published(next_step(observed(**refused(LEAF, hold_offs=HELD_OFF)))) == ASKING


def test_a_host_that_is_not_enforced_is_no_reason_to_relax() -> None:
    """Another's `auth-tls` in front of it, say: not by our doing."""
    one = claim(enforced=(APEX,))
    world = refused(LEAF, one, hold_offs=HELD_OFF)
    second = world["origins"][0].replicas[1]
    elsewhere = replace(second, hosts=(replica("pod-2", one).hosts[0], second.hosts[1]))
    world["origins"] = [replace(world["origins"][0], replicas=(replica("pod-1", one), elsewhere))]
    assert isinstance(next_step(observed(**world)), Block)


@pytest.mark.parametrize(
    "replicas",
    [
        refusing(LEAF.sha256, settled=False),
        refusing(LEAF.sha256, revision=6),
        refusing(RETIRED.sha256),
    ],
    ids=["an old worker may have answered", "an older revision", "a leaf that was never uploaded"],
)
def test_a_refusal_that_says_nothing_about_now_changes_nothing(replicas: Any) -> None:
    step = next_step(
        observed(
            origins=[origin(replicas=replicas)], record={"hold_offs": HELD_OFF}, evidence=QUIET
        )
    )
    assert isinstance(step, Wait | Done), step


# --- time ---------------------------------------------------------------------------------------------------------------


def ending(hours: float) -> Any:
    return pin("leaf", not_after=NOW + timedelta(hours=hours))


def aged(hours: float, was: Claim = REQUIRING, **more: Any) -> Observed:
    """A world at rest whose only leaf ends so soon and has no successor."""
    leaf = ending(hours)
    world: dict[str, Any] = {
        "keys": {"leaf": leaf},
        "record": {"uploaded": (leaf,)},
        "origins": [origin(replace(was, pins=(leaf,)))],
        "zone": {"certificates": (certificate(leaf),)},
    }
    return observed(**(world | more))


@pytest.mark.parametrize("mode", [Mode.REQUIRE, Mode.OPTIONAL])
def test_24_h_before_its_end_a_leaf_without_a_successor_is_not_required_any_more(
    mode: Mode,
) -> None:
    assert published(next_step(aged(24, claim(mode)))) == claim(Mode.REQUEST, (), (ending(24),))
    assert next_step(aged(24.1)) == Done()


def test_then_it_is_not_presented_any_more() -> None:
    step = next_step(aged(24, ASKING))
    assert isinstance(step, SetEnabled)
    assert step.enabled is False


def test_it_is_presented_for_as_long_as_a_replica_still_refuses_somebody() -> None:
    leaf = ending(24)
    asking, requiring = claim(Mode.REQUEST, (), (leaf,)), claim(pins=(leaf,))
    step = next_step(aged(24, origins=[origin(asking, running=requiring)]))
    assert not isinstance(step, SetEnabled), step


@pytest.mark.parametrize(
    "zone",
    [
        {"enabled": False},
        {"certificates": (certificate(ending(24)), certificate(NEXT))},
        {"certificates": (certificate(ending(24), ours=False),)},
    ],
    ids=["off already", "a newer one is active", "not ours"],
)
def test_what_is_not_presented_by_our_doing_is_not_switched_off(zone: dict[str, Any]) -> None:
    step = next_step(aged(24, ASKING, zone=zone))
    assert not isinstance(step, SetEnabled), step


@pytest.mark.parametrize("hours", [-1, 1 / 120, 59 / 60])
@pytest.mark.parametrize("was", [REQUIRING, OPTIONAL, ASKING])
def test_what_has_expired_or_will_within_the_hour_is_not_even_asked_for(
    was: Claim, hours: float
) -> None:
    """Nginx answers 400 to an expired certificate as soon as it asks, and pods are not replaced at once."""
    assert published(next_step(aged(hours, was))) == claim(Mode.OFF, (), (ending(hours),))


def test_what_ends_later_is_asked_for() -> None:
    assert published(next_step(aged(61 / 60))) == claim(Mode.REQUEST, (), (ending(61 / 60),))


def test_a_proven_successor_lifts_the_time_limit() -> None:
    leaf = ending(10)
    world = aged(
        10,
        keys={"leaf": leaf, "next": NEXT},
        record={"uploaded": tuple(sorted((leaf, NEXT)))},
        origins=[origin(claim(pins=(leaf, NEXT)))],
        zone={"certificates": (certificate(leaf), certificate(NEXT))},
        evidence=[evidence(host, NEXT.sha256) for host in HOSTS],
    )
    assert not isinstance(next_step(world), Publish | SetEnabled)


def test_a_successor_that_one_host_is_not_seen_with_does_not() -> None:
    leaf = ending(10)
    world = aged(
        10,
        keys={"leaf": leaf, "next": NEXT},
        record={"uploaded": tuple(sorted((leaf, NEXT)))},
        origins=[origin(claim(pins=(leaf, NEXT)))],
        evidence=[evidence(APEX, NEXT.sha256), evidence(WWW, leaf.sha256)],
    )
    assert published(next_step(world)).mode is Mode.REQUEST


# --- the spec asks for less ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", BLOCKED.values(), ids=BLOCKED.keys())
@pytest.mark.parametrize(("enforcement", "less"), [("Request", ASKING), ("Optional", OPTIONAL)])
def test_less_is_given_at_once_whatever_is_blocked(
    blocked: dict[str, Any], enforcement: str, less: Claim
) -> None:
    world = {**blocked, "spec": {**blocked.get("spec", {}), "enforcement": enforcement}}
    assert published(next_step(observed(**world))) == less


@pytest.mark.parametrize(
    ("hosts", "less"),
    [((APEX,), claim(enforced=(APEX,))), (("shop.example.com",), ASKING)],
    ids=["one host left", "no host left"],
)
def test_a_host_that_is_out_of_scope_is_not_required_any_more(
    hosts: Sequence[str], less: Claim
) -> None:
    assert published(next_step(observed(origins=[origin(hosts=tuple(hosts))]))) == less


@pytest.mark.parametrize("was", [REQUIRING, ASKING])
def test_an_origin_that_has_left_the_spec_is_asked_for_nothing(was: Claim) -> None:
    assert published(next_step(observed(origins=[origin(), origin(was, wanted=False)]))) == OFF


# --- a text that the controller rejects ------------------------------------------------------------------------------------


def rejected(
    current: Claim = REQUIRING,
    running: Claim | None = ASKING,
    *,
    accepted: Claim | None = ASKING,
    **more: Any,
) -> dict[str, Any]:
    behind = (
        replica("pod-1", running, revision=REVISION - 1),
        replica("pod-2", running, revision=REVISION - 1),
    )
    return {
        "origins": [
            origin(
                current,
                running,
                configured={"accepted": accepted, **more},
                replicas=behind,
                rejected="[emerg] unknown directive",
            )
        ]
    }


def test_a_text_that_others_broke_on_top_of_ours_is_theirs_to_withdraw() -> None:
    """Every replica runs a revision that has our claim; the rejected one came later."""
    later = {"accepted": None, "revision": REVISION + 1, "claim_since": REVISION}
    broken = origin(configured=later, rejected="[emerg] unknown directive")
    assert next_step(observed(origins=[broken])) == Done()


def test_a_rejected_claim_is_noted_and_then_goes_back_to_its_last_accepted_form() -> None:
    noted = next_step(observed(**rejected()))
    assert isinstance(noted, Note)
    assert noted.record.rejected == (RejectedClaim(digest(REQUIRING, "none"), 1, NOW, at(120)),)
    assert (
        published(next_step(observed(**rejected(), record={"rejected": noted.record.rejected})))
        == ASKING
    )


def test_a_claim_that_went_out_with_others_goes_back_and_is_not_called_rejected() -> None:
    """Which of them the origin does not take is known when each was tried by itself."""
    (one,) = rejected()["origins"]
    assert published(next_step(observed(origins=[replace(one, joint=True)]))) == ASKING


@pytest.mark.parametrize("in_s", [-1, 0, 3])
def test_what_relaxes_waits_for_no_other_write(in_s: int) -> None:
    (one,) = rejected()["origins"]
    waiting = replace(one, joint=True, next_write_at=at(in_s))
    assert published(next_step(observed(origins=[waiting]))) == ASKING


@pytest.mark.parametrize(
    ("current", "accepted", "also_rejected", "back"),
    [
        (REQUIRING, None, (), OFF),
        (ASKING, REQUIRING, (), OFF),
        (REQUIRING, ASKING, (ASKING,), OFF),
        (claim(pins=(LEAF, NEXT)), claim(pins=(NEXT,)), (), claim(Mode.OFF, (), (LEAF, NEXT))),
        (claim(pins=(LEAF, NEXT)), REQUIRING, (), REQUIRING),
        (REQUIRING, claim(Mode.REQUEST, (), (NEXT,)), (), claim(Mode.REQUEST, (), (NEXT,))),
        (REQUIRING, REQUIRING, (), OFF),
    ],
    ids=[
        "none accepted",
        "accepted is stricter",
        "accepted was rejected since",
        "it lacks trust",
        "it has trust",
        "it needs none",
        "it was accepted once",
    ],
)
def test_it_goes_back_to_what_is_safe(
    current: Claim, accepted: Claim | None, also_rejected: Sequence[Claim], back: Claim
) -> None:
    record = {"rejected": tuple(rejection(one) for one in (current, *also_rejected))}
    assert (
        published(next_step(observed(**rejected(current, accepted=accepted), record=record)))
        == back
    )


@pytest.mark.parametrize(
    "current", [OFF, ASKING], ids=["off was rejected", "off was rejected before"]
)
def test_where_even_off_is_rejected_nothing_of_ours_stays(current: Claim) -> None:
    record = {"rejected": tuple({rejection(one) for one in (current, OFF)})}
    assert next_step(observed(**rejected(current, accepted=None), record=record)) == Withdraw(
        "public", TARGET
    )


def test_a_rejection_that_another_claim_has_caused_is_theirs_to_mend() -> None:
    step = next_step(
        observed(**rejected(REQUIRING, REQUIRING, accepted=REQUIRING, others_changed=True))
    )
    assert isinstance(step, Wait)
    assert step.reason is Reason.WAITING_FOR_REPLICAS


def test_the_record_of_rejections_is_bounded() -> None:
    before = tuple(RejectedClaim(f"{n:016x}", 1, at(-200), at(-80)) for n in range(8))
    step = next_step(observed(**rejected(), record={"rejected": before}))
    assert isinstance(step, Note)
    assert step.record.rejected == (
        *before[1:],
        RejectedClaim(digest(REQUIRING, "none"), 1, NOW, at(120)),
    )


def test_a_rejected_claim_is_not_published_again_until_something_changes() -> None:
    record = {"rejected": (rejection(REQUIRING),)}
    step = next_step(observed(record=record, origins=[origin(ASKING)]))
    assert isinstance(step, Block)
    assert step.reason is Reason.TEXT_REJECTED
    other_text = next_step(
        observed(record=record, origins=[origin(ASKING, configured={"foreign_digest": "another"})])
    )
    assert published(other_text) == REQUIRING


def test_a_digest_tells_apart_what_matters_to_a_controller_and_nothing_else() -> None:
    other_pin = claim(pins=(NEXT,))
    texts = [
        REQUIRING,
        ASKING,
        OFF,
        OPTIONAL,
        other_pin,
        claim(enforced=(APEX,)),
        replace(REQUIRING, patterns=(APEX,)),
    ]
    assert len({digest(one, "none") for one in texts}) == len(texts)
    assert digest(REQUIRING, "none") != digest(REQUIRING, "other")
    assert digest(replace(REQUIRING, flush_count=3, owner="edge/other"), "none") == digest(
        REQUIRING, "none"
    )


def test_an_origin_that_carries_nothing_of_ours_hides_no_other() -> None:
    """PROTECT goes through every origin, also past one whose ConfigMap is missing, unreadable or at Off."""
    others = [
        origin(None, name="a"),
        origin(configured=None, name="b"),
        origin(configured=Unknown("timeout"), name="c"),
        origin(OFF, name="d"),
    ]
    lossy = observed(
        origins=[*others, origin()], record={"hold_offs": HELD_OFF}, evidence=lost_everywhere()
    )
    assert published(next_step(lossy)) == ASKING
    assert (
        published(next_step(observed(origins=[*others, origin()], spec={"enforcement": "Request"})))
        == ASKING
    )
    assert (
        published(next_step(replace(aged(24), origins=(*others, *aged(24).origins)))).mode
        is Mode.REQUEST
    )
    assert (
        published(next_step(replace(aged(1 / 120), origins=(*others, *aged(1 / 120).origins)))).mode
        is Mode.OFF
    )


def test_a_zone_that_cannot_be_read_is_not_switched_off() -> None:
    step = next_step(aged(24, ASKING, zone=Unknown("timeout")))
    assert isinstance(step, Wait)
    empty = next_step(aged(24, ASKING, zone={"certificates": ()}))
    assert not isinstance(empty, SetEnabled)


def test_nobody_who_is_refused_anything_less_is_asked_less() -> None:
    """Optional with all its hosts still in scope stays as it is."""
    assert (
        next_step(observed(origins=[origin(OPTIONAL)], spec={"enforcement": "Optional"})) == Done()
    )


def test_the_first_origin_in_need_goes_first_and_the_others_follow() -> None:
    """One step at a time; what is lost on both is relaxed on both, one after the other."""
    second = Target("ingressNginx", "shop", "controller")
    both = [origin(ASKING), origin(name="shop", target=second)]
    record = {"hold_offs": HELD_OFF, "claimed": tuple(sorted((TARGET, second)))}
    step = next_step(observed(origins=both, record=record, evidence=lost_everywhere()))
    assert isinstance(step, Publish)
    assert (step.target, step.claim.mode) == (second, Mode.REQUEST)


def test_a_day_is_what_the_limits_say() -> None:
    assert observed().limits.expiry_margin_s == DAY.total_seconds()


# --- hosts that lose alone ---------------------------------------------------------------------------------------------------

SHOP = "shop.example.com"
THREE = (APEX, SHOP, WWW)


def three(*losing: str, presented: str = NONE, **more: Any) -> dict[str, Any]:
    """Three required hosts, of which these lose and the others arrive well."""
    seen = [lost(presented, host) if host in losing else evidence(host) for host in THREE]
    current = claim(enforced=THREE)
    return {
        "origins": [
            origin(
                current,
                hosts=THREE,
                replicas=(replica("pod-1", current, THREE), replica("pod-2", current, THREE)),
            )
        ],
        "evidence": seen,
    } | more


def relaxing(world: dict[str, Any]) -> Claim:
    """What is published after the hold-off was noted, as it is always noted first."""
    noted = next_step(observed(**world))
    assert isinstance(noted, Note), noted
    return published(next_step(observed(**world, record={"hold_offs": noted.record.hold_offs})))


def test_one_host_of_three_that_loses_is_relaxed_and_held_off_by_itself() -> None:
    """A colleague has switched verification off for one host, or its DNS record was changed: nobody else's affair."""
    noted = next_step(observed(**three(WWW)))
    assert isinstance(noted, Note)
    assert noted.record.hold_offs == (HoldOff(1, NOW, at(60), WWW),)
    assert relaxing(three(WWW)) == claim(enforced=(APEX, SHOP))


def test_two_of_three_that_lose_are_relaxed_while_the_third_arrives_well() -> None:
    assert relaxing(three(APEX, WWW)) == claim(enforced=(SHOP,))


def test_where_the_only_required_host_loses_another_that_arrives_well_is_not_held_off() -> None:
    """It is about to be required itself."""
    one = origin(claim(enforced=(APEX,)))
    noted = next_step(observed(origins=[one], evidence=[lost()]))
    assert isinstance(noted, Note)
    assert [hold_off.host for hold_off in noted.record.hold_offs] == [APEX]


def test_while_others_begin_to_lose_as_well_it_is_the_zone_that_loses() -> None:
    """The edge's locations follow one after the other: nobody waits for each host's third answer."""
    begins = replace(evidence(SHOP), recent=(Arrival(at(-2), NONE),), presented=NONE, last=at(-2))
    silent = Evidence(WWW, silence="HTTP 403", silent_since=at(-60))
    assert relaxing(three(evidence=[lost(), begins, silent])) == ASKING
    before = replace(begins, recent=(Arrival(at(-31), NONE),), last=at(-31))
    assert relaxing(three(evidence=[lost(), before, silent])) == claim(enforced=(SHOP, WWW))


def test_of_hundreds_those_that_were_not_asked_since_the_loss_began_say_nothing() -> None:
    """With a budget of twenty requests a second, six hundred hosts are each asked twice a minute, and one loses within a quarter of it."""
    earlier = replace(evidence(WWW), last=at(-11))
    begins = replace(evidence(SHOP), recent=(Arrival(at(-2), NONE),), presented=NONE, last=at(-2))
    assert relaxing(three(evidence=[lost(), begins, earlier])) == ASKING
    assert relaxing(three(evidence=[lost(), begins, replace(earlier, last=at(-9))])) == claim(
        enforced=(SHOP, WWW)
    )
    assert relaxing(three(evidence=[lost(), earlier, replace(earlier, host=SHOP)])) == claim(
        enforced=(SHOP, WWW)
    ), "nobody else loses"


@pytest.mark.parametrize(
    "zone",
    [
        {"enabled": False},
        {"certificates": ()},
        {"certificates": (certificate(), certificate(NEXT, ours=False))},
        {"certificates": (certificate(state=CertificateState.DELETING),)},
    ],
    ids=["disabled", "no certificate", "another's is newer", "ours is being deleted"],
)
def test_where_cloudflare_itself_says_that_ours_is_not_presented_one_host_speaks_for_all(
    zone: dict[str, Any],
) -> None:
    noted = next_step(observed(**three(WWW), zone=zone))
    assert isinstance(noted, Note)
    assert [hold_off.host for hold_off in noted.record.hold_offs] == [""]
    assert relaxing(three(WWW, zone=zone)) == replace(ASKING, enforced=())


def test_a_share_of_losing_answers_is_a_loss_although_others_arrive_well() -> None:
    """One replica of three refuses, or one location of the edge presents something else."""
    mixed = arriving(*((LEAF.sha256, LEAF.sha256, OTHER) * 6), host=WWW)
    assert relaxing(three(evidence=[evidence(APEX), evidence(SHOP), mixed])) == claim(
        enforced=(APEX, SHOP)
    )


@pytest.mark.parametrize(
    "seen",
    [
        arriving(
            *((LEAF.sha256, LEAF.sha256, LEAF.sha256, LEAF.sha256, OTHER) * 6),
            host=WWW,
            every_s=3.0,
        ),
        arriving(*((LEAF.sha256, LEAF.sha256, OTHER) * 4), host=WWW),
        arriving(*((LEAF.sha256, LEAF.sha256, OTHER) * 6), host=WWW, every_s=1.5),
        earlier(arriving(*((LEAF.sha256, LEAF.sha256, OTHER) * 6), host=WWW), 31),
    ],
    ids=["a small share", "few answers", "within seconds", "not lately"],
)
def test_a_share_that_a_lag_may_explain_is_none(seen: Evidence) -> None:
    step = next_step(observed(**three(evidence=[evidence(APEX), evidence(SHOP), seen])))
    assert not isinstance(step, Note | Publish), step


def test_a_host_that_is_held_off_already_is_not_noted_again() -> None:
    """Else another host that loses a moment later would double it."""
    running = HoldOff(3, at(-10), at(230), APEX)
    noted = next_step(observed(**three(APEX, WWW), record={"hold_offs": (running,)}))
    assert isinstance(noted, Note)
    assert noted.record.hold_offs == (running, HoldOff(1, NOW, at(60), WWW))


def test_however_many_hold_offs_run_a_new_one_is_noted_and_then_acted_on() -> None:
    """It is the relaxation that must not wait: what is dropped of the record is a hold-off of somebody else's."""
    running = tuple(
        HoldOff(5, at(-600), at(3600 + n), f"h{n:02}.example.com") for n in range(MOST_HOLD_OFFS)
    )
    noted = next_step(observed(**three(WWW), record={"hold_offs": running}))
    assert isinstance(noted, Note)
    assert noted.record.hold_offs == (*running[1:], HoldOff(1, NOW, at(60), WWW))
    assert published(
        next_step(observed(**three(WWW), record={"hold_offs": noted.record.hold_offs}))
    ) == claim(enforced=(APEX, SHOP))


def test_more_hosts_at_once_than_can_be_remembered_are_held_off_together() -> None:
    losing = tuple(f"h{n:02}.example.com" for n in range(MOST_HOLD_OFFS + 1))
    hosts = (*losing, WWW)
    current = claim(enforced=hosts)
    world = three(
        origins=[origin(current, hosts=hosts, replicas=(replica("pod-1", current, hosts),))],
        evidence=[*(lost(host=host) for host in losing), evidence(WWW)],
    )
    noted = next_step(observed(**world))
    assert isinstance(noted, Note)
    assert noted.record.hold_offs == (HoldOff(1, NOW, at(60)),)
    assert relaxing(world) == claim(enforced=(WWW,))


# --- what the server itself refuses ---------------------------------------------------------------------------------------------


def verifying(*hosts: str, odd: str | None = None, current: Claim | None = None) -> Any:
    """Three hosts, at some of which somebody's Ingress verifies client certificates by itself, or something else is odd."""
    required = current or claim(enforced=THREE)
    seen = replica("pod-1", required, THREE)
    other = replace(
        seen,
        hosts=tuple(
            replace(b, own=odd is None, odd=odd) if b.host in hosts else b for b in seen.hosts
        ),
    )
    return origin(required, hosts=THREE, replicas=(replica("pod-2", required, THREE), other))


@pytest.mark.parametrize(
    "odd",
    [None, "HTTP 400 on the operator's check path"],
    ids=["its own Ingress", "a snippet of others"],
)
def test_a_host_that_another_s_configuration_refuses_is_left_alone(odd: str | None) -> None:
    """Relaxing would help nobody there, and harm the host once that configuration is gone."""
    step = next_step(observed(**three(WWW, presented=REFUSED, origins=[verifying(WWW, odd=odd)])))
    assert not isinstance(step, Note | Publish), step
    asking = verifying(*THREE, odd=odd, current=ASKING)
    step = next_step(observed(**three(*THREE, presented=REFUSED, origins=[asking])))
    assert not isinstance(step, Note | Publish), step


def test_what_our_own_text_refuses_there_is_a_loss_all_the_same() -> None:
    assert relaxing(three(WWW, origins=[verifying(WWW)])) == claim(enforced=(APEX, SHOP))


def test_a_host_that_answers_past_the_edge_says_nothing_of_asking_and_is_relaxed_by_itself_if_it_is_required() -> (
    None
):
    """Its DNS record is not proxied any more: its visitors come without a certificate."""
    direct = replace(lost(host=WWW), direct=True)
    assert relaxing(three(evidence=[evidence(APEX), evidence(SHOP), direct])) == claim(
        enforced=(APEX, SHOP)
    )
    refused_there = replace(lost(REFUSED, WWW), direct=True)
    asking = origin(ASKING, hosts=THREE, replicas=(replica("pod-1", ASKING, THREE),))
    step = next_step(
        observed(
            origins=[asking],
            spec={"suspend": True},
            evidence=[evidence(APEX, NONE), evidence(SHOP, NONE), refused_there],
        )
    )
    assert isinstance(step, Block), step


def test_while_others_arrive_well_only_the_host_that_the_server_refuses_is_relaxed() -> None:
    assert relaxing(three(WWW, presented=REFUSED)) == claim(enforced=(APEX, SHOP))


def test_after_asking_was_ended_nobody_is_asked_again_before_the_hold_off_is_over() -> None:
    """Else the shared controller would reload twice for each time that somebody's host is refused, without end."""
    world: dict[str, Any] = {
        "origins": [origin(OFF)],
        "record": {"hold_offs": HELD_OFF},
        "evidence": [evidence(host, NONE) for host in HOSTS],
    }
    step = next_step(observed(**world))
    assert isinstance(step, Wait)
    assert step.reason is Reason.HOLD_OFF
    assert published(next_step(observed(**world | {"record": {}}))) == ASKING


# --- rejections that are tried again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "times", "pause_s"),
    [
        ((), 1, 120),
        ((1, -121, -1), 2, 240),
        ((4, -3600, -1800), 5, 1920),
        ((9, -7200, -3600), 10, 3600),
        ((99, -7200, -3600), 100, 3600),
    ],
)
def test_each_rejection_of_the_same_claim_is_followed_by_a_longer_pause(
    before: tuple[float, ...], times: int, pause_s: float
) -> None:
    last = tuple(
        RejectedClaim(digest(REQUIRING, "none"), int(n), at(since), at(until))
        for n, since, until in ([before] if before else [])
    )
    step = next_step(observed(**rejected(), record={"rejected": last}))
    assert isinstance(step, Note)
    assert step.record.rejected == (
        RejectedClaim(digest(REQUIRING, "none"), times, NOW, at(pause_s)),
    )


@pytest.mark.parametrize(
    ("before", "pause_s"),
    [((), 3600), ((1, -3601, -1), 7200), ((99, -90000, -3600), 86400)],
)
def test_what_serves_nobody_while_it_rejects_a_text_is_not_made_to_soon(
    before: tuple[float, ...], pause_s: float
) -> None:
    name = digest(REQUIRING, "none")
    last = tuple(
        RejectedClaim(name, int(n), at(since), at(until))
        for n, since, until in ([before] if before else [])
    )
    world = rejected()
    failing = Capabilities(fails_rejected=True)
    origins = [replace(one, capabilities=failing) for one in world["origins"]]
    step = next_step(observed(**world | {"origins": origins}, record={"rejected": last}))
    assert isinstance(step, Note)
    assert [one.until for one in step.record.rejected] == [at(pause_s)]


def test_a_rejected_claim_is_tried_again_when_its_pause_is_over() -> None:
    """The cause may have been mended by somebody who says nothing to us."""
    over = RejectedClaim(digest(REQUIRING, "none"), 3, at(-500), NOW)
    assert (
        published(next_step(observed(record={"rejected": (over,)}, origins=[origin(ASKING)])))
        == REQUIRING
    )


def test_what_was_rejected_a_day_ago_is_forgotten_with_the_next_note() -> None:
    old, recent = (
        RejectedClaim(name * 16, 1, at(-90000), at(until))
        for name, until in (("a", -86400), ("b", -86399))
    )
    step = next_step(observed(**rejected(), record={"rejected": (old, recent)}))
    assert isinstance(step, Note)
    assert [one.digest for one in step.record.rejected] == [
        recent.digest,
        digest(REQUIRING, "none"),
    ]


def test_a_rejection_of_a_clock_that_was_ahead_holds_nothing() -> None:
    later = RejectedClaim(digest(REQUIRING, "none"), 3, at(3000), at(3500))
    assert (
        published(next_step(observed(record={"rejected": (later,)}, origins=[origin(ASKING)])))
        == REQUIRING
    )


def test_where_both_milder_texts_were_rejected_the_mildest_is_tried_all_the_same() -> None:
    """Whoever is refused now must not wait for the end of a pause."""
    record = {"hold_offs": HELD_OFF, "rejected": (rejection(ASKING), rejection(OFF))}
    assert published(next_step(observed(record=record, evidence=lost_everywhere()))) == OFF


def test_nothing_is_concluded_from_a_controller_that_says_nothing() -> None:
    """However long no replica shows a text: slow is slow."""
    behind = (
        replica("pod-1", ASKING, revision=REVISION - 1),
        replica("pod-2", ASKING, revision=REVISION - 1),
    )
    for since_s in (-40, -86400):
        step = next_step(observed(origins=[origin(replicas=behind, published_at=at(since_s))]))
        assert isinstance(step, Wait)
        assert (step.reason, step.since) == (Reason.WAITING_FOR_REPLICAS, at(since_s))


# --- replicas that read at their start --------------------------------------------------------------------------------

ROLLOUT = Rollout(Kind.DEPLOYMENT, ObjectKey("web", "frontend"), {"spec": {}})
LEAVING = replace(ROLLOUT, leaving=True)


@pytest.mark.parametrize("deleting", [False, True])
def test_what_is_published_is_rolled_out_whatever_is_blocked(deleting: bool) -> None:
    blocked = observed(origins=[origin(rollout=ROLLOUT)], zone=None, object={"deleting": deleting})
    assert next_step(blocked) == RollOut("public", origin().target, ROLLOUT)


def test_what_relaxes_is_written_before_it_is_rolled_out() -> None:
    """So that the replicas are replaced once."""
    o = observed(origins=[origin(rollout=ROLLOUT)], spec={"enforcement": "Request"})
    assert published(next_step(o)).mode is Mode.REQUEST


def test_the_last_traces_go_only_where_nothing_of_ours_is_to_be_put_back() -> None:
    gone = origin(None, rollout=LEAVING)
    assert next_step(observed(origins=[gone])) == RollOut("public", origin().target, LEAVING)
    deleted = origin(None, REQUIRING, configured={"standing": REQUIRING}, rollout=LEAVING)
    step = next_step(observed(origins=[deleted]))
    assert isinstance(step, Publish)
    assert step.claim == REQUIRING, "somebody has deleted what the replicas still do"
