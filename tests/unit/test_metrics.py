"""The names and labels that dashboards and alerts depend on, and how long a series lasts."""

from __future__ import annotations

import metrics_page
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aop.metrics import (
    Cause,
    MeasuredObject,
    Metrics,
    ObjectFigures,
    OriginFigures,
    TokenFigures,
    Undone,
    WaitingFigures,
)
from aop.metrics.declared import Metric
from builders import NOW

ITSELF = MeasuredObject("uid", "edge", "example-com", "example.com")
OTHER = MeasuredObject("other", "shop", "example-org", "example.org")
ORIGIN = OriginFigures("public", {"Require": 2, "Unknown": 0}, lag=0)
FIGURES = ObjectFigures(
    wanted=3,
    enforcement=3,
    hosts=2,
    required=2,
    unproven=0,
    hold_offs=0,
    undone=4,
    proven_at=1000.0,
    begins_at=1000.0,
    expires_at=9000.0,
    renews_at=8000.0,
    origins=(ORIGIN,),
)
SECRET = "Secret edge/cloudflare, key api-token"
IN_ITS_TURN = WaitingFigures(1, (0.5, 2.0))
BUDGET = TokenFigures(SECRET, calls=899, used=10, left=889, paused_s=0.0)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All series of ours."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("aop_")
    }


def value(
    metrics: Metrics, metric: str, subject: MeasuredObject = ITSELF, **labels: str
) -> float | None:
    itself = dict(zip(("namespace", "name", "zone"), subject.labels, strict=True))
    return metrics.registry.get_sample_value(metric, itself | labels)


def everything(metrics: Metrics) -> None:
    """Count each thing once, and show an object."""
    metrics.visits.labels(result="done").inc()
    metrics.visit_duration.observe(0.2)
    metrics.steps.labels(step="Publish").inc()
    metrics.cloudflare_requests.labels(SECRET, "GET", "/zones", "200").inc()
    metrics.throttled.labels(SECRET, "onboard").inc(1.5)
    metrics.postponed.labels(SECRET, "onboard").inc()
    metrics.reader_bugs.labels(reader="cloudflare").inc()
    metrics.watch_failures.labels(kind="secrets").inc()
    metrics.watch_answered.labels(kind="secrets").set(1000)
    metrics.left_behind.labels(*ITSELF.labels).inc()
    metrics.see(ITSELF, FIGURES)
    metrics.tell(ITSELF, ready=True, stalled=False, reason="Ready", alerts_configured=False)
    metrics.relaxed(ITSELF, Cause.LOSS)
    metrics.made_good(ITSELF, Undone.ZONE)
    metrics.found_orphaned(0)


@pytest.mark.parametrize("metric", metrics_page.every(), ids=lambda metric: metric.name)
def test_everything_that_is_declared_is_exposed_with_its_type_and_labels(metric: Metric) -> None:
    metrics = Metrics(lambda: NOW)
    with metrics.acting(lambda: IN_ITS_TURN, lambda: [BUDGET]):
        everything(metrics)
        text = metrics.exposition().decode()
    family = next(
        one
        for one in text_string_to_metric_families(text)
        if metric.name in {one.name, f"{one.name}_total"}
    )
    assert (family.type, family.documentation) == (metric.kind, metric.meaning)
    assert family.samples
    for sample in family.samples:
        assert set(sample.labels) - {"le"} == set(metric.labels)


def test_nothing_is_exposed_that_is_not_declared() -> None:
    metrics = Metrics(lambda: NOW)
    with metrics.acting(lambda: IN_ITS_TURN, lambda: [BUDGET]):
        everything(metrics)
        exposed = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in text_string_to_metric_families(metrics.exposition().decode())
        }
    declared = {metric.name for metric in metrics_page.every()}
    assert {name for name in exposed if not name.startswith("process_")} == declared


def test_an_object_that_is_gone_leaves_nothing_but_what_was_left_behind() -> None:
    metrics = Metrics()
    everything(metrics)
    metrics.see(OTHER, FIGURES)
    metrics.forget(ITSELF.uid)
    metrics.forget("never seen")
    of_it = {name for name, labels in samples(metrics) if ("name", "example-com") in labels}
    assert of_it == {"aop_left_behind_total"}
    assert value(metrics, "aop_object_hosts", OTHER) == 2


def test_a_standby_shows_no_object_and_no_budget() -> None:
    metrics = Metrics()
    with metrics.acting(lambda: IN_ITS_TURN, lambda: [BUDGET]):
        everything(metrics)
        assert metrics.registry.get_sample_value("aop_objects") == 1
    for name in ("aop_objects", "aop_visits_waiting", "aop_orphaned_claims"):
        assert metrics.registry.get_sample_value(name) is None
    shown = {name for name, _ in samples(metrics)}
    assert not {name for name in shown if name.startswith(("aop_object_", "aop_origin_"))}
    assert "aop_cloudflare_budget_left_calls" not in shown
    assert "aop_visits_total" in shown, "what was counted was counted"


def test_an_object_that_is_made_again_is_shown_once() -> None:
    """Both of its lives may be known for a moment, and Prometheus refuses a page with two of one series."""
    metrics = Metrics()
    metrics.tell(ITSELF, ready=True, stalled=False, reason="Ready")
    again = MeasuredObject("a new uid", *ITSELF.labels)
    metrics.tell(again, ready=False, stalled=False, reason="Initializing")
    assert value(metrics, "aop_object_ready") == 0
    assert metrics.exposition().decode().count("aop_object_ready{") == 1
    metrics.forget(ITSELF.uid)
    assert value(metrics, "aop_object_ready") == 0


def test_one_of_another_zone_under_the_same_uid_brings_nothing_along() -> None:
    """A zone's name cannot be changed; what was measured of one is never told of another all the same."""
    metrics = Metrics()
    everything(metrics)
    moved = MeasuredObject(ITSELF.uid, "edge", "example-com", "example.net")
    metrics.tell(moved, ready=False, stalled=False, reason="ZoneNotFound")
    assert value(metrics, "aop_object_ready") is None
    assert value(metrics, "aop_object_hosts", moved) is None
    assert value(metrics, "aop_object_relaxations_total", moved, cause="loss") == 0


def test_what_is_not_known_is_not_shown_and_the_last_proof_stands() -> None:
    metrics = Metrics()
    metrics.see(ITSELF, FIGURES)
    unknown = ObjectFigures(3, None, 2, 2, 2, 0, 0, None, None, None, None, ())
    metrics.see(ITSELF, unknown)
    assert value(metrics, "aop_object_enforcement") is None
    assert value(metrics, "aop_certificate_expiration_timestamp_seconds") is None
    assert value(metrics, "aop_origin_replicas", origin="public", mode="Require") is None
    assert value(metrics, "aop_object_proof_timestamp_seconds") == 1000


def test_what_others_have_undone_on_an_origin_is_told_with_the_rest() -> None:
    metrics = Metrics()
    everything(metrics)
    assert value(metrics, "aop_object_drift_total", what="origin") == 4
    assert value(metrics, "aop_object_drift_total", what="zone") == 1
    assert value(metrics, "aop_object_drift_total", what="key_pair") == 0


def test_two_operators_in_one_process_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.visits.labels(result="done").inc()
    assert other.registry.get_sample_value("aop_visits_total", {"result": "done"}) == 0
