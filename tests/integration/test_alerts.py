"""The alert rules of the chart, on series that a Prometheus would have read: each fires when it should, and not when it should not.

Minutes pass in no time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dashboard
import metrics_page
import pytest
import yaml

from aop.reasons import Reason
from sandbox.prometheus import promtool
from sandbox.prometheus.programs import Programs

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "helm" / "aop-operator" / "files" / "alerts.yaml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}

OBJECT = {"namespace": "edge", "name": "example-com", "zone": "example.com"}
OTHER = {"namespace": "shop", "name": "example-org", "zone": "example.org"}
POD = {"job": "aop-operator", "pod": "aop-operator-1", "instance": "192.0.2.1:8081"}
SECOND_POD = POD | {"pod": "aop-operator-2", "instance": "192.0.2.2:8081"}
TOKEN = {"token": "Secret edge/cloudflare, key api-token"}
DAY = 86400


def series(metric: str, values: str, *labels: dict[str, str], **more: str) -> tuple[str, str]:
    """One series as the operator exposes it, a value a minute (promtool's notation: `0x5 1+1x3`)."""
    labelled = {**POD, **{name: value for each in labels for name, value in each.items()}, **more}
    written = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(labelled.items()))
    return f"{metric}{{{written}}}", values


@dataclass(frozen=True, slots=True)
class AlertCase:
    """What was read until `minute`, and the labels of each alert that fires then."""

    what: str
    read: list[tuple[str, str]]
    minute: int
    fires: list[dict[str, str]] = field(default_factory=list)


def reason(word: str, values: str = "1x60") -> tuple[str, str]:
    return series("aop_object_reason", values, OBJECT, reason=word)


def relaxed(values: str, cause: str) -> tuple[str, str]:
    return series("aop_object_relaxations_total", values, OBJECT, cause=cause)


