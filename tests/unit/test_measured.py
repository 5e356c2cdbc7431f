"""What one look comes to in numbers: the same that the status says in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.api import CertificateStatus, Condition, Status
from aop.measured import figures, relaxation, undone
from aop.metrics import Cause, OriginFigures, Undone
from aop.observed import (
    NONE,
    REFUSED,
    HoldOff,
    Observed,
    Rival,
    Unknown,
)
from aop.plan import next_step
from aop.steps import Issue, Note, Publish, SetEnabled, Upload
from aop.terms import Mode, ObjectKey
from builders import (
    ASKING,
    DAY,
    HOSTS,
    LEAF,
    NEXT,
    NOW,
    REQUIRING,
    TARGET,
    WWW,
    ZONE_ID,
    at,
    claim,
    evidence,
    observed,
    origin,
    pin,
    replica,
)

NOTHING = Status()


def test_a_world_as_the_spec_asks() -> None:
    seen = figures(observed(), NOTHING)
    assert (seen.wanted, seen.enforcement) == (3, 3)
    assert (seen.hosts, seen.required, seen.unproven, seen.hold_offs) == (2, 2, 0, 0)
    assert seen.proven_at == at(-3).timestamp()
    assert seen.begins_at == LEAF.not_before.timestamp()
    assert seen.expires_at == LEAF.not_after.timestamp()
    assert seen.renews_at == (NOW + 655 * DAY).timestamp()
    modes = {"Off": 0, "Request": 0, "Optional": 0, "Require": 2, "Unknown": 0}
    assert seen.origins == (OriginFigures("public", modes, lag=0),)


def test_a_replica_that_does_not_answer_is_of_no_mode_and_one_behind_is_counted() -> None:
    hung = replica("pod-2", REQUIRING, error="timed out")
    old = replica("pod-3", ASKING, revision=4)
    seen = figures(
        observed(origins=[origin(replicas=(replica("pod-1", REQUIRING), hung, old))]), NOTHING
    )
    (public,) = seen.origins
    assert dict(public.replicas) == {
        "Off": 0,
        "Request": 1,
        "Optional": 0,
        "Require": 1,
        "Unknown": 1,
    }
    assert public.lag == 3
    assert seen.enforcement == Mode.REQUEST


def test_a_replica_that_was_not_asked_is_not_one_that_does_not_answer() -> None:
    """An object whose token is rejected at the start asks nobody, and its replicas are well."""
    seen = figures(observed(origins=[origin(replicas=(replica("pod-1", hosts=()),))]), NOTHING)
    assert set(seen.origins[0].replicas.values()) == {0}


def test_where_no_replica_is_known_nothing_is_claimed() -> None:
    seen = figures(observed(origins=[origin(replicas=Unknown("HTTP 500"))]), NOTHING)
    assert seen.enforcement is None
    assert seen.origins[0].lag is None


def test_an_origin_that_has_left_the_spec_is_not_told_of() -> None:
    assert figures(observed(origins=[origin(wanted=False)]), NOTHING).origins == ()


def test_a_proof_is_as_old_as_that_of_the_required_host_that_was_seen_last() -> None:
    one = [evidence(WWW, last=at(-20))]
    assert figures(observed(evidence=one), NOTHING).proven_at == at(-20).timestamp()
    unproven = [evidence(WWW, NONE)]
    seen = figures(observed(evidence=unproven), NOTHING)
    assert (seen.proven_at, seen.unproven) == (None, 1)
    not_required = [origin(claim(enforced=("example.com",)))]
    seen = figures(observed(evidence=unproven, origins=not_required), NOTHING)
    assert (seen.proven_at, seen.unproven) == (at(-3).timestamp(), 1)


def test_the_time_of_a_proof_is_told_in_wall_time() -> None:
    seen = figures(observed(stepped=timedelta(hours=1)), NOTHING)
    assert seen.proven_at == at(3597).timestamp()


def test_what_expires_is_what_the_zone_presents_not_what_comes_next() -> None:
    world = observed(
        keys={"leaf": LEAF, "next": NEXT}, record={"uploaded": tuple(sorted((LEAF, NEXT)))}
    )
    assert figures(world, NOTHING).expires_at == LEAF.not_after.timestamp()


@pytest.mark.parametrize(
    ("changes", "expires"),
    [
        ({"zone": None}, None),
        ({"zone": Unknown("HTTP 500")}, at(77).timestamp()),
        (
            {"rivals": (Rival(ObjectKey("shop", "x"), "0", NOW - 90 * DAY, ZONE_ID, holds=True),)},
            None,
        ),
    ],
)
def test_while_cloudflare_is_away_what_was_told_last_stands(
    changes: dict[str, Any], expires: float | None
) -> None:
    previous = Status(certificate=CertificateStatus(not_after=at(77)))
    assert figures(observed(**changes), previous).expires_at == expires


def test_who_has_to_give_way_holds_back_no_host_and_protects_none() -> None:
    """The other object's alerts tell of the zone."""
    other = Rival(ObjectKey("shop", "x"), "0", NOW - 90 * DAY, ZONE_ID, holds=True)
    seen = figures(observed(rivals=(other,), evidence=[evidence(WWW, NONE)]), NOTHING)
    assert (seen.unproven, seen.enforcement) == (0, None)


