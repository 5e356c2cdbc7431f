"""One Secret while it is read.

Each fault becomes a `Blocked` that names the Secret, the field and what helps. Everything that
comes out of here has been read whole, so that nobody who uses it later meets a surprise
(`aop.pki.parsing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretBytes

from aop.errors import Blocked, Reason
from aop.pki import certificates, keys
from aop.pki.certificates import ReadCertificate
from aop.pki.parsing import Unreadable, decoded
from aop.terms import ObjectKey

WRITE_AGAIN = "let what fills the Secret, such as cert-manager, write it again"
"""The remedy if nothing better is known."""


@dataclass(frozen=True, slots=True)
class KeySecret:
    """A Secret by its name and its `data` (base64, as in a manifest)."""

    secret: ObjectKey
    data: Mapping[str, str] = field(repr=False)
    remedy: str = ""
    """What helps whatever is wrong, if the operator fills the Secret. Empty for a referenced one,
    where each fault has its own remedy."""

    def refused(self, name: str, what: str, remedy: str = "") -> Blocked:
        """The refusal of field `name`, to be raised."""
        return Blocked(
            Reason.KEY_PAIR_INVALID,
            f"Secret {self.secret}: {name} {what}; {self.remedy or remedy or WRITE_AGAIN}",
        )

    def bytes_of(self, name: str, remedy: str = "") -> bytes:
        """The contents of a field. Raises `Blocked`, with `remedy` if there are none."""
        if name not in self.data:
            raise self.refused(name, "is missing", remedy)
        if not self.data[name]:
            raise self.refused(name, "is empty", remedy)
        try:
            return decoded(self.data[name])
        except Unreadable as fault:
            raise self.refused(name, fault.what, fault.remedy) from None

    def certificates(self, name: str, remedy: str = "") -> tuple[ReadCertificate, ...]:
        """The certificates in a field, at least one. Raises `Blocked`."""
        text = self.bytes_of(name, remedy)
        try:
            return certificates.read(text)
        except Unreadable as fault:
            raise self.refused(name, fault.what, fault.remedy) from None

    def key(
        self, name: str, chain: tuple[ReadCertificate, ...], certificate_name: str, remedy: str = ""
    ) -> keys.KnownKey:
        """The private key in a field, which is that of the first certificate of `chain`.

        Raises `Blocked`.
        """
        text = SecretBytes(self.bytes_of(name, remedy))
        try:
            key = keys.from_pem(text)
        except Unreadable as fault:
            raise self.refused(name, fault.what, fault.remedy) from None
        public = certificates.public_bytes(key.public_key())
        if chain[0].key != public:
            if places := [place for place, other in enumerate(chain, 1) if other.key == public]:
                what = f"begins with another certificate than that of {name}, which is certificate {places[0]} of {len(chain)}"
                raise self.refused(
                    certificate_name,
                    what,
                    "put the leaf first, then what issued it; the root belongs into ca.crt alone",
                )
            what = f"is not the key of {certificate_name}"
            raise self.refused(
                name,
                what,
                "put the key there that the certificate was issued for, or have a certificate issued for this one",
            )
        if chain[0].unpresentable:
            raise self.refused(name, chain[0].unpresentable, keys.ANOTHER_KEY)
        return key
