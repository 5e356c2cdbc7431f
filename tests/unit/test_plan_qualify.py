"""The first RULES: whether this object, this zone and these origins may be worked on; each refusal has a reason and says what to do."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from aop.api import Status, ZoneStatus
from aop.errors import Reason
from aop.observed import (
    Baseline,
    CertificateState,
    LeftOut,
    ObservedOrigin,
    Record,
    Rival,
    Unknown,
    Unnoted,
)
from aop.plan import next_step
from aop.status import status_of
from aop.steps import Block, Done, Note, Publish, Wait
from aop.terms import Mode, ObjectKey, Target
from builders import (
    APEX,
    DAY,
    FOREIGN,
    HOSTS,
    LEAF,
    NOW,
    REQUIRING,
    TARGET,
    WWW,
    ZONE_ID,
    at,
    certificate,
    claim,
    observed,
    origin,
    replica,
)
from narrowed import blocked, waiting

NOTHING_DONE = {"uploaded": (), "claimed": ()}
BEFORE: dict[str, Any] = {"certificates": ()}
"""The zone before our first effect."""
FOREIGN_FIRST = (certificate(), certificate(FOREIGN, ours=False))
"""Ours, and then another's, which is what the zone presents."""


def test_a_world_as_the_spec_asks_needs_nothing() -> None:
    assert next_step(observed()) == Done()


# --- before the first trace ------------------------------------------------------------------------------------------------


def test_nothing_is_noted_before_the_finalizer_is_set() -> None:
    assert (
        waiting(
            next_step(
                observed(object={"finalizer": False}, record={**NOTHING_DONE, "baseline": None})
            )
        )
        is Reason.INITIALIZING
    )


@pytest.mark.parametrize("mode", [Mode.REQUEST, Mode.REQUIRE])
def test_nothing_gets_stricter_while_a_relaxation_is_not_noted(mode: Mode) -> None:
    """It is tried again after a pause; what the step says is what the status says."""
    published = claim(mode, HOSTS if mode is Mode.REQUIRE else ())
    waits = next_step(
        observed(
            origins=[origin(published)],
            unnoted=Unnoted("cannot patch the object: HTTP 403", at(10)),
        )
    )
    assert waiting(waits) is Reason.TRANSIENT_ERROR
    assert "HTTP 403" in str(waits)
    again = next_step(
        observed(
            origins=[origin(published)], unnoted=Unnoted("cannot patch the object: HTTP 403", NOW)
        )
    )
    assert isinstance(again, Note)
    assert again.record.edition == observed().record.edition + 1


def test_the_zone_is_noted_as_it_was_found() -> None:
    certificates = (certificate(FOREIGN, ours=False, id="b"), certificate(ours=False, id="a"))
    step = next_step(
        observed(
            record={**NOTHING_DONE, "baseline": None, "zone_id": None},
            zone={"certificates": certificates},
            origins=[origin(None)],
        )
    )
    assert isinstance(step, Note)
    assert (step.record.baseline, step.record.zone_id) == (
        Baseline(enabled=True, foreign=("a", "b")),
        ZONE_ID,
    )


def test_what_was_noted_is_refreshed_only_until_the_first_effect() -> None:
    world: dict[str, Any] = {
        "zone": {"enabled": True, "certificates": ()},
        "origins": [origin(None)],
    }
    before = next_step(
        observed(record={**NOTHING_DONE, "baseline": Baseline(enabled=False)}, **world)
    )
    assert isinstance(before, Note)
    assert before.record.baseline == Baseline(enabled=True)
    for touched in ({"uploaded": ()}, {"claimed": ()}):
        after = next_step(
            observed(record={"baseline": Baseline(enabled=False), **touched}, **world)
        )
        assert not (isinstance(after, Note) and after.record.baseline != Baseline(enabled=False)), (
            after
        )


REFERENCED = {"certificate": {"secretRef": {"name": "made"}}}


def test_a_referenced_leaf_that_is_there_before_the_first_effect_is_its_owners() -> None:
    zone = {"certificates": (certificate(id="mine"),)}
    step = next_step(
        observed(
            record={**NOTHING_DONE, "baseline": None},
            zone=zone,
            origins=[origin(None)],
            spec=REFERENCED,
        )
    )
    assert isinstance(step, Note)
    assert step.record.baseline == Baseline(enabled=True, foreign=("mine",))


LOST: dict[str, Any] = {"baseline": None, "uploaded": (), "claimed": (), "zone_id": None}
FIRST = {**NOTHING_DONE, "baseline": Baseline(enabled=True)}
"""A record from before the first effect, put back by somebody."""


