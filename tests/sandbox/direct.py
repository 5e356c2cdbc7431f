"""A request straight to a replica, past the edge: with no certificate, with the operator's own, or with a stranger's.

What the tests and the demo believe of a replica; it shares no code with the operator's probe, which
is under test.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from sandbox.cloudflare.authority import Authority

WITHIN_S = 10.0


class Visitor(StrEnum):
    """Who asks past the edge."""

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
    def foreign(cls) -> Leaf:
        """A fresh one, issued by an authority made for it."""
        pair = Authority.new("Somebody Else").client("somebody.example.net")
        return cls(pair.pem, pair.key_pem)


def ask(
    https: str,
    host: str,
    path: str = "/",
    *,
    leaf: Leaf | None = None,
    ca_file: str | Path,
    **headers: str,
) -> httpx.Response:
    """One request over TLS, on a connection of its own, to a replica at `ip:port`, for `host` (SNI and Host header).

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
        named = {"Host": host, **{key.replace("_", "-"): value for key, value in headers.items()}}
        return client.get(
            f"https://{https}{path}", headers=named, extensions={"sni_hostname": host}
        )
