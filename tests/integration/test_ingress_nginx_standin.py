"""The ingress-nginx stand-in on a real API server and real nginx: does it answer, and fail, as the real controller was seen to?

Facts are from reference: ingress-nginx, 4.1, 4.2, 4.5, 6.2 and 9.4. The snippets are the pin form of 6.1, written out here: this tests the stand-in, and not what the
operator renders.
"""

import base64
import os
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.ingress_nginx import backend
from sandbox.ingress_nginx.launcher import IngressNginx, ReplicaFacts
from sandbox.kubernetes.certificates import Authority, KeyPair
from sandbox.kubernetes.plane import ControlPlane
from sandbox.waiting import until

pytestmark = pytest.mark.integration

CHECK = "/.well-known/0f1e2d3c/check"
IN_SCOPE, OUT_OF_SCOPE = "www.example.com", "www.example.org"
# A second sync waits 3.3 s for its token, and so may a third one.
SEEN_WITHIN_S = 15


def leaf(*, valid_for: timedelta = timedelta(days=1)) -> KeyPair:
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
    return KeyPair(certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def fingerprint(pair: KeyPair) -> str:
    return x509.load_pem_x509_certificate(pair.certificate).fingerprint(hashes.SHA1()).hex()  # noqa: S303  # it is what nginx compares


def http_snippet(*pins: KeyPair, revision: int = 7) -> str:
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


def server_snippet(revision: int = 7) -> str:
    return f"""
if ($request_method = "") {{ set $aop_action ""; }}
if ($aop_action = "deny") {{ return 496; }}
if ($aop_action = "tls") {{ return 308 https://$host$request_uri; }}
location = {CHECK} {{
    access_log off;
    default_type text/plain;
    add_header Cache-Control "no-store" always;
    return 200 "rev={revision} verify=$ssl_client_verify\\n";
}}
"""


def marker(revision: int) -> dict[str, str]:
    """A ConfigMap that only shows its revision on the check path."""
    return {"server-snippet": server_snippet(revision)}


def ingress(name: str, *hosts: str, **annotations: str) -> dict[str, Any]:
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "annotations": {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()},
        },
        "spec": {"tls": [{"hosts": [*hosts]}], "rules": [{"host": host, "http": {"paths": paths}} for host in hosts]},
    }


