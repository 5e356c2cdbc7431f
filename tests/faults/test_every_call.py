"""Every call meets every fault: the first call of each kind, on both APIs, in one whole life for each fault.

The end must be the same as without: enforced and then as it was found, one certificate and then
none, and no visitor has noticed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest

from faults.conftest import Proxied
from sandbox.proxy.faults import (
    Answer,
    CutWatch,
    Delay,
    DropAfter,
    DropBefore,
    Fault,
    Match,
    Truncate,
    WatchError,
)
from sandbox.proxy.trace import Exchange
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(900)]

WITHIN_S = 300.0
"""Where answers are cut short the operator is started again several times, and each time its proofs begin anew."""
LEAST_KINDS = 25
"""Of calls in one life, on both APIs together; fewer would mean that the proxies see only a part of
it."""
IDENTITY = re.compile(r"(?<=/)([0-9a-f]{32}|[0-9a-f-]{36}|example-com[^/]*)(?=/|$)")
UNAVAILABLE = Answer.kubernetes(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable")
EVERYWHERE: Mapping[str, tuple[Fault, Fault]] = {
    "answer lost": (DropAfter(), DropAfter()),
    "a page for people": (Answer.html(HTTPStatus.BAD_GATEWAY), Answer.html(520)),
    "never arrived": (DropBefore(), DropBefore()),
    "unavailable": (UNAVAILABLE, Answer(HTTPStatus.SERVICE_UNAVAILABLE)),
    "too many": (
        Answer.kubernetes(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", retry_after_s=1),
        Answer.too_many_requests(2),
    ),
    "cut short": (Truncate(), Truncate()),
    "slow": (Delay(3.0), Delay(3.0)),
    "slow to answer": (Delay(3.0, answer=True), Delay(3.0, answer=True)),
    "forbidden": (
        Answer.kubernetes(HTTPStatus.FORBIDDEN, "Forbidden"),
        Answer(HTTPStatus.FORBIDDEN),
    ),
}
"""By name, what happens at Kubernetes and at Cloudflare."""


@dataclass(frozen=True)
class FirstOfEach(Match):
    """The first request of every kind: method and path, whoever they are about."""

    seen: set[tuple[str, str]] = field(default_factory=set, compare=False)

    def __call__(self, exchange: Exchange) -> bool:
        kind = exchange.method, IDENTITY.sub("*", exchange.path)
        if not super().__call__(exchange) or kind in self.seen:
            return False
        self.seen.add(kind)
        return True


def whole_life(proxied: Proxied) -> None:
    """Onboard and remove under visitors."""
    scene = proxied.scene
    before = scene.sandbox.config_map().get("data")
    # Kopf ends where what it asks the API about its resources is cut short; in a cluster the
    # kubelet starts the container again.
    with scene.visitors() as visitors, scene.operator.kept_running():
        visitors.allow_redirects(allowed=True)
        scene.apply()
        scene.until_enforced(within_s=WITHIN_S)
        assert [one["status"] for one in scene.certificates()] == ["active"]
        assert scene.required()
        scene.remove(within_s=WITHIN_S)
        report = visitors.stop()
    assert report.flawless, str(report)
    until(lambda: scene.certificates() == [], within_s=20, describe="no certificate to be left")
    assert scene.control.zone()["enabled"] is False
    assert scene.sandbox.config_map().get("data") == before
    assert scene.refusing() == []


@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_first_call_of_each_kind_meets_it(proxied: Proxied, name: str) -> None:
    at_kubernetes, at_cloudflare = EVERYWHERE[name]
    met = FirstOfEach(watch=False), FirstOfEach()
    proxied.kubernetes.rule(met[0], at_kubernetes, times=None)
    proxied.cloudflare.rule(met[1], at_cloudflare, times=None)
    whole_life(proxied)
    kinds = [kind for one in met for kind in one.seen]
    assert len(kinds) >= LEAST_KINDS, sorted(kinds)


@pytest.mark.parametrize("fault", [CutWatch(1), CutWatch(1, clean=True), WatchError(1)], ids=str)
def test_watches_break_again_and_again(proxied: Proxied, fault: Fault) -> None:
    """Nothing depends on an event: what no watch tells is seen when the loop looks."""
    rule = proxied.kubernetes.rule(Match(watch=True), fault, times=None)
    whole_life(proxied)
    assert rule.fired > 1
