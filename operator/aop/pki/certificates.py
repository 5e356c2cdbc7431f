"""Facts about certificates, which are public.

How a leaf is known, whose it is, what it may be used for. No key passes through here.
`cryptography` reads much of a certificate only when it is asked for, so all of it is asked for at
once, behind the guard: a `ReadCertificate` contains facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aop.pki.keys import unpresentable
from aop.pki.parsing import Unreadable, blocks, encoded, guarded
from aop.terms import Pin

GENERATION = "generation-"
"""What precedes an authority's own digest in its second organizational unit. It shows that we made
the authority, and which of ours it is."""
LONGEST_NAME = 64
"""The upper bound of a common name (X.520 ub-common-name)."""
BROKEN_HASHES = frozenset({"md5", "sha1"})
"""OpenSSL's security levels, Go, and `cryptography` itself refuse signatures over these."""
LONGEST_CHAIN = 10
"""How many intermediates are followed; nobody has more than three."""
MOST_NAMESAKES = 8
"""How many authorities of one name have their keys tried; there are two or three if one was
renewed."""

_EXTENSION = TypeVar("_EXTENSION", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is known of one leaf certificate."""

    pin: Pin
    """Its digests and its time of validity."""
    serial_number: str
    """In decimal digits, as Cloudflare writes it (facts: cloudflare#certificate-object)."""
    pem: str = field(repr=False)
    """The certificate alone, without a chain: what is uploaded."""

    def renewal_at(self, renew_before: timedelta) -> datetime:
        """When a successor is due."""
        return self.pin.not_after - renew_before


@dataclass(frozen=True, slots=True)
class ReadCertificate:
    """One certificate of a Secret, read whole."""

    leaf: Leaf
    subject: bytes = field(repr=False)
    """Its name and that of its issuer, in DER."""
    issuer: bytes = field(repr=False)
    common_names: tuple[str, ...]
    units: tuple[str, ...]
    """The organizational units of its own name."""
    version: int
    """1 or 3. A certificate of version 1 has no extensions, so it cannot say for what it may be
    used."""
    authority: bool
    """Whether it says CA:TRUE; Cloudflare refuses that in a leaf
    (facts: cloudflare#refused-uploads)."""
    signs_certificates: bool
    """Whether its key usage, if it has one, allows that."""
    signs: bool
    """Whether its key usage, if it has one, allows what a TLS client does with its key. Key
    agreement alone is not enough: BoringSSL, and so the edge, does not take such a certificate as
    its own."""
    authenticates_clients: bool
    """True without extended key usage; with it, only if it names clientAuth (anyExtendedKeyUsage
    does not help with OpenSSL)."""
    signed_over: str
    """The hash of its own signature, in small letters; empty if the signature has no separate hash
    (Ed25519)."""
    key: bytes = field(repr=False)
    """SubjectPublicKeyInfo, in DER."""
    unpresentable: str
    """Why no edge presents it, if its key is the reason; else empty."""
    parsed: x509.Certificate = field(repr=False, compare=False)

    def made_by_us(self) -> bool:
        """Whether the operator made this authority."""
        return any(unit.startswith(GENERATION) for unit in self.units)

    def made_for(self, zone: str) -> bool:
        """Whether the operator made this authority, for that zone."""
        return self.made_by_us() and self.common_names == (common_name(zone),)

    def may_sign(self) -> bool:
        """Whether it is an authority in the eyes of a verifier."""
        return self.authority and self.signs_certificates

    def signed(self, other: ReadCertificate) -> bool:
        """Whether it is an authority whose key has signed `other`."""
        if (
            other.issuer != self.subject
            or not self.may_sign()
            or other.signed_over in BROKEN_HASHES
        ):
            return False
        try:
            with guarded("did not sign it"):
                other.parsed.verify_directly_issued_by(self.parsed)
        except Unreadable:
            return False
        return True


def common_name(name: str) -> str:
    """`name` as a common name.

    If it does not fit, its beginning and a digest of all of it, so that no two names become the
    same.
    """
    if len(name) <= LONGEST_NAME:
        return name
    # No hostname has a tilde, so nobody's zone can have this name.
    return f"{name[: LONGEST_NAME - 17]}~{sha256(name.encode()).hexdigest()[:16]}"


def load(pem: str | bytes) -> tuple[x509.Certificate, ...]:
    """All certificates in `pem`, in their order.

    Raises `Unreadable` (a ValueError) when there is none, or one of them is broken.
    """
    with guarded("is no certificate in PEM form"):
        return tuple(x509.load_pem_x509_certificates(pem.encode() if isinstance(pem, str) else pem))


def read(text: bytes) -> tuple[ReadCertificate, ...]:
    """All certificates in a field of a Secret, in their order, at least one.

    Raises `Unreadable`, which names the broken one.
    """
    certificates = [
        block
        for label, block in blocks(text, convert="openssl x509 -inform der")
        if label in {"CERTIFICATE", "X509 CERTIFICATE"}
    ]
    if not certificates:
        raise Unreadable(
            "is no certificate in PEM form",
            "put a certificate there that begins with -----BEGIN CERTIFICATE-----",
        )
    return tuple(
        _read(
            block,
            f" (certificate {number} of {len(certificates)})" if len(certificates) > 1 else "",
        )
        for number, block in enumerate(certificates, 1)
    )


def _read(block: bytes, which: str) -> ReadCertificate:
    with guarded(f"is no certificate that can be read{which}", "put it there as it was issued"):
        (parsed,) = x509.load_pem_x509_certificates(block)
    with guarded(
        f"has a name, a key or an extension that cannot be read{which}",
        "have the certificate issued again",
    ):
        extensions, public = parsed.extensions, parsed.public_key()
        basic = _extension(extensions, x509.BasicConstraints)
        usage = _extension(extensions, x509.KeyUsage)
        extended = _extension(extensions, x509.ExtendedKeyUsage)
        key = public_bytes(public)
        signed_over = parsed.signature_hash_algorithm
        return ReadCertificate(
            leaf=leaf_of(parsed),
            subject=parsed.subject.public_bytes(),
            issuer=parsed.issuer.public_bytes(),
            common_names=_attributes(parsed.subject, NameOID.COMMON_NAME),
            units=_attributes(parsed.subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
            version=3 if parsed.version is x509.Version.v3 else 1,
            authority=basic is not None and basic.ca,
            signs_certificates=usage is None or usage.key_cert_sign,
            signs=usage is None or usage.digital_signature,
            authenticates_clients=extended is None or ExtendedKeyUsageOID.CLIENT_AUTH in extended,
            signed_over=signed_over.name if signed_over else "",
            key=key,
            unpresentable=unpresentable(public) or _told_otherwise(key, parsed),
            parsed=parsed,
        )


def public_bytes(public: PublicKeyTypes) -> bytes:
    """A public key as SubjectPublicKeyInfo in DER: equal for equal keys."""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _told_otherwise(key: bytes, parsed: x509.Certificate) -> str:
    """Whether the certificate describes its key in a way that only OpenSSL understands.

    That is an RSA key for PSS only, or a curve by its numbers.
    """
    if key in parsed.tbs_certificate_bytes:
        return ""
    return "is described by its certificate in a form that no edge presents (for RSA-PSS only, or a curve by its numbers)"


def _extension(extensions: x509.Extensions, kind: type[_EXTENSION]) -> _EXTENSION | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _attributes(name: x509.Name, kind: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(attribute.value) for attribute in name.get_attributes_for_oid(kind))


def leaf_of(certificate: x509.Certificate) -> Leaf:
    """What is known of `certificate`. Raises `Unreadable` if that cannot be read."""
    with guarded("has dates or a serial number that cannot be read"):
        pin = Pin(
            sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            sha1=certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 - what nginx compares; `Pin` says why that is safe
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            der=encoded(certificate.public_bytes(Encoding.DER)),
        )
        return Leaf(
            pin, str(certificate.serial_number), certificate.public_bytes(Encoding.PEM).decode()
        )


def pin_of(pem: str | bytes) -> Pin:
    """The pin of the first certificate in `pem`.

    Raises `Unreadable` (a ValueError) when there is none.
    """
    return leaf_of(load(pem)[0]).pin


def recognise(pem: str | bytes, uid: str) -> bool:
    """Whether the first certificate in `pem` is by an authority of the object `uid`.

    Its issuer's name says so, even at Cloudflare after all local state is lost. A name proves
    nothing to a verifier; it only shows what is ours to delete, in a zone where only the token's
    holders can upload. Raises `Unreadable` (a ValueError) if there is no certificate.
    """
    with guarded("has an issuer that cannot be read"):
        return uid in _attributes(load(pem)[0].issuer, NameOID.ORGANIZATIONAL_UNIT_NAME)


def fault_in_chain(
    leaf: ReadCertificate,
    between: tuple[ReadCertificate, ...],
    trusted: tuple[ReadCertificate, ...],
) -> Unreadable | None:
    """Why signatures do not lead from `leaf` over some of `between` to one of `trusted`.

    None if they do. One of `trusted` needs no signature. The authorities' own validity is not
    checked: an origin that pins the leaf does not ask for it. The text continues the name of the
    field that contains `trusted`.
    """
    current = leaf
    for _ in range(LONGEST_CHAIN):
        if current in trusted or any(by.signed(current) for by in _namesakes(trusted, current)):
            return None
        issuer = next((by for by in _namesakes(between, current) if by.signed(current)), None)
        if issuer is None:
            return _missing_signature(
                current, leaf, (*_namesakes(trusted, current), *_namesakes(between, current))
            )
        current = issuer
    return Unreadable(
        "did not sign tls.crt", "put the certificate of the authority there that issued the leaf"
    )


def _namesakes(
    certificates: tuple[ReadCertificate, ...], issued: ReadCertificate
) -> tuple[ReadCertificate, ...]:
    """The certificates whose name is that of the issuer of `issued`."""
    return tuple(one for one in dict.fromkeys(certificates) if one.subject == issued.issuer)[
        :MOST_NAMESAKES
    ]


def _missing_signature(
    current: ReadCertificate, leaf: ReadCertificate, namesakes: tuple[ReadCertificate, ...]
) -> Unreadable:
    """What is wrong with a chain that ends at `current`."""
    which = "the leaf" if current is leaf else "an intermediate"
    again = "make the authority's certificate again with basicConstraints=critical,CA:TRUE and keyUsage=critical,keyCertSign,cRLSign"
    if current.signed_over in BROKEN_HASHES:
        why = f"{which} is signed over {current.signed_over.upper()}, which servers refuse"
        return Unreadable(f"does not vouch for tls.crt: {why}", "have it issued again with SHA-256")
    if any(one.version < 3 for one in namesakes):
        why = f"the issuer of {which} is a certificate of version 1, which cannot say that it is an authority"
        return Unreadable(f"does not vouch for tls.crt: {why}", again)
    if any(not one.may_sign() for one in namesakes):
        why = f"the issuer of {which} is no authority: it lacks CA:TRUE, or has a key usage without keyCertSign"
        return Unreadable(f"does not vouch for tls.crt: {why}", again)
    if namesakes:
        why = f"the authority with the name of the issuer of {which} has another key"
        return Unreadable(
            f"did not sign tls.crt: {why}",
            "put the one there that signed it, or have the leaf issued again by this one",
        )
    return Unreadable(
        "did not sign tls.crt", "put the certificate of the authority there that issued the leaf"
    )
