"""What the origins of each kind answer to whom, as tables for people: docs/how-to/*-answers.md are made of them.

`AOP_UPDATE_GOLDEN=1` writes the table anew.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aop.origins.gateway_api import GATEWAY_API
from aop.origins.gateway_api.envoy import EnvoyDialect
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.origins.kind import OriginKind
from aop.origins.rules import rules_of
from aop.origins.workload import APACHE, CADDY, HAPROXY, NGINX, TRAEFIK
from aop.origins.workload.apache import ApacheDialect
from aop.origins.workload.caddy import CaddyDialect
from aop.origins.workload.dialect import Dialect
from aop.origins.workload.haproxy import HaproxyDialect
from aop.origins.workload.nginx import NginxDialect
from aop.origins.workload.traefik import TraefikDialect
from aop.pki import throwaway
from aop.terms import Claim, Mode
from identities import file_of
from origin_kinds.ground import ORG, TOKEN, bare, written
from origin_kinds.grounds import IngressNginxGround
from sandbox import debian
from sandbox.plain_apache import PlainApache
from sandbox.plain_caddy import PlainCaddy
from sandbox.plain_envoy import PlainEnvoy
from sandbox.plain_haproxy import PlainHaproxy
from sandbox.plain_nginx import PlainNginx
from sandbox.plain_server import PlainServer
from sandbox.plain_traefik import PlainTraefik
from sandbox.text_nginx import AskedServer, TextNginx, ask, client_context

FILES = {"ingressNginx": "ingress-nginx", "gatewayAPI": "gateway"}
"""How the documents name a kind, where not as the resource does."""
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
WWW, API, SHOP, ALONE = "www.example.com", "api.example.com", "www.example.org", "www.example.net"
NOW = datetime.now(UTC)
MADE = {
    "the zone's": throwaway(NOW),
    "the zone's next one": throwaway(NOW),
    "an expired one of the zone's": throwaway(NOW - timedelta(days=9), timedelta(days=5)),
    "the other zone's": throwaway(NOW),
    "a stranger's": throwaway(NOW),
}
NOBODY = "none"
VISITORS = (NOBODY, *MADE)
PINNED = ("the zone's", "the zone's next one", "an expired one of the zone's")
HOSTS = {
    WWW: "required",
    API: "only asked for the certificate: it is not proven yet",
    SHOP: "required, and belongs to another zone",
    ALONE: "not protected; its {without}",
}
RESUMED = "a resumed session"
WAYS = ("TLS 1.2", "TLS 1.3", "HTTP/2", RESUMED)
HEAD = """# What {title} answers to whom

Made by `tests/integration/test_server_answers.py`, which asks a real {asked}; do not edit. 200 is the application; {words}
"""

ODDLY = """The last two rows name nothing that exists. Where they are answered 200, that is what serves every other name there, and not `www.example.com`
(`tests/integration/test_odd_requests.py` asks for that in a hundred ways)."""


@dataclass(frozen=True)
class NamedServer:
    """One of them, and what is to be said of it."""

    kind: OriginKind
    title: str
    running: Callable[[Path, Collection[Claim]], AbstractContextManager[AskedServer]]
    """It, in a folder, with what these claims mean."""
    words: str
    without: str
    resumes: bool = True
    """It resumes TLS sessions where it asks for a certificate."""
    asked: str = ""
    """What the test runs, where that is more or less than the title and the operator's files."""

    @property
    def ways(self) -> tuple[str, ...]:
        """How somebody can come."""
        return WAYS if self.resumes else WAYS[:-1]


def in_a_workload(
    dialect: Dialect, plain: Callable[..., PlainNginx | PlainServer], also: str = ""
) -> Callable[[Path, Collection[Claim]], AbstractContextManager[AskedServer]]:
    """A server with the operator's files; `also` is what has it speak HTTP/2."""

    def running(folder: Path, claims: Collection[Claim]) -> AbstractContextManager[AskedServer]:
        files = dialect.render(rules_of(claims, 1, TOKEN))
        server: PlainNginx | PlainServer = plain(
            folder, files, (WWW, API, SHOP), (ALONE,), also_in_servers=also
        )
        return server

    return running


def of_ingress_nginx(
    folder: Path, claims: Collection[Claim]
) -> AbstractContextManager[AskedServer]:
    """The controller's nginx with the operator's snippets."""
    ground = IngressNginxGround()
    carrier = written(ground, bare(ground), *claims)
    return TextNginx(folder, carrier["data"], (WWW, API, SHOP, ALONE), ingress="http2 on;")


