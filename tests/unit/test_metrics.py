"""The names and labels that dashboards and alerts depend on."""

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from aop.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_every_metric_has_its_documented_name_and_labels() -> None:
    metrics = Metrics()
    metrics.reconciles.labels(result="done").inc()
    metrics.steps.labels(step="Publish").inc(2)
    metrics.cloudflare_requests.labels(method="GET", path="/zones", status="200").inc()
    metrics.reader_bugs.labels(reader="cloudflare").inc()
    metrics.certificate_expires("example.com", datetime(2027, 1, 1, tzinfo=UTC))
    metrics.left_behind.labels(zone="example.com").inc()
    assert samples(metrics) == {
        "aop_reconciles_total[('result', 'done')]": 1,
        "aop_steps_total[('step', 'Publish')]": 2,
        "aop_cloudflare_requests_total[('method', 'GET'), ('path', '/zones'), ('status', '200')]": 1,
        "aop_reader_bugs_total[('reader', 'cloudflare')]": 1,
        "aop_certificate_not_after_seconds[('zone', 'example.com')]": datetime(
            2027, 1, 1, tzinfo=UTC
        ).timestamp(),
        "aop_left_behind_total[('zone', 'example.com')]": 1,
    }


def test_a_zone_that_is_forgotten_leaves_no_expiry_but_what_was_left_behind() -> None:
    metrics = Metrics()
    for zone in ("example.com", "example.org"):
        metrics.certificate_expires(zone, datetime(2027, 1, 1, tzinfo=UTC))
    metrics.left_behind.labels(zone="example.com").inc()
    metrics.forget_zone("example.com")
    metrics.forget_zone("never-seen.example")
    assert list(samples(metrics)) == [
        "aop_certificate_not_after_seconds[('zone', 'example.org')]",
        "aop_left_behind_total[('zone', 'example.com')]",
    ]


def test_two_operators_in_one_process_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.reconciles.labels(result="done").inc()
    assert other.registry.get_sample_value("aop_reconciles_total", {"result": "done"}) is None
