"""What a person reads of `kubectl aop`, and how its commands decide what to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aop.api import Status
from aop.cluster import Kind, Right
from aop.kubectl import __main__ as entry
from aop.kubectl import explaining
from aop.kubectl.assuming import Assumed, assumed
from aop.kubectl.changes import ChangeRefused, relaxation, rotation
from aop.kubectl.foresight import foreseen
from aop.kubectl.objects import CommandFailed, in_file
from aop.kubectl.overview import details, listing
from aop.kubectl.planning import data as plan_data
from aop.kubectl.planning import lacking, planned
from aop.kubectl.proving import answers, as_asked
from aop.kubectl.summary import data, summary_of
from aop.kubectl.wording import WIDTH, Colour, Paint, age, day, labelled, table
from aop.observed import NONE, OTHER, Evidence, ObservedReplica, Unknown
from aop.origins.sites import Rollout
from aop.plan import next_step
from aop.reasons import Reason
from aop.status import failed, status_of
from aop.steps import Done
from aop.terms import ObjectKey
from builders import (
    APEX,
    ASKING,
    FOREIGN,
    HOSTS,
    KEY,
    NEVER_SEEN,
    NOW,
    OFF,
    REQUIRING,
    WWW,
    at,
    claim,
    evidence,
    observed,
    origin,
    replica,
    zone,
)
from goldens import golden

ROOT = Path(__file__).parents[2]
PLAIN, COLOURED = Paint(), Paint(on=True)
LATER = NOW + timedelta(minutes=12)
SPEC: dict[str, Any] = {
    "zone": {"name": "example.com"},
    "enforcement": "Require",
    "origins": [
        {
            "name": "public",
            "ingressNginx": {
                "configMapRef": {
                    "namespace": "ingress-nginx",
                    "name": "ingress-nginx-controller",
                }
            },
        }
    ],
}
WORLDS: dict[str, dict[str, Any]] = {
    "ready": {},
    "ready-but-one-host": {
        "origins": [origin(claim(enforced=(HOSTS[0],)))],
        "evidence": [evidence(WWW, NONE, direct=True)],
    },
    "waits-for-proof": {
        "origins": [origin(ASKING)],
        "evidence": [evidence(host, lasting_s=60) for host in HOSTS],
    },
    "blocked-by-the-token": {
        "zone": Unknown("Cloudflare does not know the token", Reason.TOKEN_REJECTED)
    },
    "suspended": {"spec": {"suspend": True}, "origins": [origin(ASKING)]},
    "removing": {"object": {"deleting": True}, "origins": [origin(OFF)]},
    "first-look": {
        "zone": {"certificates": (), "enabled": False},
        "origins": [origin(None, None)],
        "evidence": [Evidence(host) for host in HOSTS],
        "keys": None,
        "record": {"uploaded": (), "claimed": ()},
    },
}


def manifest(world: str = "ready", *, spec: Any = SPEC, **metadata: Any) -> dict[str, Any]:
    """An object with the status that the operator writes in that world."""
    seen = observed(**WORLDS[world])
    deleting = {"deletionTimestamp": "2026-03-01T11:59:00Z"} if world == "removing" else {}
    return {
        "metadata": {
            "namespace": KEY.namespace,
            "name": KEY.name,
            "generation": 2,
            **deleting,
            **metadata,
        },
        "spec": spec,
        "status": status_of(seen, next_step(seen), Status()).manifest(),
    }


def unseen() -> dict[str, Any]:
    return {**manifest(), "status": {"observedGeneration": -1}}


# --- status -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
def test_one_object_reads_as_it_should(world: str) -> None:
    golden(f"status-{world}", details(summary_of(manifest(world)), LATER, PLAIN))


def test_an_object_that_nobody_has_looked_at_reads_as_it_should() -> None:
    golden("status-unseen", details(summary_of(unseen()), LATER, PLAIN))


def test_a_removal_that_no_operator_has_told_of_reads_as_it_should() -> None:
    """As in a namespace that is deleted: the operator's Role goes with it."""
    left = summary_of(manifest(deletionTimestamp="2026-03-01T11:59:00Z"))
    golden("status-removing-untold", details(left, LATER, PLAIN))
    assert "Ready" not in "\n".join(listing([left], PLAIN, namespaces=True)).split("\n\n")[0]


