"""What can go wrong with a replica of the stand-in, turned on by its knobs, and which changes lead to a reload at all.

Slow, hung, cut off, terminating, Ready without endpoints. See facts: ingress-nginx#reloads,
ingress-nginx#starting-pods, ingress-nginx#serial-reloads.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from controller_site import CHECK, IN_SCOPE, SEEN_WITHIN_S, Site, marker, running_pair, site
from sandbox.ingress_nginx import backend
from sandbox.ingress_nginx.launcher import ReplicaFacts
from sandbox.kubernetes.plane import ControlPlane
from sandbox.processes import is_running
from sandbox.served_nginx import ingress
from sandbox.waiting import until

NEVER_S = 86_400.0


@pytest.fixture
def pair(plane: ControlPlane) -> Iterator[Site]:
    with running_pair(plane, "replicas") as running:
        yield running


def gets_no_answer(replica: ReplicaFacts) -> bool:
    """It accepts a connection and then says nothing."""
    host, port = replica.http.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET {CHECK} HTTP/1.1\r\nHost: {IN_SCOPE}\r\n\r\n".encode())
        connection.settimeout(1)
        try:
            return connection.recv(1) == b""
        except TimeoutError:
            return True


@contextlib.contextmanager
def half_a_request(replica: ReplicaFacts) -> Iterator[None]:
    """A visitor who has begun to ask: the worker that listens to him does not end before he has finished."""
    host, port = replica.http.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        yield


def test_a_key_that_the_controller_knows_reloads_and_another_does_not(pair: Site) -> None:
    before = pair.controller.replicas()
    pair.configure({**marker(1), "no-such-key": "1"})
    pair.await_sync(before)
    assert [now.reloads for now in pair.controller.replicas()] == [then.reloads for then in before]
    pair.configure({**marker(1), "gzip-level": "5"})
    until(
        lambda: all(
            len(now.reloads) == len(then.reloads) + 1
            for now, then in zip(pair.controller.replicas(), before, strict=True)
        ),
        within_s=SEEN_WITHIN_S,
        describe="a reload of each",
    )


def test_an_ingress_that_is_too_risky_stays_out_until_it_is_changed_itself(pair: Site) -> None:
    risky = ingress("risky", "risky.example.com", configuration_snippet="return 204;")
    pair.create(risky)
    pair.create(ingress("late", "late.example.com"))
    first = pair.controller.replicas()[0]
    pair.await_answer(first, "late.example.com", backend.STATUS)
    assert pair.ask(first, "/", host="risky.example.com").status_code == 404

    pair.configure(
        {**marker(2), "allow-snippet-annotations": "true", "annotations-risk-level": "Critical"}
    )
    pair.await_revision(first, 2)
    assert pair.ask(first, "/", host="risky.example.com").status_code == 404
    pair.label_ingress("risky")
    pair.await_answer(first, "risky.example.com", 204)

    pair.configure(marker(3))
    pair.await_revision(first, 3)
    pair.await_answer(first, "risky.example.com", backend.STATUS)


def test_serial_reloads_make_a_sync_an_error_while_an_old_worker_drains(pair: Site) -> None:
    """No text is bad, and still there is a Warning, a failure and a delay (facts: ingress-nginx#serial-reloads)."""
    first = pair.controller.replicas()[0]
    with half_a_request(first):
        pair.configure({**marker(2), "enable-serial-reloads": "true"})
        pair.await_revision(first, 2)
        pair.configure({**marker(3), "enable-serial-reloads": "true"})
        assert "worker reload already in progress, requeuing reload" in pair.await_event(
            first, "Warning"
        )
        assert pair.controller.replica(first.pod).failures >= 1
        assert pair.revision(first) == "rev=2"
    pair.await_revision(first, 3)
    assert pair.controller.replica(first.pod).last_error is None


def test_a_controller_is_slow_everywhere_and_in_replicas_to_come(pair: Site) -> None:
    pair.controller.turn(reload_lag_s=2.0)
    third = pair.controller.add()
    assert {one.reload_lag_s for one in pair.controller.replicas()} == {2.0}
    assert pair.controller.replica(third.pod).reload_lag_s == 2.0
    pair.controller.turn(third.pod, reload_lag_s=0.0)
    assert [one.reload_lag_s for one in pair.controller.replicas()] == [2.0, 2.0, 0.0]
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        pair.controller.turn(hangs=True)


def test_an_nginx_that_is_slow_to_load_runs_the_old_text_after_the_event(pair: Site) -> None:
    first, second = pair.controller.replicas()
    pair.controller.turn(first.pod, load_lag_s=3.0)
    pair.configure(marker(2))
    pair.await_revision(second, 2)
    pair.await_revision(first, 2)
    seen = datetime.now(UTC)
    assert (
        seen - datetime.fromisoformat(pair.controller.replica(first.pod).reloads[-1])
    ).total_seconds() > 2.9


def test_a_replica_is_ready_before_it_has_endpoints(pair: Site) -> None:
    """Its own answers come, and the application's do not."""
    first = pair.controller.replicas()[0]
    pair.controller.turn(endpoints_lag_s=NEVER_S)
    without = pair.controller.replace(first.pod)
    pair.controller.await_ready()
    until(
        lambda: pair.is_ready(without), within_s=SEEN_WITHIN_S, describe="the Pod's Ready condition"
    )
    assert (pair.ask(without, "/").status_code, pair.ask(without, CHECK).status_code) == (503, 200)

    pair.controller.turn(endpoints_lag_s=0.1)
    late = pair.controller.replace(without.pod)
    pair.controller.await_ready()
    pair.await_answer(late, IN_SCOPE, backend.STATUS)


def test_a_hung_replica_accepts_and_never_answers_until_it_goes_on(pair: Site) -> None:
    first, second = pair.controller.replicas()
    with pair.controller.hung(first.pod):
        assert gets_no_answer(first)
        assert pair.is_ready(first)
        pair.configure(marker(2))
        pair.await_revision(second, 2)
        until(
            lambda: len(pair.controller.replica(first.pod).reloads) == 2,
            within_s=SEEN_WITHIN_S,
            describe="the order to reload",
        )
        assert gets_no_answer(first)
    pair.await_revision(first, 2)


def test_a_replica_that_is_cut_off_is_not_ready_and_serves_what_it_has(pair: Site) -> None:
    first, second = pair.controller.replicas()
    with pair.controller.cut_off(first.pod):
        until(
            lambda: not pair.is_ready(first),
            within_s=SEEN_WITHIN_S,
            describe="the Pod to be NotReady",
        )
        pair.configure(marker(2))
        pair.create(ingress("late", "late.example.com"))
        pair.await_revision(second, 2)
        pair.await_answer(second, "late.example.com", backend.STATUS)
        assert pair.revision(first) == "rev=1"
        assert pair.ask(first, "/").status_code == backend.STATUS
        assert pair.ask(first, "/", host="late.example.com").status_code == 404
        assert pair.controller.replica(first.pod).reloads == first.reloads
    pair.await_revision(first, 2)
    pair.await_answer(first, "late.example.com", backend.STATUS)
    until(
        lambda: pair.is_ready(first), within_s=SEEN_WITHIN_S, describe="the Pod to be Ready again"
    )


def test_a_replica_may_be_unready_and_nothing_else(pair: Site) -> None:
    first = pair.controller.replicas()[0]
    with pair.controller.turned(first.pod, unready=True):
        until(
            lambda: not pair.is_ready(first),
            within_s=SEEN_WITHIN_S,
            describe="the Pod to be NotReady",
        )
        pair.configure(marker(2))
        pair.await_revision(first, 2)
    until(
        lambda: pair.is_ready(first), within_s=SEEN_WITHIN_S, describe="the Pod to be Ready again"
    )


def test_a_terminating_replica_serves_and_follows_until_it_is_removed(pair: Site) -> None:
    first = pair.controller.replicas()[0]
    pair.controller.terminate(first.pod, grace_s=NEVER_S)
    assert "deletionTimestamp" in pair.pod(first.pod)["metadata"]
    assert pair.controller.replica(first.pod).terminating
    pair.configure(marker(2))
    pair.await_revision(first, 2)
    assert pair.ask(first, "/").status_code == backend.STATUS
    pair.controller.remove(first.pod)
    assert gone(pair, first)


def test_a_terminating_replica_ends_with_its_grace_period(pair: Site) -> None:
    first = pair.controller.replicas()[0]
    pair.controller.terminate(first.pod, grace_s=1)
    until(lambda: gone(pair, first), within_s=SEEN_WITHIN_S, describe="the Pod to be gone")
    with pytest.raises(httpx.ConnectError):
        pair.ask(first, "/")


def gone(pair: Site, replica: ReplicaFacts) -> bool:
    return (
        pair.plane.http.get(f"/api/v1/namespaces/{pair.namespace}/pods/{replica.pod}").status_code
        == 404
    )


def test_a_hung_nginx_does_not_outlive_a_stand_in_that_is_killed(plane: ControlPlane) -> None:
    """It takes no signal while it is stopped, so somebody has to let it go on."""
    with site(plane, "killed-hung").controller as controller:
        replicas = controller.replicas()
        controller.turn(hung=True)
        masters = [replica.nginx_pid for replica in replicas if replica.nginx_pid is not None]
        os.kill(controller.process.pid, 9)
        until(
            lambda: not any(is_running(pid) for pid in masters),
            within_s=10,
            describe="every nginx to end",
        )
