"""The edge's certificates towards visitors: one per name, issued when first asked for, so that zones can come and go."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from sandbox.cloudflare.authority import Authority


class Names:
    """`known` says whether a name is in any zone; `directory` is where `ssl` needs certificate files to lie (readable by us only)."""

    def __init__(self, authority: Authority, known: Callable[[str], bool], directory: Path) -> None:
        self._authority = authority
        self._known = known
        self._directory = directory
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self) -> ssl.SSLContext:
        """For listeners: it answers with the certificate for the name that the visitor asks for, or breaks off, as the real edge does."""
        listener = self._issue("edge.invalid")
        listener.sni_callback = self._choose
        return listener

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        host = (name or "").lower()
        if not self._known(host):
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
        if host not in self._contexts:
            self._contexts[host] = self._issue(host)
        connection.context = self._contexts[host]
        return None

    def _issue(self, host: str) -> ssl.SSLContext:
        leaf = self._authority.server([host])
        file = self._directory / f"{host}.pem"
        file.touch(mode=0o600)
        file.write_text(leaf.key_pem + leaf.pem)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.set_alpn_protocols(["http/1.1"])
        made.load_cert_chain(file)
        return made
