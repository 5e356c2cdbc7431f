"""Between Secrets and key pairs: what is written, what is read back, and each way in which a Secret can be wrong."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from aop import pki
from aop.errors import Blocked, Reason
from aop.origins import ObjectKey
from aop.pki import Algorithm, Authority, KeyedLeaf, Recipe, Slot

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
UID = "0b6f6f0e-5c0e-4c60-9f6e-6d2a1f0a7c11"
RECIPE = Recipe("example.com", UID, ("example.com",), Algorithm.ECDSA, 256, timedelta(days=730), timedelta(days=1826))
ZONE = "example.com"
SECRET = ObjectKey("edge", "example-com-tls")

Data = dict[str, str]


@cache
def made(generation: int = 1) -> tuple[Authority, KeyedLeaf]:
    authority = pki.create_authority(RECIPE, generation, NOW)
    return authority, pki.issue_leaf(RECIPE, authority, NOW)


def data() -> Data:
    authority, issued = made()
    return pki.leaf_data(issued, authority)


def text(encoded: Data, name: str) -> str:
    return base64.b64decode(encoded[name], validate=True).decode()


def encoded(value: bytes | str) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


# --- what is written is read back ------------------------------------------------------------------------------------


def test_the_leafs_secret_has_the_layout_of_cert_manager() -> None:
    assert pki.LEAF_TYPE == "kubernetes.io/tls"
    assert set(data()) == {"tls.crt", "tls.key", "ca.crt"}
    assert text(data(), "tls.crt") == made()[1].leaf.pem
    assert text(data(), "ca.crt") == made()[0].pem
    assert "BEGIN PRIVATE KEY" in text(data(), "tls.key")


def test_the_authoritys_secret_is_named_after_the_leafs_and_read_back_whole() -> None:
    authority, _ = made(3)
    assert pki.authority_name(SECRET) == ObjectKey("edge", "example-com-tls-ca")
    assert set(pki.authority_data(authority)) == {"ca.crt", "ca.key"}
    assert pki.read_authority(pki.authority_name(SECRET), pki.authority_data(authority)) == authority


def test_a_key_pair_is_read_back_as_facts() -> None:
    authority, issued = made()
    found = pki.read_key_pair(SECRET, pki.leaf_data(issued, authority), ZONE)
    assert (found.leaf, found.next, found.generation) == (issued.leaf, None, 1)


def test_a_leaf_is_read_with_its_key_for_the_moment_of_use() -> None:
    assert pki.read_keyed_leaf(SECRET, data()) == made()[1]


def test_a_next_leaf_stands_beside_the_one_in_use_and_both_authorities_are_known() -> None:
    authority, issued = made()
    later, following = made(2)
    both = pki.with_next(pki.leaf_data(issued, authority), following, later)
    found = pki.read_key_pair(SECRET, both, ZONE)
    assert (found.leaf, found.next, found.generation) == (issued.leaf, following.leaf, 2)
    assert pki.read_keyed_leaf(SECRET, both, Slot.NEXT) == following
    assert text(both, "ca.crt") == authority.pem.rstrip() + "\n" + later.pem


def test_a_next_leaf_of_the_same_authority_does_not_repeat_it() -> None:
    authority, issued = made()
    following = pki.issue_leaf(RECIPE, authority, NOW)
    both = pki.with_next(pki.leaf_data(issued, authority), following, authority)
    assert text(both, "ca.crt") == authority.pem
    assert text(pki.promoted(both), "ca.crt") == authority.pem


def test_promotion_is_one_write_that_leaves_only_the_next_leaf_and_its_authority() -> None:
    authority, issued = made()
    later, following = made(2)
    other = {"note": encoded("somebody's")}
    promoted = pki.promoted({**pki.with_next(pki.leaf_data(issued, authority), following, later), **other})
    assert promoted == {**pki.leaf_data(following, later), **other}
    assert pki.read_key_pair(SECRET, promoted, ZONE).leaf == following.leaf


def test_without_a_next_leaf_there_is_nothing_to_promote() -> None:
    with pytest.raises(ValueError, match="no next leaf"):
        pki.promoted(data())


def test_facts_show_no_key() -> None:
    later, following = made(2)
    found = pki.read_key_pair(SECRET, pki.with_next(data(), following, later), ZONE)
    for name in ("tls.key", "next.key"):
        lines = text(pki.with_next(data(), following, later), name).splitlines()
        assert not any(line in repr(found) for line in lines if len(line) > 16)
    assert "PRIVATE" not in repr(found)


# --- referenced Secrets: good ones -----------------------------------------------------------------------------------

Change = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


def unchanged(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@cache
def root(common: str = "root") -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    return signed(common, None, lambda builder: builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True))


def signed(
    common: str,
    by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    change: Change = unchanged,
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    valid: tuple[timedelta, timedelta] = (timedelta(hours=-1), timedelta(days=90)),
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(by[0].subject if by else name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + valid[0])
        .not_valid_after(NOW + valid[1])
    )
    return change(builder).sign(by[1] if by else key, hashes.SHA256()), key


def pem(*certificates: x509.Certificate) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def secret(
    leaf: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], *between: x509.Certificate, ca: x509.Certificate | None = None
) -> Data:
    return {
        "tls.crt": encoded(pem(leaf[0], *between)),
        "tls.key": encoded(key_pem(leaf[1])),
        "ca.crt": encoded(pem(ca or root()[0])),
    }


def used_for(*purposes: x509.ObjectIdentifier) -> Change:
    return lambda builder: builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)


def with_usage(*, digital_signature: bool = False, key_agreement: bool = False, key_encipherment: bool = False) -> Change:
    usage = x509.KeyUsage(
        digital_signature=digital_signature,
        key_agreement=key_agreement,
        key_encipherment=key_encipherment,
        **dict.fromkeys(("content_commitment", "data_encipherment", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False),
    )
    return lambda builder: builder.add_extension(usage, critical=True)


@pytest.mark.parametrize(
    "change",
    [
        unchanged,
        used_for(ExtendedKeyUsageOID.CLIENT_AUTH),
        used_for(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        with_usage(digital_signature=True, key_encipherment=True),
        with_usage(key_agreement=True),
    ],
    ids=["no key usage at all", "clientAuth", "serverAuth and clientAuth", "digital signature", "key agreement"],
)
def test_a_referenced_leaf_may_be_used_for(change: Change) -> None:
    leaf = signed("example.com", root(), change)
    found = pki.read_referenced(SECRET, secret(leaf), NOW)
    assert found.leaf.pin.sha256 == leaf[0].fingerprint(hashes.SHA256()).hex()
    assert (found.next, found.generation) == (None, 0)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["PKCS 8", "SEC 1"])
def test_a_referenced_key_may_come_as(form: PrivateFormat) -> None:
    leaf = signed("example.com", root())
    assert pki.read_referenced(SECRET, {**secret(leaf), "tls.key": encoded(key_pem(leaf[1], form))}, NOW)


def test_a_referenced_chain_may_pass_an_intermediate_and_only_the_leaf_is_taken() -> None:
    authority: Change = lambda builder: builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)  # noqa: E731
    between = signed("between", root(), authority)
    leaf = signed("example.com", between)
    found = pki.read_referenced(SECRET, secret(leaf, between[0]), NOW)
    assert found.leaf.pem == pem(leaf[0])


def test_a_referenced_self_signed_leaf_is_its_own_authority() -> None:
    leaf = signed("example.com", None)
    assert pki.read_referenced(SECRET, secret(leaf, ca=leaf[0]), NOW).leaf.pem == pem(leaf[0])


def test_a_referenced_leaf_may_have_one_of_several_authorities() -> None:
    leaf = signed("example.com", root())
    bundle = encoded(pem(root("another")[0], root()[0]))
    assert pki.read_referenced(SECRET, {**secret(leaf), "ca.crt": bundle}, NOW)


def test_a_leaf_of_ours_passes_as_a_referenced_one() -> None:
    assert pki.read_referenced(SECRET, data(), NOW).leaf == made()[1].leaf


# --- referenced Secrets: bad ones ------------------------------------------------------------------------------------


def good() -> Data:
    return secret(signed("example.com", root()))


def without(field: str) -> Data:
    return {name: value for name, value in good().items() if name != field}


def with_key(key: bytes) -> Data:
    return {**good(), "tls.key": encoded(key)}


def rsa_key() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def ed25519_key() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def x25519_key() -> bytes:
    return x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def encrypted_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pretend"))


def signed_by_a_leaf() -> Data:
    middle = signed(
        "middle", root(), lambda builder: builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return secret(signed("example.com", middle), middle[0])


def garbled(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder.add_extension(x509.UnrecognizedExtension(ExtensionOID.BASIC_CONSTRAINTS, b"?"), critical=True)


BAD: dict[str, tuple[Callable[[], Data], str, str]] = {
    "certificate missing": (lambda: without("tls.crt"), "tls.crt", "is missing"),
    "key missing": (lambda: without("tls.key"), "tls.key", "is missing"),
    "authority missing": (lambda: without("ca.crt"), "ca.crt", "is missing"),
    "certificate empty": (lambda: {**good(), "tls.crt": ""}, "tls.crt", "is missing"),
    "certificate no PEM": (lambda: {**good(), "tls.crt": encoded("hello")}, "tls.crt", "is no certificate in PEM form"),
    "certificate garbled inside": (
        lambda: secret(signed("example.com", root(), garbled)),
        "tls.crt",
        "has a key or an extension that cannot be read",
    ),
    "certificate not even base64": (lambda: {**good(), "tls.crt": "%"}, "tls.crt", "is not base64"),
    "key no PEM": (lambda: with_key(b"hello"), "tls.key", "is no private key in PEM form"),
    "key encrypted": (lambda: with_key(encrypted_key()), "tls.key", "is encrypted"),
    "key that cannot sign": (lambda: with_key(x25519_key()), "tls.key", "is a key that no TLS client can sign with"),
    "authority no PEM": (lambda: {**good(), "ca.crt": encoded("hello")}, "ca.crt", "is no certificate in PEM form"),
    "key of another certificate": (lambda: with_key(key_pem(root()[1])), "tls.key", "is not the key of tls.crt"),
    "key of another kind": (lambda: with_key(rsa_key()), "tls.key", "is not the key of tls.crt"),
    "key of a third kind": (lambda: with_key(ed25519_key()), "tls.key", "is not the key of tls.crt"),
    "authority as leaf": (lambda: secret(root()), "tls.crt", "is an authority (CA:TRUE), which Cloudflare refuses"),
    "leaf for servers": (
        lambda: secret(signed("example.com", root(), used_for(ExtendedKeyUsageOID.SERVER_AUTH))),
        "tls.crt",
        "is not for client authentication",
    ),
    "leaf for anything": (
        lambda: secret(signed("example.com", root(), used_for(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE))),
        "tls.crt",
        "is not for client authentication",
    ),
    "leaf for encipherment": (
        lambda: secret(signed("example.com", root(), with_usage(key_encipherment=True))),
        "tls.crt",
        "is not for client authentication",
    ),
    "leaf expired": (
        lambda: secret(signed("example.com", root(), valid=(timedelta(days=-90), timedelta(seconds=0)))),
        "tls.crt",
        "expired at 2026-11-24 03:00:00 UTC",
    ),
    "leaf not yet valid": (
        lambda: secret(signed("example.com", root(), valid=(timedelta(seconds=1), timedelta(days=90)))),
        "tls.crt",
        "is not valid before 2026-11-24 03:00:01 UTC",
    ),
    "authority of another name": (lambda: secret(signed("example.com", root()), ca=root("another")[0]), "ca.crt", "did not sign tls.crt"),
    "authority of the same name": (
        lambda: secret(signed("example.com", root()), ca=root.__wrapped__("root")[0]),
        "ca.crt",
        "did not sign tls.crt",
    ),
    "intermediate that is a leaf": (signed_by_a_leaf, "ca.crt", "did not sign tls.crt"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_bad_referenced_secret_is_refused_and_the_message_names_secret_field_and_remedy(
    case: tuple[Callable[[], Data], str, str],
) -> None:
    make, field, what = case
    found = make()
    with pytest.raises(Blocked) as refused:
        pki.read_referenced(SECRET, found, NOW)
    assert refused.value.reason is Reason.KEY_PAIR_INVALID
    assert refused.value.message.startswith(f"Secret edge/example-com-tls: {field} {what}")
    assert len(refused.value.message.split("; ")[-1]) > 20, "no remedy"
    assert refused.value.__cause__ is None, "a cause may carry the key along"


def test_a_missing_referenced_secret_is_refused_and_the_message_says_what_to_create() -> None:
    with pytest.raises(
        Blocked, match=r"Secret edge/example-com-tls does not exist: create it with tls\.crt, tls\.key and ca\.crt"
    ) as refused:
        pki.read_referenced(SECRET, None, NOW)
    assert refused.value.reason is Reason.KEY_PAIR_INVALID


def test_a_refusal_shows_no_key() -> None:
    with pytest.raises(Blocked) as refused:
        pki.read_referenced(SECRET, with_key(key_pem(root()[1])), NOW)
    shown = f"{refused.value!r} {refused.value.message}"
    assert not any(line in shown for line in key_pem(root()[1]).decode().splitlines())


# --- our own Secrets: bad ones ---------------------------------------------------------------------------------------


def test_our_own_expired_leaf_is_no_fault_of_the_secret() -> None:
    """It is renewed, by a rule; only a referenced one is for somebody else to renew."""
    stale = pki.issue_leaf(RECIPE, pki.create_authority(RECIPE, 1, NOW - timedelta(days=800)), NOW - timedelta(days=800))
    authority, _ = made()
    assert pki.read_key_pair(SECRET, pki.leaf_data(stale, authority), ZONE).leaf.pin.not_after < NOW


@pytest.mark.parametrize("field", ["tls.crt", "tls.key", "ca.crt", "next.key"])
def test_our_own_secret_with_a_field_gone_is_refused_by_its_name(field: str) -> None:
    later, following = made(2)
    both = pki.with_next(data(), following, later)
    with pytest.raises(Blocked, match=f"Secret edge/example-com-tls: {field} is missing; put back what was there, or delete the Secret"):
        pki.read_key_pair(SECRET, {name: value for name, value in both.items() if name != field}, ZONE)


def test_our_own_secret_with_a_swapped_next_key_is_refused() -> None:
    later, following = made(2)
    both = pki.with_next(data(), following, later)
    with pytest.raises(Blocked, match=r"next\.key is not the key of next\.crt"):
        pki.read_key_pair(SECRET, {**both, "next.key": both["tls.key"]}, ZONE)


def test_an_authority_with_another_key_is_refused() -> None:
    with pytest.raises(Blocked, match=r"Secret edge/example-com-tls-ca: ca\.key is not the key of ca\.crt"):
        pki.read_authority(pki.authority_name(SECRET), pki.authority_data(made()[0]) | {"ca.key": pki.authority_data(made(2)[0])["ca.key"]})


def test_an_authority_whose_key_is_of_no_kind_that_we_make_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    ours = x509.load_pem_x509_certificate(made()[0].pem.encode()).subject
    builder = x509.CertificateBuilder().subject_name(ours).issuer_name(ours).public_key(key.public_key())
    certificate = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(key, None)
    found = {
        "ca.crt": encoded(pem(certificate)),
        "ca.key": encoded(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
    }
    with pytest.raises(Blocked, match=r"ca\.key is neither an ECDSA nor an RSA key"):
        pki.read_authority(SECRET, found)


# --- Secrets of somebody else ----------------------------------------------------------------------------------------


def somebody_elses() -> Data:
    """A server's key pair as cert-manager leaves it, in the very Secret that `generate` names."""
    return secret(signed("example.com", root(), with_usage(digital_signature=True, key_encipherment=True)))