@pytest.mark.parametrize(
    "record",
    [LOST, FIRST, {"baseline": None}],
    ids=["lost", "an old one", "only what was found is lost"],
)
@pytest.mark.parametrize(
    ("world", "uploaded", "claimed"),
    [
        ({}, (LEAF,), (TARGET,)),
        ({"zone": {"certificates": (certificate(FOREIGN, ours=False),)}}, (LEAF,), (TARGET,)),
        ({"origins": [origin(None)]}, (LEAF,), ()),
        (
            {
                "origins": [origin(claim(Mode.OFF, (), ()))],
                "zone": {"certificates": (), "enabled": True},
            },
            (),
            (TARGET,),
        ),
        (
            {
                "origins": [
                    origin(configured={"intact": False, "standing": REQUIRING, "claim": None})
                ],
                "zone": {"certificates": ()},
            },
            (LEAF,),
            (TARGET,),
        ),
    ],
    ids=[
        "all of it",
        "our claim",
        "our certificate",
        "a claim that trusts nothing yet",
        "damaged text",
    ],
)
def test_our_own_work_is_never_noted_as_what_was_found(
    record: Any, world: Any, uploaded: Any, claimed: Any
) -> None:
    step = next_step(observed(record=record, **world))
    assert isinstance(step, Note)
    assert step.record.baseline == Baseline(enabled=False), (
        "a removal must not leave enabled what we have enabled"
    )
    assert set(uploaded) <= set(step.record.uploaded)
    assert set(claimed) <= set(step.record.claimed)
    assert "was lost" in step.what
    assert "was lost" not in str(
        next_step(observed(record=asdict_shallow(step.record), **world))
    ), "said once"


