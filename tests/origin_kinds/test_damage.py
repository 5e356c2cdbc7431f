"""A carrier that somebody has edited, cut or reset: it is read without fail, trusted for nothing, and mended.

Whatever of ours stands in it is damaged in every way that can be drawn, wherever a kind keeps it.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.errors import Blocked
from aop.terms import Claim, Mode
from builders import OFF, REQUIRING, UID
from origin_kinds.ground import (
    ORG,
    Ground,
    bare,
    of_ours,
    published_in,
    site_of,
    texts,
    tried,
    with_text,
    withdrawn,
    written,
)

ASKED = (REQUIRING, replace(ORG, mode=Mode.REQUEST, enforced=()))
CLAIMS = {one.uid: one for one in ASKED}


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str | None:
    """What somebody makes of a text."""
    at = draw(st.integers(0, len(text)))
    return draw(
        st.sampled_from(
            [
                None,
                "",
                text[:at],
                text[at:],
                text * 2,
                text[:at] + text,
                text[:at] + text[at + 1 :],
                text[:at] + draw(st.characters(codec="ascii")) + text[at + 1 :],
                text.replace("\n", "\r\n"),
                text.upper(),
                draw(st.text()),
                "[" * 100_000,
                '{"claims": [{"u": 1}, null, {}, "x"]}',
                '[{"u": 1}, null, {}, "x"]',
            ]
        )
    )


@tried
@given(st.data())
def test_whatever_is_damaged_nothing_is_trusted_and_everything_is_mended(
    ground: Ground, data: st.DataObject
) -> None:
    before = data.draw(ground.carriers())
    whole = body = written(ground, before, *ASKED)
    places = data.draw(st.lists(st.sampled_from(of_ours(before, body)), min_size=1, unique=True))
    for place in places:
        body = with_text(body, place, data.draw(damaged(texts(body)[place])))
    now = published_in(ground, body)
    if now.intact:
        assert demands(now.claims.values()) <= demands(ASKED), "the text says so still"
    else:
        assert all((one.mode, one.enforced) == (Mode.OFF, ()) for one in now.claims.values())
    if ground.remembered not in places:
        assert now.standing == CLAIMS, "what has to be feared is known"
    assert now.claims.keys() == now.standing.keys()
    if UID not in now.standing and site_of(ground, body).objection(ground.spec):
        # What is left of our text may look like a text of others that forbids ours.
        with pytest.raises(Blocked):
            written(ground, body, OFF)
        return
    mended = written(ground, body, OFF)
    after = published_in(ground, mended)
    assert (after.intact, after.misplaced) == (True, False)
    assert after.claims == {**now.claims, UID: OFF}
    assert after.revision > now.revision
    gone = published_in(ground, withdrawn(ground, mended, *after.claims))
    assert (gone.claims, gone.residue) == ({}, False)
    assert whole == written(ground, before, *ASKED)


def demands(claims: Iterable[Claim]) -> set[tuple[str, Mode, tuple[str, ...]]]:
    """Who refuses or asks what."""
    return {(one.zone, one.mode, one.enforced) for one in claims if one.mode > Mode.OFF}


def test_a_text_without_its_claims_still_tells_its_revision(ground: Ground) -> None:
    body = written(ground, bare(ground), *ASKED)
    del body["metadata"]["annotations"]
    now = published_in(ground, body)
    assert (now.claims, now.intact, now.residue, now.revision) == ({}, False, True, 2)
    after = published_in(ground, written(ground, body, OFF))
    assert (after.claims, after.intact, after.revision) == ({UID: OFF}, True, 3)


def test_claims_without_their_text_are_feared_no_more(ground: Ground) -> None:
    before = bare(ground)
    body = written(ground, before, *ASKED)
    for place in of_ours(before, body):
        if place[0] != "metadata":
            body = with_text(body, place, texts(before).get(place))
    now = published_in(ground, body)
    assert (now.intact, now.residue, now.revision) == (False, False, 2)
    assert now.standing == CLAIMS
    assert {one.mode for one in now.claims.values()} == {Mode.OFF}


def test_where_both_are_lost_nothing_was_ever_there(ground: Ground) -> None:
    before = bare(ground)
    body = written(ground, before, *ASKED)
    for place in of_ours(before, body):
        body = with_text(body, place, None)
    now = published_in(ground, body)
    assert (now.claims, now.standing, now.intact) == ({}, {}, True)
    assert (now.residue, now.revision, now.path_token) == (False, 0, None)


def test_others_claims_do_not_rise_with_what_is_mended(ground: Ground) -> None:
    """Putting a lost text back is nobody's proof."""
    strict = (REQUIRING, ORG)
    before = bare(ground)
    body = written(ground, before, *strict)
    for place in of_ours(before, body):
        if place[0] != "metadata":
            body = with_text(body, place, None)
    after = published_in(ground, written(ground, body, OFF))
    assert after.claims == {UID: OFF, ORG.uid: replace(ORG, mode=Mode.OFF, enforced=())}
    assert after.claims[ORG.uid].pins == ORG.pins, "trust stays known"


@pytest.mark.parametrize("field", ["data", "metadata"])
@pytest.mark.parametrize("empty", [None, {}])
def test_a_carrier_without_anything_in_it_is_read(
    ground: Ground, field: str, empty: dict[str, str] | None
) -> None:
    carrier = bare(ground)
    target = ground.kind.target(ground.spec)
    body = carrier | ({field: empty} if field == "data" else {})
    body["metadata"] |= {"annotations": empty, "labels": empty}
    site = ground.kind.site(target, {ground.kind.carrier(target): (body,)})
    assert (site.published.claims, site.published.intact) == ({}, True)
    assert published_in(ground, written(ground, body, REQUIRING)).claims == {UID: REQUIRING}
