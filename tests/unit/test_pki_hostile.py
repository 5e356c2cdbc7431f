"""Whatever bytes somebody writes where a key pair is read: a reading, or a refusal by name; never another exception, never seconds."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import zoo
from aop import pki
from aop.errors import Blocked, Reason
from aop.terms import ObjectKey
from identities import identity_of
from zoo import Data, decoded, encoded

SECRET = ObjectKey("edge", "example-com-tls")
FIELDS = ("tls.crt", "tls.key", "ca.crt", "next.crt", "next.key", "ca.key")
ROUNDS = settings(max_examples=5 * settings().max_examples)


@cache
def bases() -> tuple[Data, ...]:
    """Good Secrets of several kinds, in the middle of a rotation, each with an authority's key as well."""
    secrets = []
    for other in (
        zoo.good(),
        zoo.secret(zoo.leaf(key=zoo.rsa_key(2048))),
        zoo.chained(0, 1, 2),
        zoo.self_signed_v1(),
    ):
        authority = pki.create_authority(zoo.RECIPE, zoo.NOW)
        ours = pki.leaf_data(pki.issue_leaf(zoo.RECIPE, authority, zoo.NOW), authority)
        rotating = pki.with_next(ours, pki.issue_leaf(zoo.RECIPE, authority, zoo.NOW), authority)
        secrets += [other | {"next.crt": other["tls.crt"], "next.key": other["tls.key"]}, rotating]
        secrets = [data | {"ca.key": pki.authority_data(authority)["ca.key"]} for data in secrets]
    return tuple(secrets)


# --- readers ---------------------------------------------------------------------------------------------------------


def read_everything(data: Data) -> None:
    """Ask everything that is ever asked of a Secret.

    What is taken can be presented by the probe, and promoted.
    """
    now = datetime.now(UTC)
    for read in (
        lambda: identity_of(pki.read_keyed_leaf(SECRET, data)),
        lambda: identity_of(pki.read_keyed_leaf(SECRET, data, pki.Slot.NEXT)),
        lambda: pki.read_referenced(SECRET, data),
        lambda: pki.promoted(data) if pki.read_key_pair(SECRET, data, zoo.ZONE).next else None,
        lambda: pki.read_authority(SECRET, data, zoo.ZONE).suits(zoo.RECIPE, now),
    ):
        refused = refusal_of(read)
        if refused is not None:
            assert refused.reason is Reason.KEY_PAIR_INVALID
            assert refused.message.startswith("Secret edge/example-com-tls: ")
            assert refused.__cause__ is None, "a cause may carry the key along"


def refusal_of(read: Callable[[], object]) -> Blocked | None:
    """The refusal that `read` ends in; any other exception is a failure of the test."""
    try:
        read()
    except Blocked as refused:
        return refused
    return None


def read_a_strangers(pem: bytes) -> None:
    """Ask everything that is asked of what Cloudflare lists."""
    for ask in (pki.pin_of, lambda text: pki.recognise(text, zoo.UID)):
        with suppress(ValueError):
            ask(pem)


# --- bytes -----------------------------------------------------------------------------------------------------------


@st.composite
def edits(draw: st.DrawFn, text: bytes) -> bytes:
    """`text` with a few places changed, taken out, doubled or filled with something else."""
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, max(len(text) - 1, 0)))
        end = min(begin + draw(st.integers(0, 8)), len(text))
        there = draw(st.one_of(st.binary(max_size=8), st.just(b""), st.just(text[begin:end] * 2)))
        text = text[:begin] + there + text[end:]
    return text


def wrapped(der: bytes, like: bytes) -> bytes:
    """`der` between the markers of the first block in `like`."""
    begin, *_ = like.splitlines()
    return begin + b"\n" + base64.encodebytes(der) + begin.replace(b"BEGIN", b"END") + b"\n"


@st.composite
def changed(draw: st.DrawFn) -> Data:
    """A good Secret of which one field is edited: its text, or the bytes that the text stands for."""
    data, field = dict(draw(st.sampled_from(bases()))), draw(st.sampled_from(FIELDS))
    text = decoded(data, field)
    if draw(st.booleans()):
        return data | {field: encoded(draw(edits(text)))}
    block = text.split(b"-----END")[0].split(b"-----\n")[1]
    return data | {field: encoded(wrapped(draw(edits(base64.b64decode(block))), text))}


@pytest.mark.large
@ROUNDS
@given(changed())
def test_an_edited_secret_is_read_or_refused_by_name(data: Data) -> None:
    read_everything(data)


@ROUNDS
@given(
    field=st.sampled_from(FIELDS),
    text=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
)
@example(field="tls.crt", text=b"")
@example(field="ca.crt", text=b"\x30\x80")
@example(field="tls.key", text=b"\x30\xff")
def test_any_bytes_in_a_field_are_refused_by_name(field: str, text: bytes) -> None:
    read_everything(bases()[0] | {field: encoded(text)})
    read_a_strangers(text)


@ROUNDS
@given(field=st.sampled_from(FIELDS), value=st.text(max_size=60))
def test_any_text_that_should_be_base64_is_refused_by_name(field: str, value: str) -> None:
    read_everything(bases()[1] | {field: value})


# --- certificates that are well formed and odd -----------------------------------------------------------------------


