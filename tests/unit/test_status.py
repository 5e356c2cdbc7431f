"""What people and tools read in each phase: nine conditions, the printer columns, and a message that says what is awaited and what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml

from aop import crd
from aop.api import AlertsStatus, Condition, ConditionType, Status
from aop.errors import Reason
from aop.observed import (
    NONE,
    CertificateState,
    Evidence,
    HoldOff,
    Observed,
    ObservedAlerts,
    Overwritten,
    Rival,
    Unknown,
)
from aop.plan import next_step
from aop.plan.claims import CUT_OFF
from aop.reasons import NO_ACTION
from aop.status import failed, merge_patch, status_of
from aop.terms import Mode, ObjectKey
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

FRESH: dict[str, Any] = {
    "record": {"uploaded": (), "claimed": ()},
    "origins": [origin(None, None)],
    "zone": {"certificates": (), "enabled": False},
    "keys": None,
    "evidence": [Evidence(host) for host in HOSTS],
}
REMOVING: dict[str, Any] = {"object": {"deleting": True}, "origins": [origin(OFF)]}
HELD_OFF = {"hold_offs": (HoldOff(1, at(-20), at(40)),)}

WORLDS: dict[str, dict[str, Any]] = {
    "at rest": {},
    "nothing done yet": FRESH,
    "deploying": FRESH
    | {
        "keys": {},
        "record": {"uploaded": (LEAF,)},
        "origins": [origin(claim(Mode.OFF, (), ()))],
        "zone": {
            "enabled": False,
            "certificates": (
                certificate(state=CertificateState.PENDING, status="pending_deployment"),
            ),
        },
        "evidence": [evidence(host, NONE) for host in HOSTS],
    },
    "proving": {
        "origins": [origin(ASKING)],
        "evidence": [evidence(host, lasting_s=60) for host in HOSTS],
    },
    "proven": {"origins": [origin(ASKING)]},
    "a replica is behind": {
        "origins": [
            origin(replicas=(replica("pod-1", REQUIRING), replica("pod-2", ASKING, revision=6)))
        ]
    },
    "a host that bypasses the edge": {
        "origins": [origin(claim(enforced=(APEX,)))],
        "evidence": [evidence(WWW, NONE, direct=True)],
    },
    "only asking is asked for": {"spec": {"enforcement": "Request"}, "origins": [origin(ASKING)]},
    "relaxed": {
        "origins": [origin(ASKING)],
        "evidence": [evidence(host, NONE) for host in HOSTS],
        "record": HELD_OFF,
    },
    "held off": {"origins": [origin(ASKING)], "record": HELD_OFF},
    "silent while enforced": {
        "evidence": [Evidence(host, silence="HTTP 403", silent_since=at(-60)) for host in HOSTS]
    },
    "restarted while enforced": {"evidence": [evidence(host, lasting_s=60) for host in HOSTS]},
    "rotating": {
        "keys": {"next": NEXT},
        "origins": [origin(claim(pins=(LEAF, NEXT)))],
        "zone": {
            "certificates": (
                certificate(),
                certificate(NEXT, state=CertificateState.PENDING, status="initializing"),
            )
        },
        "record": {"uploaded": tuple(sorted((LEAF, NEXT)))},
    },
    "token rejected": {
        "zone": Unknown("Cloudflare does not know the token", Reason.TOKEN_REJECTED)
    },
    "cloudflare down": {"zone": Unknown("HTTP 500")},
    "cloudflare down, nobody asked": {
        "zone": Unknown("HTTP 500"),
        "evidence": [Evidence(host) for host in HOSTS],
    },
    "cloudflare down, proving": {"zone": Unknown("HTTP 500"), "origins": [origin(ASKING)]},
    "zone not found": {"zone": None},
    "key pair invalid": {
        "keys": Unknown("Secret edge/example-com-aop: tls.key is missing", Reason.KEY_PAIR_INVALID)
    },
    "text reset": {
        "origins": [
            origin(
                OFF,
                REQUIRING,
                configured={"intact": False},
                overwritten=Overwritten("somebody", 3, at(-60), at(60)),
            )
        ],
        "evidence": [Evidence(host, silence="HTTP 404", silent_since=at(-60)) for host in HOSTS],
    },
    "suspended": {"spec": {"suspend": True}},
    "removing, still refusing": REMOVING | {"origins": [origin(REQUIRING)]},
    "removing, a replica is behind": REMOVING
    | {"origins": [origin(OFF, replicas=(replica("pod-2", REQUIRING, revision=6),))]},
    "removing, deleting the certificate": REMOVING
    | {
        "zone": {
            "enabled": False,
            "certificates": (
                certificate(state=CertificateState.DELETING, status="pending_deletion"),
            ),
        }
    },
    "removing, all gone": REMOVING
    | {
        "origins": [origin(None, None)],
        "zone": {"enabled": False, "certificates": (certificate(FOREIGN, ours=False),)},
    },
}

# In the order of `ConditionType`; a reason stands where it is not AsExpected.
PHASES = """
at rest:                            [T Ready, T, T, T, T, T, T, F, F]
nothing done yet:                   [F Progressing, F Progressing, F Progressing, F Progressing, F Progressing, U Progressing, F Progressing, T Progressing, F]
deploying:                          [F WaitingForCloudflare, T, F WaitingForCloudflare, F Progressing, F Progressing, F Progressing, F Progressing, T WaitingForCloudflare, F]
proving:                            [F WaitingForProof, T, T, T, T, F WaitingForProof, F Progressing, T WaitingForProof, F]
proven:                             [F Progressing, T, T, T, T, T, F Progressing, T Progressing, F]
a replica is behind:                [F WaitingForReplicas, T, T, T, F WaitingForReplicas, T, F WaitingForReplicas, T WaitingForReplicas, F]
a host that bypasses the edge:      [T Ready, T, T, T, T, F EdgeNotProven, T, F, F]
only asking is asked for:           [T Ready, T, T, T, T, T, T, F, F]
relaxed:                            [F EdgeNotProven, T, T, T, T, F EdgeNotProven, F HoldOff, T EdgeNotProven, F]
held off:                           [F HoldOff, T, T, T, T, T, F HoldOff, T HoldOff, F]
silent while enforced:              [T Ready, T, T, T, T, U EdgeSilent, T, F, F]
restarted while enforced:           [T Ready, T, T, T, T, F WaitingForProof, T, F, F]
rotating:                           [F WaitingForCloudflare, T, F WaitingForCloudflare, T, T, T, T, T WaitingForCloudflare, F]
token rejected:                     [F TokenRejected, T, U TokenRejected, U TokenRejected, T, T, T, F, T TokenRejected]
cloudflare down:                    [T Ready, T, U WaitingForCloudflare, U WaitingForCloudflare, T, T, T, F, F]
cloudflare down, nobody asked:      [F WaitingForCloudflare, T, U WaitingForCloudflare, U WaitingForCloudflare, T, U Progressing, T, T WaitingForCloudflare, F]
cloudflare down, proving:           [F WaitingForCloudflare, T, U WaitingForCloudflare, U WaitingForCloudflare, T, T, F Progressing, T WaitingForCloudflare, F]
zone not found:                     [F ZoneNotFound, T, U ZoneNotFound, U ZoneNotFound, T, T, T, F, T ZoneNotFound]
key pair invalid:                   [F KeyPairInvalid, F KeyPairInvalid, T, T, T, T, T, F, T KeyPairInvalid]
text reset:                         [F ForeignConfiguration, T, T, T, F Progressing, F Progressing, F Progressing, F, T ForeignConfiguration]
suspended:                          [F Suspended, T, T, T, T, T, T, F, T Suspended]
removing, still refusing:           [F Removing, T, T, T, F Removing, U Removing, T, T Removing, F]
removing, a replica is behind:      [F Removing, T, T, T, F Removing, U Removing, F Removing, T Removing, F]
removing, deleting the certificate: [F Removing, T, F Removing, F Removing, F Removing, U Removing, F Removing, T Removing, F]
removing, all gone:                 [F Removing, T, F Removing, F Removing, F Removing, U Removing, F Removing, T Removing, F]
"""


def status(world: dict[str, Any], previous: Status | None = None) -> Status:
    looked_at = observed(**world)
    return status_of(looked_at, next_step(looked_at), previous or Status())


def condition(whole: Status, kind: ConditionType) -> Condition:
    one = whole.condition(kind)
    assert one is not None, kind
    return one


@pytest.mark.parametrize(("phase", "expected"), yaml.safe_load(PHASES).items())
def test_every_phase_has_its_conditions(phase: str, expected: list[str]) -> None:
    new = status(WORLDS[phase])
    shown = [
        f"{c.status[0]}{'' if c.reason == Reason.AS_EXPECTED else f' {c.reason}'}"
        for c in new.conditions
    ]
    assert shown == expected
    asked_for = ConditionType.ALERTS_CONFIGURED
    assert [c.type for c in new.conditions] == [c for c in ConditionType if c != asked_for]
    assert {c.observed_generation for c in new.conditions} == {new.observed_generation} == {2}


def test_every_world_here_is_a_phase() -> None:
    assert list(yaml.safe_load(PHASES)) == list(WORLDS)


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("proving", "The operator has waited since 2026-03-01 11:58:57 UTC. No action needed."),
        (
            "a replica is behind",
            "pod pod-2 shows revision 6. The operator has waited since 2026-03-01 11:50:00 UTC",
        ),
        (
            "a host that bypasses the edge",
            f"Every replica requires the certificate at 1 of 2 hosts. The others refuse nobody: {WWW} bypasses",
        ),
        (
            "only asking is asked for",
            "Every replica asks for the certificate at both hosts, and refuses nobody.",
        ),
        ("relaxed", "Check the host's DNS record (proxied)"),
        (
            "silent while enforced",
            "no rule or challenge at Cloudflare blocks /.well-known/aop-operator/",
        ),
        ("restarted while enforced", "The operator is proving this again through the edge"),
        ("zone not found", "Check spec.zone"),
        (
            "cloudflare down",
            "Requests through the edge show it, although Cloudflare's API does not answer",
        ),
        ("suspended", "Set `spec.suspend` to false"),
        (
            "removing, a replica is behind",
            "The operator removes nothing while a replica may still refuse visitors",
        ),
    ],
)
def test_ready_alone_says_what_is_awaited_since_when_and_what_to_do(
    phase: str, message: str
) -> None:
    assert message in condition(status(WORLDS[phase]), ConditionType.READY).message


@pytest.mark.parametrize("phase", WORLDS)
def test_every_message_is_a_sentence(phase: str) -> None:
    assert [one.message for one in status(WORLDS[phase]).conditions if one.message[-1] != "."] == []


@pytest.mark.parametrize("phase", WORLDS)
def test_every_false_condition_says_why_and_a_second_later_says_the_same(phase: str) -> None:
    """A message with a running counter would write a status per second."""
    new = status(WORLDS[phase])
    kstatus = {ConditionType.RECONCILING, ConditionType.STALLED}
    assert all(c.message for c in new.conditions if c.type not in kstatus)
    assert all(len(c.message) <= 2000 for c in new.conditions)
    later = status({**WORLDS[phase], "now": NOW + timedelta(seconds=1)}, new)
    assert later == new


def test_stalled_and_reconciling_exclude_each_other_and_ready() -> None:
    """kstatus: either of them True means that the object is not Current."""
    for phase, world in WORLDS.items():
        new = status(world)
        assert (
            sum(
                condition(new, kind).status == "True"  # type: ignore[arg-type]  # a StrEnum's word
                for kind in ("Ready", "Reconciling", "Stalled")
            )
            == 1
        ), phase


# --- the parts -----------------------------------------------------------------------------------------------------------------


def test_the_parts_at_rest() -> None:
    new = status({"zone": {"certificates": (certificate(serial_number="4711"),)}}).manifest()
    assert new["zone"] == {"id": ZONE_ID, "accountId": "account", "sslMode": "strict"}
    assert new["certificate"] == {
        "id": LEAF.short,
        "fingerprint": LEAF.sha256,
        "serialNumber": "4711",
        "status": "active",
        "notAfter": "2028-01-30T12:00:00Z",
        "renewalTime": "2027-12-16T12:00:00Z",
    }
    assert new["origins"] == [{"name": "public", "mode": "Require", "replicas": 2, "applied": 2}]
    assert new["hosts"]["proven"] == new["hosts"]["total"] == 2
    assert new["observedGeneration"] == 2


@pytest.mark.parametrize(
    ("phase", "shown"),
    [
        ("at rest", ("example.com", "Require", "True", "2028-01-30T12:00:00Z")),
        ("nothing done yet", ("example.com", "Off", "False", None)),
        ("proving", ("example.com", "Request", "False", "2028-01-30T12:00:00Z")),
        ("a replica is behind", ("example.com", "Request", "False", "2028-01-30T12:00:00Z")),
        ("token rejected", ("example.com", "Require", "False", "2028-01-30T12:00:00Z")),
        ("key pair invalid", ("example.com", "Require", "False", "2028-01-30T12:00:00Z")),
        ("text reset", ("example.com", None, "False", "2028-01-30T12:00:00Z")),
    ],
)
def test_the_printer_columns_show_it(phase: str, shown: tuple[str, ...]) -> None:
    world = observed(**WORLDS[phase])
    whole = {
        "spec": {"zone": {"name": world.spec.zone.name}},
        "status": status(WORLDS[phase]).manifest(),
    }
    (version,) = crd.manifest()["spec"]["versions"]
    columns = {
        column["name"]: at_path(whole, column["jsonPath"])
        for column in version["additionalPrinterColumns"]
    }
    assert tuple(columns[name] for name in ("Zone", "Enforcement", "Ready", "Expires")) == shown
    assert columns["Status"] == condition(status(WORLDS[phase]), ConditionType.READY).message


def test_what_was_seen_before_somebody_changed_the_text_is_told_as_no_protection() -> None:
    new = status(WORLDS["text reset"]).manifest()
    assert new["origins"] == [{"name": "public", "replicas": 2, "applied": 0}]


@pytest.mark.parametrize("phase", ["rotating", "key pair invalid"])
def test_the_proof_of_what_is_presented_stands_whatever_becomes_of_the_key_pair(phase: str) -> None:
    new = status(WORLDS[phase]).manifest()
    assert new["hosts"]["proven"] == 2
    assert "proof" in new


def test_a_renewal_that_is_stuck_shows_when_what_is_presented_expires() -> None:
    """The next leaf's end is years off, and would keep the documented alert quiet."""
    later = pin("next", not_after=at(999 * 86400))
    new = status(WORLDS["rotating"] | {"keys": {"next": later}}).certificate
    assert new is not None
    assert (new.fingerprint, new.not_after) == (LEAF.sha256, LEAF.not_after)


