"""The ingress-nginx stand-in on a real API server and real nginx: does it answer, and fail, as the real controller was seen to?

See docs/facts/ingress-nginx.md. The snippets compare pins as the operator's text does, but are
written out here: this tests the stand-in, and not what the operator renders.
"""

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from controller_site import (
    CHECK,
    IN_SCOPE,
    SEEN_WITHIN_S,
    Site,
    marker,
    running_pair,
    server_snippet,
    site,
)
from sandbox.ingress_nginx import backend
from sandbox.ingress_nginx.launcher import ReplicaFacts
from sandbox.kubernetes.certificates import ClusterAuthority, PemPair
from sandbox.kubernetes.plane import ControlPlane
from sandbox.processes import children_of, is_running
from sandbox.served_nginx import ingress
from sandbox.waiting import until

OUT_OF_SCOPE = "www.example.org"


def leaf(*, valid_for: timedelta = timedelta(days=1)) -> PemPair:
    """A self-signed client certificate: in pin mode the issuer does not matter."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + valid_for)
        .sign(key, hashes.SHA256())
    )
    return PemPair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def fingerprint(pair: PemPair) -> str:
    return x509.load_pem_x509_certificate(pair.certificate).fingerprint(hashes.SHA1()).hex()  # noqa: S303  # it is what nginx compares


def http_snippet(*pins: PemPair, revision: int = 7) -> str:
    pinned = " ".join(f"{fingerprint(pair)} 0;" for pair in pins)
    return f"""
ssl_session_cache shared:AOP_{revision}:10m;
ssl_verify_client optional_no_ca;
ssl_verify_depth 1;
map $host $aop_scope {{ hostnames; default 0; example.com 1; *.example.com 1; }}
map $ssl_client_fingerprint $aop_unverified {{ default 1; {pinned} }}
map $uri $aop_public {{ default 0; {CHECK} 1; }}
map "$https:$aop_scope$aop_unverified$aop_public" $aop_action {{ default ""; "on:110" deny; ":110" tls; }}
"""


@pytest.fixture
def pair(plane: ControlPlane) -> Iterator[Site]:
    with running_pair(plane, "pair") as running:
        yield running


@dataclass
class PinnedSite:
    site: Site
    ours: PemPair
    coming: PemPair
    expired: PemPair
    stranger: PemPair


@pytest.fixture(scope="module")
def pinned(plane: ControlPlane) -> Iterator[PinnedSite]:
    """Two replicas that require pins for *.example.com, and serve another zone's host besides."""
    ours, coming, expired, stranger = leaf(), leaf(), leaf(valid_for=-timedelta(hours=1)), leaf()
    config = {
        "http-snippet": http_snippet(ours, coming, expired),
        "server-snippet": server_snippet(),
        "use-forwarded-headers": "true",
    }
    at = site(plane, "pinned", config=config)
    at.create(ingress("web", IN_SCOPE, OUT_OF_SCOPE))
    with at.controller:
        yield PinnedSite(at, ours, coming, expired, stranger)


@pytest.fixture(params=[0, 1], ids=["first-replica", "second-replica"])
def replica(pinned: PinnedSite, request: pytest.FixtureRequest) -> ReplicaFacts:
    which: int = request.param
    return pinned.site.controller.replicas()[which]