@dataclass
class Site:
    """A controller with a class of its own in a namespace of its own, and whoever visits it."""

    plane: ControlPlane
    namespace: str
    controller: IngressNginx

    def create(self, one: dict[str, Any]) -> None:
        """Create an Ingress of this controller's class."""
        one["spec"]["ingressClassName"] = self.namespace
        self.plane.http.post(f"/apis/networking.k8s.io/v1/namespaces/{self.namespace}/ingresses", json=one).raise_for_status()

    def configure(self, data: dict[str, str]) -> None:
        """Replace the ConfigMap's data."""
        self.configmap("PUT", json={"metadata": {"name": "ingress-nginx-controller"}, "data": data})

    def configmap(self, method: str, **arguments: Any) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/ingress-nginx-controller"
        self.plane.http.request(method, path, **arguments).raise_for_status()

    def pod(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.plane.http.get(f"/api/v1/namespaces/{self.namespace}/pods/{name}").raise_for_status().json()
        return answer

    def events(self, pod: str, kind: str) -> list[str]:
        """Messages of RELOAD Events about a Pod."""
        answer = self.plane.http.get(
            f"/api/v1/namespaces/{self.namespace}/events", params={"fieldSelector": f"involvedObject.name={pod},type={kind}"}
        )
        return [event["message"] for event in answer.raise_for_status().json()["items"] if event["reason"] == "RELOAD"]

    def await_event(self, replica: ReplicaFacts, kind: str) -> str:
        """The first RELOAD Event of a kind about a Pod."""
        return until(lambda: self.events(replica.pod, kind), within_s=SEEN_WITHIN_S, describe=f"a {kind} RELOAD Event")[0]

    def is_ready(self, replica: ReplicaFacts) -> bool:
        """What the Pod's Ready condition says."""
        return any(one["type"] == "Ready" and one["status"] == "True" for one in self.pod(replica.pod)["status"]["conditions"])

    def ask(
        self,
        replica: ReplicaFacts,
        path: str,
        *,
        host: str = IN_SCOPE,
        sni: str | None = None,
        presenting: KeyPair | None = None,
        **headers: str,
    ) -> httpx.Response:
        """One request over TLS on a connection of its own."""
        trust = ssl.create_default_context(cafile=self.controller.announcement.ca_file)
        trust.check_hostname = False
        if presenting is not None:
            certificate, key = presenting.write(self.controller.process.log.parent, "client")
            trust.load_cert_chain(certificate, key)
        with httpx.Client(verify=trust, trust_env=False, timeout=10) as client:
            named = {"Host": host, **{key.replace("_", "-"): value for key, value in headers.items()}}
            return client.get(f"https://{replica.https}{path}", headers=named, extensions={"sni_hostname": sni or host})

    def ask_plainly(self, replica: ReplicaFacts, path: str, *, host: str = IN_SCOPE, **headers: str) -> httpx.Response:
        """One request over plaintext."""
        named = {"Host": host, **{key.replace("_", "-"): value for key, value in headers.items()}}
        return httpx.get(f"http://{replica.http}{path}", headers=named, trust_env=False, timeout=10)

    def revision(self, replica: ReplicaFacts) -> str:
        return self.ask_plainly(replica, CHECK).text.split(" ")[0]

    def await_revision(self, replica: ReplicaFacts, revision: int) -> None:
        until(lambda: self.revision(replica) == f"rev={revision}", within_s=SEEN_WITHIN_S, describe=f"rev={revision} on {replica.address}")

    def await_answer(self, replica: ReplicaFacts, host: str, status: int, *, presenting: KeyPair | None = None) -> None:
        """Workers of before a reload accept for a moment longer, so that a first answer of the new ones is not yet the only one."""
        until(
            lambda: self.ask(replica, "/", host=host, presenting=presenting).status_code == status,
            within_s=SEEN_WITHIN_S,
            describe=f"{status} from {host}",
        )


def site(plane: ControlPlane, name: str, **arguments: Any) -> Site:
    namespace = plane.create_namespace(name)
    controller = IngressNginx(
        plane.admin_kubeconfig,
        namespace=namespace,
        ingress_class=namespace,
        controller_class=f"k8s.io/{namespace}",
        hosts=("example.com", "*.example.com", "*.example.org"),
        first_sync_pause_s=0.2,
        **arguments,
    )
    return Site(plane, namespace, controller)


@pytest.fixture
def pair(plane: ControlPlane) -> Iterator[Site]:
    """Two replicas that show rev=1 and serve one host."""
    found = site(plane, "pair", config=marker(1))
    found.create(ingress("web", IN_SCOPE))
    with found.controller:
        yield found


@dataclass
class Pinned:
    site: Site
    ours: KeyPair
    coming: KeyPair
    expired: KeyPair
    stranger: KeyPair


@pytest.fixture(scope="module")
def pinned(plane: ControlPlane) -> Iterator[Pinned]:
    """Two replicas that require pins for *.example.com, and serve another zone's host besides."""
    ours, coming, expired, stranger = leaf(), leaf(), leaf(valid_for=-timedelta(hours=1)), leaf()
    config = {"http-snippet": http_snippet(ours, coming, expired), "server-snippet": server_snippet(), "use-forwarded-headers": "true"}
    found = site(plane, "pinned", config=config)
    found.create(ingress("web", IN_SCOPE, OUT_OF_SCOPE))
    with found.controller:
        yield Pinned(found, ours, coming, expired, stranger)


@pytest.fixture(params=[0, 1], ids=["first-replica", "second-replica"])
def replica(pinned: Pinned, request: pytest.FixtureRequest) -> ReplicaFacts:
    which: int = request.param
    return pinned.site.controller.replicas()[which]


class TestAnswersOfTheSkeleton:
    """The table of reference: ingress-nginx, 6.2, pin form, on each replica."""

    def test_in_scope_nobody_passes_without_a_certificate(self, pinned: Pinned, replica: ReplicaFacts) -> None:
        answer = pinned.site.ask(replica, "/")
        assert answer.status_code == 400
        assert "No required SSL certificate was sent" in answer.text

    @pytest.mark.parametrize("which", ["ours", "coming"])
    def test_in_scope_each_pinned_leaf_reaches_the_backend(self, pinned: Pinned, replica: ReplicaFacts, which: str) -> None:
        answer = pinned.site.ask(replica, "/shop?a=1", presenting=getattr(pinned, which))
        assert (answer.status_code, answer.content) == (backend.STATUS, backend.expected(IN_SCOPE, "/shop?a=1"))

    def test_in_scope_a_stranger_is_refused(self, pinned: Pinned, replica: ReplicaFacts) -> None:
        assert pinned.site.ask(replica, "/", presenting=pinned.stranger).status_code == 400

    @pytest.mark.parametrize("path", ["/", CHECK])
    @pytest.mark.parametrize("host", [IN_SCOPE, OUT_OF_SCOPE])
    def test_nginx_itself_refuses_an_expired_leaf_everywhere(self, pinned: Pinned, replica: ReplicaFacts, path: str, host: str) -> None:
        answer = pinned.site.ask(replica, path, host=host, presenting=pinned.expired)
        assert answer.status_code == 400
        assert "The SSL certificate error" in answer.text

    @pytest.mark.parametrize(
        "headers", [{}, {"X_Forwarded_Proto": "https"}, {"X_Forwarded_Host": OUT_OF_SCOPE}], ids=["plain", "forged-proto", "forged-host"]
    )
    def test_in_scope_plaintext_is_sent_to_https(self, pinned: Pinned, replica: ReplicaFacts, headers: dict[str, str]) -> None:
        answer = pinned.site.ask_plainly(replica, "/shop", **headers)
        assert (answer.status_code, answer.headers["location"]) == (308, f"https://{IN_SCOPE}/shop")

    def test_out_of_scope_https_needs_no_certificate(self, pinned: Pinned, replica: ReplicaFacts) -> None:
        answer = pinned.site.ask(replica, "/shop", host=OUT_OF_SCOPE)
        assert (answer.status_code, answer.content) == (backend.STATUS, backend.expected(OUT_OF_SCOPE, "/shop"))

    def test_out_of_scope_the_controllers_own_redirect_stays_as_it_is_with_its_bypass(self, pinned: Pinned, replica: ReplicaFacts) -> None:
        assert pinned.site.ask_plainly(replica, "/", host=OUT_OF_SCOPE).status_code == 308
        assert pinned.site.ask_plainly(replica, "/", host=OUT_OF_SCOPE, X_Forwarded_Proto="https").status_code == 200

    def test_the_check_path_answers_everybody(self, pinned: Pinned, replica: ReplicaFacts) -> None:
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

    def test_nobody_climbs_out_of_the_check_path(self, pinned: Pinned, replica: ReplicaFacts) -> None:
        assert pinned.site.ask(replica, f"{CHECK}/%2e%2e/%2e%2e/%2e%2e/secret").status_code == 400

    def test_a_host_that_the_handshake_did_not_name_is_misdirected(self, pinned: Pinned, replica: ReplicaFacts) -> None:
        assert pinned.site.ask(replica, "/", host=IN_SCOPE, sni=OUT_OF_SCOPE, presenting=pinned.ours).status_code == 421

    def test_healthz_answers_on_both_ports_and_an_unknown_host_gets_404(self, pinned: Pinned, replica: ReplicaFacts) -> None:
        assert pinned.site.ask_plainly(replica, "/healthz", host="unknown.example.net").status_code == 200
        assert pinned.site.ask(replica, "/healthz", host="unknown.example.net").status_code == 200
        assert pinned.site.ask(replica, "/", host="unknown.example.net").status_code == 404


def test_the_pod_tells_what_the_chart_makes_it_tell(pinned: Pinned) -> None:
    """Whoever finds replicas reads the ConfigMap's name from arguments with a variable in them, and the ports from flags."""
    announcement = pinned.site.controller.announcement
    for number, replica in enumerate(pinned.site.controller.replicas()):
        pod = pinned.site.pod(replica.pod)
        (container,) = pod["spec"]["containers"]
        assert "--configmap=$(POD_NAMESPACE)/ingress-nginx-controller" in container["args"]
        assert {f"--http-port={announcement.http_port}", f"--https-port={announcement.https_port}"} <= set(container["args"])
        assert {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}} in container[
            "env"
        ]
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
        lambda: all(replica.failures > tries[replica.pod] for replica in pair.controller.replicas()),
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