def test_a_change_that_nobody_has_looked_at_is_named() -> None:
    golden("status-outdated", details(summary_of(manifest(generation=3)), LATER, PLAIN))


def test_many_objects_read_as_they_should() -> None:
    all_of_them = [
        summary_of(manifest(world, name=f"{n}-{world}")) for n, world in enumerate(WORLDS, 1)
    ]
    golden("list", listing(all_of_them, PLAIN, namespaces=False))
    golden("list-namespaces", listing([summary_of(unseen())], PLAIN, namespaces=True))


def test_an_invalid_spec_is_shown_as_far_as_it_goes() -> None:
    status = failed(2, NOW, Reason.SPEC_INVALID, "spec.zone: is missing", Status(), stalled=True)
    broken = {**manifest(spec={"origins": [{"name": "public"}]}), "status": status.manifest()}
    it = summary_of(broken)
    assert (it.zone, it.state, it.message) == ("?", "blocked", "spec.zone: is missing.")
    assert "Correct the fields" in it.remedy


def test_a_reason_of_another_version_needs_no_row() -> None:
    other = manifest("waits-for-proof")
    for condition in other["status"]["conditions"]:
        condition["reason"] = "OfTheFuture"
    it = summary_of(other)
    assert it.reason is None
    assert "(OfTheFuture)" in details(it, LATER, PLAIN)[0]


def test_no_escape_sequence_of_a_status_reaches_the_terminal() -> None:
    forged = manifest("blocked-by-the-token")
    for condition in forged["status"]["conditions"]:
        condition["message"] = "\x1b[2J\x1b]0;owned\x07 fine"
    forged["status"]["zone"] = {"sslMode": "\x1b[31m"}
    forged["status"]["hosts"]["unproven"] = ["\x1b[32m"]
    shown = [
        *details(summary_of(forged), LATER, PLAIN),
        *listing([summary_of(forged)], PLAIN, namespaces=True),
    ]
    assert not any("\x1b" in line or "\x07" in line for line in shown)


def test_no_escape_sequence_of_what_was_seen_reaches_the_terminal() -> None:
    odd = Unknown("\x1b[2J\x07 refused")
    seen = observed(zone=odd, evidence=[Evidence(WWW, silence="\x1b]0;owned\x07")])
    shown = [*planned(seen, tuple(foreseen(seen)), ["\x1b[1m"], PLAIN), *answers(seen, PLAIN)]
    assert not any("\x1b" in line or "\x07" in line for line in shown)


def one_object(paint: Paint) -> list[str]:
    return details(summary_of(manifest("blocked-by-the-token")), LATER, paint)


def in_a_table(paint: Paint) -> list[str]:
    return listing([summary_of(manifest("blocked-by-the-token"))], paint, namespaces=False)


@pytest.mark.parametrize("render", [one_object, in_a_table])
def test_colour_changes_no_word(render: Callable[[Paint], list[str]]) -> None:
    bare = "\n".join(render(COLOURED))
    assert "\x1b[31m" in bare
    for colour in Colour:
        bare = bare.replace(f"\x1b[{colour.value}m", "")
    assert bare.replace("\x1b[0m", "") == "\n".join(render(PLAIN))


def test_programs_get_the_same_without_the_record() -> None:
    content = data(summary_of(manifest("waits-for-proof")))
    assert (content["state"], content["reason"]) == ("waits", "WaitingForProof")
    assert content["enforcement"] == {"wanted": "Require", "seen": "Request"}
    assert "record" not in content["status"]
    assert content["status"]["hosts"]["total"] == 2


# --- explain ------------------------------------------------------------------------------------------------------------


def test_all_reasons_read_as_they_should() -> None:
    golden("explain", explaining.listed(PLAIN))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_listed_and_explained(reason: Reason) -> None:
    assert any(line.strip().startswith(reason.value) for line in explaining.listed(PLAIN))
    text = " ".join(" ".join(explaining.explained(reason, PLAIN)).split())
    assert explaining.plainly(reason.meaning) in text
    assert explaining.plainly(reason.remedy) in text
    assert explaining.named(reason.value.upper()) is reason


def test_one_reason_reads_as_it_should() -> None:
    golden("explain-one", explaining.explained(Reason.EDGE_SILENT, PLAIN))


