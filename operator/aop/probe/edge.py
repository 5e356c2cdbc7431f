"""Ask the edge for a host, as a visitor would, and bring back what the check path behind it says.

Pure code decides from the body (`presented`, `nonce`) and the headers whether an answer is a proof,
a loss or silence.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aop.probe.answers import Answer, Failure
from aop.probe.connection import Connection, Route
from aop.settings import ConnectTo, redirected


@dataclass(frozen=True, slots=True)
class AskedEdge:
    """What came back for one host through the edge."""

    host: str
    nonce: str
    """Fresh and random; sent as `n`, which the check path echoes."""
    answer: Answer | Failure


class EdgeProbe:
    """Asks through the edge; built once per process.

    Each request has a connection and a full TLS handshake of its own, so that each time a location
    is chosen anew; which connections the edge uses towards the origin is its own affair. `ca_file`
    (PEM) replaces the system's certificate authorities.

    Raises:
        OSError: `ca_file` cannot be read (`ssl.SSLError`: it holds no certificate).
    """

    def __init__(
        self, *, timeout_s: float, connect_to: Sequence[ConnectTo] = (), ca_file: Path | None = None
    ) -> None:
        self._timeout_s = timeout_s
        self._connect_to = tuple(connect_to)
        self._context = ssl.create_default_context(cafile=ca_file)
        self._context.set_alpn_protocols(["http/1.1"])

    async def ask(self, host: str, path: str) -> AskedEdge:
        """GET `https://host/path?n=<nonce>`.

        The edge's certificate is verified: without that, an answer could be anybody's.
        """
        nonce = secrets.token_hex(16)
        target = f"{path}{'&' if '?' in path else '?'}n={nonce}"
        async with Connection(self._route(host)) as connection:
            return AskedEdge(host, nonce, await connection.ask(target, timeout_s=self._timeout_s))

    def _route(self, host: str) -> Route:
        address, port = redirected(self._connect_to, host, 443)
        return Route(host=host, address=address, port=port, tls=self._context)
