"""The edge's side of TLS to an origin, without I/O.

Not Python's `ssl`, which binds a session to the context that holds the certificate: an edge resumes
sessions across a change of its client certificate, from none to ours and back, and whether an
origin falls for that is what tests ask. pyOpenSSL takes certificate and session per connection.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cryptography import x509
from OpenSSL import SSL
from OpenSSL._util import lib

from sandbox.cloudflare.certificates import KeyPair

Version = Literal["1.2", "1.3"]

_PROTOCOLS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


class HandshakeError(Exception):
    """The handshake did not come to an end; what OpenSSL said."""


def context(version: Version, origin_ca_file: Path | None) -> SSL.Context:
    """For connections of exactly that TLS version.

    What is wrong with the server's chain is noted on the connection and stops nothing.
    """
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    made.set_min_proto_version(_PROTOCOLS[version])
    made.set_max_proto_version(_PROTOCOLS[version])
    if origin_ca_file is not None:
        made.load_verify_locations(str(origin_ca_file))
    made.set_verify(SSL.VERIFY_PEER, _note)
    return made


class OriginTLS:
    """One connection: bytes from the wire go into `feed`, what is to be sent comes out of `outgoing`."""

    def __init__(
        self, made: SSL.Context, hostname: str, present: KeyPair | None, session: SSL.Session | None
    ) -> None:
        self._hostname = hostname
        self._connection = SSL.Connection(made, None)
        self._connection.set_app_data([])
        self._connection.set_tlsext_host_name(hostname.encode())
        self._connection.set_alpn_protos([b"http/1.1"])
        if present is not None:
            self._connection.use_certificate(present.certificate)
            self._connection.use_privatekey(present.key)  # type: ignore[arg-type]  # the annotation lists fewer kinds than it takes
        if session is not None:
            self._connection.set_session(session)
        self._connection.set_connect_state()
        self.established = False
        self.closed = False
        """The peer has said goodbye, or broken off."""

    def feed(self, data: bytes) -> bytes:
        """Take what came from the wire (nothing, to begin); the plaintext in it.

        Raises:
            HandshakeError: it is over before it began.
        """
        if data:
            self._connection.bio_write(data)
        if not self.established:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                return b""
            except SSL.Error as error:
                raise HandshakeError(_words(error)) from error
            self.established = True
        return self._plaintext()

    def encrypt(self, plaintext: bytes) -> None:
        """Prepare it for `outgoing`. Nothing is sent any more once the peer has closed."""
        try:
            self._connection.sendall(plaintext)
        except SSL.Error:
            self.closed = True

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        waiting = bytearray()
        while True:
            try:
                waiting += self._connection.bio_read(1 << 16)
            except SSL.WantReadError:
                return bytes(waiting)

    def end(self) -> None:
        """The wire is gone, and no byte goes either way any more.

        OpenSSL takes the session of a connection that ends without a goodbye for a bad one, and an
        edge resumes it all the same.
        """
        self._connection.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)

    @property
    def resumed(self) -> bool:
        """Whether the origin took up an earlier session: then it has not seen the certificate that is presented now."""
        return bool(lib.SSL_session_reused(self._connection._ssl))

    @property
    def session(self) -> SSL.Session | None:
        """The newest session: with TLS 1.3 it is good for something only after the first bytes of an answer."""
        return self._connection.get_session()

    @property
    def doubts(self) -> list[str]:
        """Why Full (strict) would not accept the server's certificate; empty for a resumed session, which was judged before."""
        doubts: list[str] = list(self._connection.get_app_data())
        certificate = (
            None if self.resumed else self._connection.get_peer_certificate(as_cryptography=True)
        )
        if certificate is not None and not _names(certificate, self._hostname):
            doubts.append(f"the certificate is not for {self._hostname}")
        return doubts

    def _plaintext(self) -> bytes:
        plaintext = bytearray()
        while True:
            try:
                plaintext += self._connection.recv(1 << 16)
            except SSL.WantReadError:
                return bytes(plaintext)
            except SSL.Error:
                self.closed = True
                return bytes(plaintext)


def _note(connection: SSL.Connection, certificate: object, error: int, depth: int, ok: int) -> bool:
    if not ok:
        connection.get_app_data().append(f"verification error {error} at depth {depth}")
    return True


def _words(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(reason[-1] for reason in reasons) or type(error).__name__


def _names(certificate: x509.Certificate, hostname: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return False
    parent = hostname.partition(".")[2]
    return any(name in {hostname, f"*.{parent}"} for name in names)