def test_the_certificate_is_one_whole_while_cloudflare_cannot_be_read() -> None:
    """Not the old id beside a new fingerprint."""
    before = status(WORLDS["at rest"])
    later = WORLDS["rotating"] | {"zone": Unknown("HTTP 500")}
    assert status(later, before).certificate == before.certificate


def test_who_has_to_give_way_shows_no_certificate_of_the_zone() -> None:
    other = Rival(ObjectKey("edge", "other"), "other", at(-9999), ZONE_ID, holds=True)
    given_way = {"rivals": (other,), "object": {"holds": None}}
    assert status(given_way, status(WORLDS["at rest"])).certificate is None


# --- what is written --------------------------------------------------------------------------------------------------


def merged(document: Any, patch: Any) -> Any:
    """What an API server makes of a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    whole = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        whole[name] = None if value is None else merged(whole.get(name), value)
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.parametrize("earlier", WORLDS)
def test_a_patch_leaves_nothing_of_what_was_told_before(earlier: str) -> None:
    """An old id beside a new fingerprint, which is written again at every look."""
    before = status(WORLDS[earlier])
    for later, world in WORLDS.items():
        after = status(world, before).manifest()
        patch = merge_patch(before.manifest(), after)
        assert merged(before.manifest(), patch) == after, later


def test_the_id_of_another_request_changes_nothing_and_stays_for_who_asks_support() -> None:
    def refused(ray: str) -> dict[str, Any]:
        return {
            "zone": Unknown(
                f"the token is not known (GET /zones: HTTP 403, cf-ray {ray})",
                Reason.TOKEN_REJECTED,
            )
        }

    before = status(refused("8f0a1b2c3d4e5f60-FRA"))
    assert "cf-ray 8f0a1b2c3d4e5f60-FRA" in condition(before, ConditionType.READY).message
    assert status(refused("8f0a1b2c3d4e5f61-AMS"), before) == before


def test_what_a_failed_visit_tells_is_of_the_generation_that_it_read() -> None:
    new = failed(7, NOW, Reason.SPEC_INVALID, "spec.zone is missing", status({}), stalled=True)
    assert new.observed_generation == 7


def at_path(whole: Any, path: str) -> Any:
    """What a printer column's JSONPath selects: names, and conditions by their type."""
    for name in path.removeprefix(".").replace('[?(@.type=="Ready")]', ".Ready").split("."):
        whole = (
            next((one for one in whole if one["type"] == name), {})
            if isinstance(whole, list)
            else (whole or {}).get(name)
        )
    return whole


