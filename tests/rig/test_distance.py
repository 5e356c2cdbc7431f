"""The way between edge and origin: what it delays, what it loses, and what of that the visitors' report shows."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.distance import Distance
from sandbox.ingress_nginx import backend, programs
from sandbox.load import Destination, LoadPlan, LoadThread
from sandbox.ports import free_port
from sandbox.served_nginx import ServedNginx, ingress
from sandbox.waiting import until

ROUND_TRIP_S = 0.4
HOSTS = ("example.com", "www.example.com")


class Echo:
    """Says back whatever one peer says, until `hang_up`; keeps what it heard."""

    def __init__(self) -> None:
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            self._peer, _ = self._listener.accept()
            while heard := self._peer.recv(65536):
                self.heard += heard
                self._peer.sendall(heard)

    def hang_up(self) -> None:
        """Close both ways at once, as nginx does with idle connections at a reload."""
        assert self._peer is not None
        self._peer.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._peer.close()

    def close(self) -> None:
        self._listener.close()
        if self._peer is not None:
            self._peer.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as running:
        yield running


@pytest.fixture(scope="module")
def distance() -> Iterator[Distance]:
    with Distance(ROUND_TRIP_S) as made:
        yield made


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_an_answer_takes_the_way_there_and_back(distance: Distance, echo: Echo) -> None:
    with connect(distance.to("127.0.0.1", echo.port)) as peer:
        asked_s = time.monotonic()
        peer.sendall(b"hello")
        assert peer.recv(5) == b"hello"
        assert time.monotonic() - asked_s >= ROUND_TRIP_S


def test_everything_arrives_in_order(distance: Distance, echo: Echo) -> None:
    sent = b"".join(b"%06d" % number for number in range(20_000))
    with connect(distance.to("127.0.0.1", echo.port)) as peer:
        for begin in range(0, len(sent), 601):
            peer.sendall(sent[begin : begin + 601])
        heard = b""
        while len(heard) < len(sent):
            heard += peer.recv(65536)
    assert heard == sent


def test_what_is_sent_while_a_goodbye_is_under_way_is_lost(distance: Distance, echo: Echo) -> None:
    with connect(distance.to("127.0.0.1", echo.port)) as peer:
        peer.sendall(b"first")
        assert peer.recv(5) == b"first"
        hung_up_s = time.monotonic()
        echo.hang_up()
        peer.sendall(b"second")
        with suppress(ConnectionError):
            assert peer.recv(6) == b""
        assert time.monotonic() - hung_up_s >= ROUND_TRIP_S / 2
    assert echo.heard == b"first"


def test_a_goodbye_of_the_visitor_arrives(distance: Distance, echo: Echo) -> None:
    with connect(distance.to("127.0.0.1", echo.port)) as peer:
        peer.sendall(b"bye")
        assert peer.recv(3) == b"bye"
    echo._thread.join(20)
    assert not echo._thread.is_alive()


def test_a_connection_that_the_origin_refuses_breaks_off(distance: Distance) -> None:
    with connect(distance.to("127.0.0.1", free_port())) as peer, suppress(ConnectionError):
        assert peer.recv(1) == b""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[ServedNginx]:
    address = f"127.0.0.1:{free_port()}"
    application = backend.start(
        programs.find(), tmp_path / "backend", address, user=None, connections=256
    )
    try:
        with ServedNginx(
            tmp_path / "replica", [ingress("web", *HOSTS, tls=False)], backend=address
        ) as nginx:
            yield nginx
    finally:
        application.kill()


def test_reloads_lose_posts_and_no_gets(
    distance: Distance, origin: ServedNginx, tmp_path: Path
) -> None:
    """Reloads of an unchanged text, which are nobody's fault: what the operator is not to be blamed for, and what has to be shown all the same."""
    place = origin.place
    far = (
        place.address,
        distance.to(place.address, place.https_port),
        distance.to(place.address, place.http_port),
    )
    with CloudflareDouble(tmp_path / "cloudflare", [far]) as double:
        double.control.change_zone(ssl="flexible")
        plan = LoadPlan(
            hosts=HOSTS,
            locations=[Destination(one.code, one.https) for one in double.locations],
            expected=backend.expected,
            ca_files=[double.edge_ca_file],
            rate_per_s=30.0,
            post_rate_per_s=30.0,
        )
        with LoadThread(plan) as load:
            until(
                lambda: load.report().post.ok > 30,
                within_s=30,
                describe=lambda: f"POSTs; {load.report()}",
            )

            def lost_at_a_reload() -> bool:
                os.kill(origin.pid, signal.SIGHUP)
                return load.report().post.lost > 0

            until(
                lost_at_a_reload,
                within_s=60,
                every_s=1.0,
                describe=lambda: f"a POST to be lost; {load.report()}",
            )
            report = load.stop()
    assert report.unfailing, str(report)
    assert not report.flawless
    assert {one.status for one in report.losses} == {520}
