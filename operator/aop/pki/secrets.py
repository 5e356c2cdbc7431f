"""The two Secrets of a key pair, between their `data` (base64, as in a manifest) and facts or keys.

`<secretName>` (kubernetes.io/tls) holds `tls.crt`, `tls.key`, `ca.crt` and, during a rotation, `next.crt` and `next.key`, so that
promoting is one write. `<secretName>-ca` (Opaque) holds the authority, `ca.crt` and `ca.key`. A referenced Secret has the first
three, as cert-manager writes them. `aop.observe` takes facts from here, `aop.perform` and `aop.probe` take keys at the moment of use.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretBytes

from aop.errors import Blocked, Reason
from aop.origins import ObjectKey
from aop.pki import keys
from aop.pki.certificates import Leaf, allows_client_authentication, chains, generation_of, is_authority, leaf_of, load, made_for
from aop.pki.issuing import Authority, KeyedLeaf

LEAF_TYPE = "kubernetes.io/tls"
AUTHORITY_TYPE = "Opaque"

CERTIFICATE = "tls.crt"
KEY = "tls.key"
AUTHORITY = "ca.crt"
AUTHORITY_KEY = "ca.key"
NEXT_CERTIFICATE = "next.crt"
NEXT_KEY = "next.key"

NOT_OURS = "name another one in spec.certificate.generate.secretName, or have this one read by spec.certificate.secretRef"
"""The remedy where the Secret that we are to fill holds what somebody else has put there."""


class Slot(StrEnum):
    """Which leaf of a Secret."""

    CURRENT = "current"
    """`tls.crt`: the one in use."""
    NEXT = "next"
    """`next.crt`: the one that comes next, during a rotation."""

    @property
    def fields(self) -> tuple[str, str]:
        """The data fields of its certificate and its key."""
        return (CERTIFICATE, KEY) if self is Slot.CURRENT else (NEXT_CERTIFICATE, NEXT_KEY)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What a Secret holds, as facts: no key is in it."""

    leaf: Leaf
    next: Leaf | None = None
    generation: int = 0
    """The highest generation among the authorities in `ca.crt`; 0 when none is of our making."""


def authority_name(secret: ObjectKey) -> ObjectKey:
    """The Secret of the authority that belongs to the leaf's Secret."""
    return ObjectKey(secret.namespace, f"{secret.name}-ca")


# --- written -----------------------------------------------------------------------------------------------------------


def leaf_data(issued: KeyedLeaf, authority: Authority) -> dict[str, str]:
    """`data` of a new `<secretName>`."""
    return _encoded({CERTIFICATE: issued.leaf.pem, AUTHORITY: authority.pem}) | _encoded_key(KEY, issued.key)


def authority_data(authority: Authority) -> dict[str, str]:
    """`data` of `<secretName>-ca`."""
    return _encoded({AUTHORITY: authority.pem}) | _encoded_key(AUTHORITY_KEY, authority.key)


def with_next(data: Mapping[str, str], issued: KeyedLeaf, authority: Authority) -> dict[str, str]:
    """`data` of `<secretName>` with a leaf that comes next; `ca.crt` then holds the authorities of both."""
    known = _decoded(data, AUTHORITY).decode()
    bundle = known if authority.pem in known else f"{known.rstrip()}\n{authority.pem}"
    return {**data, **_encoded({NEXT_CERTIFICATE: issued.leaf.pem, AUTHORITY: bundle}), **_encoded_key(NEXT_KEY, issued.key)}


def promoted(data: Mapping[str, str]) -> dict[str, str]:
    """`data` of `<secretName>` once the next leaf is the one in use; `ca.crt` then holds its authority alone.

    Raises ValueError when there is no next leaf.
    """
    if NEXT_CERTIFICATE not in data or NEXT_KEY not in data:
        raise ValueError("there is no next leaf to promote")
    (leaf, *_) = load(_decoded(data, NEXT_CERTIFICATE))
    signers = [authority for authority in load(_decoded(data, AUTHORITY)) if chains(leaf, (), (authority,))]
    bundle = "".join(authority.public_bytes(Encoding.PEM).decode() for authority in signers)
    kept = {name: value for name, value in data.items() if name not in {NEXT_CERTIFICATE, NEXT_KEY}}
    return {**kept, CERTIFICATE: data[NEXT_CERTIFICATE], KEY: data[NEXT_KEY], **_encoded({AUTHORITY: bundle})}


# --- read --------------------------------------------------------------------------------------------------------------


def read_key_pair(secret: ObjectKey, data: Mapping[str, str], zone: str) -> KeyPair:
    """What our own Secret `secret` holds for `zone`; each key is checked against its certificate.

    Raises `Blocked` (KeyPairInvalid) that names the field: somebody has written into a Secret that we fill, or it is not ours to fill.
    A server's key pair, or that of another zone, must neither go to Cloudflare nor be replaced when it is due.
    """
    remedy = "put back what was there, or delete the Secret to have a new key pair generated"
    leaf, *_ = _checked(secret, data, Slot.CURRENT, remedy)
    authorities = _certificates(secret, data, AUTHORITY, remedy)
    if not any(made_for(authority, zone) for authority in authorities):
        why = f"holds no authority that the operator made for zone {zone}, so the Secret is somebody else's"
        raise _invalid(secret, AUTHORITY, why, NOT_OURS)
    following = _checked(secret, data, Slot.NEXT, remedy)[0] if NEXT_CERTIFICATE in data else None
    return KeyPair(
        leaf=leaf_of(leaf),
        next=None if following is None else leaf_of(following),
        generation=max(generation_of(authority) for authority in authorities),
    )


