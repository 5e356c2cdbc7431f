"""Key pairs as the double reads them, and the life of an uploaded one. Pure."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sandbox.cloudflare import errors
from sandbox.cloudflare.timeline import Timeline


class Status(StrEnum):
    """Of certificates and associations (facts: cloudflare#certificate-statuses)."""

    INITIALIZING = "initializing"
    PENDING_DEPLOYMENT = "pending_deployment"
    ACTIVE = "active"
    DEPLOYMENT_TIMED_OUT = "deployment_timed_out"
    PENDING_DELETION = "pending_deletion"
    DELETED = "deleted"
    DELETION_TIMED_OUT = "deletion_timed_out"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its private key: what can be uploaded, and presented to an origin."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @classmethod
    def read(cls, certificate_pem: str, key_pem: str, *, mismatch_code: int) -> KeyPair:
        """Parse an upload.

        Raises:
            ApiError: no PEM (1408), a CA instead of a leaf, or a key that is not the certificate's (`mismatch_code`; the real one is
                not known).
        """
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        except ValueError as error:
            raise errors.unparsable() from error
        if _is_authority(certificate):
            raise errors.ApiError(400, None, "missing leaf certificate")
        try:
            key = load_pem_private_key(key_pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise errors.unparsable("private key") from error
        if _public_bytes(key.public_key()) != _public_bytes(certificate.public_key()):
            raise errors.ApiError(
                400, mismatch_code, "The private key does not match the certificate."
            )
        return cls(certificate, key)  # type: ignore[arg-type]  # it matches a certificate's key, so it is one that can sign

    @property
    def pem(self) -> str:
        """The certificate as PEM with a final newline."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key as unencrypted PKCS#8 PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def sha256(self) -> str:
        """Fingerprint: lower-case hex."""
        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).hexdigest()

    @property
    def sha1(self) -> str:
        """The fingerprint that nginx shows: lower-case hex."""
        return hashlib.sha1(
            self.certificate.public_bytes(Encoding.DER), usedforsecurity=False
        ).hexdigest()

    @property
    def signature(self) -> str:
        """The signature algorithm in Cloudflare's words: `ECDSA-SHA256`, `SHA256WithRSA`."""
        digest = self.certificate.signature_hash_algorithm
        name = "" if digest is None else digest.name.upper()
        kind = self.certificate.signature_algorithm_parameters
        if isinstance(kind, ec.ECDSA):
            return f"ECDSA-{name}"
        return f"{name}WithRSA" if name else "Ed25519"

    def covers(self, moment: datetime) -> bool:
        """Whether it is neither expired nor not yet valid."""
        return (
            self.certificate.not_valid_before_utc <= moment <= self.certificate.not_valid_after_utc
        )


@dataclass(slots=True)
class Certificate:
    """An uploaded key pair.

    Never changes but for its status; a deleted one stays as a tombstone.
    """

    pair: KeyPair
    uploaded_on: float
    status: Timeline[Status]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @classmethod
    def upload(cls, pair: KeyPair, life: Iterable[tuple[float, Status]]) -> Certificate:
        """A new one whose first statuses are known ahead: (moment, status), the first of which is the upload."""
        first, *rest = life
        certificate = cls(pair, first[0], Timeline(Status.DELETED))
        certificate.live((first, *rest))
        return certificate

    def live(self, life: Iterable[tuple[float, Status]]) -> None:
        """Plan what becomes of it: (moment, status) in order."""
        for moment, status in life:
            if moment < math.inf:
                self.status.set(status, at=moment)

    def exists(self, moment: float) -> bool:
        """Whether it is in the zone at that moment: uploaded by then and not deleted."""
        return self.status.at(moment) is not Status.DELETED

    def deployed(self, moment: float) -> float | None:
        """When it last became active, up to `moment`."""
        return self.status.reached(Status.ACTIVE, moment)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _public_bytes(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]  # every public key has it
