"""From the first trace to the edge presenting our leaf: trust goes before presentation, and Cloudflare never holds a third of ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.errors import Reason
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Baseline,
    CertificateState,
    Evidence,
    HostBehaviour,
    LeftOut,
    ObservedCertificate,
    ObservedReplica,
    Overwritten,
    Unknown,
)
from aop.plan import next_step
from aop.plan.claims import CUT_OFF
from aop.plan.prepare import claim_is_whole
from aop.steps import Block, Delete, Done, Issue, Note, Publish, SetEnabled, Step, Upload, Wait
from aop.terms import Claim, Mode, Target
from builders import (
    APEX,
    ASKING,
    FOREIGN,
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
    ZONE_ID,
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

REFERENCED = {"certificate": {"secretRef": {"name": "mine"}}}
BOTH = claim(pins=(LEAF, NEXT))
AWAITING_NEXT: dict[str, Any] = {
    "keys": {"next": NEXT},
    "origins": [origin(BOTH)],
    "record": {"uploaded": (LEAF,)},
}
"""A rotation: the next leaf is trusted everywhere and not uploaded yet."""


# --- the check path ----------------------------------------------------------------------------------------------------------


def test_the_record_names_a_config_map_before_it_carries_a_claim() -> None:
    noted = next_step(observed(origins=[origin(None)], record={"claimed": ()}))
    assert isinstance(noted, Note)
    assert noted.record.claimed == (TARGET,)
    assert published(next_step(observed(origins=[origin(None)]))) == claim(Mode.OFF, (), ())


@pytest.mark.parametrize(
    ("current", "changes", "again"),
    [
        (claim(patterns=(APEX,)), {}, REQUIRING),
        (OFF, {"intact": False}, OFF),
    ],
    ids=["spec.hostnames has changed", "the text is not the one that was rendered"],
)
def test_a_text_that_is_not_right_is_rendered_again(
    current: Claim, changes: dict[str, Any], again: Claim
) -> None:
    """Rendering again raises no mode: the claim of a damaged text reads as Off, and is raised on a fresh proof."""
    assert published(next_step(observed(origins=[origin(current, configured=changes)]))) == again


@pytest.mark.parametrize(
    ("origin_seen", "message"),
    [
        (
            origin(OFF, replicas=(replica("pod-1", OFF), replica("pod-2", None))),
            "pod pod-2 shows no revision",
        ),
        (
            origin(OFF, replicas=(replica("pod-1", OFF), replica("pod-2", OFF, revision=6))),
            "pod pod-2 shows revision 6",
        ),
        (
            origin(OFF, replicas=(replica("pod-1", OFF, settled=False),)),
            "has shown revision 7 only once so far",
        ),
        (
            origin(OFF, replicas=(replica("pod-1", OFF, hosts=(APEX,)),)),
            f"has not been asked about {WWW}",
        ),
        (origin(OFF, running=REQUIRING), "shows Require instead of Off"),
    ],
)
def test_what_a_replica_does_not_show_yet_is_waited_for_by_name(
    origin_seen: Any, message: str
) -> None:
    step = next_step(observed(origins=[origin_seen]))
    assert waiting(step) is Reason.WAITING_FOR_REPLICAS
    assert message in str(step)
    assert isinstance(step, Wait)
    assert step.since == at(-600)


def test_another_zone_may_have_the_controller_ask_while_we_do_not() -> None:
    assert published(next_step(observed(origins=[origin(OFF, running=ASKING)]))) == ASKING


def test_the_edge_has_to_answer_before_anything_is_done_at_cloudflare() -> None:
    silent = [Evidence(APEX, silence="HTTP 403", silent_since=at(-50)), evidence(WWW, direct=True)]
    step = next_step(
        observed(
            evidence=silent,
            origins=[origin(OFF)],
            zone={"certificates": (), "enabled": False},
            keys=None,
        )
    )
    assert waiting(step) is Reason.EDGE_SILENT
    assert "HTTP 403" in str(step)
    assert f"{WWW} bypasses Cloudflare" in str(step)
    assert isinstance(step, Wait)
    assert step.since == at(-50)


def test_one_host_that_answers_through_the_edge_is_enough_to_go_on() -> None:
    step = next_step(
        observed(
            evidence=[Evidence(APEX, silence="timeout", silent_since=at(-50)), evidence(WWW, NONE)],
            keys=None,
            origins=[origin(OFF)],
        )
    )
    assert step == Issue("first")


@pytest.mark.parametrize(
    ("shown", "since", "runs"),
    [
        (REVISION, REVISION, True),
        (REVISION, REVISION + 1, False),
        (REVISION, None, False),
        (REVISION + 3, REVISION, False),
    ],
    ids=[
        "from before others published",
        "from before we did",
        "since nobody knows when",
        "later than what was read",
    ],
)
def test_what_others_publish_on_top_is_not_waited_for(
    shown: int, since: int | None, runs: bool
) -> None:
    """The ConfigMap is two revisions ahead of the replicas, and says since which of them our claim stands in it."""
    behind = tuple(replica(name, REQUIRING, revision=shown) for name in ("pod-1", "pod-2"))
    step = next_step(
        observed(
            origins=[
                origin(configured={"revision": REVISION + 2, "claim_since": since}, replicas=behind)
            ]
        )
    )
    assert (step == Done()) is runs
    assert runs or waiting(step) is Reason.WAITING_FOR_REPLICAS


def test_a_host_for_which_an_ingress_switches_asking_off_holds_back_nobody_else() -> None:
    quiet = (
        HostBehaviour(APEX, Mode.REQUEST, accepts=frozenset({LEAF.sha256})),
        HostBehaviour(WWW, Mode.OFF),
    )
    replicas = tuple(replace(replica(name, ASKING), hosts=quiet) for name in ("a", "b"))
    step = next_step(
        observed(evidence=[evidence(WWW, NONE)], origins=[origin(ASKING, replicas=replicas)])
    )
    assert published(step).enforced == (APEX,)


# --- the key pair --------------------------------------------------------------------------------------------------------------

FRESH: dict[str, Any] = {
    "record": {"uploaded": ()},
    "origins": [origin(claim(Mode.OFF, (), ()))],
    "zone": {"certificates": (), "enabled": False},
}
"""The check path is live, and Cloudflare has nothing of ours."""


def test_a_key_pair_is_generated_where_one_is_asked_for() -> None:
    assert next_step(observed(**FRESH, keys=None)) == Issue("first")


def test_a_referenced_secret_that_is_missing_is_the_users_affair() -> None:
    step = next_step(observed(**FRESH, keys=None, spec=REFERENCED))
    assert isinstance(step, Block)
    assert step.reason is Reason.KEY_PAIR_INVALID


@pytest.mark.parametrize(
    ("fact", "kind"),
    [(Unknown("no tls.key", Reason.KEY_PAIR_INVALID), Block), (Unknown("timeout"), Wait)],
)
def test_a_key_pair_that_cannot_be_read_is_told(fact: Unknown, kind: type[Step]) -> None:
    step = next_step(observed(**FRESH, keys=fact))
    assert isinstance(step, kind)
    assert fact.message in str(step)


def test_a_successor_is_generated_when_it_is_due_and_not_before() -> None:
    assert next_step(observed(keys={"renewal_at": NOW})) == Issue("next")
    assert next_step(observed(keys={"renewal_at": NOW + timedelta(seconds=1)})) == Done()
    assert next_step(observed(keys={"renewal_at": None})) == Done()


def test_the_annotation_asks_for_one_successor_and_is_noted_once_that_is_there() -> None:
    assert next_step(observed(object={"rotate": "2026-03-01"})) == Issue("next")
    noted = next_step(observed(object={"rotate": "2026-03-01"}, keys={"next": NEXT}))
    assert isinstance(noted, Note)
    assert noted.record.rotated == "2026-03-01"
    assert (
        next_step(observed(object={"rotate": "2026-03-01"}, record={"rotated": "2026-03-01"}))
        == Done()
    )


def test_an_annotation_that_was_taken_away_asks_for_nothing() -> None:
    assert next_step(observed(object={"rotate": None}, record={"rotated": "2026-03-01"})) == Done()


def test_a_referenced_secret_is_renewed_by_whoever_fills_it() -> None:
    noted = next_step(
        observed(spec=REFERENCED, object={"rotate": "now"}, keys={"renewal_at": None})
    )
    assert isinstance(noted, Note)
    assert noted.record.rotated == "now"


# --- trust before presentation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("current", [ASKING, REQUIRING, claim(Mode.OPTIONAL)])
def test_the_next_leaf_is_trusted_before_it_is_uploaded(current: Claim) -> None:
    assert published(
        next_step(observed(keys={"next": NEXT}, origins=[origin(current)]))
    ) == replace(current, pins=tuple(sorted((LEAF, NEXT))))


def test_trust_is_added_to_what_is_trusted() -> None:
    """Also to leaves that nobody knows any more: only `retired_certificates_are_gone` takes one away."""
    current = claim(pins=(LEAF, RETIRED))
    assert published(
        next_step(observed(keys={"next": NEXT}, origins=[origin(current)]))
    ).pins == tuple(sorted((LEAF, NEXT, RETIRED)))


@pytest.mark.parametrize(
    "replicas",
    [
        (replica("pod-1", BOTH), replica("pod-2", BOTH, revision=6)),
        (replica("pod-1", BOTH), replica("pod-2", BOTH, settled=False)),
        (replica("pod-1", BOTH), replica("pod-2", REQUIRING)),
    ],
    ids=["behind", "not settled", "never seen to accept it"],
)
def test_the_upload_waits_until_every_replica_was_seen_to_serve_the_next_leaf(
    replicas: Any,
) -> None:
    step = next_step(observed(**AWAITING_NEXT | {"origins": [origin(BOTH, replicas=replicas)]}))
    assert waiting(step) is Reason.WAITING_FOR_REPLICAS
    assert "pod-2" in str(step)


# --- upload --------------------------------------------------------------------------------------------------------------------


def test_the_record_names_a_leaf_before_it_is_uploaded() -> None:
    noted = next_step(observed(**FRESH))
    assert isinstance(noted, Note)
    assert noted.record.uploaded == (LEAF,)
    world = FRESH | {"record": {"uploaded": (LEAF,)}}
    assert next_step(observed(**world)) == Upload(ZONE_ID, LEAF)


def test_the_successor_is_uploaded_beside_the_leaf_in_use() -> None:
    noted = next_step(observed(**AWAITING_NEXT))
    assert isinstance(noted, Note)
    assert noted.record.uploaded == tuple(sorted((LEAF, NEXT)))
    assert next_step(
        observed(**AWAITING_NEXT | {"record": {"uploaded": noted.record.uploaded}})
    ) == Upload(ZONE_ID, NEXT)


@pytest.mark.parametrize("hours", [23.9, -1])
def test_a_leaf_that_ends_too_soon_is_not_uploaded(hours: float) -> None:
    leaf = pin("leaf", not_after=NOW + timedelta(hours=hours))
    step = next_step(observed(**FRESH, keys={"leaf": leaf}))
    assert isinstance(step, Block)
    assert step.reason is Reason.LEAF_EXPIRING


def test_a_leaf_that_is_not_valid_yet_is_not_uploaded() -> None:
    step = next_step(
        observed(**FRESH, keys={"leaf": pin("leaf", not_before=NOW + timedelta(hours=1))})
    )
    assert isinstance(step, Block)


@pytest.mark.parametrize("still", [False, True])
def test_a_leaf_that_may_still_turn_up_in_the_list_leaves_no_room(still: bool) -> None:
    """An upload whose answer was lost arrives late; until the list is surely complete there may be two of ours already."""
    world = AWAITING_NEXT | {
        "record": {"uploaded": tuple(sorted((LEAF, RETIRED)))},
        "origins": [origin(claim(pins=(LEAF, NEXT, RETIRED)))],
    }
    step = next_step(observed(**world, still=still))
    assert isinstance(step, Note) if still else waiting(step) is Reason.WAITING_FOR_CLOUDFLARE


# --- never a third of ours -----------------------------------------------------------------------------------------------------


def crowded(
    *certificates: ObservedCertificate, current: Claim | None = None, **more: Any
) -> dict[str, Any]:
    """Two of ours at Cloudflare, and a third leaf is wanted."""
    every = (LEAF, NEXT, RETIRED)
    return {
        "keys": {"leaf": LEAF},
        "zone": {"certificates": certificates},
        "record": {"uploaded": tuple(sorted((NEXT, RETIRED)))},
        "origins": [origin(current or claim(pins=every))],
        "evidence": [evidence(host, NEXT.sha256) for host in HOSTS],
        **more,
    }


OLDER, NEWER = certificate(RETIRED, uploaded_at=at(-9000)), certificate(NEXT)


def test_the_older_of_two_makes_room_once_every_host_is_seen_with_the_newer() -> None:
    step = next_step(observed(**crowded(OLDER, NEWER)))
    assert isinstance(step, Delete)
    assert step.certificate_id == OLDER.id


def test_it_makes_no_room_while_a_required_host_may_still_arrive_with_it() -> None:
    seen = [evidence(APEX, NEXT.sha256), evidence(WWW, RETIRED.sha256)]
    assert (
        waiting(next_step(observed(**crowded(OLDER, NEWER, evidence=seen))))
        is Reason.WAITING_FOR_PROOF
    )
    young = [evidence(APEX, NEXT.sha256), evidence(WWW, NEXT.sha256, lasting_s=100)]
    assert (
        waiting(next_step(observed(**crowded(OLDER, NEWER, evidence=young))))
        is Reason.WAITING_FOR_PROOF
    )


def test_where_nobody_is_refused_it_makes_room_at_once() -> None:
    seen = [evidence(APEX, NEXT.sha256), evidence(WWW, RETIRED.sha256)]
    asking = claim(Mode.REQUEST, (), (LEAF, NEXT, RETIRED))
    assert isinstance(
        next_step(observed(**crowded(OLDER, NEWER, current=asking, evidence=seen))), Delete
    )


@pytest.mark.parametrize("state", [CertificateState.PENDING, CertificateState.DELETING])
def test_what_is_still_moving_is_waited_for(state: CertificateState) -> None:
    assert (
        waiting(next_step(observed(**crowded(OLDER, replace(NEWER, state=state)))))
        is Reason.WAITING_FOR_CLOUDFLARE
    )


def test_what_has_failed_makes_room_first() -> None:
    step = next_step(observed(**crowded(OLDER, replace(NEWER, state=CertificateState.FAILED))))
    assert isinstance(step, Delete)
    assert step.certificate_id == NEWER.id


# --- deployment ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [CertificateState.PENDING, CertificateState.DELETING])
def test_a_deployment_is_awaited_since_the_upload(state: CertificateState) -> None:
    step = next_step(observed(zone={"certificates": (certificate(state=state),)}))
    assert waiting(step) is Reason.WAITING_FOR_CLOUDFLARE
    assert isinstance(step, Wait)
    assert step.since == at(-3600)


def test_a_deployment_that_timed_out_is_deleted_to_be_tried_again() -> None:
    step = next_step(observed(zone={"certificates": (certificate(state=CertificateState.FAILED),)}))
    assert isinstance(step, Delete)
    assert (step.zone_id, step.certificate_id, step.pin) == (ZONE_ID, LEAF.short, LEAF)


OUTRANKED = {"certificates": (certificate(), certificate(NEXT, id="newer"))}
"""A Secret that was put back: the wanted leaf is older than another of ours."""
OUTRANKED_WORLD: dict[str, Any] = {
    "zone": OUTRANKED,
    "record": {"uploaded": tuple(sorted((LEAF, NEXT)))},
    "origins": [origin(BOTH)],
    "evidence": [evidence(host, NEXT.sha256) for host in HOSTS],
}


def test_a_leaf_that_was_put_back_is_uploaded_again_to_become_the_newest() -> None:
    step = next_step(observed(**OUTRANKED_WORLD))
    assert isinstance(step, Delete)
    assert (step.certificate_id, step.pin) == (LEAF.short, LEAF)


def test_it_is_not_deleted_while_a_required_host_may_still_arrive_with_it() -> None:
    seen = [evidence(APEX, NEXT.sha256), evidence(WWW, LEAF.sha256)]
    assert (
        waiting(next_step(observed(**OUTRANKED_WORLD | {"evidence": seen})))
        is Reason.WAITING_FOR_PROOF
    )


def test_another_s_newer_certificate_is_outranked_with_consent_only() -> None:
    zone = {"certificates": (certificate(), certificate(FOREIGN, ours=False, id="theirs"))}
    asking = [origin(ASKING)]
    consent = {"certificate": {"generate": {}, "replaceForeign": True}}
    assert isinstance(next_step(observed(zone=zone, origins=asking, spec=consent)), Delete)
    assert isinstance(next_step(observed(zone=zone, origins=asking)), Block)


def test_what_was_there_before_us_is_not_deleted_to_become_the_newest() -> None:
    record = OUTRANKED_WORLD["record"] | {"baseline": Baseline(enabled=True, foreign=(LEAF.short,))}
    step = next_step(observed(**OUTRANKED_WORLD | {"record": record}))
    assert isinstance(step, Block)
    assert step.reason is Reason.FOREIGN_CERTIFICATE
    assert LEAF.short in step.message


@pytest.mark.parametrize("state", list(CertificateState))
def test_a_leaf_that_is_there_already_is_named_before_anything_is_done_with_it(
    state: CertificateState,
) -> None:
    step = next_step(
        observed(zone={"certificates": (certificate(state=state),)}, record={"uploaded": ()})
    )
    assert isinstance(step, Note)
    assert step.record.uploaded == (LEAF,)


# --- enablement ------------------------------------------------------------------------------------------------------------------


def test_the_zone_is_enabled_once_ours_is_active() -> None:
    step = next_step(observed(zone={"enabled": False}, origins=[origin(OFF)]))
    assert isinstance(step, SetEnabled)
    assert (step.zone_id, step.enabled) == (ZONE_ID, True)


def test_drift_of_the_flag_is_corrected() -> None:
    step = next_step(observed(zone={"enabled": False}))
    assert isinstance(step, SetEnabled)
    assert step.enabled


def test_a_zone_is_not_enabled_for_another_s_newer_certificate() -> None:
    zone = {
        "enabled": False,
        "certificates": (certificate(), certificate(FOREIGN, ours=False, id="theirs")),
    }
    step = next_step(observed(zone=zone, origins=[origin(OFF)]))
    assert isinstance(step, Block)
    assert step.reason is Reason.FOREIGN_CERTIFICATE
    assert "theirs" in str(step)


def test_a_zone_is_not_enabled_for_a_leaf_that_is_about_to_end() -> None:
    leaf = pin("leaf", not_after=NOW + timedelta(hours=23))
    asking = claim(Mode.REQUEST, (), (leaf,))
    step = next_step(
        observed(
            keys={"leaf": leaf},
            record={"uploaded": (leaf,)},
            zone={"enabled": False, "certificates": (certificate(leaf),)},
            origins=[origin(asking)],
        )
    )
    assert isinstance(step, Block)
    assert step.reason is Reason.LEAF_EXPIRING


def test_the_second_origin_waits_for_nothing_of_the_first_but_its_turn() -> None:
    other = Target("ingressNginx", "shop", "controller")
    step = next_step(
        observed(
            origins=[origin(), origin(None, name="shop", target=other)],
            record={"claimed": (TARGET, other)},
        )
    )
    assert isinstance(step, Publish)
    assert (step.origin, step.target, step.claim.mode) == ("shop", other, Mode.OFF)


# --- a damaged text -----------------------------------------------------------------------------------------------------------------


BOTH_REQUIRE = replica("pod-1", REQUIRING), replica("pod-2", REQUIRING)


def damaged(*pods: ObservedReplica, standing: Claim | None = REQUIRING) -> Any:
    """A text that is not ours byte for byte any more, and refuses all the same: it reads as Off."""
    return origin(
        replace(OFF, pins=(LEAF,)),
        configured={"intact": False, "standing": standing},
        replicas=pods,
    )


def without(accepted: str, running: Claim = REQUIRING, host: str = WWW) -> ObservedReplica:
    """A replica that was not seen to serve the leaf to that host."""
    seen = replica("pod-2", running)
    return replace(
        seen,
        hosts=tuple(
            replace(b, accepts=b.accepts - {accepted}) if b.host == host else b for b in seen.hosts
        ),
    )


def test_what_every_replica_does_all_the_same_is_what_is_put_back() -> None:
    """Somebody has indented our block, or lost its last newline: nobody is to be let in for that."""
    assert published(next_step(observed(origins=[damaged(*BOTH_REQUIRE)]))) == REQUIRING
    optional = claim(Mode.OPTIONAL)
    running = (replica("pod-1", optional), replica("pod-2", optional))
    assert (
        published(
            next_step(
                observed(
                    origins=[damaged(*running, standing=optional)], spec={"enforcement": "Optional"}
                )
            )
        )
        == optional
    )


@pytest.mark.parametrize(
    ("origin_seen", "seen", "kept"),
    [
        (damaged(*BOTH_REQUIRE), [evidence(WWW, NONE, recent=())], claim(enforced=(APEX,))),
        (damaged(*BOTH_REQUIRE), [evidence(WWW, OTHER, recent=())], claim(enforced=(APEX,))),
        (
            damaged(replica("pod-1", REQUIRING), replica("pod-2", claim(enforced=(APEX,)))),
            [],
            claim(enforced=(APEX,)),
        ),
        (damaged(replica("pod-1", REQUIRING), without(LEAF.sha256)), [], claim(enforced=(APEX,))),
        (
            damaged(replica("pod-1", REQUIRING), replica("pod-2", REQUIRING, hosts=(APEX,))),
            [],
            claim(enforced=(APEX,)),
        ),
        (damaged(replica("pod-1", REQUIRING), replica("pod-2", OFF)), [], OFF),
        (damaged(replica("pod-1", REQUIRING), replica("pod-2", claim(Mode.OPTIONAL))), [], OFF),
        (
            damaged(replica("pod-1", REQUIRING), replica("pod-2", REQUIRING, error="timeout")),
            [],
            OFF,
        ),
        (damaged(), [], OFF),
        (damaged(*BOTH_REQUIRE, standing=None), [], OFF),
        (damaged(*BOTH_REQUIRE, standing=ASKING), [], OFF),
    ],
    ids=[
        "a host that arrives without a certificate",
        "a host that arrives with another certificate",
        "a host that a replica serves to everybody",
        "a host to which a replica does not serve the leaf",
        "a host that a replica was not asked about",
        "a replica that runs nothing of it",
        "a replica that is milder",
        "a replica that cannot be asked",
        "no replica",
        "nobody knows what was written",
        "it refused nobody",
    ],
)
def test_only_what_is_seen_now_is_put_back(
    origin_seen: Any, seen: list[Evidence], kept: Claim
) -> None:
    """S1 holds for a repair as for anything else: nothing gets stricter by it than it is seen to be."""
    step = claim_is_whole(observed(origins=[origin_seen], evidence=seen), origin_seen)
    assert step is not None
    assert published(step) == kept


@pytest.mark.parametrize(
    "seen", [Evidence(WWW), evidence(WWW, lasting_s=60), evidence(WWW, silence="HTTP 403")]
)
def test_what_every_replica_is_seen_to_do_is_put_back_although_its_proof_is_still_to_be_made(
    seen: Evidence,
) -> None:
    """After a restart, or a change at Cloudflare, with a window of a day: what requires keeps requiring."""
    one = damaged(*BOTH_REQUIRE)
    step = claim_is_whole(observed(origins=[one], evidence=[seen]), one)
    assert step is not None
    assert published(step) == REQUIRING


@pytest.mark.parametrize(
    ("current", "seen", "kept"),
    [
        (REQUIRING, [evidence(WWW, lasting_s=60)], REQUIRING),
        (REQUIRING, [Evidence(WWW, silence="HTTP 403")], claim(enforced=(APEX,))),
        (replace(OFF, pins=(LEAF,)), [], claim(enforced=(APEX,))),
    ],
    ids=[
        "it arrives with ours",
        "it is hidden from the edge as well",
        "the text does not say it either",
    ],
)
def test_a_host_that_others_text_before_ours_hides_is_kept_only_as_far_as_the_edge_meets_ours(
    current: Claim, seen: list[Evidence], kept: Claim
) -> None:
    """`if ($past_the_edge) { return 403; }` before ours hides every host from the operator, and none from Cloudflare; a `break` hides both."""
    odd = HostBehaviour(WWW, Mode.OFF, odd="HTTP 403 on the operator's check path")
    pods = tuple(replace(it, hosts=(it.hosts[0], odd)) for it in BOTH_REQUIRE)
    origin_seen = origin(
        current, configured={"intact": False, "standing": REQUIRING}, replicas=pods
    )
    step = claim_is_whole(observed(origins=[origin_seen], evidence=seen), origin_seen)
    assert step is not None
    assert published(step) == kept


@pytest.mark.parametrize(
    ("standing", "pods", "asks"),
    [
        (OFF, None, OFF),
        (ASKING, None, ASKING),
        (REQUIRING, BOTH_REQUIRE, REQUIRING),
        (REQUIRING, tuple(replace(one, hosts=()) for one in BOTH_REQUIRE), replace(OFF, pins=(LEAF,))),
    ],
    ids=["nothing is asked", "it asks", "it is seen to require", "nobody knows what it does"],
)  # fmt: skip
def test_a_text_that_takes_effect_elsewhere_is_put_where_the_spec_says_and_requires_no_more_than_is_seen(
    standing: Claim, pods: Any, asks: Claim
) -> None:
    shown = {} if pods is None else {"replicas": pods}
    one = origin(standing, standing, configured={"standing": standing}, misplaced=True, **shown)
    seen = [evidence(WWW, lasting_s=60), evidence(APEX, lasting_s=60)]
    step = claim_is_whole(observed(origins=[one], evidence=seen), one)
    assert step is not None
    assert published(step) == asks
    assert "spec.origins names another place" in str(step)


def test_without_a_key_pair_a_damaged_text_is_repaired_to_refuse_nobody() -> None:
    assert published(next_step(observed(origins=[damaged(*BOTH_REQUIRE)], keys=None))) == OFF


# --- text that somebody else puts back -------------------------------------------------------------------------------------------


def put_back(until_s: float, current: Claim | None = OFF, **changes: Any) -> Any:
    by_others = Overwritten("field manager argocd-controller", 4, since=at(-90), until=at(until_s))
    return origin(current, current, configured={"intact": False}, overwritten=by_others, **changes)


@pytest.mark.parametrize("current", [OFF, None], ids=["ours is damaged", "ours is gone"])
def test_who_puts_their_text_back_again_and_again_is_named_and_ours_waits(
    current: Claim | None,
) -> None:
    step = next_step(observed(origins=[put_back(60, current)], stepped=timedelta(hours=1)))
    assert isinstance(step, Block)
    assert step.reason is Reason.FOREIGN_CONFIGURATION
    assert (
        f"Since 12:58:30 UTC, field manager argocd-controller has replaced the operator's text in ConfigMap {TARGET.key} 4 times"
        in step.message
    )
    assert "ignoreDifferences" in step.message
    assert "writes its text again at 13:01:00 UTC" in step.message
    assert published(next_step(observed(origins=[put_back(0, current)]))).mode is Mode.OFF


def test_what_relaxes_does_not_wait_for_them() -> None:
    origin_seen = origin(overwritten=put_back(60).overwritten)
    assert (
        published(next_step(observed(origins=[origin_seen], spec={"enforcement": "Request"})))
        == ASKING
    )


def test_a_text_of_ours_that_stands_is_changed_whatever_was_before() -> None:
    origin_seen = origin(claim(patterns=(APEX,)), overwritten=put_back(60).overwritten)
    assert published(next_step(observed(origins=[origin_seen]))) == REQUIRING


# --- hosts at which enabling would refuse somebody ----------------------------------------------------------------------------------

OWN = LeftOut(WWW, "Ingress shop/web verifies client certificates by itself")


def test_the_zone_is_not_enabled_while_a_host_would_begin_to_refuse_its_visitors() -> None:
    step = next_step(observed(zone={"enabled": False}, origins=[origin(OFF, displaced=(OWN,))]))
    assert isinstance(step, Block)
    assert step.reason is Reason.FOREIGN_CONFIGURATION
    assert (
        f"{WWW} would refuse the certificate as soon as the zone presents it: {OWN.why}"
        in step.message
    )
    assert "leave the host out of spec.hostnames" in step.message


def test_a_host_whose_requests_do_not_meet_the_edge_holds_nothing_up() -> None:
    """DNS-only, with client certificates of its own: what the zone presents never gets there."""
    past = Evidence(WWW, REFUSED, count=1, last=at(-1), direct=True)
    step = next_step(
        observed(zone={"enabled": False}, origins=[origin(OFF, displaced=(OWN,))], evidence=[past])
    )
    assert isinstance(step, SetEnabled)
    fresh: dict[str, Any] = {
        "record": {"uploaded": (), "claimed": (), "baseline": Baseline(enabled=False)},
        "keys": None,
    }
    displacing = [origin(None, None, displaced=(OWN,))]
    first = next_step(
        observed(
            **fresh,
            zone={"certificates": (), "enabled": False},
            origins=displacing,
            evidence=[past],
        )
    )
    assert isinstance(first, Note), "the ConfigMap is about to carry our claim"


def test_that_is_said_before_anything_is_written() -> None:
    fresh: dict[str, Any] = {
        "record": {"uploaded": (), "claimed": (), "baseline": Baseline(enabled=False)},
        "keys": None,
    }
    displacing = [origin(None, None, displaced=(OWN,))]
    assert isinstance(
        next_step(
            observed(**fresh, zone={"certificates": (), "enabled": False}, origins=displacing)
        ),
        Block,
    )
    enabled = fresh | {"record": fresh["record"] | {"baseline": Baseline(enabled=True)}}
    step = next_step(
        observed(**enabled, zone={"certificates": (), "enabled": True}, origins=displacing)
    )
    assert isinstance(step, Note), "what is enabled already refuses there already"


@pytest.mark.parametrize(
    "hidden",
    [
        HostBehaviour(WWW, Mode.REQUEST, own=True),
        HostBehaviour(WWW, Mode.OFF, odd="HTTP 308 on the operator's check path"),
    ],
)
def test_once_the_zone_presents_ours_such_a_host_holds_back_nothing(hidden: HostBehaviour) -> None:
    """It refuses by its own doing: renewals and new hosts go on beside it."""

    def among(current: Claim) -> Any:
        pods = tuple(
            replace(it, hosts=(it.hosts[0], hidden))
            for it in (replica("pod-1", current), replica("pod-2", current))
        )
        return origin(current, replicas=pods, displaced=(OWN,))

    one = claim(enforced=(APEX,))
    assert next_step(observed(origins=[among(one)])) == Done()
    assert published(next_step(observed(origins=[among(ASKING)]))) == one
    both = claim(enforced=(APEX,), pins=(LEAF, NEXT))
    noted = next_step(observed(**AWAITING_NEXT | {"origins": [among(both)]}))
    assert isinstance(noted, Note), "the next leaf is about to be uploaded"


def test_a_required_host_that_is_hidden_holds_back_no_upload_and_one_that_was_not_seen_does() -> (
    None
):
    shown = replica("pod-2", BOTH)
    odd = replace(
        shown,
        hosts=(
            shown.hosts[0],
            HostBehaviour(WWW, Mode.OFF, odd="HTTP 403 on the operator's check path"),
        ),
    )
    assert isinstance(
        next_step(
            observed(
                **AWAITING_NEXT
                | {"origins": [origin(BOTH, replicas=(replica("pod-1", BOTH), odd))]}
            )
        ),
        Note,
    )
    unseen = origin(BOTH, replicas=(replica("pod-1", BOTH), replace(shown, hosts=shown.hosts[:1])))
    assert (
        waiting(next_step(observed(**AWAITING_NEXT | {"origins": [unseen]})))
        is Reason.WAITING_FOR_REPLICAS
    )


# --- replicas that are not Ready ---------------------------------------------------------------------------------------------------


def test_a_rotation_waits_for_a_pod_that_is_not_ready_and_may_still_serve_and_says_what_to_do() -> (
    None
):
    """Half of the visitors got 400 from it for as long as one looked."""
    cut_off = replica("pod-2", REQUIRING, ready=False, error="nothing within 5 s")
    step = next_step(
        observed(
            **AWAITING_NEXT
            | {"origins": [origin(BOTH, replicas=(replica("pod-1", BOTH), cut_off))]}
        )
    )
    assert isinstance(step, Wait)
    assert step.reason is Reason.WAITING_FOR_REPLICAS
    assert (
        "pod pod-2 is not Ready, may still serve, and does not answer the operator (nothing within 5 s)"
        in step.message
    )
    assert step.remedy == CUT_OFF


# --- controllers that take nothing -------------------------------------------------------------------------------------------------


def test_while_a_controller_takes_no_text_nothing_is_written_but_what_relaxes() -> None:
    """A typo of an admin's in another key: nginx -t fails for everybody, and nothing of ours is at fault."""
    words = "the controller of ConfigMap a/b applies no change at present: unknown directive"
    behind = (replica("pod-1", ASKING, revision=6), replica("pod-2", ASKING, revision=6))
    step = next_step(observed(origins=[origin(replicas=behind, stuck=words)]))
    assert isinstance(step, Wait)
    assert (step.reason, step.message) == (Reason.CONTROLLER_STUCK, words)
    assert (
        waiting(next_step(observed(origins=[origin(None, stuck=words)]))) is Reason.CONTROLLER_STUCK
    )
    assert (
        published(
            next_step(observed(origins=[origin(stuck=words)], spec={"enforcement": "Request"}))
        )
        == ASKING
    )