def test_the_page_shows_a_reason_as_it_is_explained() -> None:
    page = (ROOT / "docs" / "kubectl.md").read_text()
    assert "\n".join(explaining.explained(Reason.SSL_MODE_TOO_LOW, PLAIN)) in page


def test_the_page_has_every_command() -> None:
    page = (ROOT / "docs" / "kubectl.md").read_text()
    choices = next(action.choices for action in entry.parser()._actions if action.dest == "command")
    assert [f"## {command}" for command in choices or () if f"## {command}\n" not in page] == []


def test_a_near_miss_is_suggested() -> None:
    assert "SSLModeTooLow" in explaining.unknown("sslmode")
    assert "TokenRejected" in explaining.unknown("tokenrejcted")
    assert "None is spelled like it" in explaining.unknown("xyzzy")


# --- rotate, relax ------------------------------------------------------------------------------------------------------


def test_a_rotation_is_one_annotation() -> None:
    change = rotation(manifest(), NOW)
    assert change.patch == {
        "metadata": {"annotations": {"aop-operator.dev/rotate": "2026-03-01T12:00:00Z"}}
    }
    assert "kubectl aop status example-com -n edge --watch" in change.after
    assert not change.question


def test_a_rotation_of_a_suspended_object_says_when_it_begins() -> None:
    assert "suspended" in rotation(manifest(spec={**SPEC, "suspend": True}), NOW).after


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (manifest(spec={**SPEC, "certificate": {"secretRef": {"name": "theirs"}}}), "theirs"),
        (manifest("removing"), "removed"),
    ],
)
def test_a_rotation_that_would_do_nothing_is_refused(asked: dict[str, Any], word: str) -> None:
    with pytest.raises(ChangeRefused, match=word):
        rotation(asked, NOW)


@pytest.mark.parametrize(
    ("before", "back"), [(None, "Require"), ("Require", "Require"), ("Optional", "Optional")]
)
def test_a_relaxation_asks_names_what_it_opens_and_says_the_way_back(
    before: str | None, back: str
) -> None:
    change = relaxation(manifest(spec={**SPEC, "enforcement": before}))
    assert change.patch == {"spec": {"enforcement": "Request"}}
    assert "example.com refuse nobody" in change.question
    assert f'-p \'{{"spec":{{"enforcement":"{back}"}}}}\'' in change.after


def test_where_nobody_is_refused_nothing_is_relaxed() -> None:
    for asked in (manifest(spec={**SPEC, "enforcement": "Request"}), manifest("removing")):
        assert relaxation(asked).patch is None


# --- plan ---------------------------------------------------------------------------------------------------------------

PLANS: dict[str, dict[str, Any]] = {
    "never-seen": NEVER_SEEN,
    "ready": {},
    "rotating": {"object": {"rotate": "now"}},
    "removing": {"object": {"deleting": True}},
    "blocked": NEVER_SEEN | {"zone": zone(enabled=False, certificates=(), ssl_mode="flexible")},
    "no-rights": NEVER_SEEN
    | {
        "zone": Unknown("cannot read secrets edge/cloudflare: HTTP 403: forbidden"),
        "keys": Unknown("cannot read secrets edge/example-com-aop: HTTP 403: forbidden"),
    },
}
ONBOARDING = [
    *("Note", "Note", "Publish", "Issue", "Note", "Upload", "SetEnabled", "Publish", "Wait"),
    *("Publish", "Done"),
]


@pytest.mark.parametrize("world", PLANS)
def test_a_plan_reads_as_it_should(world: str) -> None:
    seen = observed(**PLANS[world])
    golden(f"plan-{world}", planned(seen, tuple(foreseen(seen)), [], PLAIN))


def test_an_onboarding_is_foreseen_to_its_end() -> None:
    steps = list(foreseen(observed(**NEVER_SEEN)))
    assert [type(one.step).__name__ for one in steps] == ONBOARDING