CASES: dict[str, list[AlertCase]] = {
    "AopRelaxed": [
        AlertCase("a loss", [relaxed("0x5 1x40", "loss")], 8, [OBJECT]),
        AlertCase("a loss of long ago", [relaxed("0x5 1x40", "loss")], 30),
        AlertCase("a refusal", [relaxed("0x5 1x40", "refusal")], 8, [OBJECT]),
        AlertCase("a person asked for it", [relaxed("0x5 1x40", "spec")], 8),
        AlertCase("held off", [series("aop_object_hold_offs", "0x3 2x40", OBJECT)], 20, [OBJECT]),
        AlertCase(
            "once for both signs",
            [series("aop_object_hold_offs", "0x5 1x9", OBJECT), relaxed("0x5 1x9", "loss")],
            8,
            [OBJECT],
        ),
        AlertCase("held off no more", [series("aop_object_hold_offs", "1x3 0x40", OBJECT)], 20),
    ],
    "AopProofStale": [
        AlertCase(
            "the last proof is long past",
            [
                series("aop_object_hosts_required", "2x60", OBJECT),
                series("aop_object_proof_timestamp_seconds", "0x60", OBJECT),
            ],
            25,
            [OBJECT],
        ),
        AlertCase(
            "it goes on",
            [
                series("aop_object_hosts_required", "2x60", OBJECT),
                series("aop_object_proof_timestamp_seconds", "0+60x60", OBJECT),
            ],
            60,
        ),
        AlertCase(
            "no proof since the start",
            [series("aop_object_hosts_required", "2x60", OBJECT)],
            15,
            [OBJECT],
        ),
        AlertCase("just started", [series("aop_object_hosts_required", "2x60", OBJECT)], 8),
        AlertCase("nothing is required", [series("aop_object_hosts_required", "0x60", OBJECT)], 25),
    ],
    "AopHostNotProven": [
        AlertCase("for hours", [series("aop_object_hosts_unproven", "1x90", OBJECT)], 61, [OBJECT]),
        AlertCase(
            "while it is onboarded", [series("aop_object_hosts_unproven", "1x9 0x90", OBJECT)], 61
        ),
    ],
    "AopCertificateExpiring": [
        AlertCase(
            "nobody renews it",
            [series("aop_certificate_expiration_timestamp_seconds", f"{13 * DAY}x60", OBJECT)],
            20,
            [OBJECT],
        ),
        AlertCase(
            "its renewal is overdue",
            [
                series("aop_certificate_expiration_timestamp_seconds", f"{13 * DAY}x60", OBJECT),
                series("aop_certificate_renewal_timestamp_seconds", f"-{9 * DAY}x60", OBJECT),
            ],
            20,
            [OBJECT],
        ),
        AlertCase(
            "one that lives for days, and is not due yet",
            [
                series("aop_certificate_expiration_timestamp_seconds", f"{3 * DAY}x60", OBJECT),
                series("aop_certificate_renewal_timestamp_seconds", f"{2 * DAY}x60", OBJECT),
            ],
            20,
        ),
        AlertCase(
            "there is time",
            [series("aop_certificate_expiration_timestamp_seconds", f"{15 * DAY}x60", OBJECT)],
            20,
        ),
        *(
            AlertCase(
                f"one of {lives} days that somebody else renews, {left} before its end",
                [
                    series(
                        "aop_certificate_expiration_timestamp_seconds", f"{left * DAY}x60", OBJECT
                    ),
                    series(
                        "aop_certificate_not_before_timestamp_seconds",
                        f"-{(lives - left) * DAY}x60",
                        OBJECT,
                    ),
                ],
                20,
                fires,
            )
            for lives, left, fires in (
                (30, 10, []),
                (30, 7, [OBJECT]),
                (90, 15, []),
                (90, 13, [OBJECT]),
                (730, 13, [OBJECT]),
            )
        ),
    ],
    "AopExpiryNotificationsFailing": [
        AlertCase(
            "for long", [series("aop_object_alerts_configured", "0x60", OBJECT)], 35, [OBJECT]
        ),
        AlertCase(
            "after a start", [series("aop_object_alerts_configured", "0x3 1x60", OBJECT)], 35
        ),
        AlertCase("nobody is to be warned", [series("aop_object_ready", "1x60", OBJECT)], 35),
        AlertCase(
            "somebody wants it so",
            [series("aop_object_alerts_configured", "0x60", OBJECT), reason("Suspended")],
            35,
        ),
    ],
    "AopRenewalOverdue": [
        AlertCase(
            "for more than a day",
            [series("aop_certificate_renewal_timestamp_seconds", f"-{DAY}x60", OBJECT)],
            20,
            [OBJECT],
        ),
        AlertCase(
            "due now", [series("aop_certificate_renewal_timestamp_seconds", "0x60", OBJECT)], 20
        ),
    ],
    "AopStalled": [
        AlertCase(
            "somebody has to act",
            [series("aop_object_stalled", "1x60", OBJECT), reason("SSLModeTooLow")],
            8,
            [OBJECT],
        ),
        AlertCase(
            "somebody has acted",
            [series("aop_object_stalled", "1x3 0x60", OBJECT), reason("Ready")],
            8,
        ),
        AlertCase(
            "somebody wants it so",
            [series("aop_object_stalled", "1x60", OBJECT), reason("Suspended")],
            8,
        ),
    ],
    "AopNotReady": [
        AlertCase(
            "for half an hour, whatever the reason and the pod",
            [
                series("aop_object_ready", "0x20", OBJECT),
                series("aop_object_ready", "_x20 0x20", OBJECT, SECOND_POD),
                reason("WaitingForProof", "1x20"),
                reason("EdgeSilent", "_x20 1x20"),
            ],
            35,
            [OBJECT],
        ),
        AlertCase("while it is onboarded", [series("aop_object_ready", "0x20 1x20", OBJECT)], 35),
        AlertCase(
            "somebody wants it so",
            [series("aop_object_ready", "0x60", OBJECT), reason("Suspended")],
            35,
        ),
        AlertCase(
            "one is suspended, the other is not",
            [
                series("aop_object_ready", "0x60", OBJECT),
                series("aop_object_ready", "0x60", OTHER),
                reason("Suspended"),
            ],
            35,
            [OTHER],
        ),
    ],
    "AopTokenFailing": [
        AlertCase("revoked", [reason("TokenRejected")], 8, [OBJECT | {"reason": "TokenRejected"}]),
        AlertCase("another reason", [reason("SSLModeTooLow")], 8),
        AlertCase("mended", [reason("TokenRejected", "1x3")], 12),
    ],
    "AopDriftRepeated": [
        AlertCase(
            "thrice within the hour",
            [series("aop_object_drift_total", "0x9 1x9 2x9 3x30", OBJECT, what="zone")],
            40,
            [OBJECT | {"what": "zone"}],
        ),
        AlertCase(
            "once", [series("aop_object_drift_total", "0x9 1x60", OBJECT, what="origin")], 40
        ),
    ],
    "AopOrphanedClaims": [
        AlertCase(
            "one that cannot be taken out",
            [series("aop_orphaned_claims", "1x60")],
            12,
            [{"job": "aop-operator"}],
        ),
        AlertCase("one that is taken out", [series("aop_orphaned_claims", "1x3 0x60")], 12),
    ],
    "AopLeftBehind": [
        AlertCase(
            "from nothing to one",
            [series("aop_left_behind_total", "_x9 1x60", OBJECT)],
            12,
            [OBJECT],
        ),
        AlertCase(
            "once more",
            [series("aop_left_behind_total", "1x1500 2x60", OBJECT)],
            1510,
            [OBJECT],
        ),
        AlertCase("yesterday", [series("aop_left_behind_total", "1x3000", OBJECT)], 1500),
    ],
    "AopReplicaBehind": [
        AlertCase(
            "one does not answer",
            [
                series("aop_origin_replicas", "1x60", OBJECT, origin="public", mode="Unknown"),
                series("aop_origin_replicas", "1x60", OBJECT, origin="public", mode="Require"),
            ],
            12,
            [OBJECT | {"origin": "public"}],
        ),
        AlertCase(
            "one does not take it up",
            [series("aop_origin_revision_lag", "0x5 1x60", OBJECT, origin="public")],
            17,
            [OBJECT | {"origin": "public"}],
        ),
        AlertCase(
            "a rollout",
            [
                series("aop_origin_replicas", "1x5 0x60", OBJECT, origin="public", mode="Unknown"),
                series("aop_origin_revision_lag", "0x3 1x3 0x60", OBJECT, origin="public"),
            ],
            17,
        ),
    ],
    "AopConfigurationRejected": [
        AlertCase("withdrawn", [relaxed("0x5 1x60", "rejection")], 8, [OBJECT]),
        AlertCase("of somebody else's", [reason("ControllerStuck")], 1, [OBJECT]),
        AlertCase("both", [relaxed("0x5 1x60", "rejection"), reason("TextRejected")], 8, [OBJECT]),
        AlertCase("long ago", [relaxed("0x5 1x60", "rejection"), reason("Ready")], 50),
    ],
    "AopBudgetExhausted": [
        AlertCase(
            "shut out", [series("aop_cloudflare_pause_seconds", "0x2 240x9", TOKEN)], 6, [TOKEN]
        ),
        AlertCase(
            "nothing left",
            [series("aop_cloudflare_budget_left_calls", "9 0x9", TOKEN)],
            6,
            [TOKEN],
        ),
        AlertCase(
            "calls are put off",
            [
                series(
                    "aop_cloudflare_postponed_requests_total",
                    "0x2 1+1x9",
                    TOKEN,
                    priority="onboard",
                )
            ],
            6,
            [TOKEN],
        ),
        AlertCase(
            "resyncs of very many zones",
            [
                series(
                    "aop_cloudflare_postponed_requests_total", "0x2 1+1x9", TOKEN, priority="resync"
                )
            ],
            6,
        ),
        AlertCase(
            "calls are made",
            [
                series("aop_cloudflare_pause_seconds", "0x9", TOKEN),
                series("aop_cloudflare_budget_left_calls", "12x9", TOKEN),
                series("aop_cloudflare_postponed_requests_total", "3x9", TOKEN, priority="onboard"),
            ],
            6,
        ),
    ],
    "AopOperatorDown": [
        AlertCase("nobody answers", [series("up", "0x60")], 6, [{"job": "aop-operator"}]),
        AlertCase("a standby answers", [series("aop_leader", "0x60")], 6),
    ],
    "AopNoLeader": [
        AlertCase(
            "both stand by",
            [series("aop_leader", "0x60"), series("aop_leader", "0x60", SECOND_POD)],
            4,
            [{}],
        ),
        AlertCase(
            "one takes over",
            [series("aop_leader", "1x2 0x60"), series("aop_leader", "0x3 1x60", SECOND_POD)],
            6,
        ),
    ],
    "AopSeveralLeaders": [
        AlertCase(
            "both act",
            [series("aop_leader", "1x60"), series("aop_leader", "1x60", SECOND_POD)],
            4,
            [{}],
        ),
        AlertCase(
            "read at different moments",
            [series("aop_leader", "1x2 0x60"), series("aop_leader", "0 1x60", SECOND_POD)],
            4,
        ),
    ],
    "AopWatchNotCurrent": [
        AlertCase(
            "no answer for long",
            [series("aop_watch_answered_timestamp_seconds", "0x60", kind="secrets")],
            30,
            [POD | {"kind": "secrets"}],
        ),
        AlertCase(
            "every ten minutes",
            [
                series(
                    "aop_watch_answered_timestamp_seconds",
                    "0x10 600x10 1200x10 1800x10",
                    kind="secrets",
                )
            ],
            30,
        ),
    ],
    "AopOperatorBehind": [
        AlertCase("for minutes", [series("aop_visits_longest_wait_seconds", "90x60")], 8, [POD]),
        AlertCase("for a moment", [series("aop_visits_longest_wait_seconds", "0x5 90x2 0x9")], 8),
    ],
    "AopOperatorBug": [
        AlertCase(
            "in a visit",
            [series("aop_visits_total", "0x5 1x60", result="bug")],
            8,
            [{"pod": "aop-operator-1"}],
        ),
        AlertCase(
            "in a look",
            [series("aop_reader_bugs_total", "0x5 1x60", reader="cloudflare")],
            8,
            [{"pod": "aop-operator-1"}],
        ),
        AlertCase("visits as ever", [series("aop_visits_total", "0+9x60", result="done")], 8),
    ],
    "AopClockWrong": [
        AlertCase("ahead", [series("aop_clock_timestamp_seconds", "120+60x60")], 8, [POD]),
        AlertCase("behind", [series("aop_clock_timestamp_seconds", "-120+60x60")], 8, [POD]),
        AlertCase("right", [series("aop_clock_timestamp_seconds", "1+60x60")], 8),
    ],
}