def test_enforcement_is_the_least_strict_that_was_really_seen() -> None:
    """Not what was published: one replica that only asks makes the whole a request."""
    second = origin(name="shop", target=ObjectKey("shop", "controller"), running=ASKING)
    assert status({"origins": [origin(), second]}).enforcement == "Request"
    assert (
        status(
            {"origins": [origin(replicas=(replica("pod-1", REQUIRING), replica("pod-2", OFF)))]}
        ).enforcement
        == "Off"
    )
    left = origin(OFF, name="old", target=ObjectKey("old", "controller"), wanted=False)
    assert status({"origins": [origin(), left]}).enforcement == "Require"


def test_enforcement_is_absent_while_no_replica_could_be_asked() -> None:
    dark = origin(replicas=(replica("pod-1", REQUIRING, error="timeout"),))
    new = status({"origins": [dark]})
    assert new.enforcement is None
    assert new.origins[0].mode is None
    assert (new.origins[0].replicas, new.origins[0].applied) == (1, 0)


def test_unproven_hosts_are_listed_and_bounded() -> None:
    many = tuple(f"h{n:03}.example.com" for n in range(70))
    new = status({"origins": [origin(hosts=(*HOSTS, *many))]})
    assert new.hosts is not None
    assert (new.hosts.proven, new.hosts.total, len(new.hosts.unproven)) == (2, 72, 50)


