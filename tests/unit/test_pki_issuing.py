"""What is issued: names, times, uses, and that an independent verifier accepts it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from pydantic import SecretBytes

from aop import pki
from aop.pki import Algorithm, Authority, KeyedLeaf, Recipe

NOW = datetime(2026, 11, 24, 3, 0, 0, 123_456, tzinfo=UTC)
SECOND = NOW.replace(microsecond=0)
UID = "0b6f6f0e-5c0e-4c60-9f6e-6d2a1f0a7c11"
RECIPE = Recipe(
    "example.com",
    UID,
    ("example.com", "*.example.com"),
    Algorithm.ECDSA,
    256,
    timedelta(days=730),
    timedelta(days=1826),
)

KINDS = [
    (Algorithm.ECDSA, 256),
    (Algorithm.ECDSA, 384),
    (Algorithm.ECDSA, 521),
    (Algorithm.RSA, 2048),
]


@cache
def made(recipe: Recipe = RECIPE) -> tuple[Authority, KeyedLeaf]:
    authority = pki.create_authority(recipe, NOW)
    return authority, pki.issue_leaf(recipe, authority, NOW)


def parsed(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def common_name(name: x509.Name) -> str:
    (attribute,) = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


def verify(leaf: KeyedLeaf, authority: Authority, at: datetime) -> None:
    store = Store([parsed(authority.pem)])
    PolicyBuilder().store(store).time(at.replace(tzinfo=None)).build_client_verifier().verify(
        parsed(leaf.leaf.pem), []
    )


@pytest.mark.parametrize(("algorithm", "size"), KINDS)
def test_a_verifier_of_client_certificates_accepts_the_leaf_from_an_hour_ago_to_its_end(
    algorithm: Algorithm, size: int
) -> None:
    authority, issued = made(replace(RECIPE, algorithm=algorithm, size=size))
    verify(issued, authority, SECOND - timedelta(hours=1))
    verify(issued, authority, SECOND)
    verify(issued, authority, SECOND + timedelta(days=730))
    for moment in (SECOND - timedelta(hours=1, seconds=1), SECOND + timedelta(days=730, seconds=1)):
        with pytest.raises(VerificationError):
            verify(issued, authority, moment)


def test_a_verifier_refuses_the_leaf_of_another_authority() -> None:
    _, issued = made()
    stranger, _ = made(replace(RECIPE, uid="another"))
    with pytest.raises(VerificationError):
        verify(issued, stranger, NOW)


@pytest.mark.parametrize(("algorithm", "size"), KINDS)
def test_keys_are_of_the_wanted_kind_and_belong_to_their_certificates(
    algorithm: Algorithm, size: int
) -> None:
    authority, issued = made(replace(RECIPE, algorithm=algorithm, size=size))
    for pem, secret in ((authority.pem, authority.key), (issued.leaf.pem, issued.key)):
        key = load_pem_private_key(secret.get_secret_value(), password=None)
        assert isinstance(
            key, rsa.RSAPrivateKey if algorithm is Algorithm.RSA else ec.EllipticCurvePrivateKey
        )
        assert key.key_size == size
        assert key.public_key() == parsed(pem).public_key()


def test_the_recipe_of_the_guide_can_be_made() -> None:
    """RSA 4096 for authority and leaf, 1826 and 730 days, SHA-256, CA:FALSE (facts: cloudflare#recipe-of-the-guide)."""
    authority, issued = made(replace(RECIPE, algorithm=Algorithm.RSA, size=4096))
    leaf = parsed(issued.leaf.pem)
    assert isinstance(leaf.public_key(), rsa.RSAPublicKey)
    assert leaf.signature_hash_algorithm is not None
    assert leaf.signature_hash_algorithm.name == "sha256"
    verify(issued, authority, NOW)


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="no NIST curve has 2048 bits"):
        made(replace(RECIPE, size=2048))


def test_the_authority_is_named_by_zone_object_and_generation() -> None:
    authority = pki.create_authority(RECIPE, NOW)
    certificate = parsed(authority.pem)
    digest = certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    ).value.digest.hex()
    assert certificate.subject.rfc4514_string() == f"OU=generation-{digest},OU={UID},CN=example.com"
    assert certificate.issuer == certificate.subject
    assert authority.uid == UID
    assert authority.not_after == certificate.not_valid_after_utc == SECOND + timedelta(days=1826)
    assert certificate.not_valid_before_utc == SECOND - timedelta(hours=1)