@pytest.mark.parametrize("world", PLANS)
def test_pods_that_will_be_replaced_are_foreseen(world: str) -> None:
    """After each text, where a server reads it only when it starts; nothing else is different."""
    seen = observed(**PLANS[world])
    rollout = Rollout(Kind.DEPLOYMENT, ObjectKey("web", "frontend"), {})
    later = replace(seen, origins=tuple(replace(one, next_rollout=rollout) for one in seen.origins))
    steps = list(foreseen(later))
    kinds = [type(one.step).__name__ for one in steps]
    plain = [type(one.step).__name__ for one in foreseen(seen)]
    assert [one for one in kinds if one != "RollOut"] == plain
    written = [n for n, one in enumerate(kinds) if one in {"Publish", "Withdraw"}]
    assert [n + 1 for n in written] == [n for n, one in enumerate(kinds) if one == "RollOut"]
    for n in written:
        assert "replace the pods of Deployment web/frontend" in str(steps[n + 1])


def test_what_comes_first_is_what_the_operator_does_next() -> None:
    for world in (*WORLDS.values(), *PLANS.values()):
        seen = observed(**world)
        assert next(foreseen(seen)).step == next_step(seen)


def test_a_wait_that_nothing_ends_is_the_last_step() -> None:
    past = [evidence(host, NONE, direct=True) for host in HOSTS]
    steps = list(foreseen(observed(origins=[origin(ASKING)], evidence=past)))
    assert not isinstance(steps[-1].step, Done)
    assert len(steps) < 5


@pytest.mark.parametrize(
    ("far", "why"),
    [(replica("pod-2", error="no route"), "no route"), (replica("pod-2", hosts=()), "no answer")],
)
def test_replicas_that_are_not_reached_from_here_are_said_and_taken_as_published(
    far: ObservedReplica, why: str
) -> None:
    seen = observed(origins=[origin(replicas=(replica("pod-1", REQUIRING), far))])
    world = assumed(seen, Status())
    (sentence,) = world.sentences
    assert "pod-2" in sentence
    assert why in sentence
    assert next_step(world.observed) == Done()


def test_of_replicas_that_nobody_has_asked_nothing_is_assumed() -> None:
    seen = observed(
        zone=Unknown("no token"), origins=[origin(replicas=(replica("pod-1", hosts=()),))]
    )
    assert assumed(seen, Status()) == Assumed(seen, ())


def test_a_proof_is_taken_from_the_status_only_for_the_leaf_that_it_is_about() -> None:
    young = observed(evidence=[evidence(host, lasting_s=20) for host in HOSTS])
    ready = Status.parse(manifest()["status"])
    world = assumed(young, ready)
    assert next_step(world.observed) == Done()
    assert "example.com, www.example.com" in world.sentences[0]
    assert ready.certificate is not None
    other = ready.certificate.model_copy(update={"fingerprint": "f" * 64})
    assert assumed(young, ready.model_copy(update={"certificate": other})).observed == young
    wrong = observed(evidence=[evidence(host, NONE, lasting_s=20) for host in HOSTS])
    assert assumed(wrong, ready).observed == wrong


def test_rivals_that_may_not_be_listed_are_said() -> None:
    world = assumed(observed(rivals=Unknown("cannot list: HTTP 403")), Status())
    assert world.observed.rivals == ()
    assert "HTTP 403" in world.sentences[0]


def test_a_missing_right_is_said_with_the_question_that_asks_for_it() -> None:
    golden(
        "plan-rights",
        lacking(
            [Right("get", Kind.SECRET, "edge"), Right("list", Kind.INGRESS, None)],
        ),
    )
    assert lacking([]) == []


def test_what_stays_open_is_said_before_anything_is_required() -> None:
    past = origin(open=("IngressRoute web/past may serve everything",))
    seen = observed(origins=[past])
    lines = planned(seen, tuple(foreseen(seen)), [], PLAIN)
    assert "What stays open when the hosts are required:" in lines
    assert "  - Origin public: IngressRoute web/past may serve everything." in lines
    assert plan_data(seen, tuple(foreseen(seen)), [])["open"] == [
        "Origin public: IngressRoute web/past may serve everything."
    ]
    for mild in (
        observed(origins=[past], spec={"enforcement": "Request"}),
        observed(origins=[past], object={"deleting": True}),
    ):
        assert plan_data(mild, tuple(foreseen(mild)), [])["open"] == []


