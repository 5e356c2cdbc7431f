"""The process lasts: no answer of the API server ends it, a watch that ends begins anew, and what protects visitors goes on meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest

from faults.conftest import Proxied
from sandbox.operator import Operator, succeeds
from sandbox.proxy.faults import ANY, Answer, Fault, Match, WatchError
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

UNAVAILABLE = Answer.kubernetes(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable")
FORBIDDEN = Answer.kubernetes(HTTPStatus.FORBIDDEN, "Forbidden")


@pytest.fixture
def settled(proxied: Proxied) -> Iterator[Proxied]:
    """The operator runs, and there is nothing to do."""
    proxied.scene.operator.start()
    yield proxied
    proxied.clear()


def watches_that_ended(operator: Operator) -> float:
    """How often a watch of whatever kind has begun anew, by the operator's own count."""
    text = httpx.get(
        f"http://127.0.0.1:{operator.metrics_port}/metrics", trust_env=False, timeout=10
    ).text
    return sum(
        float(one) for one in re.findall(r"^aop_watch_failures_total\S* (\S+)$", text, re.MULTILINE)
    )


@pytest.mark.parametrize(
    ("match", "fault", "times", "failures"),
    [
        (ANY, UNAVAILABLE, None, 3),
        (Match(path="/secrets$"), FORBIDDEN, None, 2),
        (Match(path="/authenticatedoriginpulls$", watch=True), WatchError(code=504), 1, 1),
    ],
    ids=["the API server is unavailable", "one list is forbidden", "a watch is told 504"],
)
def test_a_watch_that_ends_begins_anew_and_sees_what_came_meanwhile(
    settled: Proxied, match: Match, fault: Fault, times: int | None, failures: int
) -> None:
    scene = settled.scene
    process, before = scene.operator.pid, watches_that_ended(scene.operator)
    settled.kubernetes.rule(match, fault, times=times)
    assert settled.kubernetes.cut_watches(Match(path=match.path))
    until(
        lambda: watches_that_ended(scene.operator) >= before + failures,
        within_s=120,
        describe="watches to be ended and counted",
    )
    settled.clear()
    scene.apply()
    scene.until_enforced()
    assert scene.operator.alive
    assert scene.operator.pid == process


def test_no_watch_ends_while_nothing_is_disturbed(settled: Proxied) -> None:
    """Also where nothing carries our label: a list that is empty is a list."""
    scene = settled.scene
    scene.apply()
    scene.until_enforced()
    assert watches_that_ended(scene.operator) == 0


def test_an_api_server_that_is_down_at_the_start_is_waited_for(proxied: Proxied) -> None:
    operator = proxied.scene.operator
    proxied.kubernetes.rule(ANY, UNAVAILABLE, times=None)
    operator.launch()
    until(
        lambda: succeeds(operator.health_port, "/livez"),
        within_s=30,
        describe="the operator to live",
    )
    until(
        lambda: watches_that_ended(operator) >= 3, within_s=90, describe="each watch to have failed"
    )
    assert operator.alive
    assert not succeeds(operator.health_port, "/readyz")
    proxied.clear()
    until(
        lambda: succeeds(operator.health_port, "/readyz"),
        within_s=60,
        describe="the operator to be ready",
    )


def test_who_hears_nothing_for_a_minute_is_not_ready_and_is_not_restarted(
    settled: Proxied,
) -> None:
    operator = settled.scene.operator
    settled.kubernetes.rule(ANY, UNAVAILABLE, times=None)
    until(
        lambda: not succeeds(operator.health_port, "/readyz"),
        within_s=120,
        describe="the operator not to be ready",
    )
    assert succeeds(operator.health_port, "/livez")
    settled.clear()
    until(
        lambda: succeeds(operator.health_port, "/readyz"),
        within_s=60,
        describe="the operator to be ready again",
    )