def other_zones() -> Data:
    recipe = replace(RECIPE, zone="example.org", hostnames=("example.org",))
    authority = pki.create_authority(recipe, 1, NOW)
    return pki.leaf_data(pki.issue_leaf(recipe, authority, NOW), authority)


@pytest.mark.parametrize("found", [somebody_elses, other_zones])
def test_a_secret_that_is_not_ours_to_fill_is_neither_used_nor_replaced(found: Callable[[], Data]) -> None:
    """It would go to Cloudflare, and be overwritten when it is due; and one zone's leaf is no key to another's hosts."""
    with pytest.raises(Blocked, match=r"ca\.crt holds no authority that the operator made for zone example\.com") as refused:
        pki.read_key_pair(SECRET, found(), ZONE)
    assert refused.value.reason is Reason.KEY_PAIR_INVALID
    assert "spec.certificate.generate.secretName" in refused.value.message
    assert "delete" not in refused.value.message


def test_an_authority_that_is_not_ours_signs_nothing() -> None:
    certificate, key = root()
    with pytest.raises(Blocked, match=r"ca\.crt is no authority that the operator made"):
        pki.read_authority(SECRET, {"ca.crt": encoded(pem(certificate)), "ca.key": encoded(key_pem(key))})


def test_a_zone_with_a_long_name_recognises_its_own() -> None:
    """The authority's common name holds 64 characters of it."""
    zone = f"{'a' * 63}.{'b' * 20}.example"
    recipe = replace(RECIPE, zone=zone, hostnames=(zone,))
    authority = pki.create_authority(recipe, 1, NOW)
    assert pki.read_key_pair(SECRET, pki.leaf_data(pki.issue_leaf(recipe, authority, NOW), authority), zone).generation == 1
