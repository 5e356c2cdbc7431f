"""The record on the object: what is written is read back, and nothing that anybody writes there stops the operator."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.observed import Baseline, HoldOff, Record, RejectedClaim
from aop.record import dump, load, newest
from aop.terms import Pin, Target
from builders import LEAF, NEXT, TARGET, WWW, ZONE_ID, at, observed

FULL = Record(
    zone_id=ZONE_ID,
    baseline=Baseline(enabled=True, foreign=("a", "b")),
    uploaded=tuple(sorted((LEAF, NEXT))),
    claimed=(TARGET,),
    rejected=(RejectedClaim("0123456789abcdef", 2, at(-20), at(220)),),
    hold_offs=(HoldOff(1, at(-70), at(-10)), HoldOff(3, at(-10), at(230), WWW)),
    flushes=(at(-900), at(-90)),
    rotated="2026-03-01",
    edition=17,
)

sha256 = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
sha1 = st.integers(0, 2**160 - 1).map(lambda number: f"{number:040x}")
moments = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)
pins = st.builds(Pin, sha256, sha1, moments, moments)
records = st.builds(
    Record,
    zone_id=st.none() | words,
    baseline=st.none()
    | st.builds(
        Baseline, st.booleans(), st.lists(words, unique=True).map(lambda ids: tuple(sorted(ids)))
    ),
    uploaded=st.lists(pins, max_size=3, unique=True).map(lambda several: tuple(sorted(several))),
    claimed=st.lists(st.builds(Target, words, words, words), max_size=3, unique=True).map(
        lambda several: tuple(sorted(several))
    ),
    rejected=st.lists(
        st.builds(RejectedClaim, words, st.integers(1, 99), moments, moments), max_size=8
    ).map(tuple),
    hold_offs=st.lists(
        st.builds(HoldOff, st.integers(1, 99), moments, moments, st.just("") | words), max_size=4
    ).map(tuple),
    flushes=st.lists(moments, max_size=4).map(tuple),
    rotated=st.none() | st.text(min_size=1),
)


@given(records)
def test_what_is_written_is_read_back(record: Record) -> None:
    assert load(dump(record)) == record
    assert dump(load(dump(record))) == dump(record), "the same record gives the same text"


def test_it_is_small_and_says_nothing_of_what_is_not_there() -> None:
    assert dump(Record()) == "{}"
    assert len(dump(FULL)) < 700
    assert "\n" not in dump(FULL)


def test_a_rotate_annotation_without_a_value_is_one_that_was_acted_on() -> None:
    """`kubectl annotate aop x aop-operator.dev/rotate=` is a value too; it must not be acted on for ever."""
    assert load(dump(Record(rotated=""))).rotated == ""


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        "7",
        '"text"',
        "{}",
        "\x00",
        '{"uploaded": 7}',
        '{"claimed": ["nobody"]}',
    ],
)
def test_what_is_no_record_reads_as_an_empty_one(text: str | None) -> None:
    assert load(text) == Record()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_no_json_stops_the_operator(value: Any) -> None:
    load(json.dumps(value))


@pytest.mark.parametrize("name", ["found", "uploaded", "claimed", "rejected", "holdOff", "flushed"])
@pytest.mark.parametrize(
    "damage", [7, True, "text", [[]], [[1]], {"enabled": True}, [1e400], [["a", "b", 1e300, 1]]]
)
def test_one_damaged_field_never_raises(name: str, damage: Any) -> None:
    fields = json.loads(dump(FULL))
    load(json.dumps({**fields, name: damage}))


SHA256, SHA1, *VALID = json.loads(dump(Record(uploaded=(LEAF,))))["uploaded"][0]


@pytest.mark.parametrize(
    "pin",
    [
        [SHA256, f'{SHA1}" none; }} server {{ listen 1; }} #', *VALID],
        [SHA256, f"{SHA1}\n", *VALID],
        [f"{SHA256[:8]}; return 200;", SHA1, *VALID],
        [f"{SHA256}=", SHA1, *VALID],
        [f"{SHA256[:-1]}t", SHA1, *VALID],
        [SHA256.replace(SHA256[0], "+"), SHA1, *VALID],
        [SHA1, SHA256, *VALID],
        [LEAF.sha256, LEAF.sha1, *VALID],
        [7, SHA1, *VALID],
        [SHA256, SHA1, VALID[0]],
        [SHA256, SHA1, *VALID, 0],
        [SHA256, SHA1, 0, 10**30],
        [SHA256, SHA1, 0, 10**12],
        [SHA256, SHA1, 0, 1.5],
        [SHA256, SHA1, False, 1],
        {"sha256": SHA256},
    ],
)
def test_a_digest_that_is_none_never_gets_on(pin: Any) -> None:
    """Digests of the record become pins, and pins become nginx's text; the record can be edited by whoever may edit the object."""
    assert load(json.dumps({"uploaded": [[SHA256, SHA1, *VALID]]})) == Record(uploaded=(LEAF,))
    assert load(json.dumps({"uploaded": [pin]})) == Record()


def test_a_field_of_a_later_version_is_ignored() -> None:
    fields = json.loads(dump(FULL))
    assert load(json.dumps({**fields, "later": {"a": 1}})) == FULL


def test_it_is_untouched_until_something_was_uploaded_or_claimed() -> None:
    assert Record(
        zone_id=ZONE_ID,
        baseline=FULL.baseline,
        hold_offs=FULL.hold_offs,
        flushes=FULL.flushes,
        rejected=FULL.rejected,
        rotated="x",
    ).untouched
    assert not Record(uploaded=(LEAF,)).untouched
    assert not Record(claimed=(TARGET,)).untouched


def test_what_lasts_until_a_moment_does_not_end_before_it_when_it_is_read_back() -> None:
    """Whole seconds are kept; a pause that ended a moment early would be one too few."""
    noted = Record(
        rejected=(RejectedClaim("0123456789abcdef", 1, at(-0.5), at(119.5)),),
        hold_offs=(HoldOff(1, at(-0.5), at(59.5)),),
        flushes=(at(0.5),),
    )
    kept = load(dump(noted))
    assert (kept.rejected[0].until, kept.hold_offs[0].until, kept.flushes) == (
        at(120),
        at(60),
        (at(1),),
    )
    assert (kept.rejected[0].since, kept.hold_offs[0].since) == (at(-1), at(-1))


# --- two copies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "status", "read"),
    [(3, 2, 3), (2, 3, 3), (None, 3, 3), (3, None, 3), (None, None, 0)],
    ids=[
        "the status is still to be written",
        "an old manifest was put back",
        "the annotation was taken away",
        "no status yet",
        "none",
    ],
)
def test_the_copy_that_was_written_last_is_read(
    annotation: int | None, status: int | None, read: int
) -> None:
    copies = [
        None if edition is None else dump(Record(zone_id="zone", edition=edition))
        for edition in (annotation, status)
    ]
    assert newest(*copies).edition == read


def test_every_note_is_a_new_edition() -> None:
    world = observed()
    once = world.noting(rotated="now")
    assert load(dump(once)) == once
    assert newest(dump(world.record), dump(once)) == once
