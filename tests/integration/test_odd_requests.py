"""Requests that name a required host oddly, or several hosts at once: a stranger gets its content from no server by any of them."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from aop.origins.gateway_api.envoy import EnvoyDialect
from aop.origins.rules import rules_of
from aop.origins.workload.apache import ApacheDialect
from aop.origins.workload.caddy import CaddyDialect
from aop.origins.workload.dialect import Dialect
from aop.origins.workload.haproxy import HaproxyDialect
from aop.origins.workload.nginx import NginxDialect
from aop.origins.workload.traefik import TraefikDialect
from aop.pki import throwaway
from aop.terms import Claim, Mode
from identities import file_of
from origin_kinds.ground import ORG, TOKEN
from sandbox import debian
from sandbox.plain_apache import PlainApache
from sandbox.plain_caddy import PlainCaddy
from sandbox.plain_envoy import PlainEnvoy
from sandbox.plain_haproxy import PlainHaproxy
from sandbox.plain_nginx import PlainNginx
from sandbox.plain_server import SITE_PATH, PlainServer
from sandbox.plain_traefik import PlainTraefik
from sandbox.text_nginx import client_context

WWW, SHOP, ALONE = "www.example.com", "www.example.org", "www.example.net"
"""Required; required, of another zone; and of no zone of ours."""
OURS, OTHERS = throwaway(datetime.now(UTC)), throwaway(datetime.now(UTC))
SNI = (WWW, ALONE, SHOP, None)
AT_ONCE = 8
WITHIN_S = 2.0
"""For an answer; a server that says nothing to an odd request, and does not close, has said nothing."""


def routed(host: str) -> str:
    """The ways in which users of HAProxy tell a host, and in which an application behind it may."""
    ways = (
        f"hdr(host) -i {host}",
        f"req.hdr(host),field(1,:),lower -m str {host}",
        f"req.hdr(host),host_only,lower -m str {host}",
        f"req.fhdr(host) -m reg -i ^{host}(:[0-9]+)?$",
        f"base,field(1,/),field(1,:) -m str -i {host}",
        f"url -m reg -i ^https?://([^/@]*@)?{host}(:[0-9]*)?/",
    )
    answer = f'return status 200 content-type text/plain string "site={host}"'
    return "\n    ".join(
        f"http-request {answer} if {{ path_end {SITE_PATH} }} {{ {way} }}" for way in ways
    )


@dataclass(frozen=True)
class Named:
    """One of the servers, and what has it say whose part of its configuration answers."""

    dialect: Dialect
    plain: Callable[..., PlainNginx | PlainServer]
    also: str = ""

    def running(self, folder: Path) -> PlainNginx | PlainServer:
        """It, with hosts of two zones required."""
        pins = {one: (one.leaf.pin,) for one in (OURS, OTHERS)}
        com = Claim(
            "com", "edge/com", "example.com", ("*.example.com",), Mode.REQUIRE, (WWW,), pins[OURS]
        )
        org = replace(ORG, enforced=(SHOP,), pins=pins[OTHERS])
        files = self.dialect.render(rules_of([com, org], 1, TOKEN))
        return self.plain(folder, files, (WWW, SHOP), (ALONE,), also_in_servers=self.also)


SERVERS = {
    "nginx": Named(
        NginxDialect(),
        PlainNginx,
        f'http2 on; location = {SITE_PATH} {{ return 200 "site=<name>"; }}',
    ),
    # A text of the user's for a status is what Apache can answer without a file.
    "apache": Named(
        ApacheDialect(),
        PlainApache,
        f'ErrorDocument 404 "site=<name>"\n    RedirectMatch 404 {SITE_PATH}$',
    ),
    "haproxy": Named(
        HaproxyDialect(), PlainHaproxy, "\n    ".join(map(routed, (WWW, SHOP, ALONE)))
    ),
    "caddy": Named(CaddyDialect(), PlainCaddy, f'respond {SITE_PATH} "site=<name>"'),
    "traefik": Named(TraefikDialect(), PlainTraefik),
    "gateway": Named(EnvoyDialect(), PlainEnvoy),
}

AS_USUAL = f"GET {SITE_PATH} HTTP/1.1"


def hosts(*values: str, first: str = AS_USUAL) -> bytes:
    """A request with these as its Host."""
    lines = [first, *(f"Host: {value}" for value in values), "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


def targeting(target: str, *values: str) -> bytes:
    """A request for this target, with these as its Host."""
    return hosts(*values, first=f"GET {target} HTTP/1.1")


ODD = {
    "upper case": hosts("WWW.EXAMPLE.COM"),
    "mixed case": hosts("wWw.Example.cOm"),
    "a port": hosts(f"{WWW}:443"),
    "another port": hosts(f"{WWW}:8443"),
    "an empty port": hosts(f"{WWW}:"),
    "a port that is none": hosts(f"{WWW}:x"),
    "two ports": hosts(f"{WWW}:1:2"),
    "a port too high": hosts(f"{WWW}:99999999999"),
    "a dot at the end": hosts(f"{WWW}."),
    "two dots at the end": hosts(f"{WWW}.."),
    "a dot and a port": hosts(f"{WWW}.:443"),
    "a dot and a port in upper case": hosts("WWW.EXAMPLE.COM.:443"),
    "a dot at the beginning": hosts(f".{WWW}"),
    "spaces around": hosts(f"  {WWW}\t "),
    "a space within": hosts("www.example .com"),
    "a space and another host": hosts(f"{ALONE} {WWW}"),
    "none": hosts(),
    "an empty one": hosts(""),
    "none over HTTP/1.0": hosts(first=f"GET {SITE_PATH} HTTP/1.0"),
    "one over HTTP/1.0": hosts(WWW, first=f"GET {SITE_PATH} HTTP/1.0"),
    "two": hosts(ALONE, WWW),
    "two the other way round": hosts(WWW, ALONE),
    "the same twice": hosts(WWW, WWW),
    "two, one of them empty": hosts("", WWW),
    "a list": hosts(f"{ALONE},{WWW}"),
    "a list with a space": hosts(f"{ALONE}, {WWW}"),
    "a list the other way round": hosts(f"{WWW},{ALONE}"),
    "a list with a port": hosts(f"{ALONE},{WWW}:443"),
    "a list of one": hosts(f",{WWW},"),
    "quotes": hosts(f'"{WWW}"'),
    "the target's": targeting(f"https://{WWW}{SITE_PATH}", WWW),
    "the target's against another": targeting(f"https://{WWW}{SITE_PATH}", ALONE),
    "the target's alone": targeting(f"https://{WWW}{SITE_PATH}"),
    "the target's in plaintext": targeting(f"http://{WWW}{SITE_PATH}", ALONE),
    "the target's in upper case": targeting(f"HTTPS://WWW.EXAMPLE.COM{SITE_PATH}", ALONE),
    "the target's with a port": targeting(f"https://{WWW}:443{SITE_PATH}", ALONE),
    "the target's with a dot": targeting(f"https://{WWW}.{SITE_PATH}", ALONE),
    "the target's with a user": targeting(f"https://x@{WWW}{SITE_PATH}", ALONE),
    "the target's as a user": targeting(f"https://{WWW}@{ALONE}{SITE_PATH}", ALONE),
    "another target against it": targeting(f"https://{ALONE}{SITE_PATH}", WWW),
    "an unknown scheme": targeting(f"x://{WWW}{SITE_PATH}", ALONE),
    "a target without a scheme": targeting(f"//{WWW}{SITE_PATH}", ALONE),
    "a target without a scheme against another": targeting(f"//{ALONE}{SITE_PATH}", WWW),
    "a target without a slash": targeting(f"{WWW}{SITE_PATH}", ALONE),
    "a user": hosts(f"x@{WWW}"),
    "as a user": hosts(f"{WWW}@{ALONE}"),
    "a user and a password": hosts(f"x:y@{WWW}"),
    "percent-encoded": hosts("www%2Eexample.com"),
    "percent-encoded letters": hosts("%77ww.example.com"),
    "percent-encoded NUL": hosts(f"{WWW}%00"),
    "an underscore": hosts("www_.example.com"),
    "a star": hosts("*.example.com"),
    "another dot": hosts("www\u3002example.com"),
    "wide letters": hosts("\uff57ww.example.com"),
    "a soft hyphen": hosts("www\u00ad.example.com"),
    "IPv6": hosts("[::1]:443"),
    "IPv6 with a name": hosts(f"[{WWW}]"),
    "IPv4": hosts("127.0.0.1"),
    "a slash": hosts(f"{WWW}/"),
    "a path": hosts(f"{ALONE}/{WWW}"),
    "a fragment": hosts(f"{WWW}#x"),
    "a query": hosts(f"{WWW}?x"),
    "a backslash": hosts(f"{WWW}\\x"),
    "a semicolon": hosts(f"{WWW};x"),
    "NUL": hosts(f"{WWW}\0"),
    "NUL between two": hosts(f"{ALONE}\0{WWW}"),
    "a control character": hosts(f"\x0b{WWW}"),
    "below it": hosts(f"x.{WWW}"),
    "very long": hosts(f"{'x' * 300}.{WWW}"),
    "longer than a header may be": hosts(f"{'x.' * 20_000}{WWW}"),
    "folded": hosts(f"\r\n {WWW}"),
    "folded behind another": hosts(f"{ALONE}\r\n {WWW}"),
    "a space before the colon": hosts(ALONE).replace(
        b"Connection", b"Host : www.example.com\r\nConnection"
    ),
    "another case of the header": hosts(WWW).replace(b"Host", b"hOsT"),
    "bare line feeds": hosts(ALONE).replace(
        b"Connection", b"X: y\nHost: www.example.com\r\nConnection"
    ),
    "a bare carriage return": hosts(ALONE).replace(
        b"Connection", b"X: y\rHost: www.example.com\r\nConnection"
    ),
    "line feeds alone": hosts(WWW).replace(b"\r", b""),
    "forwarded": hosts(ALONE).replace(
        b"Connection", b"X-Forwarded-Host: www.example.com\r\nConnection"
    ),
    "forwarded, the standard way": hosts(ALONE).replace(
        b"Connection", b"Forwarded: host=www.example.com\r\nConnection"
    ),
    "another method": hosts(WWW).replace(b"GET", b"PROPFIND"),
    "an empty line before": b"\r\n" + hosts(WWW),
}
"""What a stranger may send to a server of HTTP/1, by what is odd about it."""
BENEATH = {b":method": b"GET", b":scheme": b"https", b":path": SITE_PATH.encode()}


def fields(*more: tuple[str, str], **instead: str) -> list[tuple[bytes, bytes]]:
    """A header of HTTP/2: usual pseudo-headers with these in the place of them, then more."""
    changed = {f":{name}".encode(): value.encode() for name, value in instead.items()}
    return [
        *(BENEATH | changed).items(),
        *((name.encode(), value.encode()) for name, value in more),
    ]


ODD_2 = {
    "as usual": fields(authority=WWW),
    "upper case": fields(authority="WWW.EXAMPLE.COM"),
    "a port": fields(authority=f"{WWW}:443"),
    "an empty port": fields(authority=f"{WWW}:"),
    "two ports": fields(authority=f"{WWW}:1:2"),
    "a dot at the end": fields(authority=f"{WWW}."),
    "a dot and a port": fields(authority=f"{WWW}.:443"),
    "spaces around": fields(authority=f" {WWW} "),
    "a list": fields(authority=f"{ALONE},{WWW}"),
    "a list the other way round": fields(authority=f"{WWW},{ALONE}"),
    "a user": fields(authority=f"x@{WWW}"),
    "as a user": fields(authority=f"{WWW}@{ALONE}"),
    "percent-encoded": fields(authority="www%2Eexample.com"),
    "a slash": fields(authority=f"{WWW}/"),
    "NUL": fields(authority=f"{WWW}\0"),
    "very long": fields(authority=f"{'x' * 300}.{WWW}"),
    "a Host besides": fields(("host", WWW), authority=ALONE),
    "a Host besides in upper case": fields(("host", "WWW.EXAMPLE.COM"), authority=ALONE),
    "another Host besides": fields(("host", ALONE), authority=WWW),
    "a Host instead": fields(("host", WWW)),
    "two Hosts instead": fields(("host", ALONE), ("host", WWW)),
    "an empty authority and a Host": fields(("host", WWW), authority=""),
    "two authorities": fields((":authority", WWW), authority=ALONE),
    "two authorities the other way round": fields((":authority", ALONE), authority=WWW),
    "an authority that comes late": fields(("x", "y"), (":authority", WWW)),
    "none": fields(),
    "plaintext as its scheme": fields(authority=WWW, scheme="http"),
    "another scheme": fields(authority=WWW, scheme="x"),
    "a whole URL as its path": fields(authority=ALONE, path=f"https://{WWW}{SITE_PATH}"),
    "another whole URL as its path": fields(authority=WWW, path=f"https://{ALONE}{SITE_PATH}"),
    "two slashes": fields(authority=ALONE, path=f"//{WWW}{SITE_PATH}"),
    "forwarded": fields(("x-forwarded-host", WWW), authority=ALONE),
    "an upper-case name": fields(("Host", WWW), authority=ALONE),
}
"""The same of HTTP/2."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame of HTTP/2."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes((kind, flags))
        + struct.pack(">I", stream)
        + payload
    )


