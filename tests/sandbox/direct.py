"""A request straight to a replica, bypassing the edge: with no certificate, with the operator's own, or with a stranger's.

What the tests and the demo believe of a replica; it shares no code with the operator's probe, which
is under test.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from sandbox.cloudflare.authority import Authority
from sandbox.kubernetes.certificates import PemPair

WITHIN_S = 10.0


class Visitor(StrEnum):
    """Who asks, bypassing the edge."""

    NOBODY = "none"
    """Without a certificate."""
    OURS = "ours"
    """With the operator's own leaf."""
    STRANGER = "foreign"
    """With a leaf of an authority that nobody knows."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A client certificate with its key, both PEM."""

    certificate: str
    key: str

    @classmethod
    def of_secret(cls, secret: dict[str, Any]) -> Leaf:
        """The one that a `kubernetes.io/tls` Secret holds."""
        return cls(
            *(base64.b64decode(secret["data"][key]).decode() for key in ("tls.crt", "tls.key"))
        )

    @classmethod
    def of_pair(cls, pair: PemPair) -> Leaf:
        """The one that an authority of the sandbox has issued."""
        return cls(pair.certificate.decode(), pair.key.decode())

    @classmethod
    def foreign(cls) -> Leaf:
        """A fresh one, issued by an authority made for it."""
        pair = Authority.new("Somebody Else").client("somebody.example.net")
        return cls(pair.pem, pair.key_pem)


def ask(
    https: str,
    host: str,
    path: str = "/",
    *,
    method: str = "GET",
    sni: str | None = None,
    leaf: Leaf | None = None,
    ca_file: str | Path,
    **headers: str,
) -> httpx.Response:
    """One request over TLS, on a connection of its own, to a replica at `ip:port`, for `host`; SNI is the host unless told otherwise.

    `headers` have `_` for `-`.

    Raises:
        httpx.HTTPError: no answer within 10 s.
    """
    trust = ssl.create_default_context(cafile=str(ca_file))
    trust.check_hostname = False
    if leaf is not None:
        with tempfile.NamedTemporaryFile(
            "w", suffix=".pem"
        ) as file:  # readable by us only; `ssl` takes no bytes
            file.write(leaf.key + leaf.certificate)
            file.flush()
            trust.load_cert_chain(file.name)
    with httpx.Client(verify=trust, trust_env=False, timeout=WITHIN_S) as client:
        return client.request(
            method,
            f"https://{https}{path}",
            headers=_headers(host, headers),
            extensions={"sni_hostname": sni or host},
        )


def ask_plainly(http: str, host: str, path: str = "/", **headers: str) -> httpx.Response:
    """One GET in plaintext to a replica at `ip:port`."""
    return httpx.get(
        f"http://{http}{path}", headers=_headers(host, headers), trust_env=False, timeout=WITHIN_S
    )


def _headers(host: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {"Host": host, **{key.replace("_", "-"): value for key, value in headers.items()}}