@pytest.fixture(scope="module")
def prometheus() -> Programs:
    return promtool.found_or_left_out()


def test_every_alert_is_tried_both_ways() -> None:
    assert CASES.keys() == ALERTS.keys()
    for name, cases in CASES.items():
        assert {bool(case.fires) for case in cases} == {True, False}, name


def test_promtool_finds_nothing_wrong_with_the_rules(prometheus: Programs) -> None:
    """Also their templates, which nothing else reads before something fires."""
    tool = prometheus.promtool
    assert (
        promtool.complaints(tool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)) == ""
    )


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_and_does_not(name: str, prometheus: Programs, tmp_path: Path) -> None:
    """Without its words, which would have to be repeated here."""
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [as_promtool_reads_it(name, case) for case in CASES[name]],
    }
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    complaints = promtool.complaints(
        prometheus.promtool, "test", "rules", str(tmp_path / "tests.yaml")
    )
    assert complaints == ""


def as_promtool_reads_it(name: str, case: AlertCase) -> dict[str, Any]:
    severity = ALERTS[name]["labels"]
    return {
        "name": case.what,
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in case.read],
        "alert_rule_test": [
            {
                "eval_time": f"{case.minute}m",
                "alertname": name,
                "exp_alerts": [{"exp_labels": {**labels, **severity}} for labels in case.fires],
            }
        ],
    }


