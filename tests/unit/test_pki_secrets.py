"""Between Secrets and key pairs: what is written, what is read back, and what our own Secrets may have become meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretBytes

import zoo
from aop import pki
from aop.errors import Blocked, Reason
from aop.pki import Authority, KeyedLeaf, Slot
from aop.terms import ObjectKey
from zoo import RECIPE, UID, ZONE, Data, Made, encoded

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
SECRET = ObjectKey("edge", "example-com-tls")


@cache
def made(number: int = 1) -> tuple[Authority, KeyedLeaf]:
    """An authority and a leaf of it; `number` tells generations apart."""
    assert number
    authority = pki.create_authority(RECIPE, NOW)
    return authority, pki.issue_leaf(RECIPE, authority, NOW)


def data() -> Data:
    authority, issued = made()
    return pki.leaf_data(issued, authority)


def text(encoded: Data, name: str) -> str:
    return zoo.decoded(encoded, name).decode()


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
    assert (
        pki.read_authority(pki.authority_name(SECRET), pki.authority_data(authority), ZONE)
        == authority
    )


def test_a_key_pair_is_read_back_as_facts() -> None:
    authority, issued = made()
    pair = pki.read_key_pair(SECRET, pki.leaf_data(issued, authority), ZONE)
    assert (pair.leaf, pair.next) == (issued.leaf, None)


def test_a_leaf_is_read_with_its_key_for_the_moment_of_use() -> None:
    assert pki.read_keyed_leaf(SECRET, data()) == made()[1]


def test_a_next_leaf_stands_beside_the_one_in_use_and_both_authorities_are_known() -> None:
    authority, issued = made()
    later, following = made(2)
    both = pki.with_next(pki.leaf_data(issued, authority), following, later)
    pair = pki.read_key_pair(SECRET, both, ZONE)
    assert (pair.leaf, pair.next) == (issued.leaf, following.leaf)
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
    promoted = pki.promoted(
        {**pki.with_next(pki.leaf_data(issued, authority), following, later), **other}
    )
    assert promoted == {**pki.leaf_data(following, later), **other}
    assert pki.read_key_pair(SECRET, promoted, ZONE).leaf == following.leaf


def test_without_a_next_leaf_there_is_nothing_to_promote() -> None:
    with pytest.raises(ValueError, match="no next leaf"):
        pki.promoted(data())


def test_facts_show_no_key() -> None:
    later, following = made(2)
    pair = pki.read_key_pair(SECRET, pki.with_next(data(), following, later), ZONE)
    for name in ("tls.key", "next.key"):
        lines = text(pki.with_next(data(), following, later), name).splitlines()
        assert not any(line in repr(pair) for line in lines if len(line) > 16)
    assert "PRIVATE" not in repr(pair)


# --- referenced Secrets ----------------------------------------------------------------------------------------------


def test_only_the_leaf_of_a_chain_is_taken() -> None:
    chained = zoo.chained(0, 1, 2)
    pair = pki.read_referenced(SECRET, chained)
    assert pair.leaf.pem.count("BEGIN CERTIFICATE") == 1
    assert text(chained, "tls.crt").startswith(pair.leaf.pem)
    assert pair.next is None


def test_a_missing_referenced_secret_is_refused_and_the_message_says_what_to_create() -> None:
    with pytest.raises(
        Blocked,
        match=r"Secret edge/example-com-tls does not exist: create it with tls\.crt, tls\.key and ca\.crt",
    ) as refused:
        pki.read_referenced(SECRET, None)
    assert refused.value.reason is Reason.KEY_PAIR_INVALID


def test_a_refusal_shows_no_key() -> None:
    other = zoo.leaf().key_pem
    with pytest.raises(Blocked) as refused:
        pki.read_referenced(SECRET, zoo.with_field("tls.key", other))
    shown = f"{refused.value!r} {refused.value.message}"
    assert not any(line in shown for line in other.decode().splitlines() if "PRIVATE" not in line)


# --- our own Secrets -------------------------------------------------------------------------------------------------


def test_our_own_expired_leaf_is_no_fault_of_the_secret() -> None:
    """It is renewed, by a rule; only a referenced one is for somebody else to renew."""
    then = NOW - timedelta(days=800)
    authority = pki.create_authority(RECIPE, then)
    stale = pki.issue_leaf(RECIPE, authority, then)
    assert pki.read_key_pair(SECRET, pki.leaf_data(stale, authority), ZONE).leaf.pin.not_after < NOW


@pytest.mark.parametrize("field", ["tls.crt", "tls.key", "ca.crt", "next.key"])
def test_our_own_secret_with_a_field_gone_is_refused_by_its_name(field: str) -> None:
    later, following = made(2)
    both = pki.with_next(data(), following, later)
    with pytest.raises(
        Blocked,
        match=f"Secret edge/example-com-tls: {field} is missing; put back what was there, or delete the Secret",
    ):
        pki.read_key_pair(
            SECRET, {name: value for name, value in both.items() if name != field}, ZONE
        )


def test_our_own_secret_with_a_swapped_next_key_is_refused() -> None:
    later, following = made(2)
    both = pki.with_next(data(), following, later)
    with pytest.raises(Blocked, match=r"next\.key is not the key of next\.crt"):
        pki.read_key_pair(SECRET, {**both, "next.key": both["tls.key"]}, ZONE)


def by_hand() -> Made:
    return zoo.issued("example.com", None, zoo.basic(authority=False))


def by_a_namesake() -> Made:
    """Signed by an authority that is called exactly as ours."""
    ours = x509.load_pem_x509_certificate(made()[0].pem.encode())
    pair, forged = by_hand(), zoo.root().key
    builder = (
        x509.CertificateBuilder()
        .subject_name(zoo.name("example.com"))
        .issuer_name(ours.subject)
        .public_key(pair.key.public_key())
    )
    builder = (
        builder.serial_number(7).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    )
    return Made(builder.sign(forged, SHA256()), pair.key)


@pytest.mark.parametrize("slot", Slot)
@pytest.mark.parametrize(
    "hand_made",
    [by_hand, zoo.leaf, by_a_namesake],
    ids=["self-signed", "of another authority", "of a namesake"],
)
def test_a_certificate_that_our_authority_did_not_sign_is_not_taken_for_ours(
    slot: Slot, hand_made: Callable[[], Made]
) -> None:
    """It would go to Cloudflare as ours, and be deleted there as ours."""
    certificate, key = slot.fields
    pair = hand_made()
    later, following = made(2)
    both = pki.with_next(data(), following, later) | {
        certificate: encoded(pair.pem),
        key: encoded(pair.key_pem),
    }
    with pytest.raises(Blocked) as refused:
        pki.read_key_pair(SECRET, both, ZONE)
    assert refused.value.reason is Reason.KEY_PAIR_INVALID
    assert refused.value.message == (
        f"Secret edge/example-com-tls: {certificate} was not signed by the operator's authority in ca.crt, so it is not uploaded; "
        "put back what was there, or delete the Secret to have a new key pair generated"
    )


def test_a_leaf_of_ours_without_its_own_authority_is_not_taken_for_ours() -> None:
    """`ca.crt` holds another generation of ours."""
    with pytest.raises(Blocked, match=r"tls\.crt was not signed by the operator's authority"):
        pki.read_key_pair(SECRET, data() | {"ca.crt": encoded(made(2)[0].pem)}, ZONE)


def test_an_authority_of_somebody_elses_beside_ours_signs_nothing_for_us() -> None:
    pair = zoo.leaf()
    foreign = data() | {"tls.crt": encoded(pair.pem), "tls.key": encoded(pair.key_pem)}
    foreign["ca.crt"] = encoded(zoo.decoded(foreign, "ca.crt") + zoo.root().pem)
    with pytest.raises(Blocked, match=r"tls\.crt was not signed by the operator's authority"):
        pki.read_key_pair(SECRET, foreign, ZONE)


def test_what_others_put_into_ca_crt_leaves_with_the_promotion() -> None:
    later, following = made(2)
    both = pki.with_next(
        data() | {"ca.crt": encoded("M\u00fcller:\n".encode("latin-1") + made()[0].pem.encode())},
        following,
        later,
    )
    assert text(both, "ca.crt") == made()[0].pem + later.pem
    assert text(pki.promoted(both), "ca.crt") == later.pem


def test_an_authority_with_another_key_is_refused() -> None:
    swapped = pki.authority_data(made()[0]) | {"ca.key": pki.authority_data(made(2)[0])["ca.key"]}
    with pytest.raises(
        Blocked, match=r"Secret edge/example-com-tls-ca: ca\.key is not the key of ca\.crt"
    ):
        pki.read_authority(pki.authority_name(SECRET), swapped, ZONE)


def test_an_authority_whose_key_is_of_no_kind_that_we_make_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    ours = x509.load_pem_x509_certificate(made()[0].pem.encode()).subject
    builder = (
        x509.CertificateBuilder().subject_name(ours).issuer_name(ours).public_key(key.public_key())
    )
    certificate = (
        builder.serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, None)
    )
    stored = {
        "ca.crt": encoded(certificate.public_bytes(Encoding.PEM)),
        "ca.key": encoded(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
    }
    with pytest.raises(Blocked, match=r"ca\.key is neither an ECDSA nor an RSA key"):
        pki.read_authority(SECRET, stored, ZONE)


def test_an_authority_from_before_generations_were_named_by_their_keys_is_ours() -> None:
    """Its second unit counts."""
    units = (
        x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit)
        for unit in (UID, "generation-1")
    )
    called, key = x509.Name([*zoo.name(ZONE), *units]), zoo.root().key
    builder = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(1)
    )
    builder = zoo.basic(authority=True)(
        builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    )
    pair = Made(builder.sign(key, SHA256()), key)
    assert (
        pki.read_authority(
            SECRET, {"ca.crt": encoded(pair.pem), "ca.key": encoded(pair.key_pem)}, ZONE
        ).uid
        == UID
    )


# --- Secrets of somebody else ----------------------------------------------------------------------------------------


def somebody_elses() -> Data:
    """A server's key pair as cert-manager leaves it, in the very Secret that `generate` names."""
    return zoo.secret(zoo.leaf(zoo.usage("digital_signature", "key_encipherment")))