def test_a_proof_is_told_once() -> None:
    """Its last answer is another one every few seconds, and nobody acts on that."""
    new = status({})
    assert new.proof is not None
    assert new.proof.since == NOW - timedelta(seconds=303)
    assert status({"now": NOW + timedelta(seconds=9)}, new).proof == new.proof
    assert status({"evidence": [evidence(host, NONE) for host in HOSTS]}, new).proof is None


def test_a_missing_config_map_is_no_secret() -> None:
    new = status({"origins": [origin(configured=None)]})
    assert str(TARGET.key) in condition(new, ConditionType.READY).message
    assert condition(new, ConditionType.READY).reason == Reason.ORIGIN_NOT_FOUND


# --- transitions ---------------------------------------------------------------------------------------------------------------


def test_a_transition_time_moves_only_when_the_truth_moves() -> None:
    first = status(WORLDS["proving"])
    later = status({**WORLDS["held off"], "now": at(20)}, first)
    assert condition(later, ConditionType.READY).last_transition_time == NOW, (
        "still False, for another reason"
    )
    assert condition(later, ConditionType.EDGE_VERIFIED).last_transition_time == at(20)


def test_transition_times_are_whole_seconds() -> None:
    """The API server keeps no more, and a status that reads back differently would be written again for ever."""
    new = status({"now": NOW + timedelta(microseconds=654321)})
    assert {c.last_transition_time.microsecond for c in new.conditions} == {0}
    assert Status.parse(new.manifest()) == new