def asdict_shallow(record: Record) -> dict[str, Any]:
    """Its fields."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def test_a_referenced_leaf_is_left_there_when_the_record_is_lost_and_that_is_said() -> None:
    step = next_step(observed(record=LOST, spec=REFERENCED))
    assert isinstance(step, Note)
    assert step.record.baseline == Baseline(enabled=False, foreign=(LEAF.short,))
    assert "may be its owner's" in step.what


def test_a_zone_that_cannot_be_read_is_not_noted() -> None:
    step = next_step(
        observed(
            record={**NOTHING_DONE, "baseline": None},
            zone=Unknown("timeout"),
            origins=[origin(None)],
        )
    )
    assert waiting(step) is Reason.WAITING_FOR_CLOUDFLARE


def test_a_suspended_object_does_nothing_new() -> None:
    assert (
        blocked(next_step(observed(spec={"suspend": True}, zone={"enabled": False})))
        is Reason.SUSPENDED
    )


def test_a_key_pair_that_cannot_be_used_is_refused_before_anything_is_written_and_holds_back_no_repair() -> (
    None
):
    unusable = Unknown("Secret edge/leaf: tls.key is missing", Reason.KEY_PAIR_INVALID)
    untouched = observed(
        keys=unusable,
        record=NOTHING_DONE | {"baseline": Baseline(enabled=True)},
        origins=[origin(None)],
        zone=BEFORE,
    )
    assert blocked(next_step(untouched)) is Reason.KEY_PAIR_INVALID
    assert isinstance(
        next_step(observed(keys=unusable, origins=[origin(configured={"intact": False})])), Publish
    )


# --- whose zone it is --------------------------------------------------------------------------------------------------------


OTHER_ZONE = "f" * 32


def rival(
    uid: str = "a",
    *,
    older_by: timedelta = timedelta(),
    zone_id: str | None = ZONE_ID,
    holds: bool = False,
) -> Rival:
    """Another object whose token has shown the zone; without more, of the same second and with a smaller uid."""
    return Rival(ObjectKey("other", "example-com"), uid, NOW - 30 * DAY - older_by, zone_id, holds)


@pytest.mark.parametrize(
    ("other", "holds", "ours"),
    [
        (rival("z", older_by=DAY), None, False),
        (rival("a", older_by=-DAY), None, True),
        (rival("0"), None, False),
        (rival("z"), None, True),
        (rival(older_by=DAY, zone_id=None), None, True),
        (rival(older_by=DAY, zone_id=OTHER_ZONE, holds=True), None, True),
        (rival(older_by=DAY), ZONE_ID, True),
        (rival(older_by=-DAY, holds=True), None, False),
        (rival(older_by=DAY, holds=True), ZONE_ID, False),
        (rival(older_by=-DAY, holds=True), ZONE_ID, True),
        (rival(older_by=DAY), OTHER_ZONE, False),
    ],
    ids=[
        "older",
        "younger",
        "of the same age, smaller uid",
        "of the same age, greater uid",
        "older, and its token has shown no zone",
        "older, another zone of that name",
        "older, and we have the zone",
        "younger, and it has the zone",
        "older, and both have it",
        "younger, and both have it",
        "older, and we had another zone of that name",
    ],
)
def test_whoever_has_shown_the_zone_has_it_and_keeps_it(
    other: Rival, holds: str | None, ours: bool
) -> None:
    step = next_step(observed(rivals=(other,), object={"holds": holds}))
    assert (step == Done()) is ours
    if not ours:
        assert blocked(step) is Reason.ZONE_CLAIMED
        assert "other/example-com" in str(step)


@pytest.mark.parametrize(
    "zone", [Unknown("timeout"), Unknown("the token is revoked", Reason.TOKEN_REJECTED), None]
)
def test_an_object_whose_zone_cannot_be_read_says_why_unless_it_had_to_give_way_before(
    zone: Unknown | None,
) -> None:
    older = rival(older_by=DAY, holds=True)
    assert Reason.ZONE_CLAIMED not in str(next_step(observed(zone=zone, rivals=(older,))))
    assert (
        blocked(next_step(observed(zone=zone, rivals=(older,), object={"holds": ZONE_ID})))
        is Reason.ZONE_CLAIMED
    )


def shows(zone: Any, previous: str | None, *others: Rival) -> str | None:
    """The zone that the status says after a look: who has it, after a restart as well."""
    world = observed(zone=zone, rivals=others, object={"holds": previous})
    status = status_of(
        world, next_step(world), Status(zone=ZoneStatus(id=previous) if previous else None)
    )
    return status.zone.id if status.zone else None


def test_the_status_says_which_zone_an_object_has_also_while_its_token_shows_none() -> None:
    assert shows({}, None) == ZONE_ID
    assert shows(Unknown("the token is revoked", Reason.TOKEN_REJECTED), ZONE_ID) == ZONE_ID
    assert shows(None, ZONE_ID) == ZONE_ID, "a token that sees the zone no more hands it to nobody"
    assert shows({}, OTHER_ZONE) == ZONE_ID, "the zone was made anew at Cloudflare"
    assert shows(Unknown("timeout"), None) is None


def test_the_status_of_one_that_has_to_give_way_says_no_zone() -> None:
    assert shows({}, None, rival(older_by=DAY)) is None
    assert shows({}, ZONE_ID, rival(older_by=DAY, holds=True)) is None
    assert shows({}, ZONE_ID, rival(older_by=DAY)) == ZONE_ID


def test_without_the_list_of_rivals_nothing_new_is_done() -> None:
    assert (
        waiting(next_step(observed(rivals=Unknown("forbidden"), zone={"enabled": False})))
        is Reason.TRANSIENT_ERROR
    )


# --- the zone ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "reason", "message"),
    [
        (None, Reason.ZONE_NOT_FOUND, APEX),
        ({"active": False}, Reason.ZONE_NOT_ACTIVE, "Activate"),
        ({"ssl_mode": "flexible"}, Reason.SSL_MODE_TOO_LOW, "'flexible'"),
        ({"ssl_mode": "off"}, Reason.SSL_MODE_TOO_LOW, "Full (strict)"),
        ({"ssl_mode": "a mode of the future"}, Reason.SSL_MODE_TOO_LOW, "future"),
        ({"outranked": HOSTS}, Reason.HOSTS_SUPPRESSED, WWW),
        ({"certificates": FOREIGN_FIRST}, Reason.FOREIGN_CERTIFICATE, FOREIGN.short),
        (
            {"certificates": (), "enabled": False, "global_on": True},
            Reason.FOREIGN_CERTIFICATE,
            "shared certificate",
        ),
        (
            {"certificates": (certificate(state=CertificateState.PENDING),), "global_on": True},
            Reason.FOREIGN_CERTIFICATE,
            "replaceForeign",
        ),
        (Unknown("no such token", Reason.TOKEN_REJECTED), Reason.TOKEN_REJECTED, "no such token"),
    ],
)
def test_a_zone_that_is_not_eligible_is_refused(zone: Any, reason: Reason, message: str) -> None:
    step = next_step(observed(zone=zone))
    assert blocked(step) is reason
    assert message in str(step)


@pytest.mark.parametrize(
    "zone",
    [
        {"ssl_mode": "full"},
        {"ssl_mode": "origin_pull"},
        {"outranked": (WWW,)},
        {"certificates": (certificate(FOREIGN, ours=False), certificate())},
        {
            "certificates": (
                certificate(),
                certificate(FOREIGN, ours=False, state=CertificateState.PENDING),
            )
        },
        {"global_on": True},
    ],
    ids=[
        "full",
        "origin_pull",
        "one of two hosts suppressed",
        "ours is newer",
        "another's is not deployed",
        "global, and ours presented before it",
    ],
)
def test_a_zone_that_presents_ours_is_eligible(zone: dict[str, Any]) -> None:
    assert next_step(observed(zone=zone)) == Done()


@pytest.mark.parametrize(
    "zone",
    [{"certificates": FOREIGN_FIRST}, {"certificates": (), "enabled": False, "global_on": True}],
)
def test_with_consent_another_s_certificate_is_outranked(zone: dict[str, Any]) -> None:
    step = next_step(
        observed(zone=zone, spec={"certificate": {"generate": {}, "replaceForeign": True}})
    )
    assert not (isinstance(step, Block) and step.reason is Reason.FOREIGN_CERTIFICATE)


def test_cloudflare_s_own_time_is_kept() -> None:
    step = next_step(observed(zone=Unknown("429", retry_after_s=77.0)))
    assert isinstance(step, Wait)
    assert step.seconds == 77.0


# --- the origins ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin_seen", "reason", "message"),
    [
        (origin(allowed=False), Reason.ORIGIN_NOT_ALLOWED, "AOP_INGRESS_CONFIG_MAPS"),
        (origin(configured=None), Reason.ORIGIN_NOT_FOUND, str(TARGET.key)),
        (origin(readers=0, replicas=()), Reason.NO_CONTROLLER, "--configmap"),
        (origin(replicas=()), Reason.NO_REPLICAS, "2 pods"),
        (
            origin(foreign="ConfigMap a/b: http-snippet holds text"),
            Reason.FOREIGN_CONFIGURATION,
            "http-snippet",
        ),
    ],
)
def test_an_origin_that_is_not_eligible_is_refused(
    origin_seen: ObservedOrigin, reason: Reason, message: str
) -> None:
    step = next_step(observed(origins=[origin_seen]))
    assert blocked(step) is reason
    assert message in str(step)


@pytest.mark.parametrize(
    ("origin_seen", "reason"),
    [
        (origin(configured=Unknown("timeout")), Reason.TRANSIENT_ERROR),
        (origin(replicas=Unknown("timeout")), Reason.TRANSIENT_ERROR),
        (
            origin(replicas=(replica(), replica("pod-2", error="connection refused"))),
            Reason.ORIGIN_UNREACHABLE,
        ),
    ],
)
def test_an_origin_that_cannot_be_looked_at_is_waited_for(
    origin_seen: ObservedOrigin, reason: Reason
) -> None:
    assert waiting(next_step(observed(origins=[origin_seen]))) is reason


def test_the_pod_that_cannot_be_asked_is_named() -> None:
    step = next_step(
        observed(
            origins=[
                origin(replicas=(replica("pod-1"), replica("pod-2", error="connection refused")))
            ]
        )
    )
    assert "pod pod-2: connection refused" in str(step)
    assert "pod-1" not in str(step)


def test_only_wanted_origins_are_judged() -> None:
    """One that has left the spec may be as it likes: it is only cleaned up."""
    dropped = origin(
        None,
        name="old",
        target=Target("ingressNginx", "old", "controller"),
        wanted=False,
        allowed=False,
        readers=0,
        replicas=(),
    )
    assert next_step(observed(origins=[origin(), dropped])) == Done()


def test_without_a_host_there_is_nothing_to_prove() -> None:
    step = next_step(
        observed(
            origins=[origin(None, hosts=())],
            record=NOTHING_DONE | {"baseline": Baseline(enabled=True)},
            zone=BEFORE,
        )
    )
    assert blocked(step) is Reason.NO_HOSTS
    assert "verification.samples" in str(step)


def test_a_host_that_the_text_cannot_carry_is_left_out_and_holds_back_nobody() -> None:
    """It is the user's affair only where no other is left (the whole zone was blocked, renewals stopped, deletion hung)."""
    long = LeftOut(
        "a.example.com", "the name does not fit map-hash-bucket-size. Set it there to 128 or more"
    )
    assert next_step(observed(origins=[origin(left_out=(long,))])) == Done()
    step = next_step(
        observed(
            origins=[origin(None, hosts=(), left_out=(long,))],
            record=NOTHING_DONE | {"baseline": Baseline(enabled=True)},
            zone=BEFORE,
        )
    )
    assert blocked(step) is Reason.HOSTNAME_TOO_LONG
    assert f"{long.host}: {long.why}" in str(step)
