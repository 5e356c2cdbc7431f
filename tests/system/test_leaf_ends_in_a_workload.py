"""Nobody renews the leaf, because the token was revoked: before Cloudflare presents an expired one, every server has been replaced by one that serves it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509

import lives
from aop.pki import throwaway
from lives import WITHIN_S, flawless
from sandbox import direct, servers
from sandbox.clocked import WallClock, clocked
from sandbox.composition import HOSTS, Layout, manifests_for
from sandbox.direct import Leaf
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

BEFORE = timedelta(minutes=30)


@pytest.fixture(params=[*servers.WORKLOADS, servers.GATEWAY])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if why := servers.why_not(request.param):
        pytest.skip(why)
    layout = Layout(
        workload="Deployment", server=request.param, manifests=manifests_for(request.param)
    )
    with Scene(layout, with_operator=False) as scene:
        yield scene


@pytest.fixture
def clock(scene: Scene) -> Iterator[WallClock]:
    """Of the operator."""
    clock = clocked(scene)
    with scene.operator:
        yield clock


def test_whoever_presents_what_has_expired_is_served_in_time(
    scene: Scene, clock: WallClock
) -> None:
    lives.apply(scene)
    scene.until_enforced(within_s=WITHIN_S)
    leaf = Leaf.of_secret(scene.secret("example-com-aop"))
    ends = x509.load_pem_x509_certificate(leaf.certificate.encode()).not_valid_after_utc
    made = throwaway(datetime.now(UTC) - timedelta(days=9), timedelta(days=5))
    expired = Leaf(made.leaf.pem, made.key.get_secret_value().decode())
    with flawless(scene):
        scene.control.change_token(scene.cloudflare.token_id, revoked=True)
        ahead = ends - BEFORE - datetime.now(UTC)
        clock.set(ahead.total_seconds())
        began_s = time.monotonic()
        until(
            lambda: served(scene, expired),
            within_s=lives.RELAXED_WITHIN_S,
            every_s=0.3,
            describe=lambda: f"what has expired to be served\n{scene.summary()}",
        )
        print(f"served in {time.monotonic() - began_s:.0f} s, {BEFORE} before the end")
    assert scene.certificates(), "Cloudflare goes on presenting it"
    assert scene.control.zone()["enabled"]


def served(scene: Scene, leaf: Leaf) -> bool:
    """Whether every pod that is left serves whoever presents it, on every host."""
    frontend = scene.sandbox.frontend
    if len(frontend.pods()) != len(frontend.replicas()):
        return False
    statuses = set()
    for one in frontend.replicas():
        for host in HOSTS:
            try:
                answer = direct.ask(one.https, host, leaf=leaf, ca_file=frontend.ca_file)
            except httpx.HTTPError:
                return False
            statuses.add(answer.status_code)
    return statuses == {200}
