"""The keeper of an origin: which origins an object has, and what is known of each."""

from __future__ import annotations

from aop.api import AuthenticatedOriginPull, Status
from aop.observe.origin import origins_of
from aop.origins import ObjectKey
from aop.origins.spec import ForeignText
from builders import KEY, NOW, TARGET, UID, spec


def test_what_was_claimed_and_left_the_spec_is_still_an_origin() -> None:
    pull = AuthenticatedOriginPull(KEY, UID, 1, "1", NOW, None, (), {}, spec(), Status())
    old = ObjectKey("old", "controller")
    named, left = origins_of(pull, (TARGET, old))
    assert (named.name, named.target, named.wanted, named.foreign) == ("public", TARGET, True, ForeignText.REFUSE)
    assert (left.target, left.wanted, left.foreign) == (old, False, ForeignText.MERGE)
    assert str(old.name) in left.name
