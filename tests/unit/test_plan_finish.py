"""What is not needed any more goes, in the order in which nobody can miss it: Cloudflare, the record, then trust."""

from __future__ import annotations

from typing import Any

import pytest

from aop.errors import Reason
from aop.observed import NONE, Baseline, CertificateState, Unknown
from aop.plan import next_step
from aop.steps import Delete, Done, Note, Promote, Publish, Withdraw
from aop.terms import Claim, Mode, Target
from builders import (
    APEX,
    ASKING,
    FOREIGN,
    HOSTS,
    LEAF,
    OFF,
    REQUIRING,
    RETIRED,
    TARGET,
    WWW,
    ZONE_ID,
    at,
    certificate,
    claim,
    evidence,
    observed,
    origin,
    replica,
)
from narrowed import waiting

BOTH = claim(pins=(LEAF, RETIRED))
DROPPED = Target("ingressNginx", "old", "controller")

ROTATED: dict[str, Any] = {
    "keys": {"leaf": RETIRED, "next": LEAF},
    "zone": {"certificates": (certificate(RETIRED, uploaded_at=at(-9000)), certificate())},
    "record": {"uploaded": tuple(sorted((LEAF, RETIRED)))},
    "origins": [origin(BOTH)],
}
"""The next leaf is presented, and proven for every required host; the retired one is still
everywhere."""
PROMOTED: dict[str, Any] = ROTATED | {"keys": {"leaf": LEAF}}
DELETED: dict[str, Any] = PROMOTED | {"zone": {"certificates": (certificate(),)}}
FORGOTTEN: dict[str, Any] = DELETED | {"record": {"uploaded": (LEAF,)}}


def test_a_rotation_ends_in_this_order() -> None:
    assert next_step(observed(**ROTATED)) == Promote(LEAF)
    deleted = next_step(observed(**PROMOTED))
    assert isinstance(deleted, Delete)
    assert (deleted.zone_id, deleted.certificate_id, deleted.pin) == (
        ZONE_ID,
        RETIRED.short,
        RETIRED,
    )
    forgotten = next_step(observed(**DELETED))
    assert isinstance(forgotten, Note)
    assert forgotten.record.uploaded == (LEAF,)
    shrunk = next_step(observed(**FORGOTTEN))
    assert isinstance(shrunk, Publish)
    assert shrunk.claim == REQUIRING
    assert next_step(observed(**FORGOTTEN | {"origins": [origin(REQUIRING)]})) == Done()


@pytest.mark.parametrize(
    "world", [ROTATED, PROMOTED, DELETED, FORGOTTEN], ids=["promote", "delete", "forget", "shrink"]
)
@pytest.mark.parametrize(
    "other",
    [evidence(WWW, RETIRED.sha256), evidence(WWW, lasting_s=170), evidence(WWW, NONE, recent=())],
)
def test_none_of_it_happens_while_a_required_host_is_not_proven(
    world: dict[str, Any], other: Any
) -> None:
    assert waiting(next_step(observed(**world | {"evidence": [other]}))) in {
        Reason.WAITING_FOR_PROOF,
        Reason.EDGE_NOT_PROVEN,
    }


def test_a_host_that_is_not_required_holds_nothing_back() -> None:
    one = [origin(claim(enforced=(APEX,), pins=(LEAF, RETIRED)))]
    assert next_step(
        observed(**ROTATED | {"origins": one, "evidence": [evidence(WWW, direct=True)]})
    ) == Promote(LEAF)


@pytest.mark.parametrize("state", [CertificateState.PENDING, CertificateState.DELETING])
def test_a_retired_certificate_that_is_still_moving_is_waited_for(state: CertificateState) -> None:
    moving = {"certificates": (certificate(RETIRED, state=state), certificate())}
    assert (
        waiting(next_step(observed(**PROMOTED | {"zone": moving}))) is Reason.WAITING_FOR_CLOUDFLARE
    )


