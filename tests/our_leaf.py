"""The leaf that the edge presents in tests which need one and do not mind whose it is."""

from __future__ import annotations

from datetime import UTC, datetime

from aop.pki import throwaway

OURS = throwaway(datetime.now(UTC))