def of_zone(zone: str) -> Data:
    recipe = replace(RECIPE, zone=zone, hostnames=(zone,))
    authority = pki.create_authority(recipe, NOW)
    return pki.leaf_data(pki.issue_leaf(recipe, authority, NOW), authority)


@pytest.mark.parametrize(
    "stored",
    [somebody_elses, lambda: of_zone("example.org")],
    ids=["a server's", "of another zone"],
)
def test_a_secret_that_is_not_ours_to_fill_is_neither_used_nor_replaced(
    stored: Callable[[], Data],
) -> None:
    """It would go to Cloudflare, and be overwritten when it is due; and one zone's leaf is no key to another's hosts."""
    with pytest.raises(
        Blocked, match=r"ca\.crt holds no authority that the operator made for zone example\.com"
    ) as refused:
        pki.read_key_pair(SECRET, stored(), ZONE)
    assert refused.value.reason is Reason.KEY_PAIR_INVALID
    assert "spec.certificate.generate.secretName" in refused.value.message
    assert "delete" not in refused.value.message


def foreign_authority() -> Data:
    return {"ca.crt": encoded(zoo.root().pem), "ca.key": encoded(zoo.root().key_pem)}


def authority_of_another_zone() -> Data:
    return pki.authority_data(pki.create_authority(replace(RECIPE, zone="example.org"), NOW))


