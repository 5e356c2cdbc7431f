"""Private keys: made, written as PEM, read back.

The bytes are passed around as pydantic's `SecretBytes`, which no repr, log or traceback shows
(promise S4).
"""

from __future__ import annotations

from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretBytes

from aop.pki.parsing import Unreadable, blocks, guarded


class Algorithm(StrEnum):
    """Kinds of keys that are generated."""

    ECDSA = "ECDSA"
    """An elliptic-curve key; the size names the NIST curve: 256, 384 or 521."""
    RSA = "RSA"
    """An RSA key; the size is that of its modulus in bits."""


SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""What `generate` makes."""
KnownKey = SigningKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
"""What is read; `unpresentable` says which of them no edge presents."""

RSA_BITS = (2048, 4096)
"""Servers refuse less (OpenSSL's security level 2, the default of most distributions), and checking
more takes seconds."""
ANOTHER_KEY = "make a key on P-256, P-384 or P-521, or a plain RSA key of 2048 to 4096 bits, and a certificate for it"
"""The remedy if a key is of the wrong kind."""
LARGEST_EXPONENT_BITS = 31
"""The longest public RSA exponent that Go accepts. 65537 has 17 bits."""

_CURVES: dict[int, ec.EllipticCurve] = {
    256: ec.SECP256R1(),
    384: ec.SECP384R1(),
    521: ec.SECP521R1(),
}
_ENCRYPTED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")


def generate(algorithm: Algorithm, size: int) -> SigningKey:
    """A new private key of `size` bits.

    Slow for RSA, above all 4096 (seconds, or even ten times as long): call it in a thread. Raises
    ValueError for an ECDSA size without a curve.
    """
    if algorithm is Algorithm.RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=size)
    if size not in _CURVES:
        raise ValueError(f"no NIST curve has {size} bits")
    return ec.generate_private_key(_CURVES[size])


def to_pem(key: KnownKey) -> SecretBytes:
    """`key` as unencrypted PKCS #8 PEM.

    Cloudflare, OpenSSL and cert-manager all read that form.
    """
    return SecretBytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def from_pem(pem: SecretBytes) -> KnownKey:
    """The one private key in `pem` (PKCS #8, PKCS #1 or SEC 1), checked.

    Raises `Unreadable`, which contains nothing of the text.
    """
    keys = dict.fromkeys(
        block
        for label, block in blocks(pem.get_secret_value(), convert="openssl pkey -inform der")
        if label.endswith("PRIVATE KEY")
    )
    if not keys:
        raise Unreadable(
            "is no private key in PEM form",
            "put a private key there that begins with -----BEGIN PRIVATE KEY-----",
        )
    if len(keys) > 1:
        raise Unreadable(
            f"holds {len(keys)} private keys", "leave only that of the certificate there"
        )
    (block,) = keys
    if any(mark in block for mark in _ENCRYPTED):
        raise Unreadable(
            "is encrypted",
            "decrypt it (openssl pkey -in tls.key -out plain.key) and put what comes out there",
        )
    with guarded(
        "is no private key that can be read",
        "put it there as it was made, or make the key and its certificate anew",
    ):
        # OpenSSL's own check of an RSA key takes a second, or minutes for numbers that somebody has
        # chosen for that, and holds the interpreter's lock, so that the whole process waits.
        key = load_pem_private_key(block, password=None, unsafe_skip_rsa_key_validation=True)
    if isinstance(key, rsa.RSAPrivateKey):
        _check(key)
        return key
    if isinstance(
        key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
    ):
        return key
    raise Unreadable("is a key that no TLS client can sign with", ANOTHER_KEY)


def _check(key: rsa.RSAPrivateKey) -> None:
    """Check that the numbers belong together, as Go's crypto/rsa does, and that the key signs.

    It takes milliseconds, because no prime is tested: numbers that fit and sign do all that a
    client's key has to do, and how hard they are to guess is up to whoever made them. The sizes
    were checked before. Raises `Unreadable`.
    """
    if refused := _size_of(key.public_key()):
        raise Unreadable(refused, ANOTHER_KEY)
    with guarded("is no valid RSA key", "make the key and its certificate anew"):
        numbers = key.private_numbers()
        p, q, d, public = numbers.p, numbers.q, numbers.d, numbers.public_numbers
        if max(p, q).bit_length() > key.key_size // 2 + 1:
            raise Unreadable(
                "is an RSA key of two primes of different sizes",
                "make the key and its certificate anew",
            )
        fit = (
            p * q == public.n
            and all(d * public.e % (prime - 1) == 1 for prime in (p, q))
            and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
            and numbers.iqmp * q % p == 1
        )
        if not fit:
            raise ValueError
        signed = key.sign(b"", padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signed, b"", padding.PKCS1v15(), hashes.SHA256())


def signing_key(pem: SecretBytes) -> SigningKey:
    """The key of an authority in `pem`.

    Raises `Unreadable` unless it is of a kind that `generate` makes.
    """
    key = from_pem(pem)
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise Unreadable("is neither an ECDSA nor an RSA key")


def unpresentable(public: PublicKeyTypes) -> str:
    """Why no edge presents a certificate with this key, or no origin accepts it.

    In words; empty if it is presented and accepted. With a curve for which TLS names no signature,
    TLS 1.2 fails and TLS 1.3 goes on without any certificate, which would show only in a proof that
    never comes. Of the Edwards curves, BoringSSL, on which Cloudflare's edge is built, signs only
    with Ed25519.
    """
    if isinstance(public, ec.EllipticCurvePublicKey):
        named = {curve.name for curve in _CURVES.values()}
        return (
            ""
            if public.curve.name in named
            else f"is an ECDSA key on {public.curve.name}, which no edge presents"
        )
    if isinstance(public, rsa.RSAPublicKey):
        return _size_of(public)
    return (
        ""
        if isinstance(public, ed25519.Ed25519PublicKey)
        else "is a key of a kind that no edge presents"
    )


def _size_of(public: rsa.RSAPublicKey) -> str:
    """What is wrong with the size of an RSA key, in words; empty if nothing is."""
    smallest, largest = RSA_BITS
    if not smallest <= public.key_size <= largest:
        return f"is an RSA key of {public.key_size} bits; it must have {smallest} to {largest}"
    if public.public_numbers().e.bit_length() > LARGEST_EXPONENT_BITS:
        return f"is an RSA key with a public exponent of more than {LARGEST_EXPONENT_BITS} bits"
    return ""


def kind_of(key: SigningKey) -> tuple[Algorithm, int]:
    """What `generate` was asked for when it made `key`."""
    return (Algorithm.RSA if isinstance(key, rsa.RSAPrivateKey) else Algorithm.ECDSA, key.key_size)


def hash_for(key: SigningKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """The hash that certificates signed by `key` use.

    As strong as the key's curve, SHA-256 for RSA as in Cloudflare's guide.
    """
    size = key.curve.key_size if isinstance(key, ec.EllipticCurvePrivateKey) else 0
    if size > 384:
        return hashes.SHA512()
    return hashes.SHA384() if size > 256 else hashes.SHA256()