def string(value: bytes) -> bytes:
    """One of HPACK's, without its Huffman code."""
    length = len(value)
    if length < 127:
        return bytes((length,)) + value
    length -= 127
    digits = [127]
    while length >= 128:
        digits.append(length % 128 + 128)
        length //= 128
    return bytes((*digits, length)) + value


def asked_over_2(header: list[tuple[bytes, bytes]]) -> bytes:
    """All that a client of HTTP/2 says that asks once."""
    block = b"".join(b"\0" + string(name) + string(value) for name, value in header)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block)


@dataclass(frozen=True)
class Server:
    """A server that runs, and a stranger who asks it."""

    running: PlainNginx | PlainServer
    stranger: Path
    ours: Path

    def over_1(self, request: bytes, sni: str | None, leaf: Path | None = None) -> bytes:
        """All that comes back to a request over TLS."""
        return self._said_over_tls(request, sni, leaf, "http/1.1", ended_1)

    def over_2(
        self, header: list[tuple[bytes, bytes]], sni: str | None, leaf: Path | None = None
    ) -> bytes:
        """The same over HTTP/2: frames as they come."""
        return self._said_over_tls(asked_over_2(header), sni, leaf, "h2", ended_2)

    def in_plaintext(self, request: bytes) -> bytes:
        """The same without TLS."""
        address = self.running.address, self.running.http_port
        with socket.create_connection(address, timeout=WITHIN_S) as connection:
            connection.sendall(request)
            return answer(connection, ended_1)

    def _said_over_tls(
        self,
        request: bytes,
        sni: str | None,
        leaf: Path | None,
        protocol: str,
        ended: Callable[[bytes], bool],
    ) -> bytes:
        context = client_context(leaf)
        context.set_alpn_protocols([protocol])
        address = self.running.address, self.running.https_port
        plain = socket.create_connection(address, timeout=WITHIN_S)
        try:
            with context.wrap_socket(plain, server_hostname=sni) as connection:
                connection.sendall(request)
                return answer(connection, ended)
        except OSError:
            return b""


