"""What Prometheus reads of a running operator: a page that promtool finds nothing to say of, about what is so now, and nothing of what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import metrics_page
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.operator import Operator
from sandbox.prometheus import promtool
from sandbox.prometheus.programs import Programs
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

OBJECT = {"namespace": "edge", "name": "example-com", "zone": "example.com"}
TOKEN = {"token": "Secret edge/cloudflare, key api-token"}
SELDOM = {
    "aop_reader_bugs_total",
    "aop_watch_failures_total",
    "aop_left_behind_total",
    "aop_cloudflare_postponed_requests_total",
    "aop_cloudflare_throttled_seconds_total",
}
"""What no operator shows that nothing has happened to."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(AOP_REPLICA_RECHECK_S="2") as running:
        running.apply()
        running.until_enforced()
        yield running


@pytest.fixture(scope="module")
def prometheus() -> Programs:
    return promtool.found_or_left_out()


def page(operator: Operator) -> str:
    answer = httpx.get(f"http://127.0.0.1:{operator.metrics_port}/metrics", trust_env=False)
    return answer.raise_for_status().text


def read(operator: Operator) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(operator))
        for sample in family.samples
    }


def value(operator: Operator, metric: str, /, **labels: str) -> float | None:
    return read(operator).get((metric, frozenset(labels.items())))


def test_promtool_has_nothing_to_say_of_the_page(scene: Scene, prometheus: Programs) -> None:
    given = page(scene.operator).encode()
    assert promtool.complaints(prometheus.promtool, "check", "metrics", given=given) == ""


def test_a_page_that_keeps_no_convention_is_complained_of(prometheus: Programs) -> None:
    """The check can fail."""
    given = b"# TYPE aop_waits_ms counter\naop_waits_ms 1\n"
    complaints = promtool.complaints(prometheus.promtool, "check", "metrics", given=given)
    assert "aop_waits_ms" in complaints


def test_an_object_that_is_as_it_was_asked_to_be(scene: Scene) -> None:
    shown = read(scene.operator)
    names = {
        name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        for name, _ in shown
    }
    assert {metric.name for metric in metrics_page.every()} - SELDOM <= names

    def of_it(metric: str, /, **labels: str) -> float | None:
        return shown.get((metric, frozenset({**OBJECT, **labels}.items())))

    assert of_it("aop_object_ready") == of_it("aop_object_reason", reason="Ready") == 1
    assert of_it("aop_object_enforcement") == of_it("aop_object_enforcement_wanted") == 3
    assert of_it("aop_object_hosts") == of_it("aop_object_hosts_required") == 2
    assert of_it("aop_origin_replicas", origin="public", mode="Require") == 2
    assert of_it("aop_origin_revision_lag", origin="public") == 0
    status = (scene.object() or {})["status"]["certificate"]
    assert status["notAfter"].startswith(at(of_it("aop_certificate_expiration_timestamp_seconds")))
    assert status["renewalTime"].startswith(at(of_it("aop_certificate_renewal_timestamp_seconds")))
    budget = shown["aop_cloudflare_budget_calls", frozenset(TOKEN.items())]
    used = shown["aop_cloudflare_budget_used_calls", frozenset(TOKEN.items())]
    assert 0 < used < budget == 899


def at(moment: float | None) -> str:
    return datetime.fromtimestamp(moment or 0.0, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def test_no_token_no_id_and_no_host_is_on_the_page(scene: Scene) -> None:
    shown = page(scene.operator)
    assert scene.cloudflare.token not in shown
    assert "www.example.com" not in shown
    zone = scene.control.zone("example.com")
    assert zone["id"] not in shown
    assert not any(one["id"] in shown for one in zone["certificates"])


def test_a_loss_is_counted_with_its_cause_and_the_proof_grows_old(scene: Scene) -> None:
    operator = scene.operator
    with scene.presenting_nothing("example.com", "www.example.com"):
        until(
            lambda: value(operator, "aop_object_relaxations_total", **OBJECT, cause="loss") == 1,
            within_s=60,
            describe=lambda: f"the loss to be counted\n{scene.summary()}",
        )
        assert value(operator, "aop_object_relaxations_total", **OBJECT, cause="spec") == 0
        until(
            lambda: (
                value(operator, "aop_object_hold_offs", **OBJECT) == 1
                and value(operator, "aop_object_enforcement", **OBJECT) == 1
                and value(operator, "aop_object_hosts_unproven", **OBJECT) == 2
            ),
            within_s=30,
            describe=lambda: f"the loss to be shown\n{scene.summary()}",
        )


def test_what_somebody_undoes_is_counted_when_it_is_made_good(scene: Scene) -> None:
    operator = scene.operator
    scene.write_config_map({"http-snippet": None, "server-snippet": None})
    until(
        lambda: value(operator, "aop_object_drift_total", **OBJECT, what="origin") == 1,
        within_s=60,
        describe=lambda: f"the drift to be counted\n{scene.summary()}",
    )


def test_the_series_of_an_object_go_with_it(scene: Scene) -> None:
    scene.remove()
    until(
        lambda: "example-com" not in page(scene.operator),
        within_s=30,
        describe="the series of the object to end",
    )
    assert value(scene.operator, "aop_objects") == 0
