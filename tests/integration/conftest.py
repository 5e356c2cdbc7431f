"""What several modules of tests beside a real server share."""

from __future__ import annotations

from pathlib import Path

import pytest

from identities import file_of
from our_leaf import OURS


@pytest.fixture(scope="session")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the leaf that the edge presents, with its key."""
    return file_of(OURS, tmp_path_factory.mktemp("leaf") / "ours.pem")
