"""The sandbox serves the small inputs that failed once as the real controller does, also over a distance and to visitors who post.

No operator: what it makes of them is for the tests of the operator.
"""

from collections.abc import Iterator

import httpx
import pytest

from sandbox import cases, direct
from sandbox.composition import EDGE_ROUND_TRIP_S, Layout
from sandbox.ingress_nginx import backend
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

APPLICATION, REDIRECT, NOBODY = backend.STATUS, 308, 404
WITHIN_S = 30.0
PATH = "/.well-known/anything"
LONG = "feature-1234-checkout-with-new-payment.preview.example.com"
INGRESSES = [
    name for name in cases.names() if name.partition("-")[0] in {"02", "03", "16", "21", "22"}
] + ["10-idn-ingress"]
"""All but 01, whose Ingress has the name of that of 21."""
ANSWERS = {
    "www.about.example.com": APPLICATION,
    "about.example.com": REDIRECT,
    "app.example.com": APPLICATION,
    "xn--bcher-kva.example": APPLICATION,
    LONG: APPLICATION,
    "shop.example.com": APPLICATION,
    "store.example.com": APPLICATION,
    "buy.example.com": APPLICATION,
    "tenant-7.example.com": APPLICATION,
    "a.tenant-7.example.com": NOBODY,
}
"""By host, what the controller answers."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """The Ingresses of the cases at once: none of them gets into another's way."""
    layout = Layout(hosts=("visited.example.com",), round_trip_s=EDGE_ROUND_TRIP_S)
    with Scene(layout, with_operator=False) as running:
        cases.apply(running, *INGRESSES)
        until(
            lambda: all(served(running, host) == [status] * 2 for host, status in ANSWERS.items()),
            within_s=WITHIN_S,
            describe="the cases to be served",
        )
        yield running


def ask(scene: Scene, https: str, host: str, path: str = "/") -> int:
    return direct.ask(
        https, host, path, ca_file=scene.ingress_nginx.announcement.ca_file
    ).status_code


def served(scene: Scene, *hosts: str) -> list[int]:
    """What each replica answers for each host."""
    return [ask(scene, https, host) for https in scene.sandbox.origins for host in hosts]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("www.about.example.com", APPLICATION),
        ("about.example.com", REDIRECT),
        ("app.example.com", APPLICATION),
        ("xn--bcher-kva.example", APPLICATION),
        (LONG, APPLICATION),
        ("shop.example.com", APPLICATION),
        ("store.example.com", APPLICATION),
        ("buy.example.com", APPLICATION),
        ("tenant-7.example.com", APPLICATION),
        ("a.tenant-7.example.com", NOBODY),
    ],
)
def test_a_name_is_answered_as_the_controller_answers_it(
    scene: Scene, host: str, status: int
) -> None:
    # Old workers accept for a moment longer, so that every answer is waited for.
    until(
        lambda: served(scene, host) + served_path(scene, host, PATH) == [status] * 4,
        within_s=WITHIN_S,
        describe=lambda: (
            f"{status}, not {served(scene, host)} and {served_path(scene, host, PATH)}"
        ),
    )


def served_path(scene: Scene, host: str, path: str) -> list[int]:
    return [ask(scene, https, host, path) for https in scene.sandbox.origins]


def test_an_apex_that_only_redirects_does_so_on_every_path(scene: Scene) -> None:
    cases.apply(scene, "01-www-redirect")
    try:
        # Old workers accept for a moment longer, so that every answer is waited for.
        until(
            lambda: served(scene, "example.com") == [REDIRECT] * 2,
            within_s=WITHIN_S,
            describe="the redirect",
        )
        until(
            lambda: served_path(scene, "example.com", PATH) == [REDIRECT] * 2,
            within_s=WITHIN_S,
            describe="the redirect of a path",
        )
        assert served(scene, "www.example.com") == [APPLICATION] * 2
    finally:
        cases.apply(scene, "21-server-alias")
    until(
        lambda: served(scene, "example.com") == [NOBODY] * 2,
        within_s=WITHIN_S,
        describe="nobody to serve the apex",
    )


def test_a_label_that_no_dns_carries_is_taken_by_nginx(scene: Scene) -> None:
    for replica in scene.ingress_nginx.replicas():
        assert (
            "checkout-with-the-new-payment-provider-and-vouchers-abcd.example.com"
            in scene.ingress_nginx.nginx_conf(replica.pod)
        )
        assert replica.last_error is None


def test_a_handshake_is_rejected_for_a_name_that_nobody_serves(scene: Scene) -> None:
    scene.write_config_map({"ssl-reject-handshake": "true"})
    try:
        until(
            lambda: rejected(scene, "nobody.example.net"),
            within_s=WITHIN_S,
            describe="the handshake to be rejected",
        )
        assert served(scene, "app.example.com") == [APPLICATION] * 2
    finally:
        scene.write_config_map({"ssl-reject-handshake": None})
    until(
        lambda: not rejected(scene, "nobody.example.net"),
        within_s=WITHIN_S,
        describe="the handshake to be as before",
    )


def rejected(scene: Scene, host: str) -> bool:
    """By every replica."""
    try:
        served(scene, host)
    except httpx.ConnectError:
        return True
    return False


def test_text_of_an_administrator_closes_every_path_to_whoever_comes_past_the_edge(
    scene: Scene,
) -> None:
    case = "25-only-cloudflare-text"
    cases.apply(scene, case)
    until(lambda: served(scene, "app.example.com") == [403] * 2, within_s=WITHIN_S, describe="403")
    ca_file = scene.ingress_nginx.announcement.ca_file
    through = [
        direct.ask(https, "app.example.com", ca_file=ca_file, CF_RAY="1")
        for https in scene.sandbox.origins
    ]
    assert [answer.status_code for answer in through] == [APPLICATION] * 2
    cases.withdraw(scene, case)
    until(
        lambda: served(scene, "app.example.com") == [APPLICATION] * 2,
        within_s=WITHIN_S,
        describe="the application again",
    )


@pytest.mark.parametrize("case", ["10-idn-zone", "25-merge"])
def test_an_object_is_taken_by_the_schema_and_goes_again(scene: Scene, case: str) -> None:
    cases.apply(scene, case)
    name = {"10-idn-zone": "buecher", "25-merge": "example-com"}[case]
    assert scene.object(name) is not None
    cases.withdraw(scene, case)
    scene.until_gone(name)


def test_a_reload_of_somebody_elses_takes_posts_at_most(scene: Scene) -> None:
    with scene.visitors(rate_per_s=30, http_rate_per_s=0, post_rate_per_s=30) as visitors:
        until(
            lambda: visitors.report().post.ok > 60,
            within_s=WITHIN_S,
            describe=lambda: f"POSTs; {visitors.report()}",
        )
        before = [len(one.reloads) for one in scene.ingress_nginx.replicas()]
        scene.write_config_map({"gzip-level": "5"})
        until(
            lambda: all(
                len(one.reloads) > then
                for one, then in zip(scene.ingress_nginx.replicas(), before, strict=True)
            ),
            within_s=WITHIN_S,
            describe="a reload of each replica",
        )
        so_far = visitors.report().post.requests
        until(
            lambda: visitors.report().post.requests > so_far + 30,
            within_s=WITHIN_S,
            describe="POSTs after it",
        )
        report = visitors.stop()
    assert report.unfailing, str(report)
    assert report.post.ok > 60
