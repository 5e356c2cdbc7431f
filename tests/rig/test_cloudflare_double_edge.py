"""The double's edge is a real TLS proxy in front of a real nginx: what nginx sees of the certificate is what the API's state says, as far as it got."""

from __future__ import annotations

import http.client
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.echo_origin import EchoOrigin
from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.waiting import until

ORIGIN_CA = Authority.new("Origin CA")
AUTHORITY = Authority.new("example.com")
LOCATIONS = {"FRA": 0.0, "AMS": 0.0, "IAD": 0.0}
TLS13, TLS12 = "FRA", "AMS"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoOrigin]:
    with EchoOrigin(tmp_path_factory.mktemp("origin"), ORIGIN_CA) as running:
        (running.folder / "files" / "big").write_bytes(bytes(range(256)) * 12_000)
        yield running


@pytest.fixture(scope="module")
def double(
    tmp_path_factory: pytest.TempPathFactory, origin: EchoOrigin
) -> Iterator[CloudflareDouble]:
    folder = tmp_path_factory.mktemp("cloudflare")
    ca_file = folder / "origin-ca.pem"
    ca_file.write_text(ORIGIN_CA.pem)
    with CloudflareDouble(
        folder, [origin.place], locations=LOCATIONS, origin_ca_file=ca_file
    ) as running:
        running.control.turn(deploy_s=0, delete_s=0)
        yield running


@pytest.fixture(autouse=True)
def as_at_the_start(double: CloudflareDouble) -> Iterator[None]:
    """No faults, default locations, counters at nothing."""
    before = {
        location["code"]: location["knobs"] for location in double.control.ask("GET", "/locations")
    }
    double.control.ask("DELETE", "/counters")
    yield
    double.control.mend()
    for code, knobs in before.items():
        double.control.turn_location(code, **knobs)


@pytest.fixture
def zone(double: CloudflareDouble, origin: EchoOrigin) -> str:
    """The name of a new zone in front of nginx: no connection, session or certificate of another test is in its way."""
    name = f"z{next(_numbers)}.example.org"
    double.control.make_zone(name, origins=[as_order(origin.place)])
    return name


class EdgeVisitor:
    """A visitor who resolves every name to one location."""

    def __init__(self, double: CloudflareDouble, code: str) -> None:
        at = next(location for location in double.locations if location.code == code)
        self.code = code
        self._addresses = {"https": at.https, "http": at.http}
        self._http = httpx.Client(
            verify=ssl.create_default_context(cafile=double.edge_ca_file),
            trust_env=False,
            timeout=10,
        )

    def close(self) -> None:
        self._http.close()

    def ask(
        self, host: str, path: str = "/", *, scheme: str = "https", method: str = "GET", **more: Any
    ) -> httpx.Response:
        headers = {"host": host, **more.pop("headers", {})}
        url = f"{scheme}://{self._addresses[scheme]}{path}"
        return self._http.request(
            method, url, headers=headers, extensions={"sni_hostname": host}, **more
        )

    def seen(self, host: str, **more: Any) -> dict[str, str]:
        """What nginx says that the request came with."""
        answer = self.ask(host, **more)
        assert answer.status_code == 200, answer.text
        echoed: dict[str, str] = answer.json()
        return echoed


@pytest.fixture
def edge(double: CloudflareDouble) -> Iterator[Callable[[str], EdgeVisitor]]:
    with ExitStack() as stack:
        yield lambda code: stack.enter_context(closing(EdgeVisitor(double, code)))


def as_order(place: tuple[str, int, int]) -> dict[str, Any]:
    return dict(zip(("address", "https_port", "http_port"), place, strict=True))


def upload(double: CloudflareDouble, zone: str) -> Any:
    """A certificate in the zone, active at once; the zone is enabled."""
    leaf = AUTHORITY.client(f"www.{zone}")
    double.control.change_zone(zone, enabled=True)
    return double.control.upload(zone, certificate=leaf.pem, private_key=leaf.key_pem)