# --- what the rules speak of ------------------------------------------------------------------------


DECLARED = {metric.name: {*metric.labels, "job"} for metric in metrics_page.every()}
SELECTOR = re.compile(r"\b(aop_\w+)(?:\{([^}]*)\})?")
OF_THE_TARGET = {"job", "pod", "namespace", "instance"}


def selectors(expression: str) -> Iterator[tuple[str, str]]:
    """The metrics that an expression names, each with its matchers."""
    yield from SELECTOR.findall(expression)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_names_only_what_the_operator_declares(name: str) -> None:
    used = list(selectors(ALERTS[name]["expr"]))
    assert used
    for metric, matchers in used:
        assert metric in DECLARED
        assert set(re.findall(r"(\w+)=", matchers)) <= DECLARED[metric]
    labels = {
        label.strip()
        for listed in re.findall(r"(?:by|on) \(([^)]*)\)", ALERTS[name]["expr"])
        for label in listed.split(",")
    }
    assert labels <= OF_THE_TARGET.union(*(DECLARED[metric] for metric, _ in used))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_about_one_release(name: str) -> None:
    """The chart puts the release's own matchers in that place."""
    for _, matchers in selectors(ALERTS[name]["expr"]):
        assert matchers.split(",")[0] == 'job="aop-operator"'


