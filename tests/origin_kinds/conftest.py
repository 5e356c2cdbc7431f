"""Everything here is tried on every ground."""

from __future__ import annotations

import pytest
from hypothesis import settings

from origin_kinds.ground import Ground
from origin_kinds.grounds import GROUNDS

settings.register_profile("unit", deadline=None, max_examples=50)
settings.load_profile("unit")


@pytest.fixture(scope="module", params=GROUNDS, ids=[one.kind.name for one in GROUNDS])
def ground(request: pytest.FixtureRequest) -> Ground:
    """Where one kind is tried."""
    found: Ground = request.param
    return found
