"""The two Secrets of a key pair, between their `data` (base64, as in a manifest) and facts or keys.

`<secretName>` (kubernetes.io/tls) contains `tls.crt`, `tls.key`, `ca.crt` and, during a rotation,
`next.crt` and `next.key`, so that promoting is one write. `<secretName>-ca` (Opaque) contains the
authority, `ca.crt` and `ca.key`. A referenced Secret has the first three, as cert-manager writes
them. Facts may be kept; keys are taken out at the moment of use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from aop.errors import Blocked, Reason
from aop.pki import certificates, keys
from aop.pki.certificates import GENERATION, Leaf, ReadCertificate, fault_in_chain
from aop.pki.issuing import Authority, KeyedLeaf
from aop.pki.parsing import decoded, encoded
from aop.pki.source import KeySecret
from aop.terms import ObjectKey

LEAF_TYPE = "kubernetes.io/tls"
AUTHORITY_TYPE = "Opaque"

CERTIFICATE = "tls.crt"
KEY = "tls.key"
AUTHORITY = "ca.crt"
AUTHORITY_KEY = "ca.key"
NEXT_CERTIFICATE = "next.crt"
NEXT_KEY = "next.key"

NOT_OURS = "name another one in spec.certificate.generate.secretName, or have this one read by spec.certificate.secretRef"
"""The remedy if the Secret that we should fill contains what somebody else has put there."""
FOR_CLIENTS = "issue it with the extended key usage clientAuth (cert-manager: usages: [digital signature, client auth])"
FOR_SIGNING = "issue it with the key usage digitalSignature (cert-manager: usages: [digital signature, client auth])"
RENEWED = (
    "write a renewed one there; an immutable Secret has to be deleted and created anew for that"
)


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
    """What a Secret contains, as facts: no key is in it."""

    leaf: Leaf
    next: Leaf | None = None


def authority_name(secret: ObjectKey) -> ObjectKey:
    """The Secret of the authority that belongs to the leaf's Secret."""
    return ObjectKey(secret.namespace, f"{secret.name}-ca")


# --- written --------------------------------------------------------------------------------------


def leaf_data(issued: KeyedLeaf, authority: Authority) -> dict[str, str]:
    """`data` of a new `<secretName>`."""
    return _slot(Slot.CURRENT, issued) | {AUTHORITY: encoded(authority.pem.encode())}


def authority_data(authority: Authority) -> dict[str, str]:
    """`data` of `<secretName>-ca`."""
    return {
        AUTHORITY: encoded(authority.pem.encode()),
        AUTHORITY_KEY: encoded(authority.key.get_secret_value()),
    }


def with_next(data: Mapping[str, str], issued: KeyedLeaf, authority: Authority) -> dict[str, str]:
    """`data` of `<secretName>`, as `read_key_pair` took it, with a leaf that comes next.

    `ca.crt` then contains the authorities of both.
    """
    known = certificates.read(decoded(data[AUTHORITY]))
    return {
        **data,
        **_slot(Slot.NEXT, issued),
        AUTHORITY: _bundle((*known, *certificates.read(authority.pem.encode()))),
    }


def promoted(data: Mapping[str, str]) -> dict[str, str]:
    """`data` of `<secretName>`, as `read_key_pair` took it, once the next leaf is the one in use.

    `ca.crt` then contains only its authority. Raises ValueError if there is no next leaf.
    """
    if NEXT_CERTIFICATE not in data or NEXT_KEY not in data:
        raise ValueError("there is no next leaf to promote")
    (leaf, *_) = certificates.read(decoded(data[NEXT_CERTIFICATE]))
    signers = (
        authority
        for authority in certificates.read(decoded(data[AUTHORITY]))
        if authority.signed(leaf)
    )
    kept = {name: value for name, value in data.items() if name not in {NEXT_CERTIFICATE, NEXT_KEY}}
    return {
        **kept,
        CERTIFICATE: data[NEXT_CERTIFICATE],
        KEY: data[NEXT_KEY],
        AUTHORITY: _bundle(signers),
    }


def check_mutable(secret: ObjectKey, manifest: Mapping[str, Any]) -> None:
    """Raises `Blocked` (KeyPairInvalid) when a Secret of ours is immutable.

    Somebody has made it so, and nothing more can be written into it.
    """
    if manifest.get("immutable"):
        what = f"Secret {secret} is immutable, so that the next key pair cannot be written into it, and Kubernetes never makes it mutable again"
        raise Blocked(
            Reason.KEY_PAIR_INVALID,
            f"{what}; delete it: a new one is generated and takes over without a lost request",
        )


def _slot(slot: Slot, issued: KeyedLeaf) -> dict[str, str]:
    certificate, key = slot.fields
    return {
        certificate: encoded(issued.leaf.pem.encode()),
        key: encoded(issued.key.get_secret_value()),
    }


def _bundle(authorities: Iterable[ReadCertificate]) -> str:
    return encoded("".join(dict.fromkeys(authority.leaf.pem for authority in authorities)).encode())


# --- read -----------------------------------------------------------------------------------------


