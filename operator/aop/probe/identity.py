"""A client certificate with its key, which can be presented but not read."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

from pydantic import SecretBytes

from aop.pki import pin_of


class ClientIdentity:
    """A client certificate (PEM, the leaf first) and its private key (PEM, unencrypted).

    The key is in no file and in no representation (promise S4). It goes into OpenSSL with each
    context, of which `ReplicaProbe` keeps some: one takes 20 KB, and an identity is there for each
    of thousands of objects. Two identities are equal when their leaves are.

    Raises:
        ValueError: the PEM cannot be read, or the key does not belong to the leaf. The message
            holds neither.
    """

    __slots__ = ("_certificate_pem", "_key", "sha256")

    sha256: str
    """Fingerprint of the leaf, as in `aop.origins.Pin`."""

    def __init__(self, certificate_pem: str, key: SecretBytes) -> None:
        self.sha256 = pin_of(certificate_pem).sha256
        self._certificate_pem, self._key = certificate_pem, key
        self.context()

    def context(self) -> ssl.SSLContext:
        """A new one that verifies nobody and presents this certificate when it is asked for one.

        An origin may have any certificate. It takes a millisecond of computing, for RSA more: call
        it in a thread.
        """
        context = unverified_context()
        with (
            _readable(self._certificate_pem.encode()) as certificate_path,
            _readable(self._key.get_secret_value()) as key_path,
        ):
            try:
                # Without a password OpenSSL asks for one on the terminal when the key is encrypted.
                context.load_cert_chain(certificate_path, key_path, password="")
            except ssl.SSLError as error:
                raise ValueError(
                    f"leaf {self.sha256[:8]} cannot be presented with its key: {error.reason or 'the key is not readable'}"
                ) from None
        return context

    def __repr__(self) -> str:
        return f"ClientIdentity(sha256={self.sha256!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientIdentity) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


def unverified_context() -> ssl.SSLContext:
    """A context for asking origins.

    It speaks TLS 1.2 or later and HTTP/1.1, accepts whatever certificate the server has, and
    presents none.

    Python offers an earlier session only if it is given one, and nobody does here: every handshake
    is a full one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Origins behind an edge often have small or old self-signed certificates, which level 2 refuses
    # even where nothing is verified.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextmanager
def _readable(pem: bytes) -> Iterator[str]:
    """A path from which OpenSSL can read `pem`, although it is in no file system.

    It is gone with the block.
    """
    with closing(_in_memory(pem)) as descriptor:
        yield f"/dev/fd/{descriptor.fileno()}"


def _in_memory(pem: bytes) -> BinaryIO:
    if hasattr(os, "memfd_create"):
        memory = os.fdopen(os.memfd_create("pem"), "w+b", buffering=0)
        memory.write(pem)
        return memory
    return _in_pipe(pem)


def _in_pipe(pem: bytes) -> BinaryIO:
    """Without memfd (macOS), a pipe.

    It holds 16 KiB without a reader, ten times the largest key that is accepted.
    """
    if len(pem) > 16 * 1024:
        raise ValueError("a client certificate or key of more than 16 KiB")
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as sink:
        sink.write(pem)
    return os.fdopen(reader, "rb", buffering=0)