def der(tag: int, *parts: bytes) -> bytes:
    """One ASN.1 value."""
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8 or 1)
    return (
        bytes([tag])
        + (bytes([len(body)]) if len(body) < 128 else bytes([0x80 | len(size)]) + size)
        + body
    )


OIDS = {
    "ecdsa-with-SHA256": "2a8648ce3d040302",
    "sha1WithRSAEncryption": "2a864886f70d010105",
    "md2WithRSAEncryption": "2a864886f70d010102",
    "RSASSA-PSS": "2a864886f70d01010a",
    "id-ecPublicKey": "2a8648ce3d0201",
    "rsaEncryption": "2a864886f70d010101",
    "nobody's": "2a030405",
    "commonName": "550403",
    "organizationalUnitName": "55040b",
    "countryName": "550406",
    "basicConstraints": "551d13",
    "keyUsage": "551d0f",
    "extKeyUsage": "551d25",
    "subjectAltName": "551d11",
}
SEQUENCE, SET, OID, NULL, BITS, OCTETS, INTEGER = 0x30, 0x31, 0x06, 0x05, 0x03, 0x04, 0x02


def oid(name: str) -> bytes:
    return der(OID, bytes.fromhex(OIDS[name]))


noise = st.binary(max_size=24)
strings = st.tuples(
    st.sampled_from([0x0C, 0x13, 0x14, 0x16, 0x1E, 0x03, 0x04]),
    st.one_of(noise, st.just(b"generation-" + b"9" * 5000)),
).map(lambda it: der(it[0], it[1]))
names = st.lists(
    st.tuples(
        st.sampled_from(["commonName", "organizationalUnitName", "countryName", "nobody's"]),
        strings,
    ),
    max_size=3,
).map(
    lambda them: der(SEQUENCE, *(der(SET, der(SEQUENCE, oid(kind), value)) for kind, value in them))
)
algorithms = st.tuples(
    st.sampled_from(sorted(OIDS)), st.one_of(st.just(b""), st.just(der(NULL)), noise)
).map(lambda it: der(SEQUENCE, oid(it[0]), it[1]))
moments = st.tuples(
    st.sampled_from([0x17, 0x18]),
    st.sampled_from(
        [
            b"261124030000Z",
            b"99991231235959Z",
            b"500101000000Z",
            b"20261124030000Z",
            b"000000000000Z",
            b"?",
        ]
    ),
).map(lambda it: der(*it))
numbers = st.one_of(noise, st.just(b"\xff"), st.just(b"\x00"), st.just(b"\x7f" * 3000))
keys = st.one_of(
    st.tuples(algorithms, noise).map(lambda it: der(SEQUENCE, it[0], der(BITS, b"\x00", it[1]))),
    st.tuples(numbers, numbers).map(
        lambda it: der(
            SEQUENCE,
            der(SEQUENCE, oid("rsaEncryption"), der(NULL)),
            der(BITS, b"\x00", der(SEQUENCE, der(INTEGER, it[0]), der(INTEGER, it[1]))),
        )
    ),
)
extensions = st.lists(
    st.tuples(
        st.sampled_from(
            ["basicConstraints", "keyUsage", "extKeyUsage", "subjectAltName", "nobody's"]
        ),
        noise,
    ),
    max_size=3,
).map(
    lambda them: der(
        0xA3, der(SEQUENCE, *(der(SEQUENCE, oid(kind), der(OCTETS, value)) for kind, value in them))
    )
)


@st.composite
def odd_certificates(draw: st.DrawFn) -> bytes:
    """Certificates in which each part is well formed for a parser that reads no further."""
    version = draw(
        st.one_of(
            st.just(b""),
            st.integers(0, 255).map(lambda number: der(0xA0, der(INTEGER, bytes([number])))),
        )
    )
    algorithm = draw(algorithms)
    validity = der(SEQUENCE, draw(moments), draw(moments))
    body = (
        version,
        der(INTEGER, draw(numbers)),
        algorithm,
        draw(names),
        validity,
        draw(names),
        draw(keys),
        draw(st.one_of(st.just(b""), extensions)),
    )
    certificate = der(SEQUENCE, der(SEQUENCE, *body), algorithm, der(BITS, b"\x00", draw(noise)))
    return wrapped(certificate, b"-----BEGIN CERTIFICATE-----")


@pytest.mark.large
@ROUNDS
@given(odd_certificates(), st.sampled_from(["tls.crt", "ca.crt", "next.crt"]))
def test_an_odd_certificate_is_read_or_refused_by_name(pem: bytes, field: str) -> None:
    read_a_strangers(pem)
    data = bases()[1]
    read_everything(data | {field: encoded(pem)})
    read_everything(data | {field: encoded(decoded(data, field) + pem)})


def test_a_foreign_certificate_of_an_odd_version_is_no_certificate() -> None:
    """Seen: it raised a class of its own, which ended every look at that zone."""
    good = decoded(zoo.good(), "tls.crt")
    odd = base64.b64decode(b"".join(good.splitlines()[1:-1])).replace(
        bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1
    )
    read_a_strangers(wrapped(odd, good))
    with pytest.raises(ValueError, match="is no certificate in PEM form"):
        pki.pin_of(wrapped(odd, good))