def test_programs_get_the_plan_too() -> None:
    seen = observed(**PLANS["blocked"])
    content = plan_data(seen, tuple(foreseen(seen)), ["assumed"])
    assert content["steps"][-1]["reason"] == "SSLModeTooLow"
    assert content["unseen"] == ["assumed"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("kind: AuthenticatedOriginPull\nmetadata: {name: a}\n", ["a"]),
        ("kind: Secret\n---\nkind: AuthenticatedOriginPull\nmetadata: {name: b}\n---\n", ["b"]),
        (
            "kind: List\nitems: [{kind: AuthenticatedOriginPull, metadata: {name: c}}]\n",
            ["c"],
        ),
    ],
)
def test_a_file_is_searched_for_objects(tmp_path: Path, text: str, names: list[str]) -> None:
    file = tmp_path / "pull.yaml"
    file.write_text(text)
    assert [one["metadata"]["name"] for one in in_file(str(file))] == names


@pytest.mark.parametrize(
    "text", ["", "{", "kind: Secret", "kind: AuthenticatedOriginPull", "\x00", "- a"]
)
def test_a_file_without_one_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pull.yaml"
    file.write_text(text)
    with pytest.raises(CommandFailed, match=r"pull\.yaml"):
        in_file(str(file))


# --- prove --------------------------------------------------------------------------------------------------------------

SIGHTS: dict[str, dict[str, Any]] = {
    "as-asked": {},
    "another-certificate": {"evidence": [evidence(WWW, FOREIGN.sha256), evidence(APEX, OTHER)]},
    "one-out-of-reach": {
        "origins": [
            origin(replicas=(replica("pod-1", REQUIRING), replica("pod-2", error="no route")))
        ],
        "evidence": [Evidence(WWW, silence="HTTP 403"), evidence(APEX, NONE, direct=True)],
    },
    "no-answer": {"origins": [origin(replicas=(replica("pod-1", hosts=()),))]},
    "nothing": {"origins": [origin(None, None, replicas=(), hosts=())], "evidence": []},
}


@pytest.mark.parametrize("sight", SIGHTS)
def test_answers_read_as_they_should(sight: str) -> None:
    seen = observed(**SIGHTS[sight])
    golden(f"prove-{sight}", answers(seen, PLAIN))
    assert as_asked(seen) is (sight == "as-asked")


# --- the command line ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "edge", "status", "example-com"],
        ["status", "-n", "edge", "example-com"],
        ["status", "example-com", "--namespace=edge"],
    ],
)
def test_the_namespace_may_stand_before_and_after_the_command(arguments: list[str]) -> None:
    options = entry.parser().parse_args(arguments)
    assert (options.namespace, options.name) == ("edge", "example-com")


@pytest.mark.parametrize(
    "arguments", [[], ["stauts"], ["rotate"], ["status", "--all"], ["status", "-o", "wide"]]
)
def test_a_wrong_command_line_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(arguments)
    assert ended.value.code == 2
    assert "usage: kubectl aop" in capsys.readouterr().err


def test_explaining_needs_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["explain", "sslmodetoolow"]) == 0
    assert "SSLModeTooLow" in capsys.readouterr().out
    assert entry.main(["explain", "nonsense"]) == 1
    assert "no reason of a condition" in capsys.readouterr().err


def test_a_kubeconfig_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(["status", "--kubeconfig", str(tmp_path / "none")]) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "no such file" in shown
    assert "--kubeconfig" in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "- 1",
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: []\nclusters: []\nusers: []\n",
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    assert entry.main(["status", "--kubeconfig", str(file)]) == 1
    assert "cannot be used" in " ".join(capsys.readouterr().err.split())


# --- words --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_an_age_is_said_in_its_largest_unit(seconds: float, words: str) -> None:
    assert age(timedelta(seconds=seconds)) == words


def test_a_day_says_how_far_it_is() -> None:
    assert day(at(86400 * 3), NOW) == "2026-03-04 (in 3 d)"
    assert day(at(-86400 * 3), NOW) == "2026-02-26 (3 d ago)"


def test_columns_stand_under_their_heads() -> None:
    lines = table(("NAME", "STATE", "X"), [("a", "ready", ""), ("longer", "b", "c")], PLAIN)
    assert lines == ["NAME     STATE   X", "a        ready", "longer   b       c"]


def test_what_is_long_goes_on_below_itself() -> None:
    lines = labelled("label", "word " * 40)
    assert len(lines) > 1
    assert {line.index("word") for line in lines} == {16}
    assert max(map(len, lines)) <= WIDTH