class TestAnswersOfTheSkeleton:
    """On each replica (facts: ingress-nginx#what-the-text-answers)."""

    def test_in_scope_nobody_passes_without_a_certificate(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        answer = pinned.site.ask(replica, "/")
        assert answer.status_code == 400
        assert "No required SSL certificate was sent" in answer.text

    @pytest.mark.parametrize("which", ["ours", "coming"])
    def test_in_scope_each_pinned_leaf_reaches_the_backend(
        self, pinned: PinnedSite, replica: ReplicaFacts, which: str
    ) -> None:
        answer = pinned.site.ask(replica, "/shop?a=1", presenting=getattr(pinned, which))
        assert (answer.status_code, answer.content) == (
            backend.STATUS,
            backend.expected(IN_SCOPE, "/shop?a=1"),
        )

    def test_in_scope_a_stranger_is_refused(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        assert pinned.site.ask(replica, "/", presenting=pinned.stranger).status_code == 400

    @pytest.mark.parametrize("path", ["/", CHECK])
    @pytest.mark.parametrize("host", [IN_SCOPE, OUT_OF_SCOPE])
    def test_nginx_itself_refuses_an_expired_leaf_everywhere(
        self, pinned: PinnedSite, replica: ReplicaFacts, path: str, host: str
    ) -> None:
        answer = pinned.site.ask(replica, path, host=host, presenting=pinned.expired)
        assert answer.status_code == 400
        assert "The SSL certificate error" in answer.text

    @pytest.mark.parametrize(
        "headers",
        [{}, {"X_Forwarded_Proto": "https"}, {"X_Forwarded_Host": OUT_OF_SCOPE}],
        ids=["plain", "forged-proto", "forged-host"],
    )
    def test_in_scope_plaintext_is_sent_to_https(
        self, pinned: PinnedSite, replica: ReplicaFacts, headers: dict[str, str]
    ) -> None:
        answer = pinned.site.ask_plainly(replica, "/shop", **headers)
        assert (answer.status_code, answer.headers["location"]) == (308, f"https://{IN_SCOPE}/shop")

    def test_out_of_scope_https_needs_no_certificate(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        answer = pinned.site.ask(replica, "/shop", host=OUT_OF_SCOPE)
        assert (answer.status_code, answer.content) == (
            backend.STATUS,
            backend.expected(OUT_OF_SCOPE, "/shop"),
        )

    def test_out_of_scope_the_controllers_own_redirect_stays_as_it_is_with_its_bypass(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        assert pinned.site.ask_plainly(replica, "/", host=OUT_OF_SCOPE).status_code == 308
        assert (
            pinned.site.ask_plainly(
                replica, "/", host=OUT_OF_SCOPE, X_Forwarded_Proto="https"
            ).status_code
            == 200
        )

    def test_the_check_path_answers_everybody(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        answers = [
            pinned.site.ask(replica, CHECK),
            pinned.site.ask(replica, CHECK, presenting=pinned.ours),
            pinned.site.ask_plainly(replica, CHECK),
            pinned.site.ask_plainly(replica, CHECK, host="unknown.example.net"),
            pinned.site.ask_plainly(replica, f"/{CHECK}"),
        ]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert [answer.text.split(":")[0].strip() for answer in answers] == [
            f"rev=7 verify={verify}" for verify in ("NONE", "FAILED", "", "", "")
        ]

    def test_nobody_climbs_out_of_the_check_path(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        assert pinned.site.ask(replica, f"{CHECK}/%2e%2e/%2e%2e/%2e%2e/secret").status_code == 400

    def test_a_host_that_the_handshake_did_not_name_is_misdirected(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        assert (
            pinned.site.ask(
                replica, "/", host=IN_SCOPE, sni=OUT_OF_SCOPE, presenting=pinned.ours
            ).status_code
            == 421
        )

    def test_healthz_answers_on_both_ports_and_an_unknown_host_gets_404(
        self, pinned: PinnedSite, replica: ReplicaFacts
    ) -> None:
        assert (
            pinned.site.ask_plainly(replica, "/healthz", host="unknown.example.net").status_code
            == 200
        )
        assert pinned.site.ask(replica, "/healthz", host="unknown.example.net").status_code == 200
        assert pinned.site.ask(replica, "/", host="unknown.example.net").status_code == 404


def test_the_pod_tells_what_the_chart_makes_it_tell(pinned: PinnedSite) -> None:
    """Whoever finds replicas reads the ConfigMap's name from arguments with a variable in them, and the ports from flags."""
    announcement = pinned.site.controller.announcement
    for number, replica in enumerate(pinned.site.controller.replicas()):
        pod = pinned.site.pod(replica.pod)
        (container,) = pod["spec"]["containers"]
        assert "--configmap=$(POD_NAMESPACE)/ingress-nginx-controller" in container["args"]
        assert {
            f"--http-port={announcement.http_port}",
            f"--https-port={announcement.https_port}",
        } <= set(container["args"])
        assert {
            "name": "POD_NAMESPACE",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        } in container["env"]
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
            "http": announcement.http_port,
            "https": announcement.https_port,
        }
        assert pod["status"]["podIP"] == f"127.0.0.{11 + number}"
        assert pinned.site.is_ready(replica)


def test_a_bad_snippet_keeps_the_old_text_and_blocks_everything_after_it(pair: Site) -> None:
    replicas = pair.controller.replicas()
    pair.configure({**marker(2), "http-snippet": "ssl_verify_client on;\n"})
    for replica in replicas:
        message = pair.await_event(replica, "Warning")
        assert "[emerg]" in message
        assert "no ssl_client_certificate" in message
    pair.create(ingress("late", "late.example.com"))
    tries = {replica.pod: replica.failures for replica in pair.controller.replicas()}
    until(
        lambda: all(
            replica.failures > tries[replica.pod] for replica in pair.controller.replicas()
        ),
        within_s=SEEN_WITHIN_S,
        describe="a failure after the Ingress came",
    )
    for replica in pair.controller.replicas():
        assert replica.ready
        assert pair.revision(replica) == "rev=1"
        assert pair.ask(replica, "/").status_code == 200
        assert pair.ask(replica, "/", host="late.example.com").status_code == 404

    pair.configure(marker(3))
    for replica in replicas:
        pair.await_revision(replica, 3)
        pair.await_answer(replica, "late.example.com", 200)
        assert pair.controller.replica(replica.pod).last_error is None


def test_a_replica_that_starts_on_a_bad_snippet_is_ready_only_when_it_is_repaired(
    pair: Site,
) -> None:
    pair.configure({"server-snippet": "no_such_directive on;\n"})
    old, other = pair.controller.replicas()
    new = pair.controller.replace(old.pod)
    assert (new.pod != old.pod, new.address) == (True, old.address)
    until(
        lambda: pair.controller.replica(new.pod).failures >= 2,
        within_s=SEEN_WITHIN_S,
        describe="two failed tries",
    )
    assert not pair.is_ready(new)
    with pytest.raises(httpx.ConnectError):
        pair.ask(new, "/")
    assert pair.ask(other, "/").status_code == 200

    pair.configure(marker(2))
    pair.controller.await_ready(SEEN_WITHIN_S)
    pair.await_revision(new, 2)
    until(lambda: pair.is_ready(new), within_s=5, describe="the Pod's Ready condition")
    assert pair.await_event(new, "Normal")


def test_replicas_reload_at_different_moments(pair: Site) -> None:
    first, second = pair.controller.replicas()
    pair.controller.lag(second.pod, 4)
    pair.configure(marker(2))
    pair.await_revision(first, 2)
    assert pair.revision(second) == "rev=1"
    pair.await_revision(second, 2)
    times = [
        datetime.fromisoformat(pair.controller.replica(one.pod).reloads[-1])
        for one in (first, second)
    ]
    assert times[1] - times[0] > timedelta(seconds=2)


def test_a_paused_replica_lags_until_it_is_resumed(pair: Site) -> None:
    first, second = pair.controller.replicas()
    with pair.controller.paused(second.pod):
        pair.configure(marker(2))
        pair.await_revision(first, 2)
        assert pair.revision(second) == "rev=1"
    pair.await_revision(second, 2)


def test_a_change_of_metadata_alone_is_looked_at_and_leads_to_no_reload(pair: Site) -> None:
    before = pair.controller.replicas()
    pair.configmap(
        "PATCH",
        json={"metadata": {"labels": {"team": "edge"}}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    pair.await_sync(before)
    assert [now.reloads for now in pair.controller.replicas()] == [then.reloads for then in before]


def test_a_deleted_configmap_leaves_its_text_with_running_replicas_and_not_with_new_ones(
    pair: Site,
) -> None:
    first, second = pair.controller.replicas()
    pair.configmap("DELETE")
    pair.create(ingress("late", "late.example.com"))
    pair.await_answer(first, "late.example.com", 200)
    assert pair.revision(first) == "rev=1"
    pair.controller.replace(second.pod)
    pair.controller.await_ready()
    assert pair.ask_plainly(second, CHECK).status_code == 308


def test_an_ingress_that_verifies_by_itself_refuses_and_follows_its_secret(pair: Site) -> None:
    authority, successor = ClusterAuthority("clients"), ClusterAuthority("successor")
    secrets = f"/api/v1/namespaces/{pair.namespace}/secrets"
    data = {"ca.crt": base64.b64encode(authority.pem).decode()}
    pair.plane.http.post(
        secrets, json={"metadata": {"name": "clients"}, "data": data}
    ).raise_for_status()
    pair.create(
        ingress(
            "own",
            "own.example.com",
            auth_tls_secret=f"{pair.namespace}/clients",
            auth_tls_verify_client="on",
        )
    )
    first = pair.controller.replicas()[0]
    pair.await_answer(first, "own.example.com", 400)
    pair.await_answer(first, "own.example.com", 200, presenting=authority.client("somebody"))

    data = {"ca.crt": base64.b64encode(successor.pem).decode()}
    pair.plane.http.put(
        f"{secrets}/clients", json={"metadata": {"name": "clients"}, "data": data}
    ).raise_for_status()
    pair.await_answer(first, "own.example.com", 200, presenting=successor.client("somebody"))
    pair.await_answer(first, "own.example.com", 400, presenting=authority.client("somebody"))


def test_replicas_come_and_go(pair: Site) -> None:
    first, second = pair.controller.replicas()
    third = pair.controller.add()
    assert third.address == "127.0.0.13"
    pair.controller.await_ready()
    assert pair.ask(third, "/").status_code == 200
    pair.controller.remove(third.pod)
    assert [one.pod for one in pair.controller.replicas()] == [first.pod, second.pod]
    assert third.pod not in pair.plane.kubectl("get", "pods", "-n", pair.namespace, "-o", "name")


def test_nginx_does_not_outlive_a_stand_in_that_is_killed(plane: ControlPlane) -> None:
    """Workers survive a master that is killed; they would answer for a replica that no longer exists."""
    at = site(plane, "killed")
    with at.controller as controller:
        replicas = controller.replicas()
        masters = [replica.nginx_pid for replica in replicas if replica.nginx_pid is not None]
        workers = [pid for master in masters for pid in children_of(master)]
        assert len(workers) >= 4
        os.kill(controller.process.pid, 9)
        until(
            lambda: not any(is_running(pid) for pid in (*masters, *workers)),
            within_s=10,
            describe="every nginx to end",
        )


def test_a_change_made_while_the_api_server_was_away_is_seen_afterwards(tmp_path: Path) -> None:
    """Watches break with the server; the resourceVersions they stood at are good afterwards, or a new list is made."""
    with ControlPlane(with_controller_manager=False) as plane:
        at = site(plane, "outage", config=marker(1))
        with at.controller as controller:
            first = controller.replicas()[0]
            with plane.outage():
                assert at.revision(first) == "rev=1"
            at.configure(marker(2))
            for replica in controller.replicas():
                at.await_revision(replica, 2)