SERVERS = (
    NamedServer(
        INGRESS_NGINX,
        "ingress-nginx",
        of_ingress_nginx,
        """400 is nginx's
"No required SSL certificate was sent" or "The SSL certificate error"; 421 is its answer where SNI and Host name different servers; 308 leads to https.""",
        "zone is in no object",
        asked="nginx with the operator's snippets",
    ),
    NamedServer(
        NGINX,
        "NGINX",
        in_a_workload(NginxDialect(), PlainNginx, "http2 on;"),
        """400 is NGINX's
"No required SSL certificate was sent" or "The SSL certificate error"; 421 is its answer where SNI and Host name different servers; 308 leads to https.""",
        "`server{}` does not have the operator's line",
    ),
    NamedServer(
        APACHE,
        "Apache",
        in_a_workload(ApacheDialect(), PlainApache),
        """403 is
the operator's "No required client certificate was sent"; "alert" is a TLS alert, without an answer; 421 is Apache's own answer where SNI and Host differ;
308 leads to https.""",
        "virtual host does not have the operator's line",
    ),
    NamedServer(
        HAPROXY,
        "HAProxy",
        in_a_workload(HaproxyDialect(), PlainHaproxy),
        """403 is
the operator's "No required client certificate was sent"; 308 leads to https. To HAProxy all hosts of a frontend are alike, so that SNI decides nothing.""",
        "zone is in no object",
    ),
    NamedServer(
        CADDY,
        "Caddy",
        in_a_workload(CaddyDialect(), PlainCaddy),
        """403 is
the operator's "No required client certificate was sent"; 421 is Caddy's own answer where SNI and Host differ; 308 leads to https. Caddy resumes no session
where it asks for a certificate.""",
        "site does not have the operator's lines",
        resumes=False,
    ),
    NamedServer(
        TRAEFIK,
        "Traefik",
        in_a_workload(TraefikDialect(), PlainTraefik),
        """403 is
the operator's refusal, Traefik's word for which is "Forbidden"; 301 leads to https. SNI decides nothing, as long as all hosts have the same TLS option.
Traefik resumes no session where its TLS option says so.""",
        "router is a child of neither of the two",
        resumes=False,
    ),
    NamedServer(
        GATEWAY_API,
        "Envoy Gateway",
        in_a_workload(EnvoyDialect(), PlainEnvoy),
        """403 is
the operator's "No required client certificate was sent"; 308 leads to https. To Envoy all hosts of a listener are alike, so that SNI decides nothing, and it
resumes no session. A name with a dot at its end comes this far only where a route takes every name; else it is 404.""",
        "route has a policy of its own",
        resumes=False,
        asked="Envoy with the operator's script, as Envoy Gateway has a listener run it",
    ),
)


@dataclass(frozen=True)
class ServerAndVisitors:
    """The server, and the files of who asks."""

    server: NamedServer
    running: AskedServer
    folder: Path

    def leaf(self, who: str) -> Path | None:
        return None if who == NOBODY else self.folder / f"{VISITORS.index(who)}.pem"

    def status(self, who: str, host: str, way: str, sni: str = "") -> int | str:
        """The answer's status to somebody who comes this way, or that there is none."""
        try:
            return self._status(who, host, way, sni)
        except (ssl.SSLError, ConnectionError):
            return "alert"

    def _status(self, who: str, host: str, way: str, sni: str) -> int:
        sni, leaf = sni or host, self.leaf(who)
        if way == "HTTP/2":
            return self._over_http_2(host, sni, leaf)
        context = client_context(leaf)
        version = ssl.TLSVersion.TLSv1_3 if way == "TLS 1.3" else ssl.TLSVersion.TLSv1_2
        context.minimum_version = context.maximum_version = version
        with self.running.connection(context, sni) as connection:
            first, session = ask(connection, host, "/", {}).status, connection.session
        if way != RESUMED:
            return first
        with self.running.connection(context, sni, session) as connection:
            # Of whom nginx refuses for a date it forgets the session.
            assert connection.session_reused is self.server.resumes or first == 400
            return ask(connection, host, "/", {}).status

    def _over_http_2(self, host: str, sni: str, leaf: Path | None) -> int:
        port = self.running.https_port
        command = [
            "curl",
            "-sk",
            "--http2",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
        ]
        command += ["--connect-to", f"::127.0.0.1:{port}", "-H", f"Host: {host}"]
        command += ["--cert", str(leaf)] if leaf else []
        done = subprocess.run(
            [*command, f"https://{sni}/"], capture_output=True, text=True, timeout=20, check=False
        )
        version, status = done.stdout.split()
        if done.returncode:
            assert status == "000", "no answer at all"
            raise ConnectionError(done.returncode)
        assert version == "2"
        return int(status)


