"""What NGINX in a workload answers to whom, as a table for people: docs/how-to/nginx-answers.md is made of it.

`AOP_UPDATE_GOLDEN=1` writes the table anew.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aop.origins.rules import rules_of
from aop.origins.workload.nginx import NginxDialect
from aop.pki import throwaway
from aop.terms import Claim, Mode
from origin_kinds.ground import ORG
from sandbox.plain_nginx import PlainNginx
from sandbox.text_nginx import ask, client_context

TABLE = Path(__file__).parents[2] / "docs" / "how-to" / "nginx-answers.md"
WWW, API, SHOP, ALONE = "www.example.com", "api.example.com", "www.example.org", "www.example.net"
NOW = datetime.now(UTC)
MADE = {
    "ours": throwaway(NOW),
    "the next one of ours": throwaway(NOW),
    "an expired one of ours": throwaway(NOW - timedelta(days=9), timedelta(days=5)),
    "the other zone's": throwaway(NOW),
    "a stranger's": throwaway(NOW),
}
NOBODY = "none"
VISITORS = (NOBODY, *MADE)
PINNED = ("ours", "the next one of ours", "an expired one of ours")
HOSTS = {
    WWW: "required",
    API: "asked only: not proven yet",
    SHOP: "required, of another zone",
    ALONE: "of nobody; its `server{}` does not have our line",
}
WAYS = ("TLS 1.2", "TLS 1.3", "HTTP/2", "a resumed session")
HEAD = """# What NGINX answers to whom

Made by `tests/integration/test_nginx_answers.py`, which asks a real NGINX with the operator's files; do not edit. 200 is the application; 400 is NGINX's
"No required SSL certificate was sent" or "The SSL certificate error"; 421 is its answer where SNI and Host name different servers; 308 leads to https.
"""


@dataclass(frozen=True)
class Asking:
    """The server, and the files of who asks."""

    nginx: PlainNginx
    folder: Path

    def leaf(self, who: str) -> Path | None:
        return None if who == NOBODY else self.folder / f"{VISITORS.index(who)}.pem"

    def status(self, who: str, host: str, way: str, sni: str = "") -> int:
        """The answer's status to somebody who comes this way."""
        sni, leaf = sni or host, self.leaf(who)
        if way == "HTTP/2":
            return self._over_http_2(host, sni, leaf)
        context = client_context(leaf)
        version = ssl.TLSVersion.TLSv1_3 if way == "TLS 1.3" else ssl.TLSVersion.TLSv1_2
        context.minimum_version = context.maximum_version = version
        with self.nginx.connection(context, sni) as connection:
            first, session = ask(connection, host, "/", {}).status, connection.session
        if way != "a resumed session":
            return first
        with self.nginx.connection(context, sni, session) as connection:
            assert connection.session_reused
            return ask(connection, host, "/", {}).status

    def _over_http_2(self, host: str, sni: str, leaf: Path | None) -> int:
        port = self.nginx.https_port
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
            [*command, f"https://{sni}/"], capture_output=True, text=True, timeout=20, check=True
        )
        version, status = done.stdout.split()
        assert version == "2"
        return int(status)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    curl = shutil.which("curl")
    said = (
        subprocess.run([curl, "-V"], capture_output=True, text=True, check=True) if curl else None
    )
    if said is None or "HTTP2" not in said.stdout:
        pytest.skip("there is no curl that speaks HTTP/2")
    folder = tmp_path_factory.mktemp("answers")
    for who, made in MADE.items():
        path = folder / f"{VISITORS.index(who)}.pem"
        path.write_text(made.leaf.pem + made.key.get_secret_value().decode())
    pins = tuple(sorted(MADE[who].leaf.pin for who in PINNED))
    com = Claim("com", "edge/com", "example.com", ("*.example.com",), Mode.REQUIRE, (WWW,), pins)
    org = replace(ORG, enforced=(SHOP,), pins=(MADE["the other zone's"].leaf.pin,))
    files = NginxDialect().render(rules_of([com, org], 1, "k3y0fth3path"))
    with PlainNginx(
        folder / "nginx", files, (WWW, API, SHOP), (ALONE,), also_in_servers="http2 on;"
    ) as nginx:
        yield Asking(nginx, folder)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def table(*rows: tuple[object, ...]) -> list[str]:
    head, *body = rows
    return [row(*head), row(*("---" for _ in head)), *(row(*cells) for cells in body)]


def by_certificate(asking: Asking) -> list[str]:
    """However somebody comes: the ways agree, or are told apart."""
    rows: list[tuple[object, ...]] = [("who presents", *(f"`{host}`" for host in HOSTS))]
    for who in VISITORS:
        cells = []
        for host in HOSTS:
            seen = {way: asking.status(who, host, way) for way in WAYS}
            same = len(set(seen.values())) == 1
            cells.append(
                str(seen[WAYS[0]])
                if same
                else ", ".join(f"{way}: {status}" for way, status in seen.items())
            )
        rows.append((who, *cells))
    return table(*rows)


def by_name(asking: Asking) -> list[str]:
    names = (WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.")
    rows: list[tuple[object, ...]] = [("Host", "no certificate", "ours", "plaintext")]
    for name in names:
        statuses = [asking.status(who, name, "TLS 1.3", WWW) for who in (NOBODY, "ours")]
        rows.append((f"`{name}`", *statuses, asking.nginx.http(name).status))
    return table(*rows)


def by_sni(asking: Asking) -> list[str]:
    pairs = ((ALONE, WWW), (API, WWW), (SHOP, WWW), (WWW, API), (WWW, ALONE))
    rows: list[tuple[object, ...]] = [("SNI", "Host", "no certificate", "ours")]
    for sni, host in pairs:
        statuses = [asking.status(who, host, "TLS 1.3", sni) for who in (NOBODY, "ours")]
        rows.append((f"`{sni}`", f"`{host}`", *statuses))
    return table(*rows)


def test_the_table_for_people_says_what_is_answered(asking: Asking) -> None:
    hosts = [f"- `{host}` is {what}." for host, what in HOSTS.items()]
    text = "\n".join(
        [
            HEAD,
            *hosts,
            "",
            f"## By the certificate\n\nThe same over {', '.join(WAYS[:-1])} and in {WAYS[-1]}, unless they are told apart.\n",
            *by_certificate(asking),
            "\n## However the host is written\n",
            *by_name(asking),
            "\n## Where SNI and Host differ\n",
            *by_sni(asking),
            "",
        ]
    )
    if os.environ.get("AOP_UPDATE_GOLDEN"):
        TABLE.write_text(text)
    assert TABLE.read_text() == text


def test_nobody_but_whom_a_zone_trusts_comes_to_a_required_host(asking: Asking) -> None:
    """Whatever the table says."""
    for way in WAYS:
        for who in VISITORS:
            for host, welcome in (
                (WWW, {"ours", "the next one of ours"}),
                (SHOP, {"the other zone's"}),
            ):
                status = asking.status(who, host, way)
                assert (status == 200) is (who in welcome), (way, who, host, status)