# --- when nothing was observed -----------------------------------------------------------------------------------------------------


def test_an_error_before_anything_was_seen_shows_every_condition() -> None:
    new = failed(7, NOW, Reason.SPEC_INVALID, "spec.zone: write a name", Status(), stalled=True)
    asked_for = ConditionType.ALERTS_CONFIGURED
    assert [c.type for c in new.conditions] == [c for c in ConditionType if c != asked_for]
    shown = {c.type: (c.status, c.reason) for c in new.conditions}
    assert shown["Ready"] == ("False", "SpecInvalid")
    assert shown["Stalled"] == ("True", "SpecInvalid")
    assert shown["Reconciling"] == ("False", "AsExpected")
    assert shown["Enforced"] == ("Unknown", "Initializing")


def test_an_error_later_keeps_what_was_seen() -> None:
    before = status({})
    new = failed(
        2, at(60), Reason.TRANSIENT_ERROR, "the API server cannot be reached", before, stalled=False
    )
    assert (new.enforcement, new.certificate, new.origins) == (
        before.enforcement,
        before.certificate,
        before.origins,
    )
    assert condition(new, ConditionType.READY).status == "Unknown"
    assert condition(new, ConditionType.RECONCILING).status == "True"
    assert condition(new, ConditionType.ENFORCED) == condition(before, ConditionType.ENFORCED)
    asked_for = ConditionType.ALERTS_CONFIGURED
    assert [c.type for c in new.conditions] == [c for c in ConditionType if c != asked_for]


def test_an_error_on_top_of_an_unreadable_status_is_told_all_the_same() -> None:
    new = failed(
        2, NOW, Reason.INTERNAL_ERROR, "a bug", Status.parse({"conditions": "many"}), stalled=False
    )
    assert condition(new, ConditionType.READY).reason == Reason.INTERNAL_ERROR


# --- whom Cloudflare warns ------------------------------------------------------------------------