@contextmanager
def raw_origin(serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, int, int]]:
    """A listener whose every connection is handed to `serve` and closed after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        port = listener.getsockname()[1]
        yield "127.0.0.1", port, port
        listener.shutdown(socket.SHUT_RDWR)


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(4096)
        if not got:
            return b""
        head += got
    return head


def test_nginx_sees_what_the_state_says_level_by_level(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    double.control.turn_location(resume=False, requests_per_connection=1)
    visitor, host, own_host = edge(TLS13), f"www.{zone}", f"own.{zone}"
    shared = double.control.state()["shared"]["sha1"]
    assert visitor.seen(host)["presented"] == ""
    double.control.change_zone(zone, global_aop="on")
    assert visitor.seen(host)["presented"] == shared
    ours = upload(double, zone)
    assert visitor.seen(host)["presented"] == ours["sha1"]
    double.control.associate(own_host, zone, enabled=True, issue={"common_name": own_host})
    own = double.control.zone(zone)["hostname_certificates"][0]["sha1"]
    assert (visitor.seen(own_host)["presented"], visitor.seen(host)["presented"]) == (
        own,
        ours["sha1"],
    )
    double.control.associate(own_host, zone, enabled=False)
    assert visitor.seen(own_host)["presented"] == ""
    newer = upload(double, zone)
    assert visitor.seen(host)["presented"] == newer["sha1"]
    double.control.delete(newer["id"], zone)
    assert visitor.seen(host)["presented"] == ours["sha1"]
    double.control.change_zone(zone, enabled=False)
    assert visitor.seen(host)["presented"] == shared


def test_an_expired_certificate_is_presented_and_its_400_passed_on(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    double.control.change_zone(zone, enabled=True)
    double.control.upload(
        zone, issue={"not_before": "2020-01-01T00:00:00Z", "not_after": "2021-01-01T00:00:00Z"}
    )
    answer = edge(TLS13).ask(f"www.{zone}")
    assert answer.status_code == 400
    assert "SSL certificate error" in answer.text


def test_state_reaches_each_location_after_its_own_delay(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    double.control.turn_location(resume=False, requests_per_connection=1)
    double.control.turn_location("AMS", propagation_s=3600)
    double.control.turn_location("IAD", propagation_s=1)
    visitors, host = [edge(code) for code in LOCATIONS], f"www.{zone}"
    ours = upload(double, zone)
    assert visitors[0].seen(host)["presented"] == ours["sha1"]
    until(
        lambda: visitors[2].seen(host)["presented"] == ours["sha1"],
        within_s=10,
        describe="IAD to present the certificate",
    )
    assert visitors[1].seen(host)["presented"] == ""
    assert [one["level"] for one in double.control.presented(host).values()] == [
        "zone",
        "none",
        "zone",
    ]
    double.control.turn_location("AMS", propagation_s=0)
    assert visitors[1].seen(host)["presented"] == ours["sha1"]


def test_kept_alive_connections_go_on_with_the_old_certificate(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    visitor, host = edge(TLS13), f"www.{zone}"
    first = visitor.seen(host)
    ours = upload(double, zone)
    second = visitor.seen(host)
    assert (second["connection"], second["presented"], second["nth"]) == (
        first["connection"],
        "",
        "2",
    )
    assert visitor.seen(f"api.{zone}")["presented"] == ours["sha1"], (
        "another hostname has a pool of its own"
    )
    assert edge(TLS12).seen(host)["presented"] == ours["sha1"], "so has another location"


def _as_seen(one: dict[str, str]) -> tuple[str, str]:
    """Whether a session was resumed, and what was presented."""
    return one["resumed"], one["presented"]


@pytest.mark.parametrize("code", [TLS13, TLS12])
def test_sessions_are_resumed_across_a_change_of_the_certificate(
    double: CloudflareDouble,
    zone: str,
    edge: Callable[[str], EdgeVisitor],
    origin: EchoOrigin,
    code: str,
) -> None:
    """A resumed session shows the origin the certificate of its first handshake: none after we present one, and ours after we no longer do."""
    double.control.turn_location(requests_per_connection=1)
    visitor, host = edge(code), f"www.{zone}"
    assert visitor.seen(host)["resumed"] == "."
    ours = upload(double, zone)
    stale = [visitor.seen(host) for _ in range(4)]
    assert {_as_seen(one) for one in stale} == {("r", "")}
    assert len({one["connection"] for one in stale}) == 4
    assert {one["protocol"] for one in stale} == {"TLSv1.3" if code == TLS13 else "TLSv1.2"}
    origin.flush_sessions(f"{code}1")
    until(
        lambda: _as_seen(visitor.seen(host)) == ("r", ours["sha1"]),
        within_s=10,
        describe="nginx to have forgotten the sessions, and the edge to have one of after that",
    )
    double.control.change_zone(zone, enabled=False)
    assert _as_seen(visitor.seen(host)) == ("r", ours["sha1"])
    handshakes = double.control.counters()[code]["handshakes"]
    assert (handshakes["resumed"] >= 5, handshakes["full"] >= 2) == (True, True)
    double.control.turn_location(resume=False)
    assert visitor.seen(host)["presented"] == ""


def test_connections_are_reused_until_the_origin_or_a_knob_ends_them(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    visitor, host = edge(TLS13), f"www.{zone}"
    assert [visitor.seen(host)["nth"] for _ in range(5)] == [str(nth) for nth in range(1, 6)]
    double.control.turn_location(requests_per_connection=5)
    visitor.seen(host)
    assert visitor.seen(host)["nth"] == "1"
    counters = double.control.counters()[TLS13]
    assert (counters["connections"], counters["origin_requests"]) == (2, 7)
    assert counters["requests_per_finished_connection"] == {"6": 1}
    assert counters["answers"] == {"https 200": 7}
    assert counters["presented"] == {"none": 2}


def test_an_idle_connection_that_the_origin_closed_is_not_used_again(tmp_path: Path) -> None:
    """At an edge of its own, where no connection of another test is open."""
    with (
        EchoOrigin(tmp_path / "brief", ORIGIN_CA, keepalive_s=1) as brief,
        CloudflareDouble(tmp_path / "own", [brief.place]) as double,
    ):
        counters = double.control.counters
        with closing(EdgeVisitor(double, TLS13)) as visitor:
            visitor.seen("www.example.com")
            until(
                lambda: counters()[TLS13]["open_connections"] == 0,
                within_s=10,
                describe="nginx to close the idle connection",
            )
            assert visitor.seen("www.example.com")["nth"] == "1"
        assert counters()[TLS13]["retries_on_reused"] == 0


def test_both_replicas_are_asked(
    double: CloudflareDouble,
    tmp_path: Path,
    zone: str,
    origin: EchoOrigin,
    edge: Callable[[str], EdgeVisitor],
) -> None:
    double.control.turn_location(requests_per_connection=1)
    with EchoOrigin(tmp_path / "two", ORIGIN_CA, name="two") as other:
        double.control.change_zone(zone, origins=[as_order(origin.place), as_order(other.place)])
        visitor = edge(TLS13)
        assert {visitor.seen(f"www.{zone}")["replica"] for _ in range(40)} == {"one", "two"}
    replicas = {visitor.ask(f"www.{zone}").status_code for _ in range(40)}
    assert replicas == {200, 521}


def ignored(_: object) -> None:
    """For a lambda that only waits."""


def one_answer_then_close(connection: socket.socket) -> None:
    if read_head(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        read_head(connection)


def test_a_get_is_repeated_once_when_a_reused_connection_closes_unanswered_and_nothing_else_is(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    host, visitor = f"www.{zone}", edge(TLS13)
    with raw_origin(one_answer_then_close) as place:
        double.control.change_zone(zone, ssl="flexible", origins=[as_order(place)])
        first, second = visitor.ask(host), visitor.ask(host)
        assert (first.text, second.text) == ("ok", "ok")
        counters = double.control.counters()[TLS13]
        assert (
            counters["retries_on_reused"],
            counters["connections"],
            counters["origin_requests"],
        ) == (1, 2, 3)
        posted = visitor.ask(host, method="POST", content=b"once")
        assert posted.status_code == 520
        assert double.control.counters()[TLS13]["retries_on_reused"] == 1
        assert visitor.ask(host).status_code == 200, "a fresh connection again"
        assert visitor.ask(host, method="GET", content=b"a body").status_code == 520, (
            "a GET with a body is not repeated"
        )


def test_a_fresh_connection_that_closes_unanswered_is_520_and_not_tried_again(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    answer = edge(TLS13).ask(f"www.{zone}", "/close")
    assert answer.status_code == 520
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["server"] == "cloudflare"
    counters = double.control.counters()[TLS13]
    assert (counters["origin_requests"], counters["retries_on_reused"], counters["answers"]) == (
        1,
        0,
        {"https 520": 1},
    )
    assert len(counters["problems"]) == 1


def test_a_400_of_the_origin_is_passed_on(zone: str, edge: Callable[[str], EdgeVisitor]) -> None:
    answer = edge(TLS13).ask(f"www.{zone}", "/refused")
    assert (answer.status_code, answer.text) == (400, "no required certificate")


def test_a_server_that_demands_a_certificate_in_the_handshake_gives_525_before_and_520_from_tls_13_on(
    double: CloudflareDouble, zone: str, tmp_path: Path, edge: Callable[[str], EdgeVisitor]
) -> None:
    leaf = ORIGIN_CA.server(["example.com"])
    (tmp_path / "server.pem").write_text(leaf.key_pem + leaf.pem)
    (tmp_path / "clients.pem").write_text(AUTHORITY.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "clients.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "server.pem")

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            read_head_tls = secure.recv(4096)
            assert read_head_tls
            secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with raw_origin(serve) as place:
        double.control.change_zone(zone, origins=[as_order(place)])
        assert edge(TLS12).ask(f"www.{zone}").status_code == 525
        assert edge(TLS13).ask(f"www.{zone}").status_code == 520
        assert double.control.counters()[TLS12]["handshakes"]["failed"] == 1
        upload(double, zone)
        assert [edge(code).ask(f"www.{zone}").status_code for code in (TLS12, TLS13)] == [200, 200]


def test_origins_that_do_not_answer_have_cloudflares_statuses(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    double.control.turn_location(connect_timeout_s=0.3, response_timeout_s=0.3)
    visitor, host = edge(TLS13), f"www.{zone}"
    silence = threading.Event()
    statuses = {}
    with raw_origin(lambda connection: connection.close()) as place:
        double.control.change_zone(zone, origins=[as_order(place)])
        statuses["closes in the handshake"] = visitor.ask(host).status_code
    with raw_origin(lambda _: ignored(silence.wait(10))) as place:
        double.control.change_zone(zone, origins=[as_order(place)])
        statuses["no handshake"] = visitor.ask(host).status_code
        statuses["no answer"] = visitor.ask(host, scheme="http").status_code
        silence.set()
    statuses["refused"] = visitor.ask(host).status_code
    with raw_origin(lambda connection: connection.sendall(b"what?\r\n\r\n")) as place:
        double.control.change_zone(zone, origins=[as_order(place)])
        statuses["no HTTP"] = visitor.ask(host, scheme="http").status_code
    double.control.change_zone(zone, origins=[])
    statuses["no origin"] = visitor.ask(host).status_code
    assert statuses == {
        "closes in the handshake": 525,
        "no handshake": 525,
        "no answer": 524,
        "refused": 521,
        "no HTTP": 520,
        "no origin": 530,
    }


def test_an_answer_that_breaks_off_is_broken_off_towards_the_visitor(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot all")

    with raw_origin(serve) as place:
        double.control.change_zone(zone, origins=[as_order(place)])
        with pytest.raises(httpx.TransportError):
            edge(TLS13).ask(f"www.{zone}", scheme="http")


def test_full_strict_verifies_the_server_and_full_does_not(
    double: CloudflareDouble, tmp_path: Path, edge: Callable[[str], EdgeVisitor]
) -> None:
    with EchoOrigin(tmp_path / "stranger", Authority.new("Nobody's CA")) as stranger:
        double.control.change_zone(
            ssl="strict", host_origins={"stranger.example.com": [as_order(stranger.place)]}
        )
        visitor = edge(TLS13)
        names = ("good.example.com", "stranger.example.com", "not.covered.example.com")
        assert [visitor.ask(name).status_code for name in names] == [200, 526, 526]
        double.control.change_zone(ssl="full")
        assert [visitor.ask(name).status_code for name in names] == [200, 200, 200]


@pytest.mark.parametrize(
    ("mode", "of_https", "of_http"),
    [
        ("full", "https", "http"),
        ("strict", "https", "http"),
        ("flexible", "http", "http"),
        ("off", "http", "http"),
        ("origin_pull", "https", "https"),
    ],
)
def test_the_ssl_mode_decides_on_which_port_the_origin_is_asked(
    double: CloudflareDouble,
    edge: Callable[[str], EdgeVisitor],
    mode: str,
    of_https: str,
    of_http: str,
) -> None:
    double.control.change_zone(ssl=mode)
    visitor, host = edge(TLS13), f"{mode.replace('_', '-')}.example.com"
    assert (visitor.seen(host)["scheme"], visitor.seen(host, scheme="http")["scheme"]) == (
        of_https,
        of_http,
    )
    assert visitor.seen(host, scheme="http")["proto"] == "http"
    double.control.change_zone(ssl="full")


def test_headers_are_as_cloudflare_sets_them(zone: str, edge: Callable[[str], EdgeVisitor]) -> None:
    host = f"www.{zone}"
    answer = edge("IAD").ask(
        host,
        headers={
            "x-forwarded-for": "192.0.2.1",
            "te": "trailers",
            "cf-connecting-ip": "192.0.2.66",
        },
    )
    seen = answer.json()
    assert answer.headers.get_list("server") == ["cloudflare"]
    ray, _, location = answer.headers["cf-ray"].partition("-")
    assert (len(ray), location) == (16, "IAD")
    assert seen["ray"] == answer.headers["cf-ray"]
    assert (seen["host"], seen["sni"]) == (host, host)
    assert (seen["visitor"], seen["proto"], seen["for"], seen["te"]) == (
        "127.0.0.1",
        "https",
        "192.0.2.1, 127.0.0.1",
        "",
    )


def test_bodies_pass_whole_in_both_directions(
    zone: str, origin: EchoOrigin, edge: Callable[[str], EdgeVisitor]
) -> None:
    visitor, host = edge(TLS13), f"www.{zone}"
    big = (origin.folder / "files" / "big").read_bytes()
    assert visitor.ask(host, "/files/big").content == big
    head = visitor.ask(host, "/files/big", method="HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(big)))
    assert visitor.ask(host, "/upload", method="POST", content=big).json()["length"] == str(
        len(big)
    )
    chunked = visitor.ask(
        host,
        "/upload",
        method="POST",
        content=iter([big[:1000], big[1000:]]),
        headers={"expect": "100-continue"},
    )
    assert chunked.json()["length"] == str(len(big)), (
        "nginx buffers a chunked body and passes it on with its length"
    )
    assert visitor.seen(host)["nth"] == "5", "and the connection to the origin is kept"


def test_names_that_are_not_served_get_a_page_or_no_handshake(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    visitor = edge(TLS13)
    double.control.change_zone(zone, dns_only=[f"direct.{zone}"])
    assert visitor.ask("www.example.net", scheme="http").status_code == 409
    with pytest.raises(httpx.ConnectError):
        visitor.ask("www.example.net")
    upload(double, zone)
    grey = visitor.ask(f"direct.{zone}")
    assert (grey.status_code, grey.text) == (409, "error code: 1001")
    assert visitor.ask(f"www.{zone}").status_code == 200
    assert {one["level"] for one in double.control.presented(f"direct.{zone}").values()} == {"none"}
    resolved = double.control.ask("GET", f"/dns/direct.{zone}")
    assert (resolved["proxied"], len(resolved["origins"])) == (False, 1)


@pytest.mark.parametrize(
    ("answer", "status"), [(403, 403), (429, 429), (520, 520), ("challenge", 403)]
)
def test_a_location_can_answer_for_the_origin_on_chosen_paths(
    double: CloudflareDouble,
    zone: str,
    edge: Callable[[str], EdgeVisitor],
    answer: object,
    status: int,
) -> None:
    host = f"www.{zone}"
    double.control.break_edge(
        location="FRA",
        host=host,
        path="/.well-known/*",
        answer=answer,
        headers={"x-fault": "on purpose"},
    )
    hit = edge("FRA").ask(host, "/.well-known/check?n=1")
    assert (hit.status_code, hit.headers["x-fault"]) == (status, "on purpose")
    assert ("cf-mitigated" in hit.headers) is (answer == "challenge")
    assert edge("FRA").ask(host, "/").status_code == 200
    assert edge("AMS").ask(host, "/.well-known/check").status_code == 200
    double.control.mend()
    assert edge("FRA").ask(host, "/.well-known/check").status_code == 200


def test_a_location_can_leave_visitors_without_an_answer(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    double.control.break_edge(location="FRA", answer="timeout", count=1)
    with pytest.raises(httpx.ReadTimeout):
        edge("FRA").ask(f"www.{zone}", timeout=0.3)
    assert edge("FRA").ask(f"www.{zone}").status_code == 200


def test_a_location_can_present_something_else_than_the_api_says(
    double: CloudflareDouble, zone: str, edge: Callable[[str], EdgeVisitor]
) -> None:
    double.control.turn_location(resume=False, requests_per_connection=1)
    host, other_host = f"www.{zone}", f"api.{zone}"
    ours = upload(double, zone)
    state = double.control.state()
    for word, sha1 in (
        ("nothing", ""),
        ("foreign", state["foreign"]["sha1"]),
        ("shared", state["shared"]["sha1"]),
    ):
        double.control.turn_location("FRA", presents={host: word})
        assert edge("FRA").seen(host)["presented"] == sha1
        assert edge("FRA").seen(other_host)["presented"] == ours["sha1"]
        assert edge("AMS").seen(host)["presented"] == ours["sha1"]
    assert double.control.zone(zone)["certificates"][0]["status"] == "active"
    double.control.turn_location("FRA", presents={"*": "nothing"})
    assert edge("FRA").seen(other_host)["presented"] == ""


def test_visitors_keep_their_connections_and_resume_their_sessions(
    double: CloudflareDouble, zone: str
) -> None:
    context = ssl.create_default_context(cafile=double.edge_ca_file)
    address, _, port = double.locations[0].https.partition(":")
    session: ssl.SSLSession | None = None
    reused = []
    for _ in range(2):
        with ExitStack() as stack:
            plain = stack.enter_context(socket.create_connection((address, int(port)), timeout=5))
            secure = stack.enter_context(
                context.wrap_socket(plain, server_hostname=f"www.{zone}", session=session)
            )
            reused.append(secure.session_reused)
            for _ in range(3):
                secure.sendall(f"GET / HTTP/1.1\r\nhost: www.{zone}\r\n\r\n".encode())
                answer = http.client.HTTPResponse(secure)
                answer.begin()
                assert (answer.status, bool(answer.read())) == (200, True)
            session = secure.session
    assert reused == [False, True]
