"""A tenant who answers the check path in nginx's place, through the edge: they can make a fool of their own host, and of nobody else's.

One zone with a host that is required, one whose record leads to the tenant's own server, and an
Ingress of theirs that writes what it likes into a redirect. All the while the other host is
required, and nothing that they say reaches a person's terminal as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from sandbox.composition import Layout, ingress
from sandbox.scene import NAMESPACE, Scene
from sandbox.tenant import Reply, Tenant
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(500)]

APEX, THEIRS, WRITING = "example.com", "tenant.example.com", "writing.example.com"
SNIPPET = "nginx.ingress.kubernetes.io/server-snippet"
FLUSHES_PER_HOUR = 3
WITHIN_S = 120.0
WINDOW_S = 10.0
ESCAPES = "\x9b31m\x9d0;owned\x9c"
"""Commands to a terminal, in the one form that a header can carry (C1, of one byte each)."""


def answer(presented: str, nonce: str, conn: str) -> Reply:
    """What our text would answer."""
    return (
        200,
        {"Content-Type": "text/plain"},
        f"aop rev=00000001 zone=zaaaa presented={presented} https=on conn={conn} nonce={nonce}\n",
    )


def old_session(nonce: str) -> Reply:
    """As if the edge still used a connection of before, without a certificate: for which sessions are ended."""
    return answer("none", nonce, "7r")


def escapes(nonce: str) -> Reply:
    """A redirect whose target, a server whose name and a body whose text are commands."""
    return (
        302,
        {"Location": f"https://{ESCAPES}.example.net/", "Server": ESCAPES},
        f"{ESCAPES}\x1b[2J\n{nonce}",
    )


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    with Tenant(tmp_path_factory.mktemp("tenant"), old_session) as running:
        yield running


@pytest.fixture(scope="module")
def scene(tenant: Tenant) -> Iterator[Scene]:
    config = {
        "use-forwarded-headers": "true",
        "ssl-redirect": "false",
        "allow-snippet-annotations": "true",
        "annotations-risk-level": "Critical",
    }
    with Scene(Layout(hosts=(APEX, THEIRS), config=config), AOP_REPLICA_RECHECK_S="5") as running:
        running.control.change_zone(host_origins={THEIRS: [tenant.place]})
        running.apply()
        running.until_enforced()
        yield running


def revision(scene: Scene) -> int:
    return int(scene.sandbox.config_map()["metadata"]["annotations"]["aop-operator.dev/revision"])


def flushes(scene: Scene) -> list[datetime]:
    """When sessions were ended within the last hour, as the operator's last look has it."""
    return [
        datetime.fromisoformat(one)
        for one in json.loads(scene.trace()[-1])["observed"]["object"]["record"]["flushes"]
    ]


def last_look(scene: Scene) -> datetime:
    return datetime.fromisoformat(json.loads(scene.trace()[-1])["observed"]["now"])


def test_old_sessions_that_are_made_up_cost_three_reloads_an_hour(
    scene: Scene, tenant: Tenant
) -> None:
    """A16: without a bound there were ten in two minutes."""

    def used_up() -> bool:
        assert scene.required(APEX)
        return len(flushes(scene)) == FLUSHES_PER_HOUR

    until(
        used_up,
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"sessions to be ended three times\n{scene.summary()}",
    )
    asked = tenant.asked

    def later() -> bool:
        assert scene.required(APEX)
        return tenant.asked > asked and last_look(scene) - flushes(scene)[-1] > timedelta(
            seconds=3 * WINDOW_S
        )

    until(later, within_s=WITHIN_S, every_s=0.5, describe="three windows more of it")
    assert len(flushes(scene)) == FLUSHES_PER_HOUR
    ready = scene.until_condition("Ready", "True", within_s=WITHIN_S)
    assert f"{THEIRS} " in ready["message"]


def test_nothing_that_they_say_reaches_a_terminal_as_it_is_and_nothing_is_written_for_it(
    scene: Scene, tenant: Tenant
) -> None:
    """A16: in conditions, Events and the log."""
    written = revision(scene)
    tenant.says = escapes
    scene.plane.apply(
        ingress(WRITING, **{SNIPPET: f'return 302 "https://{ESCAPES}.example.net/";'})
    )

    def is_told() -> bool:
        assert scene.required(APEX)
        message = scene.condition("EdgeVerified").get("message", "")
        return THEIRS in message and "HTTP 302" in message and f"{WRITING}: " in message

    until(
        is_told,
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"both hosts to be named\n{scene.summary()}",
    )
    assert revision(scene) == written
    shown = {
        "conditions": " ".join(one["message"] for one in scene.object()["status"]["conditions"]),  # type: ignore[index]  # it is there
        "Events": " ".join(
            one["message"]
            for one in json.loads(
                scene.plane.kubectl("get", "events", "-n", NAMESPACE, "-o", "json")
            )["items"]
        ),
        "log": scene.operator.log.read_text(encoding="utf-8").replace("\n", " "),
    }
    assert {
        where: sorted({sign for sign in text if not sign.isprintable()})
        for where, text in shown.items()
    } == {where: [] for where in shown}


def test_their_host_is_required_and_opened_as_they_say_and_nobody_elses(
    scene: Scene, tenant: Tenant
) -> None:
    """What is written because of it is bounded by a hold-off that grows."""
    pin = json.loads(scene.trace()[-1])["observed"]["key_pair"]["leaf"]["sha256"][:8]
    tenant.says = lambda nonce: answer(pin, nonce, "1.")
    everybody = len(scene.ingress_nginx.replicas())

    def refused_by(count: int) -> bool:
        assert scene.required(APEX)
        return len(scene.refusing(THEIRS)) == count

    until(
        lambda: refused_by(everybody),
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"{THEIRS} to be required\n{scene.summary()}",
    )
    tenant.says = lambda nonce: answer("none", nonce, "1.")
    until(
        lambda: refused_by(0),
        within_s=WITHIN_S,
        every_s=0.5,
        describe=lambda: f"{THEIRS} to be opened\n{scene.summary()}",
    )
    record = json.loads(scene.trace()[-1])["observed"]["object"]["record"]
    assert [hold_off["host"] for hold_off in record["hold_offs"]] == [THEIRS]
