"""A host that loses is relaxed by itself; the others stay as they are, and so does what is known of them.

One zone with three hosts that are required; what happens to one of them is a colleague's doing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import direct
from sandbox.composition import Layout, ingress
from sandbox.scene import Scene, origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

APEX, WWW, APP = HOSTS = ("example.com", "www.example.com", "app.example.com")
PREFIX = "nginx.ingress.kubernetes.io"
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(Layout(hosts=HOSTS), AOP_REPLICA_RECHECK_S="5") as running:
        running.apply(origins=[origin(foreignText="Merge")])
        running.until_enforced()
        yield running


def refused(scene: Scene) -> dict[str, int]:
    """By host, how many replicas refuse a stranger."""
    return {host: len(scene.refusing(host)) for host in HOSTS}


def an_authority_of_its_own(scene: Scene) -> None:
    """The Secret that an Ingress with `auth-tls` names."""
    authority = {"ca.crt": scene.secret("example-com-aop")["data"]["ca.crt"]}
    scene.plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "app-ca", "namespace": "default"},
            "data": authority,
        }
    )


def test_one_host_that_comes_without_a_certificate_is_relaxed_alone(scene: Scene) -> None:
    """A6: its own Ingress switches verification off, so that what the edge presents is not asked for there."""
    an_authority_of_its_own(scene)
    annotations = {
        f"{PREFIX}/auth-tls-secret": "default/app-ca",
        f"{PREFIX}/auth-tls-verify-client": "off",
    }
    scene.plane.apply(ingress(APP, **annotations))

    def alone() -> bool:
        now = refused(scene)
        assert (now[APEX], now[WWW]) == (2, 2), now
        return now[APP] == 0

    until(
        alone,
        within_s=WITHIN_S,
        every_s=0.3,
        describe=lambda: f"{APP} to be relaxed\n{scene.summary()}",
    )
    ready = scene.until_condition("Ready", "True", within_s=WITHIN_S)
    assert APP in ready["message"]
    scene.plane.apply(ingress(APP))
    until(
        lambda: refused(scene)[APP] == 2,
        within_s=150,
        every_s=0.5,
        describe=lambda: f"{APP} to be required again\n{scene.summary()}",
    )


def test_another_page_for_refused_certificates_is_still_a_refusal(scene: Scene) -> None:
    """A18: strangers are sent elsewhere instead of getting 400, and never get the application."""
    text = scene.sandbox.config_map()["data"]["http-snippet"]
    scene.write_config_map(
        {"http-snippet": f"error_page 495 496 https://refused.example.net/;\n{text}"}
    )

    def otherwise() -> bool:
        ca_file = scene.ingress_nginx.announcement.ca_file
        return {
            direct.ask(one, APEX, ca_file=ca_file).status_code for one in scene.sandbox.origins
        } == {302}

    until(otherwise, within_s=WITHIN_S, describe="strangers to be sent elsewhere")
    until(
        lambda: "at all 3 hosts." in scene.condition("Ready").get("message", ""),
        within_s=WITHIN_S,
        describe=lambda: f"all hosts to be seen required\n{scene.summary()}",
    )
    enforced = scene.until_condition("Enforced", "True", within_s=WITHIN_S)
    assert APEX in enforced["message"]


def test_a_page_of_an_ingress_for_refused_certificates_is_a_refusal_of_that_host(
    scene: Scene,
) -> None:
    """A18: an Ingress that asks as we do, refuses nobody, and has a page of its own for those who are refused."""
    an_authority_of_its_own(scene)
    annotations = {
        f"{PREFIX}/auth-tls-secret": "default/app-ca",
        f"{PREFIX}/auth-tls-verify-client": "optional_no_ca",
        f"{PREFIX}/auth-tls-error-page": "https://refused.example.net/app",
    }
    scene.plane.apply(ingress(APP, **annotations))
    ca_file = scene.ingress_nginx.announcement.ca_file

    def sent_away() -> bool:
        answers = [direct.ask(one, APP, ca_file=ca_file) for one in scene.sandbox.origins]
        assert not any(answer.status_code == 200 for answer in answers)
        return {answer.headers.get("location") for answer in answers} == {
            "https://refused.example.net/app"
        }

    until(
        sent_away, within_s=WITHIN_S, every_s=0.3, describe="strangers to be sent to its own page"
    )
    ready = scene.until_condition("Ready", "True", within_s=WITHIN_S)
    assert "at all 3 hosts." in ready["message"]
    scene.plane.apply(ingress(APP))


def test_all_of_them_are_relaxed_where_the_zone_presents_nothing(scene: Scene) -> None:
    scene.control.turn_location(requests_per_connection=1, resume=False, presents={"*": "nothing"})
    until(
        lambda: refused(scene) == dict.fromkeys(HOSTS, 0),
        within_s=WITHIN_S,
        every_s=0.3,
        describe=lambda: f"nobody to be refused\n{scene.summary()}",
    )