def test_the_reasons_that_alerts_name_are_reasons() -> None:
    written = " ".join(rule["expr"] for rule in ALERTS.values())
    named = {
        word for listed in re.findall(r'reason=~?"([^"]*)"', written) for word in listed.split("|")
    }
    assert named
    assert named <= set(Reason)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_and_how_bad(name: str) -> None:
    rule = ALERTS[name]
    assert name.startswith("Aop")
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description"} <= rule["annotations"].keys()
    labels = {
        word
        for text in rule["annotations"].values()
        for word in re.findall(r"\$labels\.(\w+)", text)
    }
    produced = {label for case in CASES[name] for labels in case.fires for label in labels}
    assert labels <= produced


# --- the runbook --------------------------------------------------------------------------------------


RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (Aop\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
PARTS = ("**What it means.**", "**What visitors notice.**", "**Look closer.**", "**What to do.**")


def test_each_alert_has_its_section_in_the_runbook_and_each_section_its_alert() -> None:
    assert SECTIONS.keys() == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_a_section_says_what_it_means_who_feels_it_and_what_to_do(name: str) -> None:
    parts = re.findall(r"^(\*\*[^*]+\.\*\*) \S", SECTIONS[name], re.MULTILINE)
    assert tuple(parts) == PARTS


def test_what_the_runbook_asks_prometheus_is_understood_and_declared(
    prometheus: Programs, tmp_path: Path
) -> None:
    asked = re.findall(r"^```promql\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in asked for line in block.splitlines()]
    assert asked
    assert understood(prometheus, [line for line in lines if line], tmp_path) == ""
    for metric in re.findall(r"\baop_\w+", RUNBOOK):
        assert metric in DECLARED


# --- the dashboard ------------------------------------------------------------------------------------


PANELS = [panel for row in dashboard.ROWS for panel in row.panels]


def understood(prometheus: Programs, expressions: list[str], folder: Path) -> str:
    """What promtool says of them."""
    rules = [{"record": f"a:b:c{n}", "expr": expr} for n, expr in enumerate(expressions)]
    (folder / "asked.yaml").write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
    return promtool.complaints(
        prometheus.promtool, "check", "rules", "--lint=none", str(folder / "asked.yaml")
    )


def test_every_query_of_the_dashboard_is_understood(prometheus: Programs, tmp_path: Path) -> None:
    asked = [query.expr for panel in PANELS for query in panel.queries]
    chosen = [expr.replace("$__rate_interval", "5m") for expr in asked]
    assert understood(prometheus, chosen, tmp_path) == ""


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_names_only_what_the_operator_declares(panel: dashboard.Panel) -> None:
    for query in panel.queries:
        used = list(selectors(query.expr))
        assert used
        for metric, matchers in used:
            assert metric.removesuffix("_bucket") in DECLARED
            assert (
                set(re.findall(r"(\w+)[!=]", matchers)) <= DECLARED[metric.removesuffix("_bucket")]
            )
        labels = set().union(*(DECLARED[metric.removesuffix("_bucket")] for metric, _ in used))
        made = set(re.findall(r'"(\w+)", " ", "', query.expr))
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels | OF_THE_TARGET | made


def test_each_row_is_a_question_and_its_panels_fill_it() -> None:
    for row in dashboard.ROWS:
        assert row.question.endswith("?")
        assert sum(panel.width for panel in row.panels) == dashboard.WIDTH, row.question
    assert len({panel.title for panel in PANELS}) == len(PANELS)


def test_each_metric_is_in_an_alert_or_on_the_dashboard() -> None:
    """What nobody looks at needs not be measured; these two are for whoever looks into one thing."""
    written = json.dumps(dashboard.model()) + RULES.read_text()
    unseen = {name for name in DECLARED if name not in written}
    assert unseen == {
        "aop_build_info",
        "aop_objects",
        "aop_steps_total",
        "aop_watch_failures_total",
        "aop_cloudflare_budget_calls",
        "aop_cloudflare_throttled_seconds_total",
        "aop_object_enforcement_wanted",
    }