def test_a_replica_that_starts_on_a_bad_snippet_is_ready_only_when_it_is_repaired(pair: Site) -> None:
    pair.configure({"server-snippet": "no_such_directive on;\n"})
    old, other = pair.controller.replicas()
    new = pair.controller.replace(old.pod)
    assert (new.pod != old.pod, new.address) == (True, old.address)
    until(lambda: pair.controller.replica(new.pod).failures >= 2, within_s=SEEN_WITHIN_S, describe="two failed tries")
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
    times = [datetime.fromisoformat(pair.controller.replica(one.pod).reloads[-1]) for one in (first, second)]
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
    pair.configmap("PATCH", json={"metadata": {"labels": {"team": "edge"}}}, headers={"Content-Type": "application/merge-patch+json"})
    until(
        lambda: all(now.syncs > then.syncs for now, then in zip(pair.controller.replicas(), before, strict=True)),
        within_s=SEEN_WITHIN_S,
        describe="a sync",
    )
    assert [now.reloads for now in pair.controller.replicas()] == [then.reloads for then in before]


def test_a_deleted_configmap_leaves_its_text_with_running_replicas_and_not_with_new_ones(pair: Site) -> None:
    first, second = pair.controller.replicas()
    pair.configmap("DELETE")
    pair.create(ingress("late", "late.example.com"))
    pair.await_answer(first, "late.example.com", 200)
    assert pair.revision(first) == "rev=1"
    pair.controller.replace(second.pod)
    pair.controller.await_ready()
    assert pair.ask_plainly(second, CHECK).status_code == 308


