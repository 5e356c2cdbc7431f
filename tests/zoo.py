"""Key pairs as people and tools leave them in Secrets: the good, the odd and the bad, each with what is said of it.

Real certificates, made by `cryptography` or by openssl when they are asked for; nothing private is
in the repository. `ZOO` is the one table of what `spec.certificate.secretRef` may find, `FORMS` of
what may have happened to a file on its way into a field.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from aop.pki import Algorithm, Recipe, create_authority, issue_leaf, leaf_data

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ZONE = "example.com"
UID = "0b6f6f0e-5c0e-4c60-9f6e-6d2a1f0a7c11"
RECIPE = Recipe(ZONE, UID, (ZONE,), Algorithm.ECDSA, 256, 730 * DAY, 1826 * DAY)

Data = dict[str, str]
Change = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]
Key = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)


def encoded(value: bytes | str) -> str:
    """A field of a Secret's data."""
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def decoded(data: Data, field: str) -> bytes:
    """What stands in a field."""
    return base64.b64decode(data[field], validate=True)


# --- made by cryptography --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)


def key_pem(key: Key, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def unchanged(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder


def issued(
    common: str,
    by: Made | None,
    *changes: Change,
    key: Key | None = None,
    valid: tuple[timedelta, timedelta] = (-DAY, 90 * DAY),
) -> Made:
    """A certificate; `by` None signs itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(by.certificate.subject if by else name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + valid[0])
        .not_valid_after(NOW + valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if by:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False
        )
    for change in changes:
        builder = change(builder)
    return Made(
        builder.sign(
            signer,
            None
            if isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
            else hashes.SHA256(),
        ),
        key,
    )


def basic(*, authority: bool) -> Change:
    return lambda builder: builder.add_extension(
        x509.BasicConstraints(ca=authority, path_length=None), critical=True
    )


def used_for(*purposes: x509.ObjectIdentifier) -> Change:
    return lambda builder: builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)


def usage(*allowed: str) -> Change:
    everything = (
        *("digital_signature", "key_agreement", "key_encipherment", "content_commitment"),
        *("data_encipherment", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    bits = {bit: bit in allowed for bit in everything}
    return lambda builder: builder.add_extension(x509.KeyUsage(**bits), critical=True)


AUTHORITY = (basic(authority=True), usage("key_cert_sign", "crl_sign"))


@cache
def root(common: str = "root", number: int = 0) -> Made:
    """An authority; `number` tells those of one name apart."""
    return issued(common, None, *AUTHORITY, valid=(-DAY, (900 + number) * DAY))


def leaf(*changes: Change, key: Key | None = None, by: Made | None = None) -> Made:
    return issued("www.example.com", by or root(), *changes, key=key)


def secret(pair: Made, *between: Made, ca: bytes | None = None) -> Data:
    """A referenced Secret as cert-manager writes it."""
    return {
        "tls.crt": encoded(b"".join((pair.pem, *(one.pem for one in between)))),
        "tls.key": encoded(pair.key_pem),
        "ca.crt": encoded(root().pem if ca is None else ca),
    }


def good() -> Data:
    return secret(leaf())


def changed(data: Data, field: str, change: Callable[[bytes], bytes]) -> Data:
    """The same with one field's content changed."""
    return data | {field: encoded(change(decoded(data, field)))}


def cut_off() -> Data:
    """As base64 reads whose end was lost."""
    data = good()
    return data | {"ca.crt": data["ca.crt"][:-3]}


def with_field(field: str, value: bytes) -> Data:
    return good() | {field: encoded(value)}


def without(field: str) -> Data:
    return {other: value for other, value in good().items() if other != field}


def intermediate() -> Made:
    return issued("between", root(), *AUTHORITY)


def chained(*order: int) -> Data:
    """leaf, intermediate and root in `tls.crt`, in this order."""
    between = intermediate()
    pair = leaf(by=between)
    parts = (pair.pem, between.pem, root().pem)
    return secret(pair) | {"tls.crt": encoded(b"".join(parts[one] for one in order))}


def generated() -> Data:
    authority = create_authority(RECIPE, NOW)
    return leaf_data(issue_leaf(RECIPE, authority, NOW), authority)


def bundle(count: int) -> bytes:
    """So many authorities, the right one last."""
    return b"".join(root("another", number % 3).pem for number in range(count - 1)) + root().pem


# --- made by openssl -------------------------------------------------------------------------------------------------

CA_TRUE = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash"
LEAF = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash"


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    """What openssl answers, without anything that the machine's own configuration might forbid."""
    environment = {**os.environ, "OPENSSL_CONF": os.devnull}
    done = subprocess.run(
        ["openssl", *arguments],
        input=given,
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def by_openssl(
    key: bytes,
    common: str,
    extensions: str | None,
    by: tuple[bytes, bytes] | None = None,
    digest: str = "sha256",
    days: int = 90,
) -> bytes:
    """A certificate; no extensions at all make it one of version 1.

    `by` is the authority and its key; without it, it signs itself.
    """
    with TemporaryDirectory() as folder:
        files = {
            part: Path(folder, part) for part in ("key", "request", "extensions", "ca", "cakey")
        }
        files["key"].write_bytes(key)
        files["extensions"].write_text(extensions or "")
        request = [
            "req",
            "-new",
            "-key",
            str(files["key"]),
            "-subj",
            f"/CN={common}",
            "-out",
            str(files["request"]),
        ]
        with Path(folder, "empty").open("w") as empty:
            empty.write("[req]\ndistinguished_name=d\n[d]\n")
        openssl(*request, "-config", str(Path(folder, "empty")))
        signing = ["x509", "-req", "-in", str(files["request"]), "-days", str(days), f"-{digest}"]
        if by is None:
            signing += ["-signkey", str(files["key"])]
        else:
            files["ca"].write_bytes(by[0])
            files["cakey"].write_bytes(by[1])
            signing += [
                "-CA",
                str(files["ca"]),
                "-CAkey",
                str(files["cakey"]),
                "-set_serial",
                "4711",
            ]
        return openssl(*signing, *(["-extfile", str(files["extensions"])] if extensions else []))


def openssl_key(*options: str) -> bytes:
    return openssl("genpkey", *options)


P256 = (
    "-algorithm",
    "EC",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-pkeyopt",
    "ec_param_enc:named_curve",
)


@dataclass(frozen=True)
class Recipes:
    """How a pair is made with openssl."""

    authority_extensions: str | None = CA_TRUE
    authority_digest: str = "sha256"
    authority_key: tuple[str, ...] = P256
    extensions: str | None = LEAF
    digest: str = "sha256"
    key: tuple[str, ...] = P256

    def secret(self) -> Data:
        ca_key, key = openssl_key(*self.authority_key), openssl_key(*self.key)
        ca = by_openssl(
            ca_key,
            "an authority",
            self.authority_extensions,
            digest=self.authority_digest,
            days=900,
        )
        certificate = by_openssl(key, "www.example.com", self.extensions, (ca, ca_key), self.digest)
        return {"tls.crt": encoded(certificate), "tls.key": encoded(key), "ca.crt": encoded(ca)}


def self_signed_v1() -> Data:
    key = openssl_key(*P256)
    certificate = by_openssl(key, "www.example.com", None)
    return {
        "tls.crt": encoded(certificate),
        "tls.key": encoded(key),
        "ca.crt": encoded(certificate),
    }


def with_parameters() -> Data:
    """A key as `openssl ecparam -genkey` writes it: its curve in a block of its own before it."""
    key = openssl("ecparam", "-name", "prime256v1", "-genkey")
    ca_key = root().key_pem
    certificate = by_openssl(key, "www.example.com", LEAF, (root().pem, ca_key))
    return {"tls.crt": encoded(certificate), "tls.key": encoded(key), "ca.crt": encoded(root().pem)}


def traditional_encrypted() -> bytes:
    return openssl("ec", "-aes256", "-passout", "pass:pretend", given=leaf().key_pem)


def guide() -> Data:
    """What Cloudflare's guide has one type in (facts: cloudflare#recipe-of-the-guide): a root without key usage, a leaf with CA:FALSE alone.

    But with smaller keys, which are made in less time.
    """
    key = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    return Recipes(
        "basicConstraints=CA:TRUE",
        authority_key=key,
        extensions="basicConstraints=CA:FALSE",
        key=key,
    ).secret()


# --- numbers that somebody has chosen --------------------------------------------------------------------------------


def chosen_rsa(p: int, q: int, e: int = 65537, d: int | None = None) -> bytes:
    """An RSA key of these numbers, which nobody has checked."""
    d = d or pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    return key_pem(numbers.private_key(unsafe_skip_rsa_key_validation=True))


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """One for all, because the large ones take seconds."""
    return rsa.generate_private_key(65537, bits)


def mersenne(exponent: int) -> int:
    """A prime that takes nobody any time to find, and a long time to check."""
    return int(2**exponent - 1)


def exponent_of_64_bits() -> bytes:
    numbers = rsa_key(2048).private_numbers()
    return chosen_rsa(numbers.p, numbers.q, e=2**61 - 1)


def damaged_rsa() -> bytes:
    """One whose numbers do not belong together."""
    numbers = rsa_key(2048).private_numbers()
    return chosen_rsa(numbers.p, numbers.q + 2, d=numbers.d)


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Good:
    """Taken.

    `strict`: `openssl verify -x509_strict` takes it as well; where it does not, nothing of ours
    depends on what it misses.
    """

    make: Callable[[], Data]
    strict: bool = True


@dataclass(frozen=True)
class Bad:
    """Refused: the message names `field`, says `what`, and its remedy has the word `remedy`."""

    make: Callable[[], Data]
    field: str
    what: str
    remedy: str


def _curve(curve: ec.EllipticCurve) -> Callable[[], Data]:
    return lambda: secret(leaf(key=ec.generate_private_key(curve)))


def _rsa(bits: int) -> Callable[[], Data]:
    return lambda: secret(leaf(key=rsa_key(bits)))


def _other_key(make: Callable[[], bytes]) -> Callable[[], Data]:
    return lambda: with_field("tls.key", make())


def _traditional(pair: Made) -> Data:
    return secret(pair) | {"tls.key": encoded(key_pem(pair.key, PrivateFormat.TraditionalOpenSSL))}


def _its_own_authority(pair: Made) -> Data:
    return secret(pair, ca=pair.pem)


def _garbled(kind: x509.ObjectIdentifier) -> Change:
    return lambda builder: builder.add_extension(
        x509.UnrecognizedExtension(kind, b"?"), critical=True
    )


def _pkcs8(key: x25519.X25519PrivateKey | dsa.DSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _encrypted() -> bytes:
    return leaf().key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pretend")
    )


def _signed_by_a_leaf() -> Data:
    middle = issued("middle", root(), basic(authority=False))
    return secret(leaf(by=middle), middle)


def _unsigned_authority(*changes: Change) -> Callable[[], Data]:
    def make() -> Data:
        authority = issued("an authority", None, *changes)
        return secret(leaf(by=authority), ca=authority.pem)

    return make


def _between_of_another() -> Data:
    """The intermediate was issued by an authority that is not in ca.crt."""
    between = issued("between", root("another"), *AUTHORITY)
    return secret(leaf(by=between), between)


EXPLICIT = (
    "-algorithm",
    "EC",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-pkeyopt",
    "ec_param_enc:explicit",
)
UNPRESENTED = "which no edge presents"
PUT_A_LEAF, ANOTHER_KEY, BOTH_USAGES = "CA:FALSE", "P-256", "digital signature, client auth"

ZOO: dict[str, Good | Bad] = {
    # keys
    "P-256": Good(good),
    "P-384": Good(_curve(ec.SECP384R1())),
    "P-521": Good(_curve(ec.SECP521R1())),
    "Ed25519": Good(lambda: secret(leaf(key=ed25519.Ed25519PrivateKey.generate()))),
    "RSA 2048": Good(_rsa(2048)),
    "RSA 3072": Good(_rsa(3072)),
    "RSA 4096": Good(_rsa(4096)),
    "RSA 1024": Bad(_rsa(1024), "tls.key", "is an RSA key of 1024 bits", ANOTHER_KEY),
    "RSA 8192, and a prime that takes half a minute to check": Bad(
        _other_key(lambda: chosen_rsa(mersenne(9689), mersenne(61))),
        "tls.key",
        "is an RSA key of 9750 bits",
        ANOTHER_KEY,
    ),
    "RSA of two sizes, one of which takes seconds to check": Bad(
        _other_key(lambda: chosen_rsa(mersenne(3217), mersenne(607))),
        "tls.key",
        "is an RSA key of two primes of different sizes",
        "anew",
    ),
    "RSA with a long public exponent": Bad(
        _other_key(exponent_of_64_bits),
        "tls.key",
        "is an RSA key with a public exponent of more than 31 bits",
        ANOTHER_KEY,
    ),
    "RSA that is damaged": Bad(_other_key(damaged_rsa), "tls.key", "is no valid RSA key", "anew"),
    "RSA for PSS only": Bad(
        Recipes(key=("-algorithm", "RSA-PSS")).secret,
        "tls.key",
        "is described by its certificate in a form that no edge presents",
        ANOTHER_KEY,
    ),
    "P-256 by its numbers": Bad(
        Recipes(key=EXPLICIT).secret,
        "tls.key",
        "is described by its certificate in a form that no edge presents",
        ANOTHER_KEY,
    ),
    "P-192": Bad(
        _curve(ec.SECP192R1()),
        "tls.key",
        f"is an ECDSA key on secp192r1, {UNPRESENTED}",
        ANOTHER_KEY,
    ),
    "P-224": Bad(
        _curve(ec.SECP224R1()),
        "tls.key",
        f"is an ECDSA key on secp224r1, {UNPRESENTED}",
        ANOTHER_KEY,
    ),
    "secp256k1": Bad(
        _curve(ec.SECP256K1()),
        "tls.key",
        f"is an ECDSA key on secp256k1, {UNPRESENTED}",
        ANOTHER_KEY,
    ),
    "brainpool": Bad(
        _curve(ec.BrainpoolP256R1()),
        "tls.key",
        f"is an ECDSA key on brainpoolP256r1, {UNPRESENTED}",
        ANOTHER_KEY,
    ),
    "Ed448": Bad(
        lambda: secret(leaf(key=ed448.Ed448PrivateKey.generate())),
        "tls.key",
        "is a key of a kind that no edge presents",
        ANOTHER_KEY,
    ),
    "a key that cannot sign": Bad(
        _other_key(lambda: _pkcs8(x25519.X25519PrivateKey.generate())),
        "tls.key",
        "is a key that no TLS client can sign with",
        ANOTHER_KEY,
    ),
    "DSA": Bad(
        _other_key(lambda: openssl("dsaparam", "-genkey", "-noout", "1024")),
        "tls.key",
        "is a key that no TLS client can sign with",
        ANOTHER_KEY,
    ),
    # forms of keys
    "a key in SEC 1": Good(lambda: _traditional(leaf())),
    "a key in PKCS 1": Good(lambda: _traditional(leaf(key=rsa_key(2048)))),
    "a key behind its parameters": Good(with_parameters),
    "a key twice": Good(lambda: changed(good(), "tls.key", lambda pem: pem * 2)),
    "two keys": Bad(
        lambda: changed(good(), "tls.key", lambda pem: pem + leaf().key_pem),
        "tls.key",
        "holds 2 private keys",
        "only",
    ),
    "a key that is encrypted": Bad(
        _other_key(_encrypted), "tls.key", "is encrypted", "openssl pkey -in tls.key -out plain.key"
    ),
    "a key that is encrypted the old way": Bad(
        _other_key(traditional_encrypted), "tls.key", "is encrypted", "openssl pkey"
    ),
    "a key of another certificate": Bad(
        _other_key(lambda: leaf().key_pem), "tls.key", "is not the key of tls.crt", "issued for"
    ),
    "a key of another kind": Bad(
        _other_key(lambda: key_pem(ed25519.Ed25519PrivateKey.generate())),
        "tls.key",
        "is not the key of tls.crt",
        "issued for",
    ),
    "a certificate for a key": Bad(
        _other_key(lambda: leaf().pem),
        "tls.key",
        "is no private key in PEM form",
        "BEGIN PRIVATE KEY",
    ),
    # what the leaf may be used for
    "no key usage and no purpose": Good(lambda: secret(leaf())),
    "for clients": Good(
        lambda: secret(leaf(basic(authority=False), used_for(ExtendedKeyUsageOID.CLIENT_AUTH)))
    ),
    "for servers and clients": Good(
        lambda: secret(
            leaf(used_for(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH))
        )
    ),
    "for signatures and encipherment": Good(
        lambda: secret(leaf(usage("digital_signature", "key_encipherment")))
    ),
    "for servers": Bad(
        lambda: secret(leaf(used_for(ExtendedKeyUsageOID.SERVER_AUTH))),
        "tls.crt",
        "is not for client authentication",
        BOTH_USAGES,
    ),
    "for anything": Bad(
        lambda: secret(leaf(used_for(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE))),
        "tls.crt",
        "is not for client authentication",
        BOTH_USAGES,
    ),
    "for encipherment": Bad(
        lambda: secret(leaf(usage("key_encipherment"))),
        "tls.crt",
        "has a key usage without digitalSignature",
        BOTH_USAGES,
    ),
    "for key agreement": Bad(
        lambda: secret(leaf(usage("key_agreement"))),
        "tls.crt",
        "has a key usage without digitalSignature",
        BOTH_USAGES,
    ),
    "an authority as leaf": Bad(
        lambda: secret(root()), "tls.crt", "is an authority (CA:TRUE)", PUT_A_LEAF
    ),
    "of version 1": Good(Recipes(extensions=None).secret),
    "expired": Bad(
        lambda: secret(issued("www", root(), valid=(-90 * DAY, 0 * DAY))),
        "tls.crt",
        f"expired at {NOW:%Y-%m-%d %H:%M:%S} UTC",
        "renewed",
    ),
    "not yet valid": Bad(
        lambda: secret(issued("www", root(), valid=(DAY, 90 * DAY))),
        "tls.crt",
        f"is not valid before {NOW + DAY:%Y-%m-%d %H:%M:%S} UTC",
        "wait",
    ),
    "an extension that is garbled": Bad(
        lambda: secret(leaf(_garbled(ExtensionOID.BASIC_CONSTRAINTS))),
        "tls.crt",
        "has a name, a key or an extension that cannot be read",
        "again",
    ),
    # chains
    "an intermediate": Good(lambda: chained(0, 1)),
    "an intermediate, and the root as well": Good(lambda: chained(0, 1, 2)),
    "intermediates in another order": Good(lambda: chained(0, 2, 1)),
    "the leaf twice": Good(lambda: chained(0, 0, 1)),
    "root first": Bad(
        lambda: chained(2, 1, 0),
        "tls.crt",
        "begins with another certificate than that of tls.key, which is certificate 3 of 3",
        "leaf first",
    ),
    "one of a hundred authorities": Good(lambda: secret(leaf(), ca=bundle(100))),
    "a chain of a hundred": Good(lambda: chained(0, *([1, 2] * 49), 1)),
    "a thousand authorities": Bad(
        lambda: secret(leaf(), ca=bundle(1000)), "ca.crt", "holds 1000 PEM blocks", "only"
    ),
    "self-signed": Good(lambda: _its_own_authority(issued("www", None, basic(authority=False)))),
    "self-signed of version 1": Good(self_signed_v1, strict=False),
    "the recipe of the guide": Good(guide, strict=False),
    "a leaf of ours": Good(generated),
    "a root signed over SHA-1": Good(Recipes(authority_digest="sha1").secret),
    "a leaf signed over SHA-1": Bad(
        Recipes(digest="sha1").secret,
        "ca.crt",
        "does not vouch for tls.crt: the leaf is signed over SHA1",
        "SHA-256",
    ),
    "an authority of version 1": Bad(
        Recipes(authority_extensions=None).secret,
        "ca.crt",
        "does not vouch for tls.crt: the issuer of the leaf is a certificate of version 1",
        "CA:TRUE",
    ),
    "an authority without CA:TRUE": Bad(
        _unsigned_authority(),
        "ca.crt",
        "does not vouch for tls.crt: the issuer of the leaf is no authority",
        "CA:TRUE",
    ),
    "an authority without keyCertSign": Bad(
        _unsigned_authority(basic(authority=True), usage("digital_signature")),
        "ca.crt",
        "does not vouch for tls.crt: the issuer of the leaf is no authority",
        "keyCertSign",
    ),
    "an intermediate that is a leaf": Bad(
        _signed_by_a_leaf,
        "ca.crt",
        "does not vouch for tls.crt: the issuer of the leaf is no authority",
        "CA:TRUE",
    ),
    "an authority of another name": Bad(
        lambda: secret(leaf(), ca=root("another").pem),
        "ca.crt",
        "did not sign tls.crt",
        "issued the leaf",
    ),
    "an authority of the same name": Bad(
        lambda: secret(leaf(), ca=root(number=1).pem),
        "ca.crt",
        "did not sign tls.crt: the authority with the name of the issuer",
        "issued again",
    ),
    "an intermediate of another": Bad(
        _between_of_another, "ca.crt", "did not sign tls.crt", "issued the leaf"
    ),
    "a broken one among a hundred": Bad(
        lambda: secret(leaf(), ca=bundle(99) + root().pem.replace(b"MII", b"NII", 1)),
        "ca.crt",
        "is no certificate that can be read (certificate 100 of 100)",
        "as it was issued",
    ),
    # fields
    "no certificate": Bad(
        lambda: without("tls.crt"), "tls.crt", "is missing", "kubectl create secret tls"
    ),
    "no key": Bad(lambda: without("tls.key"), "tls.key", "is missing", "kubectl create secret tls"),
    "no authority": Bad(
        lambda: without("ca.crt"),
        "ca.crt",
        "is missing",
        "kubectl -n edge patch secret example-com-tls",
    ),
    "an empty certificate": Bad(
        lambda: with_field("tls.crt", b""), "tls.crt", "is empty", "kubectl create secret tls"
    ),
    "an empty key": Bad(
        lambda: with_field("tls.key", b""), "tls.key", "is empty", "kubectl create secret tls"
    ),
    "an empty authority": Bad(
        lambda: with_field("ca.crt", b""),
        "ca.crt",
        "is empty",
        "kubectl -n edge patch secret example-com-tls",
    ),
    "not even base64": Bad(
        lambda: good() | {"tls.crt": "%"}, "tls.crt", "is not base64", "stringData"
    ),
    "base64 that is cut off": Bad(cut_off, "ca.crt", "is not base64", "stringData"),
}


# --- forms -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileForm:
    """What may have happened to a file on its way into a field.

    `what` is said of it; empty: it is good all the same.
    """

    change: Callable[[bytes], bytes]
    what: str = ""


def _one_line_of_base64(pem: bytes) -> bytes:
    return re.sub(rb"(?<!-)\n(?!-)", b"", pem)


def _indented(pem: bytes) -> bytes:
    return b"".join(b"    " + line + b"\n" for line in pem.splitlines())


def _der(pem: bytes) -> bytes:
    return base64.b64decode(
        b"".join(line for line in pem.splitlines() if not line.startswith(b"-----"))
    )


_LOST_BREAKS = "has a -----BEGIN or -----END that is not on a line of its own"
_CUT = "is cut off"

FORMS: dict[str, FileForm] = {
    "CRLF": FileForm(lambda pem: pem.replace(b"\n", b"\r\n")),
    "text before it": FileForm(lambda pem: b"Bag Attributes\n    friendlyName: example\n" + pem),
    "text before it that is no UTF-8": FileForm(
        lambda pem: b"friendlyName: M\xfcller \xff\xfe\n" + pem
    ),
    "text behind it": FileForm(lambda pem: pem + b"\nthe end\n"),
    "no final newline": FileForm(lambda pem: pem.rstrip()),
    "blanks at the ends of its markers": FileForm(
        lambda pem: pem.replace(b"-----\n", b"----- \t\n")
    ),
    "base64 on one line": FileForm(_one_line_of_base64),
    "twice": FileForm(lambda pem: pem + pem),
    "on one line": FileForm(lambda pem: pem.replace(b"\n", b" "), _LOST_BREAKS),
    "without its line breaks": FileForm(lambda pem: pem.replace(b"\n", b""), _LOST_BREAKS),
    "with the line breaks of an old Macintosh": FileForm(
        lambda pem: pem.replace(b"\n", b"\r"), _LOST_BREAKS
    ),
    "with \\n in place of line breaks": FileForm(
        lambda pem: pem.replace(b"\n", b"\\n"), _LOST_BREAKS
    ),
    "twice, without a newline between": FileForm(lambda pem: pem.rstrip() + pem, _LOST_BREAKS),
    "indented": FileForm(_indented, _LOST_BREAKS),
    "behind text on its line": FileForm(lambda pem: b"tls: " + pem, _LOST_BREAKS),
    "with a byte order mark": FileForm(
        lambda pem: b"\xef\xbb\xbf" + pem, "begins with a byte order mark"
    ),
    "in UTF-16": FileForm(
        lambda pem: pem.decode().encode("utf-16"), "begins with a byte order mark"
    ),
    "in binary form": FileForm(_der, "is in binary form (DER)"),
    "cut off": FileForm(lambda pem: pem[: len(pem) // 3], _CUT),
    "without its end": FileForm(lambda pem: pem.replace(b"-----END ", b"-----EN "), _CUT),
    "without its beginning": FileForm(lambda pem: pem.replace(b"-----BEGIN ", b"-----"), _CUT),
    "with another end": FileForm(lambda pem: pem.replace(b"-----END ", b"-----END OTHER "), _CUT),
    "base64 twice": FileForm(base64.b64encode, "is no "),
    "a megabyte of noise": FileForm(lambda _: os.urandom(1_000_000), "is no "),
    "a megabyte of beginnings": FileForm(lambda _: b"-----BEGIN CERTIFICATE-----\n" * 35_000, _CUT),
    "a megabyte of ends": FileForm(lambda _: b"-----END CERTIFICATE-----\n" * 38_000, _CUT),
    "a megabyte in one block": FileForm(
        lambda _: (
            b"-----BEGIN CERTIFICATE-----\n" + b"AAAA" * 250_000 + b"\n-----END CERTIFICATE-----\n"
        ),
        "holds a PEM block of ",
    ),
    "not UTF-8": FileForm(lambda _: b"\xff\xc0\xc1" * 40, "is no "),
    "something else": FileForm(lambda _: b"hello", "is no "),
    "a placeholder": FileForm(lambda _: b"0.", "is no "),
    "zeros": FileForm(lambda _: bytes(64), "is no "),
    "a public key": FileForm(lambda _: openssl("pkey", "-pubout", given=leaf().key_pem), "is no "),
    "blank lines in it": FileForm(lambda pem: pem.replace(b"\n", b"\n\n"), "is no "),
    "other letters in it": FileForm(lambda pem: pem.replace(b"M", b"!", 1), "is no "),
    "one letter less": FileForm(lambda pem: pem.replace(b"M", b"", 1), "is no "),
}
