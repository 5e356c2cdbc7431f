"""Facts of certificates, which are public: what a leaf is known by, whose it is, what it may be used for.

`aop.observe` asks this of everything that Cloudflare lists and of everything in a Secret; no key passes through here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aop.origins import Pin

GENERATION = "generation-"
"""What precedes the number in the second organizational unit of our authorities."""
LONGEST_NAME = 64
"""The upper bound of a common name (X.520 ub-common-name)."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is known of one leaf certificate."""

    pin: Pin
    """Its digests and its time of validity."""
    serial_number: str
    """In decimal digits, as Cloudflare writes it (reference: cloudflare-api, 2)."""
    pem: str = field(repr=False)
    """The certificate alone, without a chain: what is uploaded."""

    def renewal_at(self, renew_before: timedelta) -> datetime:
        """When a successor is due."""
        return self.pin.not_after - renew_before


def load(pem: str | bytes) -> tuple[x509.Certificate, ...]:
    """All certificates in `pem`, in their order. Raises ValueError when there is none, or one of them is broken."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem.encode() if isinstance(pem, str) else pem))
    except ValueError:
        raise ValueError("is no certificate in PEM form") from None


def leaf_of(certificate: x509.Certificate) -> Leaf:
    """What is known of `certificate`."""
    pin = Pin(
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        sha1=certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 - what nginx compares; `Pin` says why that is safe
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
    return Leaf(pin, str(certificate.serial_number), certificate.public_bytes(Encoding.PEM).decode())


def pin_of(pem: str | bytes) -> Pin:
    """The pin of the first certificate in `pem`. Raises ValueError when there is none."""
    return leaf_of(load(pem)[0]).pin


def recognise(pem: str | bytes, uid: str) -> bool:
    """Whether the first certificate in `pem` was issued by an authority of the AuthenticatedOriginPull `uid`.

    Its issuer's name says so, at Cloudflare too, after all local state is lost. A name proves nothing to a verifier; it only tells
    what is ours to delete, in a zone where nobody but the token's holders can upload. Raises ValueError when there is no certificate.
    """
    return uid in _units(load(pem)[0].issuer)


def generation_of(authority: x509.Certificate) -> int:
    """Which of the object's authorities `authority` is, counted from 1; 0 for one that is not of our making."""
    numbers = [unit.removeprefix(GENERATION) for unit in _units(authority.subject) if unit.startswith(GENERATION)]
    return next((int(number) for number in numbers if number.isdecimal()), 0)


def made_for(authority: x509.Certificate, zone: str) -> bool:
    """Whether `authority` is one that the operator made, for that zone."""
    names = [attribute.value for attribute in authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return generation_of(authority) > 0 and names == [zone[:LONGEST_NAME]]


def _units(name: x509.Name) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether `certificate` says CA:TRUE, which Cloudflare refuses as a leaf (reference: cloudflare-api, 3)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def allows_client_authentication(certificate: x509.Certificate) -> bool:
    """Whether OpenSSL and Go take `certificate` from a client.

    Without extended key usage they do; with it, only if it names clientAuth (anyExtendedKeyUsage does not help with OpenSSL).
    A key usage must allow to sign or to agree on a key.
    """
    extensions = certificate.extensions
    try:
        if ExtendedKeyUsageOID.CLIENT_AUTH not in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.key_agreement


def chains(leaf: x509.Certificate, between: tuple[x509.Certificate, ...], trusted: tuple[x509.Certificate, ...]) -> bool:
    """Whether signatures lead from `leaf` over some of `between` to one of `trusted`; one of `trusted` chains to itself.

    The authorities' own times are not looked at: an origin that pins the leaf does not ask for them.
    """
    current, rest = leaf, list(between)
    while current not in trusted and not any(_issued(by, current) for by in trusted):
        found = next((candidate for candidate in rest if _issued(candidate, current)), None)
        if found is None:
            return False
        rest.remove(found)
        current = found
    return True


def _issued(by: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return is_authority(by)