def test_an_ingress_that_verifies_by_itself_refuses_and_follows_its_secret(pair: Site) -> None:
    authority, successor = Authority("clients"), Authority("successor")
    secrets = f"/api/v1/namespaces/{pair.namespace}/secrets"
    data = {"ca.crt": base64.b64encode(authority.pem).decode()}
    pair.plane.http.post(secrets, json={"metadata": {"name": "clients"}, "data": data}).raise_for_status()
    pair.create(ingress("own", "own.example.com", auth_tls_secret=f"{pair.namespace}/clients", auth_tls_verify_client="on"))
    first = pair.controller.replicas()[0]
    pair.await_answer(first, "own.example.com", 400)
    pair.await_answer(first, "own.example.com", 200, presenting=authority.client("somebody"))

    data = {"ca.crt": base64.b64encode(successor.pem).decode()}
    pair.plane.http.put(f"{secrets}/clients", json={"metadata": {"name": "clients"}, "data": data}).raise_for_status()
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
    found = site(plane, "killed")
    with found.controller as controller:
        replicas = controller.replicas()
        masters = [replica.nginx_pid for replica in replicas if replica.nginx_pid is not None]
        workers = [pid for master in masters for pid in children(master)]
        assert len(workers) >= 4
        os.kill(controller.process.pid, 9)
        until(lambda: not any(running(pid) for pid in (*masters, *workers)), within_s=10, describe="every nginx to end")


def test_a_change_made_while_the_api_server_was_away_is_seen_afterwards(tmp_path: Path) -> None:
    """Watches break with the server; the resourceVersions they stood at are good afterwards, or a new list is made."""
    with ControlPlane(with_controller_manager=False) as plane:
        found = site(plane, "outage", config=marker(1))
        with found.controller as controller:
            first = controller.replicas()[0]
            with plane.outage():
                assert found.revision(first) == "rev=1"
            found.configure(marker(2))
            for replica in controller.replicas():
                found.await_revision(replica, 2)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(pid: int) -> bool:
    """Whether it is alive; a zombie that nobody has waited for is not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip() != "" and not state.startswith("Z")