def test_no_two_authorities_have_one_name_whatever_was_lost_between_them() -> None:
    """A verifier finds the issuer by its name; of two with one name it may try the wrong one only."""
    names = {parsed(pki.create_authority(RECIPE, NOW).pem).subject for _ in range(5)}
    assert len(names) == 5


def test_the_authority_may_sign_leaves_only() -> None:
    extensions = parsed(made()[0].pem).extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(
        ca=True, path_length=0
    )
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)


def test_the_leaf_is_what_the_guide_makes_plus_client_authentication() -> None:
    authority, issued = made()
    certificate = parsed(issued.leaf.pem)
    extensions = certificate.extensions
    assert common_name(certificate.subject) == "example.com"
    assert certificate.issuer == parsed(authority.pem).subject
    assert extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(
        ca=False, path_length=None
    )
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    names = extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value.get_values_for_type(x509.DNSName)
    assert names == ["example.com", "*.example.com"]


@pytest.mark.parametrize(
    ("hostnames", "name"),
    [
        (("*.example.com", "www.example.com", "example.com"), "www.example.com"),
        (("*.shop.example.com",), "example.com"),
        ((f"{'a' * 52}.example.com",), f"{'a' * 52}.example.com"),
        ((f"{'a' * 60}.{'b' * 60}.example.com",), f"{'a' * 47}~98542c96ddb906a7"),
    ],
    ids=[
        "the first concrete hostname",
        "the zone when all are wildcards",
        "as long as it may be",
        "cut, with a digest of all of it",
    ],
)
def test_the_leafs_common_name_is(hostnames: tuple[str, ...], name: str) -> None:
    _, issued = made(replace(RECIPE, hostnames=hostnames))
    assert common_name(parsed(issued.leaf.pem).subject) == name


def test_a_long_zone_is_cut_in_the_authoritys_name_and_the_chain_still_holds() -> None:
    authority, issued = made(replace(RECIPE, zone=f"{'a' * 60}.{'b' * 60}.example"))
    assert len(common_name(parsed(authority.pem).subject)) == 64
    verify(issued, authority, NOW)


def test_names_that_begin_alike_and_are_cut_do_not_become_one() -> None:
    hosts = [f"{'a' * 60}.{'b' * 60}.{end}.example.com" for end in ("one", "two")]
    names = {
        common_name(parsed(made(replace(RECIPE, hostnames=(host,)))[1].leaf.pem).subject)
        for host in hosts
    }
    assert len(names) == 2


def test_a_leaf_never_outlives_its_authority() -> None:
    authority, _ = made()
    late = authority.not_after - timedelta(days=10)
    issued = pki.issue_leaf(RECIPE, authority, late)
    assert issued.leaf.pin.not_after == authority.not_after


def test_facts_are_those_of_the_certificate() -> None:
    _, issued = made()
    certificate = parsed(issued.leaf.pem)
    assert issued.leaf.serial_number == str(certificate.serial_number)
    assert issued.leaf.pin == pki.pin_of(issued.leaf.pem)
    assert (issued.leaf.pin.not_before, issued.leaf.pin.not_after) == (
        SECOND - timedelta(hours=1),
        SECOND + timedelta(days=730),
    )
    assert len(issued.leaf.pin.sha256) == 64
    assert len(issued.leaf.pin.sha1) == 40
    assert issued.leaf.pin.sha256 == issued.leaf.pin.sha256.lower()
    assert issued.leaf.renewal_at(timedelta(days=45)) == SECOND + timedelta(days=685)


def test_the_fingerprint_is_the_one_that_openssl_prints() -> None:
    """A fixed certificate, whose digests `openssl x509 -fingerprint` printed."""
    pin = pki.pin_of(KNOWN)
    assert (pin.sha1, pin.sha256) == (KNOWN_SHA1, KNOWN_SHA256)


def test_two_leaves_of_one_recipe_are_two_certificates_with_two_keys() -> None:
    authority, first = made()
    second = pki.issue_leaf(RECIPE, authority, NOW)
    assert first.leaf.pin.sha256 != second.leaf.pin.sha256
    assert first.leaf.serial_number != second.leaf.serial_number
    assert first.key != second.key


def test_an_authority_suits_a_recipe_until_a_whole_leaf_no_longer_fits() -> None:
    authority, _ = made()
    last = authority.not_after - RECIPE.leaf_lifetime
    assert authority.suits(RECIPE, last)
    assert not authority.suits(RECIPE, last + timedelta(seconds=1))


