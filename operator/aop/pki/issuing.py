"""Issuing of authorities, leaves and strangers.

There is an authority per object and generation. It signs the leaves; the probes use the strangers.

The authority's name contains the zone, the object's uid and its generation, so that our
certificates are recognised at Cloudflare after all local state is lost. A generation is named by
the digest of its key and not counted, so that no loss of a Secret can make two authorities of one
name. The leaf is what Cloudflare's guide makes with openssl
(facts: cloudflare#recipe-of-the-guide), plus the clientAuth that OpenSSL and Go ask for. An RSA key
takes seconds, so these calls belong in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import SecretBytes

from aop.pki import keys
from aop.pki.certificates import GENERATION, Leaf, common_name, leaf_of, read
from aop.pki.keys import Algorithm

BACKDATED = timedelta(hours=1)
"""How long before now everything becomes valid, for origins whose clock is behind."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make: `spec.certificate.generate` and the names that go into the certificates."""

    zone: str
    uid: str
    """UID of the AuthenticatedOriginPull."""
    hostnames: tuple[str, ...]
    """`spec.hostnames`, concrete names and wildcards."""
    algorithm: Algorithm
    size: int
    leaf_lifetime: timedelta
    authority_lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of ours, with its key."""

    not_after: datetime
    uid: str
    """UID of the AuthenticatedOriginPull for which it was made, by its name."""
    pem: str
    key: SecretBytes

    def suits(self, recipe: Recipe, now: datetime) -> bool:
        """Whether it can still sign leaves by `recipe`.

        It outlives a leaf that is issued now, its key is of the wanted kind, and it has the
        object's uid. With another uid, such as that of an object whose backup was restored, nothing
        of ours would be recognised at Cloudflare.
        """
        fits = keys.kind_of(keys.signing_key(self.key)) == (recipe.algorithm, recipe.size)
        return (
            fits
            and self.uid == recipe.uid
            and _seconds(now) + recipe.leaf_lifetime <= self.not_after
        )


@dataclass(frozen=True, slots=True)
class KeyedLeaf:
    """A leaf and its private key.

    An upload or a probe needs them at the moment of use, and nothing keeps them.
    """

    leaf: Leaf
    key: SecretBytes
    """PEM."""


def create_authority(recipe: Recipe, now: datetime) -> Authority:
    """A new self-signed authority, with a name that no other has.

    Slow for RSA (see `keys.generate`).
    """
    key = keys.generate(recipe.algorithm, recipe.size)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(recipe.zone, recipe.uid, f"{GENERATION}{identity.digest.hex()}")
    not_before, not_after = _seconds(now) - BACKDATED, _seconds(now) + recipe.authority_lifetime
    certificate = (
        _builder(name, name, key, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(identity, critical=False)
        .sign(key, keys.hash_for(key))
    )
    return Authority(
        not_after, recipe.uid, certificate.public_bytes(Encoding.PEM).decode(), keys.to_pem(key)
    )


def issue_leaf(recipe: Recipe, authority: Authority, now: datetime) -> KeyedLeaf:
    """A new leaf with a new key, signed by `authority` and not valid longer than it.

    Slow for RSA (see `keys.generate`).
    """
    return _issue(
        recipe,
        authority,
        _seconds(now) - BACKDATED,
        min(_seconds(now) + recipe.leaf_lifetime, authority.not_after),
    )


def throwaway(now: datetime, lifetime: timedelta = timedelta(days=3650)) -> KeyedLeaf:
    """A leaf that nobody trusts, of an authority whose key is thrown away.

    It is the stranger that every replica must refuse. Only its issuer is wrong with it, so that a
    refusal can mean only one thing. It is made once per process, and is valid as long before `now`
    as after it, because an origin's clock may be behind ours, and ours may be set while the process
    runs.
    """
    stranger = Recipe(
        "stranger.invalid",
        "stranger",
        ("stranger.invalid",),
        Algorithm.ECDSA,
        256,
        lifetime,
        lifetime,
    )
    return _issue(
        stranger,
        create_authority(stranger, now),
        _seconds(now) - lifetime,
        _seconds(now) + lifetime,
    )


def _issue(
    recipe: Recipe, authority: Authority, not_before: datetime, not_after: datetime
) -> KeyedLeaf:
    concrete = next((name for name in recipe.hostnames if not name.startswith("*.")), recipe.zone)
    key = keys.generate(recipe.algorithm, recipe.size)
    issuer, issuer_key = read(authority.pem.encode())[0].parsed, keys.signing_key(authority.key)
    signer = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(_name(concrete), issuer.subject, key, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in recipe.hostnames]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False
        )
        .sign(issuer_key, keys.hash_for(issuer_key))
    )
    return KeyedLeaf(leaf_of(certificate), keys.to_pem(key))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: keys.SigningKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _name(common: str, *units: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name(common))]
    return x509.Name(
        [
            *attributes,
            *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units),
        ]
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _seconds(moment: datetime) -> datetime:
    # X.509 knows no fractions; cryptography drops them silently, and a comparison later would be
    # off by them.
    return moment.replace(microsecond=0)
