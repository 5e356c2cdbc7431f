"""TEARDOWN: removal in reverse, each step seen before the next; nobody is refused on the way, and nothing of others is touched."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from aop.api import ConditionType, Status
from aop.errors import Reason
from aop.observed import (
    ENABLED,
    NONE,
    Baseline,
    CertificateState,
    HostBehaviour,
    ObservedReplica,
    Overwritten,
    Refusal,
    Unknown,
)
from aop.plan import next_step
from aop.plan.claims import CUT_OFF
from aop.status import status_of
from aop.steps import Block, Delete, Done, Publish, SetEnabled, Step, Wait, Withdraw
from aop.terms import Claim, Mode
from builders import (
    ASKING,
    FOREIGN,
    HOSTS,
    LEAF,
    NEXT,
    NOW,
    OFF,
    REQUIRING,
    TARGET,
    ZONE_ID,
    at,
    certificate,
    claim,
    evidence,
    observed,
    origin,
    replica,
)

REFUSED_TOKEN = Unknown("the token is revoked", Reason.TOKEN_REJECTED)
GONE = {"certificates": (certificate(FOREIGN, ours=False),), "enabled": False}


def removing(**world: Any) -> Step:
    """The next step of an object that is being deleted; without more, its origins refuse nobody any more."""
    return next_step(observed(**{"object": {"deleting": True}, "origins": [origin(OFF)], **world}))


def waiting(step: Step) -> str:
    assert isinstance(step, Wait), step
    assert step.reason is Reason.REMOVING
    return step.message


# --- nobody is refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("current", [ASKING, claim(Mode.OPTIONAL), REQUIRING])
def test_first_of_all_nobody_is_refused_or_asked(current: Claim) -> None:
    """Off and not Request: what the zone presents once ours is gone may be expired, and asking alone refuses that."""
    step = removing(origins=[origin(current)])
    assert isinstance(step, Publish)
    assert (step.target, step.claim) == (TARGET, OFF)


def test_a_text_that_was_edited_is_put_right_before_it_is_trusted_to_refuse_nobody() -> None:
    step = removing(origins=[origin(OFF, running=REQUIRING, configured={"intact": False})])
    assert isinstance(step, Publish)


@pytest.mark.parametrize(
    ("origin_seen", "message"),
    [
        (
            origin(OFF, replicas=(replica("pod-1", OFF), replica("pod-2", REQUIRING, revision=6))),
            "pod-2",
        ),
        (origin(OFF, replicas=(replica("pod-1", OFF, settled=False),)), "pod-1"),
        (
            origin(
                OFF,
                replicas=(replica("pod-1", OFF), replica("pod-2", OFF, error="connection refused")),
            ),
            "connection refused",
        ),
        (origin(configured=Unknown("HTTP 500")), "HTTP 500"),
        (origin(OFF, replicas=Unknown("forbidden")), "forbidden"),
        (
            origin(None, replicas=(replica("pod-1", error="timeout"),)),
            "Pod pod-1 does not answer the operator",
        ),
    ],
)
def test_nothing_is_taken_away_before_that_was_seen(origin_seen: Any, message: str) -> None:
    assert message in waiting(removing(origins=[origin_seen]))


def test_whoever_can_end_the_wait_for_a_pod_is_told_how() -> None:
    """Not that no action is needed, which is what a removal says otherwise."""
    o = observed(
        object={"deleting": True},
        origins=[origin(None, replicas=(replica("pod-1", error="timeout"),))],
    )
    step = next_step(o)
    assert isinstance(step, Wait)
    assert step.remedy == CUT_OFF
    ready = status_of(o, step, Status()).condition(ConditionType.READY)
    assert ready is not None
    assert ready.message.endswith(f"{CUT_OFF}.")


def test_a_config_map_that_is_gone_proves_nothing() -> None:
    """The replicas go on running the text that they read: the user is told which pod, and what to do about it."""
    step = removing(origins=[origin(configured=None, running=REQUIRING)])
    assert isinstance(step, Block)
    assert step.reason is Reason.REMOVING
    assert "Pod pod-1 still refuses" in step.message
    assert f"Create ConfigMap {TARGET.key} again" in step.message


def test_another_zone_s_refusals_are_not_waited_for() -> None:
    """A ConfigMap that we never claimed may hold what it likes."""
    step = removing(
        origins=[origin(None, running=REQUIRING)], record={"claimed": (), "uploaded": ()}, zone=GONE
    )
    assert step == Done()


def test_an_origin_without_replicas_refuses_nobody() -> None:
    assert isinstance(removing(origins=[origin(OFF, replicas=(), readers=0)]), SetEnabled)


@pytest.mark.parametrize(
    "blocked", [{"spec": {"suspend": True}}, {"rivals": Unknown("forbidden")}, {"keys": None}]
)
def test_nothing_else_holds_up_a_removal(blocked: dict[str, Any]) -> None:
    assert isinstance(removing(**blocked), SetEnabled)


# --- cloudflare is as found --------------------------------------------------------------------------------------------------------


def test_then_the_zone_is_put_back_then_our_certificates_go_then_our_text() -> None:
    disabled = removing()
    assert isinstance(disabled, SetEnabled)
    assert (disabled.zone_id, disabled.enabled) == (ZONE_ID, False)
    deleted = removing(zone={"enabled": False})
    assert isinstance(deleted, Delete)
    assert (deleted.certificate_id, deleted.pin) == (LEAF.short, LEAF)
    assert removing(zone=GONE) == Withdraw("public", TARGET)
    assert removing(zone=GONE, origins=[origin(None, None)]) == Done()


@pytest.mark.parametrize(
    ("baseline", "zone", "put_back"),
    [
        (Baseline(enabled=True), {"enabled": False}, True),
        (Baseline(enabled=True), {"enabled": True}, None),
        (
            Baseline(enabled=False),
            {"enabled": True, "certificates": (certificate(), certificate(FOREIGN, ours=False))},
            None,
        ),
        (
            Baseline(enabled=False),
            {
                "enabled": True,
                "certificates": (
                    certificate(),
                    certificate(FOREIGN, ours=False, state=CertificateState.PENDING),
                ),
            },
            False,
        ),
        (
            Baseline(enabled=False, foreign=("theirs",)),
            {
                "enabled": True,
                "certificates": (certificate(), certificate(FOREIGN, ours=False, id="theirs")),
            },
            False,
        ),
        (None, {"enabled": True}, False),
        (
            None,
            {"enabled": True, "certificates": (certificate(), certificate(FOREIGN, ours=False))},
            None,
        ),
    ],
    ids=[
        "was on",
        "was on and is",
        "another's certificate came since",
        "another's is not deployed",
        "another's was there before",
        "nothing was noted",
        "nothing was noted, and another's certificate is there",
    ],
)
def test_the_flag_is_put_back_as_it_was_found(
    baseline: Baseline | None, zone: dict[str, Any], put_back: bool | None
) -> None:
    step = removing(record={"baseline": baseline}, zone=zone)
    assert (step.enabled if isinstance(step, SetEnabled) else None) is put_back


@pytest.mark.parametrize(
    ("shown", "ready"),
    [(6, False), (None, True), (7, True)],
    ids=["an older text", "nothing of ours", "what is published"],
)
def test_where_no_host_is_known_the_published_text_is_waited_for(
    shown: int | None, *, ready: bool
) -> None:
    """Nobody can be asked whether it refuses anybody: only the text that it runs tells."""
    blind = replace(replica("pod-1", None), revision=shown, hosts=())
    step = removing(origins=[origin(None, configured={"revision": 7}, hosts=(), replicas=(blind,))])
    assert isinstance(step, Wait) is not ready, step


REFERENCED = {"certificate": {"secretRef": {"name": "made"}}}


@pytest.mark.parametrize(
    "record",
    [{"baseline": Baseline(enabled=True, foreign=("mine",))}, {"baseline": None, "uploaded": ()}],
    ids=["it was there before us", "nothing was done, or the record is lost"],
)
def test_a_referenced_leaf_that_somebody_else_uploaded_stays(record: dict[str, Any]) -> None:
    step = removing(
        record=record,
        spec=REFERENCED,
        zone={"certificates": (certificate(id="mine"),)},
        origins=[origin(None, None)],
    )
    assert step == Done()


def test_a_referenced_leaf_that_we_uploaded_goes() -> None:
    assert isinstance(
        removing(spec=REFERENCED, zone={"enabled": False, "certificates": (certificate(),)}), Delete
    )


@pytest.mark.parametrize("state", [CertificateState.PENDING, CertificateState.DELETING])
def test_a_certificate_that_is_still_moving_is_waited_for(state: CertificateState) -> None:
    assert LEAF.short in waiting(
        removing(zone={"enabled": False, "certificates": (certificate(state=state),)})
    )


def test_both_leaves_of_a_rotation_go() -> None:
    both = {"enabled": False, "certificates": (certificate(), certificate(NEXT))}
    first = removing(zone=both, keys={"next": NEXT})
    assert isinstance(first, Delete)
    second = removing(
        zone={"enabled": False, "certificates": (certificate(NEXT),)}, keys={"next": NEXT}
    )
    assert isinstance(second, Delete)
    assert {first.pin, second.pin} == {LEAF, NEXT}


def test_an_upload_whose_answer_was_lost_may_still_arrive() -> None:
    assert "list can be out of date" in waiting(removing(zone=GONE, still=False))


def test_nothing_is_asked_of_cloudflare_where_nothing_was_brought_there() -> None:
    assert (
        removing(zone=REFUSED_TOKEN, record={"uploaded": ()}, origins=[origin(None, None)])
        == Done()
    )


def test_retain_leaves_cloudflare_as_it_is() -> None:
    assert removing(spec={"deletionPolicy": "Retain"}) == Withdraw("public", TARGET)
    assert removing(spec={"deletionPolicy": "Retain"}, origins=[origin(None, None)]) == Done()


# --- patience ------------------------------------------------------------------------------------------------------------------------

PENDING = {
    "enabled": False,
    "certificates": (certificate(state=CertificateState.PENDING, status="pending_deployment"),),
}
DISABLE_REFUSED, DELETE_REFUSED = (
    Refusal(ENABLED, "the token may only read"),
    Refusal(LEAF.short, "the token may only read"),
)
HELD_UP: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a token that is refused": (
        {"zone": REFUSED_TOKEN},
        (LEAF.short, "as they are (before this object: disabled)", "revoked"),
    ),
    "a token that sees the zone no more": ({"zone": None}, (LEAF.short, "Zone Resources")),
    "calls without an answer": ({"zone": Unknown("timeout")}, (LEAF.short, "timeout")),
    "a Secret that is gone": (
        {"zone": Unknown("Secret edge/cloudflare does not exist", Reason.TOKEN_SECRET_NOT_FOUND)},
        (LEAF.short,),
    ),
    "a certificate that is pending": (
        {"zone": PENDING},
        (f"certificate {LEAF.short} (leaf {LEAF.short}, pending_deployment)",),
    ),
    "a token that may only read": (
        {"refusals": (DISABLE_REFUSED, DELETE_REFUSED)},
        (f"certificate {LEAF.short}", "Authenticated Origin Pulls enabled", "may only read"),
    ),
    "a setting that is refused": (
        {
            "refusals": (DISABLE_REFUSED,),
            "zone": {
                "certificates": (certificate(FOREIGN, ours=False, state=CertificateState.PENDING),)
            },
        },
        ("Authenticated Origin Pulls enabled",),
    ),
    "a record that is lost": (
        {"zone": REFUSED_TOKEN, "record": {"uploaded": (), "baseline": None}},
        (LEAF.short, "before this object: unknown"),
    ),
}
"""What may hold up a removal at Cloudflare, and what is named of it."""


@pytest.mark.parametrize("name", HELD_UP)
@pytest.mark.parametrize("since_s", [None, 0, 599])
def test_cloudflare_is_waited_for_whatever_holds_it_up(name: str, since_s: float | None) -> None:
    world, _ = HELD_UP[name]
    step = removing(**world, removing_since=None if since_s is None else at(-since_s))
    assert isinstance(step, Wait | SetEnabled), step
    if isinstance(step, Wait) and since_s is not None:
        assert step.since == at(-since_s)
        assert f"{at(600 - since_s):%H:%M:%S} UTC" in step.message, "until when"


@pytest.mark.parametrize("name", HELD_UP)
def test_after_ten_minutes_the_object_goes_and_all_that_stays_is_named(name: str) -> None:
    world, named = HELD_UP[name]
    over: dict[str, Any] = {**world, "removing_since": at(-600)}
    assert removing(**over) == Withdraw("public", TARGET)
    step = removing(**over, origins=[origin(None, None)])
    assert isinstance(step, Done)
    for words in (*named, "example.com"):
        assert words in step.left_behind


def test_what_is_not_refused_is_done_also_after_ten_minutes() -> None:
    """A removal among hundreds, whose calls wait for their turn, is late and not held up."""
    assert isinstance(removing(removing_since=at(-6000)), SetEnabled)
    assert isinstance(removing(removing_since=at(-6000), zone={"enabled": False}), Delete)
    disabled_is_refused = removing(removing_since=at(-6000), refusals=(DISABLE_REFUSED,))
    assert isinstance(disabled_is_refused, Delete), "one refusal says nothing of another change"


def test_a_removal_that_came_to_its_end_leaves_nothing_behind_however_long_it_took() -> None:
    step = removing(removing_since=at(-6000), zone=GONE, origins=[origin(None, None)], still=False)
    assert step == Done()


def test_patience_has_no_end_while_a_replica_still_refuses() -> None:
    late = origin(OFF, replicas=(replica("pod-1", REQUIRING, revision=6),))
    assert "removes nothing while a replica may still refuse" in waiting(
        removing(zone=REFUSED_TOKEN, removing_since=at(-86400), origins=[late])
    )


def asked_again_at(**world: Any) -> datetime | None:
    """Since when the status says that nobody is refused."""
    looked_at = observed(**{"object": {"deleting": True}, "origins": [origin(OFF)], **world})
    return status_of(
        looked_at, next_step(looked_at), Status(removing_since=world.get("removing_since"))
    ).removing_since


def test_patience_begins_when_nobody_is_refused_any_more() -> None:
    assert asked_again_at() == NOW
    assert asked_again_at(origins=[origin(REQUIRING)]) is None
    assert (
        asked_again_at(origins=[origin(OFF, replicas=(replica("pod-1", REQUIRING, revision=6),))])
        is None
    )
    assert asked_again_at(object={"deleting": False}) is None
    assert asked_again_at(removing_since=at(-599)) == at(-599)


@pytest.mark.parametrize("step", [timedelta(minutes=-50), timedelta(minutes=50)])
def test_what_the_status_says_follows_a_wall_clock_that_is_set(step: timedelta) -> None:
    """Else a restart would count minutes that nobody waited, or begin again."""
    assert asked_again_at(removing_since=at(-60), stepped=step) == at(-60) + step


def test_a_zone_that_is_gone_with_everything_of_ours_needs_nothing() -> None:
    assert removing(zone=None, record={"uploaded": ()}, origins=[origin(None, None)]) == Done()


def test_a_loss_on_the_way_is_met_as_ever() -> None:
    """PROTECT comes first in a removal too: what it relaxes to, the removal is content with."""
    step = removing(origins=[origin(REQUIRING)], evidence=[evidence(host, NONE) for host in HOSTS])
    assert not isinstance(step, Delete | SetEnabled | Withdraw), step


# --- texts that others have changed ----------------------------------------------------------------------------------------------

RESET: dict[str, Any] = {"intact": False, "standing": None}
"""The annotations are there, and nothing of ours in the keys."""


def runs_nothing(name: str = "pod-1", **changes: Any) -> Any:
    """A replica that has loaded what others have put there: our paths answer 404."""
    hosts = tuple(
        HostBehaviour(host, Mode.OFF, odd="HTTP 404 on the operator's check path") for host in HOSTS
    )
    return ObservedReplica(name, None, settled=True, hosts=hosts, **changes)


def test_a_damaged_text_that_may_still_refuse_is_replaced_first_of_all() -> None:
    """It reads as Off, and every replica goes on refusing: a block was appended to it again and again, until nginx failed for everybody."""
    origin_seen = origin(
        OFF, running=REQUIRING, configured={"intact": False, "standing": REQUIRING}
    )
    step = removing(origins=[origin_seen])
    assert isinstance(step, Publish)
    assert step.claim == OFF
    seen = origin(OFF, configured={"standing": None})
    assert isinstance(removing(origins=[seen]), SetEnabled), (
        "one write, and it is seen to refuse nobody"
    )


def test_what_others_have_taken_out_need_not_be_put_back_to_be_taken_out() -> None:
    origin_seen = origin(OFF, configured=RESET, replicas=(runs_nothing(), runs_nothing("pod-2")))
    assert isinstance(removing(origins=[origin_seen]), SetEnabled)
    assert removing(origins=[origin_seen], zone=GONE) == Withdraw("public", TARGET)


def test_what_a_policy_changes_at_each_write_is_taken_out_as_it_stands() -> None:
    """Its annotation is taken away each time, so that it never reads as whole; what runs refuses nobody, and is seen to."""
    again_and_again = Overwritten("a policy", 3, at(-30), at(30))
    damaged = {"intact": False, "claim": None, "standing": OFF}
    origin_seen = origin(OFF, configured=damaged, overwritten=again_and_again)
    assert isinstance(removing(origins=[origin_seen]), SetEnabled)
    assert removing(origins=[origin_seen], zone=GONE) == Withdraw("public", TARGET)
    refusing = origin(OFF, running=REQUIRING, configured=damaged, overwritten=again_and_again)
    assert isinstance(removing(origins=[refusing]), Wait)


@pytest.mark.parametrize(
    ("other", "changes"),
    [
        (replica("pod-2", REQUIRING), {}),
        (runs_nothing("pod-2", error="timeout"), {}),
        (replace(runs_nothing("pod-2"), settled=False), {}),
        (replace(runs_nothing("pod-2"), hosts=(HostBehaviour(HOSTS[0], Mode.OPTIONAL),)), {}),
        (runs_nothing("pod-2"), {"standing": REQUIRING}),
        (runs_nothing("pod-2"), {"standing": OFF}),
    ],
    ids=[
        "one runs ours",
        "one cannot be asked",
        "one shows it only just now",
        "one refuses somebody",
        "residue that may refuse",
        "residue",
    ],
)
def test_until_that_is_seen_on_every_replica_the_text_is_put_right(
    other: Any, changes: dict[str, Any]
) -> None:
    origin_seen = origin(OFF, configured=RESET | changes, replicas=(runs_nothing(), other))
    assert isinstance(removing(origins=[origin_seen]), Publish)


def test_a_text_that_is_taken_out_again_and_again_is_not_put_right_in_a_hurry() -> None:
    by_others = Overwritten("field manager argocd-controller", 4, since=at(-90), until=at(60))
    late = (runs_nothing(), replica("pod-2", REQUIRING, revision=6))
    origin_seen = origin(OFF, configured=RESET, replicas=late, overwritten=by_others)
    assert "argocd-controller has replaced the operator's text" in waiting(
        removing(origins=[origin_seen])
    )
    assert isinstance(
        removing(origins=[replace(origin_seen, overwritten=replace(by_others, until=NOW))]), Publish
    )
    refusing = origin(
        OFF, configured=RESET | {"standing": REQUIRING}, replicas=late, overwritten=by_others
    )
    assert isinstance(removing(origins=[refusing]), Publish), "what may refuse is relaxed at once"


@pytest.mark.parametrize("own", [True, False])
def test_a_host_that_others_refuse_is_no_reason_to_keep_an_object(own: bool) -> None:
    """An Ingress that verifies by itself, or a snippet of somebody's: no ConfigMap could tell that replica otherwise."""
    refused = HostBehaviour(
        HOSTS[0], Mode.REQUEST, odd="HTTP 400 on the operator's check path", own=own
    )
    pods = tuple(replace(runs_nothing(name), hosts=(refused,)) for name in ("pod-1", "pod-2"))
    assert removing(origins=[origin(None, None, replicas=pods)], zone=GONE) == Done()