def test_while_a_source_cannot_be_read_nothing_new_is_done_on_what_was_known_of_it() -> None:
    words = "cannot list ingresses: HTTP 403"
    step = next_step(observed(origins=[origin(ASKING, stale=words)]))
    assert isinstance(step, Wait)
    assert step.reason is Reason.TRANSIENT_ERROR
    assert words in step.message
    assert (
        published(
            next_step(observed(origins=[origin(stale=words)], spec={"enforcement": "Request"}))
        )
        == ASKING
    )


def test_a_text_whose_annotations_are_gone_is_put_back_as_every_replica_does_it() -> None:
    """Somebody has replaced the ConfigMap with its data and without what we had noted on it: nobody is let in who was not."""
    damaged = origin(
        configured={"claim": None, "standing": REQUIRING, "intact": False, "claim_since": None}
    )
    step = next_step(observed(origins=[damaged]))
    assert isinstance(step, Publish)
    assert (step.claim.mode, step.claim.enforced) == (REQUIRING.mode, REQUIRING.enforced)


# --- in whose turn it is written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("in_s", "waits"), [(-1, False), (0, False), (0.5, True), (8, True)])
def test_what_asks_for_more_goes_out_with_what_others_want(in_s: float, waits: bool) -> None:
    """Not before the moment that the keeper of the origin names; nothing is written for it meanwhile."""
    gathering = origin(configured={"claim": None}, next_write_at=at(in_s))
    step = next_step(observed(origins=[gathering]))
    assert isinstance(step, Wait) is waits
    if isinstance(step, Wait):
        assert step.reason is Reason.WAITING_FOR_REPLICAS
        assert step.seconds <= max(in_s, 0.1)
        assert gathering.words.place in step.message
