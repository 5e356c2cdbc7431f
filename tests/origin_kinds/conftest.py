"""Everything here is tried on every ground."""

from __future__ import annotations

import pytest

from origin_kinds.ground import Ground
from origin_kinds.grounds import GROUNDS


@pytest.fixture(scope="module", params=GROUNDS, ids=[one.kind.name for one in GROUNDS])
def ground(request: pytest.FixtureRequest) -> Ground:
    """Where one kind is tried."""
    chosen: Ground = request.param
    return chosen