def read_referenced(secret: ObjectKey, data: Mapping[str, str] | None, now: datetime) -> KeyPair:
    """What the referenced Secret `secret` holds, which somebody else fills; `data` is None when it does not exist.

    Raises `Blocked` (KeyPairInvalid) that names the Secret, the field and the remedy, unless: `tls.crt`, `tls.key` and `ca.crt` are
    there, the key is the certificate's, the leaf is no authority, may authenticate a client, is valid now and chains to `ca.crt`.
    """
    if data is None:
        raise Blocked(Reason.KEY_PAIR_INVALID, f"Secret {secret} does not exist: create it with {CERTIFICATE}, {KEY} and {AUTHORITY}")
    remedy = "let what fills the Secret, such as cert-manager, write it again"
    leaf, *between = _checked(secret, data, Slot.CURRENT, remedy)
    trusted = _certificates(secret, data, AUTHORITY, remedy)
    if is_authority(leaf):
        raise _invalid(secret, CERTIFICATE, "is an authority (CA:TRUE), which Cloudflare refuses", "put a leaf (CA:FALSE) there")
    if not allows_client_authentication(leaf):
        why = "is not for client authentication, so origins refuse it"
        raise _invalid(secret, CERTIFICATE, why, "issue it with the extended key usage clientAuth (cert-manager: usages: [client auth])")
    if now < leaf.not_valid_before_utc:
        raise _invalid(secret, CERTIFICATE, f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC", remedy)
    if now >= leaf.not_valid_after_utc:
        raise _invalid(secret, CERTIFICATE, f"expired at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC", remedy)
    if not chains(leaf, tuple(between), trusted):
        raise _invalid(secret, AUTHORITY, f"did not sign {CERTIFICATE}", "put the certificate of the authority there that issued the leaf")
    return KeyPair(leaf_of(leaf))


def read_keyed_leaf(secret: ObjectKey, data: Mapping[str, str], slot: Slot = Slot.CURRENT) -> KeyedLeaf:
    """A leaf with its key, for an upload or a probe that happens now. Raises `Blocked` (KeyPairInvalid) as `read_key_pair` does."""
    leaf, *_ = _checked(secret, data, slot, "put back what was there")
    return KeyedLeaf(leaf_of(leaf), SecretBytes(_field(secret, data, slot.fields[1], "")))


def read_authority(secret: ObjectKey, data: Mapping[str, str]) -> Authority:
    """The authority in the Secret `<secretName>-ca`. Raises `Blocked` (KeyPairInvalid) that names the field."""
    remedy = "put back what was there, or delete the Secret to have a new authority generated"
    (certificate, *_) = _certificates(secret, data, AUTHORITY, remedy)
    if not generation_of(certificate):
        why = "is no authority that the operator made, so the Secret is somebody else's"
        raise _invalid(secret, AUTHORITY, why, NOT_OURS)
    key = SecretBytes(_field(secret, data, AUTHORITY_KEY, remedy))
    _match(secret, certificate, key, AUTHORITY_KEY, AUTHORITY, remedy)
    try:
        keys.signing_key(key)
    except ValueError as error:
        raise _invalid(secret, AUTHORITY_KEY, str(error), remedy) from None
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return Authority(generation_of(certificate), certificate.not_valid_after_utc, pem, key)


def _checked(secret: ObjectKey, data: Mapping[str, str], slot: Slot, remedy: str) -> tuple[x509.Certificate, ...]:
    certificate_field, key_field = slot.fields
    found = _certificates(secret, data, certificate_field, remedy)
    _match(secret, found[0], SecretBytes(_field(secret, data, key_field, remedy)), key_field, certificate_field, remedy)
    return found


def _match(secret: ObjectKey, certificate: x509.Certificate, pem: SecretBytes, key_field: str, certificate_field: str, remedy: str) -> None:
    try:
        key = keys.from_pem(pem)
    except ValueError as error:
        raise _invalid(secret, key_field, str(error), remedy) from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise _invalid(secret, key_field, f"is not the key of {certificate_field}", remedy)


def _certificates(secret: ObjectKey, data: Mapping[str, str], name: str, remedy: str) -> tuple[x509.Certificate, ...]:
    try:
        found = load(_field(secret, data, name, remedy))
    except ValueError as error:
        raise _invalid(secret, name, str(error), remedy) from None
    try:
        # cryptography reads these late, and what is asked of them afterwards should meet no surprise.
        _ = [(certificate.extensions, certificate.public_key()) for certificate in found]
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm):
        raise _invalid(secret, name, "has a key or an extension that cannot be read", remedy) from None
    return found


def _field(secret: ObjectKey, data: Mapping[str, str], name: str, remedy: str) -> bytes:
    if not data.get(name):
        raise _invalid(secret, name, "is missing", remedy)
    try:
        return _decoded(data, name)
    except binascii.Error:
        raise _invalid(secret, name, "is not base64", remedy) from None


def _invalid(secret: ObjectKey, name: str, what: str, remedy: str) -> Blocked:
    return Blocked(Reason.KEY_PAIR_INVALID, f"Secret {secret}: {name} {what}; {remedy}")


def _decoded(data: Mapping[str, str], name: str) -> bytes:
    return base64.b64decode(data[name], validate=True)


def _encoded(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


def _encoded_key(name: str, key: SecretBytes) -> dict[str, str]:
    return {name: base64.b64encode(key.get_secret_value()).decode()}