def ended_1(received: bytes) -> bool:
    """An answer has come whole: some servers wait before they close."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *([0-9]+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def ended_2(received: bytes) -> bool:
    """Our one stream has ended, or all of them."""
    at = 0
    while at + 9 <= len(received):
        length = int.from_bytes(received[at : at + 3])
        kind, flags, stream = received[at + 3], received[at + 4], received[at + 8]
        if at + 9 + length > len(received):
            return False
        if kind == 7 or (stream == 1 and (kind == 3 or (kind in {0, 1} and flags & 1))):
            return True
        at += 9 + length
    return False


def answer(connection: socket.socket, ended: Callable[[bytes], bool]) -> bytes:
    """What comes until it ends, breaks off, or nothing more comes."""
    received = b""
    try:
        while not ended(received) and (piece := connection.recv(65536)):
            received += piece
    except OSError:
        pass
    return received


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    kind: str = request.param
    if why := debian.why_not(kind):
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("odd")
    ours, stranger = (
        file_of(made, folder / f"{name}.pem")
        for name, made in {"ours": OURS, "others": OTHERS}.items()
    )
    with SERVERS[kind].running(folder / "server") as running:
        yield Server(running, stranger, ours)


def content(host: str) -> bytes:
    """What only that host's own part of a server's configuration says."""
    return f"site={host}".encode()


def test_the_server_says_whose_content_it_is(server: Server) -> None:
    """Else nothing below could fail."""
    usual, ours = hosts(WWW), server.ours
    assert content(WWW) in server.over_1(usual, WWW, ours)
    assert content(WWW) in server.over_2(fields(authority=WWW), WWW, ours)
    assert content(ALONE) in server.over_1(hosts(ALONE), ALONE)
    assert content(ALONE) in server.over_2(fields(authority=ALONE), ALONE)
    assert content(ALONE) in server.in_plaintext(hosts(ALONE))


Asked = TypeVar("Asked")


def came_through(
    odd: Mapping[str, Asked], ask: Callable[[Asked, Path | None], bytes], *leaves: Path | None
) -> list[tuple[str, str]]:
    """By which of these, and with which certificate, somebody came to the required host."""
    asked = [(what, one, leaf) for what, one in odd.items() for leaf in leaves]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda each: ask(each[1], each[2]), asked)
        return [
            (what, leaf.stem if leaf else "none")
            for (what, _, leaf), received in zip(asked, answers, strict=True)
            if content(WWW) in received
        ]


@pytest.mark.parametrize("sni", SNI)
def test_no_odd_request_brings_a_stranger_to_a_required_host(
    server: Server, sni: str | None
) -> None:
    """Neither without a certificate nor with the one of another zone."""
    came = came_through(ODD, lambda one, leaf: server.over_1(one, sni, leaf), None, server.stranger)
    assert came == [], came


@pytest.mark.parametrize("sni", SNI)
def test_no_odd_request_over_http_2_does(server: Server, sni: str | None) -> None:
    came = came_through(
        ODD_2, lambda one, leaf: server.over_2(one, sni, leaf), None, server.stranger
    )
    assert came == [], came


def test_no_odd_request_in_plaintext_does(server: Server) -> None:
    came = came_through(ODD, lambda one, _: server.in_plaintext(one), None)
    assert came == [], came