@pytest.fixture(scope="module", params=SERVERS, ids=[one.kind.name for one in SERVERS])
def asking(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerAndVisitors]:
    server: NamedServer = request.param
    if why := debian.why_not(server.kind.name):
        pytest.skip(why)
    curl = shutil.which("curl")
    answers = (
        subprocess.run([curl, "-V"], capture_output=True, text=True, check=True) if curl else None
    )
    if answers is None or "HTTP2" not in answers.stdout:
        pytest.skip("there is no curl that speaks HTTP/2")
    folder = tmp_path_factory.mktemp("answers")
    for who, made in MADE.items():
        file_of(made, folder / f"{VISITORS.index(who)}.pem")
    pins = tuple(sorted(MADE[who].leaf.pin for who in PINNED))
    com = Claim("com", "edge/com", "example.com", ("*.example.com",), Mode.REQUIRE, (WWW,), pins)
    org = replace(ORG, enforced=(SHOP,), pins=(MADE["the other zone's"].leaf.pin,))
    with server.running(folder / "server", [com, org]) as running:
        yield ServerAndVisitors(server, running, folder)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def table(*rows: tuple[object, ...]) -> list[str]:
    head, *body = rows
    return [row(*head), row(*("---" for _ in head)), *(row(*cells) for cells in body)]


def by_certificate(asking: ServerAndVisitors) -> list[str]:
    """However somebody comes: the ways agree, or each is named."""
    rows: list[tuple[object, ...]] = [("who presents", *(f"`{host}`" for host in HOSTS))]
    for who in VISITORS:
        cells = []
        for host in HOSTS:
            seen = {way: asking.status(who, host, way) for way in asking.server.ways}
            same = len(set(seen.values())) == 1
            cells.append(
                str(seen[WAYS[0]])
                if same
                else ", ".join(f"{way}: {status}" for way, status in seen.items())
            )
        rows.append((who, *cells))
    return table(*rows)


def by_name(asking: ServerAndVisitors) -> list[str]:
    names = (WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.", f"[{WWW}]", f"{ALONE},{WWW}")
    rows: list[tuple[object, ...]] = [("Host", "no certificate", "the zone's", "plaintext")]
    for name in names:
        statuses = [asking.status(who, name, "TLS 1.3", WWW) for who in (NOBODY, "the zone's")]
        rows.append((f"`{name}`", *statuses, asking.running.http(name).status))
    return table(*rows)


def by_sni(asking: ServerAndVisitors) -> list[str]:
    pairs = ((ALONE, WWW), (API, WWW), (SHOP, WWW), (WWW, API), (WWW, ALONE))
    rows: list[tuple[object, ...]] = [("SNI", "Host", "no certificate", "the zone's")]
    for sni, host in pairs:
        statuses = [asking.status(who, host, "TLS 1.3", sni) for who in (NOBODY, "the zone's")]
        rows.append((f"`{sni}`", f"`{host}`", *statuses))
    return table(*rows)


def test_the_table_for_people_says_what_is_answered(asking: ServerAndVisitors) -> None:
    server = asking.server
    hosts = [
        f"- `{host}` is {what.format(without=server.without)}." for host, what in HOSTS.items()
    ]
    text = "\n".join(
        [
            HEAD.format(
                title=server.title,
                asked=server.asked or f"{server.title} with the operator's files",
                words=server.words,
            ),
            *hosts,
            "",
            f"## By the certificate\n\nThe same over {', '.join(server.ways[:-1])} and {'in ' if server.resumes else ''}{server.ways[-1]}, unless the table says otherwise.\n",
            *by_certificate(asking),
            "\n## However the host is written\n",
            *by_name(asking),
            "",
            ODDLY,
            "\n## Where SNI and Host differ\n",
            *by_sni(asking),
            "",
        ]
    )
    table = HOW_TO / f"{FILES.get(server.kind.name, server.kind.name)}-answers.md"
    if os.environ.get("AOP_UPDATE_GOLDEN"):
        table.write_text(text)
    assert table.read_text() == text


def test_nobody_but_whom_a_zone_trusts_comes_to_a_required_host(asking: ServerAndVisitors) -> None:
    """Whatever the table says. A leaf stays what it is when it has expired, where the server lets it pass at all."""
    refuses_expired = asking.server.kind.capabilities.refuses_expired
    ours = set(PINNED) - ({"an expired one of the zone's"} if refuses_expired else set())
    for way in asking.server.ways:
        for who in VISITORS:
            for host, welcome in (
                (WWW, ours),
                (SHOP, {"the other zone's"}),
            ):
                status = asking.status(who, host, way)
                assert (status == 200) is (who in welcome), (way, who, host, status)


def test_a_session_is_resumed_as_the_table_says(asking: ServerAndVisitors) -> None:
    assert asking.status("the zone's", WWW, RESUMED) == 200
