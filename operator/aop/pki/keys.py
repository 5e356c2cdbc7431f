"""Private keys: made, written as PEM, read back. The bytes go about as pydantic's `SecretBytes`, which no repr, log or traceback shows (promise S4)."""

from __future__ import annotations

from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pydantic import SecretBytes


class Algorithm(StrEnum):
    """Kinds of keys that are generated."""

    ECDSA = "ECDSA"
    """An elliptic-curve key; the size names the NIST curve: 256, 384 or 521."""
    RSA = "RSA"
    """An RSA key; the size is that of its modulus in bits."""


SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""What `generate` makes."""
KnownKey = SigningKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
"""What a referenced Secret may hold; Cloudflare has the last word on it."""

_CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}


def generate(algorithm: Algorithm, size: int) -> SigningKey:
    """A new private key of `size` bits.

    Slow for RSA, above all 4096 (seconds, and as much as ten of them): call it in a thread. Raises ValueError for an ECDSA size
    that names no curve.
    """
    if algorithm is Algorithm.RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=size)
    if size not in _CURVES:
        raise ValueError(f"no NIST curve has {size} bits")
    return ec.generate_private_key(_CURVES[size])


def to_pem(key: SigningKey) -> SecretBytes:
    """`key` as unencrypted PKCS #8 PEM, the form that Cloudflare, OpenSSL and cert-manager all read."""
    return SecretBytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def from_pem(pem: SecretBytes) -> KnownKey:
    """The key in `pem` (PKCS #8, PKCS #1 or SEC 1). Raises ValueError, without the text, when there is none, or an encrypted one."""
    try:
        key = load_pem_private_key(pem.get_secret_value(), password=None)
    except TypeError:
        raise ValueError("is encrypted") from None
    except Exception:  # noqa: BLE001 - OpenSSL's errors differ by version, and none may carry the bytes along
        raise ValueError("is no private key in PEM form") from None
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return key
    raise ValueError("is a key that no TLS client can sign with")


def signing_key(pem: SecretBytes) -> SigningKey:
    """The key of an authority in `pem`. Raises ValueError unless it is of a kind that `generate` makes."""
    key = from_pem(pem)
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise ValueError("is neither an ECDSA nor an RSA key")


def kind_of(key: SigningKey) -> tuple[Algorithm, int]:
    """What `generate` was asked for when it made `key`."""
    return (Algorithm.RSA if isinstance(key, rsa.RSAPrivateKey) else Algorithm.ECDSA, key.key_size)


def hash_for(key: SigningKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """The hash that certificates signed by `key` use: as strong as the key's curve, SHA-256 for RSA as in Cloudflare's guide."""
    size = key.curve.key_size if isinstance(key, ec.EllipticCurvePrivateKey) else 0
    return hashes.SHA512() if size > 384 else hashes.SHA384() if size > 256 else hashes.SHA256()