def read_key_pair(secret: ObjectKey, data: Mapping[str, str], zone: str) -> KeyPair:
    """What our own Secret `secret` contains for `zone`.

    Each key is checked against its certificate, each certificate against `ca.crt`. Raises `Blocked`
    (KeyPairInvalid) that names the field: somebody has written into a Secret that we fill, or it is
    not ours to fill. A server's key pair, or that of another zone, must neither go to Cloudflare
    nor be replaced when it is due.
    """
    source = KeySecret(
        secret,
        data,
        "put back what was there, or delete the Secret to have a new key pair generated",
    )
    leaves = {
        slot: _leaf(source, slot)[0]
        for slot in Slot
        if slot is Slot.CURRENT or NEXT_CERTIFICATE in data
    }
    ours = [authority for authority in source.certificates(AUTHORITY) if authority.made_for(zone)]
    if not ours:
        why = f"holds no authority that the operator made for zone {zone}, so the Secret is somebody else's"
        raise KeySecret(secret, data).refused(AUTHORITY, why, NOT_OURS)
    for slot, leaf in leaves.items():
        if not any(authority.signed(leaf) for authority in ours):
            raise source.refused(
                slot.fields[0],
                f"was not signed by the operator's authority in {AUTHORITY}, so it is not uploaded",
            )
    following = leaves.get(Slot.NEXT)
    return KeyPair(leaves[Slot.CURRENT].leaf, following.leaf if following else None)


def read_referenced(secret: ObjectKey, data: Mapping[str, str] | None) -> KeyPair:
    """What the referenced Secret `secret` contains, which somebody else fills.

    `data` is None if it does not exist. Raises `Blocked` (KeyPairInvalid) that names the Secret,
    the field and the remedy, unless all of this is so: `tls.crt`, `tls.key` and `ca.crt` are there,
    the key is the certificate's and of a kind that the edge presents, and the leaf is no authority,
    may authenticate a client and chains to `ca.crt`. `check_in_time` says whether it is valid now.
    """
    if data is None:
        raise Blocked(
            Reason.KEY_PAIR_INVALID,
            f"Secret {secret} does not exist: create it with {CERTIFICATE}, {KEY} and {AUTHORITY}",
        )
    source = KeySecret(secret, data)
    leaf, *between = _leaf(source, Slot.CURRENT)
    trusted = source.certificates(AUTHORITY, _how_to_add_the_authority(secret))
    if leaf.authority:
        what = "is an authority (CA:TRUE), which Cloudflare refuses"
        raise source.refused(
            CERTIFICATE,
            what,
            "put a leaf there (basicConstraints CA:FALSE; cert-manager: isCA: false)",
        )
    if not leaf.authenticates_clients:
        raise source.refused(
            CERTIFICATE, "is not for client authentication, so origins refuse it", FOR_CLIENTS
        )
    if not leaf.signs:
        raise source.refused(
            CERTIFICATE,
            "has a key usage without digitalSignature, so no edge presents it",
            FOR_SIGNING,
        )
    if fault := fault_in_chain(leaf, tuple(between), trusted):
        raise source.refused(AUTHORITY, fault.what, fault.remedy)
    return KeyPair(leaf.leaf)


def check_in_time(secret: ObjectKey, leaf: Leaf, now: datetime) -> None:
    """Raise `Blocked` (KeyPairInvalid) unless a referenced leaf is valid at `now` (wall time)."""
    source, pin = KeySecret(secret, {}), leaf.pin
    if now < pin.not_before:
        raise source.refused(
            CERTIFICATE,
            f"is not valid before {pin.not_before:%Y-%m-%d %H:%M:%S} UTC",
            "wait, or write one that is valid now",
        )
    if now >= pin.not_after:
        raise source.refused(
            CERTIFICATE, f"expired at {pin.not_after:%Y-%m-%d %H:%M:%S} UTC", RENEWED
        )


def _how_to_add_the_authority(secret: ObjectKey) -> str:
    patch = r"""-p "{\"data\":{\"ca.crt\":\"$(base64 < ca.crt | tr -d '\n')\"}}" """.strip()
    return (
        "add the certificate of the authority that issued the leaf (of a self-signed leaf: the leaf itself): "
        f"kubectl -n {secret.namespace} patch secret {secret.name} {patch} (cert-manager adds it by itself where the issuer knows its authority)"
    )


def read_keyed_leaf(
    secret: ObjectKey, data: Mapping[str, str], slot: Slot = Slot.CURRENT
) -> KeyedLeaf:
    """A leaf with its key, for an upload or a probe that happens now.

    Raises `Blocked` (KeyPairInvalid) as `read_key_pair` does.

    The key comes in the one form that everybody reads, whatever the form in which it is kept.
    """
    source, (certificate, key) = KeySecret(secret, data), slot.fields
    chain = source.certificates(certificate)
    return KeyedLeaf(chain[0].leaf, keys.to_pem(source.key(key, chain, certificate)))


def read_authority(secret: ObjectKey, data: Mapping[str, str], zone: str) -> Authority:
    """The authority for `zone` in the Secret `<secretName>-ca`.

    Raises `Blocked` (KeyPairInvalid) that names the field.
    """
    source = KeySecret(
        secret,
        data,
        "put back what was there, or delete the Secret to have a new authority generated",
    )
    chain = source.certificates(AUTHORITY)
    certificate = chain[0]
    if not certificate.made_for(zone):
        why = f"is no authority that the operator made for zone {zone}, so the Secret is somebody else's"
        raise KeySecret(secret, data).refused(AUTHORITY, why, NOT_OURS)
    key = source.key(AUTHORITY_KEY, chain, AUTHORITY)
    if not isinstance(key, keys.SigningKey):
        raise source.refused(AUTHORITY_KEY, "is neither an ECDSA nor an RSA key")
    uid = next((unit for unit in certificate.units if not unit.startswith(GENERATION)), "")
    return Authority(certificate.leaf.pin.not_after, uid, certificate.leaf.pem, keys.to_pem(key))


def _leaf(source: KeySecret, slot: Slot) -> tuple[ReadCertificate, ...]:
    """The leaf of a slot, whose key is beside it, and what else is in its field."""
    certificate, key = slot.fields
    create = "create the Secret from the files (kubectl create secret tls … --cert=… --key=…), or let cert-manager fill it"
    chain = source.certificates(certificate, create)
    source.key(key, chain, certificate, create)
    return chain