def test_how_long_a_certificate_lives_is_known_while_cloudflare_is_away() -> None:
    """Else a certificate that lives for weeks would seem to be about to expire."""
    previous = Status(certificate=CertificateStatus(fingerprint=LEAF.sha256, not_after=at(77)))
    seen = figures(observed(zone=Unknown("HTTP 500")), previous)
    assert seen.begins_at == LEAF.not_before.timestamp()


def test_what_others_have_undone_is_told_of_the_origin_that_has_it_worst() -> None:
    """The keeper has counted: each of those who share an origin would count its own repair."""
    fought = [origin(undone=3), origin(undone=1, name="other"), origin(undone=9, wanted=False)]
    assert figures(observed(origins=fought), NOTHING).undone == 3
    assert figures(observed(origins=[]), NOTHING).undone == 0


def test_hold_offs_count_while_they_last() -> None:
    off = HoldOff(1, at(-5), at(55), WWW), HoldOff(2, at(-500), at(-1), "example.com")
    assert figures(observed(record={"hold_offs": off}), NOTHING).hold_offs == 1


# --- why an origin is relaxed ----------------------------------------------------------------------


HELD_OFF = {"hold_offs": (HoldOff(1, at(-5), at(55)),)}
SOON = pin("soon", not_after=NOW + timedelta(hours=20))


def losing(presented: str) -> list[Any]:
    return [evidence(host, presented) for host in HOSTS]


def refusing_our_leaf() -> Observed:
    """Both replicas refuse, at both hosts, the leaf that they are told to accept."""
    good = replica("pod-1", REQUIRING)
    behaviours = tuple(
        replace(one, accepts=frozenset(), refuses=frozenset({LEAF.sha256})) for one in good.hosts
    )
    bad = tuple(replace(good, name=name, hosts=behaviours) for name in ("pod-1", "pod-2"))
    silent = [evidence(host, None) for host in HOSTS]
    return observed(origins=[origin(replicas=bad)], evidence=silent, record=HELD_OFF)


@pytest.mark.parametrize(
    ("world", "cause"),
    [
        (observed(evidence=losing(NONE), record=HELD_OFF), Cause.LOSS),
        (observed(evidence=losing(REFUSED), record=HELD_OFF), Cause.REFUSAL),
        (refusing_our_leaf(), Cause.REFUSAL),
        (
            observed(
                keys={"leaf": SOON},
                zone={},
                record={"uploaded": (SOON,)},
                origins=[origin(claim(pins=(SOON,)))],
                evidence=losing(SOON.sha256),
            ),
            Cause.EXPIRY,
        ),
        (observed(spec={"enforcement": "Request"}), Cause.SPEC),
    ],
    ids=["loss", "nginx refuses", "replicas refuse", "expiry", "spec"],
)
def test_a_relaxation_has_a_cause(world: Observed, cause: Cause) -> None:
    step = next_step(world)
    assert isinstance(step, Publish)
    assert relaxation(world, step) is cause


def test_a_rejection_is_a_cause_of_its_own() -> None:
    milder = claim(enforced=("example.com",))
    rejecting = origin(
        configured={"accepted": milder},
        replicas=(replica(running=milder, revision=6),),
        rejected="nginx: [emerg] unknown directive",
    )
    noting = next_step(observed(origins=[rejecting]))
    assert isinstance(noting, Note)
    assert relaxation(observed(origins=[rejecting]), noting) is None
    world = observed(origins=[rejecting], record={"rejected": noting.record.rejected})
    assert relaxation(world, next_step(world)) is Cause.REJECTION


def test_what_gets_stricter_or_stays_is_no_relaxation() -> None:
    world = observed(origins=[origin(ASKING)])
    step = next_step(world)
    assert isinstance(step, Publish)
    assert step.claim.mode is Mode.REQUIRE
    assert relaxation(world, step) is None
    assert relaxation(world, SetEnabled(ZONE_ID, enabled=False, why="it was")) is None


# --- what somebody has undone ----------------------------------------------------------------------


def as_it_was(*kinds: str) -> Status:
    """A status that said of these that they hold."""
    return Status(
        certificate=CertificateStatus(fingerprint=LEAF.sha256),
        conditions=tuple(
            Condition(type=kind, status="True", last_transition_time=NOW, reason="AsExpected")
            for kind in kinds
        ),
    )


UPLOAD = Upload(ZONE_ID, LEAF)
ENABLE = SetEnabled(ZONE_ID, enabled=True, why="it is off")
AGAIN = Publish("public", TARGET, REQUIRING, "somebody has changed it")


@pytest.mark.parametrize(
    ("world", "step", "so_before", "what"),
    [
        (observed(), ENABLE, ("ZoneEnabled",), Undone.ZONE),
        (observed(), ENABLE, (), None),
        (observed(), SetEnabled(ZONE_ID, enabled=False, why=""), ("ZoneEnabled",), None),
        (observed(), UPLOAD, ("CertificateDeployed",), Undone.CERTIFICATE),
        (observed(), Upload(ZONE_ID, NEXT), ("CertificateDeployed",), None),
        (observed(), UPLOAD, (), None),
        (observed(), Issue("first"), (), Undone.KEY_PAIR),
        (observed(record={"uploaded": ()}), Issue("first"), (), None),
        (observed(), Issue("next"), (), None),
        (observed(), AGAIN, ("OriginsTrust",), None),
    ],
)
def test_what_is_done_again_was_undone_and_what_is_new_was_not(
    world: Observed, step: Any, so_before: Sequence[str], what: Undone | None
) -> None:
    assert undone(world, step, as_it_was(*so_before)) is what