@pytest.mark.parametrize("stored", [foreign_authority, authority_of_another_zone])
def test_an_authority_that_is_not_ours_signs_nothing_and_is_not_replaced(
    stored: Callable[[], Data],
) -> None:
    with pytest.raises(
        Blocked, match=r"ca\.crt is no authority that the operator made for zone example\.com"
    ) as refused:
        pki.read_authority(SECRET, stored(), ZONE)
    assert "delete" not in refused.value.message


LONG = f"{'a' * 63}.{'b' * 20}"


def test_a_zone_with_a_long_name_recognises_its_own() -> None:
    """The authority's common name holds 64 characters."""
    zone = f"{LONG}.example"
    assert pki.read_key_pair(SECRET, of_zone(zone), zone).leaf


def test_two_long_zones_that_begin_alike_are_two_zones() -> None:
    with pytest.raises(
        Blocked, match=r"ca\.crt holds no authority that the operator made for zone"
    ):
        pki.read_key_pair(SECRET, of_zone(f"{LONG}.example"), f"{LONG}.example.org")


# --- immutable -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manifest", [{}, {"immutable": None}, {"immutable": False}])
def test_a_secret_that_may_be_written_may_be_written(manifest: dict[str, object]) -> None:
    pki.check_mutable(SECRET, manifest)


def test_a_secret_that_somebody_made_immutable_is_named_with_the_remedy() -> None:
    with pytest.raises(
        Blocked,
        match=r"Secret edge/example-com-tls is immutable.*delete it: a new one is generated",
    ) as refused:
        pki.check_mutable(SECRET, {"immutable": True})
    assert refused.value.reason is Reason.KEY_PAIR_INVALID


# --- the form of keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["PKCS 8", "SEC 1"]
)
def test_a_key_goes_out_in_one_form_whatever_form_it_is_kept_in(form: PrivateFormat) -> None:
    """What Cloudflare and the probe's TLS read is never what somebody typed."""
    pair = zoo.leaf()
    kept = b"Bag Attributes\r\n" + zoo.key_pem(pair.key, form).replace(b"\n", b"\r\n")
    keyed = pki.read_keyed_leaf(SECRET, zoo.secret(pair) | {"tls.key": encoded(kept)})
    assert keyed.key == SecretBytes(pair.key_pem)
    assert keyed.leaf.pem.encode() == pair.pem
