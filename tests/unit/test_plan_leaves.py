"""Whatever a rule publishes names each leaf as well as anybody knows it: some servers compare nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aop.observed import Observed
from aop.plan.claims import claim_of
from aop.plan.facts import configured, our_pins
from aop.terms import Mode, Pin
from builders import ASKING, LEAF, NEXT, REQUIRING, RETIRED, certificate, observed, origin

WHOLE = {pin.sha256: replace(pin, der=f"der of {pin.short}") for pin in (LEAF, NEXT, RETIRED)}


def whole(pin: Pin) -> Pin:
    return WHOLE[pin.sha256]


def leaves(pins: tuple[Pin, ...]) -> dict[str, str]:
    return {pin.sha256: pin.der for pin in pins}


def in_rotation(**more: Any) -> Observed:
    """The record knows digests alone; the Secret and Cloudflare hold the leaves."""
    return observed(
        keys={"leaf": whole(LEAF), "next": whole(NEXT)},
        record={"uploaded": tuple(sorted((LEAF, NEXT, RETIRED)))},
        zone={"certificates": (certificate(whole(RETIRED)), certificate(LEAF))},
        **more,
    )


def test_of_several_who_name_a_leaf_one_may_know_it() -> None:
    o = in_rotation()
    assert our_pins(o) == tuple(sorted((LEAF, NEXT, RETIRED)))
    assert leaves(our_pins(o)) == leaves(tuple(WHOLE.values()))


@pytest.mark.parametrize("mode", [Mode.REQUEST, Mode.REQUIRE])
def test_what_is_published_has_the_leaves_that_are_known(mode: Mode) -> None:
    published = replace(REQUIRING, pins=(LEAF, NEXT))
    o = in_rotation(origins=[origin(published)])
    (there,) = o.origins
    claim = claim_of(o, there, mode, REQUIRING.enforced)
    assert claim.pins == configured(there).claim.pins  # type: ignore[union-attr]  # it was just made
    assert leaves(claim.pins) == leaves((whole(LEAF), whole(NEXT)))


def test_a_leaf_that_nobody_knows_any_more_stays_a_pin() -> None:
    o = observed(record={"uploaded": (LEAF,)}, origins=[origin(ASKING)])
    assert leaves(claim_of(o, o.origins[0], Mode.REQUEST).pins) == {LEAF.sha256: ""}