def test_the_record_forgets_only_once_cloudflare_is_still() -> None:
    assert waiting(next_step(observed(**DELETED, still=False))) is Reason.WAITING_FOR_CLOUDFLARE


def test_another_s_certificate_is_left_alone() -> None:
    theirs = certificate(FOREIGN, ours=False, uploaded_at=at(-9000))
    assert next_step(observed(zone={"certificates": (theirs, certificate())})) == Done()


def test_what_was_there_before_us_is_never_ours_to_delete() -> None:
    """Also where its fingerprint is one of our own: somebody uploaded the same Secret by hand before."""
    before = certificate(RETIRED, id="before", uploaded_at=at(-9000))
    baseline = Baseline(enabled=False, foreign=("before",))
    assert (
        next_step(
            observed(zone={"certificates": (before, certificate())}, record={"baseline": baseline})
        )
        == Done()
    )


def test_trust_shrinks_on_one_origin_after_the_other_and_is_seen_on_each() -> None:
    second = Target("ingressNginx", "shop", "controller")
    shop = origin(BOTH, name="shop", target=second)
    record = FORGOTTEN["record"] | {"claimed": tuple(sorted((TARGET, second)))}
    step = next_step(
        observed(**FORGOTTEN | {"origins": [origin(REQUIRING), shop], "record": record})
    )
    assert isinstance(step, Publish)
    assert (step.target, step.claim) == (second, REQUIRING)
    late = origin(
        REQUIRING, replicas=(replica("pod-1", REQUIRING), replica("pod-2", BOTH, revision=6))
    )
    assert (
        waiting(next_step(observed(**FORGOTTEN | {"origins": [late, shop], "record": record})))
        is Reason.WAITING_FOR_REPLICAS
    )


@pytest.mark.parametrize(
    "unknown", [{"zone": Unknown("timeout")}, {"keys": Unknown("timeout")}, {"keys": None}]
)
def test_what_is_not_known_retires_nothing(unknown: dict[str, Any]) -> None:
    step = next_step(observed(**FORGOTTEN | unknown))
    assert not isinstance(step, Delete | Note | Publish | Promote), step


# --- origins that have left the spec -------------------------------------------------------------------------------------------


def left(current: Claim | None = OFF, running: Claim | None = OFF, **changes: Any) -> Any:
    return origin(current, running, name="old", target=DROPPED, wanted=False, **changes)


CLAIMED: dict[str, Any] = {"record": {"claimed": tuple(sorted((TARGET, DROPPED)))}}


def test_an_origin_that_left_is_seen_to_refuse_nobody_then_withdrawn_then_forgotten() -> None:
    assert (
        waiting(next_step(observed(**CLAIMED, origins=[origin(), left(running=REQUIRING)])))
        is Reason.WAITING_FOR_REPLICAS
    )
    assert next_step(observed(**CLAIMED, origins=[origin(), left()])) == Withdraw("old", DROPPED)
    noted = next_step(observed(**CLAIMED, origins=[origin(), left(None, None)]))
    assert isinstance(noted, Note)
    assert noted.record.claimed == (TARGET,)


def test_one_that_nobody_reads_any_more_is_not_waited_for() -> None:
    assert next_step(
        observed(**CLAIMED, origins=[origin(), left(readers=0, replicas=())])
    ) == Withdraw("old", DROPPED)


@pytest.mark.parametrize("current", [ASKING, REQUIRING, claim(Mode.OPTIONAL)])
def test_it_refuses_nobody_first(current: Claim) -> None:
    step = next_step(observed(**CLAIMED, origins=[origin(), left(current, current)]))
    assert isinstance(step, Publish)
    assert (step.target, step.claim.mode) == (DROPPED, Mode.OFF)


def test_every_host_is_one_of_the_goal() -> None:
    """The builders' own world: a wrong default there would make these tests prove nothing."""
    assert observed().origins[0].hosts == HOSTS
