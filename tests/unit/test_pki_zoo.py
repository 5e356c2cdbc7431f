"""The whole zoo: what a referenced Secret may hold, what may have happened to its fields, and what is said of each."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache

import pytest

import zoo
from aop import pki
from aop.errors import Blocked, Reason
from aop.pki import Slot
from aop.terms import ObjectKey
from identities import identity_of
from zoo import FORMS, ZOO, Bad, Data, FileForm, Good, decoded, encoded

SECRET = ObjectKey("edge", "example-com-tls")
FIELDS = ("tls.crt", "tls.key", "ca.crt")
LONG_S = 3.0
"""Seconds of the processor's time that no reading takes, nor fifty of the largest key."""


@pytest.mark.parametrize("name", [name for name, one in ZOO.items() if isinstance(one, Good)])
def test_a_good_key_pair_is_taken_and_can_be_presented(name: str) -> None:
    data = ZOO[name].make()
    read = pki.read_referenced(SECRET, data)
    keyed = pki.read_keyed_leaf(SECRET, data)
    assert keyed.leaf == read.leaf
    assert identity_of(keyed).sha256 == read.leaf.pin.sha256


def read_now(data: Data) -> None:
    """Read it as a look does: whole, and whether it is valid now."""
    pki.check_in_time(SECRET, pki.read_referenced(SECRET, data).leaf, datetime.now(UTC))


@pytest.mark.parametrize("name", [name for name, one in ZOO.items() if isinstance(one, Bad)])
def test_a_bad_key_pair_is_refused_with_secret_field_truth_and_remedy(name: str) -> None:
    bad = ZOO[name]
    assert isinstance(bad, Bad)
    data = bad.make()
    began_s = time.process_time()
    with pytest.raises(Blocked) as refused:
        read_now(data)
    assert time.process_time() - began_s < LONG_S
    assert refused.value.reason is Reason.KEY_PAIR_INVALID
    assert refused.value.message.startswith(f"Secret edge/example-com-tls: {bad.field} {bad.what}")
    _, _, remedy = refused.value.message.partition("; ")
    assert bad.remedy in remedy
    assert len(remedy) > 20
    assert refused.value.__cause__ is None, "a cause may carry the key along"


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_whatever_has_happened_to_a_field_of_a_referenced_secret_it_is_good_or_named(
    form: FileForm, field: str
) -> None:
    data = zoo.good()
    changed = data | {field: encoded(form.change(decoded(data, field)))}
    began_s = time.process_time()
    if not form.what:
        pki.read_referenced(SECRET, changed)
        assert pki.read_keyed_leaf(SECRET, changed) == pki.read_keyed_leaf(SECRET, data)
        return
    with pytest.raises(Blocked, match=r"Secret edge/example-com-tls: .*; .{20,}") as refused:
        pki.read_referenced(SECRET, changed)
    assert refused.value.reason is Reason.KEY_PAIR_INVALID
    assert refused.value.message.startswith(f"Secret edge/example-com-tls: {field} {form.what}")
    assert time.process_time() - began_s < LONG_S


def names(refusal: Blocked, field: str, *, new: str) -> bool:
    """It is about this field of our Secret, and says how to get what is `new`."""
    assert refusal.reason is Reason.KEY_PAIR_INVALID
    assert refusal.message.startswith(f"Secret edge/example-com-tls: {field} ")
    remedy = f"put back what was there, or delete the Secret to have a new {new} generated"
    return refusal.message.endswith(remedy)


@cache
def rotating() -> Data:
    """A Secret of ours in the middle of a rotation."""
    first, second = (pki.create_authority(zoo.RECIPE, zoo.NOW) for _ in range(2))
    data = pki.leaf_data(pki.issue_leaf(zoo.RECIPE, first, zoo.NOW), first)
    return pki.with_next(data, pki.issue_leaf(zoo.RECIPE, second, zoo.NOW), second)


@pytest.mark.parametrize("field", ["tls.crt", "tls.key", "ca.crt", "next.crt", "next.key"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_whatever_has_happened_to_a_field_of_our_own_secret_it_is_good_or_named(
    form: FileForm, field: str
) -> None:
    data = rotating()
    changed = data | {field: encoded(form.change(decoded(data, field)))}
    if not form.what:
        assert pki.read_key_pair(SECRET, changed, zoo.ZONE) == pki.read_key_pair(
            SECRET, data, zoo.ZONE
        )
        assert [pki.read_keyed_leaf(SECRET, changed, slot) for slot in Slot] == [
            pki.read_keyed_leaf(SECRET, data, slot) for slot in Slot
        ]
        assert (
            pki.read_key_pair(SECRET, pki.promoted(changed), zoo.ZONE).leaf
            == pki.read_key_pair(SECRET, data, zoo.ZONE).next
        )
        return
    with pytest.raises(Blocked) as refused:
        pki.read_key_pair(SECRET, changed, zoo.ZONE)
    assert names(refused.value, field, new="key pair")


@cache
def one_authority() -> pki.Authority:
    return pki.create_authority(zoo.RECIPE, zoo.NOW)


@pytest.mark.parametrize("field", ["ca.crt", "ca.key"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_whatever_has_happened_to_a_field_of_our_authority_it_is_good_or_named(
    form: FileForm, field: str
) -> None:
    authority = one_authority()
    data = pki.authority_data(authority)
    changed = data | {field: encoded(form.change(decoded(data, field)))}
    if not form.what:
        assert pki.read_authority(SECRET, changed, zoo.ZONE) == authority
        return
    with pytest.raises(Blocked) as refused:
        pki.read_authority(SECRET, changed, zoo.ZONE)
    assert names(refused.value, field, new="authority")


def test_a_key_of_the_recipe_of_the_guide_is_read_in_milliseconds() -> None:
    """OpenSSL's own check of its 4,096 bits would hold up the whole process for a second, in whatever thread."""
    data = ZOO["RSA 4096"].make()
    began_s = time.process_time()
    for _ in range(50):
        pki.read_referenced(SECRET, data)
    assert time.process_time() - began_s < LONG_S
