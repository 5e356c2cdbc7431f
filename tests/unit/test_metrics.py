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
    metrics.certificate_expires("uid", "example.com", datetime(2027, 1, 1, tzinfo=UTC))
    metrics.left_behind.labels(zone="example.com").inc()
    metrics.leader.set(1)
    assert samples(metrics) == {
        "aop_leader[]": 1,
        "aop_reconciles_total[('result', 'done')]": 1,
        "aop_steps_total[('step', 'Publish')]": 2,
        "aop_cloudflare_requests_total[('method', 'GET'), ('path', '/zones'), ('status', '200')]": 1,
        "aop_reader_bugs_total[('reader', 'cloudflare')]": 1,
        "aop_certificate_not_after_seconds[('zone', 'example.com')]": datetime(
            2027, 1, 1, tzinfo=UTC
        ).timestamp(),
        "aop_left_behind_total[('zone', 'example.com')]": 1,
    }


EXPIRY = "aop_certificate_not_after_seconds[('zone', '{}')]"
END = datetime(2027, 1, 1, tzinfo=UTC)


def of_zones(metrics: Metrics) -> dict[str, float]:
    return {name: value for name, value in samples(metrics).items() if "'zone'" in name}


def test_an_object_that_is_gone_leaves_no_expiry_but_what_was_left_behind() -> None:
    metrics = Metrics()
    for zone in ("example.com", "example.org"):
        metrics.certificate_expires(f"of {zone}", zone, END)
    metrics.left_behind.labels(zone="example.com").inc()
    metrics.forget("of example.com")
    metrics.forget("never seen")
    assert list(of_zones(metrics)) == [
        EXPIRY.format("example.org"),
        "aop_left_behind_total[('zone', 'example.com')]",
    ]


def test_an_object_that_takes_another_zone_takes_its_expiry_along() -> None:
    metrics = Metrics()
    metrics.certificate_expires("uid", "example.com", END)
    metrics.certificate_expires("uid", "example.org", END)
    assert list(of_zones(metrics)) == [EXPIRY.format("example.org")]
    metrics.certificate_expires("uid", "example.org", None)
    assert of_zones(metrics) == {}


def test_an_object_that_gives_way_leaves_the_expiry_of_who_has_the_zone() -> None:
    metrics = Metrics()
    for uid in ("before", "after"):
        metrics.certificate_expires(uid, "example.com", END)
    metrics.certificate_expires("before", "example.com", None)
    assert list(of_zones(metrics)) == [EXPIRY.format("example.com")]


def test_two_operators_in_one_process_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.reconciles.labels(result="done").inc()
    assert other.registry.get_sample_value("aop_reconciles_total", {"result": "done"}) is None
