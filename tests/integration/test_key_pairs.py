"""What is taken from a Secret is good for others too: for openssl, and for a real nginx to which it is presented; what is refused is not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from aop import pki
from aop.pki import Algorithm, KeyedLeaf, Recipe
from aop.probe import Answer, Paths, Presented, ReplicaAddress, ReplicaProbe
from aop.terms import ObjectKey
from identities import identity_of
from sandbox.pinned_nginx import CHECK, GATE, PinnedNginx
from sandbox.text_nginx import NginxAnswer, ask, client_context
from zoo import ZOO, Data, Good, decoded

HOST = "www.example.com"
SECRET = ObjectKey("edge", "example-com-tls")
TAKEN = [name for name, one in ZOO.items() if isinstance(one, Good)]
UNPRESENTED = ["P-192", "P-224", "secp256k1", "brainpool"]
"""What neither a client of TLS 1.2 nor one of TLS 1.3 manages to present."""


@dataclass(frozen=True)
class Taken:
    """A key pair of the zoo, as it stands in its Secret and as it was read."""

    data: Data
    leaf: KeyedLeaf


@pytest.fixture(scope="module")
def taken() -> dict[str, Taken]:
    made = {name: ZOO[name].make() for name in TAKEN}
    for data in made.values():
        pki.read_referenced(SECRET, data)
    return {name: Taken(data, pki.read_keyed_leaf(SECRET, data)) for name, data in made.items()}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Certificate and key of what is refused, in a file each."""
    folder = tmp_path_factory.mktemp("refused")
    for name in UNPRESENTED:
        data = ZOO[name].make()
        (folder / name).write_bytes(decoded(data, "tls.crt") + decoded(data, "tls.key"))
    return {name: folder / name for name in UNPRESENTED}


@pytest.fixture(scope="module", params=["TLSv1.2", "TLSv1.3"])
def nginx(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    taken: dict[str, Taken],
    refused: dict[str, Path],
) -> Iterator[PinnedNginx]:
    """One that pins the whole zoo, and calls each leaf by its number."""
    pins = {one.leaf.leaf.pin.sha1: f"taken{TAKEN.index(name)}" for name, one in taken.items()}
    pins |= {
        fingerprint(path): f"refused{UNPRESENTED.index(name)}" for name, path in refused.items()
    }
    with PinnedNginx(
        tmp_path_factory.mktemp("nginx"), pins, [HOST], protocols=request.param
    ) as running:
        yield running


def fingerprint(path: Path) -> str:
    return x509.load_pem_x509_certificates(path.read_bytes())[0].fingerprint(hashes.SHA1()).hex()  # noqa: S303 - what nginx compares


def verify(
    folder: Path, leaf: bytes, authorities: bytes, between: bytes = b"", *options: str
) -> str:
    """What openssl has against a client certificate; empty if nothing."""
    (folder / "leaf.crt").write_bytes(leaf)
    (folder / "ca.crt").write_bytes(authorities)
    (folder / "between.crt").write_bytes(between or authorities)
    command = [
        "openssl",
        "verify",
        *options,
        "-purpose",
        "sslclient",
        "-CAfile",
        str(folder / "ca.crt"),
    ]
    command += ["-untrusted", str(folder / "between.crt"), str(folder / "leaf.crt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("name", TAKEN)
def test_openssl_verifies_what_is_taken(name: str, taken: dict[str, Taken], tmp_path: Path) -> None:
    one, row = taken[name], ZOO[name]
    assert isinstance(row, Good)
    files = (one.leaf.leaf.pem.encode(), decoded(one.data, "ca.crt"), decoded(one.data, "tls.crt"))
    assert verify(tmp_path, *files) == ""
    if row.strict:
        assert verify(tmp_path, *files, "-x509_strict", "-auth_level", "2") == ""


@pytest.mark.parametrize("size", [256, 384, 521, 2048])
def test_openssl_verifies_what_is_issued(size: int, tmp_path: Path) -> None:
    algorithm, now = Algorithm.RSA if size > 521 else Algorithm.ECDSA, datetime.now(UTC)
    hosts = (f"{'a' * 60}.{'b' * 60}.example.com", "*.example.com")
    recipe = Recipe(
        f"{'z' * 60}.example.com",
        "uid",
        hosts,
        algorithm,
        size,
        timedelta(days=2),
        timedelta(days=30),
    )
    authority, another = pki.create_authority(recipe, now), pki.create_authority(recipe, now)
    leaf = pki.issue_leaf(recipe, authority, now).leaf.pem.encode()
    # The one that did not sign it comes first: both are of one zone and one object, so they must
    # not be of one name.
    assert (
        verify(
            tmp_path,
            leaf,
            (another.pem + authority.pem).encode(),
            b"",
            "-x509_strict",
            "-auth_level",
            "2",
        )
        == ""
    )


@pytest.mark.parametrize("name", TAKEN)
def test_nginx_is_presented_what_is_taken(
    name: str, taken: dict[str, Taken], nginx: PinnedNginx
) -> None:
    replica, paths = (
        ReplicaAddress(nginx.address, nginx.https_port, nginx.http_port),
        Paths(check=CHECK, gate=GATE),
    )
    probe = ReplicaProbe(timeout_s=10)
    _, asked = asyncio.run(
        probe.ask(replica, HOST, paths, {Presented.OURS: identity_of(taken[name].leaf)})
    )
    assert isinstance(asked.check, Answer), asked
    assert isinstance(asked.gate, Answer), asked
    assert (asked.check.body.split()[1], asked.gate.status) == (
        f"presented=taken{TAKEN.index(name)}",
        204,
    )


@pytest.mark.parametrize("name", UNPRESENTED)
def test_nginx_never_sees_what_is_refused_as_unpresentable(
    name: str, refused: dict[str, Path], nginx: PinnedNginx
) -> None:
    """The client goes on without any certificate, or the handshake fails: no proof would ever come."""

    def asked() -> NginxAnswer | None:
        context = client_context(None)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(refused[name])
        try:
            with nginx_connection(nginx, context) as connection:
                return ask(connection, HOST, CHECK, {})
        except (ssl.SSLError, ConnectionError):
            return None

    errors = asked()
    assert errors is None or errors.body.split()[1] == "presented=none"
    assert errors is None or nginx.protocols == "TLSv1.3"


def nginx_connection(nginx: PinnedNginx, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(
        socket.create_connection((nginx.address, nginx.https_port), timeout=10),
        server_hostname=HOST,
    )