ASKS = {"alerts": {"email": ["ops@example.com"]}}
KEPT = AlertsStatus(account_id="account", policy_id="policy", asked="digest")
WARNED = ObservedAlerts(
    holds=True, reason=Reason.AS_EXPECTED, message="It warns ops@example.com.", status=KEPT
)


def told_of_alerts(o: Observed, previous: Status | None = None) -> Status:
    return status_of(o, next_step(o), previous or Status())


def test_nothing_is_said_of_alerts_where_nobody_asks_for_any() -> None:
    new = told_of_alerts(observed())
    assert new.condition(ConditionType.ALERTS_CONFIGURED) is None
    assert new.alerts is None


@pytest.mark.parametrize(
    ("alerts", "truth", "reason"),
    [
        (None, "Unknown", Reason.WAITING_FOR_CLOUDFLARE),
        (WARNED, "True", Reason.AS_EXPECTED),
        (
            replace(WARNED, holds=False, reason=Reason.ALERTS_CHANGED),
            "False",
            Reason.ALERTS_CHANGED,
        ),
        (Unknown("no", Reason.TOKEN_LACKS_PERMISSION), "False", Reason.TOKEN_LACKS_PERMISSION),
        (Unknown("away"), "Unknown", Reason.TRANSIENT_ERROR),
    ],
)
def test_what_becomes_of_alerts_is_a_condition_of_its_own_and_ready_is_as_before(
    alerts: ObservedAlerts | Unknown | None, truth: str, reason: Reason
) -> None:
    new = told_of_alerts(observed(spec=ASKS, alerts=alerts))
    alerts_configured = condition(new, ConditionType.ALERTS_CONFIGURED)
    assert (alerts_configured.status, alerts_configured.reason) == (truth, reason)
    assert alerts_configured.message
    assert condition(new, ConditionType.READY) == condition(
        told_of_alerts(observed()), ConditionType.READY
    )


def test_what_was_told_of_alerts_stands_until_they_are_looked_at_again() -> None:
    before = told_of_alerts(observed(spec=ASKS, alerts=WARNED))
    after = told_of_alerts(observed(spec=ASKS), before)
    assert after == before
    away = told_of_alerts(observed(spec=ASKS, alerts=Unknown("away")), before)
    assert away.alerts == KEPT
    changed = told_of_alerts(observed(spec=ASKS, object={"generation": 3}), before)
    assert condition(changed, ConditionType.ALERTS_CONFIGURED).status == "Unknown"


def test_what_another_version_said_of_alerts_is_said_anew() -> None:
    before = told_of_alerts(observed(spec=ASKS, alerts=WARNED))
    others = tuple(
        c.model_copy(update={"reason": "Novel"}) if c.type == "AlertsConfigured" else c
        for c in before.conditions
    )
    after = told_of_alerts(observed(spec=ASKS), before.model_copy(update={"conditions": others}))
    assert condition(after, ConditionType.ALERTS_CONFIGURED).status == "Unknown"


def test_whoever_asks_no_more_is_told_of_until_nothing_is_left_there() -> None:
    before = told_of_alerts(observed(spec=ASKS, alerts=WARNED))
    refused = told_of_alerts(observed(alerts=Unknown("no", Reason.TOKEN_LACKS_PERMISSION)), before)
    assert condition(refused, ConditionType.ALERTS_CONFIGURED).status == "False"
    assert refused.alerts == KEPT
    gone = replace(WARNED, message="", status=None)
    after = told_of_alerts(observed(alerts=gone), refused)
    assert after.condition(ConditionType.ALERTS_CONFIGURED) is None
    assert after.alerts is None


PAUSED = Unknown("Calls to Cloudflare pause for 200 s", None, 200.0, postponed=True)
TROUBLES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a pod hangs": (
        {"origins": [origin(replicas=(replica("pod-3", REQUIRING, error="timed out"),))]},
        "pod-3",
        CUT_OFF,
    ),
    "a required host gives no answer": (
        {"evidence": [Evidence(APEX, silence="HTTP 403", silent_since=at(-60)), evidence(WWW)]},
        f"{APEX} gives no usable answer",
        Reason.EDGE_SILENT.remedy,
    ),
    "nothing is wrong": ({"evidence": []}, "", NO_ACTION),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_wait_that_passes_by_itself_hides_nothing_that_somebody_has_to_see_to(
    trouble: str,
) -> None:
    world, named, remedy = TROUBLES[trouble]
    message = condition(status({"zone": PAUSED} | world), ConditionType.READY).message
    assert "Calls to Cloudflare pause" in message
    assert named in message
    assert message.endswith(f"{remedy}.")
