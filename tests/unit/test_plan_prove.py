"""From asking to refusing: a host is required after a whole window of its own, and never on anything less."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.api import ConditionType, Status
from aop.errors import Reason
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Arrival,
    Evidence,
    HoldOff,
    Limits,
    RejectedClaim,
    Unknown,
)
from aop.plan import next_step
from aop.plan.claims import digest
from aop.plan.facts import proven
from aop.record import dump, load
from aop.status import status_of
from aop.status.ready import fulfilled
from aop.steps import Delete, Done, Note, Publish, Wait
from aop.terms import Claim, Mode
from builders import (
    APEX,
    ASKING,
    HOSTS,
    KEY,
    LEAF,
    NEXT,
    NOW,
    OFF,
    REQUIRING,
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
from narrowed import published, waiting
from sandbox.stages import MAYBE

OPTIONAL = claim(Mode.OPTIONAL)
UNPROVEN = [evidence(host, NONE) for host in HOSTS]


# --- asking ------------------------------------------------------------------------------------------------------------------


def test_asking_comes_with_trust_in_all_that_may_be_presented() -> None:
    bare = claim(Mode.OFF, (), ())
    world = observed(
        origins=[origin(bare)],
        keys={"next": NEXT},
        zone={"certificates": (certificate(), certificate(NEXT))},
        record={"uploaded": (LEAF, NEXT)},
    )
    assert published(next_step(world)) == claim(Mode.REQUEST, (), (LEAF, NEXT))


def test_asking_waits_while_something_expired_may_still_be_presented() -> None:
    old = pin("retired", not_after=at(30))
    uploaded = {"uploaded": tuple(sorted((LEAF, old)))}
    step = next_step(
        observed(origins=[origin(OFF)], record=uploaded, evidence=UNPROVEN, still=False)
    )
    assert waiting(step) is Reason.WAITING_FOR_CLOUDFLARE
    assert old.short in str(step)


def test_what_has_expired_leaves_cloudflare_and_then_the_record_before_anybody_is_asked() -> None:
    """Else it would hold the asking back for ever, and without asking nothing could ever be proven again."""
    old = pin("retired", not_after=at(30))
    retired = certificate(old, uploaded_at=at(-7200))
    world: dict[str, Any] = {
        "origins": [origin(OFF)],
        "record": {"uploaded": tuple(sorted((LEAF, old)))},
        "evidence": UNPROVEN,
        "still": True,
    }
    step = next_step(observed(zone={"certificates": (retired, certificate(LEAF))}, **world))
    assert isinstance(step, Delete)
    assert step.pin == old
    step = next_step(observed(**world))
    assert isinstance(step, Note)
    assert step.record.uploaded == (LEAF,)


def test_nothing_is_proven_before_every_replica_asks() -> None:
    step = next_step(
        observed(
            origins=[origin(ASKING, replicas=(replica("pod-1", ASKING), replica("pod-2", OFF)))]
        )
    )
    assert waiting(step) is Reason.WAITING_FOR_REPLICAS
    assert "pod-2" in str(step)


# --- proof -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "is_proof"),
    [
        ({}, True),
        ({"count": 12}, True),
        ({"count": 11}, False),
        ({"covered": timedelta(seconds=180)}, True),
        ({"covered": timedelta(seconds=179.9)}, False),
        ({"covered": timedelta(), "since": at(-86400)}, False),
        ({"presented": NEXT.sha256}, False),
        ({"presented": NONE}, False),
        ({"presented": REFUSED}, False),
        ({"direct": True}, False),
        ({"last": at(-30)}, True),
        ({"last": at(-31), "since": at(-600)}, False),
        ({"last": None}, False),
        ({"silence": "HTTP 520", "silent_since": at(-2)}, True),
    ],
)
def test_a_proof_is_a_whole_fresh_window_of_the_wanted_leaf(
    changes: dict[str, Any], is_proof: bool
) -> None:
    """The window is 180 s, the fewest answers 12, and the last one is not older than 30 s."""
    assert proven(observed(evidence=[replace(evidence(APEX), **changes)]), APEX) is is_proof


def test_a_long_window_needs_a_fresh_answer_all_the_same() -> None:
    """It is asked as often as a short one, so an answer of minutes ago says nothing of what comes now."""
    hour = {"verification": {"window": "1h"}}
    assert proven(observed(spec=hour, evidence=[evidence(APEX, lasting_s=3600)]), APEX)
    assert not proven(
        observed(spec=hour, evidence=[evidence(APEX, lasting_s=5000, last=at(-31))]), APEX
    )


def test_where_many_hosts_share_the_requests_an_answer_is_fresh_for_longer() -> None:
    world = observed(evidence=[evidence(APEX, lasting_s=5000, last=at(-60))])
    assert not proven(world, APEX)
    assert proven(replace(world, limits=Limits(stale_after_s=60)), APEX)


def test_a_host_without_any_answer_is_not_proven() -> None:
    assert not proven(observed(), "shop.example.com")
    assert not proven(observed(keys=None), APEX)


@pytest.mark.parametrize(
    ("seen", "reason", "message"),
    [
        ([evidence(host, lasting_s=60) for host in HOSTS], Reason.WAITING_FOR_PROOF, "for 180 s"),
        ([evidence(APEX, NONE), evidence(WWW, lasting_s=60)], Reason.WAITING_FOR_PROOF, WWW),
        (UNPROVEN, Reason.EDGE_NOT_PROVEN, "present no certificate"),
        (
            [evidence(APEX, OTHER), evidence(WWW, direct=True)],
            Reason.EDGE_NOT_PROVEN,
            "present another certificate",
        ),
        (
            [evidence(APEX, OTHER), evidence(WWW, direct=True)],
            Reason.EDGE_NOT_PROVEN,
            f"{WWW} bypasses Cloudflare",
        ),
        (
            [
                evidence(APEX, lasting_s=60, silence="HTTP 520", silent_since=at(-9)),
                evidence(WWW, NONE),
            ],
            Reason.EDGE_NOT_PROVEN,
            "HTTP 520",
        ),
        (
            [evidence(APEX, NEXT.sha256), evidence(WWW, REFUSED, recent=())],
            Reason.EDGE_NOT_PROVEN,
            f"present leaf {NEXT.short}",
        ),
        (
            [
                evidence(host, silence="HTTP 403", silent_since=at(-9), presented=NONE)
                for host in HOSTS
            ],
            Reason.EDGE_SILENT,
            "HTTP 403",
        ),
        ([evidence(APEX, NONE), Evidence(WWW)], Reason.EDGE_NOT_PROVEN, f"has not asked {WWW} yet"),
    ],
)
def test_what_the_proof_waits_for_is_told_host_by_host(
    seen: list[Evidence], reason: Reason, message: str
) -> None:
    step = next_step(observed(origins=[origin(ASKING)], evidence=seen))
    assert waiting(step) is reason
    assert message in str(step)


def test_a_host_that_an_association_outranks_is_named_as_such() -> None:
    step = next_step(
        observed(origins=[origin(ASKING)], evidence=UNPROVEN, zone={"outranked": (WWW,)})
    )
    assert f"{WWW} has a per-hostname association" in str(step)


def test_the_proof_is_awaited_since_it_began() -> None:
    step = next_step(
        observed(
            origins=[origin(ASKING)],
            evidence=[evidence(APEX, lasting_s=60), evidence(WWW, lasting_s=90)],
        )
    )
    assert isinstance(step, Wait)
    assert step.since == at(-93)


# --- sessions from before ----------------------------------------------------------------------------------------------------


def old_sessions(
    *, fresh: str | None = LEAF.sha256, old_for_s: float | None = 290.0, **changes: Any
) -> Evidence:
    """Requests come without a certificate, for so long over connections from before; `fresh` is what the last new handshake came with."""
    return replace(
        evidence(APEX, NONE),
        fresh=None if fresh is None else Arrival(at(-295), fresh),
        old_since=None if old_for_s is None else at(-old_for_s),
        **changes,
    )


def test_sessions_from_before_are_flushed_by_the_same_text_under_a_new_revision() -> None:
    world: dict[str, Any] = {
        "origins": [origin(ASKING)],
        "evidence": [old_sessions(old_for_s=20), evidence(WWW, NONE)],
    }
    noted = next_step(observed(**world))
    assert isinstance(noted, Note)
    step = next_step(observed(**world, record={"flushes": noted.record.flushes}))
    assert published(step) == replace(ASKING, flush_count=1)
    assert APEX in str(step)
    assert WWW not in str(step)


def test_so_are_they_under_a_text_that_was_rejected_once_and_is_taken_everywhere_now() -> None:
    """What broke it elsewhere was mended.

    Else a flush would be noted hour after hour, and none made.
    """
    rejected = RejectedClaim(digest(ASKING, "none"), 1, since=at(-1), until=at(119))
    world: dict[str, Any] = {
        "evidence": [old_sessions(old_for_s=20), evidence(WWW, NONE)],
        "record": {"rejected": (rejected,), "flushes": (NOW,)},
    }
    assert published(next_step(observed(origins=[origin(ASKING)], **world))) == replace(
        ASKING, flush_count=1
    )
    step = next_step(observed(origins=[origin(ASKING, running=OFF)], **world))
    assert not isinstance(step, Publish)


@pytest.mark.parametrize("fresh", [None, NONE])
def test_so_are_they_when_no_new_handshake_was_made_for_a_whole_window(fresh: str | None) -> None:
    seen = [old_sessions(fresh=fresh), evidence(WWW, NONE)]
    step = next_step(observed(origins=[origin(ASKING)], evidence=seen, record={"flushes": (NOW,)}))
    assert published(step) == replace(ASKING, flush_count=1)


@pytest.mark.parametrize(
    ("seen", "applied_s_ago"),
    [
        (old_sessions(fresh=NONE, old_for_s=179), 590),
        (old_sessions(fresh=NONE), 179),
        (old_sessions(), 2),
        (old_sessions(), None),
        (old_sessions(old_for_s=None), 590),
        (old_sessions(direct=True), 590),
    ],
    ids=[
        "not for a window",
        "not since the last flush",
        "nothing since the last flush",
        "a replica is behind",
        "the last was new",
        "bypassing the edge",
    ],
)
def test_what_may_still_show_itself_is_not_flushed(
    seen: Evidence, applied_s_ago: float | None
) -> None:
    asking = origin(ASKING, applied_at=None if applied_s_ago is None else at(-applied_s_ago))
    step = next_step(observed(origins=[asking], evidence=[seen, evidence(WWW, NONE)]))
    assert waiting(step) is Reason.EDGE_NOT_PROVEN


def test_one_proven_host_is_enough_not_to_flush() -> None:
    assert published(
        next_step(observed(origins=[origin(ASKING)], evidence=[old_sessions()]))
    ) == claim(enforced=(WWW,))


# --- requiring ---------------------------------------------------------------------------------------------------------------


def test_proven_hosts_are_required_and_the_others_are_not_waited_for() -> None:
    """A DNS-only host, or one whose edge never answers, holds back nobody else."""
    assert published(next_step(observed(origins=[origin(ASKING)]))) == REQUIRING
    for other in (
        evidence(WWW, NONE),
        evidence(WWW, direct=True),
        Evidence(WWW, silence="timeout", silent_since=at(-9)),
    ):
        assert published(next_step(observed(origins=[origin(ASKING)], evidence=[other]))) == claim(
            enforced=(APEX,)
        )


@pytest.mark.parametrize("enforcement", [Mode.OPTIONAL, Mode.REQUIRE])
def test_it_goes_as_far_as_the_spec_asks(enforcement: Mode) -> None:
    spec = {"enforcement": enforcement.label}
    assert published(next_step(observed(origins=[origin(ASKING)], spec=spec))) == claim(enforcement)


def test_asking_only_is_all_that_request_asks_for() -> None:
    assert next_step(observed(origins=[origin(ASKING)], spec={"enforcement": "Request"})) == Done()


def test_a_host_that_is_proven_later_is_added_and_what_is_required_stays() -> None:
    one = claim(enforced=(APEX,))
    assert published(next_step(observed(origins=[origin(one)]))) == REQUIRING
    silent = Evidence(APEX, silence="timeout", silent_since=at(-900))
    assert published(next_step(observed(origins=[origin(one)], evidence=[silent]))) == REQUIRING


def test_from_optional_to_require_is_stricter_and_needs_a_proof_again() -> None:
    assert published(next_step(observed(origins=[origin(OPTIONAL)]))) == REQUIRING
    unproven = observed(origins=[origin(OPTIONAL)], evidence=[evidence(WWW, lasting_s=60)])
    assert waiting(next_step(unproven)) is Reason.WAITING_FOR_PROOF


def test_a_hold_off_holds_back_only_what_would_be_stricter() -> None:
    hold_off = HoldOff(2, since=at(-10), until=at(110))
    step = next_step(observed(origins=[origin(ASKING)], record={"hold_offs": (hold_off,)}))
    assert waiting(step) is Reason.HOLD_OFF
    assert isinstance(step, Wait)
    assert (step.since, step.seconds) == (at(-10), 10.0)
    assert "12:01:50" in str(step)
    assert next_step(observed(record={"hold_offs": (hold_off,)})) == Done()
    over = replace(hold_off, until=NOW)
    assert (
        published(next_step(observed(origins=[origin(ASKING)], record={"hold_offs": (over,)})))
        == REQUIRING
    )


def test_a_host_that_is_about_to_be_proven_shares_the_write() -> None:
    """Each write costs every replica a reload. Five seconds are waited, and not one more."""
    soon = evidence(WWW, lasting_s=176)
    assert (
        waiting(next_step(observed(origins=[origin(ASKING)], evidence=[soon])))
        is Reason.WAITING_FOR_PROOF
    )
    assert published(
        next_step(observed(origins=[origin(ASKING)], evidence=[evidence(WWW, lasting_s=174)]))
    ) == claim(enforced=(APEX,))
    stuck = replace(soon, covered=timedelta(seconds=300), count=11)
    assert published(next_step(observed(origins=[origin(ASKING)], evidence=[stuck]))) == claim(
        enforced=(APEX,)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"direct": True},
        {"presented": NONE},
        {"presented": NEXT.sha256},
        {"since": None},
        {"last": None},
        {"last": at(-5)},
        {"covered": timedelta(seconds=185), "count": 11},
    ],
    ids=[
        "bypassing the edge",
        "without",
        "another leaf",
        "no run",
        "never",
        "not lately",
        "overdue",
    ],
)
def test_a_host_that_will_not_be_proven_within_seconds_is_not_waited_for(
    changes: dict[str, Any],
) -> None:
    other = replace(evidence(WWW, lasting_s=176, recent=()), **changes)
    assert published(next_step(observed(origins=[origin(ASKING)], evidence=[other]))) == claim(
        enforced=(APEX,)
    )


def test_an_origin_that_left_the_spec_or_carries_nothing_is_not_made_stricter() -> None:
    others = [
        origin(ASKING, name="left", wanted=False, hosts=()),
        origin(None, name="bare", wanted=False),
    ]
    assert published(next_step(observed(origins=[*others, origin(OFF)]))).mode is Mode.OFF, (
        "PROTECT first: what left asks nobody"
    )
    bare = [origin(None, None, name="bare", wanted=False, target=KEY)]
    assert published(next_step(observed(origins=[*bare, origin(OFF)]))) == ASKING
    assert published(next_step(observed(origins=[*bare, origin(ASKING)]))) == REQUIRING


def test_without_a_key_pair_nothing_is_required() -> None:
    for keys in (None, Unknown("timeout")):
        assert not isinstance(next_step(observed(origins=[origin(ASKING)], keys=keys)), Publish)


def test_only_hosts_of_that_origin_are_required_there() -> None:
    first, second = origin(ASKING, hosts=(APEX,)), origin(ASKING, hosts=(WWW,), name="shop")
    assert published(next_step(observed(origins=[first, second]))) == claim(enforced=(APEX,))


# --- strangers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "late",
    [
        replica("pod-2", ASKING),
        replica("pod-2", REQUIRING, revision=6),
        replica("pod-2", REQUIRING, settled=False),
    ],
)
def test_it_is_not_done_before_every_replica_was_seen_to_refuse_strangers(late: Any) -> None:
    step = next_step(observed(origins=[origin(replicas=(replica("pod-1", REQUIRING), late))]))
    assert waiting(step) is Reason.WAITING_FOR_REPLICAS


def test_a_replica_that_refuses_ours_is_not_done_either() -> None:
    other = replica("pod-2", REQUIRING)
    behaviours = tuple(
        replace(b, accepts=frozenset(), refuses=frozenset({NEXT.sha256})) for b in other.hosts
    )
    current = claim(pins=(LEAF, NEXT))
    world = observed(
        origins=[
            origin(current, replicas=(replica("pod-1", current), replace(other, hosts=behaviours)))
        ],
        keys={"next": NEXT},
    )
    assert waiting(next_step(world)) is Reason.WAITING_FOR_REPLICAS
    assert f"refuses the operator's leaf {NEXT.short}" in str(next_step(world))


def test_a_window_is_what_the_spec_says() -> None:
    assert observed().window == timedelta(seconds=180)


# --- hosts that hold back nobody else ---------------------------------------------------------------------------------------------


def odd(*hosts: str, current: Claim = ASKING, own: bool = False) -> Any:
    """An origin on one of whose replicas somebody else answers, or decides, at some hosts."""
    seen = replica("pod-2", current)
    elsewhere = {"odd": "HTTP 308 on the operator's check path"}
    verifying = {"own": True, "refuses": frozenset({LEAF.sha256})}
    hidden: dict[str, Any] = {
        "mode": Mode.OFF,
        "accepts": frozenset(),
        **(verifying if own else elsewhere),
    }
    other = tuple(replace(b, **hidden) if b.host in hosts else b for b in seen.hosts)
    return origin(current, replicas=(replica("pod-1", current), replace(seen, hosts=other)))


@pytest.mark.parametrize("own", [False, True])
def test_an_odd_host_is_not_required_and_the_others_are(own: bool) -> None:
    assert published(next_step(observed(origins=[odd(WWW, own=own)]))) == claim(enforced=(APEX,))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            False,
            f"{WWW}: pod pod-2 answers HTTP 308 on the operator's check path. Let requests for /.well-known/",
        ),
        (True, f"{WWW}: its own Ingress verifies client certificates"),
    ],
)
def test_an_odd_host_is_named_where_no_other_is_proven(own: bool, message: str) -> None:
    step = next_step(observed(origins=[odd(APEX, WWW, own=own)]))
    assert waiting(step) is Reason.EDGE_NOT_PROVEN
    assert message in str(step)


def test_an_odd_host_is_not_said_to_be_proven_within_a_window() -> None:
    """It arrives with our leaf, and still nobody sees our text there: no window ends that."""
    step = next_step(observed(origins=[odd(APEX)], evidence=[evidence(WWW, lasting_s=60)]))
    assert waiting(step) is Reason.WAITING_FOR_PROOF
    assert str(step).startswith(
        f"waits: The operator's requests to {WWW} through the edge present leaf {LEAF.short}"
    )


@pytest.mark.parametrize("own", [False, True])
def test_an_odd_host_that_is_required_stays_required_and_is_not_waited_for(own: bool) -> None:
    assert next_step(observed(origins=[odd(WWW, current=REQUIRING, own=own)])) == Done()


def believing(*hosts: str, current: Claim = ASKING, everywhere: bool = False) -> Any:
    """An origin of which one replica believes what a request says of its own certificate; or each does."""

    def credulous(name: str) -> Any:
        seen = replica(name, current)
        came = ("X-Came", "X-Forged")
        changed = (replace(b, believes=came) if b.host in hosts else b for b in seen.hosts)
        return replace(seen, hosts=tuple(changed))

    first = credulous("pod-1") if everywhere else replica("pod-1", current)
    return origin(current, replicas=(first, credulous("pod-2")))


def test_where_whoever_comes_may_pass_for_the_edge_nothing_is_required_and_it_is_said_why() -> None:
    assert published(next_step(observed(origins=[believing(WWW)]))) == claim(enforced=(APEX,))
    step = next_step(observed(origins=[believing(*HOSTS)]))
    assert waiting(step) is Reason.EDGE_NOT_PROVEN
    assert (
        f"{WWW}: pod pod-2 believes what a request's own headers say about its certificate. Have the server remove X-Came and "
        "X-Forged from every request" in str(step)
    )


def test_what_is_required_already_stays_although_whoever_comes_may_pass_now() -> None:
    """To let everybody in is no better; the status says it."""
    o = observed(origins=[believing(WWW, current=REQUIRING)])
    assert next_step(o) == Done()
    assert f"passes for the edge at present: {WWW}: pod pod-2 believes what" in fulfilled(o)
    ready = status_of(o, Done(), Status()).condition(ConditionType.READY)
    assert ready is not None
    assert ready.status == "True"


def test_a_required_host_that_no_replica_protects_is_not_called_enforced() -> None:
    """It stays required, and whoever reads Ready is told what is open."""
    o = observed(origins=[believing(WWW, current=REQUIRING, everywhere=True)])
    assert next_step(o) == Done()
    status = status_of(o, Done(), Status())
    for kind in (ConditionType.READY, ConditionType.ENFORCED):
        condition = status.condition(kind)
        assert condition is not None
        assert (condition.status, condition.reason) == ("False", Reason.FOREIGN_CONFIGURATION)
        assert f"{WWW}: pod pod-1 believes what" in condition.message


def test_hosts_that_are_odd_and_therefore_silent_are_not_the_edge_s_affair() -> None:
    """A redirect answers through the edge as it does past it: whoever reads this must look at the origin."""
    silent = [
        Evidence(host, silence="HTTP 308 instead of the check path's answer", silent_since=at(-60))
        for host in HOSTS
    ]
    step = next_step(
        observed(origins=[odd(*HOSTS)], evidence=[silent[0], replace(silent[1], last=at(-60))])
    )
    assert waiting(step) is Reason.EDGE_NOT_PROVEN


def test_a_host_that_is_nearly_proven_shares_the_write_of_one_that_is() -> None:
    """Which looks show the two proofs complete is chance, so that a whole life need not pass here."""
    step = next_step(observed(origins=[origin(ASKING)], evidence=[evidence(WWW, lasting_s=176)]))
    assert waiting(step) is Reason.WAITING_FOR_PROOF
    assert str(step) == f"waits: The operator waits a few seconds until {WWW} {MAYBE}"


@pytest.mark.parametrize("reason", ["odd", "held off"])
def test_a_host_that_will_not_be_required_is_not_waited_for_although_it_is_nearly_proven(
    reason: str,
) -> None:
    on_hold_off = (
        {"hold_offs": (HoldOff(2, since=at(-10), until=at(110), host=WWW),)}
        if reason == "held off"
        else {}
    )
    origin_seen = odd(WWW) if reason == "odd" else origin(ASKING)
    step = next_step(
        observed(origins=[origin_seen], evidence=[evidence(WWW, lasting_s=176)], record=on_hold_off)
    )
    assert published(step) == claim(enforced=(APEX,))


def test_a_host_on_hold_off_holds_back_nobody_else() -> None:
    on_hold_off = {"hold_offs": (HoldOff(2, since=at(-10), until=at(110), host=WWW),)}
    assert published(next_step(observed(origins=[origin(ASKING)], record=on_hold_off))) == claim(
        enforced=(APEX,)
    )
    assert (
        next_step(observed(origins=[origin(claim(enforced=(APEX,)))], record=on_hold_off)) == Done()
    )
    optional = origin(claim(Mode.OPTIONAL, enforced=(APEX,)))
    assert published(next_step(observed(origins=[optional], record=on_hold_off))) == claim(
        enforced=(APEX,)
    )


def test_a_required_host_on_hold_off_is_required_no_more_strictly() -> None:
    """It lost, and came well again before it was relaxed.

    The others are required as it is meanwhile.
    """
    on_hold_off = {"hold_offs": (HoldOff(2, since=at(-10), until=at(110), host=WWW),)}
    assert (
        waiting(next_step(observed(origins=[origin(OPTIONAL)], record=on_hold_off)))
        is Reason.HOLD_OFF
    )
    alone = origin(claim(Mode.OPTIONAL, enforced=(WWW,)))
    assert published(next_step(observed(origins=[alone], record=on_hold_off))) == OPTIONAL


def test_a_hold_off_is_told_of_the_hosts_that_wait_for_it() -> None:
    hold_offs = (
        HoldOff(9, at(-20), at(900), "other.example.com"),
        HoldOff(2, at(-10), at(110), WWW),
    )
    step = next_step(
        observed(origins=[origin(ASKING, hosts=(WWW,))], record={"hold_offs": hold_offs})
    )
    assert waiting(step) is Reason.HOLD_OFF
    assert f"The operator has relaxed {WWW} 2 times, last at 11:59:50 UTC" in str(step)


def test_an_origin_on_hold_off_holds_back_no_other_origin() -> None:
    on_hold_off = {"hold_offs": (HoldOff(2, since=at(-10), until=at(110), host=APEX),)}
    first, second = origin(ASKING, hosts=(APEX,)), origin(ASKING, hosts=(WWW,), name="shop")
    step = next_step(observed(origins=[first, second], record=on_hold_off))
    assert isinstance(step, Publish)
    assert (step.origin, step.claim.enforced) == ("shop", (WWW,))


# --- flushes ----------------------------------------------------------------------------------------------------------------------


HELD_BACK: dict[str, Any] = {
    "origins": [origin(ASKING)],
    "evidence": [old_sessions(), evidence(WWW, NONE)],
}


def flushed(*moments: float) -> dict[str, Any]:
    return {"record": {"flushes": tuple(at(moment) for moment in moments)}}


def test_a_flush_is_noted_before_it_is_made_and_each_needs_a_note_of_its_own() -> None:
    noted = next_step(observed(**HELD_BACK))
    assert isinstance(noted, Note)
    assert noted.record.flushes == (NOW,)
    assert isinstance(next_step(observed(**HELD_BACK, **flushed(0))), Publish)
    again = next_step(observed(**HELD_BACK, **flushed(-600)))
    assert isinstance(again, Note), (
        "that one was made before the text was applied that is applied now"
    )
    assert again.record.flushes == (at(-600), NOW)


def test_three_flushes_an_hour_are_made_and_then_it_is_said() -> None:
    """Whoever forges answers on a host of theirs could ask for one reload after the other."""
    step = next_step(observed(**HELD_BACK, **flushed(-3500, -2000, -600)))
    assert waiting(step) is Reason.EDGE_NOT_PROVEN
    assert (
        "The operator has ended such sessions 3 times within the hour, and does so again at"
        in str(step)
    )
    noted = next_step(observed(**HELD_BACK, **flushed(-3600, -2000, -700)))
    assert isinstance(noted, Note)
    assert noted.record.flushes == (at(-2000), at(-700), NOW)


def test_a_flush_that_was_noted_within_the_second_counts_as_noted() -> None:
    """The record keeps whole seconds: read back, the note must not seem to be older than what was applied just before it."""
    applied = origin(ASKING, applied_at=at(0.3))
    seen = [old_sessions(last=at(0.5)), evidence(WWW, NONE)]
    world: dict[str, Any] = {"origins": [applied], "evidence": seen, "now": at(0.6)}
    noted = next_step(observed(**world))
    assert isinstance(noted, Note)
    kept = load(dump(noted.record)).flushes
    assert isinstance(next_step(observed(**world, record={"flushes": kept})), Publish)


def test_a_clock_that_was_set_back_since_the_note_lets_no_flush_go_unnoted() -> None:
    """By its old time the note lies in the future, and would stand for every flush of the next 50 minutes."""
    world = replace(observed(**HELD_BACK, **flushed(0)), stepped=timedelta(minutes=-50))
    assert isinstance(next_step(world), Note)


def test_a_host_that_old_sessions_alone_hold_back_is_flushed_beside_required_ones_and_not_during_its_hold_off() -> (
    None
):
    beside: dict[str, Any] = {
        "origins": [origin(claim(enforced=(WWW,)))],
        "evidence": [old_sessions()],
    }
    assert isinstance(next_step(observed(**beside)), Note)
    assert published(next_step(observed(**beside, **flushed(0)))) == claim(
        enforced=(WWW,), flush_count=1
    )
    on_hold_off = {"hold_offs": (HoldOff(2, since=at(-10), until=at(110), host=APEX),)}
    assert next_step(observed(**beside, record=on_hold_off)) == Done()