def test_an_authority_suits_only_its_own_kind_of_key() -> None:
    authority, _ = made()
    assert not authority.suits(replace(RECIPE, size=384), NOW)
    assert not authority.suits(replace(RECIPE, algorithm=Algorithm.RSA, size=2048), NOW)
    assert made(replace(RECIPE, algorithm=Algorithm.RSA, size=2048))[0].suits(
        replace(RECIPE, algorithm=Algorithm.RSA, size=2048), NOW
    )


def test_an_authority_suits_only_the_object_whose_uid_it_bears() -> None:
    """Of an object that was made again from a backup, nothing would be recognised at Cloudflare."""
    authority, _ = made()
    assert not authority.suits(replace(RECIPE, uid="another"), NOW)


def test_ours_is_recognised_by_its_issuer_and_nobody_elses_is() -> None:
    _, issued = made()
    assert pki.recognise(issued.leaf.pem, UID)
    assert not pki.recognise(issued.leaf.pem, "another")
    assert not pki.recognise(pki.throwaway(NOW).leaf.pem, UID)
    assert not pki.recognise(KNOWN, UID)


@pytest.mark.parametrize(
    "text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="is no certificate in PEM form"):
        pki.pin_of(text)
    with pytest.raises(ValueError, match="is no certificate in PEM form"):
        pki.recognise(text, UID)


def test_a_stranger_is_flawless_but_for_its_issuer() -> None:
    authority, _ = made()
    stranger = pki.throwaway(NOW)
    with pytest.raises(VerificationError):
        verify(stranger, authority, NOW)
    leaf = parsed(stranger.leaf.pem)
    assert leaf.not_valid_before_utc < NOW < leaf.not_valid_after_utc
    assert (
        ExtendedKeyUsageOID.CLIENT_AUTH
        in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    )
    assert leaf.issuer != leaf.subject
    assert pki.throwaway(NOW).leaf.pin != stranger.leaf.pin


@pytest.mark.parametrize("years", [-9, 9])
def test_a_stranger_is_a_stranger_whatever_an_origins_clock_says(years: int) -> None:
    """Else a refusal for its dates would pass for one for its issuer: an origin's clock is behind, or ours was ahead at the start."""
    leaf = pki.throwaway(NOW).leaf
    assert leaf.pin.not_before < NOW + timedelta(days=365 * years) < leaf.pin.not_after


def test_no_representation_shows_a_key() -> None:
    authority, issued = made()
    for thing in (authority, issued, pki.throwaway(NOW)):
        shown = f"{thing!r} {thing!s}"
        assert isinstance(thing.key, SecretBytes)
        key = thing.key.get_secret_value().decode()
        assert "PRIVATE" not in shown
        assert not any(line in shown for line in key.splitlines() if len(line) > 16)


KNOWN = """\
-----BEGIN CERTIFICATE-----
MIIBrzCCAVWgAwIBAgIUBT2iSIzU3EX1GLR1oiHL00J8RpcwCgYIKoZIzj0EAwIw
LTEaMBgGA1UEAwwRa25vd24uZXhhbXBsZS5jb20xDzANBgNVBAsMBm5vYm9keTAe
Fw0yNjExMjQwNDIxMDZaFw0zNjExMjEwNDIxMDZaMC0xGjAYBgNVBAMMEWtub3du
LmV4YW1wbGUuY29tMQ8wDQYDVQQLDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT8zX8Ll8adaxEBV/fQdFvnTB7CooWBEjdO+3ZspefUs746xcNxpiNK
PEzkTUCBoF5coXUn0f/J3w9RmSb4B36Xo1MwUTAdBgNVHQ4EFgQUjgLbXmV9P8Q3
oNV4WTRiKCgHFrQwHwYDVR0jBBgwFoAUjgLbXmV9P8Q3oNV4WTRiKCgHFrQwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAF5ZnhCBw/mdEBM2hsfyBx
t33IFwQ/ORq2mP1tcGrkdQIhAOet7YrjKeaTA4K7yA508uB9lw5+rewj7Hl/cJf3
phtO
-----END CERTIFICATE-----
"""
KNOWN_SHA1 = "b88ae5eacd8a09a446c2f01289fa9e4c42364802"
KNOWN_SHA256 = "67d96b9ca24e7e5623ca4fe6f4c60b44cc7370fd3d714875527e0430b411ec39"
